//! A training with events, with files in its slot and in the cache, and what TensorBoard reads of it.

use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::event::{Advice, Outcome};
use crate::store::{Take, TracedOutput};

const PIPELINE: &str = r#"
format = 1
[pipeline]
name = "p"
classes = "scenes-8"
[datasets.source]
format = "scenes"
style = "source"
seed = 1
count = 4
[models.small]
arch = "small"
[stages.inter]
kind = "inter-training"
method = "source-only"
model = "small"
source = "source"
iterations = 6
dataset = "source"
evaluate_every = 2
candidates_every = 2
candidates = "source"
"#;

struct Scene {
    dir: tempfile::TempDir,
    store: Arc<Store>,
    pipeline: Pipeline,
}

fn key(name: &str) -> Key {
    Key(Digest::of(name.as_bytes()))
}

fn losses(iterations: u64) -> String {
    (0..iterations).map(|i| format!("{{\"iteration\":{i},\"seg_main\":0.5,\"lr\":0.1}}\n")).collect()
}

fn evaluations(iterations: u64) -> String {
    let line = |i| format!("{{\"iteration\":{i},\"miou\":0.25,\"iou\":{{}}}}\n");
    (1..=iterations).filter(|i| i % 2 == 0).map(line).collect()
}

fn candidates(iterations: u64) -> String {
    let scores = "\"soft_neighbourhood_density\":1.5,\"entropy\":0.5,\"agreement\":0.5,\"images\":4,\"pixels\":400";
    (1..=iterations).filter(|i| i % 2 == 0).map(|i| format!("{{\"iteration\":{i},{scores}}}\n")).collect()
}

/// A map of two classes, grey.
fn map() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 2, 1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[0, 1]).unwrap();
    file
}

/// Such a map every three iterations.
fn draw(folder: &Path, iterations: u64) {
    for iteration in (1..=iterations).filter(|i| i % 3 == 0) {
        let place = folder.join(format!("prediction/{iteration}/a.png"));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, map()).unwrap();
    }
}

/// All events of the outputs at once.
fn whole(scene: &Scene) -> Vec<u8> {
    let (mut events, mut progress) = (beginning(&scene.settings()), Progress::default());
    let colours = class_palette(&scene.pipeline.classes);
    let picture = vec![("pictures/a/prediction".to_owned(), Map::decode(&map()).unwrap().png(&colours))];
    let pictures = [3, 6].map(|iteration| (iteration, picture.clone())).into();
    let (evaluations, candidates) = (evaluations(6), candidates(6));
    let looks = Looks { evaluations: &evaluations, candidates: &candidates };
    progress.follow(losses(6).as_bytes(), looks, &pictures, &mut events);
    progress.end(&pictures, &mut events);
    events.success(6);
    events.bytes().to_vec()
}

impl Scene {
    fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        fs::write(&file, PIPELINE).unwrap();
        let pipeline = crate::pipeline::load(&file, &[]).unwrap_or_else(|problems| panic!("{problems:?}"));
        let store = Arc::new(Store::open(&dir.path().join("cache")).unwrap());
        Scene { dir, store, pipeline }
    }

    fn files(&self) -> EventFiles {
        EventFiles::new(&self.pipeline, &self.graph(), &self.store)
    }

    fn graph(&self) -> StageGraph {
        crate::graph::build(&self.pipeline).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// Of its only stage.
    fn settings(&self) -> Vec<(String, Value)> {
        settings(&self.pipeline, &self.graph(), self.pipeline.stage_ids().next().unwrap())
    }

    /// The training has done this many iterations.
    fn train(&self, name: &str, iterations: u64) {
        let slot = self.store.slot(key(name));
        let [evaluated, scored] = [job::EVALUATIONS, job::CANDIDATES].map(|file| slot.path().join(file));
        for file in [&evaluated, &scored] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
        }
        fs::write(slot.path().join(job::LOSSES), losses(iterations)).unwrap();
        fs::write(evaluated, evaluations(iterations)).unwrap();
        fs::write(scored, candidates(iterations)).unwrap();
        draw(&slot.path().join(job::PICTURES), iterations);
    }

    /// Its results are in the cache, and its slot was removed.
    fn publish(&self, name: &str) {
        let hold = self.store.hold().unwrap();
        let mut trace = Trace::new(key(name), "p", "inter", "inter-training", serde_json::Value::Null);
        let outputs = ["losses", "evaluations", "candidates", "pictures"];
        let paths = outputs.map(|output| self.dir.path().join(output));
        fs::write(&paths[0], losses(6)).unwrap();
        fs::write(&paths[1], evaluations(6)).unwrap();
        fs::write(&paths[2], candidates(6)).unwrap();
        draw(&paths[3], 6);
        for (output, path) in outputs.into_iter().zip(paths) {
            let artifact = self.store.insert(&path, Take::Move).unwrap();
            trace.outputs.push(TracedOutput { name: output.into(), path: output.into(), artifact });
        }
        self.store.publish(&trace, &[]).unwrap();
        self.store.slot(key(name)).remove().unwrap();
        drop(hold);
    }

    /// The only event file that isn't empty, and whether it is complete.
    fn shown(&self) -> (PathBuf, Vec<u8>, bool) {
        let entries = fs::read_dir(self.dir.path().join("runs/p/inter")).unwrap();
        let paths: Vec<PathBuf> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.metadata().unwrap().len() > 0).collect();
        let [path] = &paths[..] else { panic!("{paths:?}") };
        (path.clone(), fs::read(path).unwrap(), path.metadata().unwrap().permissions().readonly())
    }
}

fn started(name: &str) -> Event {
    Event::Started { stage: "inter".into(), key: key(name), reason: String::new() }
}

fn progress() -> Event {
    Event::Progress { stage: "inter".into(), done: 1, total: 6, unit: String::new(), values: Vec::new() }
}

fn finished(outcome: Outcome, name: &str) -> Event {
    Event::Finished(Finished {
        stage: "inter".into(),
        outcome,
        key: Some(key(name)),
        seconds: 1.0,
        reason: String::new(),
        notes: BTreeMap::new(),
        advice: Advice::default(),
    })
}

#[test]
fn a_file_that_grew_with_its_training_ends_with_the_bytes_of_one_made_at_once() {
    let scene = Scene::new();
    let mut files = scene.files();
    files.hear(&started("a")).unwrap();
    scene.train("a", 3);
    files.hear(&progress()).unwrap();
    let (path, early, is_complete) = scene.shown();
    assert!(
        whole(&scene).starts_with(&early) && early.len() > beginning(&scene.settings()).bytes().len() && !is_complete
    );
    scene.train("a", 6);
    scene.publish("a");
    files.hear(&finished(Outcome::Ran, "a")).unwrap();
    assert_eq!(scene.shown(), (path, whole(&scene), true));

    let at_once = Scene::new();
    at_once.publish("a");
    at_once.files().hear(&finished(Outcome::Hit, "a")).unwrap();
    assert_eq!(at_once.shown().1, whole(&scene));
}

#[test]
fn of_a_slot_that_has_just_gone_nothing_is_shown_until_the_stage_is_done() {
    let scene = Scene::new();
    let mut files = scene.files();
    files.hear(&started("a")).unwrap();
    scene.train("a", 6);
    scene.publish("a");
    files.hear(&progress()).unwrap();
    assert!(!scene.dir.path().join("runs").exists());
    files.hear(&finished(Outcome::Ran, "a")).unwrap();
    assert_eq!((scene.shown().1, scene.shown().2), (whole(&scene), true));
}

#[test]
fn a_training_that_goes_on_begins_a_later_file_with_all_that_came_before() {
    let scene = Scene::new();
    let mut killed = scene.files();
    killed.hear(&started("a")).unwrap();
    scene.train("a", 5);
    killed.hear(&progress()).unwrap();
    let (before, ..) = scene.shown();
    // Cut back to the checkpoint, by a worker that reports it only afterwards.
    let mut files = scene.files();
    files.hear(&started("a")).unwrap();
    assert_eq!(scene.shown().0, before);
    scene.train("a", 3);
    files.hear(&progress()).unwrap();
    let (after, bytes, is_complete) = scene.shown();
    assert!(after > before && whole(&scene).starts_with(&bytes) && !is_complete);
    files.hear(&Event::Retrying { stage: "inter".into(), attempt: 2, of: 2, reason: String::new() }).unwrap();
    files.hear(&progress()).unwrap();
    assert!(scene.shown().0 > after, "another attempt, another file");
}

#[test]
fn what_is_complete_is_left_alone_and_what_is_not_is_made_again() {
    let scene = Scene::new();
    scene.publish("a");
    let mut files = scene.files();
    files.hear(&finished(Outcome::UpToDate, "a")).unwrap();
    let first = scene.shown();
    files.hear(&finished(Outcome::UpToDate, "a")).unwrap();
    assert_eq!(scene.shown(), first);
    scene.publish("b");
    files.hear(&finished(Outcome::Hit, "b")).unwrap();
    assert!(scene.shown().0 > first.0, "another key, another file");
    // It was still being written when its run was killed, though the results were already in the cache.
    files.hear(&started("a")).unwrap();
    scene.train("a", 2);
    files.hear(&progress()).unwrap();
    assert!(!scene.shown().2);
    scene.files().hear(&finished(Outcome::UpToDate, "a")).unwrap();
    assert_eq!((scene.shown().1, scene.shown().2), (whole(&scene), true));
}

#[test]
fn a_failed_training_leaves_what_it_had_to_show() {
    let scene = Scene::new();
    let mut files = scene.files();
    files.hear(&started("a")).unwrap();
    scene.train("a", 4);
    files.hear(&progress()).unwrap();
    let before = scene.shown();
    files.hear(&finished(Outcome::Failed, "a")).unwrap();
    assert_eq!(scene.shown(), before);
}
