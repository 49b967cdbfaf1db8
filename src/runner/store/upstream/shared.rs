//! Which upstreams a user names, and how each is used.
//!
//! Knows names only; nothing is opened here. Folders and URLs stand in one list, in the order in which they are asked.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A shared cache as a user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Where it is.
    pub at: Location,
    /// Whether results are also copied to it.
    pub push: bool,
    /// Whether its records count though nobody has signed them.
    pub is_trusted: bool,
}

impl Shared {
    /// One that is only read.
    pub fn to_read(at: Location) -> Shared {
        Shared { at, push: false, is_trusted: false }
    }
}

/// Where a shared cache is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// The cache folder of a store.
    Folder(PathBuf),
    /// The URL of a folder in a bucket.
    Bucket(String),
}

impl Location {
    /// What has a scheme is a URL, all else a folder.
    pub fn read(text: &OsStr) -> Location {
        match text
            .to_str()
            .filter(|text| text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme.as_bytes())))
        {
            Some(url) => {
                // `s3://` alone is wrong, and is shown as it was written.
                let trimmed = url.trim_end_matches('/');
                Location::Bucket(if trimmed.contains("://") { trimmed } else { url }.to_owned())
            }
            None => Location::Folder(PathBuf::from(text)),
        }
    }

    /// The same, with a folder's path relative to `root`.
    #[must_use]
    pub fn below(self, root: &Path) -> Location {
        match self {
            Location::Folder(path) => Location::Folder(root.join(path)),
            bucket => bucket,
        }
    }

    /// The locations of a list like `PATH`. The colon of a URL doesn't end it.
    pub fn list(text: &OsStr) -> Vec<Location> {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for part in text.as_bytes().split(|byte| *byte == b':') {
            match parts.last_mut() {
                Some(scheme) if part.starts_with(b"//") && is_scheme(scheme) => scheme.extend([b":", part].concat()),
                _ => parts.push(part.to_owned()),
            }
        }
        let named = parts.into_iter().filter(|part| !part.is_empty());
        named.map(|part| Location::read(&OsString::from_vec(part))).collect()
    }

    /// As it was written.
    pub fn text(&self) -> OsString {
        match self {
            Location::Folder(path) => path.clone().into(),
            Location::Bucket(url) => url.into(),
        }
    }
}

/// Whether it is the part of a URL before `://`.
fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str) -> Location {
        Location::Folder(path.into())
    }

    fn bucket(url: &str) -> Location {
        Location::Bucket(url.into())
    }

    #[test]
    fn a_list_has_folders_and_urls_and_the_colon_of_a_url_does_not_end_it() {
        for (text, all) in [
            ("", vec![]),
            ("/a:b", vec![folder("/a"), folder("b")]),
            ("s3://bucket/p/:/srv/cache:", vec![bucket("s3://bucket/p"), folder("/srv/cache")]),
            ("/a::gs://b:s3://c", vec![folder("/a"), bucket("gs://b"), bucket("s3://c")]),
            // An empty scheme is none.
            ("/a:://b", vec![folder("/a"), folder("//b")]),
        ] {
            assert_eq!(Location::list(OsStr::new(text)), all, "{text}");
        }
        assert_eq!(Location::read(OsStr::new("./s3://x")), folder("./s3://x"));
        assert_eq!(folder("team").below(Path::new("/w")), folder("/w/team"));
        assert_eq!(bucket("s3://x").below(Path::new("/w")), bucket("s3://x"));
    }
}
