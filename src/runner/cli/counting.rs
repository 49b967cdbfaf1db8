//! Progress of `predict`: a line that is rewritten on a terminal, else a line every 10 % or every minute.
//!
//! Knows only numbers. A run's screen shows stages; here there is one task.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use crate::measures::{count, duration};
use crate::predict::Progress;

/// Between two states of the line on a terminal.
const FRAME: Duration = Duration::from_millis(200);
/// Between two lines elsewhere, unless a tenth is done.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// The progress so far.
pub(super) struct Counting {
    is_quiet: bool,
    on_terminal: bool,
    begun: Instant,
    /// The first report, and when it came: before it the network was loaded.
    first: Option<(u64, Instant)>,
    shown: Option<(Instant, u64)>,
}

impl Counting {
    /// Nothing done yet. Quiet: shows nothing.
    pub(super) fn new(is_quiet: bool) -> Counting {
        let on_terminal = stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Counting { is_quiet, on_terminal, begun: Instant::now(), first: None, shown: None }
    }

    /// Shows how far it is, if that is worth a line.
    pub(super) fn show(&mut self, progress: Progress) {
        let now = Instant::now();
        let first = *self.first.get_or_insert((progress.done, now));
        let tenth = progress.done * 10 / progress.total.max(1);
        let is_due = match self.shown {
            None => self.on_terminal || now - self.begun > Duration::from_secs(2),
            Some((at, _)) if self.on_terminal => now - at >= FRAME || progress.done == progress.total,
            Some((at, before)) => tenth > before && now - at >= Duration::from_secs(2) || now - at >= SIGN_OF_LIFE,
        };
        if self.is_quiet || !is_due {
            return;
        }
        self.shown = Some((now, tenth));
        let text = text(progress, first.0, (now - first.1).as_secs_f64());
        if self.on_terminal {
            // Back to the beginning of the line, and away with what was there.
            let _ = write!(stderr(), "\r\x1b[K{text}");
        } else {
            talk!("{text}");
        }
    }

    /// Clears the line.
    pub(super) fn finish(&self) {
        if self.on_terminal && self.shown.is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

/// `120/500 images, 2 failed, 4.1 a second, 1 min 33 s left`; `first` images were done `seconds` ago.
fn text(progress: Progress, first: u64, seconds: f64) -> String {
    let Progress { done, total, failed } = progress;
    let failed = if failed > 0 { format!(", {} failed", count(failed)) } else { String::new() };
    let rate = (done - first) as f64 / seconds;
    let left = if done > first && seconds > 0.0 && done < total {
        format!(", {rate:.1} a second, {} left", duration((total - done) as f64 / rate))
    } else {
        String::new()
    };
    format!("{}/{} images{failed}{left}", count(done), count(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_rate_of_this_run() {
        let progress = |done, failed| Progress { done, total: 500, failed };
        assert_eq!(text(progress(1, 0), 1, 0.0), "1/500 images");
        assert_eq!(text(progress(101, 2), 1, 25.0), "101/500 images, 2 failed, 4.0 a second, 1 min 40 s left");
        assert_eq!(text(progress(500, 0), 1, 100.0), "500/500 images");
    }
}
