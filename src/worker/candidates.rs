//! Snapshots of a training scored without labels: chooses one, and records the scores of all.
//!
//! Knows one data set without labels and no method; it runs the network between two steps and changes nothing about it, so a
//! training gives the same bytes with and without. Images are looked at whole, one at a time. Which of them, and which of their
//! pixels, depends on the data set alone, so that a training that was killed chooses the same snapshot.

use intrada_data::source::{LabelUse, Reader, Source};
use intrada_ml::adapt::Progress;
use intrada_ml::data::pass::Photographs;
use intrada_ml::entropy_inference::InferenceError;
use intrada_ml::label_free::{self, Scores};
use intrada_ml::sight::View;
use intrada_runner::exec::job::{self, Candidate};
use intrada_runner::kind::choosing::Score;
use intrada_runner::kind::training::SCORED_ON;
use intrada_work::{Failure, Notes, Work};
use serde::Deserialize;

use crate::best_so_far::{BestSoFar, Line};
use crate::device;
use crate::measure::Subject;
use crate::passes;
use crate::pictures::is_shown;

impl Line for Candidate {
    fn iteration(&self) -> u64 {
        self.iteration
    }
}

/// The keys as they arrive; absent in a training that chooses no snapshot.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct CandidateKeys {
    candidates_every: Option<u64>,
    choose_by: Option<Score>,
    candidates_images: Option<u64>,
}

/// The snapshots of one training.
pub(crate) struct Candidates<'a> {
    work: &'a Work,
    subject: Subject<'a>,
    every: u64,
    choose_by: Score,
    role: &'static str,
    source: Source,
    /// The indices of the images in the data set, from 0.
    images: Vec<usize>,
    found: BestSoFar<'a, Candidate>,
}

impl<'a> Candidates<'a> {
    /// Those of a training with these keys; none if it chooses no snapshot.
    ///
    /// # Errors
    /// As [`Reader::new`]; the job has no data set for it, as runner and worker are of different versions.
    pub(crate) fn new(
        work: &'a Work,
        subject: Subject<'a>,
        keys: CandidateKeys,
    ) -> Result<Option<Candidates<'a>>, Failure> {
        let CandidateKeys { candidates_every: Some(every), choose_by: Some(choose_by), candidates_images } = keys
        else {
            return Ok(None);
        };
        let role = SCORED_ON.into_iter().find(|role| work.job.datasets.contains_key(*role)).unwrap_or(SCORED_ON[0]);
        let source = work.source(role)?;
        let all = Reader::new(&source)?.len();
        let most = candidates_images.unwrap_or(u64::MAX);
        let images = (0..all).filter(|image| is_shown(*image as u64, all as u64, most)).collect();
        let found = BestSoFar::new(&work.job.slot, job::CANDIDATES, "chosen", Box::new(best_by(choose_by)));
        Ok(Some(Candidates { work, subject, every, choose_by, role, source, images, found }))
    }

    /// Whether a snapshot is due after this iteration.
    pub(crate) fn is_due(&self, progress: &Progress) -> bool {
        progress.done.is_multiple_of(self.every) || progress.done == progress.total
    }

    /// Scores the network after this iteration.
    ///
    /// # Errors
    /// An image is unreadable or too small for the network, a file can't be written, or the job was asked to stop. Then nothing
    /// is kept, and a re-run repeats this look.
    pub(crate) fn look(&mut self, iteration: u64) -> Result<(), Failure> {
        let candidate = self.score(iteration)?;
        self.found.add(candidate, self.subject.network)
    }

    fn score(&self, iteration: u64) -> Result<Candidate, Failure> {
        let looking = self.subject.looking(device::of(&self.work.job), View::default());
        let normalization = &self.subject.normalization;
        let pass =
            passes::of(&self.source, self.images.clone(), normalization, LabelUse::Ignored, Photographs::AsSeen)?;
        let (mut scores, mut drawn) = (Vec::with_capacity(self.images.len()), 0);
        let none = Candidate { iteration, scores: None, images: self.images.len() as u64, pixels: 0 };
        for (frame, number) in pass.zip(&self.images) {
            let frame = frame?;
            let number = *number as u64;
            let second = label_free::second_view(&frame, number);
            let sights = [looking.at(&frame)?, looking.at(&second)?];
            match label_free::score(&frame.name, number, [&sights[0], &sights[1]], frame.seen_size()) {
                Ok((of_image, pixels)) => {
                    scores.push(of_image);
                    drawn += pixels as u64;
                }
                Err(error @ InferenceError::NotFinite { .. }) => {
                    self.work.warn(format!("iteration {iteration} is not chosen: {error}"));
                    return Ok(none);
                }
                Err(error) => return Err(error.into()),
            }
            if self.work.is_stopping() {
                return Err(Failure::Interrupted { at: iteration });
            }
        }
        Ok(Candidate { scores: label_free::mean(&scores).map(told), pixels: drawn, ..none })
    }

    /// Moves the results of a finished training to its outputs, and reports the choice.
    ///
    /// # Errors
    /// All snapshots have diverged, or the files can't be written.
    pub(crate) fn finish(self, notes: &mut Notes) -> Result<(), Failure> {
        let (lines, network) = (self.work.output("candidates.jsonl")?, self.work.output("chosen.safetensors")?);
        let Some(chosen) = self.found.finish(&lines, &network)? else {
            return Err(Failure::advised(
                "no snapshot can be chosen: the network's output is not finite in any",
                "its weights have diverged; try a lower `learning_rate`",
            ));
        };
        let dataset = self.work.job.dataset_names.get(self.role).map_or(self.role, String::as_str);
        let (iteration, score) = (chosen.iteration, chosen.score(self.choose_by).unwrap_or(f64::NAN));
        let how = format!("{dataset} without labels, iteration {iteration}, {} {score:.4}", self.choose_by.words());
        notes.insert("chosen_on".to_owned(), how);
        Ok(())
    }
}

/// The snapshot with the best of these scores.
fn best_by(score: Score) -> impl Fn(&[Candidate]) -> Option<&Candidate> {
    move |found| job::choose(found, score)
}

fn told(scores: Scores) -> job::Scores {
    let Scores { soft_neighbourhood_density, entropy, agreement } = scores;
    job::Scores { soft_neighbourhood_density, entropy, agreement }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use intrada_ml::arch::{Arch, Options};
    use intrada_ml::network::Network;
    use intrada_runner::exec::job::{Dataset, Job};
    use tch::{Device, Kind, Tensor, no_grad};

    use super::*;
    use crate::testing::empty_job;

    fn work(folder: &Path, role: &str, stop: Arc<AtomicBool>) -> Work {
        let scenes = Dataset::Scenes {
            style: "target".into(),
            part: "all".into(),
            seed: 1,
            count: 9,
            size: [32, 16],
            margins: Default::default(),
        };
        let datasets = [(role.to_owned(), scenes)].into();
        Work::new(Job { datasets, ..empty_job(folder) }, String::new(), stop)
    }

    fn network() -> Box<dyn Network> {
        Arch::Small.build(Options::new(5, true), 1, Device::Cpu, Kind::Float)
    }

    fn candidates<'a>(work: &'a Work, network: &'a dyn Network) -> Candidates<'a> {
        let subject = Subject { name: "inter", network, normalization: Arch::Small.normalization(), kind: Kind::Float };
        let keys =
            CandidateKeys { candidates_every: Some(1), choose_by: Some(Score::Entropy), candidates_images: Some(4) };
        Candidates::new(work, subject, keys).unwrap().unwrap()
    }

    fn written(work: &Work) -> Vec<Candidate> {
        let text = fs::read_to_string(work.job.slot.join(job::CANDIDATES)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn looking_changes_neither_the_network_nor_what_is_random_and_finds_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let (work, network) = (work(folder.path(), "target", Arc::default()), network());
        let mut candidates = candidates(&work, network.as_ref());
        assert_eq!(candidates.images, [2, 4, 6, 8], "evenly spaced, with the last");
        let all = || network.state().iter().map(|(_, tensor)| tensor.copy()).collect::<Vec<_>>();
        let random = || Vec::<f32>::try_from(Tensor::rand([4], (Kind::Float, Device::Cpu))).unwrap();
        tch::manual_seed(1);
        let (before, expected) = (all(), random());
        tch::manual_seed(1);
        candidates.look(1).unwrap();
        assert_eq!(random(), expected);
        assert!(before.iter().zip(all()).all(|(before, after)| before.equal(&after)));
        candidates.look(2).unwrap();
        let [first, second] = written(&work)[..] else { panic!("two lines") };
        assert_eq!((first.images, first.pixels), (4, 400));
        assert_eq!(first.scores, second.scores);
        let folder = work.job.slot.join("candidates");
        assert!(folder.join("chosen-1.safetensors").exists() && !folder.join("chosen-2.safetensors").exists());
    }

    #[test]
    fn a_network_whose_output_is_no_number_is_never_chosen_and_the_training_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (work, network) = (work(folder.path(), "images", Arc::default()), network());
        let mut candidates = candidates(&work, network.as_ref());
        let (_, weight) = network.state().into_iter().find(|(name, _)| name == "main.weight").unwrap();
        let sound = weight.copy();
        let set = |values: &Tensor| no_grad(|| weight.shallow_clone().copy_(values));
        set(&sound.full_like(f64::NAN));
        candidates.look(1).unwrap();
        set(&sound);
        candidates.look(2).unwrap();
        set(&sound.full_like(f64::INFINITY));
        candidates.look(3).unwrap();
        let found = written(&work);
        assert_eq!(found.iter().map(|line| line.scores.is_some()).collect::<Vec<_>>(), [false, true, false]);
        candidates.finish(&mut Notes::new()).unwrap();
        assert!(work.job.staging.join("chosen.safetensors").exists());
        assert_eq!(work.into_warnings().len(), 2);
    }

    #[test]
    fn a_training_of_which_every_snapshot_has_diverged_fails_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let (work, network) = (work(folder.path(), "candidates", Arc::default()), network());
        let (_, weight) = network.state().into_iter().find(|(name, _)| name == "main.weight").unwrap();
        let _ = no_grad(|| weight.shallow_clone().fill_(f64::NAN));
        let mut candidates = candidates(&work, network.as_ref());
        candidates.look(1).unwrap();
        let Err(Failure::Failed { message, help, .. }) = candidates.finish(&mut Notes::new()) else {
            panic!("it was chosen")
        };
        assert!(message.contains("not finite in any") && help[0].contains("learning_rate"), "{message} {help:?}");
    }

    #[test]
    fn a_look_that_is_interrupted_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let stop = Arc::<AtomicBool>::default();
        let (work, network) = (work(folder.path(), "target", Arc::clone(&stop)), network());
        stop.store(true, Ordering::Relaxed);
        let failed = candidates(&work, network.as_ref()).look(3);
        assert!(matches!(failed, Err(Failure::Interrupted { at: 3 })), "{failed:?}");
        assert!(!work.job.slot.join(job::CANDIDATES).exists());
    }
}
