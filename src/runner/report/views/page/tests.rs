//! When the page of a current run is written, and what it says of unsettled stages.

use std::collections::BTreeMap;

use std::fs;

use super::*;
use crate::digest::{Digest, Key};
use crate::event::Advice;
use crate::event::history::{Turn, UnderWay};
use crate::graph;

/// a → b → d, and c by itself.
const PIPELINE: &str = r#"
format = 1
[pipeline]
name = "p"
[stages.a]
kind = "command"
shell = "true"
outputs = ["a"]
[stages.b]
kind = "command"
shell = "true"
inputs = ["a"]
outputs = ["b"]
[stages.c]
kind = "command"
shell = "true"
outputs = ["c"]
[stages.d]
kind = "command"
shell = "true"
inputs = ["b"]
outputs = ["d"]
"#;

struct Scene {
    _dir: tempfile::TempDir,
    pipeline: Rc<Pipeline>,
    graph: Rc<StageGraph>,
    store: Arc<Store>,
    history: Rc<RefCell<History>>,
}

impl Scene {
    fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        fs::write(&file, PIPELINE).unwrap();
        let (pipeline, graph) = graph::load(&file, &[]).unwrap_or_else(|problems| panic!("{problems:?}"));
        let store = Arc::new(Store::open(&dir.path().join("cache")).unwrap());
        Scene { _dir: dir, pipeline: Rc::new(pipeline), graph: Rc::new(graph), store, history: Rc::default() }
    }

    fn page(&self) -> LivePage {
        let needed = self.graph.order().iter().copied().collect();
        LivePage::new(&self.pipeline, &self.graph, &self.store, Rc::clone(&self.history), needed)
    }

    fn shown(&self) -> Option<String> {
        fs::read_to_string(self.pipeline.root.join(place(&self.pipeline))).ok()
    }

    /// The names of the unsettled stages in a run of `needed` with these settled.
    fn unsettled(&self, needed: &[&str], settled: &[(&str, Outcome)]) -> Vec<&str> {
        let id = |name: &&str| self.pipeline.find(name).unwrap();
        let turns = settled.iter().map(|(name, outcome)| ((*name).to_owned(), turn(*outcome))).collect();
        let going = Going { began: 0.0, running: BTreeMap::new(), turns };
        let found = unsettled(&self.pipeline, &self.graph, &needed.iter().map(id).collect(), &going);
        found.iter().map(|id| self.pipeline.stage(*id).name.as_str()).collect()
    }
}

fn turn(outcome: Outcome) -> Turn {
    Turn { began: 0.0, ended: 0.0, outcome }
}

fn started() -> Event {
    Event::Started { stage: "a".into(), key: Key(Digest::of(b"key")), reason: String::new() }
}

fn finished(outcome: Outcome) -> Event {
    Event::Finished(Finished {
        stage: "a".into(),
        outcome,
        key: None,
        seconds: 1.0,
        reason: String::new(),
        notes: BTreeMap::new(),
        advice: Advice::default(),
    })
}

#[test]
fn a_page_waits_for_its_time_and_for_news() {
    let scene = Scene::new();
    let mut page = scene.page();
    let running = [("a".to_owned(), UnderWay { since: 1.0, reason: "forced".into() })].into();
    scene.history.borrow_mut().going = Some(Going { began: 1.0, running, turns: BTreeMap::new() });
    let index = Index::default();
    page.hear(&finished(Outcome::UpToDate));
    page.hear(&started());
    page.look(&index).unwrap();
    assert_eq!(scene.shown(), None, "a short run has no page but its last");
    page.due = Some(Instant::now());
    page.look(&index).unwrap();
    let shown = scene.shown().unwrap();
    assert!(shown.contains("running since 1970-01-01 00:00 UTC; 0 of 4 stages done"));
    fs::remove_file(scene.pipeline.root.join(place(&scene.pipeline))).unwrap();
    page.due = Some(Instant::now());
    page.look(&index).unwrap();
    assert_eq!(scene.shown(), None, "nothing has happened since");
    page.hear(&finished(Outcome::Failed));
    page.look(&index).unwrap();
    assert!(scene.shown().is_some());
    let due = page.due.unwrap();
    page.hear(&started());
    page.due = Some(Instant::now());
    page.look(&index).unwrap();
    assert!(page.due.unwrap() >= due.max(Instant::now() + REST / 2), "the next one has to wait");
}

#[test]
fn a_page_that_would_come_out_the_same_is_current_and_one_of_a_run_that_goes_on_never_is() {
    let scene = Scene::new();
    let (index, mut history) = (Index::default(), History::default());
    let workspace = |history: &History, is_current: bool| {
        let (pipeline, graph, store) = (&*scene.pipeline, &*scene.graph, &*scene.store);
        let [first, ..] = graph.order() else { panic!("there are stages") };
        let stale = [*first];
        let workspace = Workspace { pipeline, graph, store, index: &index, history, stale: &[], not_here: &[] };
        write(&Workspace { stale: &stale, ..workspace }).unwrap();
        assert!(!super::is_current(&workspace, true), "a stage is out of date there, and here none is");
        assert_eq!(super::is_current(&workspace, false), is_current);
        write(&workspace).unwrap();
        assert_eq!(super::is_current(&workspace, true), is_current);
    };
    workspace(&history, true);
    history.ended = 1.0;
    workspace(&history, true);
    history.going = Some(Going { began: 0.0, running: BTreeMap::new(), turns: BTreeMap::new() });
    workspace(&history, false);
}

#[test]
fn results_count_only_once_the_run_has_come_to_their_stage() {
    let scene = Scene::new();
    let all = ["a", "b", "c", "d"];
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    let of = |needed: &[&str], settled: &[(&str, Outcome)]| {
        let found = scene.unsettled(needed, settled);
        sorted(all.into_iter().filter(|name| found.contains(name)).collect())
    };
    assert_eq!(of(&all, &[]), all);
    assert_eq!(of(&all, &[("a", Outcome::UpToDate), ("c", Outcome::Ran)]), ["b", "d"]);
    // Of stages outside the run, those after one that is re-computed.
    assert_eq!(of(&["a"], &[]), ["a", "b", "d"]);
    assert_eq!(of(&["a"], &[("a", Outcome::Ran)]), ["b", "d"]);
    assert_eq!(of(&["a"], &[("a", Outcome::UpToDate)]), [""; 0]);
}
