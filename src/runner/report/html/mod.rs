//! `report.html`: one file a pipeline, that opens from disk, asks the network for nothing and is read without a script.
//!
//! Two halves. [`gather`] makes a [`Page`] out of what the cache, the index and the history of runs hold: each section's
//! file has the typed data that it shows, and whatever is missing is missing, as a pipeline may be half done or have
//! failed. [`Page::render`] is a function of that alone. Writes no file: `views` does.
//!
//! Safe whatever things are called: all text is escaped (`markup`), and the page's policy admits this page's own style and
//! script and nothing from outside. Small whatever is shown: curves are thinned, maps shrunk, pictures few.

mod agreement;
mod certainty;
mod chart;
mod confusion;
mod difficulty;
mod evaluation;
mod film;
mod findings;
mod graph;
mod head;
mod images;
mod inference;
mod mark;
mod markup;
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
mod timeline;
mod training;
mod workspace;

pub use mark::Mark;
pub use workspace::{State, Workspace};

use serde_json::json;

use crate::digest::Digest;
use crate::kind::Gives;
use crate::spec::Class;

/// What a report shows.
pub struct Page {
    mark: Option<Mark>,
    head: head::Head,
    findings: Vec<findings::Finding>,
    certainties: Vec<certainty::Certainty>,
    agreements: Vec<agreement::Agreement>,
    results: Vec<evaluation::Evaluation>,
    settings: Vec<sweep::Setting>,
    trainings: Vec<training::Training>,
    films: Vec<film::Film>,
    images: Vec<images::Images>,
    pictures: Vec<pictures::Shown>,
    photographs: photographs::Photographs,
    rankings: Vec<ranking::Ranking>,
    pseudo_labels: Vec<pseudo_labels::PseudoLabels>,
    stages: Vec<stages::Card>,
    timeline: timeline::Timeline,
    provenance: provenance::Provenance,
    classes: Vec<Class>,
    /// The names of the evaluations, with or without results.
    evaluations: Vec<String>,
}

/// Looks up all that the page shows. `written` is now, in seconds since the Unix epoch.
pub fn gather(workspace: &Workspace, written: f64) -> Page {
    let stages = stages::gather(workspace);
    let results = evaluation::gather(workspace);
    let settings = sweep::gather(workspace, &results);
    let trainings = training::gather(workspace);
    let images = images::gather(workspace, &results);
    let mut photographs = photographs::Photographs::default();
    let certainties = certainty::gather(workspace);
    // Where there are labels to measure with, agreement says nothing more.
    let agreements = match results.is_empty() {
        true => agreement::gather(workspace, &certainties, &mut photographs),
        false => Vec::new(),
    };
    let rankings = ranking::gather(workspace, &mut photographs);
    let pseudo_labels = pseudo_labels::gather(workspace, &mut photographs);
    let looked = findings::Looked {
        evaluations: &results,
        trainings: &trainings,
        certainties: &certainties,
        rankings: &rankings,
        pseudo_labels: &pseudo_labels,
        settings: &settings,
    };
    let provenance = provenance::gather(workspace);
    let classes = workspace.pipeline.classes.clone();
    Page {
        mark: Mark::of(workspace),
        head: head::gather(workspace, &stages, &settings, &provenance, written),
        findings: findings::gather(workspace, &looked),
        pictures: pictures::gather(workspace, &images, &mut photographs),
        timeline: timeline::gather(workspace, written),
        provenance,
        results,
        settings,
        trainings,
        films: film::gather(workspace, &mut photographs),
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
    let measures = all.filter(|stage| stage.outputs.iter().any(|output| output.gives == Gives::Metrics));
    measures.map(|stage| stage.name.clone()).collect()
}

impl Page {
    /// What is worth worrying about, worst first, in a sentence each; but for how few seeds there are, which tables say.
    pub fn findings(&self) -> Vec<String> {
        let seeds = self.settings.first().and_then(findings::few_seeds);
        let others = self.findings.iter().filter(|finding| Some(*finding) != seeds.as_ref());
        others.map(|finding| finding.found.clone()).collect()
    }

    /// The page as one file.
    pub fn render(&self) -> String {
        let certainty = match self.results.is_empty() {
            true => {
                let agreements = agreement::render(&self.agreements, &self.classes);
                certainty::render(&self.certainties, &agreements, &self.evaluations)
            }
            false => String::new(),
        };
        let truths = shares::truths(&self.results);
        let sections = [
            ("findings", "Findings", findings::render(&self.findings)),
            ("sweep", "Sweep", sweep::render(&self.settings)),
            ("results", "Results", results::render(&self.results, &self.classes)),
            ("certainty", "Certainty", certainty),
            ("training", "Training", training::render(&self.trainings, &film::render(&self.films, &self.classes))),
            ("ranking", "Ranking", ranking::render(&self.rankings, &self.classes)),
            ("difficulty", "Difficulty", difficulty::render(&self.images, &self.rankings, self.classes.len())),
            ("pseudo-labels", "Pseudo-labels", pseudo_labels::render(&self.pseudo_labels, &truths, &self.classes)),
            ("pictures", "Pictures", pictures::render(&self.images, &self.pictures, &self.classes)),
            (
                "pipeline",
                "Pipeline",
                stages::render(&self.stages, &graph::drawing(&self.stages), &timeline::render(&self.timeline)),
            ),
            ("provenance", "Provenance", provenance::render(&self.provenance)),
        ];
        let there: Vec<(&str, &str)> =
            sections.iter().filter(|(_, _, body)| !body.is_empty()).map(|(id, name, _)| (*id, *name)).collect();
        let body: String = sections.iter().map(|(_, _, body)| body.as_str()).collect();
        let body = head::render(&self.head, &there) + "<main id=\"main\" tabindex=\"-1\">\n" + &body + "</main>\n";
        let mark = self.mark.map(Mark::render).unwrap_or_default();
        document(&self.head.name, &mark, &body, &self.photographs.style(), &markup::json(&self.data()))
    }

    /// The numbers for other programs: those of `metrics.json` as they are there.
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
            "state": self.head.state,
            "is_done": self.head.is_done,
            "written": self.head.written,
            "sentences": self.head.sentences,
            "findings": self.findings,
            "stages": self.stages.iter().map(stage).collect::<Vec<_>>(),
            "rankings": self.rankings.iter().map(ranking).collect::<serde_json::Map<_, _>>(),
            "evaluations": self.results.iter().map(evaluation).collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// The whole document. The policy's nonce is a digest of what stands in it: text that knew it would have to hold it.
fn document(title: &str, mark: &str, body: &str, photographs: &str, data: &str) -> String {
    const STYLE: &str = concat!(include_str!("page.css"), include_str!("pictures.css"));
    const SCRIPT: &str = concat!(
        include_str!("page.js"),
        include_str!("charts.js"),
        include_str!("pictures.js"),
        include_str!("ranking.js")
    );
    let nonce = Digest::of(body.as_bytes()).to_string();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n{mark}\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
         style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <style nonce=\"{nonce}\">\n{STYLE}{photographs}</style></head>\n<body>\n{body}\
         <script type=\"application/json\" id=\"data\">{data}</script>\n\
         <script nonce=\"{nonce}\">\n{SCRIPT}</script>\n</body></html>\n",
        markup::text(title)
    )
}

#[cfg(test)]
mod tests;
