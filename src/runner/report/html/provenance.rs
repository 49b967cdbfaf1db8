//! Provenance: with what, from what and by which file all this was made.
//!
//! Knows what traces say of a worker, and how git keeps the name of a commit; it starts no program, so whether the
//! working tree had changes isn't known.

use std::collections::BTreeSet;
use std::path::Path;

use super::markup::{section, table, text};
use super::workspace::Workspace;
use crate::spec::Span;

/// What the section shows.
pub(super) struct Provenance {
    facts: Vec<(&'static str, String)>,
    file: String,
    pipeline: String,
    datasets: Vec<(String, String)>,
}

/// Notes of a trace that say with what a stage was computed.
const MADE_WITH: [&str; 4] = ["device", "libtorch", "threads", "host"];

/// Looks it up.
pub(super) fn gather(workspace: &Workspace) -> Provenance {
    let pipeline = workspace.pipeline;
    let mut facts = vec![("intrada", env!("CARGO_PKG_VERSION").to_owned()), ("seed", pipeline.seed.to_string())];
    facts.extend(commit(&pipeline.root).map(|commit| ("commit", commit)));
    let traces: Vec<_> = if workspace.pipeline.classes.is_empty() {
        Vec::new()
    } else {
        workspace.stages().take(super::TRACES).filter_map(|(id, _)| workspace.trace(id)).collect()
    };
    for name in MADE_WITH {
        let values: BTreeSet<&str> =
            traces.iter().filter_map(|trace| trace.note.get(name)).map(String::as_str).collect();
        if !values.is_empty() {
            facts.push((name, values.into_iter().collect::<Vec<_>>().join(", ")));
        }
    }
    let mut datasets = BTreeSet::new();
    for trace in &traces {
        for input in trace.manifest["inputs"].as_object().into_iter().flatten().map(|(_, input)| input) {
            if let (Some(what), Some(digest)) = (input["what"].as_str(), input["digest"].as_str())
                && what.starts_with("data set ")
            {
                datasets.insert((what.trim_start_matches("data set ").to_owned(), digest.to_owned()));
            }
        }
    }
    Provenance {
        facts,
        file: pipeline.file.display().to_string(),
        pipeline: pipeline.sources.of(Span::FILE).text.clone(),
        datasets: datasets.into_iter().collect(),
    }
}

/// The section.
pub(super) fn render(provenance: &Provenance) -> String {
    let row = |(name, value): &(&str, String)| vec![text(name), format!("<code>{}</code>", text(value))];
    let mut body = table(&["", ""], &provenance.facts.iter().map(row).collect::<Vec<_>>());
    if !provenance.datasets.is_empty() {
        let row = |(name, digest): &(String, String)| vec![text(name), format!("<code>{}</code>", text(digest))];
        body += &table(&["data set", "content"], &provenance.datasets.iter().map(row).collect::<Vec<_>>());
    }
    body += &format!(
        "<p>Made again by <code>intrada-run {0}</code>. Values with their defaults stand with each stage above.</p>\n\
         <details><summary>{0}</summary><pre>{1}</pre></details>\n",
        text(&provenance.file),
        text(&provenance.pipeline)
    );
    section("provenance", "Provenance", &body)
}

/// The commit that the repository around `root` has checked out, as git's own files say.
fn commit(root: &Path) -> Option<String> {
    let git = root.ancestors().map(|folder| folder.join(".git")).find(|git| git.join("HEAD").exists())?;
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else { return Some(head.trim().to_owned()) };
    let loose = std::fs::read_to_string(git.join(name)).ok().map(|commit| commit.trim().to_owned());
    loose.or_else(|| {
        let packed = std::fs::read_to_string(git.join("packed-refs")).ok()?;
        packed.lines().find_map(|line| Some(line.strip_suffix(name)?.trim().to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_found_above_loose_packed_or_detached() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join(".git");
        std::fs::create_dir_all(git.join("refs/heads")).unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let found = || commit(&dir.path().join("a/b"));
        std::fs::write(git.join("HEAD"), "0123\n").unwrap();
        assert_eq!(found().as_deref(), Some("0123"));
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        std::fs::write(git.join("packed-refs"), "# pack-refs\n4567 refs/heads/main\n").unwrap();
        assert_eq!(found().as_deref(), Some("4567"));
        std::fs::write(git.join("refs/heads/main"), "89ab\n").unwrap();
        assert_eq!(found().as_deref(), Some("89ab"));
    }
}
