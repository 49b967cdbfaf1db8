//! The course of a training in the stage's log, in few lines.
//!
//! Knows no settings and no kind. The number of lines doesn't grow with the training: at most 70 iterations are told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use intrada_ml::adapt::Progress;
use intrada_runner::exec::job::{Job, iterations_kept};
use intrada_runner::measures::{brief, count, duration};
use intrada_work::log::{is_due, log};

/// A training tells about this many iterations, and those at its beginning.
const TOLD: u64 = 50;

/// The course of a training, in few lines.
pub(crate) struct Course<'a> {
    job: &'a Job,
    /// Of each loss since the last line: the sum, and of how many iterations.
    sums: BTreeMap<&'static str, (f64, u64)>,
    /// The learning rate of the last iteration.
    rate: f64,
    /// When the last line was written, without what took time since and was no iteration, and after which iteration.
    told: Option<(Instant, u64)>,
    /// The checkpoint that the last line named.
    kept: Option<u64>,
}

impl<'a> Course<'a> {
    /// Of this job.
    pub(crate) fn new(job: &'a Job) -> Course<'a> {
        Course { job, sums: BTreeMap::new(), rate: f64::NAN, told: None, kept: iterations_kept(&job.slot) }
    }

    /// Whether a line is due after this iteration, for which all losses since the last line are needed.
    pub(crate) fn is_due(&self, progress: &Progress) -> bool {
        self.told.is_none() || is_told(progress.done, progress.total)
    }

    /// Takes an iteration, and writes a line if it is due.
    pub(crate) fn hear(&mut self, progress: &Progress) {
        for row in progress.losses {
            for (loss, value) in row.iter() {
                let (sum, iterations) = self.sums.entry(loss.name()).or_default();
                (*sum, *iterations) = (*sum + value, *iterations + 1);
            }
            self.rate = row.lr;
        }
        if !self.is_due(progress) {
            return;
        }
        let mean =
            |(name, (sum, iterations)): (&&str, &(f64, u64))| format!("{name} {}", brief(sum / *iterations as f64));
        let losses: Vec<String> = self.sums.iter().map(mean).collect();
        let mut line =
            format!("iteration {} of {}: {}", count(progress.done), count(progress.total), losses.join(", "));
        line += &format!("; learning rate {}", brief(self.rate));
        if let Some((at, done)) = self.told {
            let each = seconds_each(at, Instant::now(), progress.done - done);
            line += &format!("; {} each", duration_of_one(each));
        }
        let kept = iterations_kept(&self.job.slot);
        if kept != self.kept {
            line += &kept.map(|kept| format!("; checkpoint at {}", count(kept))).unwrap_or_default();
            self.kept = kept;
        }
        log(&line);
        self.told = Some((Instant::now(), progress.done));
        self.sums.clear();
    }

    /// Leaves out the time of a look between two iterations, such as an evaluation: it is no time of theirs.
    pub(crate) fn leave_out(&mut self, looked: Duration) {
        self.told = self.told.map(|(at, done)| (at + looked, done));
    }
}

/// Seconds of each of `iterations` from one moment to another.
fn seconds_each(from: Instant, to: Instant, iterations: u64) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() / iterations.max(1) as f64
}

/// `83 ms`, `1.2 s`.
fn duration_of_one(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", 1000.0 * seconds) } else { duration(seconds) }
}

/// Whether an iteration is told: 1, 2, 5, 10, 20, … at first, then one of so many parts of the whole, and the last.
fn is_told(done: u64, total: u64) -> bool {
    let unit = 10_u64.pow(done.checked_ilog10().unwrap_or(0));
    let is_round = done.is_multiple_of(unit) && [1, 2, 5].contains(&(done / unit));
    is_due(done, total, TOLD) || is_round && done < total / TOLD || done == total
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn the_time_of_an_iteration_is_without_that_of_an_evaluation_between() {
        let job = Job::bare("inter", "inter-training", "nowhere".into(), "nowhere".into());
        let begun = Instant::now();
        let mut course = Course { told: Some((begun, 10)), ..Course::new(&job) };
        course.leave_out(Duration::from_secs(5));
        let (at, done) = course.told.unwrap();
        assert_eq!(seconds_each(at, begun + Duration::from_secs(6), 20 - done), 0.1);
        assert_eq!(seconds_each(at, begun, 0), 0.0, "never less than nothing");
    }

    proptest! {
        #[test]
        fn however_long_a_training_is_it_tells_its_first_and_last_iteration_and_few_between(total in 1_u64..200_000) {
            let told: Vec<u64> = (1..=total).filter(|done| is_told(*done, total)).collect();
            prop_assert_eq!(told.last(), Some(&total));
            prop_assert!(told.len() as u64 <= TOLD + 20, "{} of {total}", told.len());
            prop_assert!(told.len() as u64 >= total.min(TOLD));
        }
    }
}
