//! Which files in a workspace belong to the program itself, and so are never part of a stage's input.
//!
//! Knows only names. All code that lists, digests, watches or guards a folder uses it, so that all skip the same files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The folder for the program's own files if the cache is on another file system. See `store::aside`.
pub const OWN: &str = ".intrada";

/// Whether `path` is the program's own: the cache, or a file or folder with one of the program's names. Both paths must be
/// absolute and free of symbolic links, or the cache isn't recognised.
pub fn is_own(path: &Path, cache: &Path) -> bool {
    path == cache || path.file_name().is_some_and(has_own_name)
}

/// Whether a name is one of the program's own: `.intrada`, `.intrada-…`, and the `.….intrada-aside` of earlier versions.
pub fn has_own_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_aside = || name.starts_with(b".") && name.ends_with(b".intrada-aside");
    name == OWN.as_bytes() || name.starts_with(b".intrada-") || is_aside()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_s_own_files_are_known_by_name_and_nobody_else_s_are() {
        let cache = Path::new("/w/cache");
        for own in ["/w/cache", "/w/plots/.intrada", "/w/.intrada-Xy12", "/w/plots/.1.txt.intrada-aside"] {
            assert!(is_own(Path::new(own), cache), "{own}");
        }
        for other in ["/w/cache2", "/w/sub/cache", "/w/intrada", "/w/.intradas", "/w/1.txt.orphan-1", "/w/.hidden", "/"]
        {
            assert!(!is_own(Path::new(other), cache), "{other}");
        }
    }
}
