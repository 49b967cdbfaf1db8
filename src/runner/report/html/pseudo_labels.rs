//! Pseudo-labels: how much of each class they hold, and some of them beside the entropy that they came with.
//!
//! Knows the labels' folder and what the stage noted. The shares are its notes: counting again would read every label.

use super::markup::{colour, section, table, text};
use super::picture::{Map, class_palette, viridis};
use super::ranking::Maps;
use super::results::IN_FULL;
use super::workspace::Workspace;
use crate::kind::Gives;
use crate::report::measures::count;
use crate::spec::{Class, StageId};

/// Labels that are shown.
const SHOWN: usize = 6;

/// The pseudo-labels of one stage.
pub(super) struct PseudoLabels {
    /// The stage.
    pub(super) name: String,
    labels: usize,
    /// In the order of the classes, 0 to 1; empty where the stage didn't note them.
    pub(super) shares: Vec<f64>,
    examples: Vec<(String, Map, Option<Map>)>,
}

/// Pseudo-labellings whose results count; of a large sweep the first.
pub(super) fn gather(workspace: &Workspace) -> Vec<PseudoLabels> {
    workspace.stages().filter_map(|(id, _)| one(workspace, id)).take(IN_FULL).collect()
}

fn one(workspace: &Workspace, id: StageId) -> Option<PseudoLabels> {
    workspace.artifact(id, Gives::Labels)?;
    let stage = workspace.pipeline.stage(id);
    let mut files = workspace.files(id, Gives::Labels);
    files.sort();
    let entropies = Maps::of(workspace, workspace.producer(stage, "predictions"), Gives::EntropyMaps);
    let step = files.len().div_ceil(SHOWN).max(1);
    let example = |(path, object): &(std::path::PathBuf, _)| {
        let name = path.to_string_lossy().into_owned();
        let label = Map::decode(&workspace.object(*object)?)?.small();
        let entropy = entropies.get(workspace, &name);
        Some((name, label, entropy))
    };
    let noted = workspace.trace(id).and_then(|trace| trace.note.get("classes").cloned()).unwrap_or_default();
    Some(PseudoLabels {
        name: stage.name.clone(),
        labels: files.len(),
        shares: shares(&noted, workspace.pipeline.classes.len()),
        examples: files.iter().step_by(step).filter_map(example).collect(),
    })
}

/// `road 12.50 %, sky 3.10 %` as shares; empty if it isn't that, of so many classes.
fn shares(noted: &str, classes: usize) -> Vec<f64> {
    let share = |part: &str| part.strip_suffix(" %")?.rsplit(' ').next()?.parse::<f64>().ok();
    let shares: Vec<f64> = noted.split(", ").filter_map(share).map(|share| share / 100.0).collect();
    if shares.len() == classes { shares } else { Vec::new() }
}

/// The section; empty where nothing was labelled.
pub(super) fn render(all: &[PseudoLabels], classes: &[Class]) -> String {
    let body: String = all.iter().map(|labels| shown(labels, classes)).collect();
    if body.is_empty() { body } else { section("pseudo-labels", "Pseudo-labels", &body) }
}

fn shown(labels: &PseudoLabels, classes: &[Class]) -> String {
    let mut html =
        format!("<h3>{} <small>{} label maps</small></h3>\n", text(&labels.name), count(labels.labels as u64));
    if !labels.shares.is_empty() {
        let row = |(class, share): (&Class, &f64)| {
            let bar = format!(
                "<svg class=\"share\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\"><rect width=\"{:.2}\" height=\"8\" fill=\"{}\"/></svg>",
                100.0 * share,
                colour(class.colour)
            );
            vec![text(&class.name), format!("{:.2}", 100.0 * share), bar]
        };
        let rows: Vec<Vec<String>> = classes.iter().zip(&labels.shares).map(row).collect();
        html += &table(&["class", "% of the labelled pixels", ""], &rows);
    }
    let palette = class_palette(classes.iter().map(|class| class.colour));
    let cell = |(name, label, entropy): &(String, Map, Option<Map>)| {
        let entropy = entropy.as_ref().map(|map| map.image(&viridis(), &format!("entropy of {name}")));
        let label = label.image(&palette, &format!("label of {name}"));
        format!("<div class=\"pair\">{label}{}</div><small>{}</small>", entropy.unwrap_or_default(), text(name))
    };
    let cells: Vec<String> = labels.examples.iter().map(cell).collect();
    if !cells.is_empty() {
        let heads = vec![""; cells.len()];
        html += &table(&heads, &[cells]).replacen("<table>", "<table class=\"pictures\">", 1);
    }
    html
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
