//! Pseudo-labels: the share of each class, and some labels over their photographs, with their entropy.
//!
//! Knows the labels' folder and the stage's notes. The shares come from the notes: counting again would read every label.

use maud::{Markup, html};

use super::evaluation::IN_FULL;
use super::inference::{Inference, Seen};
use super::markup::{Part, parts};
use super::photographs::Photographs;
use super::picture::{Scale, key};
use super::shares::{Shares, beside};
use super::workspace::Workspace;
use crate::dataset::survey::spread;
use crate::kind::OutputRole;
use crate::pipeline::{Class, StageId};
use crate::results::map::Map;

/// Number of labels shown.
const SHOWN: usize = 6;
/// For how many stages labels are shown: those of a sweep's members are similar.
const IN_PICTURES: usize = 3;

/// The pseudo-labels of one stage.
pub(super) struct PseudoLabels {
    /// The stage.
    stage: StageId,
    /// Its name.
    pub(super) name: String,
    /// From the stage's notes: how many, and the labelled share.
    summary: String,
    /// In the order of the classes, 0 to 1; empty if the stage didn't record them.
    pub(super) shares: Vec<f64>,
    examples: Vec<Seen>,
}

/// Every pseudo-labelling with current results; of a large sweep the first have labels to show.
pub(super) fn gather(workspace: &Workspace, photographs: &mut Photographs) -> Vec<PseudoLabels> {
    let mut all: Vec<PseudoLabels> = Vec::new();
    for (id, _) in workspace.stages() {
        let shown = if all.len() < IN_PICTURES { SHOWN } else { 0 };
        all.extend(one(workspace, id, shown, photographs));
    }
    all
}

fn one(workspace: &Workspace, id: StageId, shown: usize, photographs: &mut Photographs) -> Option<PseudoLabels> {
    workspace.artifact(id, OutputRole::Labels)?;
    let stage = workspace.pipeline.stage(id);
    let mut files = if shown > 0 { workspace.files(id, OutputRole::Labels) } else { Vec::new() };
    files.sort();
    let inference = Inference::of(workspace, workspace.producer(stage, "predictions").filter(|_| shown > 0));
    let mut example = |(path, object): &(std::path::PathBuf, _)| {
        let label = Map::decode(&workspace.object(*object)?)?.small();
        let mut seen = inference.seen(workspace, &path.to_string_lossy(), photographs);
        seen.classes = Some(label);
        // The label's extension isn't the image's.
        seen.image = path.with_extension("").display().to_string();
        Some(seen)
    };
    let notes = workspace.trace(id).map(|trace| trace.note).unwrap_or_default();
    let noted = |name: &str| notes.get(name).cloned().unwrap_or_default();
    Some(PseudoLabels {
        stage: id,
        name: stage.name.clone(),
        summary: noted("summary"),
        shares: shares(&noted("classes"), workspace.pipeline.classes.len()),
        examples: spread(&files, shown.max(1)).take(shown).filter_map(&mut example).collect(),
    })
}

/// Parses `road 12.50 %, sky 3.10 %`; empty if it has another form or number of classes.
fn shares(noted: &str, classes: usize) -> Vec<f64> {
    let share = |part: &str| part.strip_suffix(" %")?.rsplit(' ').next()?.parse::<f64>().ok();
    let shares: Vec<f64> = noted.split(", ").filter_map(share).map(|share| share / 100.0).collect();
    if shares.len() == classes { shares } else { Vec::new() }
}

/// The section; none without pseudo-labels. Of a large sweep it has the first.
pub(super) fn render(all: &[PseudoLabels], truths: &[Shares], classes: &[Class]) -> Option<Markup> {
    (!all.is_empty()).then(|| {
        html! {
            (key(classes))
            (parts(&all.iter().take(IN_FULL).map(|labels| shown(labels, truths, classes)).collect::<Vec<_>>()))
            @if all.len() > IN_FULL { p.note { "The first " (IN_FULL) " of " (all.len()) " stages." } }
        }
    })
}

fn shown(labels: &PseudoLabels, truths: &[Shares], classes: &[Class]) -> Part {
    let own = Shares { name: format!("{} in %", labels.name), of_class: labels.shares.clone() };
    let scale = Scale::classes(classes);
    let body = html! {
        @if !labels.shares.is_empty() { (beside(&[own], truths, classes, "labelled pixels")) }
        div.columns { @for seen in &labels.examples { (seen.column(&scale, "pseudo-label", "")) } } "\n"
    };
    Part {
        id: format!("pseudo-labels-{}", labels.stage.0),
        name: labels.name.clone(),
        about: labels.summary.clone(),
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn noted_shares_are_read_where_there_is_one_a_class() {
        assert_eq!(shares("road 12.50 %, traffic sign 0.00 %", 2), [0.125, 0.0]);
        assert_eq!(shares("road 12.50 %", 2), [0.0; 0]);
        assert_eq!(shares("", 2), [0.0; 0]);
    }
}
