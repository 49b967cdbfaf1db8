//! The outcomes of a pipeline's last runs, stage by stage: a report shows them beside what the cache knows.
//!
//! Knows no screen. The cache keeps only results, no failures and no reasons for a run; so a run writes this small file
//! next to the workspace's index. Losing it only loses these reasons.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{Event, Finished, Outcome, Reporter, Totals};
use crate::digest::Key;
use crate::measures::now;

/// The record of a pipeline's runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When the last run ended, in seconds since the Unix epoch.
    pub ended: f64,
    /// How long it took, in seconds of wall time.
    pub seconds: f64,
    /// The original cost of its hits, in seconds.
    pub saved: f64,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Each stage's outcome when it last took part in a run.
    pub stages: BTreeMap<String, Settled>,
    /// The stages of the last run with their times.
    #[serde(default)]
    pub turns: BTreeMap<String, Turn>,
    /// The current run, which is not saved.
    #[serde(skip)]
    pub going: Option<Going>,
}

/// A stage's part in a run. Times are in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// When work on it began, computing or restoring; the end, if there was none.
    pub began: f64,
    /// When it was settled.
    pub ended: f64,
    /// The outcome.
    pub outcome: Outcome,
}

/// The state of the current run.
#[derive(Clone, Debug, PartialEq)]
pub struct Going {
    /// When something first happened to a stage, in seconds since the Unix epoch.
    pub began: f64,
    /// The stages in progress.
    pub running: BTreeMap<String, UnderWay>,
    /// The settled stages.
    pub turns: BTreeMap<String, Turn>,
}

/// A stage in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct UnderWay {
    /// Since when, in seconds since the Unix epoch.
    pub since: f64,
    /// Why it runs; empty if it is only restored from the cache.
    pub reason: String,
}

/// The outcome of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// The outcome.
    pub outcome: Outcome,
    /// When, in seconds since the Unix epoch.
    pub at: f64,
    /// The key that it computed or would have computed.
    pub key: Option<Key>,
    /// Why it failed, was skipped or stopped; else why it last ran or was restored.
    pub reason: String,
    /// Advice after a failure.
    pub help: Vec<String>,
}

impl History {
    /// Reads it; empty if it is missing or invalid.
    pub fn load(path: &Path) -> History {
        crate::plain::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// The file's content.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a history is plain data")
    }

    /// The current run; begins with its first event.
    fn going(&mut self, now: f64) -> &mut Going {
        self.going.get_or_insert_with(|| Going { began: now, running: BTreeMap::new(), turns: BTreeMap::new() })
    }

    /// Records that work on a stage began.
    fn begin(&mut self, stage: &str, reason: &str, now: f64) {
        let under_way = || UnderWay { since: now, reason: reason.to_owned() };
        self.going(now).running.entry(stage.to_owned()).or_insert_with(under_way);
    }

    /// Records the outcome of a stage.
    fn settle(&mut self, finished: &Finished, now: f64) {
        let Finished { stage, outcome, key, reason, advice, .. } = finished;
        let (outcome, key) = (*outcome, *key);
        let mut settled = Settled { outcome, at: now, key, reason: reason.clone(), help: advice.help.clone() };
        if outcome == Outcome::UpToDate {
            // It didn't run, so its last reason stays.
            let earlier = self.stages.get(stage).filter(|earlier| earlier.key == key);
            settled.reason = earlier.map(|earlier| earlier.reason.clone()).unwrap_or_default();
        }
        self.stages.insert(stage.clone(), settled);
        let going = self.going(now);
        let began = going.running.remove(stage).map_or(now, |under_way| under_way.since);
        going.turns.insert(stage.clone(), Turn { began, ended: now, outcome });
    }

    /// Records a run, unless it had nothing to do: then the previous one stays.
    fn close(&mut self, totals: &Totals, ended: f64) {
        let going = self.going.take();
        if !totals.is_anything() {
            return;
        }
        self.turns = going.map(|going| going.turns).unwrap_or_default();
        (self.ended, self.seconds, self.saved) = (ended, totals.seconds, totals.saved);
        self.interrupted = totals.cancelled > 0;
    }
}

/// Passes events on and records each stage's outcome.
pub struct Recorder<R> {
    inner: R,
    history: Rc<RefCell<History>>,
}

impl<R: Reporter> Recorder<R> {
    /// Continues from an earlier history, which other code may read between runs.
    pub fn new(inner: R, history: Rc<RefCell<History>>) -> Recorder<R> {
        Recorder { inner, history }
    }
}

impl<R: Reporter> Reporter for Recorder<R> {
    fn tell(&mut self, event: &Event) {
        let mut history = self.history.borrow_mut();
        match event {
            Event::Started { stage, reason, .. } => history.begin(stage, reason, now()),
            Event::Restoring { stage } => history.begin(stage, "", now()),
            Event::Finished(finished) => history.settle(finished, now()),
            Event::Closed(totals) => history.close(totals, now()),
            _ => {}
        }
        drop(history);
        self.inner.tell(event);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::event::{Advice, Quiet};

    /// Ignores all events.
    pub(crate) struct Deaf;

    impl Reporter for Deaf {
        fn tell(&mut self, _: &Event) {}
    }

    fn finished(outcome: Outcome, key: &[u8], reason: &str) -> Event {
        Event::Finished(Finished {
            stage: "rank".into(),
            outcome,
            key: Some(Key(Digest::of(key))),
            seconds: 1.0,
            reason: reason.into(),
            notes: BTreeMap::new(),
            advice: Advice::default(),
        })
    }

    #[test]
    fn why_a_stage_ran_is_remembered_while_nothing_happens_to_it() {
        let history = Rc::new(RefCell::new(History::default()));
        let mut recorder = Recorder::new(Quiet(Deaf), Rc::clone(&history));
        recorder.tell(&finished(Outcome::Ran, b"a", "lambda 0.6 → 0.67"));
        recorder.tell(&finished(Outcome::UpToDate, b"a", ""));
        assert_eq!(history.borrow().stages["rank"].reason, "lambda 0.6 → 0.67");
        recorder.tell(&finished(Outcome::UpToDate, b"b", ""));
        assert_eq!(history.borrow().stages["rank"].reason, "", "another result had another reason");
    }

    #[test]
    fn a_run_is_remembered_turn_by_turn_until_another_does_something() {
        let history = Rc::new(RefCell::new(History::default()));
        let mut recorder = Recorder::new(Quiet(Deaf), Rc::clone(&history));
        recorder.tell(&Event::Started { stage: "rank".into(), key: Key(Digest::of(b"b")), reason: String::new() });
        let began = history.borrow().going.as_ref().unwrap().running["rank"].since;
        recorder.tell(&finished(Outcome::Ran, b"a", ""));
        assert!(history.borrow().going.as_ref().unwrap().running.is_empty());
        recorder.tell(&Event::Closed(Totals { ran: 1, ..Totals::default() }));
        let turn = history.borrow().turns["rank"];
        assert_eq!((turn.began, turn.outcome), (began, Outcome::Ran));
        assert!(turn.ended >= turn.began);
        let read: History = serde_json::from_slice(&history.borrow().encode()).unwrap();
        assert_eq!(read, *history.borrow());
        recorder.tell(&finished(Outcome::UpToDate, b"a", ""));
        recorder.tell(&Event::Closed(Totals { up_to_date: 1, ..Totals::default() }));
        assert_eq!(history.borrow().turns["rank"], turn, "nothing happened");
    }
}
