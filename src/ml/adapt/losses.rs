//! The losses of each iteration, and the log they are appended to.
//!
//! A JSON line an iteration, in a file that can be cut back to where a checkpoint was taken: so that a run that was killed
//! and resumed leaves the same bytes as one that wasn't. It knows nothing of how losses come about.
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::ser::{Serialize, SerializeMap, Serializer};
use tch::{Kind, Tensor};

/// A loss that an iteration can have, in the order of the keys in a line of `losses.jsonl`. The runner has the same names in a
/// table of its own, `kind::losses`, which says what is shown of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// Cross-entropy of the auxiliary head on the source, in nats.
    SegAux,
    /// Cross-entropy of the main head on the source, in nats.
    SegMain,
    /// How far the generator is from passing its auxiliary target maps off as source, unweighted.
    AdvAux,
    /// The same of the main head.
    AdvMain,
    /// The auxiliary discriminator's loss on source maps, halved as it is minimised.
    DAuxS,
    /// The auxiliary discriminator's on target maps.
    DAuxT,
    /// The main discriminator's on source maps.
    DMainS,
    /// The main discriminator's on target maps.
    DMainT,
    /// Mean entropy of the auxiliary head's target predictions in 0..=1, unweighted.
    EntAux,
    /// The same of the main head.
    EntMain,
    /// Mean distance of the source's features from those of the pretrained network, unweighted. Absent where no cell of the
    /// batch is a thing.
    FeatureDistance,
    /// The share of the batch's target pixels of whose class the teacher is sure, in 0..=1: no loss, but the weight of pixels.
    Sure,
    /// Cross-entropy of the auxiliary head on mixed images, weighted by pixel, in nats.
    MixedAux,
    /// The same of the main head.
    MixedMain,
    /// Cross-entropy of the auxiliary head on masked images, weighted by pixel, in nats.
    MaskedAux,
    /// The same of the main head.
    MaskedMain,
}

impl Loss {
    /// Every loss, in order.
    pub const ALL: [Loss; 16] = [
        Loss::SegAux,
        Loss::SegMain,
        Loss::AdvAux,
        Loss::AdvMain,
        Loss::DAuxS,
        Loss::DAuxT,
        Loss::DMainS,
        Loss::DMainT,
        Loss::EntAux,
        Loss::EntMain,
        Loss::FeatureDistance,
        Loss::Sure,
        Loss::MixedAux,
        Loss::MixedMain,
        Loss::MaskedAux,
        Loss::MaskedMain,
    ];

    /// Its key in `losses.jsonl`.
    pub fn name(self) -> &'static str {
        match self {
            Loss::SegAux => "seg_aux",
            Loss::SegMain => "seg_main",
            Loss::AdvAux => "adv_aux",
            Loss::AdvMain => "adv_main",
            Loss::DAuxS => "d_aux_s",
            Loss::DAuxT => "d_aux_t",
            Loss::DMainS => "d_main_s",
            Loss::DMainT => "d_main_t",
            Loss::EntAux => "ent_aux",
            Loss::EntMain => "ent_main",
            Loss::FeatureDistance => "feature_distance",
            Loss::Sure => "sure",
            Loss::MixedAux => "mixed_aux",
            Loss::MixedMain => "mixed_main",
            Loss::MaskedAux => "masked_aux",
            Loss::MaskedMain => "masked_main",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one iteration measured: the losses that the training has. Its serialised form is a line of `losses.jsonl`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossRow {
    /// From 0.
    pub iteration: u64,
    /// The generator's learning rate.
    pub lr: f64,
    losses: BTreeMap<Loss, f64>,
}

/// What one iteration measured, as it is on the device: nobody has waited for it.
pub(super) struct Unread {
    iteration: u64,
    lr: f64,
    losses: Vec<Loss>,
    /// One of each loss, in double precision.
    values: Tensor,
}

impl Unread {
    /// Of losses without dimensions, at least one.
    pub(super) fn new(iteration: u64, lr: f64, losses: &[(Loss, Tensor)]) -> Unread {
        let all: Vec<Tensor> = losses.iter().map(|(_, value)| value.detach().to_kind(Kind::Double)).collect();
        Unread { iteration, lr, losses: losses.iter().map(|(loss, _)| *loss).collect(), values: Tensor::stack(&all, 0) }
    }

    /// Reads the numbers of several iterations in one copy.
    pub(super) fn read(unread: Vec<Unread>) -> Vec<LossRow> {
        if unread.is_empty() {
            return Vec::new();
        }
        let all = Tensor::cat(&unread.iter().map(|row| &row.values).collect::<Vec<_>>(), 0);
        let mut values = Vec::<f64>::try_from(all).expect("losses have no dimensions").into_iter();
        let row = |Unread { iteration, lr, losses, .. }: Unread| {
            let losses = losses.into_iter().zip(values.by_ref()).collect();
            LossRow { iteration, lr, losses }
        };
        unread.into_iter().map(row).collect()
    }
}

impl LossRow {
    /// The losses that there are, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Loss, f64)> {
        self.losses.iter().map(|(loss, value)| (*loss, *value))
    }

    /// The first loss that is infinite or not a number.
    pub fn not_finite(&self) -> Option<(Loss, f64)> {
        self.iter().find(|(_, value)| !value.is_finite())
    }

    /// `seg_aux 0.41, seg_main 0.32`, for a message.
    pub(super) fn in_words(&self) -> String {
        self.iter().map(|(loss, value)| format!("{loss} {value:.4}")).collect::<Vec<_>>().join(", ")
    }
}

impl Serialize for LossRow {
    /// `iteration`, the losses that there are, `lr`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(Some(self.losses.len() + 2))?;
        line.serialize_entry("iteration", &self.iteration)?;
        self.iter().try_for_each(|(loss, value)| line.serialize_entry(loss.name(), &value))?;
        line.serialize_entry("lr", &self.lr)?;
        line.end()
    }
}

/// An append-only file of [`LossRow`]s. A row that was read is in the file at once, as curves are looked at while they grow; a write
/// costs nothing beside an iteration.
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

    fn row(iteration: u64, losses: &[(Loss, f64)]) -> LossRow {
        LossRow { iteration, lr: 0.25, losses: losses.iter().copied().collect() }
    }

    #[test]
    fn a_line_has_the_losses_that_there_are_in_the_order_of_all() {
        let all: Vec<(Loss, f64)> = Loss::ALL.into_iter().rev().map(|loss| (loss, 0.5)).collect();
        let expected = concat!(
            r#"{"iteration":3,"seg_aux":0.5,"seg_main":0.5,"adv_aux":0.5,"adv_main":0.5,"d_aux_s":0.5,"d_aux_t":0.5,"#,
            r#""d_main_s":0.5,"d_main_t":0.5,"ent_aux":0.5,"ent_main":0.5,"feature_distance":0.5,"sure":0.5,"#,
            r#""mixed_aux":0.5,"mixed_main":0.5,"masked_aux":0.5,"masked_main":0.5,"lr":0.25}"#
        );
        assert_eq!(serde_json::to_string(&row(3, &all)).unwrap(), expected);
        let one = serde_json::to_string(&row(3, &[(Loss::SegMain, 0.5)])).unwrap();
        assert_eq!(one, r#"{"iteration":3,"seg_main":0.5,"lr":0.25}"#);
    }

    #[test]
    fn several_iterations_are_read_at_once_each_with_its_own_losses() {
        let all = [
            row(3, &[(Loss::SegMain, 0.5), (Loss::Sure, 0.25)]),
            row(4, &[(Loss::SegMain, 1.0 / 3.0)]),
            row(5, &[(Loss::SegMain, f64::NAN), (Loss::FeatureDistance, 2.0)]),
        ];
        let unread = |row: &LossRow| {
            let losses: Vec<(Loss, Tensor)> = row.iter().map(|(loss, value)| (loss, Tensor::from(value))).collect();
            Unread::new(row.iteration, row.lr, &losses)
        };
        let read = Unread::read(all.iter().map(unread).collect());
        assert_eq!(format!("{read:?}"), format!("{all:?}"));
        assert!(Unread::read(Vec::new()).is_empty());
    }

    #[test]
    fn the_first_loss_that_is_no_number_is_named() {
        let fine = row(0, &[(Loss::SegMain, 1.0)]);
        let broken = row(0, &[(Loss::SegMain, 1.0), (Loss::EntAux, f64::INFINITY)]);
        assert_eq!(broken.not_finite(), Some((Loss::EntAux, f64::INFINITY)));
        assert_eq!(fine.not_finite(), None);
    }

    #[test]
    fn a_log_cut_back_and_continued_equals_one_that_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let row = |iteration| row(iteration, &[(Loss::SegMain, 1.0 / iteration as f64)]);
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
