//! A batch system of which the pipeline file says how to submit, ask and cancel: three lines for a shell.
//!
//! Knows the placeholders and the words for states, not what the lines call. `status` prints a job's number and a word on each
//! line; what else it prints is ignored. A job that it doesn't print is unknown, never failed. Whether the system was reached at
//! all is harder to tell: some clients fail if no job is known any more, and a line such as `qstat … | awk …` ends well if the
//! system is away. See [`has_answered`].

use std::collections::BTreeMap;
use std::process::Command;

use super::super::executor::Request;
use super::client::{Answer, Printed, call, patience, run};
use super::queue::{Exit, NotSubmitted, Phase, Queue, Standing, Submission};
use crate::pipeline::{self, Commands as Options};
use crate::shell;

/// A batch system behind three commands.
pub(super) struct Commands(pub(super) Options);

impl Commands {
    fn submit_line(&self, submission: &Submission<'_>) -> String {
        let request = submission.request;
        let word = |text: &str| shell::word(text).into_owned();
        let time = request.time.or(self.0.time);
        let values = [
            ("script", word(&submission.script.to_string_lossy())),
            ("name", word(submission.label)),
            ("log", word(&submission.log.to_string_lossy())),
            ("cpus", request.threads.max(1).to_string()),
            ("gpus", request.gpus.unwrap_or_default().to_string()),
            ("memory_mb", request.memory.unwrap_or_default().div_ceil(1 << 20).to_string()),
            ("seconds", time.unwrap_or_default().as_secs().to_string()),
        ];
        filled(&self.0.submit, &values)
    }

    fn phase(&self, word: &str) -> Phase {
        let is_in = |words: &[String]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        if is_in(&self.0.waiting) {
            Phase::Waiting
        } else if is_in(&self.0.running) {
            Phase::Running
        } else if is_in(&self.0.ended) {
            let is_cancelled = word.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("cancel"));
            if is_cancelled { Phase::Cancelled } else { Phase::Ended(Exit::default()) }
        } else {
            Phase::Unknown(word.to_owned())
        }
    }

    fn standing(&self, line: &str) -> Option<(String, Standing)> {
        let mut words = line.split_whitespace();
        let (job, word) = (words.next()?.to_owned(), words.next()?);
        let reason = words.collect::<Vec<_>>().join(" ");
        let reason = if reason.is_empty() { word.to_owned() } else { reason };
        Some((job, Standing { phase: self.phase(word), node: None, reason, restarts: 0 }))
    }
}

impl Queue for Commands {
    fn submit(&self, submission: &Submission<'_>) -> Result<String, NotSubmitted> {
        match call(line(&self.submit_line(submission))) {
            Answer::Said(text) => number(&text).ok_or_else(|| {
                let printed = match text.trim() {
                    "" => "nothing".to_owned(),
                    text => format!("no number of a job: {text}"),
                };
                NotSubmitted::Unsure(format!("the `submit` command printed {printed}"))
            }),
            Answer::Silent(why) => Err(NotSubmitted::Unsure(why)),
            Answer::Refused(why) => Err(NotSubmitted::Refused(why)),
            Answer::NoClient(why) => Err(NotSubmitted::NoClient(why)),
        }
    }

    fn task(&self, job: &str, _: usize) -> String {
        job.to_owned()
    }

    fn most_tasks(&self) -> usize {
        1
    }

    fn starter(&self, _: &Request) -> String {
        "exec ".to_owned()
    }

    fn tells_labels(&self) -> bool {
        false
    }

    fn standings(&self, jobs: &[String]) -> Result<BTreeMap<String, Standing>, String> {
        let printed = match run(line(&filled(&self.0.status, &[("jobs", quoted(jobs))])), patience()) {
            Ok(printed) => printed,
            Err(answer) => return answer.said().map(|_| BTreeMap::new()),
        };
        let mut standings = BTreeMap::<String, Standing>::new();
        for (job, standing) in printed.stdout.lines().filter_map(|line| self.standing(line)) {
            // A job may have several lines, one for each of its parts or attempts: it has ended once all have.
            if jobs.contains(&job) && !standings.get(&job).is_some_and(Standing::is_open) {
                standings.insert(job, standing);
            }
        }
        if !standings.is_empty() || has_answered(&printed, jobs) { Ok(standings) } else { Err(printed.why()) }
    }

    fn labelled(&self, _: &str) -> Result<Option<String>, String> {
        Err("these commands can't look for a job by its name".to_owned())
    }

    fn cancel(&self, jobs: &[String]) -> Result<(), String> {
        call(line(&filled(&self.0.cancel, &[("jobs", quoted(jobs))]))).said().map(|_| ())
    }
}

/// What clients print of jobs that they don't know any more.
const DENIALS: &[&str] =
    &["unknown job", "invalid job", "no such job", "not found", "not exist", "has finished", "not known"];

/// Whether a `status` that printed no job's state is the answer that all these jobs are unknown. A system that is away must not
/// look like one that has lost them: their jobs would be submitted a second time.
fn has_answered(printed: &Printed, jobs: &[String]) -> bool {
    let is_complaint = !printed.stderr.trim().is_empty() && printed.stdout.trim().is_empty();
    if printed.status.success() && !is_complaint {
        return true;
    }
    // The shell's own `/bin/sh: 1: qstat: not found` is no word of the system.
    let lines = printed.stderr.lines().chain(printed.stdout.lines()).filter(|line| !line.contains("sh: "));
    let text = lines.collect::<Vec<_>>().join("\n").to_lowercase();
    let is_in_names = |c: char| c.is_alphanumeric() || "._-[]".contains(c);
    let names =
        |job: &String| text.split(|c| !is_in_names(c)).any(|word| word.trim_end_matches('.') == job.to_lowercase());
    DENIALS.iter().any(|denial| text.contains(denial)) && jobs.iter().any(names)
}

fn line(text: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", text]);
    command
}

/// Numbers of jobs, as words of a shell.
fn quoted(jobs: &[String]) -> String {
    jobs.iter().map(|job| shell::word(job)).collect::<Vec<_>>().join(" ")
}

/// A line with its placeholders replaced; values are quoted already.
fn filled(line: &str, values: &[(&str, String)]) -> String {
    pipeline::filled(line, |name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str()))
}

/// The number of a job in what a client has printed: the last line's last word.
fn number(text: &str) -> Option<String> {
    let line = text.lines().rfind(|line| !line.trim().is_empty())?;
    line.split_whitespace().next_back().map(str::to_owned)
}

#[cfg(test)]
mod tests;
