//! Images used for both training and evaluation: reported, as such an evaluation says nothing about new images.
//!
//! Compares contents, never names: a copy under another name is the same image. Only images whose labels a training reads
//! count; evaluating on a target is usual. So is evaluating on the source itself, from which all networks have learnt alike; but a
//! network that has learnt from the evaluated data set beside one that hasn't is not compared with it.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::found::{Content, Found};
use crate::digest::FileDigest;
use crate::exec::job;
use crate::kind::OutputRole;
use crate::kind::training::{LABELLED, is_learnt_from};
use crate::pipeline::{Dataset, DatasetId, InputSource, MeasuredNetwork, OutputId, Pipeline, Problem, Stage, StageId};

/// `found`: the data sets that have been read.
pub fn problems<'a>(pipeline: &Pipeline, found: impl Iterator<Item = (DatasetId, &'a Found)>) -> Vec<Problem> {
    let (learnt, measured) = roles(pipeline);
    let found: Vec<(DatasetId, &Found)> = found.collect();
    let images: HashMap<DatasetId, HashSet<FileDigest>> = found
        .iter()
        .copied()
        .filter(|(id, _)| learnt.contains_key(id) || measured.contains(id))
        .map(|(id, found)| (id, images(found)))
        .collect();
    let mut problems = Vec::new();
    for (on, these) in measured.iter().filter_map(|id| Some((id, images.get(id)?))) {
        for (from, trainings) in learnt.iter().filter(|(from, _)| *from != on) {
            let both = images.get(from).map_or(0, |others| these.intersection(others).count());
            if both > 0 {
                let told = problem([both, these.len()], [on, from].map(|id| pipeline.dataset(*id)), trainings);
                problems.push(beside_evaluations(pipeline, told, [*on, *from]));
            }
        }
    }
    let is_read = |id: &StageId| {
        let dataset = pipeline.dataset_of(pipeline.stage(*id));
        found.iter().any(|(found, _)| Some(*found) == dataset)
    };
    problems.extend(pipeline.evaluations().filter(is_read).filter_map(|id| of_one_data_set(pipeline, id)));
    problems
}

/// Adds the evaluations of networks that have learnt from the other data set.
fn beside_evaluations(pipeline: &Pipeline, problem: Problem, [on, from]: [DatasetId; 2]) -> Problem {
    let evaluations = pipeline.evaluations().map(|id| pipeline.stage(id));
    evaluations.filter(|stage| pipeline.dataset_of(stage) == Some(on)).fold(problem, |problem, evaluation| {
        let taught = taught(pipeline, evaluation, from);
        // The members of a sweep have one place.
        if taught.is_empty() || problem.labels.iter().any(|label| label.span == evaluation.span) {
            return problem;
        }
        problem.beside(evaluation.span, format!("evaluates {}", taught.join(", ")))
    })
}

/// A warning if an evaluation measures networks on the very data set that has taught them.
fn of_one_data_set(pipeline: &Pipeline, evaluation: StageId) -> Option<Problem> {
    let evaluation = pipeline.stage(evaluation);
    let dataset = pipeline.dataset_of(evaluation)?;
    let taught = taught(pipeline, evaluation, dataset);
    let (have, them) = match taught.len() {
        0 => return None,
        1 => ("has", "it"),
        _ => ("have", "them"),
    };
    let title = format!(
        "{} {have} learnt from labels of `{}`, on which `{}` evaluates {them}",
        taught.join(", "),
        pipeline.dataset(dataset).name,
        evaluation.family
    );
    let problem = Problem::warning(title).at(evaluation.span, "").beside(pipeline.dataset(dataset).span, "");
    Some(problem.note("an evaluation on training images says nothing about new images"))
}

/// The networks of an evaluation that labels of a data set have taught, themselves or by an ancestor; none if it is the source of
/// all of them. Members of a sweep are named by their family.
fn taught(pipeline: &Pipeline, evaluation: &Stage, from: DatasetId) -> Vec<String> {
    let trained = |network: MeasuredNetwork<'_>| Some((network.name.to_owned(), network.training()?));
    let networks: Vec<(String, StageId)> = pipeline.measured_by(evaluation).filter_map(trained).collect();
    let learns = |training: StageId, is_wanted: &dyn Fn(&str) -> bool| {
        let is_it =
            |source: &InputSource| matches!(source, InputSource::Dataset { dataset, labels: true } if *dataset == from);
        let stages = lineage(pipeline, training);
        stages
            .into_iter()
            .flat_map(|id| &pipeline.stage(id).inputs)
            .any(|input| is_wanted(&input.role) && is_it(&input.from))
    };
    let is_source = |role: &str| role != LABELLED && is_learnt_from(role);
    if networks.iter().all(|(_, training)| learns(*training, &is_source)) {
        return Vec::new();
    }
    let mut taught = Vec::new();
    for (name, training) in networks.iter().filter(|(_, training)| learns(*training, &is_learnt_from)) {
        let stage = pipeline.stage(*training);
        let name = format!("`{}`", name.replacen(&stage.name, &stage.family, 1));
        if !taught.contains(&name) {
            taught.push(name);
        }
    }
    taught
}

/// A stage and its ancestors.
fn lineage(pipeline: &Pipeline, stage: StageId) -> BTreeSet<StageId> {
    let (mut known, mut open) = (BTreeSet::new(), vec![stage]);
    while let Some(next) = open.pop() {
        if !known.insert(next) {
            continue;
        }
        for input in &pipeline.stage(next).inputs {
            let producers: &[OutputId] = match &input.from {
                InputSource::Output { output, .. } => std::slice::from_ref(output),
                InputSource::Dataset { dataset, .. } => &pipeline.dataset(*dataset).producers,
                InputSource::Path { producers, .. } => producers,
            };
            open.extend(producers.iter().map(|output| output.stage));
        }
    }
    known
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of an evaluation on a data set, of three trainings from `s` and one from `t`.
    fn told(weights: &str, on: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let scenes = |name: &str| {
            format!(
                "[datasets.{name}]\nformat = \"scenes\"\nstyle = \"source\"\nseed = 1\ncount = 2\nsize = [64, 48]\n"
            )
        };
        let training = |name: &str, method: &str, rest: &str| {
            format!("[stages.{name}]\nkind = \"inter-training\"\nmodel = \"m\"\nmethod = \"{method}\"\n{rest}\n")
        };
        let file = dir.path().join("p.toml");
        let text = [
            "format = 1\n[pipeline]\nclasses = \"scenes-8\"\n[models.m]\narch = \"small\"\n".to_owned(),
            scenes("s") + &scenes("t") + &scenes("few") + &scenes("test"),
            training("before", "source-only", "source = \"s\""),
            training("inter", "minent", "source = \"s\"\ntarget = \"t\""),
            training("some", "minent", "source = \"s\"\ntarget = \"t\"\nlabelled = \"few\""),
            training("later", "minent", "source = \"s\"\ntarget = \"t\"\nweights = \"some\""),
            training("all", "source-only", "source = \"t\""),
            format!("[stages.e]\nkind = \"evaluation\"\ndataset = \"{on}\"\nweights = [{weights}]\n"),
        ];
        std::fs::write(&file, text.concat()).unwrap();
        let pipeline = crate::pipeline::load(&file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        of_one_data_set(&pipeline, pipeline.find("e").unwrap()).map(|problem| problem.title)
    }

    #[test]
    fn a_network_that_has_learnt_from_the_evaluated_data_set_is_named() {
        let few = "`some` has learnt from labels of `few`, on which `e` evaluates it";
        assert_eq!(told("\"some\"", "few").as_deref(), Some(few));
        let all = "`all` has learnt from labels of `t`, on which `e` evaluates it";
        assert_eq!(told("\"before\", \"inter\", \"all\"", "t").as_deref(), Some(all));
    }

    #[test]
    fn an_ancestor_that_has_learnt_from_it_counts() {
        let both = "`some`, `later` have learnt from labels of `few`, on which `e` evaluates them";
        assert_eq!(told("\"before\", \"some\", \"later\"", "few").as_deref(), Some(both));
    }

    #[test]
    fn an_evaluation_on_the_source_of_all_networks_or_on_other_images_is_usual() {
        assert_eq!(told("\"before\", \"inter\", \"some\"", "s"), None);
        assert_eq!(told("\"before\", \"inter\", \"all\"", "test"), None);
        assert_eq!(told("\"before\", \"inter\"", "t"), None);
    }
}
