//! `[pipeline]`, `[resources]`, `[executors.…]`, `[cache]` and `[[classes]]`: settings for all stages.
//!
//! Knows no stage; whether any needs the classes is checked when the stages are read.

use std::collections::HashSet;
use std::path::Path;

use super::Class;
use super::about::{About, read_about};
use super::cache::{Cache, read_cache};
use super::execution::{Resources, read_resources};
use super::executors::{Executors, read_executors};
use super::names::known_names;
use super::near::did_you_mean;
use super::problem::Problem;
use super::raw::{Entry, Item, Table};
use super::read::Reader;
use super::sections::{is_name, section};
use super::source::Span;
use super::typed::Typed;
use super::value::Value;
use crate::kind::instruction_set::{self, InstructionSet};
use crate::kind::{classes, pipeline};

/// What `[pipeline]` says.
pub(super) struct Header {
    pub name: String,
    pub about: About,
    pub seed: u64,
    pub device: String,
    pub device_span: Span,
    pub threads: Option<u32>,
    /// With its place in the text.
    pub instruction_set: Option<(&'static InstructionSet, Span)>,
    pub resources: Resources,
    pub executors: Executors,
    pub cache: Cache,
    pub classes: Vec<Class>,
    /// Whether the file says anything about classes, rightly or wrongly.
    pub has_classes: bool,
}

/// Reads `[pipeline]`, `[resources]`, `[executors.…]`, `[cache]` and `[[classes]]`. `file` is the path of the pipeline file.
pub(super) fn read_header(reader: &mut Reader<'_>, table: &Table, file: &Path, root: &Path) -> Header {
    let nothing = Table::default();
    let (section, span) = section(reader, table, "pipeline").unwrap_or((&nothing, Span::FILE));
    let values = reader.table(section, &[pipeline::KEYS], &[], "[pipeline]", span);
    let device = device(reader, values.value("device"), values.span("device"));
    Header {
        resources: read_resources(reader, table, (&device, values.span("device"))),
        executors: read_executors(reader, table, root, &values),
        cache: read_cache(reader, table),
        about: read_about(reader, &values),
        name: pipeline_name(reader, values.get("name"), values.has("name"), file),
        seed: values.integer("seed").unwrap_or_default().unsigned_abs(),
        device,
        device_span: values.span("device"),
        threads: values.integer("threads").and_then(|threads| threads.try_into().ok()),
        instruction_set: values
            .get("instruction_set")
            .and_then(|set| Some((instruction_set::find(set.text())?, set.span))),
        has_classes: values.has("classes") || table.get("classes").is_some(),
        classes: {
            let classes = read_classes(reader, values.get("classes"), table.get("classes"));
            with_things(reader, classes, values.get("things"))
        },
    }
}

fn pipeline_name(reader: &mut Reader<'_>, typed: Option<&Typed>, has: bool, file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = typed.map_or(stem.as_str(), Typed::text).to_owned();
    if !is_name(&name) && (typed.is_some() || !has) {
        let problem =
            Problem::error(format!("`{name}` can't be the name of a pipeline, as it names the folder `runs/<name>`"));
        let rule = "expected letters, digits, `-` and `_`, at most 100";
        reader.problems.push(match typed {
            Some(typed) => problem.at(typed.span, rule),
            None => problem.at(Span::FILE, "the name is the file's").help("give it one: `name = \"…\"` in [pipeline]"),
        });
    }
    name
}

/// Whether this is the name of a device: `auto`, `cpu`, `cuda` or `cuda:<n>`.
pub fn is_device(name: &str) -> bool {
    let is_gpu = name.strip_prefix("cuda:").is_some_and(|number| number.parse::<u8>().is_ok());
    is_gpu || ["auto", "cpu", "cuda"].contains(&name)
}

fn device(reader: &mut Reader<'_>, value: Option<Value>, span: Span) -> String {
    let Some(Value::Text(device)) = value else { return "auto".to_owned() };
    if !is_device(&device) {
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
        let class = |c: &classes::Class| {
            let classes::Class { name, colour, rare, thing } = *c;
            Class { name: name.to_owned(), colour, rare, thing }
        };
        return set.classes.iter().map(class).collect();
    }
    let Some(listed) = listed else { return Vec::new() };
    let Item::List(nodes) = &listed.node.item else {
        let problem =
            Problem::error("`classes` is a list of tables").at(listed.key_span, "expected [[classes]] for each class");
        reader.problems.push(problem.help("set a named class set in [pipeline]"));
        return Vec::new();
    };
    if !pipeline::CLASS_COUNT.contains(&nodes.len()) {
        let (least, most) = (pipeline::CLASS_COUNT.start(), pipeline::CLASS_COUNT.end());
        let problem = Problem::error(format!("a pipeline has {least} to {most} classes, this one has {}", nodes.len()));
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
        read.push(Class { name: name.text().to_owned(), colour, rare, thing: false });
    }
    read
}

/// The classes, of which those of this list are things.
fn with_things(reader: &mut Reader<'_>, mut classes: Vec<Class>, things: Option<&Typed>) -> Vec<Class> {
    // Without classes, which has been reported, every name would be wrong.
    let Some(things) = things.filter(|_| !classes.is_empty()) else { return classes };
    classes.iter_mut().for_each(|class| class.thing = false);
    for (name, span) in things.texts() {
        let problem = match classes.iter_mut().find(|class| class.name == name) {
            Some(class) if !class.thing => {
                class.thing = true;
                continue;
            }
            Some(_) => Problem::error(format!("`things` lists class `{name}` twice")).at(span, ""),
            None => {
                let names = || classes.iter().map(|class| class.name.as_str());
                let problem = Problem::error(format!("`things` lists `{name}`, which is not a class")).at(span, "");
                problem.help_if(did_you_mean(name, names()).or_else(|| known_names("the classes", names())))
            }
        };
        reader.problems.push(problem);
    }
    classes
}

fn bytes(value: &Value) -> [u8; 3] {
    let mut bytes = [0; 3];
    for (byte, value) in bytes.iter_mut().zip(value.elements()) {
        *byte = value.as_integer().and_then(|number| number.try_into().ok()).unwrap_or_default();
    }
    bytes
}
