//! Findings about entropies, rankings and pseudo-labels.
//!
//! Knows scores and shares of classes.

use std::collections::{BTreeMap, BTreeSet};

use super::super::certainty::Certainty;
use super::super::difficulty;
use super::super::evaluation::Model;
use super::super::images::Images;
use super::super::markup::percent;
use super::super::pseudo_labels::PseudoLabels;
use super::super::ranking::Ranking;
use super::advice::{Cut, Origin};
use super::finding::Finding;
use crate::measures::count;
use crate::pipeline::Class;
use crate::results::correlation::spearman;

/// Mean entropy, of at most 1: a trained network is less confident than this at the edges of objects alone.
const CERTAIN: f64 = 0.005;

/// The entropy of an overconfident network carries no information: neither for images nor for pixels.
pub(super) fn collapsed(certainty: &Certainty, origin: Origin) -> Option<Finding> {
    (certainty.mean < CERTAIN).then(|| Finding {
        found: format!(
            "the network of {} is confident everywhere: a mean entropy of {:.4}, where 1 is uniform",
            certainty.name, certainty.mean
        ),
        advice: match origin {
            Origin::Training(Some(knob)) => {
                format!("a ranking by it means little: train it with {knob}, or for fewer iterations")
            }
            Origin::Training(None) => "a ranking by it means little: train it for fewer iterations".to_owned(),
            Origin::File => {
                "a ranking by it means little: check that the file fits this network and preprocessing".to_owned()
            }
        },
        section: "ranking",
        says: String::new(),
    })
}

pub(super) fn missing(labels: &PseudoLabels, classes: &[Class], cut: &Cut) -> Option<Finding> {
    let absent = classes.iter().zip(&labels.shares).filter(|(_, share)| **share == 0.0);
    let names: Vec<&str> = absent.map(|(class, _)| class.name.as_str()).collect();
    (!names.is_empty()).then(|| Finding {
        found: format!("the labels of {} hold no {} (under 0.01 %)", labels.name, names.join(", ")),
        advice: cut.advice(),
        section: "pseudo-labels",
        says: names.join(", "),
    })
}

/// Rankings that differ only by the seed but have different easy images: closer to a random draw than to each other.
pub(super) fn unlike_splits(rankings: &[Ranking]) -> Option<Finding> {
    let mut alike: BTreeMap<_, Vec<(&Ranking, BTreeSet<&str>)>> = BTreeMap::new();
    for ranking in rankings {
        alike.entry((&ranking.family, &ranking.setting)).or_default().push((ranking, ranking.easy().collect()));
    }
    let pairs = alike.values().flat_map(|group| {
        (0..group.len()).flat_map(move |one| (one + 1..group.len()).map(move |other| (&group[one], &group[other])))
    });
    let unlike = pairs.filter_map(|((one, easy), (other, others))| {
        let shared = easy.intersection(others).count() as f64 / easy.len().max(1) as f64;
        let chance = others.len() as f64 / other.images().max(1) as f64;
        (shared < (1.0 + chance) / 2.0).then_some((shared, chance, one, other))
    });
    let (shared, chance, one, other) = unlike.min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(Finding {
        found: format!(
            "the split depends on the seed: of the easy images of {}, {} % are easy in {}; by chance {} % would be",
            one.name,
            percent(Some(shared)),
            other.name,
            percent(Some(chance))
        ),
        advice: "the split says more of the seed than of the images: train the network behind the scores longer, or give all \
                 seeds one split"
            .to_owned(),
        section: "ranking",
        says: String::new(),
    })
}

/// A network whose entropy is higher on the images that it segments better.
pub(super) fn inverted(images: &Images, model: &Model, classes: usize) -> Option<Finding> {
    let points = difficulty::points(images, &model.name, classes);
    let rho = spearman(&points)?;
    (rho > difficulty::by_chance(points.len())).then(|| Finding {
        found: format!(
            "entropy ranks the images of {} the wrong way round: with {} the images of high entropy have the higher mIoU \
             (ρ = {rho:+.2} over {} images)",
            images.dataset,
            model.member,
            count(points.len() as u64)
        ),
        advice: "a split by it calls the hard images easy: train the network behind the scores longer, or compare with a random \
                 split"
            .to_owned(),
        section: "difficulty",
        says: String::new(),
    })
}
