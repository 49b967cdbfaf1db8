//! Detects jobs without a sign of life: no event, and no new line in the log.
//!
//! Knows times and the length of a log, no job. A silent job may still be working; but the user should be told, once, so
//! that they can check.

use std::time::{Duration, Instant};

/// A job silent for this long is reported.
const LONG: Duration = Duration::from_secs(600);

/// Another limit in seconds, if the user sets one.
pub(super) fn limit() -> Duration {
    let named = std::env::var("INTRADA_SILENCE").ok().and_then(|text| text.parse().ok());
    named.map_or(LONG, Duration::from_secs)
}

/// The signs of life of one job.
#[derive(Debug)]
pub(super) struct Pulse {
    /// The limit.
    limit: Duration,
    heard: Instant,
    /// Length of the log at the last check.
    log: u64,
    /// The silence has a known reason: it waits for another run, or its outputs are being stored.
    is_excused: bool,
    has_told: bool,
}

impl Pulse {
    /// For a job that starts.
    pub(super) fn new(now: Instant, limit: Duration) -> Pulse {
        Pulse { limit, heard: now, log: 0, is_excused: false, has_told: false }
    }

    /// The limit.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// The job sent an event.
    pub(super) fn hear(&mut self, now: Instant) {
        (self.heard, self.is_excused) = (now, false);
    }

    /// The job announced that it will be silent.
    pub(super) fn excuse(&mut self) {
        self.is_excused = true;
    }

    /// The time of the next check, if any.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.has_told && !self.is_excused).then(|| self.heard + self.limit)
    }

    /// Whether the silence should be reported now. `log` returns the length of the log.
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
