//! Certainty: how confident each network is on its images.
//!
//! Knows `scores.csv`. This needs no labels, so without an evaluation it replaces the results. Confident doesn't mean
//! correct, and the section says so.

use maud::{Markup, Render as _, html};

use super::markup::table;
use super::workspace::Workspace;
use crate::kind::OutputRole;
use crate::measures::count;
use crate::pipeline::{InputSource, StageId};
use crate::results::image::named;

/// The confidence of one network: an entropy inference.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Certainty {
    /// The stage.
    pub(super) stage: StageId,
    /// Its name.
    pub(super) name: String,
    /// The network: a stage, or a file.
    pub(super) network: String,
    /// The data set.
    pub(super) dataset: String,
    /// The mean entropy of each image, from 0 to 1 (all classes equally likely), ascending.
    pub(super) entropies: Vec<f64>,
    /// Their mean.
    pub(super) mean: f64,
}

/// Every entropy inference with current results, in the order of the graph.
pub(super) fn gather(workspace: &Workspace) -> Vec<Certainty> {
    workspace.stages().filter_map(|(id, _)| certainty(workspace, id)).collect()
}

/// What a score has to be multiplied by to be an entropy from 0 to 1 (all classes equally likely). A score is also a mean over
/// classes, as in the released code, so it is at most 1 / C.
pub(super) fn entropy_scale(classes: usize) -> f64 {
    classes as f64
}

fn certainty(workspace: &Workspace, id: StageId) -> Option<Certainty> {
    let stage = workspace.pipeline.stage(id);
    let bytes = workspace.bytes(id, OutputRole::Scores)?;
    let scale = entropy_scale(workspace.pipeline.classes.len());
    let score = |line: &str| Some(named(line, 3)?.1[0].parse::<f64>().ok()? * scale);
    let mut entropies: Vec<f64> = std::str::from_utf8(&bytes).ok()?.lines().skip(1).filter_map(score).collect();
    entropies.sort_by(f64::total_cmp);
    let network = match &stage.input("weights")?.from {
        InputSource::Output { output, .. } => workspace.pipeline.stage(output.stage).name.clone(),
        InputSource::Path { path, .. } => path.display().to_string(),
        InputSource::Dataset { .. } => return None,
    };
    Some(Certainty {
        stage: id,
        name: stage.name.clone(),
        network,
        dataset: workspace.dataset_name(stage, "images").unwrap_or_default().to_owned(),
        mean: entropies.iter().sum::<f64>() / entropies.len().max(1) as f64,
        entropies,
    })
}

/// Why the networks' accuracy is unknown.
fn unknown(unmeasured: &[String]) -> String {
    match unmeasured {
        [] => "This pipeline evaluates nothing, so the networks' accuracy isn't known".to_owned(),
        [one] => format!("{one} has no current result, so the networks' accuracy isn't known yet"),
        [first, ..] => format!(
            "No evaluation has a current result (there are {}, such as {first}), so the networks' accuracy isn't known yet",
            count(unmeasured.len() as u64)
        ),
    }
}

/// The section; none without an inference. `agreements` come below. `unmeasured` are the evaluations of the pipeline, none
/// of which has a current result.
pub(super) fn render(certainties: &[Certainty], agreements: &Markup, unmeasured: &[String]) -> Option<Markup> {
    let row = |of: &Certainty| {
        let at = |share: f64| of.entropies.get((share * of.entropies.len() as f64) as usize).copied();
        let entropy = |entropy: Option<f64>| entropy.map_or("–".to_owned(), |entropy| format!("{entropy:.4}")).render();
        let images = count(of.entropies.len() as u64);
        let (mean, middle, hard) = (Some(of.mean), at(0.5), at(0.9));
        let names = [of.network.render(), of.dataset.render(), images.render()];
        names.into_iter().chain([mean, middle, hard].map(entropy)).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<Markup>> = certainties.iter().map(row).collect();
    (!certainties.is_empty()).then(|| {
        html! {
            p {
                (unknown(unmeasured))
                ": only their confidence and agreement. Both also increase for confident mistakes."
                @if unmeasured.is_empty() { " Evaluating on a few dozen labelled images tells more." }
            }
            (table(&["network", "images of", "images", "mean entropy", "median", "90th percentile"], &rows))
            p.note { "Mean entropy of an image, from 0 to 1 (all classes equally likely)." }
            (agreements)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_that_waits_or_failed_is_not_called_missing() {
        assert!(unknown(&[]).starts_with("This pipeline evaluates nothing"));
        assert!(unknown(&["evaluate".to_owned()]).starts_with("evaluate has no current result"));
        assert!(unknown(&["a".to_owned(), "b".to_owned()]).contains("there are 2, such as a"));
    }
}
