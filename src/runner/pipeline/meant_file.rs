//! Suggests a file for an unknown stage name: one of the same name with an extension.
//!
//! Used only for help lines: the meaning of a pipeline never depends on which files exist.

use std::path::Path;

use super::paths::is_file;

/// Common extensions of weight files.
const ENDINGS: &[&str] = &["", ".pth", ".safetensors", ".pt", ".ckpt", ".pth.tar", ".bin", ".tar"];

/// `did you mean the file …?`, with the path to write.
pub(super) fn did_you_mean_the_file(root: &Path, typed: &str) -> Option<String> {
    let there = ENDINGS.iter().map(|ending| format!("{typed}{ending}")).find(|name| root.join(name).is_file())?;
    // Other extensions need `./` to be read as a file.
    let written = if is_file(&there) { there } else { format!("./{there}") };
    Some(format!("did you mean the file `{written}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_meant_by_its_name_without_the_ending_and_named_as_it_has_to_be_typed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["plain.pth", "old.pt"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        let meant = |typed: &str| did_you_mean_the_file(dir.path(), typed);
        assert_eq!(meant("plain").as_deref(), Some("did you mean the file `plain.pth`?"));
        for typed in ["old", "old.pt"] {
            assert_eq!(meant(typed).as_deref(), Some("did you mean the file `./old.pt`?"));
        }
        assert_eq!((meant("folder"), meant("none")), (None, None));
    }
}
