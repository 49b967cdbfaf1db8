//! Findings: possible problems with their numbers, worst first, and what to try.
//!
//! Knows the other sections' data. Each check covers one known failure of adversarial adaptation or self-training; checks without
//! data give no finding. They only advise: with a single seed a finding may be chance, which is a finding, too.

mod advice;
mod finding;
mod of_networks;
mod of_rankings;
mod of_trainings;

use maud::{Markup, html};

use super::certainty::Certainty;
use super::evaluation::{Evaluation, Model};
use super::images::Images;
use super::pseudo_labels::PseudoLabels;
use super::ranking::Ranking;
use super::sweep::{Setting, Step, family_name, in_words};
use super::training::Training;
use super::workspace::Workspace;
use crate::kind::OutputRole;
use crate::pipeline::{Pipeline, StageId};

pub(super) use finding::Finding;
pub(super) use of_networks::few_seeds;

use advice::{Basis, Cut, Origin, training_behind};
use finding::{About, told_once};

/// How many similar findings are shown directly.
const OPEN: usize = 2;
/// And behind a click; all are in the page's data.
const LISTED: usize = 24;

/// The data for the checks.
pub(super) struct Looked<'a> {
    pub(super) evaluations: &'a [Evaluation],
    pub(super) trainings: &'a [Training],
    pub(super) certainties: &'a [Certainty],
    pub(super) rankings: &'a [Ranking],
    pub(super) pseudo_labels: &'a [PseudoLabels],
    pub(super) settings: &'a [Setting],
    pub(super) images: &'a [Images],
}

/// All findings, worst first. What is said alike of several members of a sweep is told once.
pub(super) fn gather(workspace: &Workspace, looked: &Looked) -> Vec<Finding> {
    let pipeline = workspace.pipeline;
    let classes = &pipeline.classes;
    let origin = |model: &Model| Origin::of(pipeline, model.training);
    let of_networks = |check: &dyn Fn(&Evaluation, &Model) -> Option<Finding>| {
        let models = looked.evaluations.iter().flat_map(|of| of.models.iter().map(move |model| (of, model)));
        let one = |(of, model): (&Evaluation, &Model)| Some((network(pipeline, of, model), check(of, model)?));
        told_once(models.filter_map(one))
    };
    let of_stages = |found: Vec<(&str, Option<Finding>)>| {
        let family = |name: &str| pipeline.find(name).map_or(name, |id| &pipeline.stage(id).family).to_owned();
        let about = |name: &str| About { family: family(name), member: name.to_owned() };
        told_once(found.into_iter().filter_map(|(name, finding)| Some((about(name), finding?))))
    };
    let mut found: Vec<Finding> = Vec::new();
    found.extend(of_networks(&|of, model| of_networks::one_class(of, model, classes, origin(model))));
    found.extend(of_networks(&|of, model| of_networks::lost(of, model, classes, origin(model))));
    let looking = |certainty: &Certainty| Origin::of(pipeline, training_behind(workspace, certainty.stage));
    let certain = looked.certainties.iter();
    found.extend(of_stages(certain.map(|of| (of.name.as_str(), of_rankings::collapsed(of, looking(of)))).collect()));
    let missing = |labels| of_rankings::missing(labels, classes, &Cut::of(pipeline, labels));
    found.extend(of_stages(looked.pseudo_labels.iter().map(|of| (of.name.as_str(), missing(of))).collect()));
    found.extend(steps_behind(pipeline, looked));
    let rankers = rankers(workspace);
    let inverted = |images: &Images| {
        let evaluation = looked.evaluations.iter().find(|of| of.stage == images.stage);
        let models = evaluation.into_iter().flat_map(|of| of.models.iter().map(move |model| (of, model)));
        let is_ranker = |(_, model): &(&Evaluation, &Model)| model.training.is_some_and(|id| rankers.contains(&id));
        let one = |(of, model): (&Evaluation, &Model)| {
            Some((network(pipeline, of, model), of_rankings::inverted(images, model, classes.len())?))
        };
        models.filter(is_ranker).filter_map(one).collect::<Vec<_>>()
    };
    found.extend(told_once(looked.images.iter().flat_map(inverted)));
    let trainings = || looked.trainings.iter();
    found.extend(of_stages(trainings().map(|of| (of.name.as_str(), of_trainings::discriminator(of))).collect()));
    found.extend(of_stages(trainings().map(|of| (of.name.as_str(), of_trainings::under_best(of))).collect()));
    found.extend(of_stages(trainings().map(|of| (of.name.as_str(), of_trainings::still_falling(of))).collect()));
    found.extend(of_networks(&of_networks::teacher_apart));
    found.extend(of_rankings::unlike_splits(looked.rankings));
    found.extend(of_networks(&|of, model| of_networks::other_size(workspace, of, model)));
    found.extend(looked.settings.first().and_then(few_seeds));
    found
}

/// What a finding about a network is about, whichever evaluation measures it.
fn network(pipeline: &Pipeline, of: &Evaluation, model: &Model) -> About {
    let family = format!("{} {}", family_name(pipeline, model), of.dataset);
    About { family, member: model.member.clone() }
}

/// The trainings whose networks give the scores of a ranking.
fn rankers(workspace: &Workspace) -> Vec<StageId> {
    let pipeline = workspace.pipeline;
    let is_ranking =
        |id: &StageId| pipeline.stage(*id).outputs.iter().any(|output| output.role == OutputRole::RankingTable);
    let rankings = pipeline.stage_ids().filter(is_ranking);
    let inferences = rankings.flat_map(|id| workspace.graph.ancestors(&[id]));
    inferences.filter_map(|id| training_behind(workspace, id)).collect()
}

/// The steps of all settings that made things worse. A setting is a member of a sweep, which the sentence names.
fn steps_behind(pipeline: &Pipeline, looked: &Looked) -> Vec<Finding> {
    let of_setting = |setting: &Setting| {
        let evaluation = setting.members.first().and_then(|id| looked.evaluations.iter().find(|of| of.stage == *id));
        let one = |step: &Step| {
            let basis = Basis::of(pipeline, evaluation.and_then(|of| of.models.get(step.to)));
            let at = step_at(pipeline, setting, step, evaluation);
            let [from, to] = [step.from, step.to].map(|at| setting.networks[at].0.as_str());
            let family = format!("{from} {to} {}", setting.dataset);
            let finding = of_networks::falls_behind(setting, step, &at, &basis)?;
            let member = if at.is_empty() { "with other settings".to_owned() } else { format!("at {at}") };
            Some((About { family, member }, finding))
        };
        setting.steps.iter().filter_map(one).collect::<Vec<_>>()
    };
    told_once(looked.settings.iter().flat_map(of_setting))
}

/// The setting of a step, without what neither of its networks depends on: in a sweep of λ all settings share the step from
/// `source-only` to `inter`. Empty if nothing is left.
fn step_at(pipeline: &Pipeline, setting: &Setting, step: &Step, evaluation: Option<&Evaluation>) -> String {
    let models: &[Model] = evaluation.map(|of| of.models.as_slice()).unwrap_or_default();
    let depends = |model: &Model, axis: &str| {
        let training = model.training.map(|id| pipeline.stage(id));
        training.is_some_and(|training| training.coordinates.iter().any(|at| at.axis == axis))
    };
    let is_told = |(axis, _): &&(String, String)| {
        let mut of_step = [step.from, step.to].into_iter().filter_map(|at| models.get(at));
        // What no network depends on is a setting of the evaluation itself.
        of_step.any(|model| depends(model, axis)) || !models.iter().any(|model| depends(model, axis))
    };
    in_words(setting.coordinates.iter().filter(is_told))
}

/// The section; none without findings. Similar findings, as in a sweep, are one item.
pub(super) fn render(findings: &[Finding]) -> Option<Markup> {
    let mut items = findings.chunk_by(|a, b| a.advice == b.advice).peekable();
    items.peek()?;
    Some(html! { ol.findings { @for alike in items { (item(alike)) } } })
}

/// Findings with the same advice.
fn item(alike: &[Finding]) -> Markup {
    let listed = &alike[..alike.len().min(LISTED)];
    let (open, rest) = listed.split_at(listed.len().min(OPEN));
    let Finding { advice, section, .. } = &alike[0];
    html! {
        li {
            (lines(open))
            @if !rest.is_empty() {
                details {
                    summary { "and " (alike.len() - OPEN) " alike" }
                    (lines(rest))
                    @if alike.len() > LISTED { br; "the others are in the page's data" }
                }
            }
            small { (advice) "; see " a href={ "#" (section) } { (section) } }
        }
        "\n"
    }
}

fn lines(findings: &[Finding]) -> Markup {
    html! { @for (at, finding) in findings.iter().enumerate() { @if at > 0 { br; } (finding.found) } }
}

#[cfg(test)]
mod tests;
