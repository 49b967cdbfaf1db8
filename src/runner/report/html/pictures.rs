//! Pictures: of the most informative images of an evaluation, the label and each network's prediction.
//!
//! Knows the folder `pictures` of an evaluation, which chose them. Every map is overlaid on its photograph in a cell of the
//! same size, so that nothing can be misaligned. The script (`pictures.js`) enlarges pictures, fades maps and switches
//! between two networks; the rows are complete without it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use maud::{Markup, html};

use super::chart::{Line, Range, draw};
use super::images::{Gains, Images};
use super::markup::{Part, parts, percent, signed};
use super::photographs::{Photographs, cell};
use super::picture::{Scale, element, key};
use super::workspace::Workspace;
use crate::digest::FileDigest;
use crate::kind::OutputRole;
use crate::measures::count;
use crate::pipeline::Class;
use crate::results::image::{ImageScore, map_file};
use crate::results::map::Map;

/// How many images are listed as the largest gains, and losses.
const NAMED: usize = 5;

/// The pictures of one evaluation, in display order.
pub(super) struct Shown {
    rows: Vec<Row>,
}

/// One image.
struct Row {
    line: ImageScore,
    /// Its place in the data set.
    at: usize,
    /// Why it is shown.
    reason: String,
    /// The CSS class of its photograph's cells.
    photograph: Option<String>,
    truth: Option<Map>,
    predictions: HashMap<String, Map>,
    entropy: HashMap<String, Map>,
}

/// The pictures of each of these evaluations.
pub(super) fn gather(workspace: &Workspace, evaluations: &[Images], photographs: &mut Photographs) -> Vec<Shown> {
    evaluations.iter().map(|images| shown(workspace, images, photographs)).collect()
}

fn shown(workspace: &Workspace, images: &Images, photographs: &mut Photographs) -> Shown {
    let files: HashMap<PathBuf, FileDigest> = workspace.files(images.stage, OutputRole::Pictures).into_iter().collect();
    let map = |path: &Path| Map::decode(&workspace.object(*files.get(path)?)?);
    let mut row = |at: usize, line: &ImageScore, reason: String| {
        let name = map_file(&line.image);
        let of_each = |folder: &str| {
            let one = |network: &String| Some((network.clone(), map(&Path::new(folder).join(network).join(&name))?));
            images.networks.iter().filter_map(one).collect()
        };
        let photograph = files.get(&Path::new("photograph").join(&name).with_extension("jpg"));
        Row {
            photograph: photograph.and_then(|file| photographs.class(workspace, *file)),
            truth: map(&Path::new("truth").join(&name)),
            predictions: of_each("prediction"),
            entropy: of_each("entropy"),
            line: line.clone(),
            at,
            reason,
        }
    };
    let mut rows: Vec<Row> = chosen(images).map(|(at, line, reason)| row(at, line, reason)).collect();
    let place = |row: &Row| REASONS.iter().position(|reason| row.reason.starts_with(reason)).unwrap_or(REASONS.len());
    rows.sort_by_key(place);
    Shown { rows }
}

/// Why an evaluation shows an image, in the order of the rows; other reasons come last.
const REASONS: [&str; 3] = ["best", "median", "worst"];

/// The images to show, and why. An evaluation has pictures of the largest gains and losses between any two networks, as the
/// order of the networks isn't part of its key. Here the order is known: only those between the two compared networks are
/// kept.
fn chosen(images: &Images) -> impl Iterator<Item = (usize, &ImageScore, String)> {
    let gains = images.gains();
    let ends = gains.and_then(|Gains { before, last, by_image }| {
        let (lost, gained) = (by_image.first().copied()?, by_image.last().copied()?);
        Some(
            [(lost, lost.0 < 0.0, "lost"), (gained, gained.0 > 0.0, "gained")]
                .map(|((_, image), is_one, did)| is_one.then(|| (image, format!("{last} {did} most over {before}")))),
        )
    });
    images.lines.iter().enumerate().filter_map(move |(at, line)| {
        let own = line.shown.as_ref()?;
        let own = REASONS.contains(&own.as_str()).then(|| own.clone());
        let ends = ends.iter().flatten().flatten().filter(|(image, _)| *image == line.image);
        let reason = own.into_iter().chain(ends.map(|(_, did)| did.clone())).collect::<Vec<_>>().join("; ");
        (!reason.is_empty()).then_some((at, line, reason))
    })
}

/// The section; none without an evaluation.
pub(super) fn render(evaluations: &[Images], shown: &[Shown], classes: &[Class]) -> Option<Markup> {
    let scale = Scale::classes(classes);
    let one = |(images, shown): (&Images, &Shown)| {
        let gains = images.gains();
        (!shown.rows.is_empty() || gains.is_some()).then(|| {
            let body = html! {
                @if !shown.rows.is_empty() { (table(images, &shown.rows, &scale)) }
                @if let Some(gains) = gains { (differences(&gains)) }
            };
            let about = format!("some images of {}", images.dataset);
            Part { id: format!("pictures-{}", images.stage.0), name: images.evaluation.clone(), about, body }
        })
    };
    let all: Vec<Part> = evaluations.iter().zip(shown).filter_map(one).collect();
    (!all.is_empty()).then(|| html! { (key(classes)) (parts(&all)) })
}

fn table(images: &Images, rows: &[Row], scale: &Scale) -> Markup {
    let places: Vec<BTreeMap<&str, usize>> = images.networks.iter().map(|network| images.places(network)).collect();
    html! {
        (blink(images))
        div.wide {
            table.pictures {
                thead {
                    tr {
                        th { "image" } th { "label" }
                        @for (i, network) in images.networks.iter().enumerate() { th data-network=(i) { (network) } }
                        @if let Some(judged) = images.judged().map(|at| &images.networks[at]) {
                            th { "entropy of " (judged) } th { "errors of " (judged) " " span.key.wrong { "wrong" } }
                        }
                    }
                }
                tbody { @for row in rows { (one(images, row, &places, scale)) } }
            }
        }
        "\n"
    }
}

/// The control for the key B, if there are two networks to switch between.
fn blink(images: &Images) -> Markup {
    let Some(judged) = images.judged().filter(|_| images.networks.len() > 1) else { return html! {} };
    let compared = images.compared.map(|(before, _)| before);
    let others = images.networks.iter().enumerate().filter(|(i, _)| *i != judged);
    html! {
        p.legend.noprint.scripted hidden {
            label {
                "hold " kbd { "B" } " to show, instead of " (images.networks[judged]) ", "
                select.blink data-judged=(judged) {
                    @for (i, name) in others { option value=(i) selected[compared == Some(i)] { (name) } }
                }
            }
        }
    }
}

fn one(images: &Images, row: &Row, places: &[BTreeMap<&str, usize>], scale: &Scale) -> Markup {
    let (image, class) = (&row.line.image, row.photograph.as_deref());
    let judged = images.judged().map(|at| images.networks[at].as_str());
    let over = |map: Option<Map>, scale: &Scale, what: &str, below: &str| {
        let about = format!("{what} of {image}");
        let picture = map.map(|map| element(&map, scale, &about));
        let class = class.filter(|_| picture.is_some());
        html! { td class=[(judged == Some(what)).then_some("judged")] data-title=(what) { (cell(class, picture, &about, below)) } }
    };
    let predicted = |(network, places): (&String, &BTreeMap<&str, usize>)| {
        let place = places.get(image.as_str()).map(|place| format!(", {place} of {}", count(places.len() as u64)));
        let below = format!("mIoU {}{}", percent(row.line.miou(network)), place.unwrap_or_default());
        over(row.predictions.get(network).cloned(), scale, network, &below)
    };
    let of_judged = |judged: &String| {
        let errors = row.predictions.get(judged).zip(row.truth.as_ref()).and_then(|(is, should)| is.errors(should));
        let wrong = errors.as_ref().map(|errors| {
            let shares = errors.shares();
            format!("{} % wrong", percent(Some(shares[1] / (shares[0] + shares[1]).max(f64::MIN_POSITIVE))))
        });
        html! {
            (over(row.entropy.get(judged).cloned().map(Map::coarse), &Scale::entropies(), "entropy", ""))
            (over(errors.map(Map::hatched), &Scale::errors(), "errors", &wrong.unwrap_or_default()))
        }
    };
    html! {
        tr data-name=(image) data-stage=(images.stage.0) data-image=(row.at) {
            td { (cell(class, None, &format!("photograph of {image}"), format!("{image}, {}", row.reason))) }
            (over(row.truth.clone().map(Map::hatched), scale, "label", ""))
            @for network in images.networks.iter().zip(places) { (predicted(network)) }
            @if let Some(at) = images.judged() { (of_judged(&images.networks[at])) }
        }
        "\n"
    }
}

/// The judged network against the baseline, over all images: only a few of them have pictures.
fn differences(gains: &Gains) -> Markup {
    let Gains { before, last, by_image } = gains;
    let better = by_image.iter().filter(|(gain, _)| *gain > 0.0).count();
    let worse = by_image.iter().filter(|(gain, _)| *gain < 0.0).count();
    let gained = by_image.iter().rev().filter(|(gain, _)| *gain > 0.0);
    let lost = by_image.iter().filter(|(gain, _)| *gain < 0.0);
    html! {
        h4 { (last) " beside " (before) ", image by image" }
        div.beside {
            div {
                p {
                    (last) " is better on " (count(better as u64)) " of " (count(by_image.len() as u64))
                    " images and worse on " (count(worse as u64)) "."
                }
                (named("gained", gained)) (named("lost", lost))
            }
            div { (curve(gains, worse)) }
        }
        "\n"
    }
}

/// The first of these images with their gains.
fn named<'a>(word: &str, images: impl Iterator<Item = &'a (f64, &'a str)>) -> Markup {
    let each = |(gain, image): &(f64, &str)| format!("{image} {}", signed(100.0 * gain));
    let list: Vec<String> = images.take(NAMED).map(each).collect();
    html! { @if !list.is_empty() { p.note { "Most " (word) ": " (list.join(", ")) "." } } }
}

/// All gains, sorted, with a mark at zero.
fn curve(gains: &Gains, worse: usize) -> Markup {
    let points = (1..).zip(&gains.by_image).map(|(at, (gain, _))| (f64::from(at), 100.0 * gain)).collect();
    let x = Range { from: 0.0, to: gains.by_image.len() as f64, logarithmic: false };
    let y = Range::over(gains.by_image.iter().map(|(gain, _)| 100.0 * gain).chain([0.0]));
    let title = format!("{} − {}, points of mIoU, images sorted", gains.last, gains.before);
    let line = Line { name: title.clone(), points, ..Line::default() };
    html! { @if let Some(y) = y { (draw(&title, &[line], x, y, &[(worse as f64, "")])) } }
}

#[cfg(test)]
mod tests {
    use super::super::images::tests::images;
    use super::*;

    #[test]
    fn an_image_on_which_networks_differ_is_shown_where_it_is_the_last_ones_greatest_gain_or_loss() {
        let shown = [("best", 0.9, 0.9), ("worst", 0.1, 0.4), ("differ", 0.5, 0.4), ("differ", 0.6, 0.6)];
        let mut images = images(&shown.map(|(_, old, new)| (Some(old), Some(new))));
        for (line, (reason, ..)) in images.lines.iter_mut().zip(shown) {
            line.shown = Some(reason.to_owned());
        }
        let reasons: Vec<(&str, String)> = chosen(&images).map(|(_, line, reason)| (&*line.image, reason)).collect();
        let expected = ["best", "worst; intra gained most over inter", "intra lost most over inter"];
        assert_eq!(reasons, [("0", expected[0].into()), ("1", expected[1].into()), ("2", expected[2].into())]);
    }

    #[test]
    fn gains_and_losses_are_counted_over_all_images_and_the_greatest_are_named() {
        let of_each = [(0.5, 0.75), (0.5, 0.25), (0.5, 0.625), (0.5, 0.5)].map(|(old, new)| (Some(old), Some(new)));
        let html = differences(&images(&of_each).gains().unwrap()).into_string();
        assert!(html.contains("intra is better on 2 of 4 images and worse on 1."), "{html}");
        assert!(html.contains("Most gained: 0 +25.0, 2 +12.5.") && html.contains("Most lost: 1 −25.0."), "{html}");
    }

    #[test]
    fn the_key_is_offered_where_there_are_two_networks() {
        let named = |names: &[&str], compared| Images {
            networks: names.iter().map(|name| (*name).to_owned()).collect(),
            compared,
            ..images(&[])
        };
        assert_eq!(blink(&named(&["inter"], None)).into_string(), "");
        let offered = blink(&named(&["a", "<b>", "c", "d"], Some((1, 2)))).into_string();
        assert!(offered.contains("instead of c, <select class=\"blink\" data-judged=\"2\">"), "{offered}");
        let options =
            "<option value=\"0\">a</option><option value=\"1\" selected>&lt;b&gt;</option><option value=\"3\">d";
        assert!(offered.contains(options), "{offered}");
    }
}
