//! Runs as text and as JSON.

use serde_json::{Map, Value as Json, json};

use crate::event::Outcome;
use crate::event::runs::Run;
use crate::measures::{date, duration, plural};
use crate::sched::changes::Change;
use crate::sched::past::{Networks, Past, Standing};
use crate::shell;
use crate::shown;

/// Changes that the text names; JSON has all.
const CHANGES: usize = 12;
/// The longest line of a reason.
const REASON: usize = 200;
/// Stages that are named in a list.
const NAMED: usize = 6;

/// A run in a few lines.
pub(super) fn as_text(past: &Past) -> String {
    let run = &past.run;
    let mut text = format!("run {}  {}  {}\n", run.number, date(run.head.began), standing(past));
    let mut line = |line: &str| text += &format!("  {}\n", shown::line(line));
    if let Some(asked) = asked(run) {
        line(&format!("asked for  {asked}"));
    }
    match (past.before, &past.incomparable) {
        (None, _) => {}
        (Some(before), None) if past.changes.is_empty() => line(&format!("changed    nothing since run {before}")),
        (Some(before), Some(why)) => line(&format!("changed    unknown since run {before}: {why}")),
        (Some(_), None) => {}
    }
    for (at, change) in past.changes.iter().take(CHANGES).enumerate() {
        line(&format!("{}  {change}", if at == 0 { "changed  " } else { "         " }));
    }
    if past.changes.len() > CHANGES {
        line(&format!("           and {} more; --format json has all", past.changes.len() - CHANGES));
    }
    for settled in run.stages.iter().filter(|settled| settled.outcome == Outcome::Failed) {
        let reason = settled.reason.lines().next().unwrap_or_default();
        line(&format!("failed     {}: {}", settled.stage, shown::brief(reason, REASON)));
    }
    for (evaluation, miou) in &past.miou {
        line(&format!("mIoU in %  {evaluation}: {}", numbers(miou)));
    }
    match &run.deleted {
        Some(deleted) => line(&format!("deleted    {} on {}", plural(deleted.results, "result"), date(deleted.at))),
        None if past.gone.is_empty() => {}
        None => line(&format!("gone       the results of {}", listed(&past.gone))),
    }
    text
}

/// `inter 45.1, intra 46.3`.
fn numbers(miou: &Networks) -> String {
    let number = |(network, miou): &(String, Option<f64>)| {
        let percent = miou.map_or("–".to_owned(), |miou| format!("{:.1}", 100.0 * miou));
        format!("{network} {percent}")
    };
    miou.iter().map(number).collect::<Vec<_>>().join(", ")
}

fn of_networks(miou: &Networks) -> Json {
    Json::Object(miou.iter().map(|(network, miou)| (network.clone(), json!(miou))).collect())
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `took 4 min 02 s: 2 ran, 1 hit, 5 up to date`.
fn standing(past: &Past) -> String {
    let run = &past.run;
    let open = || listed(&run.open.keys().cloned().collect::<Vec<_>>());
    let at = || run.stages.last().map_or(0.0, |settled| settled.at);
    let took = run.end.as_ref().map(|end| duration(end.seconds)).unwrap_or_default();
    let mut text = match past.standing {
        Standing::Running if run.open.is_empty() => "running".to_owned(),
        Standing::Running => format!("running {}", open()),
        Standing::Done => format!("took {took}"),
        Standing::Failed => format!("failed after {took}"),
        Standing::Interrupted => format!("interrupted after {took}"),
        Standing::Left => format!("left to a batch system after {took}"),
        Standing::Killed if run.open.is_empty() => format!("killed, last heard of after {}", duration(at())),
        Standing::Killed => format!("killed while it ran {}", open()),
    };
    let counted = counts(run);
    if !counted.is_empty() {
        text += &format!(": {counted}");
    }
    text
}

fn counts(run: &Run) -> String {
    let all = [
        Outcome::Ran,
        Outcome::Hit,
        Outcome::UpToDate,
        Outcome::Failed,
        Outcome::Skipped,
        Outcome::Cancelled,
        Outcome::Submitted,
        Outcome::Pending,
    ];
    let count = |outcome: &Outcome| {
        let number = run.stages.iter().filter(|settled| settled.outcome == *outcome).count();
        (number > 0).then(|| format!("{number} {}", outcome.word()))
    };
    all.iter().filter_map(count).collect::<Vec<_>>().join(", ")
}

/// What the command line said beside the file.
fn asked(run: &Run) -> Option<String> {
    let words = run.head.targets.iter().map(|stage| shell::word(stage).into_owned());
    let forced = run.head.forced.iter().map(|stage| format!("--force {}", shell::word(stage)));
    let sets = run.head.set.iter().map(|set| format!("--set {}", shell::word(set)));
    let all: Vec<String> = words.chain(forced).chain(sets).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// The pipeline file of a run, after comments on the run.
pub(super) fn file_of(past: &Past) -> String {
    let text = &past.run.head.text;
    comments(past) + text + if text.ends_with('\n') { "" } else { "\n" }
}

/// What a copy of a run's file says of the run.
pub(super) fn comments(past: &Past) -> String {
    let run = &past.run;
    let head = &run.head;
    let file = shown::line(&head.file);
    let mut text = format!("# run {} of {}, {}, intrada-run {}\n", run.number, file, date(head.began), head.program);
    if let Some(asked) = asked(run) {
        text += &format!("# with {}\n", shown::line(&asked));
    }
    text
}

/// The runs for programs.
pub(super) fn as_json(pipeline: &str, found: &[Past]) -> Json {
    json!({ "format": 1, "pipeline": pipeline, "runs": found.iter().map(run_as_json).collect::<Vec<_>>() })
}

/// One run for programs, with its file.
pub(super) fn one_as_json(past: &Past) -> Json {
    let mut told = run_as_json(past);
    told["text"] = json!(past.run.head.text);
    told
}

fn run_as_json(past: &Past) -> Json {
    let Run { number, head, stages, end, deleted, open, .. } = &past.run;
    let change = |change: &Change| {
        let Change { of, key, old, new, what } = change;
        json!({ "of": of, "key": key, "old": old, "new": new, "what": what, "text": change.to_string() })
    };
    let stages = stages.iter().map(|settled| {
        json!({
            "stage": settled.stage, "outcome": settled.outcome.name(), "key": settled.key, "seconds": settled.seconds,
            "at": settled.at, "reason": settled.reason, "summary": settled.summary,
        })
    });
    json!({
        "run": number,
        "state": past.standing.name(),
        "began": head.began,
        "seconds": end.as_ref().map(|end| end.seconds),
        "file": head.file,
        "tags": head.tags,
        "set": head.set,
        "targets": head.targets,
        "forced": head.forced,
        "program": head.program,
        "commit": head.commit,
        "machine": head.machine,
        "before": past.before,
        "changes": past.changes.iter().map(change).collect::<Vec<_>>(),
        "incomparable": past.incomparable,
        "stages": stages.collect::<Vec<_>>(),
        "running": if past.standing == Standing::Running { open.keys().collect::<Vec<_>>() } else { Vec::new() },
        "miou": past.miou.iter().map(|(evaluation, miou)| (evaluation.clone(), of_networks(miou))).collect::<Map<_, _>>(),
        "gone": past.gone,
        "deleted": deleted,
    })
}
