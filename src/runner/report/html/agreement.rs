//! Agreement: how two networks' predictions of the same images compare, without labels.
//!
//! Knows the predictions and entropy maps of two entropy inferences over one data set. Samples a large data set, as it
//! would have to read every map otherwise.

use std::collections::BTreeMap;
use std::path::PathBuf;

use maud::{Markup, html};

use super::certainty::Certainty;
use super::inference::{Inference, Seen};
use super::markup::{Part, parts, percent};
use super::photographs::{Photographs, cell};
use super::picture::{Scale, element, key};
use super::shares::{Shares, beside};
use super::workspace::Workspace;
use crate::dataset::survey::spread;
use crate::digest::FileDigest;
use crate::kind::OutputRole;
use crate::measures::count;
use crate::pipeline::{Class, StageId};
use crate::results::map::Map;

/// Number of images compared.
const SAMPLE: usize = 24;
/// Number of images shown: those with the least agreement.
const SHOWN: usize = 4;

/// Two networks on one data set.
pub(super) struct Agreement {
    /// The later network's inference.
    stage: StageId,
    /// The earlier one, in the order of the graph.
    before: String,
    /// The later one.
    after: String,
    dataset: String,
    images: usize,
    /// The least agreement first.
    looked_at: Vec<Pair>,
}

/// One image with both predictions.
struct Pair {
    before: Seen,
    after: Seen,
    /// Where they differ.
    differ: Map,
}

/// Pairs each inference with the next one over the same data set by another network.
pub(super) fn gather(
    workspace: &Workspace,
    certainties: &[Certainty],
    photographs: &mut Photographs,
) -> Vec<Agreement> {
    let mut last: BTreeMap<&str, &Certainty> = BTreeMap::new();
    let mut found = Vec::new();
    for certainty in certainties {
        if let Some(before) = last.insert(&certainty.dataset, certainty).filter(|of| of.network != certainty.network) {
            found.extend(agreement(workspace, before, certainty, photographs));
        }
    }
    found
}

fn agreement(
    workspace: &Workspace,
    before: &Certainty,
    after: &Certainty,
    photographs: &mut Photographs,
) -> Option<Agreement> {
    let of_later: BTreeMap<PathBuf, FileDigest> =
        workspace.files(after.stage, OutputRole::Predictions).into_iter().collect();
    let files = workspace.files(before.stage, OutputRole::Predictions).into_iter().map(|(path, _)| path);
    let mut files: Vec<PathBuf> = files.filter(|path| of_later.contains_key(path)).collect();
    files.sort();
    let (one, other) = (Inference::of(workspace, Some(before.stage)), Inference::of(workspace, Some(after.stage)));
    let mut pair = |path: &PathBuf| {
        let image = path.to_string_lossy();
        let mut before = one.seen(workspace, &image, photographs);
        // The map's extension isn't the image's.
        before.image = path.with_extension("").display().to_string();
        let after = other.seen(workspace, &image, photographs);
        let differ = after.classes.as_ref()?.errors(before.classes.as_ref()?)?;
        Some(Pair { before, after, differ })
    };
    let mut looked_at: Vec<Pair> = spread(&files, SAMPLE).filter_map(&mut pair).collect();
    looked_at.sort_by(|a, b| a.same().total_cmp(&b.same()));
    (!looked_at.is_empty()).then(|| Agreement {
        stage: after.stage,
        before: before.network.clone(),
        after: after.network.clone(),
        dataset: before.dataset.clone(),
        images: files.len(),
        looked_at,
    })
}

/// All of them, with their legend; empty if there are none.
pub(super) fn render(agreements: &[Agreement], classes: &[Class]) -> Markup {
    html! {
        @if !agreements.is_empty() { (key(classes)) }
        (parts(&agreements.iter().map(|agreement| agreement.part(classes)).collect::<Vec<_>>()))
    }
}

impl Pair {
    /// The share of pixels with equal predictions.
    fn same(&self) -> f64 {
        self.differ.shares()[0]
    }
}

impl Agreement {
    /// The class shares of one network's predictions.
    fn shares(&self, name: &str, classes: usize, seen: fn(&Pair) -> &Seen) -> Shares {
        let maps = self.looked_at.iter().filter_map(|pair| seen(pair).classes.as_ref());
        let mut of_class = vec![0.0; classes];
        for shares in maps.map(Map::shares) {
            for (sum, share) in of_class.iter_mut().zip(shares) {
                *sum += share / self.looked_at.len() as f64;
            }
        }
        Shares { name: format!("{name} in %"), of_class }
    }

    /// The comparison as text and pictures.
    fn part(&self, classes: &[Class]) -> Part {
        let (before, after) = (&self.before, &self.after);
        let same = self.looked_at.iter().map(Pair::same).sum::<f64>() / self.looked_at.len() as f64;
        let sample = match self.images - self.looked_at.len() {
            0 => String::new(),
            _ => format!(", {} of them looked at", count(self.looked_at.len() as u64)),
        };
        let shares = [
            self.shares(before, classes.len(), |pair| &pair.before),
            self.shares(after, classes.len(), |pair| &pair.after),
        ];
        let scale = Scale::classes(classes);
        let body = html! {
            p { "They agree on " (percent(Some(same))) " % of the pixels." }
            (beside(&shares, &[], classes, "predicted pixels"))
            h4 { "Where they agree least" }
            div.wide {
                table.pictures {
                    thead {
                        tr {
                            th { "image" } th { (before) } th { (after) }
                            th { "entropy of " (before) } th { "entropy of " (after) }
                            th { "where they " span.key.wrong { "differ" } }
                        }
                    }
                    tbody { @for pair in self.looked_at.iter().take(SHOWN) { (self.row(pair, &scale)) } }
                }
            }
            "\n"
        };
        Part {
            id: format!("agreement-{}", self.stage.0),
            name: format!("{after} beside {before}"),
            about: format!("on {}, {} images{sample}", self.dataset, count(self.images as u64)),
            body,
        }
    }

    fn row(&self, pair: &Pair, scale: &Scale) -> Markup {
        let (class, image) = (pair.before.photograph.as_deref(), &pair.before.image);
        let differ = format!("{} % differ", percent(Some(1.0 - pair.same())));
        let maps = [
            (pair.before.classes.as_ref(), scale, &*self.before, ""),
            (pair.after.classes.as_ref(), scale, &*self.after, ""),
            (pair.before.entropy.as_ref(), &Scale::entropies(), "entropy of the first", ""),
            (pair.after.entropy.as_ref(), &Scale::entropies(), "entropy of the second", ""),
            (Some(&pair.differ), &Scale::errors(), "differences", &*differ),
        ];
        let over = |(map, scale, what, below): (Option<&Map>, &Scale, &str, &str)| {
            let about = format!("{what}, {image}");
            let picture = map.map(|map| element(map, scale, &about));
            cell(class.filter(|_| picture.is_some()), picture, &about, below)
        };
        html! {
            tr data-name=(image) {
                td { (cell(class, None, &format!("photograph of {image}"), image)) }
                @for map in maps { td { (over(map)) } }
            }
            "\n"
        }
    }
}
