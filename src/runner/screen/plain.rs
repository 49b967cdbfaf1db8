//! Events as plain lines, for a file, a pipe, a batch system, and for a terminal that can't move its cursor.
//!
//! One line per event with a counter, no carriage returns, and progress every 10 % or 60 s, so that the tail of a log shows the
//! state of a run.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use super::closing;
use crate::event::{Event, Finished, Outcome, Reporter, Totals};
use crate::measures::{brief, count, duration, size};
use crate::shown;

/// Maximum time between progress lines of a running stage.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
/// Bytes to copy to a shared cache that are worth a line: they take seconds.
const WORTH_A_LINE: u64 = 32 << 20;
/// Minimum time between progress lines.
const BREATH: Duration = Duration::from_secs(2);

/// Why a job is stopped that nobody interrupted.
pub(super) const DROPPED: &str = "what it computes is no longer wanted";

/// Reports that something was moved aside for an output: a user's file, or a partial output of a failed run.
pub(super) fn put_aside(output: &str, to: &str, unfinished: bool) -> String {
    if unfinished {
        format!("{output}, left incomplete by a run of this stage that was killed or failed, was moved to {to}")
    } else {
        format!("{output} was not made by a run, or was edited; it was moved to {to}")
    }
}

/// `changed: lists/a.txt, lists/b.txt, lists/c.txt and 4 more`.
pub(super) fn changed(paths: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = paths.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let more = paths.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {} more", count(more as u64)) } else { String::new() };
    format!("changed: {shown}{more}")
}

/// Writes lines.
pub struct Plain<W> {
    out: W,
    /// A second destination for the summary at the end, if any.
    answer: Option<Box<dyn Write>>,
    /// Total number of stages.
    stages: usize,
    settled: usize,
    /// Width of the longest stage name.
    width: usize,
    colour: bool,
    running: HashMap<String, Running>,
}

/// The state of a running stage.
struct Running {
    /// The first progress in this run and its time, so that the rate is of this run only.
    first: Option<(u64, Instant)>,
    last_line: Instant,
    last_tenth: u64,
    /// The iteration at which it resumed, if it did.
    resumed_at: Option<u64>,
}

impl Running {
    fn begun(now: Instant) -> Running {
        Running { first: None, last_line: now, last_tenth: 0, resumed_at: None }
    }
}

impl<W: Write> Plain<W> {
    /// For a run of `names`. `colour`: with escape sequences.
    pub fn new<'a>(out: W, names: impl Iterator<Item = &'a str>, colour: bool) -> Plain<W> {
        let lengths: Vec<usize> = names.map(shown::width).collect();
        let width = lengths.iter().copied().max().unwrap_or(0).min(32);
        Plain { out, answer: None, stages: lengths.len(), settled: 0, width, colour, running: HashMap::new() }
    }

    /// Writes the summary at the end to `answer`.
    pub fn answering(self, answer: Box<dyn Write>) -> Plain<W> {
        Plain { answer: Some(answer), ..self }
    }

    fn line(&mut self, word: &str, stage: &str, text: &str) {
        self.painted_line(word, None, stage, text);
    }

    /// The word carries the meaning; colour is optional.
    fn painted_line(&mut self, word: &str, colour: Option<u8>, stage: &str, text: &str) {
        let stages = self.stages.to_string();
        let settled = format!("{:>width$}", self.settled, width = stages.len());
        let word = match colour.filter(|_| self.colour) {
            Some(colour) => format!("\x1b[1;{colour}m{word:<10}\x1b[0m"),
            None => format!("{word:<10}"),
        };
        let gap = " ".repeat(self.width.saturating_sub(shown::width(stage)));
        let line = format!("[{settled}/{stages}] {word} {stage}{gap}  {text}");
        let _ = writeln!(self.out, "{}", line.trim_end());
    }

    fn progress(&mut self, stage: &str, done: u64, total: u64, unit: &str, values: &[(String, f64)]) {
        let now = Instant::now();
        let running = self.running.entry(stage.to_owned()).or_insert_with(|| Running::begun(now));
        let (start, since) = *running.first.get_or_insert((done, now));
        let tenth = done * 10 / total.max(1);
        let quiet_for = now - running.last_line;
        if done >= total || quiet_for < BREATH || (tenth == running.last_tenth && quiet_for < SIGN_OF_LIFE) {
            return;
        }
        (running.last_line, running.last_tenth) = (now, tenth);
        let mut parts =
            vec![format!("{} %", done * 100 / total.max(1)), format!("{} of {} {unit}", count(done), count(total))];
        parts.extend(values.iter().map(|(name, value)| format!("{name} {}", brief(*value))));
        let elapsed = (now - since).as_secs_f64();
        if done > start && elapsed > 0.0 {
            let rate = (done - start) as f64 / elapsed;
            parts.push(format!("{}/s", brief(rate)));
            parts.push(format!("{} left", duration((total - done) as f64 / rate)));
        }
        self.line("running", stage, &parts.join(", "));
    }

    fn finished(&mut self, finished: &Finished) {
        self.settled += 1;
        let running = self.running.remove(&finished.stage);
        let resumed = running.and_then(|running| running.resumed_at).map(|at| format!("resumed at {}", count(at)));
        let text = match finished.outcome {
            Outcome::Failed | Outcome::Skipped | Outcome::Cancelled | Outcome::Submitted | Outcome::Pending => {
                finished.reason.clone()
            }
            _ => {
                let parts = finished.summary().map(str::to_owned).into_iter().chain(resumed).chain(finished.time());
                parts.collect::<Vec<_>>().join(", ")
            }
        };
        let mut lines = text.lines();
        let outcome = finished.outcome;
        self.painted_line(outcome.word(), Some(outcome.colour()), &finished.stage, lines.next().unwrap_or(""));
        let advice = &finished.advice;
        let indent = " ".repeat(4);
        for line in lines {
            let _ = writeln!(self.out, "{indent}{line}");
        }
        for line in &advice.log {
            let _ = writeln!(self.out, "{indent}| {line}");
        }
        for line in &advice.help {
            let _ = writeln!(self.out, "{indent}help: {line}");
        }
        if let Some(more) = &advice.more {
            let _ = writeln!(self.out, "{indent}log:  {more}");
        }
    }

    fn closed(&mut self, totals: &Totals) {
        self.settled = 0;
        let out: &mut dyn Write = match &mut self.answer {
            Some(answer) => answer,
            None => &mut self.out,
        };
        for line in closing::lines(totals) {
            let _ = writeln!(out, "{line}");
        }
    }
}

impl<W: Write> Reporter for Plain<W> {
    fn tell(&mut self, event: &Event) {
        match event {
            Event::Started { stage, reason, .. } => {
                self.running.insert(stage.clone(), Running::begun(Instant::now()));
                self.line("running", stage, &format!("why: {reason}"));
            }
            Event::Waiting { stage, holder } => self.line("waiting", stage, &format!("for {holder}")),
            Event::Standing { stage, text } => self.line("job", stage, text),
            Event::Retrying { stage, attempt, of, reason } => {
                let reason = reason.lines().next().unwrap_or("");
                let text = format!("attempt {attempt} of {of}, as the one before failed: {reason}");
                self.painted_line("retrying", Some(Outcome::Cancelled.colour()), stage, &text);
            }
            Event::Dropped { stage } => {
                self.painted_line("stopping", Some(Outcome::Cancelled.colour()), stage, DROPPED);
            }
            Event::Resumed { stage, at } => {
                self.running.entry(stage.clone()).or_insert_with(|| Running::begun(Instant::now())).resumed_at =
                    Some(*at);
                self.line("running", stage, &format!("resumed at {}", count(*at)));
            }
            Event::Progress { stage, done, total, unit, values } => self.progress(stage, *done, *total, unit, values),
            Event::PutAside { stage, output, to, unfinished } => {
                self.painted_line(
                    "put aside",
                    Some(Outcome::Cancelled.colour()),
                    stage,
                    &put_aside(output, to, *unfinished),
                );
            }
            Event::Finished(finished) => self.finished(finished),
            Event::Changed { paths } => {
                let _ = writeln!(self.out, "{}", changed(paths));
            }
            Event::Warning(text) => {
                let _ = writeln!(self.out, "warning: {text}");
            }
            Event::Pushing { stage, to, bytes: 0, of } if *of >= WORTH_A_LINE => {
                self.line("copying", stage, &format!("{} to {to}", size(*of)));
            }
            Event::Restoring { .. } | Event::Storing { .. } | Event::Pushing { .. } => {}
            Event::Closed(totals) => self.closed(totals),
        }
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, Key};
    use crate::event::Advice;

    fn finished(stage: &str, outcome: Outcome, reason: &str) -> Finished {
        Finished {
            stage: stage.into(),
            outcome,
            key: None,
            seconds: 251.0,
            reason: reason.into(),
            notes: [("summary".to_owned(), "2,976 images".to_owned())].into(),
            advice: Advice::default(),
        }
    }

    #[test]
    fn a_run_reads_from_top_to_bottom() {
        let mut out = Vec::new();
        let mut plain = Plain::new(&mut out, ["inter", "entropy", "rank", "pseudo"].into_iter(), false);
        let mut totals = Totals { seconds: 260.0, ..Totals::default() };
        plain.tell(&Event::Finished(finished("inter", Outcome::Hit, "")));
        plain.tell(&Event::Started {
            stage: "entropy".into(),
            key: Key(Digest::of(b"key")),
            reason: "images changed".into(),
        });
        let failed = Finished {
            advice: Advice {
                help: vec!["do this".into()],
                log: vec!["last words".into()],
                more: Some("intrada-run log p.toml rank".into()),
            },
            ..finished("rank", Outcome::Failed, "exit status 2")
        };
        for finished in [
            finished("entropy", Outcome::Ran, "x"),
            finished("inter", Outcome::UpToDate, ""),
            failed,
            finished("pseudo", Outcome::Skipped, "needs rank"),
        ] {
            totals.add(&finished);
            plain.tell(&Event::Finished(finished));
        }
        plain.tell(&Event::Closed(totals));
        let expected = "\
[1/4] hit        inter    2,976 images, saved 4 min 11 s
[1/4] running    entropy  why: images changed
[2/4] ran        entropy  2,976 images, 4 min 11 s
[3/4] up to date inter    2,976 images
[4/4] failed     rank     exit status 2
    | last words
    help: do this
    log:  intrada-run log p.toml rank
[5/4] skipped    pseudo   needs rank
Failed: 4 stages in 4 min 20 s: 1 ran, 1 up to date, 1 failed, 1 skipped
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_resumed_training_says_so_when_it_goes_on_and_when_it_is_done() {
        let mut out = Vec::new();
        let mut plain = Plain::new(&mut out, ["inter"].into_iter(), false);
        plain.tell(&Event::Resumed { stage: "inter".into(), at: 73_000 });
        plain.tell(&Event::Finished(finished("inter", Outcome::Ran, "")));
        let expected = "\
[0/1] running    inter  resumed at 73,000
[1/1] ran        inter  2,976 images, resumed at 73,000, 4 min 11 s
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
