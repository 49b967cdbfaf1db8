//! A pipeline that may be invalid: its valid parts and all errors.
//!
//! Lets `graph` look for cycles in the valid parts and report them together with all other errors. Only [`Draft::finish`]
//! turns it into a [`Pipeline`], and only without errors.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::check::check;
use super::near::nearest;
use super::problem::Problem;
use super::problems::Problems;
use super::raw;
use super::source::{SET, Source, Sources};
use super::{Pipeline, overrides};
use crate::{mark, plain};

/// The valid parts of a pipeline file, and its errors.
#[derive(Debug)]
pub struct Draft {
    pipeline: Option<Pipeline>,
    problems: Vec<Problem>,
    sources: Sources,
}

impl Draft {
    /// Reads the file and applies the arguments of `--set`, and that of `--executor`, which names where all stages run.
    ///
    /// # Errors
    /// Only if the file can't be read.
    pub fn read(file: &Path, set: &[String], executor: Option<&str>) -> Result<Draft, Problems> {
        let text = text_of(file).map_err(Problems::without_text)?;
        let root = root_of(file).map_err(Problems::without_text)?;
        Ok(Draft::parse(file, &root, text, set, executor))
    }

    /// The same for a text that has been read.
    pub(super) fn parse(file: &Path, root: &Path, text: String, set: &[String], executor: Option<&str>) -> Draft {
        let name = file.display().to_string();
        let argument = |option: &str, text: &str| Source { name: option.to_owned(), text: text.to_owned() };
        let arguments = set.iter().map(|text| argument(SET, text));
        let arguments = arguments.chain(executor.map(|name| argument("--executor", name)));
        let sources = Sources::new([Source { name, text }].into_iter().chain(arguments).collect());
        let parsed = raw::parse(&sources, 0);
        let mut problems = parsed.problems;
        if parsed.broken {
            return Draft { pipeline: None, problems, sources };
        }
        let mut table = parsed.table;
        for argument in 1..=set.len() {
            problems.extend(overrides::apply(&mut table, &sources, argument as u32).err());
        }
        if executor.is_some() {
            overrides::move_all(&mut table, &sources, set.len() as u32 + 1);
        }
        let pipeline = check(&table, file, root, &sources, &mut problems);
        Draft { pipeline: Some(pipeline), problems, sources }
    }

    /// The valid parts, without invalid references; `None` if the text isn't TOML.
    pub fn pipeline(&self) -> Option<&Pipeline> {
        self.pipeline.as_ref()
    }

    /// The pipeline with its warnings, if it has no errors.
    ///
    /// # Errors
    /// All errors and warnings, in file order.
    pub fn finish(self) -> Result<Pipeline, Problems> {
        match self.pipeline {
            Some(pipeline) if !self.problems.iter().any(Problem::is_error) => {
                Ok(Pipeline { warnings: self.problems, ..pipeline })
            }
            _ => Err(self.refuse(Vec::new())),
        }
    }

    /// All its errors, and `more` found in the valid parts.
    pub fn refuse(self, more: Vec<Problem>) -> Problems {
        Problems::new(self.problems.into_iter().chain(more).collect(), self.sources)
    }
}

/// Maximum bytes of a pipeline file: ten times the size of ten thousand stages.
const LARGEST: u64 = 32 << 20;

fn text_of(file: &Path) -> Result<String, Problem> {
    let shown = file.display();
    let mut bytes = Vec::new();
    let read = plain::open(file).and_then(|open| {
        bytes.reserve(open.metadata()?.len().min(LARGEST) as usize + 1);
        open.take(LARGEST + 1).read_to_end(&mut bytes)
    });
    read.map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing(file),
        ErrorKind::IsADirectory => Problem::error(format!("{shown} is a folder, not a pipeline file")).help_if(listed(
            "pipeline files in it",
            file,
            |name| file.join(name),
        )),
        ErrorKind::InvalidInput => Problem::error(format!("{shown} can't be a pipeline file: {error}"))
            .help("save it as a file first: its folder determines the workspace"),
        _ => Problem::error(format!("failed to read {shown}: {error}")),
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err(Problem::error(format!(
            "{shown} is larger than {} MiB, so it is not a pipeline file",
            LARGEST >> 20
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        Problem::error(format!("{shown} is not UTF-8: line {line} holds other bytes"))
            .help("save it as UTF-8, which TOML requires")
    })
}

/// The error for a missing file, with the nearest name, else the files that exist.
fn missing(file: &Path) -> Problem {
    let problem = Problem::error(format!("{} does not exist", file.display()));
    let folder = folder_of(file);
    if !folder.is_dir() {
        return problem.note(format!("there is no folder {} either", folder.display()));
    }
    let near = near_file(file).map(|near| format!("did you mean `{}`?", near.display()));
    problem.help_if(near.or_else(|| listed("pipeline files there", folder, |name| file.with_file_name(name))))
}

/// The pipeline file beside `file` with the nearest name, as a path like `file`.
pub fn near_file(file: &Path) -> Option<PathBuf> {
    let names = pipeline_files(folder_of(file));
    let near = nearest(file.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(file.with_file_name(near))
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// The names of the TOML files of a folder, sorted.
fn pipeline_files(folder: &Path) -> Vec<String> {
    /// Maximum entries of a folder to read for a suggestion.
    const LOOKED_AT: usize = 10_000;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(LOOKED_AT);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".toml")).collect();
    names.sort_unstable();
    names
}

/// `pipeline files there: a.toml, b.toml and 3 more`.
fn listed(what: &str, folder: &Path, place: impl Fn(&str) -> PathBuf) -> Option<String> {
    const SHOWN: usize = 5;
    let names = pipeline_files(folder);
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| place(name).display().to_string()).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!names.is_empty()).then(|| format!("{what}: {}{more}", shown.join(", ")))
}

/// The workspace root of a file: the nearest folder at or above it with a cache of this program in `cache/`, else its own. A
/// symbolic link counts where the link is.
///
/// # Errors
/// The current folder of a relative path no longer exists.
pub fn root_of(file: &Path) -> Result<PathBuf, Problem> {
    let failed = |error| Problem::error(format!("failed to find the folder of {}: {error}", file.display()));
    let file = std::path::absolute(file).map_err(failed)?;
    let own = file.parent().unwrap_or(Path::new("/"));
    Ok(own.ancestors().find(|folder| mark::is_root(folder)).unwrap_or(own).to_owned())
}
