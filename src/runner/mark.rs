//! What marks a folder as a cache of this program, and the folder above it as a workspace's root.
//!
//! Knows no store and no pipeline, as both ask here: where the root of a pipeline is, and whether a folder may be used as a
//! cache. `CACHEDIR.TAG` is a public convention, so the name alone says nothing: other programs write one, too. What counts is
//! the text that this program writes into it, or its own `version` file.

use std::io::ErrorKind;
use std::path::Path;

use crate::plain;

/// The name of the tag in a cache folder.
pub const TAG: &str = "CACHEDIR.TAG";
/// What the version file of a cache begins with; a number follows.
pub const VERSION_PREFIX: &str = "intrada store ";

/// What every tag of this program holds, earlier versions' included.
const OWN_LINE: &str = "# This folder holds what intrada-run computed";
/// What the tag of a cache holds that doesn't make the folder above it a workspace.
const ELSEWHERE_LINE: &str = "# It was named with --cache or INTRADA_CACHE, so the folder above it is not a workspace.";
/// Longer than any of ours.
const LONGEST: u64 = 4096;

/// Which folder above a cache is a workspace by its being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// In the root of its workspace, where a pipeline looks for it by itself.
    InItsWorkspace,
    /// Where `--cache` or `INTRADA_CACHE` says: it says nothing about the folder that it lies in.
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

/// Whether `folder` is marked by another program's tag or version file, and by nothing of ours.
pub fn is_another_s(folder: &Path) -> bool {
    // Emptied by a damage, they are nobody's.
    let is_marked = || [TAG, "version"].iter().any(|name| !beginning(&folder.join(name)).trim().is_empty());
    !is_ours(folder) && is_marked()
}

/// Whether `folder` is a workspace by its `cache/`.
pub fn is_root(folder: &Path) -> bool {
    let cache = folder.join("cache");
    // Asked first, as most folders have none. A link named `cache` was made by somebody who wants that cache for this folder,
    // wherever it lies.
    match cache.symlink_metadata() {
        Ok(found) if found.is_symlink() => is_ours(&cache),
        Ok(found) if found.is_dir() => is_ours(&cache) && !tag_of(&cache).contains(ELSEWHERE_LINE),
        _ => false,
    }
}

/// Both marks may be damaged at once; no other program has these folders together.
fn is_laid_out(folder: &Path) -> bool {
    ["objects", "traces", "workspaces", "locks"].iter().all(|name| folder.join(name).is_dir())
}

fn has_version(folder: &Path) -> bool {
    beginning(&folder.join("version")).starts_with(VERSION_PREFIX)
}

fn tag_of(folder: &Path) -> String {
    beginning(&folder.join(TAG))
}

/// Nothing of what is no file, or can't be read.
fn beginning(path: &Path) -> String {
    match plain::read_at_most(path, LONGEST) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        // It is there, and isn't ours as far as can be seen.
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
