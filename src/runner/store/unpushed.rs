//! What still has to be copied to shared caches: one small file a key, `unpushed/<key>.json`.
//!
//! Knows keys and names of upstreams. The file is written before the record is published and removed once all upstreams have
//! the result. So a result that a kill, a failure or an interrupt kept here is copied later, by `cache push`. A file whose
//! record is gone, as after gc, means nothing and is removed.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Store;
use super::error::{At, Error};
use super::strange::{self, Record, names};
use crate::digest::{FileDigest, Key};

/// A result that isn't everywhere yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpushed {
    /// The upstreams that don't have it, by name.
    pub to: BTreeSet<String>,
    /// Objects that the record's manifest names.
    pub listings: Vec<FileDigest>,
}

impl Store {
    /// What is still to be copied, by key. A file that can't be read is left out.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder can't be listed.
    pub fn unpushed(&self) -> Result<Vec<(Key, Unpushed)>, Error> {
        let names = names(&self.unpushed_folder())?;
        let keys = names.iter().filter_map(|name| name.to_str()?.strip_suffix(".json")?.parse::<Key>().ok());
        let read = |key| Ok(self.unpushed_of(key)?.map(|unpushed| (key, unpushed)));
        Ok(keys.map(read).collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
    }

    /// What is still to be copied of one key.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn unpushed_of(&self, key: Key) -> Result<Option<Unpushed>, Error> {
        let path = self.unpushed_path(key);
        Ok(match strange::read(&path).at("read", &path)? {
            Record::Bytes(bytes) => serde_json::from_slice(&bytes).ok(),
            Record::Absent | Record::Strange => None,
        })
    }

    /// Notes what is still to be copied; nothing is left if `to` is empty.
    pub(super) fn note_unpushed(&self, key: Key, unpushed: &Unpushed) -> Result<(), Error> {
        let path = self.unpushed_path(key);
        if !unpushed.to.is_empty() {
            let text = serde_json::to_vec(unpushed).expect("this is plain data");
            return self.publish_file(self.stage_bytes(&text)?, &path);
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.at("remove", &path),
        }
    }

    fn unpushed_folder(&self) -> PathBuf {
        self.root().join("unpushed")
    }

    fn unpushed_path(&self, key: Key) -> PathBuf {
        self.unpushed_folder().join(format!("{key}.json"))
    }
}
