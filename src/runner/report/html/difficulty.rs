//! Difficulty: whether entropy ranks true difficulty, the method's assumption (IntraDA, section 3.2: low-entropy images are
//! easy).
//!
//! Knows evaluations image by image, and the rankings of the same images. It needs labels, which no training read.

use std::collections::BTreeSet;

use maud::{Markup, Render as _, html};

use super::certainty::entropy_scale;
use super::chart::{Line, Range, draw};
use super::images::Images;
use super::markup::{self, Part, percent, signed, table};
use super::ranking::Ranking;
use crate::dataset::survey::spread;
use crate::measures::count;
use crate::pipeline::Coordinate;
use crate::results::correlation::spearman;
use crate::results::image::ImageScore;

/// Maximum number of dots: more would overlap; ρ uses all images.
const DOTS: usize = 400;

/// One network's images: mean entropy (0 to 1) and mIoU (0 to 1), if both are known.
pub(super) fn points(images: &Images, network: &str, classes: usize) -> Vec<(f64, f64)> {
    let scale = entropy_scale(classes);
    let entropy = |line: &ImageScore| line.entropy.get(network).copied().flatten().map(|of| of * scale);
    images.lines.iter().filter_map(|line| Some((entropy(line)?, line.miou(network)?))).collect()
}

/// The section; none if no image has both.
pub(super) fn render(evaluations: &[Images], rankings: &[Ranking], classes: usize) -> Option<Markup> {
    let all: Vec<Part> = evaluations.iter().filter_map(|images| one(images, rankings, classes)).collect();
    (!all.is_empty()).then(|| {
        html! {
            p {
                "Does entropy rank true difficulty? The method assumes that low-entropy images are easy. With labels \
                 this can be checked: mIoU should fall as entropy rises (ρ near −1)."
            }
            (markup::parts(&all))
        }
    })
}

fn one(images: &Images, rankings: &[Ranking], classes: usize) -> Option<Part> {
    let of_each: Vec<Vec<(f64, f64)>> =
        images.networks.iter().map(|network| points(images, network, classes)).collect();
    let y = Range::over(of_each.iter().flatten().map(|(_, miou)| 100.0 * miou))?;
    let chart = |(network, points): (&String, &Vec<(f64, f64)>)| {
        let x = Range::over(points.iter().map(|(entropy, _)| *entropy))?;
        let dots = spread(points, DOTS).map(|(entropy, miou)| (*entropy, 100.0 * miou)).collect();
        let title = format!("{network}: {}", said(points));
        Some(draw(&title, &[Line { name: title.clone(), dots, ..Line::default() }], x.wider(), y.wider(), &[]))
    };
    let body = html! {
        div.charts { @for chart in images.networks.iter().zip(&of_each).filter_map(chart) { (chart) } } "\n"
        (parts(images, rankings))
    };
    let about = format!(
        "mIoU in % of each image of {} by its mean entropy, 0 to 1; each network with its own axis of entropy",
        images.dataset
    );
    Some(Part { id: format!("difficulty-{}", images.stage.0), name: images.evaluation.clone(), about, body })
}

/// What |ρ| of independent values stays below in 95 % of cases: their ρ has a standard deviation of 1 / √(n − 1).
pub(super) fn by_chance(images: usize) -> f64 {
    1.96 / (images as f64 - 1.0).sqrt()
}

/// ρ, the number of images, and whether it is within chance.
fn said(points: &[(f64, f64)]) -> String {
    let Some(rho) = spearman(points) else { return "nothing to correlate".to_owned() };
    let chance = if rho.abs() < by_chance(points.len()) { ", no more than chance" } else { "" };
    format!("ρ = {rho:+.2} over {} images{chance}", count(points.len() as u64)).replace('-', "−")
}

/// For ranked images: the networks' results on both parts.
fn parts(images: &Images, rankings: &[Ranking]) -> Markup {
    let belongs = |ranking: &&Ranking| ranking.dataset == images.dataset && !are_apart(images, ranking);
    let rows = |ranking: &Ranking| -> Vec<Vec<Markup>> {
        let easy: BTreeSet<&str> = ranking.easy().collect();
        let row = |network: &String| {
            let mean = |is_easy: bool| {
                let part = images.lines.iter().filter(|line| easy.contains(line.image.as_str()) == is_easy);
                let known: Vec<f64> = part.filter_map(|line| line.miou(network)).collect();
                (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
            };
            let (easy, hard) = (mean(true), mean(false));
            let difference = easy.zip(hard).map_or("–".to_owned(), |(easy, hard)| signed(100.0 * (easy - hard)));
            vec![network.render(), percent(easy).render(), percent(hard).render(), difference.render()]
        };
        images.networks.iter().map(row).collect()
    };
    html! {
        @for ranking in rankings.iter().filter(belongs) {
            h4 { "On the easy and the hard part of " (ranking.name) }
            (table(&["mean over images, in %", "easy", "hard", "easy − hard"], &rows(ranking)))
        }
    }
}

/// Unrelated members of a sweep: they differ on a common axis.
fn are_apart(images: &Images, ranking: &Ranking) -> bool {
    let differs = |at: &Coordinate| ranking.coordinates.iter().any(|own| own.axis == at.axis && own.value != at.value);
    images.coordinates.iter().any(differs)
}

#[cfg(test)]
mod tests {
    use super::super::images::tests::images;
    use super::super::ranking::tests::{coordinate, ranking};
    use super::*;

    #[test]
    fn entropy_is_set_against_the_iou_of_each_image_network_by_network() {
        let mut images =
            images(&[(Some(0.75), None), (Some(0.5), Some(0.5)), (Some(0.25), Some(0.5)), (None, Some(0.5))]);
        for (line, entropy) in images.lines.iter_mut().zip([0.1, 0.2, 0.3, 0.4]) {
            line.entropy = [("inter".to_owned(), Some(entropy)), ("intra".to_owned(), None)].into();
        }
        assert_eq!(points(&images, "inter", 2), [(0.2, 0.75), (0.4, 0.5), (0.6, 0.25)]);
        let html = render(&[images], &[], 2).unwrap().into_string();
        assert!(html.contains("inter: ρ = −1.00 over 3 images, no more than chance"), "{html}");
        assert_eq!(html.matches("<circle").count(), 3, "intra has no entropies: {html}");
    }

    #[test]
    fn the_parts_of_a_ranking_of_the_same_images_are_compared() {
        let mut images = images(&[(Some(0.75), Some(0.5)), (Some(0.25), Some(0.5)), (Some(0.5), None)]);
        images.dataset = "target".into();
        let html = parts(&images, &[ranking("rank", &[], &["0"], &["1", "2"])]).into_string();
        assert!(html.contains("<td>inter</td><td>75.0</td><td>37.5</td><td>+37.5</td>"), "{html}");
        assert!(html.contains("<td>intra</td><td>50.0</td><td>50.0</td><td>0.0</td>"), "{html}");
        images.coordinates = vec![coordinate("seed", "1")];
        let of_seed = |seed| ranking("rank", &[("seed", seed), ("lambda", "0.5")], &["0"], &["1", "2"]);
        let of_both = parts(&images, &[of_seed("1"), of_seed("2")]).into_string();
        assert_eq!(of_both.matches("<h4>").count(), 1, "another seed's ranking says nothing of these networks");
        images.dataset = "val".into();
        assert_eq!(parts(&images, &[ranking("rank", &[], &["0"], &["1"])]).into_string(), "");
    }
}
