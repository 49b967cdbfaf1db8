//! The sections of the file that stages refer to: `[pipeline]`, `[[classes]]`, `[datasets.…]`, `[models.…]`.
//!
//! Knows no stage. What a section says is kept as read; whether anything uses it is seen when the stages are.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::near::did_you_mean;
use super::paths::normalize;
use super::problem::Problem;
use super::raw::{Entry, Item, Table};
use super::read::{Reader, Typed, Values, all, one_of};
use super::source::Span;
use super::value::Value;
use super::{Class, Dataset, FolderSpans, Format};
use crate::kind::{KeySpec, Variant, classes, dataset, model, pipeline};

/// What `[pipeline]` says.
pub(super) struct Header {
    pub name: String,
    pub seed: u64,
    pub device: String,
    pub threads: Option<u32>,
    pub classes: Vec<Class>,
    /// Whether the file says anything about classes, rightly or wrongly.
    pub has_classes: bool,
}

/// A model, as its table says.
pub(super) struct Model {
    pub name: String,
    pub span: Span,
    /// `arch` and the parameters that its table takes, in the order of the table's keys.
    pub parameters: Vec<(String, Value, Span)>,
    pub init: Option<(String, Span)>,
}

/// `format`, and sections that don't exist.
pub(super) fn check_format(reader: &mut Reader<'_>, file: &Table) {
    for entry in &file.0 {
        if entry.key != "format" && !pipeline::SECTIONS.contains(&&*entry.key) {
            let names = pipeline::SECTIONS.iter().copied().chain(["format"]);
            reader.unknown_key(entry, names, "a pipeline file");
        }
    }
    let problem = match file.get("format").map(|entry| (&entry.node.item, entry.node.span)) {
        Some((Item::Integer(pipeline::FORMAT), _)) => return,
        Some((Item::Integer(newer), span)) if *newer > pipeline::FORMAT => Problem::error(format!(
            "format {newer} is newer than this program, which reads format {}",
            pipeline::FORMAT
        ))
        .at(span, "")
        .help("install a newer intrada"),
        Some((_, span)) => Problem::error("`format` is the version of the file format")
            .at(span, format!("expected {}", pipeline::FORMAT)),
        None => Problem::error("the file doesn't say which version of the format it has")
            .at(Span::FILE, "")
            .help(format!("add `format = {}` as the first line", pipeline::FORMAT)),
    };
    reader.problems.push(problem);
}

/// Whether something can be the name of a stage, a data set, a model or the pipeline: it becomes a folder and part of `a.b`.
pub(super) fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The tables of a section, with their names: those that aren't tables, or have no proper name, are reported.
pub(super) fn tables<'t>(
    reader: &mut Reader<'_>,
    file: &'t Table,
    section: &str,
    what: &str,
) -> Vec<(&'t Entry, &'t Table)> {
    let Some(entry) = file.get(section) else { return Vec::new() };
    let Item::Table(table) = &entry.node.item else {
        let title = format!("`{section}` is a section, this is {}", entry.node.item.words());
        reader.problems.push(Problem::error(title).at(entry.node.span, format!("expected [{section}.<name>]")));
        return Vec::new();
    };
    let mut tables = Vec::with_capacity(table.0.len());
    for entry in &table.0 {
        match &entry.node.item {
            Item::Table(table) if is_name(&entry.key) => tables.push((entry, table)),
            Item::Table(_) => {
                let title = format!("`{}` can't be the name of a {what}", entry.key);
                let rule = "expected letters, digits, `-` and `_`, at most 100";
                reader.problems.push(Problem::error(title).at(entry.key_span, rule));
            }
            item => {
                let title = format!("`{section}` holds tables, `{}` is {}", entry.key, item.words());
                let label = format!("expected [{section}.{}]", entry.key);
                reader.problems.push(Problem::error(title).at(entry.key_span, label));
            }
        }
    }
    tables
}

/// Reads `[pipeline]` and `[[classes]]`. `file` is the path of the pipeline file.
pub(super) fn read_header(reader: &mut Reader<'_>, table: &Table, file: &Path) -> Header {
    let nothing = Table::default();
    let (section, span) = match table.get("pipeline").map(|entry| (&entry.node.item, entry.key_span)) {
        Some((Item::Table(section), span)) => (section, span),
        Some((item, span)) => {
            let title = format!("`pipeline` is a section, this is {}", item.words());
            reader.problems.push(Problem::error(title).at(span, "expected [pipeline]"));
            (&nothing, span)
        }
        None => (&nothing, Span::FILE),
    };
    let values = reader.table(section, &[pipeline::KEYS], &[], "[pipeline]", span);
    let value = |name| all(&[pipeline::KEYS]).find(|key| key.name == name).and_then(|key| values.value(key));
    let integer = |name| value(name).and_then(|value| value.as_integer());
    Header {
        name: pipeline_name(reader, values.get("name"), values.has("name"), file),
        seed: integer("seed").unwrap_or_default().unsigned_abs(),
        device: device(reader, value("device"), values.span("device")),
        threads: integer("threads").and_then(|threads| threads.try_into().ok()),
        has_classes: values.has("classes") || table.get("classes").is_some(),
        classes: read_classes(reader, values.get("classes"), table.get("classes")),
    }
}

fn pipeline_name(reader: &mut Reader<'_>, typed: Option<&Typed>, has: bool, file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = typed.map_or(stem.as_str(), Typed::text).to_owned();
    if !is_name(&name) && (typed.is_some() || !has) {
        let problem =
            Problem::error(format!("`{name}` can't be the name of a pipeline: it names the folder `runs/<name>`"));
        let rule = "expected letters, digits, `-` and `_`, at most 100";
        reader.problems.push(match typed {
            Some(typed) => problem.at(typed.span, rule),
            None => problem.at(Span::FILE, "the name is the file's").help("give it one: `name = \"…\"` in [pipeline]"),
        });
    }
    name
}

fn device(reader: &mut Reader<'_>, value: Option<Value>, span: Span) -> String {
    let Some(Value::Text(device)) = value else { return "auto".to_owned() };
    let is_gpu = device.strip_prefix("cuda:").is_some_and(|number| number.parse::<u8>().is_ok());
    if !is_gpu && !["auto", "cpu", "cuda"].contains(&device.as_str()) {
        let help = did_you_mean(&device, ["auto", "cpu", "cuda"]);
        let problem = Problem::error(format!("there is no device `{device}`"));
        reader.problems.push(problem.at(span, "expected auto, cpu, cuda or cuda:<number>").help_if(help));
    }
    device
}

fn read_classes(reader: &mut Reader<'_>, set: Option<&Typed>, listed: Option<&Entry>) -> Vec<Class> {
    if let (Some(set), Some(listed)) = (set, listed) {
        let problem = Problem::error("the classes are given twice").at(listed.key_span, "listed here");
        reader.problems.push(problem.beside(set.span, "and named here").help("keep one of them"));
    }
    if let Some(set) = set {
        let set = classes::find(set.text()).expect("the key takes the names of the sets only");
        return set.classes.iter().map(|c| Class { name: c.name.to_owned(), colour: c.colour, rare: c.rare }).collect();
    }
    let Some(listed) = listed else { return Vec::new() };
    let Item::List(nodes) = &listed.node.item else {
        let problem =
            Problem::error("`classes` is a list of tables").at(listed.key_span, "expected [[classes]] for each class");
        reader.problems.push(problem.help("a class set by name belongs into [pipeline]"));
        return Vec::new();
    };
    if !(2..=255).contains(&nodes.len()) {
        let problem = Problem::error(format!("a pipeline has 2 to 255 classes, this one has {}", nodes.len()));
        reader.problems.push(problem.at(listed.key_span, ""));
    }
    let mut names = HashSet::new();
    let mut read = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let Item::Table(table) = &node.item else {
            reader.problems.push(Problem::error("`classes` is a list of tables").at(node.span, "expected [[classes]]"));
            continue;
        };
        let values = reader.table(table, &[pipeline::CLASS_KEYS], &[], "a class", node.span);
        let Some(name) = values.get("name") else { continue };
        if !names.insert(name.text().to_owned()) {
            reader.problems.push(Problem::error(format!("class `{}` is listed twice", name.text())).at(name.span, ""));
        }
        let colour = values.get("colour").map(|typed| bytes(&typed.value)).unwrap_or_else(|| classes::colour_of(index));
        let rare = values.get("rare").and_then(|typed| typed.value.as_flag()).unwrap_or_default();
        read.push(Class { name: name.text().to_owned(), colour, rare });
    }
    read
}

fn bytes(value: &Value) -> [u8; 3] {
    let mut bytes = [0; 3];
    for (byte, value) in bytes.iter_mut().zip(value.elements()) {
        *byte = value.as_integer().and_then(|number| number.try_into().ok()).unwrap_or_default();
    }
    bytes
}

/// The variant that `key` chooses, and the table's values.
fn read_variant(
    reader: &mut Reader<'_>,
    (entry, table): (&Entry, &Table),
    key: &str,
    variants: &'static [Variant],
    what: &str,
) -> Option<(&'static Variant, Values)> {
    let names: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
    let problem = match table.get(key).map(|entry| (&entry.node.item, entry.node.span)) {
        Some((Item::Text(name), span)) => match variants.iter().find(|variant| variant.name == name) {
            Some(variant) => {
                let article = if variant.name.starts_with('e') { "an" } else { "a" };
                let noun = format!("{article} {} {what}", variant.name);
                return Some((variant, reader.table(table, variant.keys, &[key], &noun, entry.key_span)));
            }
            None => Problem::error(format!("there is no {key} \"{name}\""))
                .at(span, format!("expected {}", one_of(&names)))
                .help_if(did_you_mean(name, names.iter().copied())),
        },
        Some((item, span)) => Problem::error(format!("`{key}` takes a string, this is {}", item.words()))
            .at(span, format!("expected {}", one_of(&names))),
        None => Problem::error(format!("{what} `{}` needs `{key}`", entry.key))
            .at(entry.key_span, format!("`{key}` is missing: {}", one_of(&names))),
    };
    reader.problems.push(problem);
    None
}

/// Reads `[datasets.…]`; those that are wrong are `None`, so that a stage that names one isn't told that it doesn't exist.
pub(super) fn read_datasets(reader: &mut Reader<'_>, file: &Table, root: &Path) -> Vec<(String, Option<Dataset>)> {
    let tables = tables(reader, file, "datasets", "data set");
    let mut read = Vec::with_capacity(tables.len());
    for (entry, table) in tables {
        let before = reader.problems.len();
        let dataset = read_variant(reader, (entry, table), "format", dataset::FORMATS, "data set")
            .filter(|_| reader.problems[before..].iter().all(|problem| !problem.is_error()))
            .map(|(variant, values)| dataset_of(entry, variant, &values, root));
        read.push((entry.key.clone(), dataset));
    }
    read
}

fn dataset_of(entry: &Entry, variant: &Variant, values: &Values, root: &Path) -> Dataset {
    let value = |name: &str| {
        let key: Option<&KeySpec> = all(variant.keys).find(|key| key.name == name);
        key.filter(|_| values.applies(key.and_then(|key| key.only), variant.keys) == Some(true))
            .and_then(|key| values.value(key))
    };
    let text = |name| value(name).and_then(|value| value.as_text().map(str::to_owned)).unwrap_or_default();
    let integer = |name| value(name).and_then(|value| value.as_integer()).unwrap_or_default();
    let size = value("size").map(|size| side_lengths(&size));
    let format = if variant.name == "scenes" {
        let part = Some(text("part")).filter(|part| !part.is_empty()).unwrap_or_else(|| "all".to_owned());
        let (seed, count) = (integer("seed").unsigned_abs(), integer("count").try_into().unwrap_or_default());
        Format::Scenes { style: text("style"), part, seed, count, size: size.unwrap_or_default() }
    } else {
        let folder = text("root");
        let below = |name| normalize(root, &format!("{folder}/{}", text(name)));
        Format::Folder {
            root: normalize(root, &folder),
            images: below("images"),
            labels: below("labels"),
            list: Some(text("list")).filter(|list| !list.is_empty()).map(|list| normalize(root, &list)),
            spans: folder_spans(values),
        }
    };
    let map = value("map").map(|map| label_map(&map)).unwrap_or_default();
    Dataset { name: entry.key.clone(), format, size, map, span: entry.key_span, producers: Vec::new() }
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

/// The paths that a data set is made of.
pub(super) fn paths_of(dataset: &Dataset) -> Vec<PathBuf> {
    match &dataset.format {
        Format::Folder { images, labels, list, .. } => [images, labels].into_iter().chain(list).cloned().collect(),
        Format::Scenes { .. } => Vec::new(),
    }
}

/// Reads `[models.…]`; those that are wrong are `None`.
pub(super) fn read_models(reader: &mut Reader<'_>, file: &Table) -> Vec<(String, Option<Model>)> {
    let tables = tables(reader, file, "models", "model");
    let mut read = Vec::with_capacity(tables.len());
    for (entry, table) in tables {
        let before = reader.problems.len();
        let model = read_variant(reader, (entry, table), "arch", model::ARCHS, "model")
            .filter(|_| reader.problems[before..].iter().all(|problem| !problem.is_error()))
            .map(|(variant, values)| {
                let arch = ("arch".to_owned(), Value::Text(variant.name.to_owned()), entry.key_span);
                let of_key = |key: &KeySpec| Some((key.name.to_owned(), values.value(key)?, values.span(key.name)));
                let parameters = all(variant.keys).filter(|key| key.name != "init").filter_map(of_key);
                let init = values.get("init").map(|typed| (typed.text().to_owned(), typed.span));
                Model {
                    name: entry.key.clone(),
                    span: entry.key_span,
                    parameters: [arch].into_iter().chain(parameters).collect(),
                    init,
                }
            });
        read.push((entry.key.clone(), model));
    }
    read
}
