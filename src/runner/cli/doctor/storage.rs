//! Checks of the storage: capabilities and free space of the cache's file system, places of outputs.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Check, State};
use crate::event::full_disk;
use crate::mark;
use crate::measures::{plural, size};
use crate::pipeline::{Pipeline, Problem};
use crate::sched::session::Session;
use crate::sched::ways_in;
use crate::store::capabilities::{Capabilities, Lacks, capabilities};
use crate::store::choice::Choice;
use crate::store::room::full;
use crate::store::{LockKind, VERSION};

/// Minimum free bytes if the size of a run isn't known.
const LITTLE: u64 = 1 << 30;

/// How to get locks that work everywhere.
const RENEWED: &str = "set INTRADA_LOCKS=renewed for the first run with it";

/// Minimum free inodes: a run may write a file per image.
const FEW: u64 = 10_000;

/// Checks the cache at `place`.
pub(super) fn checks(place: &Path, session: Option<&Session>) -> Vec<Check> {
    let what = if mark::is_ours(place) {
        format!("cache of version {VERSION}")
    } else {
        "cache (created by the first run)".to_owned()
    };
    let mut checks = match capabilities(place) {
        Ok(capabilities) => judged(&what, &capabilities, session.and_then(needed)),
        Err(error) => {
            let help = full_disk::help(&error);
            let check = Check::new(State::Failure, "cache", format!("{:#}", anyhow::Error::new(error)));
            vec![help.into_iter().fold(check, Check::help)]
        }
    };
    let device = |path: &Path| path.ancestors().find_map(|path| path.metadata().ok()).map(|found| found.dev());
    checks.extend(temporary(&std::env::temp_dir()));
    if let Some(session) = session {
        let folds_case = folds_case(&session.pipeline.root.join(&session.pipeline.file));
        if folds_case && device(place) != device(&session.pipeline.root) {
            checks.push(Check::new(State::Warning, "workspace", Lacks::Case.words()));
        }
        if device(place) != device(&session.pipeline.root) {
            let found = "on another file system than the workspace, so outputs are copied";
            checks.push(Check::new(State::Warning, "cache", found));
        }
        let complaints = session.store.complaints().into_iter();
        checks.extend(complaints.map(|complaint| Check::new(State::Warning, "shared cache", complaint)));
    }
    checks
}

/// Checks the places of all outputs. Creates nothing.
pub(super) fn places(pipeline: &Pipeline) -> Vec<Check> {
    let obstacles = ways_in::obstacles(pipeline, pipeline.stage_ids().map(|stage| (stage, false)));
    if obstacles.is_empty() {
        let number = pipeline.stages.iter().map(|stage| stage.outputs.len()).sum();
        let found = format!("{} can be written", plural(number, "output"));
        return vec![Check::new(State::Good, "outputs", found)];
    }
    let check = |obstacle: Problem| {
        obstacle.help.into_iter().fold(Check::new(State::Failure, "outputs", obstacle.title), Check::help)
    };
    obstacles.into_iter().map(check).collect()
}

/// Checks TMPDIR, where commands and libraries write. `None` if it works.
fn temporary(folder: &Path) -> Option<Check> {
    let check = |found: String| {
        let help = "set TMPDIR to a writable folder on a disk with free space";
        Some(Check::new(State::Warning, "TMPDIR", found).help(help))
    };
    match tempfile::tempfile_in(folder) {
        Err(error) => check(format!("{} isn't writable: {error}", folder.display())),
        Ok(_) => match full(&[("TMPDIR", folder)]).first() {
            Some(_) => check(format!("{} has no free space", folder.display())),
            None => None,
        },
    }
}

/// Whether the file system ignores case.
fn folds_case(file: &Path) -> bool {
    let swapped = |character: char| {
        if character.is_ascii_uppercase() { character.to_ascii_lowercase() } else { character.to_ascii_uppercase() }
    };
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else { return false };
    let other: String = name.chars().map(swapped).collect();
    let ino = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    other != name && ino(file).is_some() && ino(file) == ino(&file.with_file_name(other))
}

/// Bytes that all stages wrote when each last ran here, which a complete re-run adds again. `None` if nothing has run.
fn needed(session: &Session) -> Option<u64> {
    let records =
        session.pipeline.stages.iter().filter_map(|stage| session.index.stages.get(&session.record_name(stage)));
    let sizes = records.map(|record| record.outputs.iter().map(|output| output.artifact.size).sum::<u64>());
    sizes.reduce(|all, size| all + size)
}

fn judged(what: &str, capabilities: &Capabilities, needed: Option<u64>) -> Vec<Check> {
    let Capabilities { reflinks, hard_links, locks, free, free_files, ref choice, .. } = *capabilities;
    let can = [(reflinks, "reflinks"), (hard_links, "hard links"), (locks, "locks")];
    let list = |wanted: bool| {
        let words: Vec<&str> = can.iter().filter(|(works, _)| *works == wanted).map(|(_, word)| *word).collect();
        words.join(", ")
    };
    let lacks = if list(false).is_empty() { String::new() } else { format!(" (no {})", list(false)) };
    let need = needed.map(|bytes| format!(", a complete run wrote {}", size(bytes))).unwrap_or_default();
    let found = format!("{}{lacks}; {} free{need}", list(true), size(free));
    let mut checks = Vec::new();
    if !locks && choice.kind == LockKind::Kernel {
        let check = Check::new(State::Failure, what, found).help(format!(
            "two runs need locks between them: {RENEWED}, or use a folder on another file system with --cache"
        ));
        checks.push(check);
    } else if !reflinks && !hard_links {
        checks.push(
            Check::new(State::Warning, what, found)
                .help("each output is stored twice, in the cache and in the workspace"),
        );
    } else {
        checks.push(Check::new(State::Good, what, found));
    }
    checks.extend(locks_of(choice));
    checks.extend(capabilities.lacks.iter().map(|lacks| Check::new(State::Warning, "cache", lacks.words())));
    if let Some(files) = free_files.filter(|files| *files < FEW) {
        let found = format!("only {files} free inodes; a run may create thousands of files");
        checks.push(Check::new(State::Warning, "disk", found).help("`intrada-run cache gc` removes old results"));
    }
    if free < needed.unwrap_or(LITTLE) {
        let found = format!("only {} free; a run may need {}", size(free), size(needed.unwrap_or(LITTLE)));
        checks.push(Check::new(State::Warning, "disk", found).help("`intrada-run cache gc` removes old results"));
    }
    checks
}

/// The kind of locks and what follows; nothing on a local disk.
fn locks_of(choice: &Choice) -> Option<Check> {
    const WHAT: &str = "locks";
    let late = "other machines may see new files late, which can't be tried from one: see docs/file-systems.md";
    let mut check = match choice.kind {
        LockKind::Renewed => {
            let mut check = Check::new(State::Good, WHAT, format!("renewed files: {}", choice.why));
            check.notes.push("the lock of a machine that is lost is free after 150 s".to_owned());
            check
        }
        LockKind::Kernel if choice.is_network && choice.is_doubtful => {
            Check::new(State::Warning, WHAT, format!("the kernel's: {}", choice.why))
                .help(format!("if several machines use this cache: {RENEWED}"))
        }
        LockKind::Kernel if choice.is_network => Check::new(State::Good, WHAT, format!("the kernel's: {}", choice.why)),
        LockKind::Kernel => return None,
    };
    if choice.is_network {
        check.notes.push(late.to_owned());
    }
    Some(check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_locks_are_needed_and_what_else_lacks_costs_space() {
        let lacks = Vec::new();
        let choice = Choice { kind: LockKind::Kernel, why: String::new(), is_network: false, is_doubtful: false };
        let renewed = Choice { kind: LockKind::Renewed, ..choice.clone() };
        let all = Capabilities {
            reflinks: true,
            hard_links: true,
            locks: true,
            choice,
            free: 10 << 30,
            free_files: None,
            lacks,
        };
        let all = || all.clone();
        let states = |capabilities: Capabilities, needed| -> Vec<State> {
            judged("cache", &capabilities, needed).iter().map(|check| check.state).collect()
        };
        assert_eq!(states(all(), None), [State::Good]);
        assert_eq!(states(Capabilities { reflinks: false, ..all() }, None), [State::Good]);
        assert_eq!(states(Capabilities { reflinks: false, hard_links: false, ..all() }, None), [State::Warning]);
        assert_eq!(states(Capabilities { locks: false, ..all() }, None), [State::Failure]);
        assert_eq!(states(Capabilities { locks: false, choice: renewed, ..all() }, None), [State::Good, State::Good]);
        assert_eq!(states(all(), Some(11 << 30)), [State::Good, State::Warning]);
        assert_eq!(states(Capabilities { free: 5 << 20, ..all() }, None), [State::Good, State::Warning]);
        assert_eq!(states(Capabilities { free: 5 << 20, ..all() }, Some(1 << 20)), [State::Good]);
        assert_eq!(states(Capabilities { free_files: Some(9), ..all() }, None), [State::Good, State::Warning]);
        assert_eq!(states(Capabilities { lacks: vec![Lacks::Times], ..all() }, None), [State::Good, State::Warning]);
    }
    #[test]
    fn the_kind_of_locks_is_told_where_other_machines_may_come_and_doubts_are_a_warning() {
        let choice = |kind, is_network, is_doubtful| Choice { kind, why: "why".to_owned(), is_network, is_doubtful };
        let state = |choice: Choice| locks_of(&choice).map(|check| check.state);
        assert_eq!(state(choice(LockKind::Kernel, false, false)), None);
        assert_eq!(state(choice(LockKind::Kernel, true, false)), Some(State::Good));
        assert_eq!(state(choice(LockKind::Kernel, true, true)), Some(State::Warning));
        let renewed = locks_of(&choice(LockKind::Renewed, true, false)).unwrap();
        assert!(renewed.state == State::Good && renewed.found.contains("why"), "{renewed:?}");
    }
}
