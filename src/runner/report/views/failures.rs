//! Writes failures to disk while other stages still run, so that `plan` and `why` in another terminal see them, and a kill
//! doesn't lose them.
//!
//! Knows when to write and not what: the history, which is written once more at the end of the run. A thousand failures at
//! once give a few writes.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::page::replace;
use crate::event::history::History;
use crate::event::unwritten::Unwritten;
use crate::event::{Event, Finished, Outcome};
use crate::store::Store;

/// The minimum interval between two writes.
const REST: Duration = Duration::from_secs(1);

/// The failures of a current run.
pub(super) struct Failures {
    store: Arc<Store>,
    /// The path of the file.
    path: PathBuf,
    history: Rc<RefCell<History>>,
    /// There are unwritten failures.
    is_news: bool,
    /// When the next file may be written.
    due: Instant,
}

impl Failures {
    pub(super) fn new(store: Arc<Store>, path: PathBuf, history: Rc<RefCell<History>>) -> Failures {
        Failures { store, path, history, is_news: false, due: Instant::now() }
    }

    /// Handles an event, which the history has already recorded.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn hear(&mut self, event: &Event) -> Result<(), Unwritten> {
        if let Event::Closed(_) = event {
            // The end of the run writes the whole history.
            self.is_news = false;
        }
        self.is_news |= matches!(event, Event::Finished(Finished { outcome: Outcome::Failed, .. }));
        let now = Instant::now();
        if !self.is_news || now < self.due {
            return Ok(());
        }
        (self.is_news, self.due) = (false, now + REST);
        replace(&self.store, &self.path, &self.history.borrow().encode())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::history::{Recorder, tests::Deaf};
    use crate::event::{Advice, Quiet, Reporter};

    fn finished(stage: &str, outcome: Outcome) -> Event {
        Event::Finished(Finished {
            stage: stage.into(),
            outcome,
            key: None,
            seconds: 1.0,
            reason: "exit status 3".into(),
            notes: BTreeMap::new(),
            advice: Advice::default(),
        })
    }

    #[test]
    fn a_failure_is_on_disk_before_the_run_is_over_and_a_success_needs_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("histories/p.json");
        let history = Rc::new(RefCell::new(History::default()));
        let mut recorder = Recorder::new(Quiet(Deaf), Rc::clone(&history));
        let store = Arc::new(Store::open(&folder.path().join("cache")).unwrap());
        let mut failures = Failures::new(store, path.clone(), history);
        let mut tell = |event: Event| {
            recorder.tell(&event);
            failures.hear(&event).unwrap();
        };
        tell(finished("a", Outcome::Ran));
        assert!(!path.exists());
        tell(finished("b", Outcome::Failed));
        let known = History::load(&path);
        assert_eq!((&known.stages["b"].reason[..], known.stages.len()), ("exit status 3", 2));
        // A second one within the interval waits for the next event after it; here the interval is over at once.
        tell(finished("c", Outcome::Failed));
        assert!(!History::load(&path).stages.contains_key("c"));
        failures.due = Instant::now();
        failures.hear(&Event::Restoring { stage: "d".into() }).unwrap();
        assert!(History::load(&path).stages.contains_key("c"));
    }
}
