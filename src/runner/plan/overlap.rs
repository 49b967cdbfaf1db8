//! Images used for both training and evaluation: reported, as such an evaluation says nothing about new images.
//!
//! Compares contents, never names: a copy under another name is the same image. Only images whose labels a training reads
//! count; evaluating on a target is usual.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::found::{Content, Found};
use crate::digest::FileDigest;
use crate::exec::job;
use crate::kind::OutputRole;
use crate::kind::training::is_learnt_from;
use crate::pipeline::{Dataset, DatasetId, InputSource, Pipeline, Problem, Stage};

/// `found`: the data sets that have been read.
pub fn problems<'a>(pipeline: &Pipeline, found: impl Iterator<Item = (DatasetId, &'a Found)>) -> Vec<Problem> {
    let (learnt, measured) = roles(pipeline);
    let images: HashMap<DatasetId, HashSet<FileDigest>> = found
        .filter(|(id, _)| learnt.contains_key(id) || measured.contains(id))
        .map(|(id, found)| (id, images(found)))
        .collect();
    let mut problems = Vec::new();
    for (on, these) in measured.iter().filter_map(|id| Some((id, images.get(id)?))) {
        for (from, trainings) in learnt.iter().filter(|(from, _)| *from != on) {
            let both = images.get(from).map_or(0, |others| these.intersection(others).count());
            if both > 0 {
                let [on, from] = [on, from].map(|id| pipeline.dataset(*id));
                problems.push(problem([both, these.len()], [on, from], trainings));
            }
        }
    }
    problems
}

/// The data sets from whose labels trainings learn, with these, and the data sets of evaluations.
fn roles(pipeline: &Pipeline) -> (HashMap<DatasetId, BTreeSet<&str>>, BTreeSet<DatasetId>) {
    let (mut learnt, mut measured): (HashMap<DatasetId, BTreeSet<&str>>, BTreeSet<DatasetId>) = Default::default();
    for stage in &pipeline.stages {
        for input in &stage.inputs {
            match input.from {
                InputSource::Dataset { dataset, labels: true } if is_learnt_from(&input.role) => {
                    learnt.entry(dataset).or_default().insert(&stage.family);
                }
                InputSource::Dataset { dataset, labels: true } if input.role == "dataset" && measures(stage) => {
                    measured.insert(dataset);
                }
                _ => {}
            }
        }
    }
    (learnt, measured)
}

/// Whether it evaluates networks, rather than only counting labels.
fn measures(stage: &Stage) -> bool {
    stage.is_training() || stage.outputs.iter().any(|output| output.role == OutputRole::Metrics)
}

fn images(found: &Found) -> HashSet<FileDigest> {
    match &found.content {
        Content::Dataset(job::Dataset::Files { samples, .. }) => {
            samples.iter().map(|sample| sample.image.content).collect()
        }
        _ => HashSet::new(),
    }
}

fn problem([both, all]: [usize; 2], [on, from]: [&Dataset; 2], trainings: &BTreeSet<&str>) -> Problem {
    let (on_name, from_name) = (&on.name, &from.name);
    let are = if both == 1 { "is" } else { "are" };
    let title = format!("{both} of {all} different images of `{on_name}` {are} in `{from_name}` as well");
    let names: Vec<String> = trainings.iter().map(|name| format!("`{name}`")).collect();
    Problem::warning(title)
        .at(on.span, "networks are evaluated on these")
        .beside(from.span, format!("{} trains on these", names.join(", ")))
        .note("an evaluation on training images says nothing about new images")
}
