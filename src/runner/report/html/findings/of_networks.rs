//! Findings about evaluated networks: what they predict, and what a step did to them.
//!
//! Knows confusion matrices and differences of mIoU.

use std::collections::BTreeSet;

use super::super::evaluation::{Evaluation, Model};
use super::super::markup::percent;
use super::super::sweep::{Setting, Step, typographic};
use super::super::workspace::Workspace;
use super::advice::{Basis, Origin};
use super::finding::Finding;
use crate::kind::training::is_learnt_from;
use crate::measures;
use crate::pipeline::{Class, InputSource, StageId, Which};
use crate::results::evidence;
use crate::results::metrics::CHANCE;
use intrada_statistics::evidence::SEEDS_FOR_A_VERDICT;

/// Share of all pixels: no street, room or field has this much of one class.
const ONE_CLASS: f64 = 0.9;

/// The pixels of a network's predictions by class, and of the labels.
pub(super) fn pixels(confusion: &[Vec<u64>]) -> (Vec<u64>, Vec<u64>) {
    let predicted = |class: usize| confusion.iter().filter_map(|row| row.get(class)).sum();
    ((0..confusion.len()).map(predicted).collect(), confusion.iter().map(|row| row.iter().sum()).collect())
}

pub(super) fn one_class(of: &Evaluation, model: &Model, classes: &[Class], origin: Origin) -> Option<Finding> {
    let (predicted, labelled) = pixels(&model.measured.confusion);
    let all = predicted.iter().sum::<u64>().max(1) as f64;
    let share = |pixels: u64| pixels as f64 / all;
    let class =
        (0..predicted.len()).find(|class| share(predicted[*class]) > ONE_CLASS.max(share(labelled[*class]) + 0.1))?;
    Some(Finding {
        found: format!(
            "{} predicts {} for {} % of all pixels on {}; {} % are labelled so",
            model.member,
            classes.get(class)?.name,
            percent(Some(share(predicted[class]))),
            of.dataset,
            percent(Some(share(labelled[class])))
        ),
        advice: match origin {
            Origin::Training(Some(knob)) => {
                format!("the training has collapsed: try a lower learning_rate, or {knob}")
            }
            Origin::Training(None) => {
                "the training has collapsed, or was too short: lower its learning_rate, or give it more iterations"
                    .to_owned()
            }
            Origin::File => "check that the file fits this network, these classes and this preprocessing".to_owned(),
        },
        section: "results",
        says: classes.get(class)?.name.clone(),
    })
}

/// Classes in the labels that are never predicted, or never correctly.
pub(super) fn lost(of: &Evaluation, model: &Model, classes: &[Class], origin: Origin) -> Option<Finding> {
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
            model.member,
            parts.join(" and "),
            of.dataset,
            of.name
        ),
        advice: match origin {
            Origin::Training(knob) => {
                let cure = knob.map_or("more iterations may help".to_owned(), |knob| format!("{knob} may help"));
                format!("check whether its training labels have enough of it, and what it is confused with; {cure}")
            }
            Origin::File => "check whether the file was trained on that class, and what it is confused with".to_owned(),
        },
        section: "results",
        says: parts.join(" and "),
    })
}

/// A step that made things worse by more than chance. `at`: the setting, where there are several.
pub(super) fn falls_behind(setting: &Setting, step: &Step, at: &str, basis: &Basis) -> Option<Finding> {
    let difference = &step.difference;
    if setting.is_of_source || !step.is_worse {
        return None;
    }
    let [before, judged] = [step.from, step.to].map(|at| setting.networks[at].0.as_str());
    let at = if at.is_empty() { String::new() } else { format!(" ({at})") };
    let over = evidence::over(difference).map(|over| format!(" {over}")).unwrap_or_default();
    // Fewer seeds give no verdict, only what each of them shows.
    let seeds = match difference.spread.count {
        1 => " (one seed)".to_owned(),
        seeds if seeds < SEEDS_FOR_A_VERDICT => format!(" ({seeds} seeds, worse on each)"),
        _ => String::new(),
    };
    Some(Finding {
        found: format!(
            "{judged} is worse than {before} on {}{at}: {} points{over}{seeds}",
            setting.dataset,
            typographic(&evidence::points(difference))
        ),
        advice: match (basis.learns_pseudo_labels, basis.origin) {
            (true, _) => {
                let cure = if basis.is_ranked { "; try another lambda" } else { "" };
                format!("check the pseudo-labels' errors and the images that lost most{cure}")
            }
            (false, Origin::Training(Some(knob))) => format!("check the images that lost most; try {knob}"),
            (false, Origin::Training(None)) => "check the images that lost most; try more iterations".to_owned(),
            (false, Origin::File) => "check the images that lost most".to_owned(),
        },
        section: "pictures",
        says: String::new(),
    })
}

/// A teacher that is far from its student: one of the two is the wrong one to keep.
pub(super) fn teacher_apart(of: &Evaluation, teacher: &Model) -> Option<Finding> {
    if teacher.origin.which != Which::Teacher {
        return None;
    }
    let is_student = |model: &&Model| model.training == teacher.training && model.origin.which == Which::Last;
    let student = of.models.iter().find(is_student)?;
    let ahead = 100.0 * (teacher.measured.miou? - student.measured.miou?);
    let (better, worse, advice) = if ahead > 0.0 {
        (teacher, student, "the teacher is the network to keep: a lower learning_rate may bring the two together")
    } else {
        let advice = "the teacher still averages early networks: train for more iterations, or lower teacher_alpha";
        (student, teacher, advice)
    };
    (ahead.abs() > CHANCE).then(|| Finding {
        found: format!("{} is {:.1} points better than {} on {}", better.member, ahead.abs(), worse.member, of.dataset),
        advice: advice.to_owned(),
        section: "results",
        says: if ahead > 0.0 { "the teacher".to_owned() } else { "the student".to_owned() },
    })
}

/// A network that is evaluated at an image size that it wasn't trained on.
pub(super) fn other_size(workspace: &Workspace, of: &Evaluation, model: &Model) -> Option<Finding> {
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
    if seen.is_empty() || seen.contains(&measured) {
        return None;
    }
    let seen = seen.into_iter().map(measures::pixels).collect::<Vec<_>>().join(", ");
    let says = format!("is evaluated on {} at {} and was trained at {seen}", of.dataset, measures::pixels(measured));
    Some(Finding {
        found: format!("{} {says}", model.member),
        advice: "these networks depend on scale: give the evaluated data set a size of the training".to_owned(),
        section: "results",
        says,
    })
}

pub(in super::super) fn few_seeds(setting: &Setting) -> Option<Finding> {
    (setting.seeds() < SEEDS_FOR_A_VERDICT).then(|| Finding {
        found: match setting.seeds() {
            1 => "these numbers are of a single seed".to_owned(),
            seeds => format!("these numbers are of {seeds} seeds"),
        } + "; adversarial training differs by about 2 points from seed to seed",
        advice: "sweep the seed with seed = [1, 2, 3] in the matrix of each training; in the last one alone it repeats only that and \
                 what reads it"
            .to_owned(),
        section: "results",
        says: String::new(),
    })
}
