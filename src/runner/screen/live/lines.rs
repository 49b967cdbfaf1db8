//! The lines of a terminal: permanent ones of finished stages, and the live ones below.
//!
//! Pure functions of state, time and width. Widths are counted in terminal columns: a letter may take two, an escape sequence takes
//! none. Words carry the meaning; colours are optional.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::super::plain::DROPPED;
use super::board::{Board, Doing, Expected, Progress, Running};
use crate::event::{Finished, Outcome};
use crate::measures::{brief, count, duration, size};
use crate::shown;

/// Maximum number of running stages with their own line; the others are counted.
const AT_MOST: usize = 8;
/// Maximum line width of a finished stage, whose time is right-aligned.
const READABLE: usize = 80;
/// Maximum width of the name column.
const NAME_AT_MOST: usize = 24;
/// Minimum columns of a live line besides its name: `  100 %  23 h 59 min left`.
const BESIDE_NAME: usize = 26;

/// Indentation of the second line of a finished stage.
const INDENT: usize = 15;
/// Minimum columns of a finished stage's line besides its name: its word, and `120,000 iterations`.
const BESIDE_SETTLED: usize = 34;

const BOLD: &str = "1";
const DIM: &str = "2";
const CYAN: &str = "36";

/// The terminal's capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Escape sequences for colours.
    pub colour: bool,
    /// More than ASCII.
    pub unicode: bool,
}

impl Style {
    fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    fn separator(self) -> &'static str {
        if self.unicode { " · " } else { ", " }
    }
}

/// Text and its width in columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) width: usize,
}

impl Line {
    fn push(&mut self, text: &str) {
        self.text += text;
        self.width += text.width();
    }

    fn paint(&mut self, text: &str, colour: &str, style: Style) {
        self.width += text.width();
        self.text += &if style.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() };
    }

    fn pad(&mut self, width: usize) {
        self.push(&" ".repeat(width.saturating_sub(self.width)));
    }
}

/// The width of the name column of finished stages.
pub(super) fn name_width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(UnicodeWidthStr::width).filter(|width| *width <= NAME_AT_MOST).max().unwrap_or(0)
}

/// The lines of a finished stage. They stay, so nothing is cut: long text is wrapped.
pub(super) fn settled(
    finished: &Finished,
    resumed_at: Option<u64>,
    name_width: usize,
    columns: usize,
    style: Style,
) -> Vec<String> {
    let mut first = Line::default();
    let name_width = name_width.min(columns.saturating_sub(BESIDE_SETTLED));
    begin(&mut first, finished.outcome.word(), finished.outcome.colour(), &finished.stage, name_width, style);
    let (reason, more) = finished.reason.split_once('\n').unwrap_or((&finished.reason, ""));
    let text = match finished.outcome {
        Outcome::Failed | Outcome::Skipped | Outcome::Cancelled | Outcome::Submitted | Outcome::Pending => {
            reason.to_owned()
        }
        _ => {
            let resumed = resumed_at.map(|at| format!("resumed at {}", count(at)));
            finished.summary().map(str::to_owned).into_iter().chain(resumed).collect::<Vec<_>>().join(", ")
        }
    };
    let end = columns.saturating_sub(1);
    let mut said = shown::wrapped(&text, end.saturating_sub(first.width + 2), end.saturating_sub(INDENT)).into_iter();
    first.push(&format!("  {}", said.next().unwrap_or_default()));
    let mut width = first.width;
    let mut lines = vec![first.text.trim_end().to_owned()];
    for words in said {
        width = INDENT + words.width();
        lines.push(format!("{:INDENT$}{words}", ""));
    }
    if let Some(time) = finished.time() {
        let end = end.min(READABLE - 1);
        match (lines.last_mut(), end.checked_sub(width + 2)) {
            (Some(last), Some(room)) if room >= time.width() => {
                *last += &format!("{:gap$}{time}", "", gap = 2 + room - time.width());
            }
            // On its own line, rather than wrapped by the terminal.
            _ => lines.push(format!("{time:>end$}")),
        }
    }
    if finished.outcome == Outcome::Failed {
        lines.extend(particulars(finished, more, end));
    }
    lines
}

/// The advice and log of a failure.
fn particulars(finished: &Finished, more: &str, columns: usize) -> Vec<String> {
    /// Of `help     `.
    const HEAD: usize = 9;
    let room = columns.saturating_sub(INDENT + HEAD);
    let advice = &finished.advice;
    let under = |head: &'static str, text: &str| {
        let lines = shown::wrapped(text, room, room).into_iter().enumerate();
        lines
            .map(|(at, line)| format!("{:INDENT$}{:<HEAD$}{line}", "", if at == 0 { head } else { "" }))
            .collect::<Vec<_>>()
    };
    let said = more.lines().map(|line| format!("{:INDENT$}{line}", ""));
    // Unwrapped, so that it can be copied.
    let log = advice.log.iter().map(|line| format!("{:INDENT$}| {line}", ""));
    let command = advice.more.iter().map(|line| format!("{:INDENT$}{:<HEAD$}{line}", "", "log"));
    said.chain(log).chain(advice.help.iter().flat_map(|line| under("help", line))).chain(command).collect()
}

/// The line of a stage that is retried.
pub(super) fn retrying(stage: &str, attempt: u32, of: u32, reason: &str, name_width: usize, style: Style) -> String {
    let mut line = Line::default();
    begin(&mut line, "retrying", Outcome::Cancelled.colour(), stage, name_width, style);
    line.push(&format!(
        "  attempt {attempt} of {of}, as the one before failed: {}",
        reason.lines().next().unwrap_or("")
    ));
    line.text
}

/// The line of something that was moved aside for an output.
pub(super) fn put_aside(stage: &str, what: &str, name_width: usize, style: Style) -> String {
    let mut line = Line::default();
    begin(&mut line, "put aside", Outcome::Cancelled.colour(), stage, name_width, style);
    line.push(&format!("  {what}"));
    line.text
}

/// The line of a stage whose job is no longer needed.
pub(super) fn dropped(stage: &str, name_width: usize, style: Style) -> String {
    let mut line = Line::default();
    begin(&mut line, "stopping", Outcome::Cancelled.colour(), stage, name_width, style);
    line.push(&format!("  {DROPPED}"));
    line.text
}

/// The word and the name.
fn begin(line: &mut Line, word: &str, colour: u8, stage: &str, name_width: usize, style: Style) {
    line.push(&" ".repeat(11usize.saturating_sub(word.len())));
    line.paint(word, &format!("{BOLD};{colour}"), style);
    line.push("  ");
    line.push(stage);
    line.pad(13 + name_width);
}

/// The live lines: reading progress, running stages, and the overall line. All are narrower than the screen, so that none is
/// wrapped, and there are fewer of them than rows.
pub(super) fn under_way(
    board: &Board,
    reading: Option<&str>,
    now: Duration,
    (columns, rows): (usize, usize),
    style: Style,
) -> Vec<Line> {
    let columns = columns.saturating_sub(1).max(10);
    let mut lines = Vec::new();
    if let Some(reading) = reading {
        lines.push(cut(&format!(" {reading}"), columns, style));
    }
    let at_work: Vec<(&Expected, &Running)> = board.at_work().collect();
    let room = AT_MOST.min(rows.saturating_sub(lines.len() + 2)).max(1);
    let shown = if at_work.len() > room { room - 1 } else { at_work.len() };
    let layout = Layout::of(&at_work[..shown], now, columns, style);
    lines.extend(at_work[..shown].iter().map(|(expected, running)| layout.line(expected, running)));
    if at_work.len() > shown {
        lines.push(cut(&format!(" {} more running", at_work.len() - shown), columns, style));
    }
    lines.push(whole(board, now, columns, style));
    lines
}

/// The columns that fit into the lines of running stages, the same in each.
struct Layout {
    now: Duration,
    columns: usize,
    style: Style,
    name: usize,
    bar: usize,
    has_counts: bool,
}

impl Layout {
    fn of(at_work: &[(&Expected, &Running)], now: Duration, columns: usize, style: Style) -> Layout {
        let longest = at_work.iter().map(|(expected, _)| expected.name.width()).max().unwrap_or(0);
        let name = longest.min(columns.saturating_sub(BESIDE_NAME).max(8));
        let bar = if columns >= 110 { 24 } else { 16 };
        let fits = |bar: usize, has_counts: bool| {
            let layout = Layout { now, columns, style, name, bar, has_counts };
            at_work.iter().all(|(expected, running)| match &running.progress {
                Some(progress) if matches!(running.doing, Doing::Working(_)) => {
                    layout.head(expected, progress).width + layout.left(expected, running).width() <= columns
                }
                _ => true,
            })
        };
        let (bar, has_counts) =
            [(bar, true), (bar, false)].into_iter().find(|(bar, counts)| fits(*bar, *counts)).unwrap_or((0, false));
        Layout { now, columns, style, name, bar, has_counts }
    }

    fn line(&self, expected: &Expected, running: &Running) -> Line {
        let elapsed = duration(self.now.saturating_sub(running.since).as_secs_f64());
        let text = match (&running.doing, &running.progress) {
            (Doing::Working(_), Some(progress)) => return self.progress(expected, running, progress),
            (Doing::Working(reason), None) => {
                let left = self.left(expected, running);
                let why = if reason.is_empty() { String::new() } else { format!("  why: {reason}") };
                format!("{elapsed}{left}{why}")
            }
            (Doing::Waiting(holder), _) => format!("waiting for {holder} for {elapsed}"),
            (Doing::Standing(text), _) => format!("{elapsed}  {text}"),
            (Doing::Storing, _) => "storing its results in the cache".to_owned(),
            (Doing::Pushing(to, ..), _) if to.is_empty() => "asking the shared caches".to_owned(),
            (Doing::Pushing(to, bytes, of), _) => format!("copying to {to}: {} of {}", size(*bytes), size(*of)),
            (Doing::Restoring, _) => format!("restoring its results from the cache, {elapsed}"),
        };
        let name = self.name(expected);
        let rest = cut(&text, self.columns.saturating_sub(name.width), self.style);
        Line { text: name.text + &rest.text, width: name.width + rest.width }
    }

    fn progress(&self, expected: &Expected, running: &Running, progress: &Progress) -> Line {
        let mut line = self.head(expected, progress);
        let left = self.left(expected, running);
        let resumed = running.resumed_at.filter(|_| self.now.saturating_sub(running.since).as_secs() < 60);
        let resumed = resumed.map(|at| format!("  resumed at {}", count(at)));
        let values = progress.values.iter().map(|(name, value)| format!("  {name} {}", brief(*value)));
        let rate = progress.rate(self.now).map(|rate| format!("  {}/s", rough(rate)));
        // In this order of priority.
        for part in resumed.into_iter().chain(values).chain(rate).filter(|_| self.has_counts) {
            if line.width + part.width() + left.width() > self.columns {
                break;
            }
            line.push(&part);
        }
        line.push(&left);
        line
    }

    /// Name, bar, percent and counts.
    fn head(&self, expected: &Expected, progress: &Progress) -> Line {
        let mut line = self.name(expected);
        if self.bar > 0 {
            bar(&mut line, progress.share(), self.bar, self.style);
            line.push(" ");
        }
        line.push(&format!("{:>3} %", (progress.share() * 100.0).floor()));
        if self.has_counts {
            line.push(&format!("  {}/{}", count(progress.done), count(progress.total)));
        }
        line
    }

    fn name(&self, expected: &Expected) -> Line {
        let mut line = Line::default();
        line.push(" ");
        line.push(&end_of(&expected.name, self.name, self.style));
        line.pad(1 + self.name + 2);
        line
    }

    fn left(&self, expected: &Expected, running: &Running) -> String {
        let left = running.seconds_left(expected.seconds, self.now);
        left.map_or(String::new(), |seconds| format!("  {} left", coarse(seconds)))
    }
}

/// `5 of 7 done, 2 reused · 1 running · 1 waiting · gpu 0 · about 3 h 07 min left`, as far as it fits.
fn whole(board: &Board, now: Duration, columns: usize, style: Style) -> Line {
    let (settled, all, running) = (board.settled(), board.stages.len(), board.at_work().count());
    let reused = board.count(&[Outcome::Hit, Outcome::UpToDate]);
    let failed = board.count(&[Outcome::Failed]);
    let left = match board.seconds_left(now) {
        Some(seconds) => format!("about {} left", coarse(seconds)),
        None => "time left unknown".to_owned(),
    };
    let some = |number: usize, word: &str| (number > 0).then(|| format!("{number} {word}"));
    let (failed, reused) = (some(failed, "failed"), some(reused, "reused"));
    let (running, waiting) = (some(running, "running"), some(all - settled - running, "waiting"));
    let done = format!("{settled} of {all} done");
    let write = |shown: usize| {
        let with_reused = [Some(done.clone()), reused.clone().filter(|_| shown > 1)];
        let first = with_reused.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let parts = [
            Some(first),
            failed.clone(),
            running.clone().filter(|_| shown > 2),
            waiting.clone().filter(|_| shown > 3),
            board.device.clone().filter(|_| shown > 4),
            Some(left.clone()).filter(|_| shown > 0),
        ];
        format!(" {}", parts.into_iter().flatten().collect::<Vec<_>>().join(style.separator()))
    };
    let text = (0..=5).rev().map(write).find(|text| text.width() <= columns);
    let mut line = Line::default();
    line.paint(&text.unwrap_or_else(|| cut(&write(0), columns, style).text), DIM, style);
    line
}

/// `━━━━━╸────`, or `#####-----`.
fn bar(line: &mut Line, share: f64, width: usize, style: Style) {
    let halves = (share * 2.0 * width as f64).floor() as usize;
    let (whole, half) = (halves / 2, halves % 2 == 1 && style.unicode);
    let (full, empty) = if style.unicode { ("━", "─") } else { ("#", "-") };
    line.paint(&format!("{}{}", full.repeat(whole), if half { "╸" } else { "" }), CYAN, style);
    line.paint(&empty.repeat(width - whole - usize::from(half)), DIM, style);
}

/// Remaining time, without tenths of a second.
fn coarse(seconds: f64) -> String {
    if seconds < 59.5 { format!("{} s", seconds.ceil()) } else { duration(seconds) }
}

/// `26`, `2.6`, `0.26`.
fn rough(rate: f64) -> String {
    match rate {
        9.95.. => count(rate.round() as u64),
        0.995.. => format!("{rate:.1}"),
        _ => format!("{rate:.2}"),
    }
}

/// The text, cut at its end to fit.
fn cut(text: &str, columns: usize, style: Style) -> Line {
    let mut line = Line::default();
    if text.width() <= columns {
        line.push(text);
        return line;
    }
    let room = columns.saturating_sub(style.ellipsis().width());
    line.push(within(text.chars(), room).collect::<String>().trim_end());
    line.push(style.ellipsis());
    line
}

/// The name, cut at its start to fit, as members of a sweep differ at the end.
fn end_of(name: &str, columns: usize, style: Style) -> String {
    if name.width() <= columns {
        return name.to_owned();
    }
    let kept: Vec<char> = within(name.chars().rev(), columns.saturating_sub(style.ellipsis().width())).collect();
    style.ellipsis().chars().chain(kept.into_iter().rev()).collect()
}

fn within(chars: impl Iterator<Item = char>, columns: usize) -> impl Iterator<Item = char> {
    let mut width = 0;
    chars.take_while(move |c| {
        width += c.width().unwrap_or(0);
        width <= columns
    })
}

#[cfg(test)]
mod tests;
