//! The runs of a pipeline in a workspace, each as it recorded itself: what it was asked, what came of each stage, how it
//! ended.
//!
//! Knows no screen and compares nothing. A run writes one file, a line of JSON for each thing that happens, so a killed run
//! is recorded up to its end, and runs at the same time don't touch each other's files. Only a run in which something
//! happened has one. Its number is the next one when it begins: no clock orders runs. Losing these files loses no result.

mod journal;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::digest::{ArtifactDigest, FileDigest, Key};
use crate::plain;
use crate::store::{Error, Holder, Store};

pub use journal::{Journal, Opening};

/// The version of the records that this program writes. Lines that it doesn't know are passed over.
const FORMAT: u32 = 1;

/// How many runs of a pipeline are remembered: a record of a large sweep has megabytes.
const REMEMBERED: usize = 1000;

/// What a run was asked for, and by what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The version of this record.
    pub format: u32,
    /// When something first happened to a stage, in seconds since the Unix epoch.
    pub began: f64,
    /// The version of the program.
    pub program: String,
    /// The commit of the workspace, if known.
    #[serde(default)]
    pub commit: Option<String>,
    /// The machine.
    #[serde(default)]
    pub machine: Option<String>,
    /// The pipeline file, as typed.
    pub file: String,
    /// The pipeline file's text.
    pub text: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The values of `--set`.
    #[serde(default)]
    pub set: Vec<String>,
    /// The stages that were named; empty: all.
    #[serde(default)]
    pub targets: Vec<String>,
    /// The stages that were to run in any case.
    #[serde(default)]
    pub forced: Vec<String>,
    /// The process, by which a run in progress is recognised.
    #[serde(default)]
    pub by: Option<Holder>,
}

/// A source that stages read: a data set, a file or a folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// Its name for people: `data set target`.
    pub what: String,
    /// What the stages saw of it.
    pub digest: ArtifactDigest,
    /// The object that lists its files.
    #[serde(default)]
    pub listing: Option<FileDigest>,
}

/// What came of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// Its name.
    pub stage: String,
    /// The outcome.
    pub outcome: Outcome,
    /// Its key, if its inputs were known.
    pub key: Option<Key>,
    /// When, in seconds since the run began.
    pub at: f64,
    /// Time spent now, or saved.
    pub seconds: f64,
    /// Why it ran, or failed; the beginning of a long text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it said of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Of an evaluation: the mIoU of each network, 0 to 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub miou: BTreeMap<String, Option<f64>>,
    /// The sources that it read, by role, as places in [`Run::sources`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, usize>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Whether it was interrupted, or another version of the file took over.
    #[serde(default)]
    pub interrupted: bool,
}

/// Results that were deleted by command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deleted {
    /// When, in seconds since the Unix epoch.
    pub at: f64,
    /// How many.
    pub results: usize,
}

/// A line of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// The first one.
    Began(Box<Head>),
    /// Numbered in their order, from 0.
    Source(Source),
    /// A stage is computed.
    Started {
        stage: String,
        key: Key,
    },
    Settled(Box<Settled>),
    Ended(End),
    Deleted(Deleted),
}

/// A run, as recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number in the pipeline and workspace, from 1.
    pub number: u32,
    /// What it was asked for.
    pub head: Head,
    /// The sources that its stages read.
    pub sources: Vec<Source>,
    /// The stages, in the order in which they settled.
    pub stages: Vec<Settled>,
    /// The stages that were being computed when the record ends, with their keys.
    pub open: BTreeMap<String, Key>,
    /// How it ended; none for a run in progress or a killed one.
    pub end: Option<End>,
    /// Whether its results were deleted.
    pub deleted: Option<Deleted>,
}

impl Run {
    /// Reads a record; `None` if not even its beginning was written.
    fn read(number: u32, bytes: &[u8]) -> Option<Run> {
        let mut head = None;
        let (mut sources, mut open) = (Vec::new(), BTreeMap::new());
        let (mut stages, mut end, mut deleted) = (Vec::<Settled>::new(), None, None);
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        // A killed run may have left half a line, and a newer program lines of another kind.
        for line in bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok()) {
            match line {
                Line::Began(found) => head = head.or(Some(*found)),
                Line::Source(source) => sources.push(source),
                Line::Started { stage, key } => drop(open.insert(stage, key)),
                Line::Settled(settled) => {
                    open.remove(&settled.stage);
                    // In a watch a stage may settle again.
                    match places.get(&settled.stage) {
                        Some(place) => stages[*place] = *settled,
                        None => {
                            places.insert(settled.stage.clone(), stages.len());
                            stages.push(*settled);
                        }
                    }
                }
                Line::Ended(found) => end = Some(found),
                Line::Deleted(found) => deleted = Some(found),
            }
        }
        Some(Run { number, head: head?, sources, stages, open, end, deleted })
    }

    /// Its stages with results, with their keys.
    pub fn results(&self) -> impl Iterator<Item = (&Settled, Key)> {
        let with_results = self.stages.iter().filter(|settled| settled.outcome.has_results());
        with_results.filter_map(|settled| Some((settled, settled.key?)))
    }

    /// Every key that it names, with a result or without.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.stages.iter().filter_map(|settled| settled.key).chain(self.open.values().copied())
    }

    /// What came of the stage of this name.
    pub fn stage(&self, name: &str) -> Option<&Settled> {
        self.stages.iter().find(|settled| settled.stage == name)
    }

    /// A source that a stage read in this role.
    pub fn source(&self, settled: &Settled, role: &str) -> Option<&Source> {
        self.sources.get(*settled.data.get(role)?)
    }
}

/// The records of a pipeline's runs in a workspace.
#[derive(Clone, Debug)]
pub struct Runs {
    folder: PathBuf,
}

impl Runs {
    /// Those in this folder, which may be missing.
    pub fn at(folder: PathBuf) -> Runs {
        Runs { folder }
    }

    /// The numbers of the recorded runs, in the order in which they began.
    pub fn numbers(&self) -> Vec<u32> {
        let names = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut numbers: Vec<u32> = names.filter_map(|name| number_of(Path::new(&name))).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The run of this number, if there is a record.
    pub fn read(&self, number: u32) -> Option<Run> {
        Run::read(number, &plain::read(&self.path(number)).ok()?)
    }

    /// The numbers of the runs from this one on whose records are damaged: a file without even a beginning in it.
    pub fn damaged(&self, from: u32) -> Vec<u32> {
        let is_damaged = |number: &u32| *number >= from && self.read(*number).is_none();
        self.numbers().into_iter().filter(is_damaged).collect()
    }

    /// All runs, in the order in which they began.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = Run> {
        self.numbers().into_iter().filter_map(|number| self.read(number))
    }

    /// Notes that the results of a run were deleted.
    ///
    /// # Errors
    /// The record can't be written.
    pub fn note_deleted(&self, number: u32, deleted: Deleted) -> std::io::Result<()> {
        journal::append(&self.path(number), &Line::Deleted(deleted))
    }

    /// The record of a run.
    pub fn path(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{number}.{ENDING}"))
    }
}

const ENDING: &str = "jsonl";

fn number_of(name: &Path) -> Option<u32> {
    let is_ours = name.extension().is_some_and(|ending| ending == ENDING);
    is_ours.then(|| name.file_stem()?.to_str()?.parse().ok()).flatten()
}

/// The records of all pipelines of all workspaces that have used a store, with the pipelines' names.
///
/// # Errors
/// The store can't be listed.
pub fn everywhere(store: &Store) -> Result<Vec<(Runs, String)>, Error> {
    let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = store.runs_folders()?.into_iter().flat_map(below);
    Ok(folders
        .filter_map(|folder| Some((Runs::at(folder.clone()), folder.file_name()?.to_str()?.to_owned())))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn settled(stage: &str, outcome: Outcome) -> Settled {
        Settled {
            stage: stage.into(),
            outcome,
            key: Some(Key(Digest::of(stage.as_bytes()))),
            at: 1.5,
            seconds: 2.25,
            reason: String::new(),
            summary: None,
            miou: [("inter".to_owned(), Some(0.1 + 0.2))].into(),
            data: [("source".to_owned(), 0)].into(),
        }
    }

    fn lines() -> Vec<Line> {
        let source = Source { what: "data set s".into(), digest: ArtifactDigest(Digest::of(b"s")), listing: None };
        let head = Head { format: FORMAT, text: "format = 1\n\"ü\"".into(), ..Head::default() };
        vec![
            Line::Began(Box::new(head)),
            Line::Source(source),
            Line::Started { stage: "inter".into(), key: Key(Digest::of(b"inter")) },
            Line::Settled(Box::new(settled("inter", Outcome::Ran))),
            Line::Started { stage: "rank".into(), key: Key(Digest::of(b"rank")) },
            Line::Settled(Box::new(settled("rank", Outcome::Failed))),
            Line::Ended(End { seconds: 3.0, interrupted: false }),
        ]
    }

    fn text(lines: &[Line]) -> Vec<u8> {
        lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect::<String>().into_bytes()
    }

    #[test]
    fn a_record_reads_back_and_one_cut_anywhere_tells_what_was_written_until_then() {
        let bytes = text(&lines());
        let whole = Run::read(7, &bytes).unwrap();
        assert_eq!((whole.number, whole.stages.len(), whole.open.len()), (7, 2, 0));
        assert_eq!(whole.source(&whole.stages[0], "source").unwrap().what, "data set s");
        assert_eq!(whole.results().map(|(settled, _)| settled.stage.as_str()).collect::<Vec<_>>(), ["inter"]);
        assert_eq!(whole.stages[0], settled("inter", Outcome::Ran), "numbers keep their last digit");
        let first = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        for length in 0..bytes.len() {
            let cut = Run::read(7, &bytes[..length]);
            assert_eq!(cut.is_some(), length >= first, "{length}");
            let Some(cut) = cut else { continue };
            assert_eq!(cut.head, whole.head);
            assert!(cut.stages.len() <= 2 && whole.stages.starts_with(&cut.stages));
            assert!(cut.end.is_none() || length == bytes.len() - 1);
        }
    }

    #[test]
    fn a_killed_run_tells_what_was_computed_and_a_stage_that_settles_again_counts_once() {
        let mut lines = lines();
        lines.truncate(5);
        let run = Run::read(1, &text(&lines)).unwrap();
        assert_eq!(run.open.keys().collect::<Vec<_>>(), ["rank"]);
        assert_eq!(run.keys().count(), 2);
        lines.push(Line::Settled(Box::new(settled("inter", Outcome::Hit))));
        let run = Run::read(1, &text(&lines)).unwrap();
        assert_eq!((run.stages.len(), run.stages[0].outcome), (1, Outcome::Hit));
    }

    #[test]
    fn a_record_without_a_beginning_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let runs = Runs::at(folder.path().to_owned());
        assert_eq!(runs.damaged(1), Vec::<u32>::new());
        fs::write(runs.path(1), "").unwrap();
        fs::write(runs.path(2), text(&lines())).unwrap();
        fs::write(runs.path(3), "garbage\n").unwrap();
        assert_eq!((runs.damaged(1), runs.damaged(2)), (vec![1, 3], vec![3]));
    }

    #[test]
    fn lines_of_a_newer_program_are_passed_over() {
        let mut bytes = text(&lines()[..1]);
        bytes.extend(b"{\"weather\":{\"sky\":\"blue\"}}\nnonsense\n");
        bytes.extend(text(&lines()[3..4]));
        assert_eq!(Run::read(1, &bytes).unwrap().stages.len(), 1);
    }
}
