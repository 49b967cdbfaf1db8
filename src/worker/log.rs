//! The stage's log: what a job works with, how far it is, warnings, and how it ended.
//!
//! Knows no kind. Everything goes to standard error, which the runner appends to the stage's log; the log is no output, so
//! nothing here changes a result. Each line begins with the time since the process began ([`stamped`]). The number of lines
//! doesn't grow with the work: of a training at most 70 iterations are told, of a pass over images each tenth.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use intrada_ml::adapt::Progress;
use intrada_runner::exec::job::log::stamped;
use intrada_runner::exec::job::{Input, Job, iterations_kept};
use intrada_runner::measures::{brief, count, duration, plural};
use intrada_runner::shown;

/// A training tells about this many iterations, and those at its beginning.
const TOLD: u64 = 50;
/// Columns of a line of settings.
const WIDTH: usize = 100;
/// The longest shown value: a setting may be a list of a thousand names.
const VALUE: usize = 200;
/// The most lines of settings: an evaluation has some for each of its networks.
const SETTINGS: usize = 60;

/// When the job began. Unset where the process does no job: then its lines have no time.
static BEGUN: OnceLock<Instant> = OnceLock::new();

/// Begins the log of a job.
pub(crate) fn begin() {
    BEGUN.get_or_init(Instant::now);
}

/// Writes a text to the stage's log, line by line. If that fails, as on a full disk, the work continues; failures reach the
/// runner another way.
pub(crate) fn log(text: &str) {
    let mut all = String::new();
    for line in text.lines() {
        let line = shown::line(line);
        all += &BEGUN.get().map_or_else(|| line.to_string(), |begun| stamped(begun.elapsed(), &line));
        all.push('\n');
    }
    // In one piece: the jobs of a stage that is split write into one log.
    let _ = std::io::stderr().write_all(all.as_bytes());
}

/// Whether the `done`th of `total` begins another of so many equal parts.
pub(crate) fn is_due(done: u64, total: u64, parts: u64) -> bool {
    let part = |done: u64| u128::from(done) * u128::from(parts) / u128::from(total.max(1));
    done > 0 && part(done) > part(done - 1)
}

/// What a job works with: its settings, data sets and inputs. `on`: the device and what else affects its numbers.
pub(crate) fn describe(job: &Job, on: &str) {
    let part = job.items.as_ref().and_then(|items| items.part);
    let part = part.map(|part| format!(", part {} of {}", part.index + 1, part.of)).unwrap_or_default();
    log(&format!("{} `{}` on {on}{part}", job.kind, job.stage));
    if let Some(at) = iterations_kept(&job.slot) {
        // The settings are those of its key, with which the log begins.
        return log(&format!("goes on from its checkpoint at iteration {}", count(at)));
    }
    settings(job).iter().for_each(|line| log(line));
    if !job.classes.is_empty() {
        log(&format!("classes: {}", job.classes.len()));
    }
    for (role, dataset) in &job.datasets {
        let name = job.dataset_names.get(role).map_or("?", String::as_str);
        log(&format!("{role}: data set {name}, {}", plural(dataset.len_at_most(), "image")));
    }
    for (role, input) in &job.inputs {
        let files = match input {
            Input::Folder(files) => format!(", {}", plural(files.len(), "file")),
            Input::File(_) | Input::Source(_) => String::new(),
        };
        let name = job.input_names.get(role).cloned().unwrap_or_else(|| match input {
            Input::File(path) => path.display().to_string(),
            Input::Source(source) => source.path.display().to_string(),
            Input::Folder(_) => "a folder".to_owned(),
        });
        log(&format!("{role}: {name}{files}"));
    }
}

/// `settings: batch = 2, iterations = 300, …`, wrapped.
fn settings(job: &Job) -> Vec<String> {
    let mut lines = vec!["settings:".to_owned()];
    for (name, value) in &job.parameters {
        let word = format!(" {name} = {},", shown::brief(&value.to_string(), VALUE));
        if lines.last().is_none_or(|line| line.chars().count() + word.chars().count() > WIDTH) {
            lines.push(" ".to_owned());
        }
        lines.last_mut().expect("there is one").push_str(&word);
    }
    if let Some(last) = lines.last_mut() {
        last.truncate(last.trim_end_matches(',').len());
    }
    if lines.len() > SETTINGS {
        let more = lines.len() - SETTINGS;
        lines.truncate(SETTINGS);
        lines.push(format!("  … and {more} more lines of settings"));
    }
    if job.parameters.is_empty() { Vec::new() } else { lines }
}

/// The course of a training, in few lines.
pub(crate) struct Course<'a> {
    job: &'a Job,
    /// Of each loss since the last line: the sum, and of how many iterations.
    sums: BTreeMap<&'static str, (f64, u64)>,
    /// When the last line was written, without what took time since and was no iteration, and after which iteration.
    told: Option<(Instant, u64)>,
    /// The checkpoint that the last line named.
    kept: Option<u64>,
}

impl<'a> Course<'a> {
    /// Of this job.
    pub(crate) fn new(job: &'a Job) -> Course<'a> {
        Course { job, sums: BTreeMap::new(), told: None, kept: iterations_kept(&job.slot) }
    }

    /// Takes an iteration, and writes a line if it is due.
    pub(crate) fn hear(&mut self, progress: &Progress) {
        for (loss, value) in progress.losses.iter() {
            let (sum, iterations) = self.sums.entry(loss.name()).or_default();
            (*sum, *iterations) = (*sum + value, *iterations + 1);
        }
        if self.told.is_some() && !is_told(progress.done, progress.total) {
            return;
        }
        let mean =
            |(name, (sum, iterations)): (&&str, &(f64, u64))| format!("{name} {}", brief(sum / *iterations as f64));
        let losses: Vec<String> = self.sums.iter().map(mean).collect();
        let mut line =
            format!("iteration {} of {}: {}", count(progress.done), count(progress.total), losses.join(", "));
        line += &format!("; learning rate {}", brief(progress.losses.lr));
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
    use intrada_runner::exec::job::FORMAT;
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn the_time_of_an_iteration_is_without_that_of_an_evaluation_between() {
        let job = Job {
            format: FORMAT,
            stage: "inter".to_owned(),
            kind: "inter-training".to_owned(),
            parameters: BTreeMap::new(),
            classes: Vec::new(),
            datasets: BTreeMap::new(),
            dataset_names: BTreeMap::new(),
            inputs: BTreeMap::new(),
            input_names: BTreeMap::new(),
            items: None,
            staging: "nowhere".into(),
            slot: "nowhere".into(),
            device: "cpu".to_owned(),
            threads: 1,
            attempt: None,
            instruction_set: None,
        };
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

        #[test]
        fn a_pass_tells_each_part_once(total in 1_u64..5_000, parts in 1_u64..20) {
            let told = (1..=total).filter(|done| is_due(*done, total, parts)).count() as u64;
            prop_assert_eq!(told, parts.min(total));
            prop_assert!(is_due(total, total, parts));
        }
    }
}
