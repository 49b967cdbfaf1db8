//! The last run, stage by stage: what was computed when, and what was reused, its age, and the time saved.
//!
//! Knows the times in the history. A reused stage is hatched over its whole row: it took almost no time in this run, and a
//! bar as long as the time saved would be misleading.

use maud::{Markup, html};

use super::workspace::Workspace;
use crate::event::Outcome;
use crate::measures::{date, duration, plural};
use crate::pipeline::StageId;

/// The maximum number of stages shown: those that took longest.
const SHOWN: usize = 40;

/// The last run, or the current one.
#[derive(Default)]
pub(super) struct Timeline {
    /// Begin and end, in seconds since the Unix epoch; the end of a current run is now.
    span: (f64, f64),
    is_going: bool,
    rows: Vec<Row>,
    /// Number of stages not shown.
    more: usize,
}

/// A row of the timeline.
struct Row {
    id: StageId,
    name: String,
    /// As [`Timeline::span`].
    span: (f64, f64),
    /// Its outcome; `None` while it is in progress.
    outcome: Option<Outcome>,
    /// If reused: how many seconds it had taken, and when it was computed.
    cost: Option<(f64, Option<f64>)>,
}

/// Collects it. `now` is in seconds since the Unix epoch.
pub(super) fn gather(workspace: &Workspace, now: f64) -> Timeline {
    let history = workspace.history;
    let turns = history.going.as_ref().map_or(&history.turns, |going| &going.turns);
    let mut rows = Vec::new();
    for (id, stage) in workspace.stages() {
        let turn = turns.get(&stage.name).filter(|turn| turn.outcome != Outcome::Skipped);
        let under_way = history.going.as_ref().and_then(|going| going.running.get(&stage.name));
        let (span, outcome) = match (under_way, turn) {
            (Some(under_way), _) => ((under_way.since, now), None),
            (None, Some(turn)) => ((turn.began, turn.ended), Some(turn.outcome)),
            (None, None) => continue,
        };
        rows.push(Row { id, name: stage.name.clone(), span, outcome, cost: None });
    }
    let more = rows.len().saturating_sub(SHOWN);
    rows.sort_by(|a, b| (b.span.1 - b.span.0).total_cmp(&(a.span.1 - a.span.0)));
    rows.truncate(SHOWN);
    rows.sort_by(|a, b| a.span.0.total_cmp(&b.span.0));
    for row in rows.iter_mut().filter(|row| matches!(row.outcome, Some(Outcome::Hit | Outcome::UpToDate))) {
        let computed = workspace.trace(row.id).map(|trace| trace.started + trace.seconds);
        row.cost = workspace.record(row.id).map(|record| (record.seconds, computed));
    }
    let span = match &history.going {
        Some(going) => (going.began, now),
        None => (history.ended - history.seconds, history.ended),
    };
    Timeline { span, is_going: history.going.is_some(), rows, more }
}

/// One row per stage; empty if no run is recorded.
pub(super) fn render(timeline: &Timeline) -> Markup {
    if timeline.rows.is_empty() {
        return html! {};
    }
    let took = duration(timeline.span.1 - timeline.span.0);
    let (title, took) = if timeline.is_going {
        ("This run, so far", format!("began {}, {took} ago", date(timeline.span.0)))
    } else {
        ("The last run", format!("began {}, took {took}", date(timeline.span.0)))
    };
    let has_reused = timeline.rows.iter().any(|row| row.cost.is_some());
    html! {
        h3 { (title) " " small { (took) } } "\n"
        div.wide {
            table.timeline {
                thead {
                    tr {
                        th { "stage" } th {} th { "when" } th { "took" }
                        @if has_reused { th { "saved" } th { "computed" } }
                    }
                }
                tbody { @for row in &timeline.rows { (line(timeline, row, has_reused)) } }
            }
        }
        "\n"
        @if has_reused { p.note { "Hatched: reused, not computed in this run." } }
        @if timeline.more > 0 { p.note { (plural(timeline.more, "stage")) " more took less time." } }
    }
}

fn line(timeline: &Timeline, row: &Row, has_reused: bool) -> Markup {
    let (word, _) = outcome(row);
    let took = if row.cost.is_none() { duration(row.span.1 - row.span.0) } else { String::new() };
    html! {
        tr {
            th scope="row" { a href={ "#stage-" (row.id.0) } { (row.name) } }
            td { (word) }
            td class=[row.cost.map(|_| "reused")] { (bar(timeline, row)) }
            td { (took) }
            @if let Some((seconds, computed)) = row.cost {
                td { (duration(seconds)) } td { (computed.map(date).unwrap_or_default()) }
            } @else if has_reused {
                td {} td {}
            }
        }
        "\n"
    }
}

/// The outcome of a stage, in words and as a CSS class.
fn outcome(row: &Row) -> (&'static str, &'static str) {
    row.outcome.map_or(("running", "running"), |outcome| (outcome.word(), outcome.name()))
}

/// The time in progress.
fn bar(timeline: &Timeline, row: &Row) -> Markup {
    /// Width of the drawing, which fills its cell; and the minimum width of a bar.
    const WIDTH: f64 = 1000.0;
    const LEAST: f64 = 3.0;
    let length = (timeline.span.1 - timeline.span.0).max(1e-3);
    let place = |moment: f64| WIDTH * ((moment - timeline.span.0) / length).clamp(0.0, 1.0);
    let wide = (place(row.span.1) - place(row.span.0)).max(LEAST);
    let (_, class) = outcome(row);
    html! {
        svg class={ "span " (class) } viewBox={ "0 0 " (WIDTH) " 10" } preserveAspectRatio="none" aria-hidden="true" {
            rect x=(format_args!("{:.1}", place(row.span.0).min(WIDTH - wide))) width=(format_args!("{wide:.1}"))
                height="10" {}
        }
    }
}
