//! Findings: possible problems with their numbers, worst first, and what to try.
//!
//! Knows the other sections' data. Each check covers one known failure of adversarial adaptation; checks without data give
//! no finding. They only advise: with a single seed a finding may be chance, which is a finding, too.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use serde::Serialize;

use super::certainty::Certainty;
use super::evaluation::{Evaluation, Model};
use super::markup::percent;
use super::pseudo_labels::PseudoLabels;
use super::ranking::Ranking;
use super::sweep::{Setting, differences};
use super::training::{Training, best};
use super::workspace::Workspace;
use crate::kind::OutputRole;
use crate::kind::training::is_learnt_from;
use crate::measures::{count, plural};
use crate::pipeline::{Class, InputSource, Pipeline, StageId, Value};
use crate::results::compare::{SEEDS_FOR_A_GAIN, Spread};

/// In points of mIoU: adversarial training is known to vary by more between checkpoints.
const FAR_UNDER_BEST: f64 = 3.0;
/// The loss of a discriminator that can't tell the domains apart, with `gan = "vanilla"`: half of ln 2, as each of its two
/// terms is halved.
const CHANCE: f64 = std::f64::consts::LN_2 / 2.0;
/// The same with `gan = "ls"`: half of the squared distance from 0.5 to 0 or 1.
const CHANCE_OF_SQUARES: f64 = 0.125;
/// Share of all pixels: no street, room or field has this much of one class.
const ONE_CLASS: f64 = 0.9;
/// Mean entropy, of at most 1: a trained network is less confident than this at the edges of objects alone.
const CERTAIN: f64 = 0.005;

/// How many similar findings are shown directly.
const OPEN: usize = 2;
/// And behind a click; all are in the page's data.
const LISTED: usize = 24;

/// A finding. All of it is text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The finding, with its numbers.
    pub(super) found: String,
    /// What to try.
    pub(super) advice: String,
    /// The section that shows it: its id is its heading in lower case.
    pub(super) section: &'static str,
}

/// The data for the checks.
pub(super) struct Looked<'a> {
    pub(super) evaluations: &'a [Evaluation],
    pub(super) trainings: &'a [Training],
    pub(super) certainties: &'a [Certainty],
    pub(super) rankings: &'a [Ranking],
    pub(super) pseudo_labels: &'a [PseudoLabels],
    pub(super) settings: &'a [Setting],
}

/// All findings, worst first.
pub(super) fn gather(workspace: &Workspace, looked: &Looked) -> Vec<Finding> {
    let classes = &workspace.pipeline.classes;
    let models = || looked.evaluations.iter().flat_map(|of| of.models.iter().map(move |model| (of, model)));
    let origin = |model: &Model| Origin::of(workspace.pipeline, model.training);
    let mut found: Vec<Finding> = Vec::new();
    found.extend(models().filter_map(|(of, model)| one_class(of, model, classes, origin(model))));
    found.extend(models().filter_map(|(of, model)| lost(of, model, classes, origin(model))));
    let looking = |certainty: &Certainty| Origin::of(workspace.pipeline, training_behind(workspace, certainty.stage));
    found.extend(looked.certainties.iter().filter_map(|certainty| collapsed(certainty, looking(certainty))));
    let missing = |labels| missing(labels, classes, &Cut::of(workspace.pipeline, labels));
    found.extend(looked.pseudo_labels.iter().filter_map(missing));
    let behind = |setting| falls_behind(setting, &step(workspace, looked.evaluations, setting));
    found.extend(looked.settings.iter().filter_map(behind));
    found.extend(looked.trainings.iter().filter_map(discriminator));
    found.extend(looked.trainings.iter().filter_map(under_best));
    found.extend(unlike_splits(looked.rankings));
    found.extend(models().filter_map(|(of, model)| other_size(workspace, of, model)));
    found.extend(looked.settings.first().and_then(few_seeds));
    found
}

/// Where a network comes from, which determines the advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A file; its training is unknown.
    File,
    /// A training here, and the key of its method's adaptation weight; `source-only` has none.
    Training(Option<&'static str>),
}

impl Origin {
    fn of(pipeline: &Pipeline, stage: Option<StageId>) -> Origin {
        let Some(stage) = stage.map(|id| pipeline.stage(id)).filter(|stage| stage.is_training()) else {
            return Origin::File;
        };
        let weights = ["entropy_weight", "adversarial_weight"];
        Origin::Training(weights.into_iter().find(|key| stage.parameter(key).is_some()))
    }
}

/// The stage whose network an entropy inference uses.
fn training_behind(workspace: &Workspace, inference: StageId) -> Option<StageId> {
    match workspace.pipeline.stage(inference).input("weights")?.from {
        InputSource::Output { output, .. } => Some(output.stage),
        _ => None,
    }
}

/// What decides which pixels get a pseudo-label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cut {
    /// Only the images of a ranking's easy part.
    is_ranked: bool,
    /// That ranking already weights rare classes like the released code.
    counts_rare: bool,
    /// Only a share of each class's pixels.
    keeps_a_share: bool,
}

impl Cut {
    fn of(pipeline: &Pipeline, labels: &PseudoLabels) -> Cut {
        let Some(stage) = pipeline.find(&labels.name).map(|id| pipeline.stage(id)) else { return Cut::default() };
        let ranking = stage.input("images").and_then(|input| match input.from {
            InputSource::Output { output, .. } => Some(pipeline.stage(output.stage)),
            _ => None,
        });
        let normalize = ranking.and_then(|ranking| ranking.parameter("normalize")).and_then(Value::as_text);
        Cut {
            is_ranked: ranking.is_some_and(|ranking| ranking.parameter("lambda").is_some()),
            counts_rare: normalize == Some("rare-classes-code"),
            keeps_a_share: stage.parameter("keep").is_some(),
        }
    }

    fn advice(self) -> String {
        let cures = [
            (self.is_ranked, "raise lambda"),
            (self.is_ranked && !self.counts_rare, "rank with normalize = \"rare-classes-code\""),
            (self.keeps_a_share, "raise keep"),
        ];
        let cures: Vec<&str> = cures.iter().filter(|(fits, _)| *fits).map(|(_, cure)| *cure).collect();
        let cures =
            if cures.is_empty() { "train the network behind them longer".to_owned() } else { cures.join(", or ") };
        format!("classes without pseudo-labels are forgotten: {cures}")
    }
}

/// The step that a sentence is about: what the judged network learns from.
struct Step {
    origin: Origin,
    learns_pseudo_labels: bool,
    is_ranked: bool,
}

fn step(workspace: &Workspace, evaluations: &[Evaluation], setting: &Setting) -> Step {
    let evaluation = setting.members.first().and_then(|id| evaluations.iter().find(|of| of.stage == *id));
    let judged = evaluation.zip(setting.compared).and_then(|(of, (_, judged))| of.models.get(judged));
    let makes = |wanted: OutputRole| {
        let stages = judged.into_iter().flat_map(|model| &model.came_from);
        stages.map(|id| workspace.pipeline.stage(*id)).any(|stage| stage.outputs.iter().any(|o| o.role == wanted))
    };
    Step {
        origin: Origin::of(workspace.pipeline, judged.and_then(|model| model.training)),
        learns_pseudo_labels: makes(OutputRole::Labels),
        is_ranked: makes(OutputRole::RankingTable),
    }
}

/// The pixels of a network's predictions by class, and of the labels.
fn pixels(confusion: &[Vec<u64>]) -> (Vec<u64>, Vec<u64>) {
    let predicted = |class: usize| confusion.iter().filter_map(|row| row.get(class)).sum();
    ((0..confusion.len()).map(predicted).collect(), confusion.iter().map(|row| row.iter().sum()).collect())
}

fn one_class(of: &Evaluation, model: &Model, classes: &[Class], origin: Origin) -> Option<Finding> {
    let (predicted, labelled) = pixels(&model.measured.confusion);
    let all = predicted.iter().sum::<u64>().max(1) as f64;
    let share = |pixels: u64| pixels as f64 / all;
    let class =
        (0..predicted.len()).find(|class| share(predicted[*class]) > ONE_CLASS.max(share(labelled[*class]) + 0.1))?;
    Some(Finding {
        found: format!(
            "{} predicts {} for {} % of all pixels on {}; {} % are labelled so",
            model.name,
            classes.get(class)?.name,
            percent(Some(share(predicted[class]))),
            of.dataset,
            percent(Some(share(labelled[class])))
        ),
        advice: match origin {
            Origin::Training(Some(weight)) => {
                format!("the training has collapsed: lower its learning_rate or its {weight}")
            }
            Origin::Training(None) => {
                "the training has collapsed, or was too short: lower its learning_rate, or give it more iterations"
                    .to_owned()
            }
            Origin::File => "check that the file fits this network, these classes and this preprocessing".to_owned(),
        },
        section: "results",
    })
}

/// Classes in the labels that are never predicted, or never correctly.
fn lost(of: &Evaluation, model: &Model, classes: &[Class], origin: Origin) -> Option<Finding> {
    let confusion = &model.measured.confusion;
    let (predicted, labelled) = pixels(confusion);
    let named = |is_one: &dyn Fn(usize) -> bool| -> Vec<&str> {
        let all = 0..confusion.len().min(classes.len());
        all.filter(|class| labelled[*class] > 0 && is_one(*class)).map(|class| classes[class].name.as_str()).collect()
    };
    let never = named(&|class| predicted[class] == 0);
    let wrongly = named(&|class| predicted[class] > 0 && confusion[class][class] == 0);
    let never =
        Some(never).filter(|names| !names.is_empty()).map(|names| format!("never predicts {}", names.join(", ")));
    let wrongly = Some(wrongly).filter(|names| !names.is_empty());
    let wrongly = wrongly.map(|names| format!("is never right where it predicts {}", names.join(", ")));
    let parts: Vec<String> = never.into_iter().chain(wrongly).collect();
    (!parts.is_empty()).then(|| Finding {
        found: format!(
            "{} {} on {}, although they occur there ({})",
            model.name,
            parts.join(" and "),
            of.dataset,
            of.name
        ),
        advice: match origin {
            Origin::Training(weight) => {
                let cure =
                    weight.map_or("more iterations may help".to_owned(), |weight| format!("a lower {weight} may help"));
                format!("check whether its training labels have enough of it, and what it is confused with; {cure}")
            }
            Origin::File => "check whether the file was trained on that class, and what it is confused with".to_owned(),
        },
        section: "results",
    })
}

/// The entropy of an overconfident network carries no information: neither for images nor for pixels.
fn collapsed(certainty: &Certainty, origin: Origin) -> Option<Finding> {
    (certainty.mean < CERTAIN).then(|| Finding {
        found: format!(
            "the network of {} is confident everywhere: a mean entropy of {:.4}, where 1 is uniform",
            certainty.name, certainty.mean
        ),
        advice: match origin {
            Origin::Training(Some(weight)) => {
                format!(
                    "a ranking by it means little: lower the {weight} of its training, or train it for fewer iterations"
                )
            }
            Origin::Training(None) => "a ranking by it means little: train it for fewer iterations".to_owned(),
            Origin::File => {
                "a ranking by it means little: check that the file fits this network and preprocessing".to_owned()
            }
        },
        section: "ranking",
    })
}

fn missing(labels: &PseudoLabels, classes: &[Class], cut: &Cut) -> Option<Finding> {
    let absent = classes.iter().zip(&labels.shares).filter(|(_, share)| **share == 0.0);
    let names: Vec<&str> = absent.map(|(class, _)| class.name.as_str()).collect();
    (!names.is_empty()).then(|| Finding {
        found: format!("the labels of {} hold no {} (under 0.01 %)", labels.name, names.join(", ")),
        advice: cut.advice(),
        section: "pseudo-labels",
    })
}

fn falls_behind(setting: &Setting, step: &Step) -> Option<Finding> {
    let ((before, old), (judged, new)) =
        setting.compared.map(|(old, new)| (&setting.networks[old], &setting.networks[new]))?;
    let Spread { mean, count, .. } = Spread::of(&differences(old, new))?;
    (mean < 0.0).then(|| Finding {
        found: format!(
            "{judged} is {:.1} points below {before} on {} ({})",
            -mean,
            setting.dataset,
            plural(count, "seed")
        ),
        advice: match (step.learns_pseudo_labels, step.origin) {
            (true, _) => {
                let cure = if step.is_ranked { "; try another lambda" } else { "" };
                format!("check the pseudo-labels' errors and the images that lost most{cure}")
            }
            (false, Origin::Training(Some(weight))) => format!("check the images that lost most; try another {weight}"),
            (false, Origin::Training(None)) => "check the images that lost most; try more iterations".to_owned(),
            (false, Origin::File) => "check the images that lost most".to_owned(),
        },
        section: "pictures",
    })
}

/// A discriminator that is always right or at chance gives no useful gradient.
fn discriminator(training: &Training) -> Option<Finding> {
    let (source, target) = (training.losses.get("d_main_s")?.end, training.losses.get("d_main_t")?.end);
    let chance = if training.minimises_squares { CHANCE_OF_SQUARES } else { CHANCE };
    let (what, advice) = if source < 0.01 && target < 0.01 {
        (
            "always right",
            "the generator learns nothing from it: lower discriminator_learning_rate or discriminator_width",
        )
    } else if (source - chance).abs() < 0.003 && (target - chance).abs() < 0.003 {
        (
            "no better than chance",
            "either the domains are already aligned, or the discriminator learns too slowly: raise discriminator_learning_rate",
        )
    } else {
        return None;
    };
    Some(Finding {
        found: format!(
            "the discriminator of {} is {what} in the last tenth of the iterations: a loss of {source:.3} on the source, \
             {target:.3} on the target",
            training.name
        ),
        advice: advice.to_owned(),
        section: "training",
    })
}

fn under_best(training: &Training) -> Option<Finding> {
    let (best, last) = (best(&training.evaluations)?, training.evaluations.last()?);
    let under = 100.0 * (best.miou - last.miou);
    (under > FAR_UNDER_BEST).then(|| Finding {
        found: format!(
            "the last network of {} is {under:.1} points below its best, at iteration {}",
            training.name,
            count(best.iteration)
        ),
        advice: "stopping there would need labels: lower learning_rate, or train for fewer iterations".to_owned(),
        section: "training",
    })
}

/// Rankings that differ only by the seed but have different easy images: closer to a random draw than to each other.
fn unlike_splits(rankings: &[Ranking]) -> Option<Finding> {
    let mut alike: BTreeMap<_, Vec<(&Ranking, BTreeSet<&str>)>> = BTreeMap::new();
    for ranking in rankings {
        alike.entry((&ranking.family, &ranking.setting)).or_default().push((ranking, ranking.easy().collect()));
    }
    let pairs = alike.values().flat_map(|group| {
        (0..group.len()).flat_map(move |one| (one + 1..group.len()).map(move |other| (&group[one], &group[other])))
    });
    let unlike = pairs.filter_map(|((one, easy), (other, others))| {
        let shared = easy.intersection(others).count() as f64 / easy.len().max(1) as f64;
        let chance = others.len() as f64 / other.images().max(1) as f64;
        (shared < (1.0 + chance) / 2.0).then_some((shared, chance, one, other))
    });
    let (shared, chance, one, other) = unlike.min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(Finding {
        found: format!(
            "the split depends on the seed: of the easy images of {}, {} % are easy in {}; by chance {} % would be",
            one.name,
            percent(Some(shared)),
            other.name,
            percent(Some(chance))
        ),
        advice: "the split says more of the seed than of the images: train the network behind the scores longer, or give all \
                 seeds one split"
            .to_owned(),
        section: "ranking",
    })
}

/// A network that is evaluated at an image size that it wasn't trained on.
fn other_size(workspace: &Workspace, of: &Evaluation, model: &Model) -> Option<Finding> {
    let pipeline = workspace.pipeline;
    let sizes = |stage: StageId| {
        pipeline.stage(stage).inputs.iter().filter_map(|input| match (&*input.role, &input.from) {
            (role, InputSource::Dataset { dataset, .. })
                if is_learnt_from(role) || ["target", "images"].contains(&role) =>
            {
                Some(pipeline.dataset(*dataset).size)
            }
            _ => None,
        })
    };
    let InputSource::Dataset { dataset, .. } = pipeline.stage(of.stage).input("dataset")?.from else { return None };
    let measured = pipeline.dataset(dataset).size?;
    let seen = workspace.graph.ancestors(&[model.training?]).into_iter().flat_map(sizes);
    // Images in their stored size may have any size.
    let seen: BTreeSet<[u32; 2]> = seen.collect::<Option<_>>()?;
    let words = |[width, height]: [u32; 2]| format!("{width} × {height}");
    (!seen.is_empty() && !seen.contains(&measured)).then(|| Finding {
        found: format!(
            "{} is evaluated on {} at {} and was trained at {}",
            model.name,
            of.dataset,
            words(measured),
            seen.into_iter().map(words).collect::<Vec<_>>().join(", ")
        ),
        advice: "these networks depend on scale: give the evaluated data set a size of the training".to_owned(),
        section: "results",
    })
}

pub(super) fn few_seeds(setting: &Setting) -> Option<Finding> {
    (setting.seeds() < SEEDS_FOR_A_GAIN).then(|| Finding {
        found: match setting.seeds() {
            1 => "these numbers are of a single seed".to_owned(),
            seeds => format!("these numbers are of {seeds} seeds"),
        } + "; adversarial training differs by about 2 points from seed to seed",
        advice: "sweep the seed with seed = [1, 2, 3]: in the first training's matrix it repeats all later stages; in the last \
                 training's only that one and what reads it"
            .to_owned(),
        section: "results",
    })
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
