//! Checks weights files before anything runs, for errors that a worker would report after hours of other stages.
//!
//! Knows the container formats and no tensor: a file's first bytes, whether it is complete, and the number of classes in a
//! safetensors file. The worker checks the rest ([`tried`]) if a stage that reads such a file has to run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use intrada_weights::beginning::{self, Form};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::kind::Runs;
use crate::kind::model::heads;
use crate::pipeline::{InputSource, Pipeline, Problem, Span, Stage, StageId, Value};
use crate::shown::line;

mod tried;

pub use tried::{Tried, examined, tried};

/// A longer header is left to the worker: a network's has some ten thousand bytes.
const HEADER_AT_MOST: u64 = 16 << 20;

/// The header of a safetensors file: its metadata may have any names.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    _beside: IgnoredAny,
    #[serde(flatten)]
    tensors: BTreeMap<String, Entry>,
}

/// A tensor in the header of a safetensors file.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    shape: Vec<u64>,
    #[serde(default)]
    data_offsets: Option<[u64; 2]>,
}

/// The problem of the file at `path` for the first of its `readers` to which it is not suitable, as far as it can be seen
/// here.
pub(super) fn problem(pipeline: &Pipeline, path: &Path, readers: &[(StageId, Span)]) -> Option<Problem> {
    readers.iter().find_map(|(stage, span)| of_reader(pipeline, path, pipeline.stage(*stage), *span))
}

fn of_reader(pipeline: &Pipeline, path: &Path, stage: &Stage, span: Span) -> Option<Problem> {
    let mistake = mistake(&pipeline.root.join(path), path, stage, pipeline.classes.len());
    // An unreadable file was reported when it was hashed.
    let title = format!("{} {}", path.display(), mistake.ok()??);
    Some(Problem::error(title).at(span, ""))
}

/// The problem of the file as weights of `stage`, which reads it, as far as it can be seen here. `typed`: its path in the
/// pipeline file; `classes`: the pipeline's.
///
/// # Errors
/// It can't be read.
fn mistake(file: &Path, typed: &Path, stage: &Stage, classes: usize) -> io::Result<Option<String>> {
    if stage.kind.runs != Runs::Worker {
        return Ok(None);
    }
    let is_this = |from: &InputSource| matches!(from, InputSource::Path { path, .. } if path == typed);
    let mut roles = stage.inputs.iter().filter(|input| is_this(&input.from)).map(|input| input.role.as_str());
    let Some(role) = roles.find(|role| is_of_weights(role)) else { return Ok(None) };
    let mut file = File::open(file)?;
    let found = file.metadata()?;
    if found.is_dir() {
        return Ok(Some("is a folder; name the file of weights in it".to_owned()));
    }
    let bytes = found.len();
    let mut begin = Vec::with_capacity(beginning::ENOUGH);
    file.by_ref().take(beginning::ENOUGH as u64).read_to_end(&mut begin)?;
    match beginning::form(&begin) {
        Form::Other(what) => Ok(Some(format!("is not a checkpoint: {what}"))),
        Form::Pth if begin.starts_with(b"PK") => cut_archive(&mut file, bytes),
        Form::Pth => Ok(None),
        Form::Safetensors => {
            let length = u64::from_le_bytes(*begin.first_chunk().expect("a header has begun"));
            let Some(data) = bytes.checked_sub(8).and_then(|rest| rest.checked_sub(length)) else {
                return Ok(Some(
                    "is truncated: the header is longer than the file; copy or download it again".to_owned(),
                ));
            };
            if length > HEADER_AT_MOST {
                return Ok(None);
            }
            let mut header = vec![0; length as usize];
            file.seek(SeekFrom::Start(8))?;
            file.read_exact(&mut header)?;
            Ok(of_header(&header, data, stage, role, classes))
        }
    }
}

/// The roles in which a worker reads weights.
fn is_of_weights(role: &str) -> bool {
    matches!(role, "weights" | "file" | "model.init")
        || role.starts_with("weights.")
        || role.starts_with("discriminator_init")
}

/// The problem of a safetensors file with this header and this many bytes after it.
fn of_header(header: &[u8], data: u64, stage: &Stage, role: &str, classes: usize) -> Option<String> {
    let Ok(Header { tensors: header, .. }) = serde_json::from_slice(header) else {
        return Some("is damaged: its header is not a list of tensors; copy or download it again".to_owned());
    };
    let wanted = header.values().filter_map(|entry| Some(entry.data_offsets?[1])).max().unwrap_or(0);
    if wanted > data {
        let missing = wanted - data;
        return Some(format!(
            "is truncated: {missing} of {wanted} bytes of tensors are missing; copy or download it again"
        ));
    }
    let arch = match role.strip_prefix("weights.") {
        Some(name) => stage.parameter(&format!("model.{name}.arch")),
        None => stage.parameter("model.arch"),
    };
    let known = match arch {
        Some(Value::Text(arch)) if !role.starts_with("discriminator_init") => heads(arch),
        _ => return None,
    };
    let is_this = |name: &str, head: &str| {
        name.strip_suffix(head).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let is_head = |name: &str| known.iter().any(|head| is_this(name, head));
    let mut found = header.iter().filter(|(name, _)| is_head(name));
    // If a file has several, the worker chooses.
    let (name, entry) = found.next().filter(|_| found.next().is_none())?;
    let found = *entry.shape.first()?;
    let told = || {
        let what = format!("holds a network of {found} classes (`{}`), and the pipeline has {classes}", line(name));
        format!("{what}; name another file, or the classes that it was trained for")
    };
    (found != classes as u64).then(told)
}

/// An interrupted download lacks the end of an archive, which has its list.
fn cut_archive(file: &mut File, bytes: u64) -> io::Result<Option<String>> {
    const END: &[u8] = b"PK\x05\x06";
    // A comment of 64 KiB may follow; reading a little more does no harm.
    const SEARCHED: u64 = 128 << 10;
    file.seek(SeekFrom::Start(bytes.saturating_sub(SEARCHED)))?;
    let mut end = Vec::new();
    file.take(SEARCHED).read_to_end(&mut end)?;
    let has_end = end.windows(END.len()).any(|window| window == END);
    let cut = "is a damaged zip archive: its end is missing; copy or download it again";
    Ok((!has_end).then(|| cut.to_owned()))
}
