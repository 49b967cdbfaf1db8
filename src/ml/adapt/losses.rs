//! The losses of each iteration, and the log they are appended to.
//!
//! A JSON line an iteration, in a file that can be cut back to where a checkpoint was taken: so that a run that was killed
//! and resumed leaves the same bytes as one that wasn't. It knows nothing of how losses come about.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What one iteration measured. None where the method, or a single-level network, has no such loss. Its serialised form is
/// a line of `losses.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossRow {
    /// From 0.
    pub iteration: u64,
    /// Cross-entropy of the auxiliary head on the source, in nats.
    pub seg_aux: Option<f64>,
    /// Cross-entropy of the main head on the source, in nats.
    pub seg_main: Option<f64>,
    /// How far the generator is from passing its auxiliary target maps off as source, in nats, unweighted.
    pub adv_aux: Option<f64>,
    /// The same of the main head.
    pub adv_main: Option<f64>,
    /// The auxiliary discriminator's loss on source maps, in nats, halved as it is minimised.
    pub d_aux_s: Option<f64>,
    /// The auxiliary discriminator's on target maps.
    pub d_aux_t: Option<f64>,
    /// The main discriminator's on source maps.
    pub d_main_s: Option<f64>,
    /// The main discriminator's on target maps.
    pub d_main_t: Option<f64>,
    /// Mean entropy of the auxiliary head's target predictions in 0..=1, unweighted.
    pub ent_aux: Option<f64>,
    /// The same of the main head.
    pub ent_main: Option<f64>,
    /// The generator's learning rate.
    pub lr: f64,
}

impl LossRow {
    /// The losses that there are, as the log calls them.
    fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let losses = [
            ("seg_aux", self.seg_aux),
            ("seg_main", self.seg_main),
            ("adv_aux", self.adv_aux),
            ("adv_main", self.adv_main),
            ("d_aux_s", self.d_aux_s),
            ("d_aux_t", self.d_aux_t),
            ("d_main_s", self.d_main_s),
            ("d_main_t", self.d_main_t),
            ("ent_aux", self.ent_aux),
            ("ent_main", self.ent_main),
        ];
        losses.into_iter().filter_map(|(name, loss)| Some((name, loss?)))
    }

    /// The first loss that is infinite or not a number.
    pub fn not_finite(&self) -> Option<(&'static str, f64)> {
        self.named().find(|(_, loss)| !loss.is_finite())
    }

    /// `seg_aux 0.41, seg_main 0.32`, for a message.
    pub(super) fn in_words(&self) -> String {
        self.named().map(|(name, loss)| format!("{name} {loss:.4}")).collect::<Vec<_>>().join(", ")
    }
}

/// An append-only file of [`LossRow`]s. Each row is in the file at once, as curves are looked at while they grow; a write costs
/// nothing beside an iteration.
pub(super) struct LossLog {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl LossLog {
    /// Opens the log and drops what lies beyond its first `bytes`. A log that is shorter is an error of kind
    /// `UnexpectedEof`: lines that a checkpoint counted on are gone.
    pub(super) fn open(path: &Path, bytes: u64) -> io::Result<LossLog> {
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let found = file.metadata()?.len();
        if found < bytes {
            let text = format!("{found} bytes where the checkpoint recorded {bytes}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        Ok(LossLog { path: path.to_owned(), file, bytes })
    }

    pub(super) fn append(&mut self, row: &LossRow) -> io::Result<()> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        self.bytes += line.len() as u64;
        self.file.write_all(&line)
    }

    /// Makes everything appended so far durable, and tells how many bytes that is.
    pub(super) fn sync(&mut self) -> io::Result<u64> {
        self.file.sync_data()?;
        Ok(self.bytes)
    }

    pub(super) fn copy_to(&mut self, path: &Path) -> io::Result<()> {
        self.sync()?;
        fs::copy(&self.path, path).map(drop)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_all_keys_in_their_order_and_null_where_there_is_no_loss() {
        let row = LossRow { iteration: 3, seg_main: Some(0.5), lr: 0.25, ..LossRow::default() };
        let expected = concat!(
            r#"{"iteration":3,"seg_aux":null,"seg_main":0.5,"adv_aux":null,"adv_main":null,"d_aux_s":null,"#,
            r#""d_aux_t":null,"d_main_s":null,"d_main_t":null,"ent_aux":null,"ent_main":null,"lr":0.25}"#
        );
        assert_eq!(serde_json::to_string(&row).unwrap(), expected);
    }

    #[test]
    fn the_first_loss_that_is_no_number_is_named() {
        let row = LossRow { seg_main: Some(1.0), ent_aux: Some(f64::INFINITY), ..LossRow::default() };
        assert_eq!(row.not_finite(), Some(("ent_aux", f64::INFINITY)));
        assert_eq!(LossRow { seg_main: Some(1.0), ..LossRow::default() }.not_finite(), None);
    }

    #[test]
    fn a_log_cut_back_and_continued_equals_one_that_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let row = |iteration| LossRow { iteration, seg_main: Some(1.0 / iteration as f64), ..LossRow::default() };
        let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
        let mut log = LossLog::open(&whole, 0).unwrap();
        (1..6).for_each(|i| log.append(&row(i)).unwrap());
        log.sync().unwrap();

        let mut log = LossLog::open(&cut, 0).unwrap();
        (1..3).for_each(|i| log.append(&row(i)).unwrap());
        let bytes = log.sync().unwrap();
        (3..5).for_each(|i| log.append(&row(i)).unwrap());
        drop(log);
        let mut log = LossLog::open(&cut, bytes).unwrap();
        assert_eq!(fs::metadata(&cut).unwrap().len(), bytes, "what came after the checkpoint is dropped at once");
        (3..6).for_each(|i| log.append(&row(i)).unwrap());
        log.sync().unwrap();
        assert_eq!(fs::read(&whole).unwrap(), fs::read(&cut).unwrap());
        let error = LossLog::open(&cut, 10_000).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
