//! Earlier runs of this pipeline: when, what changed against the run before, what came out, and how to get one back.
//!
//! Knows only what runs recorded and what `sched::past` finds in it. The numbers of a run are in its record, so they are
//! shown although its results may be gone.

use maud::{Markup, Render as _, html};

use super::markup::table;
use super::workspace::Workspace;
use crate::event::Outcome;
use crate::measures::{date, duration};
use crate::sched::past::{self, Past, Standing};
use crate::shell;
use crate::shown;

/// How many runs are shown.
const RUNS: usize = 20;
/// Changes of one run; `intrada-run history` has all.
const CHANGES: usize = 8;
/// Characters of a line.
const LINE: usize = 300;

/// A run as the page shows it.
pub(super) struct Run {
    number: u32,
    /// When it began, how long it took and how it stands.
    when: Vec<String>,
    /// What changed.
    changes: Vec<String>,
    /// What came out.
    results: Vec<String>,
}

/// What the section shows.
pub(super) struct History {
    /// The newest first.
    runs: Vec<Run>,
    /// The pipeline file, for commands.
    file: String,
    /// Whether the newest run was killed, of which the rest of the page knows nothing.
    was_killed: bool,
}

/// The last runs.
pub(super) fn gather(workspace: &Workspace) -> History {
    let found = past::history(workspace.pipeline, workspace.store, RUNS, &[]);
    let file = shell::word(&workspace.pipeline.file.to_string_lossy()).into_owned();
    let was_killed = found.first().is_some_and(|newest| newest.standing == Standing::Killed);
    History { runs: found.iter().map(run).collect(), file, was_killed }
}

fn run(past: &Past) -> Run {
    let record = &past.run;
    let brief = |line: &str| shown::brief(line, LINE).into_owned();
    let took = record.end.as_ref().map(|end| format!(", {}", duration(end.seconds))).unwrap_or_default();
    let mut changes: Vec<String> = past.changes.iter().take(CHANGES).map(|change| brief(&change.to_string())).collect();
    if past.changes.len() > CHANGES {
        changes.push(format!("and {} more", past.changes.len() - CHANGES));
    }
    match (past.before, &past.incomparable) {
        (None, _) => changes.push("the first recorded run".to_owned()),
        (Some(_), Some(why)) => changes.push(brief(why)),
        (Some(before), None) if changes.is_empty() => changes.push(format!("nothing since run {before}")),
        (Some(_), None) => {}
    }
    let mut results = Vec::new();
    for (evaluation, miou) in &past.miou {
        let number = |(network, miou): &(String, Option<f64>)| {
            format!("{network} {}", miou.map_or("–".to_owned(), |miou| format!("{:.1}", 100.0 * miou)))
        };
        let numbers: Vec<String> = miou.iter().map(number).collect();
        results.push(brief(&format!("{evaluation}: {}", numbers.join(", "))));
    }
    for settled in record.stages.iter().filter(|settled| settled.outcome == Outcome::Failed) {
        let reason = settled.reason.lines().next().unwrap_or_default();
        results.push(brief(&format!("{} failed: {reason}", settled.stage)));
    }
    if record.deleted.is_some() {
        results.push("its own results were deleted".to_owned());
    } else if !past.gone.is_empty() {
        results.push(format!("{} of {} results are gone", past.gone.len(), record.results().count()));
    }
    let state = match past.standing {
        Standing::Left => "left to a batch system".to_owned(),
        Standing::Killed if !record.open.is_empty() => {
            let open: Vec<&str> = record.open.keys().map(String::as_str).collect();
            brief(&format!("killed while it ran {}", open.join(", ")))
        }
        standing => standing.name().to_owned(),
    };
    Run { number: record.number, when: vec![date(record.head.began), format!("{state}{took}")], changes, results }
}

/// The section; none before the second run, unless the first was killed.
pub(super) fn render(history: &History) -> Option<Markup> {
    if history.runs.len() < 2 && !history.was_killed {
        return None;
    }
    let lines = |lines: &[String]| {
        html! { @for (at, line) in lines.iter().enumerate() { @if at > 0 { br; } (line) } }
    };
    let row = |run: &Run| vec![run.number.render(), lines(&run.when), lines(&run.changes), lines(&run.results)];
    let rows: Vec<Vec<Markup>> = history.runs.iter().map(row).collect();
    Some(html! {
        (table(&["run", "when", "changed since the run before", "mIoU in %, failures"], &rows))
        p.note {
            "Get a run's results back, beside the current ones: "
            code { "intrada-run history " (history.file) " --restore RUN" } "."
        }
    })
}
