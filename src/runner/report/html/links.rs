//! Relative links from the page to files in `runs/`.
//!
//! Knows where the page lies and where outputs are put, no section. A path becomes a link by percent encoding: a name may
//! contain `#`, `?` or `%`.

use std::fmt::Write as _;
use std::path::{Component, Path};

use super::workspace::Workspace;
use crate::kind::OutputRole;
use crate::pipeline::StageId;

/// From the folder of this pipeline's page.
fn to(pipeline: &str, path: &Path) -> Option<String> {
    let below = path.strip_prefix(Path::new("runs").join(pipeline));
    let (mut link, path) = match below {
        Ok(below) => (String::new(), below),
        Err(_) => ("../../".to_owned(), path),
    };
    for (at, component) in path.components().enumerate() {
        let Component::Normal(name) = component else { return None };
        if at > 0 {
            link.push('/');
        }
        encode(&mut link, name.to_str()?);
    }
    Some(link)
}

/// A name as a part of a link.
pub(super) fn encoded(name: &str) -> String {
    let mut link = String::new();
    encode(&mut link, name);
    link
}

/// Every character but the unreserved ones (RFC 3986, section 2.3) is encoded.
fn encode(link: &mut String, name: &str) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            link.push(char::from(byte));
        } else {
            let _ = write!(link, "%{byte:02X}");
        }
    }
}

impl Workspace<'_> {
    /// The link to a stage's output with this role, if its results are current and in place.
    pub(super) fn link(&self, stage: StageId, role: OutputRole) -> Option<String> {
        self.artifact(stage, role)?;
        let output = self.pipeline.stage(stage).outputs.iter().position(|output| output.role == role)?;
        self.link_to(&self.record(stage)?.outputs.get(output)?.path)
    }

    /// The link to a path relative to the workspace's root. None for a path with other components than names.
    pub(super) fn link_to(&self, path: &Path) -> Option<String> {
        to(&self.pipeline.name, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_from_the_pages_folder_and_no_character_of_a_name_ends_it() {
        let link = |path: &str| to("p", Path::new(path));
        assert_eq!(link("runs/p/evaluate/pictures").unwrap(), "evaluate/pictures");
        assert_eq!(link("runs/q/evaluate").unwrap(), "../../runs/q/evaluate");
        assert_eq!(link("runs/p/inter[seed=1]/a#b?c%.png").unwrap(), "inter%5Bseed%3D1%5D/a%23b%3Fc%25.png");
        assert_eq!(link("out/ö \"x").unwrap(), "../../out/%C3%B6%20%22x");
        assert_eq!((link("../a"), link("/a")), (None, None));
    }
}
