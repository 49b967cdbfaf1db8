//! Evaluation during a training: selects the best network, and records all evaluations.
//!
//! Knows one labelled data set and no method; it runs the network between two steps and changes nothing about it, so a
//! training gives the same bytes with and without. Choosing the best by mIoU uses labels. The papers' numbers are chosen
//! this way (released code, `eval_UDA.py`: the best of 60 snapshots); hence the choice is noted with the result everywhere.

use std::collections::BTreeMap;

use intrada_ml::adapt::Progress;
use intrada_ml::metrics::mean_iou;
use intrada_runner::exec::job;
use intrada_runner::measures::count;
use intrada_work::log;
use intrada_work::{Failure, Notes, Work};
use serde::{Deserialize, Serialize};

use crate::best_so_far::{BestSoFar, Line};
use crate::measure::{self, Subject};

/// One evaluation: a line of `evaluations.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Evaluation {
    /// Iterations done.
    iteration: u64,
    /// Mean IoU over the defined classes, 0 to 1.
    miou: Option<f64>,
    /// IoU by class; none if neither labels nor predictions hold the class.
    iou: BTreeMap<String, Option<f64>>,
}

impl Line for Evaluation {
    fn iteration(&self) -> u64 {
        self.iteration
    }
}

/// The evaluations of one training.
pub(crate) struct Validation<'a> {
    work: &'a Work,
    subject: Subject<'a>,
    every: u64,
    found: BestSoFar<'a, Evaluation>,
}

impl<'a> Validation<'a> {
    /// Evaluates every `every` iterations.
    pub(crate) fn new(work: &'a Work, subject: Subject<'a>, every: u64) -> Validation<'a> {
        let found = BestSoFar::new(&work.job.slot, job::EVALUATIONS, "best", Box::new(best));
        Validation { work, subject, every, found }
    }

    /// Whether an evaluation is due after this iteration.
    pub(crate) fn is_due(&self, progress: &Progress) -> bool {
        progress.done.is_multiple_of(self.every) || progress.done == progress.total
    }

    /// Evaluates the network after this iteration.
    ///
    /// # Errors
    /// An image or label is unreadable, a file can't be written, or the job was asked to stop. Then nothing is kept, and a
    /// re-run repeats this evaluation.
    pub(crate) fn look(&mut self, iteration: u64) -> Result<(), Failure> {
        let evaluation = self.measure(iteration)?;
        self.found.add(evaluation, self.subject.network)
    }

    /// The last evaluation, for the log: at most some dozen of a training.
    pub(crate) fn last(&self, progress: &Progress) -> Option<String> {
        let (last, is_best) = self.found.last()?;
        let (number, all) = (progress.done.div_ceil(self.every), progress.total.div_ceil(self.every));
        let which = if is_best { ", the best so far" } else { "" };
        let percent = last.miou.map_or("undefined".to_owned(), |miou| format!("{:.2} %", 100.0 * miou));
        log::is_due(number, all, 50)
            .then(|| format!("evaluation at iteration {}: mIoU {percent}{which}", count(last.iteration)))
    }

    fn measure(&self, iteration: u64) -> Result<Evaluation, Failure> {
        let confusion = measure::confusion(self.work, self.subject, iteration)?;
        let iou = confusion.iou();
        let names = self.work.job.classes.iter().map(|class| class.name.clone());
        Ok(Evaluation { iteration, miou: mean_iou(iou.iter().copied()), iou: names.zip(iou).collect() })
    }

    /// Moves the results of a finished training to its outputs, and reports the choice.
    ///
    /// # Errors
    /// No evaluation found an mIoU, or the files can't be written.
    pub(crate) fn finish(self, notes: &mut Notes) -> Result<(), Failure> {
        let (lines, network) = (self.work.output("evaluations.jsonl")?, self.work.output("best.safetensors")?);
        let Some(best) = self.found.finish(&lines, &network)? else {
            return Err(Failure::advised("no evaluation found an mIoU", "the labels of `dataset` hold no class"));
        };
        let dataset = self.work.job.dataset_names.get(measure::ROLE).map_or(measure::ROLE, String::as_str);
        let percent = 100.0 * best.miou.unwrap_or(f64::NAN);
        let chosen = format!("{dataset}, iteration {}, mIoU {percent:.2} %", best.iteration);
        notes.insert("selected_on".to_owned(), chosen);
        Ok(())
    }
}

/// A later network wins only if it is strictly better once both are rounded to hundredths of a percent (released code,
/// `eval_UDA.py`).
fn best(found: &[Evaluation]) -> Option<&Evaluation> {
    let rounded = |evaluation: &Evaluation| evaluation.miou.map(|miou| (miou * 10_000.0).round() as i64);
    found
        .iter()
        .filter(|evaluation| evaluation.miou.is_some())
        .reduce(|best, later| if rounded(later) > rounded(best) { later } else { best })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use intrada_ml::arch::{Arch, Options};
    use intrada_runner::exec::job::{Class, Dataset, Job};
    use tch::{Device, Kind, no_grad};

    use super::*;
    use crate::testing::{begun, empty_job};

    fn work(folder: &std::path::Path) -> Work {
        let scenes = Dataset::Scenes {
            style: "target".into(),
            part: "all".into(),
            seed: 1,
            count: 2,
            size: [32, 16],
            margins: Default::default(),
        };
        let class = |name: &str| Class { name: name.to_owned(), colour: [0; 3], rare: false, thing: false };
        let job = Job {
            classes: ["a", "b", "c", "d", "e", "f", "g", "h"].map(class).to_vec(),
            datasets: [(measure::ROLE.to_owned(), scenes)].into(),
            ..empty_job(folder)
        };
        begun(job)
    }

    #[test]
    fn a_network_whose_output_is_no_number_is_never_the_best_and_is_named_with_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let work = work(folder.path());
        let options = Options::new(8, false);
        let network = Arch::Small.build(options, 1, Device::Cpu, Kind::Float);
        let normalization = Arch::Small.normalization();
        let subject = Subject { name: &work.job.stage, network: network.as_ref(), normalization, kind: Kind::Float };
        Validation::new(&work, subject, 1).look(1).unwrap();
        let (_, weight) = network.state().into_iter().find(|(name, _)| name == "main.weight").unwrap();
        let _ = no_grad(|| weight.shallow_clone().fill_(f64::NAN));
        let Err(Failure::Failed { message, .. }) = Validation::new(&work, subject, 1).look(2) else {
            panic!("a network of NaN was measured")
        };
        assert!(message.starts_with("`inter`: the network gives ") && message.contains("not finite"), "{message}");
        let validation = work.job.slot.join("validation");
        assert!(validation.join("best-1.safetensors").exists() && !validation.join("best-2.safetensors").exists());
        let lines = fs::read_to_string(work.job.slot.join(job::EVALUATIONS)).unwrap();
        assert_eq!(lines.lines().count(), 1);
    }

    fn of(mious: &[Option<f64>]) -> Option<u64> {
        let found = (1..).zip(mious).map(|(iteration, miou)| Evaluation { iteration, miou: *miou, iou: [].into() });
        best(&found.collect::<Vec<_>>()).map(|best| best.iteration)
    }

    #[test]
    fn a_later_network_wins_only_if_it_is_better_after_rounding_to_two_places_of_percent() {
        assert_eq!(of(&[Some(0.40001), Some(0.40004), Some(0.39)]), Some(1));
        assert_eq!(of(&[Some(0.40001), Some(0.40006), Some(0.39)]), Some(2));
        assert_eq!(of(&[None, Some(0.0), None]), Some(2));
        assert_eq!(of(&[None]), None);
        assert_eq!(of(&[]), None);
    }
}
