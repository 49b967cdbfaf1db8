//! Whether a job still gives a sign of life: an event, or something new in its log.
//!
//! Knows moments and the length of a log, no job. A job that says nothing for long may be at work all the same; but a person who
//! waits should be told, once, so that they look.

use std::time::{Duration, Instant};

/// A job without a sign of life for so long is told of.
const LONG: Duration = Duration::from_secs(600);

/// How long is long; a person may find another time right, in seconds.
pub(super) fn limit() -> Duration {
    let named = std::env::var("INTRADA_SILENCE").ok().and_then(|text| text.parse().ok());
    named.map_or(LONG, Duration::from_secs)
}

/// The signs of one job.
#[derive(Debug)]
pub(super) struct Pulse {
    /// So much silence is told of.
    limit: Duration,
    heard: Instant,
    /// Length of the log when it was last looked at.
    log: u64,
    /// It is known why nothing is to be heard: it waits for another run, or its outputs are stored.
    is_excused: bool,
    has_told: bool,
}

impl Pulse {
    /// Of a job that begins.
    pub(super) fn new(now: Instant, limit: Duration) -> Pulse {
        Pulse { limit, heard: now, log: 0, is_excused: false, has_told: false }
    }

    /// So much silence is told of.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// It said something.
    pub(super) fn hear(&mut self, now: Instant) {
        (self.heard, self.is_excused) = (now, false);
    }

    /// It said that nothing will be heard of it for a while.
    pub(super) fn excuse(&mut self) {
        self.is_excused = true;
    }

    /// When to look next, if at all.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.has_told && !self.is_excused).then(|| self.heard + self.limit)
    }

    /// Whether it is to be told now that nothing was heard for so long. `log` is the length of the log.
    pub(super) fn is_news(&mut self, now: Instant, log: impl FnOnce() -> u64) -> bool {
        if self.due().is_none_or(|due| now < due) {
            return false;
        }
        let log = log();
        if log != self.log {
            (self.log, self.heard) = (log, now);
            return false;
        }
        self.has_told = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_once_and_neither_events_nor_a_growing_log_nor_waiting_are_silence() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut pulse = Pulse::new(begin, Duration::from_secs(10));
        assert!(!pulse.is_news(at(9), || unreachable!("it is too soon to look")));
        assert!(!pulse.is_news(at(10), || 100), "the log has grown");
        assert_eq!(pulse.due(), Some(at(20)));
        pulse.hear(at(15));
        assert!(!pulse.is_news(at(24), || 100));
        pulse.excuse();
        assert!(!pulse.is_news(at(99), || 100) && pulse.due().is_none());
        pulse.hear(at(100));
        assert!(pulse.is_news(at(110), || 100));
        assert!(!pulse.is_news(at(999), || 100) && pulse.due().is_none());
    }
}
