//! Puts the results of an earlier run beside the current ones: `runs/<pipeline>-run<number>/`.
//!
//! Computes nothing, and touches neither the user's pipeline file nor the current results. The folder is that of a pipeline
//! of its own: the file of that run lies in it under that name, and the index knows the results as that pipeline's, so every
//! command works on it, and gc keeps them while they lie there. Results that are gone are named; the others are restored.

use std::path::{Component, Path, PathBuf};

use crate::event::history::{self, History, Turn};
use crate::event::runs::Settled;
use crate::pipeline::{Pipeline, Stage, renamed};
use crate::store::index::{PlacedOutput, StageRecord};
use crate::store::{Artifact, Error, Kind, Placement, Recorded};

use super::past::{Past, as_it_was};
use super::session::Session;

/// Why a run can't be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It had none.
    #[error("run {number} has no results: it ended before a stage had one")]
    NoResults {
        /// The run.
        number: u32,
    },
    /// All its results are gone.
    #[error("nothing is left of run {number}: its results are no longer in the cache")]
    Gone {
        /// The run.
        number: u32,
    },
    /// The cache can't be used.
    #[error("failed to {action}")]
    Cache {
        /// What for.
        action: &'static str,
        /// Why.
        source: Error,
    },
    /// A file can't be put into its place.
    #[error("failed to restore {}", path.display())]
    Place {
        /// Relative to the workspace's root.
        path: PathBuf,
        /// Why.
        source: Error,
    },
}

fn to(action: &'static str) -> impl Fn(Error) -> RestoreError {
    move |source| RestoreError::Cache { action, source }
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The name of the pipeline of that run, and of its folder in `runs/`.
    pub name: String,
    /// Its folder, relative to the workspace's root.
    pub folder: PathBuf,
    /// Its file, relative to the workspace's root.
    pub file: PathBuf,
    /// The pipeline as it was, under its new name, if this program can read it, else why not.
    pub pipeline: Result<Pipeline, String>,
    /// The stages whose results are there again.
    pub stages: Vec<String>,
    /// Their size in bytes.
    pub bytes: u64,
    /// The stages whose results are gone, and why.
    pub gone: Vec<(String, String)>,
    /// Files that lay there and were moved: from, to.
    pub set_aside: Vec<(PathBuf, PathBuf)>,
}

/// The name of the pipeline of an earlier run: `camvid-run3`.
pub fn name_of(pipeline: &str, number: u32) -> String {
    /// The most characters of a pipeline's name.
    const LONGEST: usize = 100;
    let ending = format!("-run{number}");
    // Names have only ASCII characters.
    format!("{}{ending}", &pipeline[..pipeline.len().min(LONGEST - ending.len())])
}

/// Restores the results of a run. `comments` stand at the top of its file.
///
/// # Errors
/// Nothing of the run is left, or a file can't be written.
pub fn restore(session: &mut Session, past: &Past, comments: &str) -> Result<Restored, RestoreError> {
    if past.run.results().next().is_none() {
        return Err(RestoreError::NoResults { number: past.run.number });
    }
    let name = name_of(&session.pipeline.name, past.run.number);
    let folder = Path::new("runs").join(&name);
    let pipeline = as_it_was(&session.pipeline, &past.run).map(|mut pipeline| {
        pipeline.name.clone_from(&name);
        pipeline
    });
    let mut restored = Restored {
        file: folder.join(format!("{name}.toml")),
        pipeline: pipeline.map(|pipeline| moved(pipeline, &session.pipeline.name)),
        name,
        folder,
        stages: Vec::new(),
        bytes: 0,
        gone: Vec::new(),
        set_aside: Vec::new(),
    };
    for (settled, key) in past.run.results() {
        // Until its record is in the index, gc must not take what is restored.
        let hold = session.store.hold().map_err(to("lock the cache"))?;
        let found = session.store.look_up(key).map_err(to("look a result up"))?;
        match found.map(|recorded| place(session, &mut restored, settled, &recorded)).transpose()? {
            Some(true) => restored.stages.push(settled.stage.clone()),
            Some(false) => {
                restored.gone.push((settled.stage.clone(), "a part of it is missing in the cache".to_owned()));
            }
            None => restored.gone.push((settled.stage.clone(), "it is no longer in the cache".to_owned())),
        }
        drop(hold);
    }
    if restored.stages.is_empty() {
        return Err(RestoreError::Gone { number: past.run.number });
    }
    put_file(session, &mut restored, past, comments)?;
    session.save().map_err(to("write the index of the workspace"))?;
    Ok(restored)
}

/// Places the outputs of one stage. `false`: the cache doesn't have all of them.
fn place(
    session: &mut Session,
    restored: &mut Restored,
    settled: &Settled,
    recorded: &Recorded,
) -> Result<bool, RestoreError> {
    let trace = &recorded.trace;
    let top = restored.folder.join(&settled.stage);
    let mut outputs = Vec::new();
    for output in &trace.outputs {
        let path = top.join(below_stage(Path::new(&output.path)));
        let destination = session.pipeline.root.join(&path);
        match session.store.restore(&output.artifact, &destination, Placement::View) {
            Err(error) if error.is_miss() => return Ok(false),
            placed => {
                let placed = placed.map_err(|source| RestoreError::Place { path: path.clone(), source })?;
                restored.set_aside.extend(placed.set_aside.map(|to| (path.clone(), to)));
                restored.bytes += output.artifact.size;
                outputs.push(PlacedOutput { path, artifact: output.artifact, entries: placed.entries });
            }
        }
    }
    session.store.keep_pulled(recorded).map_err(to("keep a result of a shared cache"))?;
    session.store.note_use(trace.key);
    // A record of other places would pass for that of the stage.
    let own = restored.pipeline.as_ref().ok().and_then(|pipeline| Some(pipeline.stage(pipeline.find(&settled.stage)?)));
    let is_own = own.is_some_and(|stage| are_its_outputs(stage, &outputs));
    let record =
        StageRecord { key: trace.key, outputs, finished: trace.started + trace.seconds, seconds: trace.seconds };
    let stage = if is_own { settled.stage.clone() } else { format!("{}/{BESIDE}", settled.stage) };
    session.record(crate::store::index::record_name(&restored.name, &stage), record);
    Ok(true)
}

/// What the index calls results that lie beside the place of their stage's.
const BESIDE: &str = "restored";

/// The place of an output in its stage's folder: where the stage wrote it, a built-in one in its own folder, a command anywhere in
/// the workspace.
fn below_stage(written: &Path) -> PathBuf {
    written.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// Whether these lie where the stage declares its outputs, in their order.
fn are_its_outputs(stage: &Stage, outputs: &[PlacedOutput]) -> bool {
    stage.outputs.len() == outputs.len()
        && stage.outputs.iter().zip(outputs).all(|(own, placed)| own.path == placed.path)
}

/// The pipeline with its outputs in the folder of its new name.
fn moved(mut pipeline: Pipeline, from: &str) -> Pipeline {
    let (old, new) = (Path::new("runs").join(from), Path::new("runs").join(&pipeline.name));
    for output in pipeline.stages.iter_mut().flat_map(|stage| &mut stage.outputs) {
        if let Ok(rest) = output.path.strip_prefix(&old) {
            output.path = new.join(rest);
        }
    }
    pipeline
}

/// Writes the pipeline file of the run, named like its folder. One that somebody has edited there is moved, as an edited
/// output is.
fn put_file(session: &Session, restored: &mut Restored, past: &Past, comments: &str) -> Result<(), RestoreError> {
    let text = format!("{comments}{}", renamed(&past.run.head.text, &restored.name));
    let object = session.store.insert_bytes(text.as_bytes()).map_err(to("store the pipeline file"))?;
    let file = Artifact { kind: Kind::File { executable: false }, object, size: text.len() as u64, files: 1 };
    let destination = session.pipeline.root.join(&restored.file);
    let placed = session.store.restore(&file, &destination, Placement::Writable);
    let placed = placed.map_err(|source| RestoreError::Place { path: restored.file.clone(), source })?;
    restored.set_aside.extend(placed.set_aside.map(|to| (restored.file.clone(), to)));
    Ok(())
}

/// The outcomes of a run, for its report.
pub fn history_of(past: &Past) -> History {
    let began = past.run.head.began;
    let seconds = past.run.end.as_ref().map_or(0.0, |end| end.seconds);
    let settled = |settled: &Settled| {
        let Settled { outcome, at, key, reason, .. } = settled;
        let (outcome, key, reason) = (*outcome, *key, reason.clone());
        (settled.stage.clone(), history::Settled { outcome, at: began + at, key, reason, help: Vec::new() })
    };
    let turn = |settled: &Settled| {
        let (ended, outcome) = (began + settled.at, settled.outcome);
        let spent = if outcome == crate::event::Outcome::Ran { settled.seconds } else { 0.0 };
        (settled.stage.clone(), Turn { began: (ended - spent).max(began), ended, outcome })
    };
    History {
        ended: began + seconds,
        seconds,
        saved: 0.0,
        interrupted: past.run.end.as_ref().is_none_or(|end| end.interrupted),
        stages: past.run.stages.iter().map(settled).collect(),
        turns: past.run.stages.iter().map(turn).collect(),
        going: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_restored_run_is_the_name_of_a_pipeline() {
        assert_eq!(name_of("camvid", 3), "camvid-run3");
        let long = name_of(&"x".repeat(100), 12);
        assert!(long.len() == 100 && long.ends_with("x-run12"));
    }

    #[test]
    fn an_output_keeps_its_place_in_its_stage_s_folder_and_a_command_s_its_path() {
        let below = |path: &str| below_stage(Path::new(path)).display().to_string();
        assert_eq!(below("model.safetensors"), "model.safetensors");
        assert_eq!(below("out/table.csv"), "out/table.csv");
        assert_eq!(below("../../etc/passwd"), "etc/passwd");
    }
}
