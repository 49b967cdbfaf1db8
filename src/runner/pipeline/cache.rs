//! `[cache]`: the shared caches that a pipeline file names, and whose results count.
//!
//! Opens nothing: whether a shared cache or the file of a key is there is found out when it is used.

use std::path::PathBuf;

use super::problem::Problem;
use super::raw::{Item, Table};
use super::read::{Reader, Values};
use super::sections::section;
use super::source::Span;
use super::typed::Typed;
use crate::kind::cache::{KEYS, UPSTREAM, UPSTREAM_KEYS};
use crate::signing::{NotAPublicKey, PRIVATE, PUBLIC, PublicKey};

/// A shared cache. Never part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// A URL, or a folder relative to the workspace root.
    pub url: String,
    /// Whether results are also copied there.
    pub push: bool,
    /// Whether its results count though nobody has signed them who is trusted.
    pub trusted: bool,
}

/// Who signs and who is trusted. Never part of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signing {
    /// The file of the private key that signs results, as typed: relative to the workspace root.
    pub sign: Option<(PathBuf, Span)>,
    /// Whose results of shared caches count; `None`: everybody's.
    pub trust: Option<Vec<(Trusted, Span)>>,
}

/// An entry of `trust`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// A public key.
    Key(PublicKey),
    /// A file with public keys, as typed: relative to the workspace root.
    File(PathBuf),
}

/// What `[cache]` says.
#[derive(Default)]
pub(super) struct Cache {
    pub upstreams: Vec<Upstream>,
    pub signing: Signing,
}

/// Reads `[cache]`.
pub(super) fn read_cache(reader: &mut Reader<'_>, file: &Table) -> Cache {
    let Some((section, span)) = section(reader, file, "cache") else { return Cache::default() };
    let values = reader.table(section, &[KEYS], &[UPSTREAM], "[cache]", span);
    Cache { signing: read_signing(reader, &values), upstreams: read_upstreams(reader, section) }
}

fn read_signing(reader: &mut Reader<'_>, values: &Values) -> Signing {
    let sign = values.get("sign").and_then(|sign| {
        let file = match sign.text() {
            text if text.starts_with(PRIVATE) => Err(exposed(sign.span)),
            text if text.starts_with(PUBLIC) => {
                let title = "`sign` takes the file of a private key, not a public key";
                Err(Problem::error(title).at(sign.span, "").help("others put a public key into `trust`"))
            }
            text => key_file("sign", text, sign.span),
        };
        file.map_err(|problem| reader.problems.push(problem)).ok().map(|file| (file, sign.span))
    });
    let trust = values.get("trust").map(|trust| {
        let mut keys = Vec::new();
        for (text, span) in trust.texts() {
            match read_trusted(text, span) {
                Ok(trusted) => keys.push((trusted, span)),
                Err(problem) => reader.problems.push(problem),
            }
        }
        keys
    });
    Signing { sign, trust }
}

fn read_trusted(text: &str, span: Span) -> Result<Trusted, Problem> {
    if text.starts_with(PRIVATE) {
        return Err(exposed(span));
    }
    if !text.starts_with(PUBLIC) {
        return key_file("trust", text, span).map(Trusted::File);
    }
    let refused = |error: NotAPublicKey| {
        Problem::error("`trust` takes public keys, and this is none")
            .at(span, "")
            .note(error.to_string())
            .help("`intrada-run cache key show FILE` prints the public key of a private one")
    };
    text.parse().map(Trusted::Key).map_err(refused)
}

/// The path of a file with a key.
fn key_file(key: &str, text: &str, span: Span) -> Result<PathBuf, Problem> {
    let problem = match text {
        "" => Problem::error(format!("`{key}` names a key, and this is empty")).at(span, ""),
        text if text.starts_with("~/") => Problem::error(format!("`{text}` isn't replaced by your home folder"))
            .at(span, "")
            .help("write an absolute path, or one relative to the workspace root"),
        text => return Ok(PathBuf::from(text)),
    };
    Err(problem)
}

/// A private key in the pipeline file.
fn exposed(span: Span) -> Problem {
    Problem::error("this is a private key, which is to be in a file of its own that nobody else can read")
        .at(span, "")
        .help("whoever could read this file may know it: create another one with `intrada-run cache key new FILE`")
}

/// The shared caches in the order in which they are asked.
fn read_upstreams(reader: &mut Reader<'_>, section: &Table) -> Vec<Upstream> {
    let Some(entry) = section.get(UPSTREAM) else { return Vec::new() };
    let expected = "expected `[{ url = \"s3://bucket/folder\", push = true }]`";
    let Item::List(nodes) = &entry.node.item else {
        let title = format!("`{UPSTREAM}` is a list of tables, not {}", entry.node.item.words());
        reader.problems.push(Problem::error(title).at(entry.node.span, expected));
        return Vec::new();
    };
    let mut upstreams = Vec::new();
    for node in nodes {
        let Item::Table(table) = &node.item else {
            let title = format!("`{UPSTREAM}` is a list of tables, and this is {}", node.item.words());
            reader.problems.push(Problem::error(title).at(node.span, expected));
            continue;
        };
        let values = reader.table(table, &[UPSTREAM_KEYS], &[], "a shared cache", node.span);
        let Some(url) = values.get("url") else { continue };
        let flag = |key: &str| values.value(key).and_then(|flag| flag.as_flag()).unwrap_or_default();
        let (push, trusted) = (flag("push"), flag("trusted"));
        match refused(url, push) {
            Some(problem) => reader.problems.push(problem),
            None => upstreams.push(Upstream { url: url.text().to_owned(), push, trusted }),
        }
    }
    upstreams
}

/// Why this can't be a shared cache.
fn refused(url: &Typed, push: bool) -> Option<Problem> {
    let text = url.text();
    if text.is_empty() {
        return Some(Problem::error("`url` names a folder or a bucket").at(url.span, "it is empty"));
    }
    if push && !text.contains("://") {
        let problem = Problem::error(format!("results can't be copied to the folder `{text}`")).at(url.span, "");
        return Some(
            problem.help("remove `push`: a folder is only read; or name a bucket, as in `s3://bucket/folder`"),
        );
    }
    None
}
