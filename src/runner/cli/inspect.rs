//! `inspect`: what a stage's outputs are, with sizes and digests.

use clap::Args;
use serde_json::json;

use super::{Answer, DONE, Format, Refusal, Source, open, show};
use crate::report::measures::{ago, count, duration, size};
use crate::sched::session::{Access, Session};
use crate::spec::{Stage, StageId};
use crate::store::index::StageRecord;
use crate::store::{Kind, Trace};

/// Show what a stage takes and gives, with sizes and digests
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run inspect p.toml intra         what it took, gave and said
  intrada-run inspect p.toml rank --format json")]
pub(super) struct Inspect {
    #[command(flatten)]
    source: Source,
    /// The stage
    stage: String,
    /// Lines for people, or JSON for programs
    #[arg(long, default_value = "text")]
    format: Format,
}

impl Inspect {
    pub(super) fn answer(self) -> Answer {
        let session = self.source.open(Access::Look)?;
        let id = open::stage(&session, &self.stage)?;
        let stage = session.pipeline.stage(id);
        let Some(record) = session.index.stages.get(&session.record_name(stage)) else {
            return Err(Refusal::Usage(format!(
                "`{}` has not run in this workspace, so it has no outputs",
                self.stage
            )));
        };
        let trace = session.store.load(record.key).ok().flatten();
        match self.format {
            Format::Json => show(&format!("{}\n", as_json(stage, record, trace.as_ref())))?,
            Format::Text => show(&as_text(&session, id, record, trace.as_ref()))?,
        }
        Ok(DONE)
    }
}

fn as_text(session: &Session, id: StageId, record: &StageRecord, trace: Option<&Trace>) -> String {
    let stage = session.pipeline.stage(id);
    let mut text = format!(
        "{}  {}, made in {}, put in place {}, key {}\n",
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
                lines.push(("takes", format!("{role}: {}", input["what"].as_str().unwrap_or("")), digest));
            }
        }
        for (name, value) in trace.manifest["parameters"].as_object().into_iter().flatten() {
            lines.push(("with", format!("{name} {}", value.as_str().unwrap_or("")), String::new()));
        }
        for (name, value) in &trace.note {
            lines.push(("says", format!("{name}: {value}"), String::new()));
        }
        if let Some(at) = trace.resumed_from {
            lines.push(("says", format!("resumed at {}", count(at)), String::new()));
        }
    }
    for output in &record.outputs {
        let artifact = &output.artifact;
        let what = match artifact.kind {
            Kind::File { .. } => size(artifact.size),
            Kind::Folder => format!("{} files, {}", count(artifact.files), size(artifact.size)),
        };
        lines.push(("gives", format!("{}  {what}", output.path.display()), artifact.digest().0.short()));
    }
    let dependents = session.graph.dependents(id);
    if !dependents.is_empty() {
        let names: Vec<&str> = dependents.iter().map(|id| session.pipeline.stage(*id).name.as_str()).collect();
        lines.push(("for", names.join(", "), String::new()));
    }
    for (head, what, more) in &lines {
        text += format!("  {head:<6}  {what}  {more}").trim_end();
        text.push('\n');
    }
    text
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
