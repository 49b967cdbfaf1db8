//! The settings of a stage for TensorBoard's table of runs: what tells the members of a sweep apart, and one pipeline from another.
//!
//! A row is an evaluation, with the parameters of all stages behind it; and a training that no evaluation measures. Shown are
//! parameters that aren't the default, those that are swept, and always seed, method and λ. Runs whose settings differ only in
//! what is the default of some show that as an empty cell.

use std::collections::{BTreeSet, HashSet};

use crate::graph::StageGraph;
use crate::kind::{Role, Runs};
use crate::pipeline::{Parameter, Pipeline, Stage, StageId, Value};

/// Shown even if they are the default.
const ALWAYS: [&str; 3] = ["seed", "method", "lambda"];

/// The stages with a row.
pub(super) fn rows(pipeline: &Pipeline) -> HashSet<StageId> {
    let evaluations = || pipeline.evaluations();
    let networks = evaluations().flat_map(|evaluation| pipeline.measured_by(pipeline.stage(evaluation)));
    let measured: HashSet<StageId> = networks.filter_map(|network| network.training()).collect();
    let trainings = pipeline.stage_ids().filter(|id| pipeline.stage(*id).is_training() && !measured.contains(id));
    evaluations().chain(trainings).collect()
}

/// The settings of a stage by name, as in `rank.lambda`, in the order in which the stages behind it run.
pub(super) fn settings(pipeline: &Pipeline, graph: &StageGraph, id: StageId) -> Vec<(String, Value)> {
    let stage = pipeline.stage(id);
    let mut settings = vec![("stage".to_owned(), Value::Text(stage.family.clone()))];
    // Axes of a command or of data sets, which are no parameters.
    let mut axes: BTreeSet<&str> = stage.coordinates.iter().map(|coordinate| coordinate.axis.as_str()).collect();
    for id in graph.ancestors(&[id]) {
        let behind = pipeline.stage(id);
        let is_swept = |name: &str| behind.coordinates.iter().any(|coordinate| coordinate.axis == name);
        if behind.kind.runs == Runs::Command {
            // Its text says less than the axes.
            continue;
        }
        for parameter in behind.parameters.iter().filter(|parameter| parameter.role == Role::Meaning) {
            let name = parameter.name.as_str();
            if is_swept(name) || ALWAYS.contains(&name) || differs(behind, parameter) {
                settings.push((format!("{}.{name}", behind.family), parameter.value.clone()));
            }
            if is_swept(name) {
                axes.remove(name);
            }
        }
    }
    let others = stage.coordinates.iter().filter(|coordinate| axes.contains(coordinate.axis.as_str()));
    settings.extend(others.map(|coordinate| (coordinate.axis.clone(), Value::Text(coordinate.value.clone()))));
    settings
}

fn differs(stage: &Stage, parameter: &Parameter) -> bool {
    stage.key_of(parameter).is_some() && stage.default_of(parameter).as_ref() != Some(&parameter.value)
}
