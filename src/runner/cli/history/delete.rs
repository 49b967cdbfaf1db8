//! `history --delete`: removes the results that only one run uses, and says first what stays.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::super::cache::needs;
use super::super::{Answer, DONE, Format, Refusal, STAGE_FAILED, Source, show, show_json};
use super::find;
use crate::digest::Key;
use crate::event::runs::{self, Deleted};
use crate::measures::{now, plural, size};
use crate::sched::past::{Past, Standing};
use crate::sched::restored::name_of;
use crate::sched::session::{Access, Session};
use crate::shown;
use crate::store::Store;
use crate::store::gc::{Chosen, Collection, Entry, Verdict};

/// How to delete.
pub(super) struct Wishes {
    /// The run.
    pub(super) number: u32,
    /// Also results that are in place in `runs/`.
    pub(super) in_place: bool,
    /// Only show what would happen.
    pub(super) dry_run: bool,
    pub(super) format: Format,
}

/// Deletes the results of a run.
pub(super) fn delete(source: &Source, wishes: &Wishes) -> Answer {
    // It signs no run in, as only what active runs use is to stay.
    let session = source.open(Access::Look)?;
    let past = find(&session, wishes.number)?;
    if past.standing == Standing::Running {
        return Err(Refusal::Usage(format!("run {} is still running", wishes.number)));
    }
    let store = if wishes.dry_run { Store::look_at(session.store.root()) } else { Store::open(session.store.root()) };
    let store = store.context("failed to open the cache")?;
    let wanted: HashSet<Key> = past.run.keys().collect();
    let shared = shared(&session, &store, wishes.number)?;
    let root = std::fs::canonicalize(&session.pipeline.root).unwrap_or_else(|_| session.pipeline.root.clone());
    let own = [session.pipeline.name.clone(), name_of(&session.pipeline.name, wishes.number)];
    let also_in_place = |place: Option<&Path>, record: &str| {
        let pipeline = record.split('/').next().unwrap_or_default();
        wishes.in_place && place == Some(&root) && own.iter().any(|own| own == pipeline)
    };
    let chosen = Chosen { wanted: &wanted, shared: &shared, also_in_place: &also_in_place };
    let removed = store.remove(&chosen, &needs, wishes.dry_run).context("failed to look through the cache")?;
    let Some(collection) = removed else {
        talk!("a gc is running in {}; try again when it has ended", store.root().display());
        return Ok(STAGE_FAILED);
    };
    let deleted = own_entries(&collection, &wanted).filter(|entry| entry.verdict.goes()).count();
    if !wishes.dry_run {
        let note = Deleted { at: now(), results: deleted };
        session
            .runs()
            .note_deleted(wishes.number, note)
            .context("the results are deleted, but the history doesn't say so")?;
    }
    match wishes.format {
        Format::Json => show_json(&format!("{}\n", as_json(&collection, &wanted, wishes)))?,
        Format::Text => show(&as_text(&collection, &wanted, &past, wishes))?,
    }
    Ok(DONE)
}

/// The keys that other recorded runs name, of any pipeline in any workspace of the cache; those whose results were deleted
/// by command need theirs no more.
fn shared(session: &Session, store: &Store, number: u32) -> anyhow::Result<HashSet<Key>> {
    let own = session.runs().path(number);
    let mut keys = HashSet::new();
    for (runs, _) in runs::everywhere(store).context("failed to read the history")? {
        let others = runs.numbers().into_iter().filter(|other| runs.path(*other) != own);
        for run in others.filter_map(|other| runs.read(other)).filter(|run| run.deleted.is_none()) {
            keys.extend(run.keys());
        }
    }
    Ok(keys)
}

fn own_entries<'a>(collection: &'a Collection, wanted: &'a HashSet<Key>) -> impl Iterator<Item = &'a Entry> {
    collection.entries.iter().filter(|entry| wanted.contains(&entry.trace.key))
}

fn reason(collection: &Collection, entry: &Entry) -> String {
    match entry.verdict {
        Verdict::Asked => "only this run uses it".to_owned(),
        Verdict::Shared => "another run uses it".to_owned(),
        Verdict::Pinned => "pinned".to_owned(),
        Verdict::InUse => "in use by a running pipeline".to_owned(),
        Verdict::InPlace => "in place in a workspace; --in-place deletes it in the cache".to_owned(),
        Verdict::Needed(by) => format!("{} was made from it", collection.entries[by].trace.stage),
        Verdict::Recent | Verdict::Old | Verdict::Superseded | Verdict::OverSize => "needed".to_owned(),
    }
}

fn as_text(collection: &Collection, wanted: &HashSet<Key>, past: &Past, wishes: &Wishes) -> String {
    let mut text = String::new();
    let mut stays = 0;
    for entry in own_entries(collection, wanted) {
        let verb = if entry.verdict.goes() { "delete" } else { "keep" };
        stays += usize::from(!entry.verdict.goes());
        let of_run = past.run.results().find(|(_, key)| *key == entry.trace.key);
        let name = of_run.map_or(entry.trace.stage.as_str(), |(settled, _)| &settled.stage);
        let why = reason(collection, entry);
        text += &format!("  {verb:<6}  {:>9}  {}  {}\n", size(entry.size), shown::line(name), shown::line(&why));
    }
    let goes = own_entries(collection, wanted).count() - stays;
    let verb = if wishes.dry_run { "would be deleted" } else { "deleted" };
    text +=
        &format!("{} of run {} {verb}, freeing {}\n", plural(goes, "result"), wishes.number, size(collection.freed));
    if stays > 0 {
        text += &format!("{} kept\n", plural(stays, "result"));
    }
    if collection.slots.files > 0 {
        text += &format!("resume folders {verb}: {}\n", size(collection.slots.bytes));
    }
    if collection.runs > 0 {
        text += &format!(
            "{} in progress: files newer than an hour before its start stay until the next `cache gc`\n",
            plural(collection.runs, "run")
        );
    }
    text
}

fn as_json(collection: &Collection, wanted: &HashSet<Key>, wishes: &Wishes) -> serde_json::Value {
    let result = |entry: &Entry| {
        let reason = match entry.verdict {
            Verdict::Asked => "asked",
            Verdict::Shared => "shared",
            Verdict::Pinned => "pinned",
            Verdict::InUse => "in-use",
            Verdict::InPlace => "in-place",
            _ => "needed",
        };
        json!({
            "key": entry.trace.key, "stage": entry.trace.stage, "kind": entry.trace.kind, "bytes": entry.size,
            "goes": entry.verdict.goes(), "reason": reason,
        })
    };
    json!({
        "run": wishes.number, "dry_run": wishes.dry_run, "freed": collection.freed, "runs": collection.runs,
        "results": own_entries(collection, wanted).map(result).collect::<Vec<_>>(),
    })
}
