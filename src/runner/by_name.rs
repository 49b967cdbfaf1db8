//! Paths as keys: hashed by their bytes, and ordered by the names in them as `Path` orders them, without taking each apart.
//!
//! Knows no file. A path must be as its components make it: no `//`, no `/.`, no slash at the end. Others are keys of their own here,
//! where `Path` takes them for equal.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Hashes in a few instructions, with a seed of the process. Not for what outlives it.
pub type Hashing = foldhash::fast::RandomState;

/// What belongs to each of many paths.
pub type Map<V> = HashMap<OsString, V, Hashing>;

/// Many paths.
pub type Set = HashSet<OsString, Hashing>;

/// The path as its components make it.
pub fn plain(path: &Path) -> Cow<'_, Path> {
    let bytes = path.as_os_str().as_bytes();
    let ends = |at: usize| bytes.get(at).is_none_or(|&byte| byte == b'/');
    let is_odd = |at: usize| ends(at + 1) && bytes.len() > 1 || bytes.get(at + 1) == Some(&b'.') && ends(at + 2);
    let is_plain = !bytes.iter().enumerate().any(|(at, &byte)| byte == b'/' && is_odd(at));
    if is_plain { Cow::Borrowed(path) } else { Cow::Owned(path.components().collect()) }
}

/// The order of `Path`, for paths of names only.
pub fn compare(one: &Path, other: &Path) -> Ordering {
    let (one, other) = (one.as_os_str().as_bytes(), other.as_os_str().as_bytes());
    match one.iter().zip(other).position(|(a, b)| a != b) {
        Some(at) => place(one[at]).cmp(&place(other[at])),
        None => one.len().cmp(&other.len()),
    }
}

/// A name that ends comes before one that goes on.
fn place(byte: u8) -> u16 {
    if byte == b'/' { 0 } else { u16::from(byte) + 1 }
}

/// The path and the folders above it, the nearest first; the last is the root, or empty.
pub fn upwards(path: &Path) -> impl Iterator<Item = &OsStr> {
    std::iter::successors(Some(path.as_os_str()), |path| folder(path))
}

/// The folder of a path.
fn folder(path: &OsStr) -> Option<&OsStr> {
    let bytes = path.as_bytes();
    let folder = match bytes.iter().rposition(|&byte| byte == b'/') {
        Some(0) if bytes.len() == 1 => return None,
        Some(at) => &bytes[..at.max(1)],
        None if bytes.is_empty() => return None,
        None => b"",
    };
    Some(OsStr::from_bytes(folder))
}

/// The name of a path in its folder; all of it, if it has none.
pub fn name(path: &Path) -> &OsStr {
    let bytes = path.as_os_str().as_bytes();
    let begin = bytes.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    OsStr::from_bytes(&bytes[begin..])
}

/// The path below a folder, if it is there; empty for the folder itself.
pub fn below<'p>(path: &'p Path, folder: &Path) -> Option<&'p Path> {
    let (bytes, folder) = (path.as_os_str().as_bytes(), folder.as_os_str().as_bytes());
    let rest = bytes.strip_prefix(folder)?;
    let rest = match rest {
        _ if folder.is_empty() || folder.ends_with(b"/") => rest,
        [] => rest,
        [b'/', rest @ ..] => rest,
        _ => return None,
    };
    Some(Path::new(OsStr::from_bytes(rest)))
}

/// `Path::join` with one allocation.
pub fn join(folder: &Path, below: impl AsRef<OsStr>) -> PathBuf {
    let (folder, below) = (folder.as_os_str().as_bytes(), below.as_ref().as_bytes());
    let mut joined = Vec::with_capacity(folder.len() + 1 + below.len());
    if !below.starts_with(b"/") {
        joined.extend_from_slice(folder);
        if !folder.is_empty() && !folder.ends_with(b"/") {
            joined.push(b'/');
        }
    }
    joined.extend_from_slice(below);
    PathBuf::from(OsString::from_vec(joined))
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn a_plain_path_is_what_its_components_make(path in "/{0,2}([a.]{0,2}/){0,3}[a.]{0,2}") {
            let whole: PathBuf = Path::new(&path).components().collect();
            let plain = plain(Path::new(&path));
            prop_assert_eq!(plain.as_os_str(), whole.as_os_str());
        }

        #[test]
        fn paths_of_names_are_ordered_as_paths_are(one in "([a!.0z\\-]{1,2}/){0,3}[a!0z]", other in "([a!.0z\\-]{1,2}/){0,3}[a!0z]") {
            // `.` and `..` are no names.
            let names = |path: &str| path.split('/').all(|name| !name.trim_matches('.').is_empty());
            if names(&one) && names(&other) {
                prop_assert_eq!(compare(Path::new(&one), Path::new(&other)), Path::new(&one).cmp(Path::new(&other)));
            }
        }

        #[test]
        fn a_path_is_taken_apart_and_put_together_as_paths_are(path in "/?([ab.]{1,2}/){0,3}[ab]", folder in "/?([ab]/){0,2}[ab]?") {
            let [path, folder] = [path, folder].map(|path| Path::new(&path).components().collect::<PathBuf>());
            let (path, folder) = (&*path, &*folder);
            let upwards: Vec<&Path> = upwards(path).map(Path::new).collect();
            prop_assert_eq!(upwards, path.ancestors().collect::<Vec<_>>());
            path.file_name().map_or(Ok(()), |last| { prop_assert_eq!(name(path), last); Ok(()) })?;
            prop_assert_eq!(below(path, folder), path.strip_prefix(folder).ok());
            prop_assert_eq!(join(folder, path), folder.join(path));
        }
    }
}
