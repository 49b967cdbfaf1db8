//! `[datasets.…]`: where images come from.
//!
//! Doesn't access the file system; only joins paths. Which stages use a data set or write into it is determined when the stages
//! are read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use intrada_picture::Palette;

use super::palettes::palette_of;
use super::paths::normalize;
use super::problem::Problem;
use super::raw::{Entry, Table};
use super::read::{Reader, Values};
use super::sections::{read_variant, tables};
use super::value::Value;
use super::{Class, Dataset, FolderSpans, Format};
use crate::kind::dataset::{Decode, Fit, Margins, Orientation, Resize, Scaling, Selection};
use crate::kind::{Variant, dataset};

/// Reads `[datasets.…]`; invalid ones are `None`, so that a stage that names one isn't reported too.
pub(super) fn read_datasets(
    reader: &mut Reader<'_>,
    file: &Table,
    root: &Path,
    classes: &[Class],
) -> Vec<(String, Option<Dataset>)> {
    let tables = tables(reader, file, "datasets", "data set");
    let mut read = Vec::with_capacity(tables.len());
    for (entry, table) in tables {
        let before = reader.problems.len();
        let dataset = read_variant(reader, (entry, table), "format", dataset::FORMATS, "data set")
            .map(|(variant, values)| {
                reader.problems.extend(all_margin(&entry.key, &values));
                let (palette, problems) = palette_of(&values, classes);
                reader.problems.extend(problems);
                (variant, values, palette)
            })
            .filter(|_| reader.problems[before..].iter().all(|problem| !problem.is_error()))
            .map(|(variant, values, palette)| dataset_of(entry, variant, &values, palette, root));
        read.push((entry.key.clone(), dataset));
    }
    read
}

fn dataset_of(entry: &Entry, variant: &Variant, values: &Values, palette: Palette, root: &Path) -> Dataset {
    let text = |name: &str| values.value(name).and_then(|value| value.as_text().map(str::to_owned)).unwrap_or_default();
    let size = values.value("size").map(|size| side_lengths(&size));
    let format = match variant.name {
        "scenes" => {
            let part = Some(text("part")).filter(|part| !part.is_empty()).unwrap_or_else(|| "all".to_owned());
            let (seed, count) = (
                values.integer("seed").unwrap_or_default().unsigned_abs(),
                values.integer("count").unwrap_or_default().try_into().unwrap_or_default(),
            );
            Format::Scenes { style: text("style"), part, seed, count, size: size.unwrap_or_default() }
        }
        "folder" => {
            let folder = text("root");
            let below = |name| normalize(root, &format!("{folder}/{}", text(name)));
            Format::Folder {
                root: normalize(root, &folder),
                images: below("images"),
                labels: below("labels"),
                list: list_of(values, root),
                spans: folder_spans(values),
            }
        }
        published => Format::Published {
            format: published,
            root: normalize(root, &text("root")),
            selection: selection(values, text),
            list: list_of(values, root),
            missing: text("missing"),
            spans: folder_spans(values),
        },
    };
    let map = values.value("map").map(|map| label_map(&map)).unwrap_or_default();
    let orientation = if text("orientation") == "apply" { Orientation::Apply } else { Orientation::Ignore };
    Dataset {
        name: entry.key.clone(),
        format,
        size,
        scaling: scaling(values),
        decode: if text("decode") == "reduced" { Decode::Reduced } else { Decode::Full },
        cache: values.value("cache").is_some_and(|cache| cache == Value::Flag(true)),
        orientation,
        margins: margins(values),
        map,
        palette,
        span: entry.key_span,
        producers: Vec::new(),
    }
}

fn scaling(values: &Values) -> Scaling {
    let is = |key, wanted| values.value(key).is_some_and(|value| value.as_text() == Some(wanted));
    Scaling {
        fit: if is("fit", "box") { Fit::Box } else { Fit::Exact },
        resize: if is("resize", "bilinear") { Resize::Bilinear } else { Resize::Bicubic },
    }
}

fn margins(values: &Values) -> Margins {
    let pixels = |key| values.integer(key).and_then(|pixels| pixels.try_into().ok()).unwrap_or_default();
    Margins {
        top: pixels("margin_top"),
        bottom: pixels("margin_bottom"),
        left: pixels("margin_left"),
        right: pixels("margin_right"),
    }
}

/// Reports margins that leave no pixel of an image at the data set's `size`. Of images as stored, the first one tells.
fn all_margin(dataset: &str, values: &Values) -> Vec<Problem> {
    let Some(size) = values.value("size") else { return Vec::new() };
    let (size, margins) = (side_lengths(&size), margins(values));
    // In a box, images may stand or lie; how much of it each fills, only the image tells.
    let ([width, height], have) = match scaling(values).fit {
        Fit::Exact => (size, "have"),
        Fit::Box => ([size[0].max(size[1]); 2], "have at most"),
    };
    let wrong = |keys: [&'static str; 2], pixels: [u32; 2], side: u32, what: &str| {
        (pixels[0].saturating_add(pixels[1]) >= side).then(|| {
            let title = format!(
                "the margins of `{dataset}` leave no pixel: `{}` + `{}` is {}, and its images {have} {side} {what}",
                keys[0],
                keys[1],
                pixels[0].saturating_add(pixels[1]),
            );
            let [first, second] = keys.map(|key| values.get(key).map(|typed| typed.span));
            let problem = Problem::error(title).at(second.or(first).unwrap_or(values.header), "");
            problem.help("margins are pixels of the resized image")
        })
    };
    [
        wrong(["margin_top", "margin_bottom"], [margins.top, margins.bottom], height, "rows"),
        wrong(["margin_left", "margin_right"], [margins.left, margins.right], width, "columns"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// At most one key of each of the first two pairs is in a format's table, and the other reads as empty.
fn selection(values: &Values, text: impl Fn(&str) -> String) -> Selection {
    let conditions = values.value("conditions").unwrap_or(Value::List(Vec::new()));
    let chosen = conditions.elements().iter().filter_map(Value::as_text).map(str::to_owned).chain([text("time")]);
    let subsets: BTreeSet<String> = chosen.filter(|subset| !subset.is_empty()).collect();
    let part = text("split") + &text("images");
    Selection { part, subsets: subsets.into_iter().collect(), labels: text("labels") }
}

fn list_of(values: &Values, root: &Path) -> Option<PathBuf> {
    let list = values.value("list")?;
    list.as_text().filter(|list| !list.is_empty()).map(|list| normalize(root, list))
}

fn folder_spans(values: &Values) -> FolderSpans {
    let root = values.span("root");
    let or_root = |name| values.get(name).map_or(root, |typed| typed.span);
    FolderSpans { root, images: or_root("images"), labels: or_root("labels"), list: or_root("list") }
}

fn side_lengths(value: &Value) -> [u32; 2] {
    let side = |i: usize| value.elements().get(i).and_then(Value::as_integer).and_then(|side| side.try_into().ok());
    [side(0).unwrap_or_default(), side(1).unwrap_or_default()]
}

fn label_map(value: &Value) -> Vec<(u8, u8)> {
    let byte = |value: &Value| value.as_integer().and_then(|number| number.try_into().ok()).unwrap_or_default();
    let pair = |pair: &Value| match pair.elements() {
        [from, to] => (byte(from), byte(to)),
        _ => (0, 0),
    };
    value.elements().iter().map(pair).collect()
}

impl Dataset {
    /// Its paths: folders, and the list if there is one. Relative to the workspace root.
    pub fn paths(&self) -> Vec<PathBuf> {
        match &self.format {
            Format::Folder { images, labels, list, .. } => [images, labels].into_iter().chain(list).cloned().collect(),
            Format::Published { root, list, .. } => [root].into_iter().chain(list).cloned().collect(),
            Format::Scenes { .. } => Vec::new(),
        }
    }
}
