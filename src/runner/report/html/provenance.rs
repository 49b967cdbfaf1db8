//! Provenance: program versions, data and pipeline file behind these results.
//!
//! Knows what traces recorded when the results were computed, since the commit or the machine may differ when the page is
//! written. Results of several runs may have several values of each.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, Render as _, html};

use super::markup::table;
use super::workspace::Workspace;
use crate::digest::FileDigest;
use crate::inputs::listing;
use crate::measures::{count, plural};
use crate::pipeline::{Format, Span};
use crate::results::made_with;
use crate::store::Trace;

/// How many traces are read: further stages add nothing about where they were computed.
const TRACES: usize = 200;

/// What the section shows.
pub(super) struct Provenance {
    /// Name and value.
    facts: Vec<(&'static str, String)>,
    datasets: Vec<Dataset>,
    /// The command that reproduces everything.
    command: String,
    /// The pipeline file's name and text.
    file: (String, String),
}

/// A data set as stages read it: with and without labels count as two.
struct Dataset {
    name: String,
    digest: String,
    /// Number of images, if known.
    images: Option<u64>,
}

/// Collects it.
pub(super) fn gather(workspace: &Workspace) -> Provenance {
    let pipeline = workspace.pipeline;
    let traces: Vec<Trace> = workspace.stages().take(TRACES).filter_map(|(id, _)| workspace.trace(id)).collect();
    let noted = |name: &str| values(traces.iter().map(|trace| trace.note.get(name).map_or("", String::as_str)));
    let mut facts: Vec<(&str, String)> = made_with::NOTES.iter().map(|name| (*name, noted(name))).collect();
    let seeds = seeds(workspace);
    facts.push((if seeds.contains(',') { "seeds" } else { "seed" }, seeds));
    facts.retain(|(_, value)| !value.is_empty());
    Provenance {
        facts,
        datasets: datasets(workspace, &traces),
        command: workspace.command(),
        file: (pipeline.file.display().to_string(), pipeline.sources.of(Span::FILE).text.clone()),
    }
}

/// Different values, the most frequent first, with their number of occurrences if there are several. Empty if no value is
/// recorded.
fn values<'a>(of: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for value in of {
        *counts.entry(value).or_default() += 1;
    }
    let mut sorted: Vec<(&str, usize)> = counts.into_iter().collect();
    sorted.sort_by_key(|(value, times)| (value.is_empty(), std::cmp::Reverse(*times)));
    match &sorted[..] {
        [] => String::new(),
        [(value, _)] => (*value).to_owned(),
        several => {
            let said = several.iter().map(|(value, times)| {
                let value = if value.is_empty() { "not recorded" } else { value };
                format!("{value} ({})", plural(*times, "stage"))
            });
            said.collect::<Vec<_>>().join("; ")
        }
    }
}

impl Provenance {
    /// The short commit, and whether the work tree was dirty, if all was computed at one commit.
    pub(super) fn commit(&self) -> Option<String> {
        let (_, noted) = self.facts.iter().find(|(name, _)| *name == "commit")?;
        let end = noted.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(noted.len());
        (end == 40 && !noted.contains(';')).then(|| format!("{}{}", &noted[..8], &noted[end..]))
    }
}

/// The seeds of the stages that have one.
fn seeds(workspace: &Workspace) -> String {
    let seeds = workspace.stages().filter_map(|(_, stage)| stage.parameter("seed")).map(|seed| seed.canonical());
    let seeds: BTreeSet<String> = seeds.collect();
    seeds.into_iter().collect::<Vec<_>>().join(", ")
}

fn datasets(workspace: &Workspace, traces: &[Trace]) -> Vec<Dataset> {
    let inputs =
        traces.iter().flat_map(|trace| trace.manifest["inputs"].as_object()).flat_map(|inputs| inputs.values());
    let named = |input: &serde_json::Value| {
        let part = |name: &str| input[name].as_str().map(str::to_owned);
        let name = part("what")?.strip_prefix("data set ")?.to_owned();
        Some((name, part("digest")?, part("listing")))
    };
    // Each only once, before reading its listing: that of a large data set has megabytes, and all members of a sweep share
    // it.
    let found: BTreeSet<(String, String, Option<String>)> = inputs.filter_map(named).collect();
    let dataset = |(name, digest, listing): (String, String, Option<String>)| {
        let of_file = workspace.pipeline.datasets.iter().find(|dataset| dataset.name == name);
        let listing = listing.and_then(|listing| workspace.object(FileDigest(listing.parse().ok()?)));
        let images = match (listing, of_file.map(|dataset| &dataset.format)) {
            (Some(listing), _) => listing::images(&listing).map(|images| images as u64),
            (None, Some(Format::Scenes { count, .. })) => Some(u64::from(*count)),
            _ => None,
        };
        Dataset { name, digest, images }
    };
    found.into_iter().map(dataset).collect()
}

/// The section.
pub(super) fn render(provenance: &Provenance) -> Markup {
    let row = |dataset: &Dataset| {
        let images = dataset.images.map_or("–".to_owned(), count);
        vec![dataset.name.render(), images.render(), html! { code { (dataset.digest) } }]
    };
    let (file, pipeline) = &provenance.file;
    html! {
        dl.facts { @for (name, value) in &provenance.facts { dt { (name) } dd { (value) } } } "\n"
        @if !provenance.datasets.is_empty() {
            (table(&["data set", "images", "content"], &provenance.datasets.iter().map(row).collect::<Vec<_>>()))
        }
        p { "Reproduce:" }
        pre { (provenance.command) } "\n"
        details { summary { (file) " as written" } pre { (pipeline) } } "\n"
        p.note {
            "Resolved configuration, with defaults in grey: the parameters of each " a href="#pipeline" { "stage" } "."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_are_counted_and_a_single_one_is_not() {
        let values = |of: &[&str]| values(of.iter().copied());
        assert_eq!(values(&["cpu", "cpu"]), "cpu");
        assert_eq!(values(&["", "a", "b", "b"]), "b (2 stages); a (1 stage); not recorded (1 stage)");
        assert_eq!(values(&["", ""]), "");
        assert_eq!(values(&[]), "");
    }
}
