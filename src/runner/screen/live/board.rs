//! The state of a run: collects events and answers what a screen shows.
//!
//! Knows no terminal and no clock: the caller passes the time since the start of the run. The display is thus a function of events
//! and times, which tests can choose.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::super::forecast::{Rest, seconds_left};
use crate::event::{Event, Outcome};

/// Rates are of the last minute, as other programs on the machine change them.
const WINDOW: Duration = Duration::from_secs(60);
/// Minimum time for a rate: libtorch's first iterations are slow.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// A stage of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Its name.
    pub name: String,
    /// Indices of the stages that it waits for, all smaller than its own.
    pub needs: Vec<usize>,
    /// Its duration when it was last computed in this workspace, in seconds.
    pub seconds: Option<f64>,
}

/// The state of the run.
pub(super) struct Board {
    pub(super) stages: Vec<Stage>,
    by_name: HashMap<String, usize>,
    /// The maximum number of concurrently running stages so far.
    lanes: usize,
    /// The device of the stages, if given; for `auto` each worker chooses.
    pub(super) device: Option<String>,
}

/// A stage and its state.
pub(super) struct Stage {
    pub(super) expected: Expected,
    pub(super) state: State,
}

pub(super) enum State {
    Open,
    Running(Running),
    Settled(Outcome),
}

/// A running stage.
pub(super) struct Running {
    pub(super) since: Duration,
    pub(super) doing: Doing,
    pub(super) progress: Option<Progress>,
    /// The iteration at which it resumed, if it did.
    pub(super) resumed_at: Option<u64>,
}

/// What it is doing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doing {
    /// Computing, and why.
    Working(String),
    /// Waiting for this process.
    Waiting(String),
    /// In a batch system: where.
    Standing(String),
    Storing,
    /// Copying to this shared cache: bytes sent, and bytes to send.
    Pushing(String, u64, u64),
    Restoring,
}

/// Its progress.
pub(super) struct Progress {
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) unit: String,
    pub(super) values: Vec<(String, f64)>,
    /// Progress and times within the window, oldest first.
    samples: VecDeque<(Duration, u64)>,
}

impl Board {
    pub(super) fn new(expected: Vec<Expected>) -> Board {
        let by_name = expected.iter().enumerate().map(|(place, stage)| (stage.name.clone(), place)).collect();
        let stages = expected.into_iter().map(|expected| Stage { expected, state: State::Open }).collect();
        Board { stages, by_name, lanes: 1, device: None }
    }

    /// The same on a given device.
    pub(super) fn on(self, device: Option<String>) -> Board {
        Board { device, ..self }
    }

    /// Records an event at `now`.
    pub(super) fn hear(&mut self, event: &Event, now: Duration) {
        // A restoration ends with any other event; if it failed, its stage is still open.
        for stage in &mut self.stages {
            if matches!(&stage.state, State::Running(Running { doing: Doing::Restoring, .. })) {
                stage.state = State::Open;
            }
        }
        match event {
            Event::Started { stage, reason, .. } => self.begin(stage, Doing::Working(reason.clone()), now),
            Event::Restoring { stage } => self.begin(stage, Doing::Restoring, now),
            Event::Waiting { stage, holder } => {
                if let Some(running) = self.running(stage) {
                    (running.doing, running.since) = (Doing::Waiting(holder.clone()), now);
                }
            }
            Event::Standing { stage, text } => {
                if let Some(running) = self.running(stage) {
                    running.doing = Doing::Standing(text.clone());
                }
            }
            Event::Retrying { stage, .. } => self.begin(stage, Doing::Working(String::new()), now),
            Event::Storing { stage } => {
                if let Some(running) = self.running(stage) {
                    running.doing = Doing::Storing;
                }
            }
            Event::Pushing { stage, to, bytes, of } => {
                if let Some(running) = self.running(stage) {
                    running.doing = Doing::Pushing(to.clone(), *bytes, *of);
                }
            }
            Event::Resumed { stage, at } => {
                if let Some(running) = self.running(stage) {
                    running.resumed_at = Some(*at);
                }
            }
            Event::Progress { stage, done, total, unit, values } => {
                if let Some(running) = self.running(stage) {
                    // It has got the lease that it waited for, or it has begun.
                    if matches!(running.doing, Doing::Waiting(_) | Doing::Standing(_)) {
                        running.doing = Doing::Working(String::new());
                    }
                    running.note(Progress {
                        done: *done,
                        total: *total,
                        unit: unit.clone(),
                        values: values.clone(),
                        samples: [(now, *done)].into(),
                    });
                }
            }
            Event::Finished(finished) => self.set(&finished.stage, State::Settled(finished.outcome)),
            Event::Dropped { stage } => self.set(stage, State::Open),
            Event::PutAside { .. } | Event::Changed { .. } | Event::Warning(_) | Event::Closed(_) => {}
        }
    }

    fn begin(&mut self, stage: &str, doing: Doing, now: Duration) {
        self.set(stage, State::Running(Running { since: now, doing, progress: None, resumed_at: None }));
        self.lanes = self.lanes.max(self.at_work().count());
    }

    fn set(&mut self, stage: &str, state: State) {
        if let Some(&place) = self.by_name.get(stage) {
            self.stages[place].state = state;
        }
    }

    fn running(&mut self, stage: &str) -> Option<&mut Running> {
        match &mut self.stages[*self.by_name.get(stage)?].state {
            State::Running(running) => Some(running),
            _ => None,
        }
    }

    /// The running stages, in graph order.
    pub(super) fn at_work(&self) -> impl Iterator<Item = (&Expected, &Running)> {
        self.stages.iter().filter_map(|stage| match &stage.state {
            State::Running(running) => Some((&stage.expected, running)),
            _ => None,
        })
    }

    /// The iteration at which the stage resumed, if it did.
    pub(super) fn resumed_at(&self, stage: &str) -> Option<u64> {
        self.at_work().find(|(expected, _)| expected.name == stage).and_then(|(_, running)| running.resumed_at)
    }

    /// The number of stages with one of these outcomes.
    pub(super) fn count(&self, outcomes: &[Outcome]) -> usize {
        let is_one = |stage: &&Stage| matches!(&stage.state, State::Settled(outcome) if outcomes.contains(outcome));
        self.stages.iter().filter(is_one).count()
    }

    /// The number of finished stages.
    pub(super) fn settled(&self) -> usize {
        self.stages.iter().filter(|stage| matches!(stage.state, State::Settled(_))).count()
    }

    /// Estimated seconds until all is done, if known.
    pub(super) fn seconds_left(&self, now: Duration) -> Option<f64> {
        let rest = |stage: &Stage| {
            let (running, seconds) = match &stage.state {
                State::Open => (false, stage.expected.seconds),
                State::Running(running) => (true, running.seconds_left(stage.expected.seconds, now)),
                State::Settled(_) => (false, Some(0.0)),
            };
            Rest { needs: stage.expected.needs.clone(), seconds, running }
        };
        seconds_left(&self.stages.iter().map(rest).collect::<Vec<_>>(), self.lanes)
    }

    /// The completed fraction of all stages, 0 to 1, including that of running ones.
    pub(super) fn share(&self) -> f64 {
        let share = |stage: &Stage| match &stage.state {
            State::Open => 0.0,
            State::Running(running) => running.progress.as_ref().map_or(0.0, Progress::share),
            State::Settled(_) => 1.0,
        };
        self.stages.iter().map(share).sum::<f64>() / self.stages.len().max(1) as f64
    }
}

impl Running {
    fn note(&mut self, mut progress: Progress) {
        if let Some(earlier) = self.progress.take() {
            let newest = progress.samples[0];
            let is_recent = |(at, _): &(Duration, u64)| newest.0.saturating_sub(*at) <= WINDOW;
            // Another unit (an evaluation within a training) starts a new count.
            if earlier.unit == progress.unit && earlier.total == progress.total && earlier.done <= progress.done {
                progress.samples = earlier.samples.into_iter().filter(is_recent).chain([newest]).collect();
            }
        }
        self.progress = Some(progress);
    }

    /// Remaining seconds: by its rate, or until that is known by its last duration, `recorded`.
    pub(super) fn seconds_left(&self, recorded: Option<f64>, now: Duration) -> Option<f64> {
        let elapsed = now.saturating_sub(self.since).as_secs_f64();
        match (&self.doing, &self.progress) {
            (Doing::Storing | Doing::Pushing(..) | Doing::Restoring, _) => Some(0.0),
            (Doing::Working(_), Some(progress)) => match progress.rate(now) {
                Some(rate) => Some(progress.to_do() as f64 / rate),
                None => recorded.map(|seconds| seconds * (1.0 - progress.share())),
            },
            // Longer than last time: unknown.
            (Doing::Working(_) | Doing::Waiting(_) | Doing::Standing(_), _) => {
                recorded.map(|seconds| seconds - elapsed).filter(|left| *left > 0.0)
            }
        }
    }
}

impl Progress {
    /// The completed fraction, 0 to 1.
    pub(super) fn share(&self) -> f64 {
        (self.done as f64 / self.total.max(1) as f64).min(1.0)
    }

    fn to_do(&self) -> u64 {
        self.total.saturating_sub(self.done)
    }

    /// Units per second over the last minute. `None` until there is enough data.
    pub(super) fn rate(&self, now: Duration) -> Option<f64> {
        let (&(since, from), &(_, to)) = (self.samples.front()?, self.samples.back()?);
        let elapsed = now.saturating_sub(since);
        (elapsed >= FIRST_LOOK && to > from).then(|| (to - from) as f64 / elapsed.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, Key};

    fn board(seconds: &[Option<f64>]) -> Board {
        let stage = |(place, seconds): (usize, &Option<f64>)| Expected {
            name: format!("s{place}"),
            needs: (0..place).collect(),
            seconds: *seconds,
        };
        Board::new(seconds.iter().enumerate().map(stage).collect())
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn progress(done: u64) -> Event {
        Event::Progress { stage: "s0".into(), done, total: 1000, unit: "iterations".into(), values: Vec::new() }
    }

    fn started() -> Event {
        Event::Started { stage: "s0".into(), key: Key(Digest::of(b"key")), reason: String::new() }
    }

    #[test]
    fn the_rate_wins_over_the_record_once_there_is_one() {
        let mut board = board(&[Some(500.0), Some(7.0)]);
        board.hear(&started(), at(0));
        board.hear(&progress(100), at(1));
        assert_eq!(board.seconds_left(at(2)), Some(450.0 + 7.0));
        board.hear(&progress(200), at(11));
        assert_eq!(board.seconds_left(at(11)), Some(80.0 + 7.0));
    }

    #[test]
    fn a_rate_is_that_of_the_last_minute_and_falls_while_nothing_moves() {
        let mut board = board(&[None]);
        board.hear(&started(), at(0));
        for second in 0..=200 {
            board.hear(&progress(if second <= 100 { second } else { 100 + 2 * (second - 100) }), at(second));
        }
        assert_eq!(board.seconds_left(at(200)), Some(700.0 / 2.0));
        assert_eq!(board.seconds_left(at(260)), Some(700.0 / 1.0));
    }

    #[test]
    fn what_takes_longer_than_ever_and_what_never_ran_is_unknown() {
        let mut recorded = board(&[Some(10.0)]);
        recorded.hear(&started(), at(0));
        assert_eq!((recorded.seconds_left(at(4)), recorded.seconds_left(at(12))), (Some(6.0), None));
        assert_eq!(board(&[Some(1.0), None]).seconds_left(at(0)), None);
    }

    #[test]
    fn a_restoration_that_failed_leaves_its_stage_open() {
        let mut board = board(&[Some(1.0), Some(1.0)]);
        board.hear(&Event::Restoring { stage: "s0".into() }, at(0));
        assert_eq!(board.at_work().count(), 1);
        board.hear(&Event::Warning("damaged".into()), at(1));
        assert_eq!(board.at_work().count(), 0);
    }
}
