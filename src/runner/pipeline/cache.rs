//! `[cache]`: the shared caches that a pipeline file names.
//!
//! Opens nothing: whether a shared cache is there is found out when it is used.

use super::problem::Problem;
use super::raw::{Item, Table};
use super::read::Reader;
use super::sections::section;
use super::typed::Typed;
use crate::kind::cache::{UPSTREAM, UPSTREAM_KEYS};

/// A shared cache. Never part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// A URL, or a folder relative to the workspace root.
    pub url: String,
    /// Whether results are also copied there.
    pub push: bool,
}

/// Reads `[cache]`: the shared caches in the order in which they are asked.
pub(super) fn read_cache(reader: &mut Reader<'_>, file: &Table) -> Vec<Upstream> {
    let Some((section, span)) = section(reader, file, "cache") else { return Vec::new() };
    reader.table(section, &[], &[UPSTREAM], "[cache]", span);
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
        let push = values.value("push").and_then(|push| push.as_flag()).unwrap_or_default();
        match refused(url, push) {
            Some(problem) => reader.problems.push(problem),
            None => upstreams.push(Upstream { url: url.text().to_owned(), push }),
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
