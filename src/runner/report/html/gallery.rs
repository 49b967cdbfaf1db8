//! All images of a stage, in a table that the script filters, sorts and searches: those of an evaluation with the networks'
//! IoU, those of an inference with their entropy.
//!
//! Knows tables of images, no picture: thumbnails come from `thumbnails`. The rows are data of the page, of which the script
//! shows a few at a time; without a script there is a plain table of the first [`PLAIN`].

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use maud::{Markup, html};
use serde::Serialize;
use serde_json::json;

use super::certainty::entropy_scale;
use super::images::Images;
use super::markup::{Part, hex, parts};
use super::thumbnails::{Sheets, Thumbnails};
use super::workspace::Workspace;
use crate::kind::OutputRole;
use crate::measures::{count, plural};
use crate::pipeline::{Class, Stage, StageId};
use crate::results::image::{ImageScore, map_file, named};
use crate::results::map::viridis;

/// Rows of the table without a script.
const PLAIN: usize = 500;
/// Networks with thumbnails in an evaluation's table.
const NETWORKS: usize = 4;
/// Inferences with a gallery; of a large sweep the first.
const INFERENCES: usize = 4;

/// The images of one stage.
pub(super) struct Gallery {
    stage: StageId,
    /// Its name.
    name: String,
    /// The data set, the number of images.
    about: String,
    images: Vec<String>,
    columns: Vec<Column>,
    /// By image, the classes in its label as hexadecimal digits, four classes each, the first in the lowest bit of the first
    /// digit. None if that isn't known.
    present: Option<Vec<String>>,
    thumbnails: Option<Thumbnails>,
    links: Vec<Link>,
    /// Whether thumbnails were left out for the page's size.
    is_cut: bool,
}

/// A column of the table, besides the image.
#[derive(Serialize)]
struct Column {
    title: String,
    /// The meaning of its values, for people.
    unit: &'static str,
    /// Digits after the point.
    digits: usize,
    values: Values,
    /// Whether it is that of the judged network, which narrow screens show first.
    judged: bool,
    /// Its thumbnails: a folder of `thumbnails`, what they show.
    map: Option<(String, &'static str)>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Values {
    /// No values, only thumbnails.
    None,
    Numbers(Vec<Option<f64>>),
    /// One of few words.
    Words(Vec<String>),
}

/// Files of the images in `runs/`.
#[derive(Serialize)]
struct Link {
    text: String,
    /// The link to a folder, which names of files are put to.
    folder: String,
    /// The ending of the files.
    ending: &'static str,
    /// The images that have such a file; all of them if this is none.
    of: Option<Vec<usize>>,
}

/// Those of the evaluations, then those of the inferences.
pub(super) fn gather(workspace: &Workspace, evaluations: &[Images], sheets: &mut Sheets) -> Vec<Gallery> {
    let mut galleries: Vec<Gallery> =
        evaluations.iter().filter_map(|images| of_evaluation(workspace, images, sheets)).collect();
    let inferences = workspace.stages().map(|(id, _)| id).filter_map(|id| of_inference(workspace, id, sheets));
    galleries.extend(inferences.take(INFERENCES));
    galleries
}

fn of_evaluation(workspace: &Workspace, images: &Images, sheets: &mut Sheets) -> Option<Gallery> {
    let lines = &images.lines;
    if lines.is_empty() {
        return None;
    }
    let folder = |network: &String| format!("prediction/{network}");
    // The most important first, should the page become too large.
    let compared = images.compared.map(|(before, judged)| [judged, before]);
    let mut order: Vec<usize> = compared.into_iter().flatten().chain(images.judged()).collect();
    order.extend(0..images.networks.len());
    let mut wanted: Vec<String> = Vec::new();
    for network in order.into_iter().map(|at| folder(&images.networks[at])) {
        if !wanted.contains(&network) && wanted.len() < NETWORKS {
            wanted.push(network);
        }
    }
    wanted.insert(1.min(wanted.len()), "truth".to_owned());
    let thumbnails = sheets.of(workspace, images.stage, &wanted).filter(|found| found.images() == lines.len());
    let has = |folder: &str| thumbnails.as_ref().is_some_and(|found| found.maps.contains_key(folder));
    let map = |folder: String| has(&folder).then_some((folder, "classes"));
    let mut columns = Vec::new();
    if let Some(map) = map("truth".to_owned()) {
        columns.push(Column {
            title: "label".to_owned(),
            unit: "",
            digits: 0,
            judged: false,
            values: Values::None,
            map: Some(map),
        });
    }
    columns.extend(images.networks.iter().enumerate().map(|(at, network)| Column {
        title: network.clone(),
        unit: "mIoU in %",
        digits: 1,
        judged: images.judged() == Some(at),
        values: Values::Numbers(
            lines.iter().map(|line| line.miou(network).map(|miou| rounded(100.0 * miou, 1))).collect(),
        ),
        map: map(folder(network)),
    }));
    if let Some((before, judged)) = images.compared.map(|(a, b)| (&images.networks[a], &images.networks[b])) {
        let gain = |line: &ImageScore| Some(rounded(100.0 * (line.miou(judged)? - line.miou(before)?), 1));
        columns.push(Column {
            title: format!("{judged} − {before}"),
            unit: "points of mIoU",
            digits: 1,
            judged: false,
            values: Values::Numbers(lines.iter().map(gain).collect()),
            map: None,
        });
    }
    let classes = workspace.pipeline.classes.len();
    let present = lines
        .iter()
        .any(|line| !line.truth.is_empty())
        .then(|| lines.iter().map(|line| present(line, classes)).collect());
    Some(Gallery {
        stage: images.stage,
        name: images.evaluation.clone(),
        about: format!("{} of {}", plural(lines.len(), "image"), images.dataset),
        is_cut: is_cut(workspace, images.stage, thumbnails.as_ref(), wanted.len()),
        links: links(workspace, images),
        images: lines.iter().map(|line| line.image.clone()).collect(),
        columns,
        present,
        thumbnails,
    })
}

/// Whether a stage that has thumbnails has fewer of them here.
fn is_cut(workspace: &Workspace, stage: StageId, thumbnails: Option<&Thumbnails>, wanted: usize) -> bool {
    workspace.artifact(stage, OutputRole::Thumbnails).is_some()
        && thumbnails.is_none_or(|found| found.maps.len() < wanted)
}

/// The classes in an image's label.
fn present(line: &ImageScore, classes: usize) -> String {
    let is_in = |class: usize| line.truth.get(class).is_some_and(|pixels| *pixels > 0);
    let digit = |four: usize| (0..4).filter(|bit| is_in(4 * four + bit)).map(|bit| 1 << bit).sum::<u32>();
    (0..classes.div_ceil(4)).filter_map(|four| char::from_digit(digit(four), 16)).collect()
}

/// To the large pictures of an evaluation: overlays, and predictions where it keeps them.
fn links(workspace: &Workspace, images: &Images) -> Vec<Link> {
    let mut links = Vec::new();
    for (role, what) in [(OutputRole::MeasuredPredictions, "prediction"), (OutputRole::Overlays, "overlay")] {
        let Some(folder) = workspace.link(images.stage, role) else { continue };
        let files: HashMap<_, _> = workspace.files(images.stage, role).into_iter().collect();
        for network in &images.networks {
            let is_there = |image: &str| files.contains_key(&Path::new(network).join(map_file(image)));
            let of: Vec<usize> = (0..images.lines.len()).filter(|at| is_there(&images.lines[*at].image)).collect();
            if !of.is_empty() {
                let is_all = of.len() == images.lines.len();
                links.push(Link {
                    text: format!("{what} of {network}, full size"),
                    folder: format!("{folder}/{}/", super::links::encoded(network)),
                    ending: "png",
                    of: (!is_all).then_some(of),
                });
            }
        }
    }
    links
}

fn of_inference(workspace: &Workspace, id: StageId, sheets: &mut Sheets) -> Option<Gallery> {
    let stage = workspace.pipeline.stage(id);
    let table = workspace.bytes(id, OutputRole::Scores)?;
    let scale = entropy_scale(workspace.pipeline.classes.len());
    let line = |line: &str| {
        let (image, fields) = named(line, 3)?;
        let entropy = fields[0].parse::<f64>().ok().filter(|entropy| entropy.is_finite());
        Some((image, entropy.map(|entropy| rounded(entropy * scale, 4))))
    };
    let lines: Vec<(String, Option<f64>)> =
        std::str::from_utf8(&table).ok()?.lines().skip(1).filter_map(line).collect();
    if lines.is_empty() {
        return None;
    }
    let wanted = ["prediction", "entropy"].map(str::to_owned);
    let thumbnails = sheets.of(workspace, id, &wanted).filter(|found| found.images() == lines.len());
    let map = |folder: &str, what: &'static str| {
        let has = thumbnails.as_ref().is_some_and(|found| found.maps.contains_key(folder));
        has.then(|| (folder.to_owned(), what))
    };
    let mut columns = vec![
        Column {
            title: "prediction".to_owned(),
            unit: "",
            digits: 0,
            judged: false,
            values: Values::None,
            map: map("prediction", "classes"),
        },
        Column {
            title: "mean entropy".to_owned(),
            unit: "0 to 1",
            digits: 4,
            judged: false,
            values: Values::Numbers(lines.iter().map(|(_, entropy)| *entropy).collect()),
            map: map("entropy", "entropy"),
        },
    ];
    columns.retain(|column| column.map.is_some() || matches!(column.values, Values::Numbers(_)));
    columns.extend(sides(workspace, id, &lines));
    let mut thumbnails = thumbnails;
    if let Some(thumbnails) = &mut thumbnails {
        columns.extend(pseudo_labels(workspace, id, &lines, thumbnails, sheets));
    }
    let folder = |role, text: &str, ending| {
        Some(Link { text: format!("{text}, full size"), folder: workspace.link(id, role)? + "/", ending, of: None })
    };
    Some(Gallery {
        stage: id,
        name: stage.name.clone(),
        about: format!(
            "{} of {}, without labels",
            plural(lines.len(), "image"),
            workspace.dataset_name(stage, "images").unwrap_or_default()
        ),
        is_cut: is_cut(workspace, id, thumbnails.as_ref(), wanted.len()),
        links: [
            folder(OutputRole::Predictions, "prediction (class indices)", "png"),
            folder(OutputRole::EntropyMaps, "entropy map", "png"),
        ]
        .into_iter()
        .flatten()
        .collect(),
        images: lines.into_iter().map(|(image, _)| image).collect(),
        columns,
        present: None,
        thumbnails,
    })
}

/// The side of the cut that the rankings of this inference put its images on, and which of the easy ones have pseudo-labels.
fn sides(workspace: &Workspace, inference: StageId, lines: &[(String, Option<f64>)]) -> Vec<Column> {
    let column = |id: StageId| {
        let stage = workspace.pipeline.stage(id);
        let scored = workspace.producer(stage, "scores") == Some(inference);
        let table = scored.then(|| workspace.bytes(id, OutputRole::RankingTable)).flatten()?;
        let text = String::from_utf8_lossy(&table);
        let side = |line: &str| named(line, 2).map(|(image, fields)| (image, fields[1].to_owned()));
        let sides: BTreeMap<String, String> = text.lines().skip(1).filter_map(side).collect();
        let of = |(image, _): &(String, _)| sides.get(image).cloned().unwrap_or_default();
        let values = Values::Words(lines.iter().map(of).collect());
        Some(Column { title: stage.name.clone(), unit: "side of the cut", digits: 0, judged: false, values, map: None })
    };
    workspace.stages().filter_map(|(id, _)| column(id)).take(1).collect()
}

/// The pseudo-labels of these images, of a stage that labels only some pixels: else they are the predictions.
fn pseudo_labels(
    workspace: &Workspace,
    inference: StageId,
    lines: &[(String, Option<f64>)],
    thumbnails: &mut Thumbnails,
    sheets: &mut Sheets,
) -> Option<Column> {
    let of_this = |(id, stage): &(StageId, &Stage)| {
        workspace.producer(stage, "predictions") == Some(inference)
            && workspace.artifact(*id, OutputRole::Labels).is_some()
            && workspace.artifact(*id, OutputRole::Thumbnails).is_some()
    };
    let (id, stage) = workspace.stages().find(of_this)?;
    let mut files: Vec<PathBuf> = workspace.files(id, OutputRole::Labels).into_iter().map(|(path, _)| path).collect();
    files.sort();
    let places = lines.iter().map(|(image, _)| files.binary_search(&map_file(image)).ok()).collect();
    let others = sheets.others(workspace, id, "label", places)?;
    let name = format!("labels of {}", stage.name);
    thumbnails.others.insert(name.clone(), others);
    let map = Some((name, "classes"));
    Some(Column { title: stage.name.clone(), unit: "", digits: 0, judged: false, values: Values::None, map })
}

fn rounded(value: f64, digits: i32) -> f64 {
    let factor = 10f64.powi(digits);
    (value * factor).round() / factor
}

/// What the script knows of maps and galleries: the classes with their colours, the colours of entropies, the rows.
///
/// `is_going` and `written` (seconds since the Unix epoch) decide whether the page reloads itself.
pub(super) fn data(galleries: &[Gallery], classes: &[Class], is_going: bool, written: f64) -> serde_json::Value {
    let class = |class: &Class| json!({ "name": class.name, "colour": class.colour });
    let gallery = |gallery: &Gallery| {
        json!({
            "name": gallery.name,
            "stage": gallery.stage.0,
            "images": gallery.images,
            "columns": gallery.columns,
            "present": gallery.present,
            "thumbnails": gallery.thumbnails,
            "links": gallery.links,
        })
    };
    json!({
        "classes": classes.iter().map(class).collect::<Vec<_>>(),
        "state": { "going": is_going, "written": written },
        "entropy": viridis().map(hex).concat(),
        "galleries": galleries.iter().map(gallery).collect::<Vec<_>>(),
    })
}

/// The section; none without a gallery.
pub(super) fn render(galleries: &[Gallery]) -> Option<Markup> {
    let part = |(at, gallery): (usize, &Gallery)| Part {
        id: format!("gallery-{}", gallery.stage.0),
        name: gallery.name.clone(),
        about: gallery.about.clone(),
        body: one(at, gallery),
    };
    (!galleries.is_empty()).then(|| parts(&galleries.iter().enumerate().map(part).collect::<Vec<_>>()))
}

fn one(at: usize, gallery: &Gallery) -> Markup {
    let rest = gallery.images.len().saturating_sub(PLAIN);
    html! {
        div.gallery.scripted hidden data-gallery=(at) {}
        @if gallery.is_cut {
            p.note { "Some thumbnails were left out: they would make this page too large." }
        }
        noscript {
            div.wide {
                table {
                    thead {
                        tr {
                            th { "image" }
                            @for column in gallery.numbers() { th { (column.title) br; small { (column.unit) } } }
                        }
                    }
                    tbody {
                        @for image in 0..gallery.images.len().min(PLAIN) {
                            tr {
                                td { (gallery.images[image]) }
                                @for column in gallery.numbers() { td { (column.shown(image)) } }
                            }
                            "\n"
                        }
                    }
                }
            }
            @if rest > 0 { p.note { (count(rest as u64)) " images more are shown with scripts only." } }
        }
        "\n"
    }
}

impl Gallery {
    /// The columns with values.
    fn numbers(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !matches!(column.values, Values::None))
    }
}

impl Column {
    /// The value of this image, for people.
    fn shown(&self, image: usize) -> String {
        match &self.values {
            Values::None => String::new(),
            Values::Words(words) => words[image].clone(),
            Values::Numbers(numbers) => match numbers[image] {
                Some(number) => format!("{number:.*}", self.digits).replace('-', "−"),
                None => "–".to_owned(),
            },
        }
    }
}
