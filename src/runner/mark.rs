//! The marks of a cache folder, and of its parent folder as a workspace's root.
//!
//! Knows no store and no pipeline; both use it: to find a pipeline's root, and to decide whether a folder may be used as a
//! cache. `CACHEDIR.TAG` is a public convention, so its presence alone proves nothing: other programs write one, too. What
//! counts is the text that this program writes into it, or its own `version` file.

use std::io::ErrorKind;
use std::path::Path;

use crate::plain;

/// The name of the tag in a cache folder.
pub const TAG: &str = "CACHEDIR.TAG";
/// The beginning of a cache's version file; a number follows.
pub const VERSION_PREFIX: &str = "intrada store ";

/// A line in every tag of this program, including earlier versions'.
const OWN_LINE: &str = "# This folder holds what intrada-run computed";
/// The line in the tag of a cache whose parent folder is not a workspace.
const ELSEWHERE_LINE: &str = "# It was named with --cache or INTRADA_CACHE, so the folder above it is not a workspace.";
/// Longer than any of ours.
const LONGEST: u64 = 4096;

/// How a cache determines the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// In the root of its workspace, where pipelines find it without an option.
    InItsWorkspace,
    /// Named by `--cache` or `INTRADA_CACHE`: its parent folder is not a workspace.
    Elsewhere,
}

/// The text of the tag.
pub fn tag(stands: Stands) -> String {
    let elsewhere = match stands {
        Stands::InItsWorkspace => String::new(),
        Stands::Elsewhere => format!("{ELSEWHERE_LINE}\n"),
    };
    format!(
        "Signature: 8a477f597d28d172789f06886806bc55\n{OWN_LINE}, and can compute again. Its folder `orphans` holds what it can't.\n{elsewhere}\
         # About this file see https://bford.info/cachedir/\n"
    )
}

/// Whether the tag in `folder` is one of ours.
pub fn has_own_tag(folder: &Path) -> bool {
    tag_of(folder).contains(OWN_LINE)
}

/// Whether `folder` is a cache of this program.
pub fn is_ours(folder: &Path) -> bool {
    has_own_tag(folder) || has_version(folder) || is_laid_out(folder)
}

/// Whether `folder` has another program's tag or version file, and none of ours.
pub fn is_another_s(folder: &Path) -> bool {
    // Empty files, as after damage, don't count.
    let is_marked = || [TAG, "version"].iter().any(|name| !beginning(&folder.join(name)).trim().is_empty());
    !is_ours(folder) && is_marked()
}

/// Whether `folder` is a workspace because of its `cache/`.
pub fn is_root(folder: &Path) -> bool {
    let cache = folder.join("cache");
    // Checked first, as most folders have none. A link named `cache` is the user's way to give this folder a cache
    // elsewhere.
    match cache.symlink_metadata() {
        Ok(found) if found.is_symlink() => is_ours(&cache),
        Ok(found) if found.is_dir() => is_ours(&cache) && !tag_of(&cache).contains(ELSEWHERE_LINE),
        _ => false,
    }
}

/// Both marks may be damaged at once; no other program has all these folders.
fn is_laid_out(folder: &Path) -> bool {
    ["objects", "traces", "workspaces", "locks"].iter().all(|name| folder.join(name).is_dir())
}

fn has_version(folder: &Path) -> bool {
    beginning(&folder.join("version")).starts_with(VERSION_PREFIX)
}

fn tag_of(folder: &Path) -> String {
    beginning(&folder.join(TAG))
}

/// Empty for anything but a readable file.
fn beginning(path: &Path) -> String {
    match plain::read_at_most(path, LONGEST) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        // It exists, but is not recognisably ours.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => "unreadable".to_owned(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with a folder `cache` in it that holds these files.
    fn workspace(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("cache")).unwrap();
        files.iter().for_each(|(name, text)| fs::write(dir.path().join("cache").join(name), text).unwrap());
        dir
    }

    #[test]
    fn a_tag_that_other_programs_write_marks_nothing() {
        for text in ["", "Signature: 8a477f597d28d172789f06886806bc55\n# created by another program.\n"] {
            let dir = workspace(&[(TAG, text)]);
            assert!(!is_root(dir.path()) && !is_ours(&dir.path().join("cache")), "{text:?}");
            assert_eq!(is_another_s(&dir.path().join("cache")), !text.is_empty());
        }
        // restic's caches have such a file.
        assert!(!is_ours(&workspace(&[("version", "1")]).path().join("cache")));
    }

    #[test]
    fn our_tag_or_our_version_file_is_enough() {
        let own = tag(Stands::InItsWorkspace);
        for files in [[(TAG, &*own)], [("version", "intrada store 1\n")]] {
            assert!(is_root(workspace(&files).path()), "{files:?}");
        }
    }

    #[test]
    fn a_cache_that_was_named_elsewhere_is_ours_and_marks_no_root_unless_a_link_leads_to_it() {
        let own = tag(Stands::Elsewhere);
        let dir = workspace(&[(TAG, &own), ("version", "intrada store 1\n")]);
        assert!(is_ours(&dir.path().join("cache")) && !is_root(dir.path()));
        let other = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path().join("cache"), other.path().join("cache")).unwrap();
        assert!(is_root(other.path()));
    }
}
