//! The earlier runs of a pipeline: what changed against the run before, what came out, and which results are still there.
//!
//! Runs nothing and changes nothing. Everything is taken from the records of the runs and from this cache; no shared cache
//! is asked. The run before is the one with the number before: no clock decides.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::digest::{FileDigest, Key};
use crate::event::Outcome;
use crate::event::runs::{Head, Run, Settled};
use crate::inputs::listing::{self, Files};
use crate::kind::OutputRole;
use crate::measures::plural;
use crate::pipeline::{Pipeline, reread};
use crate::plan::explain::{FileDifference, file_differences};
use crate::plan::manifest::Manifest;
use crate::store::{Holder, Store};

use super::changes::{Change, between};
use super::recorded::{mious, runs_of};

/// Stages whose manifests are compared: the others need what these made.
const COMPARED: usize = 100;

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It goes on.
    Running,
    /// All its stages have results.
    Done,
    /// A stage failed.
    Failed,
    /// It was interrupted, or another version of the file took over.
    Interrupted,
    /// Jobs were left to a batch system.
    Left,
    /// Its record has no end, and it doesn't run.
    Killed,
}

impl Standing {
    /// The name for programs, which doesn't change.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Running => "running",
            Standing::Done => "done",
            Standing::Failed => "failed",
            Standing::Interrupted => "interrupted",
            Standing::Left => "left",
            Standing::Killed => "killed",
        }
    }

    fn of(run: &Run, at_work: &[Holder]) -> Standing {
        let has = |outcomes: &[Outcome]| run.stages.iter().any(|settled| outcomes.contains(&settled.outcome));
        match &run.end {
            None if run.head.by.as_ref().is_some_and(|by| at_work.contains(by)) => Standing::Running,
            None => Standing::Killed,
            Some(_) if has(&[Outcome::Failed]) => Standing::Failed,
            Some(end) if end.interrupted => Standing::Interrupted,
            Some(_) if has(&[Outcome::Submitted, Outcome::Pending]) => Standing::Left,
            Some(_) => Standing::Done,
        }
    }
}

/// An earlier run.
#[derive(Clone, Debug)]
pub struct Past {
    /// Its record.
    pub run: Run,
    /// How it stands.
    pub standing: Standing,
    /// The number of the run before, with which it is compared; none for the first one.
    pub before: Option<u32>,
    /// What changed against the run before.
    pub changes: Vec<Change>,
    /// Why the settings can't be compared, if they can't.
    pub incomparable: Option<String>,
    /// The mIoU of each network by evaluation, in the order in which these settled.
    pub miou: Vec<(String, Networks)>,
    /// The stages whose results are no longer in this cache.
    pub gone: Vec<String>,
}

/// The mIoU of networks, 0 to 1, in the order of the pipeline file; those that it no longer has come last.
pub type Networks = Vec<(String, Option<f64>)>;

/// The last runs of a pipeline in its workspace, the newest first: at most so many, and only those of which the file had
/// these tags.
pub fn history(pipeline: &Pipeline, store: &Store, at_most: usize, tags: &[String]) -> Vec<Past> {
    let runs = runs_of(pipeline, store);
    let at_work = store.runs_at_work(&pipeline.root);
    let mut newest_first = runs.all().rev().peekable();
    let mut found = Vec::new();
    let mut known = Known::default();
    while let Some(run) = newest_first.next() {
        if found.len() == at_most {
            break;
        }
        if tags.iter().all(|tag| run.head.tags.contains(tag)) {
            let before = newest_first.peek();
            found.push(past(pipeline, store, run, before, &at_work, &mut known));
        }
    }
    tell_of_unchanged(&mut found, pipeline, store);
    found
}

/// A run by its number.
pub fn one(pipeline: &Pipeline, store: &Store, number: u32) -> Option<Past> {
    let runs = runs_of(pipeline, store);
    let run = runs.read(number)?;
    let before = runs.numbers().into_iter().filter(|other| *other < number).rev().find_map(|other| runs.read(other));
    let at_work = store.runs_at_work(&pipeline.root);
    let mut found = vec![past(pipeline, store, run, before.as_ref(), &at_work, &mut Known::default())];
    tell_of_unchanged(&mut found, pipeline, store);
    found.pop()
}

/// What was found out for one run and holds for the next.
#[derive(Default)]
struct Known {
    /// Pipelines that were read again, by the numbers of their runs.
    pipelines: HashMap<u32, Result<Pipeline, String>>,
    /// Whether this cache has the record of a key.
    records: HashMap<Key, bool>,
}

fn past(now: &Pipeline, store: &Store, run: Run, before: Option<&Run>, at_work: &[Holder], known: &mut Known) -> Past {
    let standing = Standing::of(&run, at_work);
    let (changes, incomparable) = match before {
        None => (Vec::new(), None),
        Some(before) => {
            let [old, new] = [before, &run].map(|run| (&run.head.text, &run.head.set));
            let is_another_file = old != new;
            // Reading a file of thousands of stages takes a while, and most runs are of the file of the run before.
            for run in [before, &run].into_iter().filter(|_| is_another_file) {
                known.pipelines.entry(run.number).or_insert_with(|| as_it_was(now, run));
            }
            let read = |run: &Run| &known.pipelines[&run.number];
            let pipelines = is_another_file.then(|| [read(before), read(&run)]);
            changes(store, before, &run, pipelines)
        }
    };
    let with_numbers = run.stages.iter().filter(|settled| !settled.miou.is_empty());
    let miou = with_numbers.map(|settled| (settled.stage.clone(), in_order(now, &settled.miou))).collect();
    let mut is_there = |key: Key| *known.records.entry(key).or_insert_with(|| store.has_record(key));
    let gone = run.results().filter(|(_, key)| !is_there(*key)).map(|(settled, _)| settled.stage.clone()).collect();
    Past { gone, standing, before: before.map(|before| before.number), changes, incomparable, miou, run }
}

/// The pipeline of a run, as its file was.
///
/// # Errors
/// This program can't read it; the text says why.
pub fn as_it_was(now: &Pipeline, run: &Run) -> Result<Pipeline, String> {
    let read = reread(Path::new(&run.head.file), &now.root, run.head.text.clone(), &run.head.set);
    read.map_err(|problems| {
        let first = problems.iter().next().map(|problem| problem.title.clone()).unwrap_or_default();
        format!("this program can't read the file of run {}: {first}", run.number)
    })
}

/// What changed, and why the settings can't be compared if they can't. `read` are both pipelines, where their files differ.
fn changes(
    store: &Store,
    before: &Run,
    run: &Run,
    read: Option<[&Result<Pipeline, String>; 2]>,
) -> (Vec<Change>, Option<String>) {
    let [old, new] = [&before.head, &run.head];
    let (mut all, incomparable) = match read {
        None => (Vec::new(), None),
        Some([Ok(old), Ok(new)]) => (between(old, new), None),
        Some([Err(why), _] | [_, Err(why)]) => (Vec::new(), Some(why.clone())),
    };
    for change in data_changes(store, before, run) {
        let is_known = |known: &Change| {
            known.of == change.of && (known.what == change.what || change.what.as_deref() == Some(CONTENT))
        };
        if !all.iter().any(is_known) {
            all.push(change);
        }
    }
    all.extend(beside_the_file(store, before, run));
    let commit = |head: &Head| head.commit.as_deref().map(short);
    for (of, key, old, new) in [
        ("program", "version", Some(old.program.clone()), Some(new.program.clone())),
        ("workspace", "commit", commit(old), commit(new)),
    ] {
        if old != new {
            all.push(Change::of_key(of, key, old.as_ref(), new.as_ref()));
        }
    }
    (all, incomparable)
}

/// A commit with eight digits, and whether files differed from it.
fn short(commit: &str) -> String {
    let end = commit.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(commit.len());
    format!("{}{}", &commit[..end.min(8)], &commit[end..])
}

/// What is said of a source whose files can't be named.
const CONTENT: &str = "has another content";

/// The sources that both runs read in the same places and that differ.
fn data_changes(store: &Store, before: &Run, run: &Run) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let earlier: HashMap<&str, &Settled> =
        before.stages.iter().map(|settled| (settled.stage.as_str(), settled)).collect();
    for settled in &run.stages {
        let Some(old) = earlier.get(settled.stage.as_str()) else { continue };
        for role in settled.data.keys() {
            let Some((was, is)) = before.source(old, role).zip(run.source(settled, role)) else { continue };
            if was.digest == is.digest || was.what != is.what || changes.iter().any(|known| known.of == is.what) {
                continue;
            }
            let files = was.listing.zip(is.listing).and_then(|(was, is)| Some((files(store, was)?, files(store, is)?)));
            let told = files.map(|(was, is)| counted(&file_differences(&was, &is))).filter(|told| !told.is_empty());
            changes.push(Change::told(&is.what, told.as_deref().unwrap_or(CONTENT)));
        }
    }
    changes
}

fn files(store: &Store, listing: FileDigest) -> Option<Files> {
    let bytes = crate::plain::read(&store.object_path(listing)).ok()?;
    if let Some(files) = listing::decode(&bytes) {
        return Some(files);
    }
    let files = store.files_of(listing)?;
    Some(files.into_iter().map(|(path, object)| (path.to_string_lossy().into_owned(), object.0.short())).collect())
}

/// `2 files added, 1 file changed`.
fn counted(differences: &[FileDifference]) -> String {
    let count = |is: fn(&FileDifference) -> bool, what: &str| {
        let number = differences.iter().filter(|difference| is(difference)).count();
        (number > 0).then(|| format!("{} {what}", plural(number, "file")))
    };
    let parts = [
        count(|file| matches!(file, FileDifference::Added(_)), "added"),
        count(|file| matches!(file, FileDifference::Removed(_)), "removed"),
        count(|file| matches!(file, FileDifference::Changed(..)), "changed"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What else enters keys: environment variables, and how this program computes a kind.
fn beside_the_file(store: &Store, before: &Run, run: &Run) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let earlier: HashMap<&str, Option<Key>> =
        before.stages.iter().map(|settled| (settled.stage.as_str(), settled.key)).collect();
    let differing = run.stages.iter().filter_map(|settled| {
        let (old, new) = ((*earlier.get(settled.stage.as_str())?)?, settled.key?);
        (old != new).then_some((settled, old, new))
    });
    for (settled, old, new) in differing.take(COMPARED) {
        let manifest = |key: Key| serde_json::from_value::<Manifest>(store.here(key)?.manifest).ok();
        let Some((old, new)) = manifest(old).zip(manifest(new)) else { continue };
        if old.revision != new.revision && old.kind == new.kind {
            let [old, new] = [old.revision, new.revision].map(|revision| revision.to_string());
            changes.push(Change::of_key(&settled.stage, "revision of its kind", Some(&old), Some(&new)));
        }
        let names = new.environment.keys().filter(|name| old.environment.contains_key(*name));
        for name in names.filter(|name| old.environment[*name] != new.environment[*name]) {
            let value = |manifest: &Manifest| manifest.environment[name].clone();
            let key = format!("environment variable {name}");
            changes.push(Change::of_key(&settled.stage, &key, value(&old).as_ref(), value(&new).as_ref()));
        }
    }
    changes
}

/// The numbers of evaluations that were in place: as an earlier run tells them, else as the cache does.
fn tell_of_unchanged(found: &mut [Past], pipeline: &Pipeline, store: &Store) {
    let mut known: HashMap<Key, BTreeMap<String, Option<f64>>> = HashMap::new();
    for settled in found.iter().flat_map(|past| &past.run.stages).filter(|settled| !settled.miou.is_empty()) {
        known.extend(settled.key.map(|key| (key, settled.miou.clone())));
    }
    for past in found {
        let unknown = past.run.results().filter(|(settled, _)| settled.miou.is_empty());
        let is_evaluation = |name: &str| {
            let stage = pipeline.find(name).map(|id| pipeline.stage(id));
            stage.is_some_and(|stage| stage.outputs.iter().any(|output| output.role == OutputRole::Metrics))
        };
        for (settled, key) in unknown {
            let of_cache = || {
                let trace = store.here(key)?;
                let metrics = trace.outputs.iter().find(|output| output.name == METRICS)?;
                Some(mious(store, &metrics.artifact))
            };
            if !known.contains_key(&key) && is_evaluation(&settled.stage) {
                known.insert(key, of_cache().unwrap_or_default());
            }
            if let Some(miou) = known.get(&key).filter(|miou| !miou.is_empty()) {
                past.miou.push((settled.stage.clone(), in_order(pipeline, miou)));
            }
        }
    }
}

/// Records sort networks by name; people know them in the order of the file.
fn in_order(pipeline: &Pipeline, miou: &BTreeMap<String, Option<f64>>) -> Networks {
    let mut networks: Networks = miou.iter().map(|(name, miou)| (name.clone(), *miou)).collect();
    networks.sort_by_key(|(name, _)| pipeline.place_of(name));
    networks
}

/// The name of the output of an evaluation with its numbers.
const METRICS: &str = "metrics";
