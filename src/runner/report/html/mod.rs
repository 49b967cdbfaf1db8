//! `report.html`: one self-contained file per pipeline, readable without a script or network.
//!
//! Two halves. [`gather`] builds a [`Page`] from the cache, the index and the history of runs: each section's file has the
//! typed data that it shows; data may be missing, as a pipeline may be unfinished or have failed. [`Page::render`] depends
//! only on that. Writes no file: `views` does.
//!
//! Safe for any names: markup and text are different types, and `maud` escapes inserted text. The page's policy allows only
//! this page's own style and script, nothing external (`document`). Always small: curves are thinned, maps shrunk, pictures
//! few.

mod agreement;
pub mod assess;
mod certainty;
mod chart;
mod choice;
mod confusion;
mod difficulty;
mod document;
mod evaluation;
mod snapshots;
mod findings;
mod gallery;
mod graph;
mod head;
mod history;
mod images;
mod inference;
mod links;
mod mark;
mod markup;
mod networks;
mod photographs;
mod picture;
mod pictures;
mod provenance;
mod pseudo_labels;
mod ranking;
mod results;
mod shares;
mod stages;
mod sweep;
mod thumbnails;
mod timeline;
mod training;
mod workspace;

pub use mark::Mark;
pub use workspace::{State, Workspace};

use document::{Data, document};
use maud::{Markup, html};
use serde_json::json;

use crate::kind::OutputRole;
use crate::pipeline::Class;
use crate::results::choice::Chosen;

/// The content of a report.
pub struct Page {
    mark: Option<Mark>,
    head: head::Head,
    findings: Vec<findings::Finding>,
    certainties: Vec<certainty::Certainty>,
    agreements: Vec<agreement::Agreement>,
    results: Vec<evaluation::Evaluation>,
    settings: Vec<sweep::Setting>,
    trainings: training::Trainings,
    choices: Vec<Chosen>,
    snapshots: snapshots::Developments,
    images: Vec<images::Images>,
    pictures: Vec<pictures::Shown>,
    photographs: photographs::Photographs,
    galleries: Vec<gallery::Gallery>,
    sheets: thumbnails::Sheets,
    networks: Vec<networks::Network>,
    rankings: Vec<ranking::Ranking>,
    pseudo_labels: Vec<pseudo_labels::PseudoLabels>,
    stages: Vec<stages::Card>,
    timeline: timeline::Timeline,
    history: history::History,
    provenance: provenance::Provenance,
    classes: Vec<Class>,
    /// The names of the evaluations, with or without results.
    evaluations: Vec<String>,
}

/// Collects everything that the page shows. `written` is now, in seconds since the Unix epoch.
pub fn gather(workspace: &Workspace, written: f64) -> Page {
    let stages = stages::gather(workspace);
    let results = evaluation::gather(workspace);
    let settings = sweep::gather(workspace, &results);
    let trainings = training::gather(workspace);
    let images = images::gather(workspace, &results);
    let mut photographs = photographs::Photographs::default();
    let certainties = certainty::gather(workspace);
    // With labels to evaluate on, agreement adds nothing.
    let agreements =
        if results.is_empty() { agreement::gather(workspace, &certainties, &mut photographs) } else { Vec::new() };
    let rankings = ranking::gather(workspace, &mut photographs);
    let pseudo_labels = pseudo_labels::gather(workspace, &mut photographs);
    let looked = findings::Looked {
        evaluations: &results,
        trainings: &trainings.shown,
        certainties: &certainties,
        rankings: &rankings,
        pseudo_labels: &pseudo_labels,
        settings: &settings,
        images: &images,
    };
    let provenance = provenance::gather(workspace);
    let mut sheets = thumbnails::Sheets::default();
    let classes = workspace.pipeline.classes.clone();
    Page {
        mark: Mark::of(workspace),
        head: head::gather(workspace, &stages, &settings, &provenance, written),
        findings: findings::gather(workspace, &looked),
        pictures: pictures::gather(workspace, &images, &mut photographs),
        galleries: gallery::gather(workspace, &images, &mut sheets),
        sheets,
        networks: networks::gather(workspace, &results),
        timeline: timeline::gather(workspace, written),
        history: history::gather(workspace),
        provenance,
        results,
        settings,
        trainings,
        choices: choice::gather(workspace),
        snapshots: snapshots::gather(workspace, &mut photographs),
        certainties,
        agreements,
        images,
        photographs,
        pseudo_labels,
        rankings,
        stages,
        classes,
        evaluations: evaluations(workspace),
    }
}

fn evaluations(workspace: &Workspace) -> Vec<String> {
    let all = workspace.pipeline.stages.iter();
    let measures = all.filter(|stage| stage.outputs.iter().any(|output| output.role == OutputRole::Metrics));
    measures.map(|stage| stage.name.clone()).collect()
}

impl Page {
    /// The findings, worst first, one sentence each; except the one on too few seeds, which tables show.
    pub fn findings(&self) -> Vec<String> {
        let seeds = self.settings.first().and_then(findings::few_seeds);
        let others = self.findings.iter().filter(|finding| Some(*finding) != seeds.as_ref());
        others.map(|finding| finding.found.clone()).collect()
    }

    /// The page as one file.
    pub fn render(&self) -> String {
        let sections = self.sections();
        let names: Vec<(&str, &str)> = sections.iter().map(|(id, name, _)| (*id, *name)).collect();
        let body = html! {
            (head::render(&self.head, &names))
            main id="main" tabindex="-1" {
                "\n"
                @for (id, name, body) in &sections { (markup::section(id, name, body)) }
            }
            "\n"
        };
        let mark = self.mark.map(Mark::render);
        let data = Data {
            numbers: self.data(),
            shown: gallery::data(&self.galleries, &self.classes, self.head.is_going, self.head.written),
            sheets: self.sheets.elements().collect(),
        };
        document(&self.head.name, mark, &body, &self.photographs.style(), &data)
    }

    /// The non-empty sections: id, heading, content.
    fn sections(&self) -> Vec<(&'static str, &'static str, Markup)> {
        let classes = &self.classes;
        let certainty = || {
            let agreements = agreement::render(&self.agreements, classes);
            certainty::render(&self.certainties, &agreements, &self.evaluations)
        };
        let snapshots = snapshots::render(&self.snapshots, classes);
        let truths = shares::truths(&self.results);
        let pipeline = stages::render(&self.stages, &graph::drawing(&self.stages), &timeline::render(&self.timeline));
        let all = [
            ("findings", "Findings", findings::render(&self.findings)),
            ("sweep", "Sweep", sweep::render(&self.settings)),
            ("results", "Results", results::render(&self.results, classes)),
            ("certainty", "Certainty", self.results.is_empty().then(certainty).flatten()),
            ("training", "Training", training::render(&self.trainings, &snapshots)),
            ("choice", "Choice without labels", choice::render(&self.choices)),
            ("ranking", "Ranking", ranking::render(&self.rankings, classes)),
            ("difficulty", "Difficulty", difficulty::render(&self.images, &self.rankings, classes.len())),
            ("pseudo-labels", "Pseudo-labels", pseudo_labels::render(&self.pseudo_labels, &truths, classes)),
            ("pictures", "Pictures", pictures::render(&self.images, &self.pictures, classes)),
            ("images", "All images", gallery::render(&self.galleries)),
            ("networks", "Networks", networks::render(&self.networks)),
            ("pipeline", "Pipeline", Some(pipeline)),
            ("history", "Earlier runs", history::render(&self.history)),
            ("provenance", "Provenance", Some(provenance::render(&self.provenance))),
        ];
        all.into_iter().filter_map(|(id, name, body)| Some((id, name, body?))).collect()
    }

    /// The numbers for other programs, as in `metrics.json`.
    fn data(&self) -> serde_json::Value {
        let stage = |card: &stages::Card| {
            json!({
                "name": card.name,
                "kind": card.kind,
                "state": card.state.name(),
                "seconds": card.seconds,
                "reason": card.reason,
            })
        };
        let evaluation = |evaluation: &evaluation::Evaluation| {
            let order: Vec<&str> = evaluation.models.iter().map(|model| model.name.as_str()).collect();
            let value = json!({ "dataset": evaluation.dataset, "networks": order, "metrics": evaluation.raw });
            (evaluation.name.clone(), value)
        };
        let ranking = |ranking: &ranking::Ranking| (ranking.name.clone(), ranking.data());
        json!({
            "format": 1,
            "pipeline": self.head.name,
            "description": self.head.about.description,
            "tags": self.head.about.tags,
            "state": self.head.state,
            "is_done": self.head.is_done,
            "written": self.head.written,
            "sentences": self.head.sentences,
            "findings": self.findings,
            "stages": self.stages.iter().map(stage).collect::<Vec<_>>(),
            "rankings": self.rankings.iter().map(ranking).collect::<serde_json::Map<_, _>>(),
            "evaluations": self.results.iter().map(evaluation).collect::<serde_json::Map<_, _>>(),
            "choices": self.choices.iter().map(choice::data).collect::<serde_json::Map<_, _>>(),
        })
    }
}

#[cfg(test)]
mod tests;
