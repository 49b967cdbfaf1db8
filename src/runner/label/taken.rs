//! Which network and which data set are meant where the command line doesn't say.
//!
//! Takes something only where one answer is left, and says what it took and why; else the message lists the answers. Reads no
//! image.

use std::collections::BTreeSet;

use super::Error;
use crate::kind::OutputRole;
use crate::pipeline::{DatasetId, InputSource, OutputId, Pipeline, Stage, StageId};
use crate::predict::{self, network::seen_by};
use crate::sched::done::done;
use crate::sched::session::Session;

/// A network and the images to choose from.
pub struct Taken {
    /// The network.
    pub network: OutputId,
    /// What it is called: `intra`, `intra.best`.
    pub called: String,
    /// The data set.
    pub dataset: DatasetId,
    /// Its name.
    pub dataset_name: String,
    /// What was taken without being named, and why.
    pub said: Vec<String>,
}

/// Fills in what isn't named.
///
/// # Errors
/// There is nothing to take, or several answers are left.
pub fn take(session: &mut Session, network: Option<(OutputId, String)>, dataset: Option<&str>) -> Result<Taken, Error> {
    let named = dataset.map(|name| find_dataset(&session.pipeline, name)).transpose()?;
    if let Some(dataset) = named {
        is_not_labelled(&session.pipeline, dataset)?;
    }
    let mut said = Vec::new();
    let (network, called) = match network {
        Some(named) => named,
        None => the_network(session, named, &mut said)?,
    };
    let dataset = match named {
        Some(dataset) => dataset,
        None => the_dataset(session, network.stage, &mut said)?,
    };
    let dataset_name = session.pipeline.dataset(dataset).name.clone();
    Ok(Taken { network, called, dataset, dataset_name, said })
}

/// Those of these stages that are up to date. Sources of other stages may be wrong, such as labels that aren't drawn yet.
fn up_to_date(session: &mut Session, stages: &[StageId]) -> Result<Vec<StageId>, predict::Error> {
    if let Ok(all) = done(session, stages) {
        return Ok(stages.iter().copied().filter(|id| all.iter().any(|done| done.stage == *id)).collect());
    }
    let (mut found, mut wrong) = (Vec::new(), None);
    for id in stages {
        match done(session, &[*id]) {
            Ok(lineage) if lineage.iter().any(|done| done.stage == *id) => found.push(*id),
            Ok(_) => {}
            Err(problems) => wrong = wrong.or(Some(problems)),
        }
    }
    match wrong {
        Some(problems) if found.is_empty() => Err(problems.into()),
        _ => Ok(found),
    }
}

fn find_dataset(pipeline: &Pipeline, name: &str) -> Result<DatasetId, Error> {
    let place = pipeline.datasets.iter().position(|dataset| dataset.name == name);
    place.map(DatasetId::at).ok_or_else(|| Error::NoDataset {
        name: name.to_owned(),
        known: pipeline.datasets.iter().map(|dataset| dataset.name.clone()).collect(),
    })
}

/// An error for a data set that the pipeline reads with its labels only: all its images have some. One that is read without them, too,
/// such as a target that is evaluated, may be chosen from: what it has labels for is then a trial.
fn is_not_labelled(pipeline: &Pipeline, dataset: DatasetId) -> Result<(), Error> {
    let readers = |with: bool| -> BTreeSet<String> {
        let reads = |stage: &&Stage| {
            stage.inputs.iter().any(|input| match input.from {
                InputSource::Dataset { dataset: read, labels } => read == dataset && labels == with,
                _ => false,
            })
        };
        pipeline.stages.iter().filter(reads).map(|stage| stage.family.clone()).collect()
    };
    let stages = readers(true);
    if stages.is_empty() || !readers(false).is_empty() {
        return Ok(());
    }
    Err(Error::HasLabels { name: pipeline.dataset(dataset).name.clone(), stages })
}

/// Of the trainings that are up to date the one that adapts to the data set and from which no other goes on.
fn the_network(
    session: &mut Session,
    dataset: Option<DatasetId>,
    said: &mut Vec<String>,
) -> Result<(OutputId, String), Error> {
    let all: Vec<StageId> = {
        let pipeline = &session.pipeline;
        pipeline.stage_ids().filter(|id| pipeline.stage(*id).is_training()).collect()
    };
    let trained = up_to_date(session, &all)?;
    let pipeline = &session.pipeline;
    if trained.is_empty() {
        return Err(Error::NoNetwork { file: pipeline.file.clone(), has_trainings: !all.is_empty() });
    }
    let adapts = |id: &StageId| {
        let target = target(pipeline, pipeline.stage(*id));
        target.is_some() && (dataset.is_none() || dataset == target)
    };
    let adapted: Vec<StageId> = trained.iter().copied().filter(adapts).collect();
    let candidates = if adapted.is_empty() { &trained } else { &adapted };
    let before: BTreeSet<StageId> = candidates
        .iter()
        .flat_map(|id| session.graph.ancestors(&[*id]).into_iter().filter(move |other| other != id))
        .collect();
    let last: Vec<StageId> = candidates.iter().copied().filter(|id| !before.contains(id)).collect();
    let [stage] = last[..] else {
        let names = last.iter().map(|id| pipeline.stage(*id).name.clone()).collect();
        return Err(Error::SeveralNetworks { names });
    };
    let called = pipeline.stage(stage).name.clone();
    let others = if trained.len() > 1 { ", the last one of those that are up to date and adapt" } else { "" };
    said.push(format!("by the network of `{called}`{others}; --stage names another"));
    let outputs = &pipeline.stage(stage).outputs;
    let weights = outputs.iter().position(|output| output.role == OutputRole::Weights && !output.by_name);
    Ok((OutputId { stage, output: weights.expect("a training has weights") }, called))
}

/// The data set that a network adapts to; else the only one that is read without labels.
fn the_dataset(session: &Session, stage: StageId, said: &mut Vec<String>) -> Result<DatasetId, Error> {
    let pipeline = &session.pipeline;
    let unlabelled: BTreeSet<DatasetId> = pipeline.stages.iter().flat_map(unlabelled).collect();
    let own = target(pipeline, pipeline.stage(stage));
    let from_before = || {
        let before = session.graph.ancestors(&[stage]).into_iter().map(|id| target(pipeline, pipeline.stage(id)));
        let targets: BTreeSet<DatasetId> = before.flatten().collect();
        if let [one] = targets.into_iter().collect::<Vec<_>>()[..] { Some(one) } else { None }
    };
    let only = || if unlabelled.len() == 1 { unlabelled.first().copied() } else { None };
    let Some(dataset) = own.or_else(from_before).or_else(only) else {
        let names = unlabelled.iter().map(|id| pipeline.dataset(*id).name.clone()).collect();
        return Err(Error::WhichDataset { names });
    };
    if unlabelled.len() > 1 {
        let name = &pipeline.dataset(dataset).name;
        said.push(format!(
            "images of `{name}`, which `{}` adapts to; --dataset names another",
            pipeline.stage(stage).name
        ));
    }
    Ok(dataset)
}

/// The data sets that a stage reads without their labels.
fn unlabelled(stage: &Stage) -> impl Iterator<Item = DatasetId> + '_ {
    stage.inputs.iter().filter_map(|input| match input.from {
        InputSource::Dataset { dataset, labels: false } => Some(dataset),
        _ => None,
    })
}

/// The data set that a training adapts to, if it does.
fn target(pipeline: &Pipeline, stage: &Stage) -> Option<DatasetId> {
    let seen = seen_by(pipeline, stage).filter(|_| stage.is_training())?;
    unlabelled(stage).find(|id| pipeline.dataset(*id).name == seen.name)
}
