//! `plan`: shows what a run would do, one line per stage, with the reason.

use clap::Args;
use serde_json::json;

use super::place::{self, Place};
use super::{Answer, DONE, Format, Source, is_coloured, open, show, show_json, tell_of};
use crate::measures::{count, duration, plural, size};
use crate::pipeline::Problems;
use crate::sched::dry::{self, Decision, Planned, Resumes};
use crate::sched::session::{Access, Session};
use crate::shown;

/// Show what a run would do and why; changes nothing
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run plan p.toml                                  what a run would do
  intrada-run plan p.toml --set stages.rank.lambda=0.6     and with another λ")]
pub(super) struct Plan {
    #[command(flatten)]
    source: Source,
    /// Only these stages and their dependencies
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// As with `run --force`; may be repeated
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,
    #[command(flatten)]
    place: Place,
    /// Text for people, or JSON Lines
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Plan {
    pub(super) fn answer(self) -> Answer {
        answer(&self.source, &self.stages, &self.force, &self.place, self.format)
    }
}

pub(super) fn answer(source: &Source, stages: &[String], force: &[String], place: &Place, format: Format) -> Answer {
    let mut session = source.open_for(place, Access::Look)?;
    let device = place.device.as_deref();
    place::check(&session, device)?;
    let (targets, force) = (open::stages(&session, stages)?, open::stages(&session, force)?);
    let mut plan = dry::plan(&mut session, &targets, &force)?;
    let mut warnings = std::mem::take(&mut plan.warnings);
    let planned = &plan.stages;
    warnings.extend(dry::try_device(&session, device, planned)?);
    warnings.extend(dry::try_weights(&session, planned)?);
    tell_of(&Problems::new(warnings, session.pipeline.sources.clone()), is_coloured(&std::io::stderr()));
    open::warn_of_shared_caches(&session.store);
    match format {
        Format::Json => {
            show_json(&planned.iter().map(|planned| format!("{}\n", line(&session, planned))).collect::<String>())?;
        }
        Format::Text => show(&table(&session, planned))?,
    }
    if !plan.obstacles.is_empty() {
        return Err(Problems::new(plan.obstacles, session.pipeline.sources.clone()).into());
    }
    std::mem::forget(plan);
    session.end();
    Ok(DONE)
}

fn line(session: &Session, planned: &Planned) -> serde_json::Value {
    let mut line = json!({
        "event": "stage-planned",
        "stage": session.pipeline.stage(planned.stage).name,
        "decision": planned.decision.name(),
        "reason": planned.reason,
    });
    if let Some(Resumes { at: Some(at) }) = planned.resumes {
        line["resumes_at"] = json!(at);
    }
    if let Some(executor) = elsewhere(session, planned) {
        line["executor"] = json!(executor);
    }
    if !planned.in_the_way.is_empty() {
        line["in_the_way"] = json!(planned.in_the_way);
    }
    line
}

/// The batch system on which a stage would run, if it would run there.
fn elsewhere<'s>(session: &'s Session, planned: &Planned) -> Option<&'s str> {
    let may_run = matches!(planned.decision, Decision::Run | Decision::Depends);
    let executor = session.pipeline.executor_of(session.pipeline.stage(planned.stage));
    executor.filter(|_| may_run).map(|executor| executor.name.as_str())
}

/// Maximum characters of a reason: a changed value may be a whole shell script.
const REASON: usize = 600;

fn table(session: &Session, planned: &[Planned]) -> String {
    let name = |planned: &Planned| session.pipeline.stage(planned.stage).name.as_str();
    let width = planned.iter().map(|planned| shown::width(name(planned))).max().unwrap_or(0);
    let mut text = String::new();
    for planned in planned {
        let cost = match (planned.decision, planned.seconds) {
            (Decision::Run | Decision::Depends, Some(seconds)) => format!("  (last time {})", duration(seconds)),
            _ => String::new(),
        };
        let resumes = match planned.resumes {
            Some(Resumes { at: Some(at) }) => format!("; resumes at {}", count(at)),
            Some(Resumes { at: None }) => "; resumes from its saved state".to_owned(),
            None => String::new(),
        };
        let place = elsewhere(session, planned).map(|name| format!("; on {name}")).unwrap_or_default();
        let reason = shown::line(&shown::brief(&planned.reason, REASON)).into_owned();
        let line = format!(
            "  {:<10}  {}  {reason}{resumes}{place}{cost}",
            planned.decision.name(),
            shown::left(name(planned), width)
        );
        text += line.trim_end();
        text.push('\n');
    }
    text + &total(session, planned)
}

/// Number of stages per decision, then the time and bytes of the stages to run when they last ran.
fn total(session: &Session, planned: &[Planned]) -> String {
    let number = |decision| planned.iter().filter(|planned| planned.decision == decision).count();
    let parts = [
        (Decision::Run, "to run"),
        (Decision::Depends, "depending on that"),
        (Decision::Hit, "in the cache"),
        (Decision::UpToDate, "up to date"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(decision, _)| number(*decision) > 0)
        .map(|(decision, words)| format!("{} {words}", number(*decision)))
        .collect();
    let mut all = vec![format!("{}: {}", plural(planned.len(), "stage"), parts.join(", "))];
    let is_open = |planned: &&Planned| matches!(planned.decision, Decision::Run | Decision::Depends);
    let open: Vec<&Planned> = planned.iter().filter(is_open).collect();
    let known: Vec<f64> = open.iter().filter_map(|planned| planned.seconds).collect();
    if !known.is_empty() {
        let without = if known.len() < open.len() { ", without stages that never ran" } else { "" };
        // Not a forecast: a changed parameter, such as `iterations`, may change the time.
        all.push(format!("last time {} in total{without}", duration(known.iter().sum())));
    }
    let record =
        |planned: &&Planned| session.index.stages.get(&session.record_name(session.pipeline.stage(planned.stage)));
    let bytes: u64 =
        open.iter().filter_map(record).flat_map(|record| &record.outputs).map(|output| output.artifact.size).sum();
    if let Some(free) = session.store.free().filter(|_| bytes > 0) {
        all.push(format!("about {} of {} free", size(bytes), size(free)));
    }
    all.join(" · ") + "\n"
}
