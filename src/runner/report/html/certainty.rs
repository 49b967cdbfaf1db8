//! Certainty: how sure each network is of the images that it was shown.
//!
//! Knows `scores.csv`. It is what can be said of a network without a single label.

use super::workspace::Workspace;
use crate::kind::Gives;
use crate::spec::{InputSource, StageId};

/// How sure one network is: an entropy inference.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Certainty {
    /// The stage.
    pub(super) name: String,
    /// Whose network looked: a stage, or a file.
    pub(super) network: String,
    /// At what.
    pub(super) dataset: String,
    /// The mean entropy of each image, from 0 to 1 (all classes equally likely), ascending.
    pub(super) entropies: Vec<f64>,
    /// Of those.
    pub(super) mean: f64,
}

/// Every entropy inference whose results count, in the order of the graph.
pub(super) fn gather(workspace: &Workspace) -> Vec<Certainty> {
    workspace.stages().filter_map(|(id, _)| certainty(workspace, id)).collect()
}

fn certainty(workspace: &Workspace, id: StageId) -> Option<Certainty> {
    let stage = workspace.pipeline.stage(id);
    let bytes = workspace.bytes(id, Gives::Scores)?;
    // A score is the mean over classes as well (the released code's), so it is at most 1 / C.
    let classes = workspace.pipeline.classes.len() as f64;
    let score = |line: &str| Some(named(line, 3)?.1[0].parse::<f64>().ok()? * classes);
    let mut entropies: Vec<f64> = std::str::from_utf8(&bytes).ok()?.lines().skip(1).filter_map(score).collect();
    entropies.sort_by(f64::total_cmp);
    let network = match &stage.input("weights")?.from {
        InputSource::Output { output, .. } => workspace.pipeline.stage(output.stage).name.clone(),
        InputSource::Path { path, .. } => path.display().to_string(),
        InputSource::Dataset { .. } => return None,
    };
    Some(Certainty {
        name: stage.name.clone(),
        network,
        dataset: workspace.dataset_name(stage, "images").unwrap_or_default().to_owned(),
        mean: entropies.iter().sum::<f64>() / entropies.len().max(1) as f64,
        entropies,
    })
}

/// A line of a table of images: the name, and so many fields after it. A name may hold a comma (then it stands in quotes, and
/// its own are doubled: RFC 4180), the fields can't.
pub(super) fn named(line: &str, fields: usize) -> Option<(String, Vec<&str>)> {
    let mut parts: Vec<&str> = line.rsplitn(fields + 1, ',').collect();
    let image = parts.pop().filter(|_| parts.len() == fields)?;
    parts.reverse();
    let image = match image.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => image.to_owned(),
    };
    Some((image, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_table_is_read_from_its_end() {
        assert_eq!(named("\"a, \"\"b\"\".png\",0.25,hard", 2), Some(("a, \"b\".png".into(), vec!["0.25", "hard"])));
        assert_eq!(named("a.png,1e-3,easy", 2).unwrap().1[0], "1e-3");
        assert_eq!(named("a.png", 2), None);
        assert_eq!(named("a.png,1", 2), None);
    }
}
