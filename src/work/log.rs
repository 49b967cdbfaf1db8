//! The stage's log: what a job works with, how far it is, warnings, and how it ended.
//!
//! Knows no kind. Everything goes to standard error, which the runner appends to the stage's log; the log is no output, so
//! nothing here changes a result. Each line begins with the time since the process began ([`stamped`]). The number of lines
//! doesn't grow with the work: of a pass over images each tenth is told.

use std::io::Write;
use std::sync::OnceLock;
use std::time::Instant;

use intrada_runner::exec::job::log::stamped;
use intrada_runner::exec::job::{Input, Job, iterations_kept};
use intrada_runner::measures::{count, plural};
use intrada_runner::shown;

/// Columns of a line of settings.
const WIDTH: usize = 100;
/// The longest shown value: a setting may be a list of a thousand names.
const VALUE: usize = 200;
/// The most lines of settings: an evaluation has some for each of its networks.
const SETTINGS: usize = 60;

/// When the job began. Unset where the process does no job: then its lines have no time.
static BEGUN: OnceLock<Instant> = OnceLock::new();

/// Begins the log of a job.
pub fn begin() {
    BEGUN.get_or_init(Instant::now);
}

/// Writes a text to the stage's log, line by line. If that fails, as on a full disk, the work continues; failures reach the
/// runner another way.
pub fn log(text: &str) {
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
pub fn is_due(done: u64, total: u64, parts: u64) -> bool {
    let part = |done: u64| u128::from(done) * u128::from(parts) / u128::from(total.max(1));
    done > 0 && part(done) > part(done - 1)
}

/// What a job works with: its settings, data sets and inputs. `on`: the device and what else affects its numbers; may be empty.
pub fn describe(job: &Job, on: &str) {
    let part = job.items.as_ref().and_then(|items| items.part);
    let part = part.map(|part| format!(", part {} of {}", part.index + 1, part.of)).unwrap_or_default();
    let on = if on.is_empty() { String::new() } else { format!(" on {on}") };
    log(&format!("{} `{}`{on}{part}", job.kind, job.stage));
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

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn a_pass_tells_each_part_once(total in 1_u64..5_000, parts in 1_u64..20) {
            let told = (1..=total).filter(|done| is_due(*done, total, parts)).count() as u64;
            prop_assert_eq!(told, parts.min(total));
            prop_assert!(is_due(total, total, parts));
        }
    }
}
