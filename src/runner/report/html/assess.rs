//! Assessment: whether adaptation was worth it, as a paragraph with its numbers and costs, for each setting evaluated on the target.
//!
//! Knows evaluations and traces. The rule is in `results::assess`; the page of its own and the command line show the same.

use maud::{Markup, Render as _, html};
use serde::Serialize;

use intrada_statistics::evidence::Difference;
use intrada_statistics::spread::Spread;

use super::document::{Data, document};
use super::evaluation::{self, Evaluation, Model};
use super::markup::{table, with_code};
use super::sweep::{family_name, grouped, pairs, typographic};
use super::workspace::{State, Workspace};
use crate::digest::FileDigest;
use crate::inputs::listing;
use crate::measures::{count, plural};
use crate::pipeline::{Format, StageId};
use crate::results::assess::{Advice, Labelled, Standing, Weighed, advise, hours_in_words, paragraph, standing};
use crate::results::evidence;

/// What is said about one setting.
#[derive(Debug, Serialize)]
pub struct Assessment {
    /// The evaluation, with coordinates in a sweep.
    pub evaluation: String,
    /// The data set.
    pub dataset: String,
    /// Its images.
    pub images: u64,
    /// How many seeds were evaluated.
    pub seeds: usize,
    /// What to do.
    pub advice: Advice,
    /// What is known of adaptation against none.
    pub adaptation: Standing,
    /// The advice with its reasons.
    pub paragraph: String,
    /// The networks, source-only first.
    pub networks: Vec<Weighted>,
}

/// One network of the comparison.
#[derive(Debug, Serialize)]
pub struct Weighted {
    /// Its name.
    pub name: String,
    /// mIoU in %, over seeds.
    pub miou: String,
    /// The same as a fraction: the mean over the seeds.
    pub miou_mean: Option<f64>,
    /// Its difference to source-only in points, with the interval; none for source-only itself.
    pub difference: Option<String>,
    /// The same as fractions: mean, and the ends of the 95 % interval.
    pub difference_mean: Option<f64>,
    /// See [`Weighted::difference_mean`].
    pub difference_interval: Option<[f64; 2]>,
    /// Hours of computing for it and its ancestors, each seed: threads times time on a CPU.
    pub cpu_hours: Option<f64>,
    /// Hours on a GPU.
    pub gpu_hours: Option<f64>,
    /// Labelled images of the target that it has learnt from.
    pub labelled_images: Option<u64>,
    /// Hours to label them, estimated.
    pub labelling_hours: Option<f64>,
}

/// Why nothing can be said about an evaluation.
#[derive(Debug, Serialize)]
pub struct Unknown {
    /// The evaluation; of a sweep that is known in part, the members that are not.
    pub evaluation: String,
    /// What is missing.
    pub why: String,
    /// Whether other members of its sweep are known.
    pub is_part: bool,
}

/// All that can be said. `minutes`: what it takes to label an image.
pub fn assess(workspace: &Workspace, minutes: f64) -> (Vec<Assessment>, Vec<Unknown>) {
    let evaluations = evaluation::gather(workspace);
    let (mut known, mut unknown) = (Vec::new(), without_results(workspace, &evaluations));
    for (family, coordinates, members) in grouped(workspace, &evaluations) {
        let at: Vec<String> = coordinates.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
        let evaluation = if at.is_empty() { family.to_owned() } else { format!("{family}[{}]", at.join(",")) };
        if members[0].is_of_source {
            let why = format!("{} is of the source domain, by which adaptation is not judged", members[0].dataset);
            unknown.push(Unknown { evaluation, why, is_part: false });
            continue;
        }
        match one(workspace, evaluation.clone(), &members, minutes) {
            Ok(assessment) => known.push(assessment),
            Err(why) => unknown.push(Unknown { evaluation, why, is_part: false }),
        }
    }
    (known, unknown)
}

/// The evaluations without current results: once for all members of a sweep that lack them for the same reason. Where others of
/// the sweep have results, these members are named.
fn without_results(workspace: &Workspace, evaluations: &[Evaluation]) -> Vec<Unknown> {
    // The sweep, the reason, and its members.
    let mut missing: Vec<(&str, String, Vec<&str>)> = Vec::new();
    let run = workspace.command();
    let has_results = |id: &StageId| evaluations.iter().any(|evaluation| evaluation.stage == *id);
    for id in workspace.pipeline.evaluations().filter(|id| !has_results(id)) {
        let why = match workspace.state(id) {
            State::NotRun => format!("no results in this workspace or its cache: `{run}` gives them"),
            State::Running => "still running".to_owned(),
            State::Failed => "failed in the last run".to_owned(),
            State::Skipped | State::Stopped => "the last run did not get there".to_owned(),
            State::Stale | State::Done => {
                format!(
                    "the results are missing, modified or of another version of the file: `{run}` brings them up to date"
                )
            }
        };
        let stage = workspace.pipeline.stage(id);
        match missing.iter_mut().find(|(family, other, _)| *family == stage.family && *other == why) {
            Some((_, _, members)) => members.push(stage.name.as_str()),
            None => missing.push((stage.family.as_str(), why, vec![stage.name.as_str()])),
        }
    }
    let is_known =
        |family: &str| evaluations.iter().any(|evaluation| workspace.pipeline.stage(evaluation.stage).family == family);
    let unknown = missing.into_iter().map(|(family, why, members)| {
        let is_part = is_known(family);
        let evaluation = if is_part { some(&members) } else { family.to_owned() };
        Unknown { evaluation, why, is_part }
    });
    unknown.collect()
}

/// `evaluate[seed=2], evaluate[seed=3] and 7 more`.
fn some(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

fn one(workspace: &Workspace, evaluation: String, members: &[&Evaluation], minutes: f64) -> Result<Assessment, String> {
    let first = members[0];
    let models = &first.models;
    let missing = |what: &str, how: &str| format!("it measures no network {what}: add {how} to its `weights`");
    let is_fair = |model: &Model| model.chosen_on.is_none() && !model.origin.has_learnt_these;
    let source_only = models.iter().position(|model| model.origin.is_source_only && is_fair(model));
    let source_only =
        source_only.ok_or_else(|| missing("without adaptation", "a training with method = \"source-only\""))?;
    let is_adapted = |model: &Model| {
        model.training.is_some() && !model.origin.is_source_only && !model.origin.is_supervised && is_fair(model)
    };
    let judged = first.compared().map(|(_, judged)| judged).filter(|at| is_adapted(&models[*at]));
    let adapted = judged.or_else(|| models.iter().rposition(is_adapted));
    let adapted = adapted.ok_or_else(|| missing("that was adapted without labels", "one"))?;
    let difference = |from: usize, to: usize| {
        Difference::of(&pairs(members, from, to)).ok_or_else(|| "a network has no mIoU there".to_owned())
    };
    let gain = difference(source_only, adapted)?;
    let supervised: Vec<usize> =
        (0..models.len()).filter(|at| models[*at].origin.is_supervised && is_fair(&models[*at])).collect();
    let taught: Vec<&str> =
        (0..models.len()).filter(|at| models[*at].origin.has_learnt_these).map(|at| models[at].name.as_str()).collect();
    let few = |at: &usize| labelled_images(workspace, &models[*at]).unwrap_or(u64::MAX);
    // An upper bound from all labels is shown, but few labels are what could be done.
    let labelled = supervised.iter().copied().min_by_key(few);
    let over =
        labelled.map(|at| Ok::<_, String>((at, difference(source_only, at)?, difference(adapted, at)?))).transpose()?;
    let names: Vec<String> = models.iter().map(|model| family_name(workspace.pipeline, model)).collect();
    let weighed = Weighed {
        source_only: &names[source_only],
        adapted: &names[adapted],
        gain: &gain,
        labelled: over.as_ref().map(|(at, over_source_only, over_adapted)| Labelled {
            name: &names[*at],
            images: labelled_images(workspace, &models[*at]),
            over_source_only,
            over_adapted,
        }),
        minutes,
    };
    let mut shown = first.steps();
    shown.retain(|at| *at != source_only);
    shown.insert(0, source_only);
    shown.extend([adapted].into_iter().chain(supervised).filter(|at| !shown.contains(at)).collect::<Vec<_>>());
    let weighted = |at: usize| {
        let mious: Vec<f64> = members.iter().filter_map(|of| of.models.get(at)?.measured.miou).collect();
        let labelled_images = labelled_images(workspace, &models[at]);
        let (cpu_hours, gpu_hours) = hours(workspace, &models[at]);
        let difference = if at == source_only { None } else { Some(difference(source_only, at)?) };
        let interval = difference.as_ref().and_then(Difference::interval);
        let miou = Spread::of(&mious);
        Ok(Weighted {
            name: names[at].clone(),
            miou: miou.map_or("–".to_owned(), |spread| spread.percent()),
            miou_mean: miou.map(|spread| spread.mean),
            difference: difference.as_ref().map(evidence::points),
            difference_mean: difference.as_ref().map(|difference| difference.spread.mean),
            difference_interval: interval.map(|interval| [interval.low, interval.high]),
            cpu_hours,
            gpu_hours,
            labelled_images,
            labelling_hours: labelled_images.map(|images| images as f64 * minutes / 60.0),
        })
    };
    Ok(Assessment {
        evaluation,
        dataset: first.dataset.clone(),
        images: models[source_only].measured.images,
        seeds: gain.spread.count,
        advice: advise(&weighed),
        adaptation: standing(&gain),
        paragraph: paragraph(&weighed) + &left_out(&taught),
        networks: shown.into_iter().map(weighted).collect::<Result<_, String>>()?,
    })
}

/// A sentence on the networks that are not weighed; empty if there are none.
fn left_out(taught: &[&str]) -> String {
    match taught {
        [] => String::new(),
        [one] => format!(" {one} is left out: it has learnt from labels of these images."),
        several => format!(" {} are left out: they have learnt from labels of these images.", several.join(" and ")),
    }
}

/// Of the trainings behind a network that learn from labels of the target: their labelled images, each data set once. None for a
/// network that has learnt from none, or if a number is unknown.
fn labelled_images(workspace: &Workspace, model: &Model) -> Option<u64> {
    if !model.origin.is_supervised {
        return None;
    }
    let pipeline = workspace.pipeline;
    let mut sets = std::collections::BTreeMap::new();
    for id in &model.origin.came_from {
        let stage = pipeline.stage(*id);
        for input in stage.inputs.iter().filter(|_| stage.is_training()) {
            if let Some(dataset) = pipeline.gives_target_labels(input) {
                sets.insert(dataset, images_read(workspace, *id, &input.role, dataset));
            }
        }
    }
    sets.into_values().sum()
}

/// How many images of a data set a stage has read, by its record.
fn images_read(workspace: &Workspace, stage: StageId, role: &str, dataset: crate::pipeline::DatasetId) -> Option<u64> {
    if let Format::Scenes { count, .. } = workspace.pipeline.dataset(dataset).format {
        return Some(u64::from(count));
    }
    let trace = workspace.trace(stage)?;
    let listing = trace.manifest["inputs"][role]["listing"].as_str()?.parse().ok()?;
    listing::images(&workspace.object(FileDigest(listing))?).map(|images| images as u64)
}

/// What a network and its ancestors have cost: on CPUs (time × threads) and on GPUs; none where it isn't recorded.
fn hours(workspace: &Workspace, model: &Model) -> (Option<f64>, Option<f64>) {
    let (mut cpu, mut gpu) = (None, None);
    for trace in model.origin.came_from.iter().filter_map(|id| workspace.trace(*id)) {
        let threads = trace.note.get("threads").and_then(|threads| threads.parse::<f64>().ok()).unwrap_or(1.0);
        let is_gpu = trace.note.get("device").is_some_and(|device| device.starts_with("cuda"));
        let (sum, share) = if is_gpu { (&mut gpu, 1.0) } else { (&mut cpu, threads) };
        *sum.get_or_insert(0.0) += share * trace.seconds / 3600.0;
    }
    (cpu, gpu)
}

impl Weighted {
    /// `12 CPU min`, `2.4 CPU h, 3.1 GPU h`.
    pub fn computing(&self) -> String {
        let part = |hours: Option<f64>, of: &str| {
            let in_words = |hours: f64| {
                if hours < 1.0 {
                    format!("{:.0} {of} min", (60.0 * hours).ceil())
                } else {
                    format!("{hours:.1} {of} h")
                }
            };
            hours.map(in_words)
        };
        let parts: Vec<String> =
            [part(self.cpu_hours, "CPU"), part(self.gpu_hours, "GPU")].into_iter().flatten().collect();
        if parts.is_empty() { "–".to_owned() } else { parts.join(", ") }
    }

    /// `20 images, about 30 h`.
    pub fn labelling(&self) -> String {
        match (self.labelled_images, self.labelling_hours) {
            (Some(images), Some(hours)) => {
                format!("{}, about {}", plural(images as usize, "image"), hours_in_words(hours))
            }
            _ => "–".to_owned(),
        }
    }
}

impl Assessment {
    /// `evaluate on target-test, 204 images, 3 seeds`.
    pub fn place(&self) -> String {
        let (images, seeds) = (count(self.images), plural(self.seeds, "seed"));
        format!("{} on {}, {images} images, {seeds}", self.evaluation, self.dataset)
    }
}

/// The heads of the table.
pub const HEADS: [&str; 5] = ["network", "mIoU in %", "difference to source-only", "computing", "labelling"];

/// The page of its own.
pub fn page(workspace: &Workspace, assessments: &[Assessment], unknown: &[Unknown], minutes: f64) -> String {
    let row = |network: &Weighted| {
        vec![
            network.name.render(),
            network.miou.render(),
            typographic(network.difference.as_deref().unwrap_or("")).render(),
            network.computing().render(),
            network.labelling().render(),
        ]
    };
    let body: Markup = html! {
        header { h1 { "Is adaptation worth it? " (workspace.pipeline.name) } }
        main id="main" {
            @for assessment in assessments {
                section {
                    h2 { (assessment.place()) }
                    (advised(&assessment.paragraph))
                    div.assessed { (table(&HEADS, &assessment.networks.iter().map(row).collect::<Vec<_>>())) }
                }
            }
            @for unknown in unknown { p.note { (unknown.evaluation) ": " (with_code(&unknown.why)) "." } }
            p.note {
                "The rule: what helps is what is shown to be better than source-only, labels by at least a point. If both adaptation \
                 and labels help, it is labels if they are a point better on average. Shown: a 95 % interval over seeds and images that \
                 does not hold 0, or at least 2 points on each of three seeds or more; with fewer seeds an interval over images, and at \
                 least 2 points. Labelling is estimated with "
                (minutes) " minutes per image."
            }
        }
    };
    document(
        &format!("assessment of {}", workspace.pipeline.name),
        None,
        &body,
        "",
        &Data::of_numbers(serde_json::json!({ "assessments": assessments })),
    )
}

/// The paragraph with its first sentence, what to do, in bold.
fn advised(paragraph: &str) -> Markup {
    let (to_do, why) = paragraph.split_once(". ").unwrap_or((paragraph.trim_end_matches('.'), ""));
    html! { p.sentence { b { (to_do) "." } " " (with_code(&typographic(why))) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_once_what_to_do_and_commands_are_code() {
        let html = advised("Keep source-only. Adaptation harms: intra -1.0 points. `intrada-run label` chooses.").0;
        assert_eq!(
            html,
            "<p class=\"sentence\"><b>Keep source-only.</b> Adaptation harms: intra −1.0 points. \
             <code>intrada-run label</code> chooses.</p>"
        );
    }
}
