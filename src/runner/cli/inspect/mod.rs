//! `inspect`: a stage's inputs and outputs with sizes and digests; the data about one image; the tensors of weights; for programs
//! also all stages at once.

mod image;
mod weights;
mod whole;

use clap::Args;
use serde_json::json;

use super::{Answer, DONE, Format, Refusal, Source, open, show, show_json};
use crate::kind::OutputRole;
use crate::kind::losses::LEARNING_RATE;
use crate::measures::{ago, brief, count, duration, size};
use crate::pipeline::{Stage, StageId};
use crate::results::metrics::{Best, best_of};
use crate::sched::done;
use crate::sched::session::Session;
use crate::shown;
use crate::store::index::StageRecord;
use crate::store::{Kind, Trace};

/// Show the inputs and outputs of a stage, with sizes and digests
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run inspect p.toml intra         inputs, parameters, notes, outputs
  intrada-run inspect p.toml rank --image zurich_000056
  intrada-run inspect p.toml inter --tensors
  intrada-run inspect p.toml --format json   all stages, for a program")]
pub(super) struct Inspect {
    #[command(flatten)]
    source: Source,
    /// The stage; with --format json it may be left out: all of them
    stage: Option<String>,
    /// Show all results about this image of the stage's data set; a part of its name is enough
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tensors", "format"])]
    image: Option<String>,
    /// Show the tensors of its weights
    #[arg(long, conflicts_with = "format")]
    tensors: bool,
    /// Text for people, or JSON
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Inspect {
    pub(super) fn answer(self) -> Answer {
        let mut session = self.source.open_results()?;
        let Some(name) = &self.stage else {
            if self.format == Format::Text {
                return Err(Refusal::Usage(format!(
                    "name a stage: `intrada-run status {}` lists them; --format json shows all at once",
                    self.source.in_shell()
                )));
            }
            let told = whole::as_json(&mut session);
            open::tell_not_here(&session);
            show_json(&format!("{}\n", told?))?;
            return Ok(DONE);
        };
        let id = open::stage(&session, name)?;
        let recorded = session.record_name(session.pipeline.stage(id));
        if !session.index.stages.contains_key(&recorded) {
            // Its result may be in the cache, as of another machine. Wrong sources are the business of a run.
            let looked_at = if self.image.is_some() { Vec::new() } else { vec![id] };
            let _ = done::adopt(&mut session, &looked_at);
            open::tell_not_here(&session);
        }
        let stage = session.pipeline.stage(id);
        let Some(record) = session.index.stages.get(&recorded) else {
            return Err(Refusal::Usage(format!("`{name}` has not run in this workspace, so it has no outputs")));
        };
        if let Some(name) = &self.image {
            show(&image::known(&session, id, name)?)?;
            return Ok(DONE);
        }
        if self.tensors {
            show(&tensors(&session, stage, record)?)?;
            return Ok(DONE);
        }
        let trace = session.store.load(record.key).ok().flatten();
        match self.format {
            Format::Json => show_json(&format!("{}\n", as_json(stage, record, trace.as_ref())))?,
            Format::Text => show(&as_text(&session, id, record, trace.as_ref()))?,
        }
        Ok(DONE)
    }
}

/// The tensors of each safetensors output of the stage.
fn tensors(session: &Session, stage: &Stage, record: &StageRecord) -> Result<String, Refusal> {
    let mut text = String::new();
    for placed in record.outputs.iter().filter(|placed| placed.path.extension().is_some_and(|end| end == "safetensors"))
    {
        let bytes = session.store.read(placed.artifact.object).ok().flatten();
        let lines = bytes.as_deref().and_then(weights::tensors);
        let lines = lines.unwrap_or_else(|| vec!["unreadable: `intrada-run cache verify` says why".to_owned()]);
        text += &format!("{}\n", shown::line(&placed.path.display().to_string()));
        text += &lines.into_iter().map(|line| format!("  {line}\n")).collect::<String>();
    }
    if text.is_empty() {
        return Err(Refusal::Usage(format!(
            "`{}` is of kind {}, which writes no weights",
            stage.name, stage.kind.name
        )));
    }
    Ok(text)
}

/// Maximum characters of a line: a parameter may be a whole shell script.
const SAID: usize = 2000;

fn as_text(session: &Session, id: StageId, record: &StageRecord, trace: Option<&Trace>) -> String {
    let stage = session.pipeline.stage(id);
    let when = if record.has_been_placed() { "restored" } else { "not restored here, made" };
    let mut text = format!(
        "{}  {}, computed in {}, {when} {}, key {}\n",
        stage.name,
        stage.kind.name,
        duration(record.seconds),
        ago(record.finished),
        record.key
    );
    let mut lines = Vec::new();
    if let Some(trace) = trace {
        if let Some(inputs) = trace.manifest["inputs"].as_object() {
            for (role, input) in inputs {
                let digest: String = input["digest"].as_str().unwrap_or("").chars().take(6).collect();
                lines.push(("reads", format!("{role}: {}", input["what"].as_str().unwrap_or("")), digest));
            }
        }
        for (name, value) in trace.manifest["parameters"].as_object().into_iter().flatten() {
            lines.push(("with", format!("{name} {}", value.as_str().unwrap_or("")), String::new()));
        }
        for (name, value) in &trace.note {
            lines.push(("recorded", format!("{name}: {value}"), String::new()));
        }
        if let Some(at) = trace.resumed_from {
            lines.push(("recorded", format!("resumed at {}", count(at)), String::new()));
        }
    }
    lines.extend(course(session, stage, record).into_iter().map(|line| ("recorded", line, String::new())));
    for output in &record.outputs {
        let artifact = &output.artifact;
        let what = match artifact.kind {
            Kind::File { .. } => size(artifact.size),
            Kind::Folder => format!("{} files, {}", count(artifact.files), size(artifact.size)),
        };
        lines.push(("writes", format!("{}  {what}", output.path.display()), artifact.digest().0.short()));
    }
    let dependents = session.graph.dependents(id);
    if !dependents.is_empty() {
        let names: Vec<&str> = dependents.iter().map(|id| session.pipeline.stage(*id).name.as_str()).collect();
        lines.push(("used by", names.join(", "), String::new()));
    }
    for (head, what, more) in &lines {
        let what = shown::line(&shown::brief(what, SAID)).into_owned();
        text += format!("  {head:<8}  {what}  {more}").trim_end();
        text.push('\n');
    }
    text
}

/// The last losses of a training, and its best network if it was evaluated.
fn course(session: &Session, stage: &Stage, record: &StageRecord) -> Vec<String> {
    let read = |role: OutputRole| {
        let place = stage.outputs.iter().position(|output| output.role == role)?;
        String::from_utf8(session.store.read(record.outputs.get(place)?.artifact.object).ok()??).ok()
    };
    let last = read(OutputRole::Losses).and_then(|losses| {
        let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(losses.lines().last()?).ok()?;
        let iteration = count(row.get("iteration")?.as_u64()?);
        let (rate, losses): (Vec<_>, Vec<_>) = row.iter().partition(|(name, _)| *name == LEARNING_RATE);
        let numbers = losses.into_iter().chain(rate).filter(|(name, _)| *name != "iteration");
        let numbers = numbers.filter_map(|(name, value)| Some(format!("{name} {}", brief(value.as_f64()?))));
        Some(format!("losses of iteration {iteration}: {}", numbers.collect::<Vec<_>>().join(", ")))
    });
    let best =
        read(OutputRole::Evaluations).and_then(|evaluations| best_of(&evaluations)).map(|Best { miou, iteration }| {
            let at = iteration.map(|at| format!(" after {} iterations", count(at))).unwrap_or_default();
            format!("best mIoU {:.1} %{at}, chosen with labels", 100.0 * miou)
        });
    last.into_iter().chain(best).collect()
}

fn as_json(stage: &Stage, record: &StageRecord, trace: Option<&Trace>) -> serde_json::Value {
    let outputs = record.outputs.iter().zip(&stage.outputs).map(|(placed, output)| {
        json!({
            "name": output.name,
            "path": placed.path,
            "digest": placed.artifact.digest(),
            "object": placed.artifact.object,
            "size": placed.artifact.size,
            "files": placed.artifact.files,
        })
    });
    json!({
        "stage": stage.name,
        "kind": stage.kind.name,
        "key": record.key,
        "seconds": record.seconds,
        "finished": record.finished,
        "outputs": outputs.collect::<Vec<_>>(),
        "manifest": trace.map(|trace| trace.manifest.clone()),
        "notes": trace.map(|trace| trace.note.clone()),
        "resumed_from": trace.and_then(|trace| trace.resumed_from),
    })
}
