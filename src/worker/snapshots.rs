//! Snapshots of a training's predictions: small pictures of a few images at a few iterations.
//!
//! Knows no labels and no method. The images are target images, or source images if there is no target, and are looked at
//! whole. It runs the network
//! between two steps and changes nothing about it, so a training gives the same bytes with and without.
//!
//! The pictures are kept in the resume slot until the training ends. Each depends only on the job and the iteration. So
//! when a killed training resumes, pictures up to its checkpoint are complete, and later ones are drawn again over the old.

use std::fs;
use std::path::Path;

use intrada_data::source::{LabelUse, Reader, Source};
use intrada_ml::adapt::Progress;
use intrada_ml::data::pass::Photographs;
use intrada_ml::sight::View;
use intrada_runner::exec::job;
use intrada_work::{Failure, Work};

use crate::device;
use crate::measure::Subject;
use crate::passes;
use crate::pictures::{draw, draw_photograph, is_shown};

/// Number of images shown, over the whole data set.
const IMAGES: u64 = 4;
/// Number of snapshots, including the last iteration: as many as TensorBoard keeps of one picture.
const MOMENTS: u64 = 10;

/// The snapshots of one training.
pub(crate) struct Snapshots<'a> {
    work: &'a Work,
    subject: Subject<'a>,
    source: &'a Source,
    /// The indices of the images in the data set, from 0.
    images: Vec<usize>,
}

impl<'a> Snapshots<'a> {
    /// Of images of `source`.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub(crate) fn new(work: &'a Work, subject: Subject<'a>, source: &'a Source) -> Result<Snapshots<'a>, Failure> {
        let samples = Reader::new(source)?.len();
        let images = (0..samples).filter(|image| is_shown(*image as u64, samples as u64, IMAGES)).collect();
        Ok(Snapshots { work, subject, source, images })
    }

    /// Whether a snapshot is due after this iteration.
    pub(crate) fn is_due(&self, progress: &Progress) -> bool {
        is_shown(progress.done - 1, progress.total, MOMENTS)
    }

    /// Draws the predictions of the images after this iteration; the first time also the images.
    ///
    /// # Errors
    /// An image is unreadable, or a picture can't be written.
    pub(crate) fn look(&self, progress: &Progress) -> Result<(), Failure> {
        let is_first = !(0..progress.done - 1).any(|earlier| is_shown(earlier, progress.total, MOMENTS));
        let folder = self.work.job.slot.join(job::PICTURES);
        let looking = self.subject.looking(device::of(&self.work.job), View::default());
        let images = self.images.clone();
        for frame in
            passes::of(self.source, images, &self.subject.normalization, LabelUse::Ignored, Photographs::AsStored)?
        {
            let frame = frame?;
            draw(&folder, &progress.done.to_string(), &frame, &looking.at(&frame)?, frame.seen_size())?;
            if is_first {
                draw_photograph(&folder, &frame, frame.seen_size())?;
            }
        }
        Ok(())
    }

    /// Copies the pictures of a finished training to its outputs. They stay in the slot as well, in case it is killed
    /// before its outputs are published.
    ///
    /// # Errors
    /// They can't be copied.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        Ok(copy(&self.work.job.slot.join(job::PICTURES), &self.work.output_folder(job::PICTURES)?)?)
    }
}

/// Copies a folder recursively.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use intrada_ml::arch::{Arch, Options};
    use intrada_ml::network::Network;
    use intrada_runner::exec::job::{Dataset, Job};
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::testing::{begun, empty_job};

    fn work(folder: &Path) -> Work {
        let scenes = Dataset::Scenes {
            style: "target".into(),
            part: "all".into(),
            seed: 1,
            count: 9,
            size: [32, 16],
            margins: Default::default(),
        };
        let job = Job { datasets: [("target".to_owned(), scenes)].into(), ..empty_job(folder) };
        begun(job)
    }

    fn network() -> Box<dyn Network> {
        let options = Options::new(5, true);
        Arch::Small.build(options, 1, Device::Cpu, Kind::Float)
    }

    fn subject(network: &dyn Network) -> Subject<'_> {
        Subject { name: "inter", network, normalization: Arch::Small.normalization(), kind: Kind::Float }
    }

    /// A tenth of the iterations is done.
    fn first() -> Progress<'static> {
        Progress { done: 3, total: 30, losses: &[], images: 0, operations: 0 }
    }

    fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let below =
            |path: PathBuf| if path.is_dir() { files(&path) } else { [(path.clone(), fs::read(path).unwrap())].into() };
        entries.flat_map(below).collect()
    }

    #[test]
    fn looking_changes_neither_the_network_nor_what_is_random() {
        let folder = tempfile::tempdir().unwrap();
        let (work, network) = (work(folder.path()), network());
        let source = work.source("target").unwrap();
        let snapshots = Snapshots::new(&work, subject(network.as_ref()), &source).unwrap();
        let all = || network.state().iter().map(|(_, tensor)| tensor.copy()).collect::<Vec<_>>();
        let random = || Vec::<f32>::try_from(Tensor::rand([4], (Kind::Float, Device::Cpu))).unwrap();
        tch::manual_seed(1);
        let (before, expected) = (all(), random());
        tch::manual_seed(1);
        snapshots.look(&first()).unwrap();
        assert_eq!(random(), expected);
        assert!(before.iter().zip(all()).all(|(before, after)| before.equal(&after)));
    }

    #[test]
    fn what_a_kill_left_in_pieces_is_drawn_again_and_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (work, network) = (work(folder.path()), network());
        let source = work.source("target").unwrap();
        let snapshots = Snapshots::new(&work, subject(network.as_ref()), &source).unwrap();
        snapshots.look(&first()).unwrap();
        let whole = files(&work.job.slot);
        assert_eq!(whole.len(), 3 * 4, "photograph, prediction and entropy of four images");
        whole.keys().for_each(|path| fs::write(path, "half of it").unwrap());
        snapshots.look(&first()).unwrap();
        assert_eq!(files(&work.job.slot), whole);
        snapshots.look(&Progress { done: 6, ..first() }).unwrap();
        assert_eq!(files(&work.job.slot).len(), whole.len() + 2 * 4, "a photograph stays what it is");
        let whole = files(&work.job.slot);

        snapshots.finish().unwrap();
        let names = |all: BTreeMap<PathBuf, Vec<u8>>, top: &Path| -> Vec<(PathBuf, Vec<u8>)> {
            all.into_iter().map(|(path, bytes)| (path.strip_prefix(top).unwrap().to_owned(), bytes)).collect()
        };
        assert_eq!(names(files(&work.job.staging), &work.job.staging), names(whole, &work.job.slot));
    }
}
