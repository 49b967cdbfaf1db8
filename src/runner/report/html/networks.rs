//! Networks: for each trained network its files in `runs/`, where it was evaluated, and the command that exports it.
//!
//! Knows outputs and evaluations, and no number.

use maud::{Markup, Render as _, html};

use super::evaluation::{Evaluation, anchor};
use super::markup::table;
use super::workspace::{State, Workspace};
use crate::kind::OutputRole;
use crate::pipeline::{Stage, StageId, Which};
use crate::shell;

/// The most that are listed: the others of a large sweep have the same commands with other names.
const LISTED: usize = 60;

/// One network.
pub(super) struct Network {
    /// As on a command line: `inter`, `inter.best`.
    name: String,
    /// The checkpoint: file name, link.
    checkpoint: (String, String),
    /// Further files of its training: text, link.
    files: Vec<(&'static str, String)>,
    /// The evaluations that measured it: stage, name, the link to `metrics.json`.
    measured: Vec<(StageId, String, Option<String>)>,
    export: String,
}

/// The networks of all trainings with current results, in the order of the graph.
pub(super) fn gather(workspace: &Workspace, evaluations: &[Evaluation]) -> Vec<Network> {
    let trained = workspace.stages().filter(|(id, _)| workspace.state(*id) == State::Done);
    trained.flat_map(|(id, stage)| of_training(workspace, evaluations, id, stage)).collect()
}

fn of_training(workspace: &Workspace, evaluations: &[Evaluation], id: StageId, stage: &Stage) -> Vec<Network> {
    let Some(record) = workspace.record(id) else { return Vec::new() };
    let files: Vec<(&'static str, String)> = [("losses", OutputRole::Losses), ("evaluations", OutputRole::Evaluations)]
        .into_iter()
        .filter_map(|(text, role)| Some((text, workspace.link(id, role)?)))
        .collect();
    // Weights that a stage only imports are in the file already.
    if files.is_empty() {
        return Vec::new();
    }
    let network = |(output, placed): (&crate::pipeline::Output, &crate::store::index::PlacedOutput)| {
        let is_last = Which::of(&output.name) == Which::Last;
        let name = if is_last { stage.name.clone() } else { format!("{}.{}", stage.name, output.name) };
        let file = placed.path.file_name()?.to_string_lossy().into_owned();
        let link = workspace.link_to(&placed.path)?;
        let is_it = |evaluation: &&Evaluation| {
            evaluation
                .models
                .iter()
                .any(|model| model.training == Some(id) && model.origin.which == Which::of(&output.name))
        };
        let measured = evaluations.iter().filter(is_it).map(|evaluation| {
            (evaluation.stage, evaluation.name.clone(), workspace.link(evaluation.stage, OutputRole::Metrics))
        });
        let pipeline = shell::word(&workspace.pipeline.file.to_string_lossy()).into_owned();
        Some(Network {
            export: format!(
                "intrada-run export {pipeline} {} {}{}",
                shell::word(&name),
                shell::word(&folder(&name)),
                workspace.sets()
            ),
            checkpoint: (file, link),
            files: files.clone(),
            measured: measured.collect(),
            name,
        })
    };
    let outputs = stage.outputs.iter().zip(&record.outputs);
    outputs.filter(|(output, _)| output.role == OutputRole::Weights).filter_map(network).collect()
}

/// A folder of a network's name, without what a shell or a file manager would stumble over: `inter-seed-1` of `inter[seed=1]`.
fn folder(name: &str) -> String {
    let parts = name.split(|c: char| "[]=,/ ".contains(c)).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

/// The section; none without a trained network.
pub(super) fn render(networks: &[Network]) -> Option<Markup> {
    let row = |network: &Network| -> Vec<Markup> {
        let files = html! {
            a href=(network.checkpoint.1) { (network.checkpoint.0) }
            @for (text, link) in &network.files { " · " a href=(link) { (text) } }
        };
        let measured = html! {
            @for (at, (stage, name, metrics)) in network.measured.iter().enumerate() {
                @if at > 0 { br; }
                a href={ "#" (anchor(*stage)) } { (name) }
                @if let Some(link) = metrics { " · " a href=(link) { "metrics.json" } }
            }
            @if network.measured.is_empty() { "–" }
        };
        vec![network.name.render(), files, measured, html! { code { (network.export) } }]
    };
    let rows: Vec<Vec<Markup>> = networks.iter().take(LISTED).map(row).collect();
    (!networks.is_empty()).then(|| {
        html! {
            p { "The files are links into this page's folder. The command writes a network with its model card and a program that \
                 loads it into the folder named last." }
            div.networks { (table(&["network", "files", "evaluated in", "export"], &rows)) }
            @if networks.len() > LISTED { p.note { "The first " (LISTED) " of " (networks.len()) " networks." } }
        }
    })
}
