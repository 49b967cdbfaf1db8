//! `cache gc`: deletes unreferenced results and prints for each result why it is kept or deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::super::{Answer, DONE, Format, Refusal, STAGE_FAILED, show, show_json};
use super::{Place, amounts};
use crate::measures::{self, ago, count, plural};
use crate::plan::manifest::Manifest;
use crate::sched::session::Access;
use crate::shown;
use crate::store::gc::{Collection, Entry, Limits, Needs, Verdict};
use crate::store::{Tally, Trace};

/// Delete unreferenced results
#[derive(Args)]
#[command(
    after_help = "Without a limit, deletes only unreferenced objects and leftovers of killed runs. Always keeps \
                  results that are in place in a workspace, pinned or in use by a running pipeline, and all \
                  results that they were made from.

Examples:
  intrada-run cache gc --dry-run           what would be deleted or kept, and why
  intrada-run cache gc --older-than 30d --keep-last 2"
)]
pub(in crate::cli) struct Gc {
    #[command(flatten)]
    place: Place,
    /// Delete results, resume folders, logs and decoded samples not used for this time, as in 30d
    #[arg(long, value_name = "TIME", value_parser = amounts::duration)]
    older_than: Option<Duration>,
    /// Keep the N most recently used results of each stage; with --older-than, delete only others
    #[arg(long, value_name = "N")]
    keep_last: Option<usize>,
    /// Delete decoded samples, then results, the least recently used first, until the rest has at most this size, as in 50GiB
    #[arg(long, value_name = "SIZE", value_parser = amounts::size)]
    max_size: Option<u64>,
    /// Also consider results in place in workspaces where nothing runs
    #[arg(long)]
    all: bool,
    /// Show what would be deleted and kept; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Text for people, or JSON
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Gc {
    pub(super) fn answer(self) -> Answer {
        let store = self.place.open(if self.dry_run { Access::Look } else { Access::Run })?;
        let (older_than, keep_last, max_size) = (self.older_than, self.keep_last, self.max_size);
        let limits = Limits { older_than, keep_last, max_size, all: self.all };
        if self.all && limits == (Limits { all: true, ..Limits::default() }) {
            let text =
                "--all also considers results in place, but needs a limit: --older-than, --keep-last or --max-size";
            return Err(Refusal::Usage(text.to_owned()));
        }
        let collected = store.gc(&limits, &needs, self.dry_run).context("failed to look through the cache")?;
        let Some(collection) = collected else {
            talk!("another gc is running in {}", store.root().display());
            return Ok(STAGE_FAILED);
        };
        match self.format {
            Format::Json => show_json(&format!("{}\n", as_json(&collection, self.dry_run)))?,
            Format::Text => show(&self.as_text(&collection, &limits))?,
        }
        Ok(DONE)
    }

    fn as_text(&self, collection: &Collection, limits: &Limits) -> String {
        let apart = apart(&collection.entries);
        let mut shown: Vec<usize> = (0..collection.entries.len()).collect();
        shown.retain(|i| self.dry_run || collection.entries[*i].verdict.goes());
        shown.sort_by_key(|i| std::cmp::Reverse(collection.entries[*i].size));
        let rows = shown.iter().map(|i| {
            let entry = &collection.entries[*i];
            let verb = if entry.verdict.goes() { "delete" } else { "keep" };
            let name = format!("{} {}", name(&entry.trace), apart[*i]);
            [verb.to_owned(), measures::size(entry.size), ago(entry.last_use), name, reason(collection, entry, limits)]
        });
        table(&rows.collect::<Vec<_>>()) + &self.totals(collection)
    }

    fn totals(&self, collection: &Collection) -> String {
        let goes = collection.entries.iter().filter(|entry| entry.verdict.goes()).count();
        let verb = if self.dry_run { "would be deleted" } else { "deleted" };
        let files = |what: &str, tally: Tally| match tally.files {
            0 => None,
            files => Some(format!("{what} {}, {}", plural(files as usize, "file"), measures::size(tally.bytes))),
        };
        let leftovers = [
            files("resume folders", collection.slots),
            files("logs", collection.logs),
            files("quarantine", collection.quarantine),
            files("findings", collection.settings),
            files("decoded samples", collection.samples),
            (collection.tmp > 0).then(|| format!("tmp {}", count(collection.tmp as u64))),
        ];
        let mut text = format!(
            "{} of {} {verb}, {} of objects, freeing {}\n",
            count(goes as u64),
            plural(collection.entries.len(), "result"),
            measures::size(collection.objects.bytes),
            measures::size(collection.freed),
        );
        let leftovers: Vec<String> = leftovers.into_iter().flatten().collect();
        if !leftovers.is_empty() {
            text += &format!("leftovers: {}\n", leftovers.join("; "));
        }
        text += &format!("{} of objects kept\n", measures::size(collection.kept.bytes));
        if collection.samples_kept.files > 0 {
            text += &format!("{} of decoded samples kept\n", measures::size(collection.samples_kept.bytes));
        }
        if collection.runs > 0 {
            text += &format!("{} in progress: their results are kept\n", plural(collection.runs, "run"));
        }
        if collection.above > 0 {
            text += &format!("{} above --max-size can't be deleted\n", measures::size(collection.above));
        }
        if let Some(orphans) = files("orphans:", collection.orphans) {
            text += &format!(
                "{orphans}, your own files and edits that outputs replaced; no other copy exists, so gc never deletes them\n"
            );
        }
        text
    }
}

/// The references of a trace's manifest; none if this program can't read the manifest.
pub(in crate::cli) fn needs(trace: &Trace) -> Needs {
    let Some(manifest) = manifest(trace) else { return Needs::default() };
    let (inputs, listings) =
        manifest.inputs.into_values().map(|input| (input.digest, input.listing)).unzip::<_, _, Vec<_>, Vec<_>>();
    Needs { inputs, listings: listings.into_iter().flatten().collect() }
}

fn manifest(trace: &Trace) -> Option<Manifest> {
    serde_json::from_value(trace.manifest.clone()).ok()
}

fn name(trace: &Trace) -> String {
    match trace.pipeline.as_str() {
        "" => trace.stage.clone(),
        pipeline => format!("{pipeline}/{}", trace.stage),
    }
}

/// What distinguishes each result from the others of its stage: the parameters that differ, else the inputs.
fn apart(entries: &[Entry]) -> Vec<String> {
    let fields = |entry: &Entry| -> BTreeMap<String, String> {
        let Some(manifest) = manifest(&entry.trace) else { return BTreeMap::new() };
        let digest = |digest: &str| digest.chars().take(6).collect::<String>();
        let inputs =
            manifest.inputs.iter().map(|(role, input)| (format!("\0{role}"), digest(&input.digest.to_string())));
        let variables =
            manifest.environment.iter().map(|(name, value)| (name.clone(), value.clone().unwrap_or_default()));
        manifest.parameters.clone().into_iter().chain(variables).chain(inputs).collect()
    };
    let all: Vec<BTreeMap<String, String>> = entries.iter().map(fields).collect();
    let mut stages: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (i, entry) in entries.iter().enumerate() {
        stages.entry((&entry.trace.pipeline, &entry.trace.stage)).or_default().push(i);
    }
    let mut apart = vec![String::new(); entries.len()];
    for results in stages.values() {
        let names: BTreeSet<&String> = results.iter().flat_map(|i| all[*i].keys()).collect();
        let differs = |name: &&&String| results.iter().any(|i| all[*i].get(**name) != all[results[0]].get(**name));
        let (inputs, parameters): (Vec<&String>, Vec<&String>) =
            names.iter().filter(differs).copied().partition(|name| name.starts_with('\0'));
        let shown = if parameters.is_empty() { inputs } else { parameters };
        for i in results {
            let field = |name: &&String| format!("{} {}", name.trim_start_matches('\0'), brief(all[*i].get(*name)));
            apart[*i] = shown.iter().map(field).collect::<Vec<_>>().join(", ");
        }
    }
    apart
}

/// The first line of a parameter, shortened: it may be a whole shell script.
fn brief(value: Option<&String>) -> String {
    let value = value.map_or("–", String::as_str);
    let line = value.lines().next().unwrap_or("");
    match line.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn reason(collection: &Collection, entry: &Entry, limits: &Limits) -> String {
    match entry.verdict {
        Verdict::Pinned => "pinned".to_owned(),
        Verdict::InUse => "in use by a running pipeline".to_owned(),
        Verdict::InPlace => "in place in a workspace".to_owned(),
        Verdict::Needed(by) => format!("{} was made from it", name(&collection.entries[by].trace)),
        Verdict::Recent => "within all limits".to_owned(),
        Verdict::Old => {
            let limit = limits.older_than.map_or(0.0, |limit| limit.as_secs_f64());
            format!("not used for {}", measures::duration(limit))
        }
        Verdict::Superseded => format!("not among the last {}", limits.keep_last.unwrap_or(0)),
        Verdict::OverSize => "least recently used, above --max-size".to_owned(),
        Verdict::Shared => "another experiment uses it".to_owned(),
        Verdict::Asked => "by command".to_owned(),
    }
}

fn table(rows: &[[String; 5]]) -> String {
    /// Maximum width of a name: traces of other people's caches may hold any name.
    const NAME: usize = 80;
    let width =
        |column: usize| rows.iter().map(|row| shown::width(&shown::cut(row[column].trim(), NAME))).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |[verb, size, last_use, name, reason]: &[String; 5]| {
        let [a, b, c, d] = widths;
        let (name, reason) = (shown::left(name.trim(), d), shown::line(reason));
        format!("  {verb:<a$}  {size:>b$}  {last_use:>c$}  {name}  {reason}\n")
    };
    rows.iter().map(line).collect()
}

fn as_json(collection: &Collection, dry_run: bool) -> serde_json::Value {
    let verdict = |verdict: Verdict| match verdict {
        Verdict::Pinned => "pinned",
        Verdict::InUse => "in-use",
        Verdict::InPlace => "in-place",
        Verdict::Needed(_) => "needed",
        Verdict::Recent => "recent",
        Verdict::Old => "old",
        Verdict::Superseded => "superseded",
        Verdict::OverSize => "over-size",
        Verdict::Shared => "shared",
        Verdict::Asked => "asked",
    };
    let result = |entry: &Entry| {
        json!({
            "key": entry.trace.key, "pipeline": entry.trace.pipeline, "stage": entry.trace.stage, "kind": entry.trace.kind,
            "bytes": entry.size, "last_use": entry.last_use, "goes": entry.verdict.goes(), "reason": verdict(entry.verdict),
        })
    };
    let tally = |tally: Tally| json!({"files": tally.files, "bytes": tally.bytes});
    json!({
        "dry_run": dry_run,
        "results": collection.entries.iter().map(result).collect::<Vec<_>>(),
        "objects": tally(collection.objects), "freed": collection.freed, "kept": tally(collection.kept),
        "slots": tally(collection.slots), "logs": tally(collection.logs), "quarantine": tally(collection.quarantine), "findings": tally(collection.settings),
        "samples": tally(collection.samples), "samples_kept": tally(collection.samples_kept),
        "tmp": collection.tmp, "orphans": tally(collection.orphans), "runs": collection.runs, "above": collection.above,
    })
}
