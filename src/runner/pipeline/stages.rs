//! `[stages.…]`: reads each table according to its kind, and derives its outputs.
//!
//! Knows no other stage: names stay names here. `resolve` turns them into edges when all stages are known.

use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;

use super::execution::Execution;
use super::header::Header;
use super::near::did_you_mean;
use super::paths::{Own, Writers, normalize, refused_as_output};
use super::problem::Problem;
use super::raw::{Entry, Item, Table};
use super::read::{Reader, Values};
use super::sections::tables;
use super::source::Span;
use super::sweep::{Family, Member, PLACEHOLDER, Sweeps, read_family};
use super::words::one_of;
use super::{Coordinate, Output, OutputId, StageId};
use crate::kind::{self, Kind, Runs};

/// A stage with known kind and unresolved names.
pub(super) struct StageTable {
    pub name: String,
    /// Its name in the file, which the members of a sweep share.
    pub family: String,
    pub coordinates: Vec<Coordinate>,
    pub span: Span,
    pub kind: &'static Kind,
    pub values: Rc<Values>,
    pub outputs: Vec<Output>,
    pub execution: Execution,
}

impl StageTable {
    /// Its coordinate on an axis, as text.
    pub fn coordinate(&self, axis: &str) -> Option<&str> {
        self.coordinates.iter().find(|coordinate| coordinate.axis == axis).map(|coordinate| coordinate.value.as_str())
    }
}

/// The contents of the section.
pub(super) struct StageTables {
    /// The stages of a known kind, in file order; a swept stage occurs once per member.
    pub stages: Vec<StageTable>,
    /// The members of sweeps, and which of them each stage reads.
    pub sweeps: Sweeps,
    /// The names of invalid stages, so that references to them aren't reported as unknown.
    pub unreadable: Vec<String>,
    /// Which stage writes which path.
    pub writers: Writers,
}

/// Reads every stage. The header names the folder below `runs/`.
pub(super) fn read_stages(reader: &mut Reader<'_>, file: &Table, root: &Path, header: &Header) -> StageTables {
    let own = Own::new(&header.name);
    let tables = tables(reader, file, "stages", "stage");
    if file.get("stages").is_none() {
        let problem = Problem::error("the file has no stages").at(Span::FILE, "");
        reader.problems.push(problem.help("add a table such as [stages.prepare], with `kind = \"command\"`"));
    }
    let mut unreadable = Vec::new();
    let (mut families, mut matrices) = (Vec::new(), Vec::new());
    for (entry, table) in tables {
        match kind_of(reader, entry, table).and_then(|kind| read_family(reader, (entry, table), kind, header)) {
            Some((family, matrix)) => {
                families.push(family);
                matrices.push(matrix);
            }
            None => unreadable.push(entry.key.clone()),
        }
    }
    let sweeps = Sweeps::new(reader, (families, matrices), root, &header.name);
    let stages: Vec<StageTable> = sweeps
        .stages()
        .iter()
        .map(|&(family, row)| {
            let Member { name, coordinates, values } = sweeps.member(reader, (family, row));
            let Family { name: family, span, kind, execution, .. } = &sweeps.families[family];
            let outputs = match kind.runs {
                Runs::Worker => outputs_of(kind, &values, &Path::new("runs").join(&header.name).join(&name)),
                Runs::Command => declared_outputs(reader, &values, root, &own),
            };
            let (family, execution) = (family.clone(), execution.clone());
            StageTable { name, family, coordinates, span: *span, kind, values, outputs, execution }
        })
        .collect();
    let writers = writers(reader, &stages);
    StageTables { stages, sweeps, unreadable, writers }
}

fn kind_of(reader: &mut Reader<'_>, entry: &Entry, table: &Table) -> Option<&'static Kind> {
    let names: Vec<&str> = kind::ALL.iter().map(|kind| kind.name).collect();
    let expected = || format!("expected {}", one_of(&names));
    let problem = match table.get("kind").map(|entry| (&entry.node.item, entry.node.span)) {
        Some((Item::Text(name), span)) => match kind::find(name) {
            Some(kind) => return Some(kind),
            None => Problem::error(format!("there is no kind \"{name}\""))
                .at(span, expected())
                .help_if(did_you_mean(name, names.iter().copied())),
        },
        Some((item, span)) => {
            Problem::error(format!("`kind` takes a string, not {}", item.words())).at(span, expected())
        }
        None => Problem::error(format!("stage `{}` needs `kind`", entry.key))
            .at(entry.key_span, "`kind` is missing")
            .help(format!("it is one of {}", one_of(&names))),
    };
    reader.problems.push(problem);
    None
}

fn outputs_of(kind: &Kind, values: &Values, folder: &Path) -> Vec<Output> {
    let exists = |only| values.applies(only) != Some(false);
    let output = |spec: &kind::OutputSpec| Output {
        name: spec.name.to_owned(),
        path: folder.join(spec.path),
        folder: Some(spec.folder),
        role: spec.role,
        by_name: spec.by_name,
        span: values.header,
    };
    kind.outputs.iter().filter(|spec| exists(spec.only)).map(output).collect()
}

fn declared_outputs(reader: &mut Reader<'_>, values: &Values, root: &Path, own: &Own) -> Vec<Output> {
    let Some(declared) = values.get("outputs") else { return Vec::new() };
    let mut outputs = Vec::new();
    for (typed, span) in declared.texts() {
        let path = normalize(root, typed);
        if let Some(reason) = refused_as_output(&path, own) {
            let problem = Problem::error(format!("`{typed}` can't be an output: {reason}")).at(span, "");
            reader
                .problems
                .push(problem.note("outputs must be below the workspace root, outside `cache`, with valid file names"));
            continue;
        }
        outputs.push(Output {
            name: typed.to_owned(),
            path,
            folder: None,
            role: kind::OutputRole::Files,
            by_name: false,
            span,
        });
    }
    outputs
}

/// Records which stage writes which path.
fn writers(reader: &mut Reader<'_>, stages: &[StageTable]) -> Writers {
    let mut writers = Writers::default();
    // One pair of members of a sweep is enough.
    let mut told = HashSet::new();
    for (stage, table) in stages.iter().enumerate() {
        for (output, declared) in table.outputs.iter().enumerate() {
            let id = OutputId { stage: StageId::at(stage), output };
            if let Err(other) = writers.insert(&declared.path, id) {
                let first = &stages[other.stage.index()];
                let other = &first.outputs[other.output];
                // A missing axis has been reported.
                let is_open = declared.name.contains(PLACEHOLDER);
                if !is_open && told.insert((declared.span, other.span)) {
                    reader.problems.push(overlap(table, declared, first, other));
                }
            }
        }
    }
    writers
}

fn overlap(stage: &StageTable, output: &Output, first: &StageTable, other: &Output) -> Problem {
    let (path, other_path) = (output.path.display(), other.path.display());
    let title = match (output.path == other.path, stage.name == first.name) {
        (true, true) => format!("`{path}` is declared twice"),
        (true, false) => format!("`{}` and `{}` both write `{path}`", first.name, stage.name),
        (false, _) => format!("the outputs `{other_path}` and `{path}` overlap: one is inside the other"),
    };
    let problem = Problem::error(title);
    if stage.name == first.name {
        return problem.at(output.span, "").beside(other.span, "");
    }
    if stage.family != first.family {
        return problem
            .at(output.span, format!("{} writes it", stage.name))
            .beside(other.span, format!("{} writes it", first.name));
    }
    let differ = |coordinate: &&Coordinate| !first.coordinates.contains(coordinate);
    let axis = stage.coordinates.iter().find(differ).map_or("", |coordinate| coordinate.axis.as_str());
    let help = format!("each member needs its own path: put `${{matrix.{axis}}}` into `outputs`");
    problem.at(output.span, "all members of a sweep write this").help(help)
}
