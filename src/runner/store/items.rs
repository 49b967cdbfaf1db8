//! Findings: results for single items of a data set, so that after a partial change only changed items are re-computed.
//!
//! Knows neither stages nor data sets: settings and items are names. There is one file per setting, replaced by rename, not
//! one per item: a data set has thousands, which are read all at once. Two runs that add to one setting at the same time may
//! lose lines of the earlier one: that costs time, never a result.
//!
//! A finding names objects but doesn't keep them alive, so gc needn't read findings. A finding whose objects are gone or
//! damaged doesn't count, and is dropped when its setting is next written; gc removes settings without valid findings.

use std::collections::BTreeMap;

use super::error::{At, Error};
use super::{Health, Store, strange};
use crate::digest::{Item, Setting};
use crate::finding::{Finding, read};

impl Store {
    /// The findings of `setting`. A finding's files may be missing: see [`Store::has_all_of`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn findings(&self, setting: Setting) -> Result<BTreeMap<Item, Finding>, Error> {
        let path = self.fanned("items", setting.0, "");
        Ok(strange::read(&path).at("read", &path)?.bytes().map(|bytes| read(&bytes)).unwrap_or_default())
    }

    /// Whether all files of a finding are present and intact.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn has_all_of(&self, finding: &Finding) -> Result<bool, Error> {
        for object in finding.files.values() {
            if !matches!(self.check(*object)?, Health::Intact(_)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds findings to a setting, replacing earlier ones of the same items. Their files must have been stored.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn keep_findings(&self, setting: Setting, new: BTreeMap<Item, Finding>) -> Result<(), Error> {
        let mut all = self.findings(setting)?;
        let known = all.len();
        all.retain(|_, finding| finding.files.values().all(|object| self.object_path(*object).exists()));
        let is_news = |(item, finding): (&Item, &Finding)| all.get(item) != Some(finding);
        if known == all.len() && !new.iter().any(is_news) {
            return Ok(());
        }
        all.extend(new);
        let text: String = all.into_iter().map(|(item, finding)| finding.line(item)).collect();
        self.publish_file(self.stage_bytes(text.as_bytes())?, &self.fanned("items", setting.0, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::finding::tests::{finding, item};

    #[test]
    fn a_setting_keeps_the_last_finding_of_each_item_and_none_whose_files_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let [setting, other] = [b"a", b"b"].map(|name| Setting(Digest::of(name)));
        let [one, two] = [b"1", b"2"].map(|bytes| store.insert_bytes(bytes).unwrap());
        store.keep_findings(setting, [(item(1), finding(one)), (item(2), finding(one))].into()).unwrap();
        store.keep_findings(setting, [(item(2), finding(two))].into()).unwrap();
        assert_eq!(store.findings(setting).unwrap(), [(item(1), finding(one)), (item(2), finding(two))].into());
        assert!(store.findings(other).unwrap().is_empty());

        std::fs::remove_file(store.object_path(one)).unwrap();
        assert!(!store.has_all_of(&finding(one)).unwrap() && store.has_all_of(&finding(two)).unwrap());
        store.keep_findings(setting, BTreeMap::new()).unwrap();
        assert_eq!(store.findings(setting).unwrap(), [(item(2), finding(two))].into());
    }
}
