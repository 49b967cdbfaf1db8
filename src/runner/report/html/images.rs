//! Evaluations image by image: each network's IoU and entropy on each image, and an image's rank among all.
//!
//! Knows `images.jsonl`, whose lines it keeps for the sections that need them, and no picture.

use std::collections::BTreeMap;

use super::evaluation::{Evaluation, IN_FULL};
use super::workspace::Workspace;
use crate::kind::OutputRole;
use crate::pipeline::{Coordinate, StageId};
use crate::results::image::{ImageScore, scores};

/// The images of one evaluation.
pub(super) struct Images {
    /// The stage.
    pub(super) stage: StageId,
    /// Its name.
    pub(super) evaluation: String,
    /// Its coordinates in its sweep.
    pub(super) coordinates: Vec<Coordinate>,
    /// The data set.
    pub(super) dataset: String,
    /// The networks, in the file's order.
    pub(super) networks: Vec<String>,
    /// As in [`Evaluation::compared`].
    pub(super) compared: Option<(usize, usize)>,
    /// In the order of the data set.
    pub(super) lines: Vec<ImageScore>,
}

/// Of the evaluations that are shown in full.
pub(super) fn gather(workspace: &Workspace, evaluations: &[Evaluation]) -> Vec<Images> {
    let images = |evaluation: &Evaluation| {
        let table = workspace.bytes(evaluation.stage, OutputRole::ImageScores)?;
        Some(Images {
            stage: evaluation.stage,
            evaluation: evaluation.name.clone(),
            coordinates: workspace.pipeline.stage(evaluation.stage).coordinates.clone(),
            dataset: evaluation.dataset.clone(),
            networks: evaluation.models.iter().map(|model| model.name.clone()).collect(),
            compared: evaluation.compared(),
            lines: scores(&String::from_utf8_lossy(&table)).collect(),
        })
    };
    evaluations.iter().take(IN_FULL).filter_map(images).collect()
}

impl Images {
    /// By image, its rank among all by this network's IoU, 1 being the best; ties share one.
    pub(super) fn places(&self, network: &str) -> BTreeMap<&str, usize> {
        let mut order: Vec<(f64, &str)> =
            self.lines.iter().filter_map(|line| Some((line.miou(network)?, line.image.as_str()))).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut places = BTreeMap::new();
        let mut shared = (f64::NAN, 0);
        for (place, (miou, image)) in (1..).zip(order) {
            if miou != shared.0 {
                shared = (miou, place);
            }
            places.insert(image, shared.1);
        }
        places
    }

    /// The index of the judged network; the last if no two are compared.
    pub(super) fn judged(&self) -> Option<usize> {
        self.compared.map(|(_, judged)| judged).or(self.networks.len().checked_sub(1))
    }

    /// The judged network's gain over the baseline on each image, the greatest loss first. None without a baseline.
    /// there is no such.
    pub(super) fn gains(&self) -> Option<Gains<'_>> {
        let (before, last) = self.compared.map(|(before, last)| (&self.networks[before], &self.networks[last]))?;
        let gain = |line: &ImageScore| line.miou(last).zip(line.miou(before)).map(|(last, before)| last - before);
        let mut by_image: Vec<(f64, &str)> =
            self.lines.iter().filter_map(|line| Some((gain(line)?, line.image.as_str()))).collect();
        by_image.sort_by(|a, b| a.0.total_cmp(&b.0));
        (!by_image.is_empty()).then_some(Gains { before, last, by_image })
    }
}

/// Two networks compared image by image.
pub(super) struct Gains<'a> {
    /// The baseline.
    pub(super) before: &'a str,
    /// The judged network.
    pub(super) last: &'a str,
    /// In mIoU, −1 to 1, ascending.
    pub(super) by_image: Vec<(f64, &'a str)>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Images `0`, `1`, … of an evaluation of `inter` and `intra`.
    pub(in super::super) fn images(of_each: &[(Option<f64>, Option<f64>)]) -> Images {
        let line = |(i, (inter, intra)): (usize, &(Option<f64>, Option<f64>))| ImageScore {
            image: i.to_string(),
            miou: [("inter".to_owned(), *inter), ("intra".to_owned(), *intra)].into(),
            ..ImageScore::default()
        };
        Images {
            stage: StageId(0),
            evaluation: "evaluate".into(),
            coordinates: Vec::new(),
            dataset: "val".into(),
            networks: vec!["inter".into(), "intra".into()],
            compared: Some((0, 1)),
            lines: of_each.iter().enumerate().map(line).collect(),
        }
    }

    #[test]
    fn equal_images_share_a_place_and_the_next_has_that_of_its_number() {
        let images =
            images(&[(Some(0.5), None), (Some(0.7), None), (Some(0.5), None), (None, None), (Some(0.1), None)]);
        assert_eq!(images.places("inter"), [("0", 2), ("1", 1), ("2", 2), ("4", 4)].into());
        assert_eq!(images.places("intra"), BTreeMap::new());
    }

    #[test]
    fn a_gain_is_known_where_both_networks_were_measured() {
        let images = images(&[(Some(0.5), Some(0.75)), (Some(0.5), None), (Some(0.5), Some(0.25))]);
        let gains = images.gains().unwrap();
        assert_eq!((gains.before, gains.last), ("inter", "intra"));
        assert_eq!(gains.by_image, [(-0.25, "2"), (0.25, "0")]);
        let of_three = Images {
            networks: ["intra", "inter.best", "inter"].map(str::to_owned).into(),
            compared: Some((0, 2)),
            ..images
        };
        let gains = of_three.gains().unwrap();
        assert_eq!((gains.before, gains.last), ("intra", "inter"), "those that were chosen alike");
    }
}
