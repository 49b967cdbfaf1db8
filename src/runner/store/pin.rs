//! Pins: results that gc never deletes.
//!
//! Knows keys, and names only to say who pinned what. One small file per key, so that concurrent pins don't conflict.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Store;
use super::error::{At, Error};
use super::strange::names;
use crate::digest::Key;
use crate::plain;

/// A pinned result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// The pinned key.
    pub key: Key,
    /// The pipeline for which it was pinned.
    pub pipeline: String,
    /// The stage.
    pub stage: String,
    /// When, in seconds since the Unix epoch.
    pub since: f64,
}

impl Store {
    /// Pins a result.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn pin(&self, pin: &Pin) -> Result<(), Error> {
        let text = serde_json::to_vec(pin).expect("a pin is plain data");
        self.publish_file(self.stage_bytes(&text)?, &self.pin_path(pin.key))
    }

    /// Removes a pin; returns whether there was one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn unpin(&self, key: Key) -> Result<bool, Error> {
        let path = self.pin_path(key);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            // A folder in its place counts as a pin, too.
            Err(error) if error.kind() == ErrorKind::IsADirectory => self.quarantine(&path).map(|()| true),
            Err(error) => Err(error).at("remove", &path),
        }
    }

    /// All pins. An unreadable one still counts by its name: it is safer to keep the result.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder can't be listed.
    pub fn pins(&self) -> Result<Vec<Pin>, Error> {
        let pin = |key: Key| {
            let text = plain::read(&self.pin_path(key)).ok();
            let nameless = Pin { key, pipeline: String::new(), stage: String::new(), since: 0.0 };
            let pin = text.and_then(|text| serde_json::from_slice::<Pin>(&text).ok());
            pin.filter(|pin| pin.key == key).unwrap_or(nameless)
        };
        let names = names(&self.root.join("pins"))?;
        Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).map(pin).collect())
    }

    fn pin_path(&self, key: Key) -> PathBuf {
        self.root.join("pins").join(key.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_pin_holds_until_it_is_taken_away_even_when_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let key = Key(Digest::of(b"key"));
        let pin = Pin { key, pipeline: "demo".into(), stage: "inter".into(), since: 1.5 };
        store.pin(&pin).unwrap();
        store.pin(&pin).unwrap();
        assert_eq!(store.pins().unwrap(), [pin]);
        fs::remove_file(store.pin_path(key)).unwrap();
        fs::write(store.pin_path(key), "{").unwrap();
        assert_eq!(store.pins().unwrap()[0].key, key);
        assert_eq!([store.unpin(key).unwrap(), store.unpin(key).unwrap()], [true, false]);
    }
}
