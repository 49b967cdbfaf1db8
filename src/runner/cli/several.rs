//! Arguments of the commands that read several pipelines, `compare` and `choices`: files first, then names of stages in any of them.
//!
//! Knows no table.

use std::path::Path;

use clap::Args;

use super::{Options, Refusal, Source};
use crate::pipeline::{Pipeline, StageId, near_file, nearest};
use crate::sched::session::Session;

#[derive(Args)]
pub(super) struct Several {
    /// Pipeline files, then names of their stages; default: all
    #[arg(value_name = "PIPELINE.toml… [STAGE…]", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    options: Options,
}

/// Opened pipelines, and the names of stages: each is known to one of them.
pub(super) struct Opened<'a> {
    pub sessions: Vec<Session>,
    pub stages: Vec<&'a str>,
}

impl Several {
    /// Opens the results of all pipelines with these tags. `usual` are the stages that a message offers for an unknown name.
    pub(super) fn open(&self, tags: &[String], usual: fn(&Pipeline) -> Vec<StageId>) -> Result<Opened<'_>, Refusal> {
        let is_pipeline = |name: &&str| name.ends_with(".toml") || Path::new(name).is_file();
        let (files, stages): (Vec<&str>, Vec<&str>) = self.names.iter().map(String::as_str).partition(is_pipeline);
        if files.is_empty() {
            let near = near(&self.names[0]).unwrap_or_else(|| "; name one".to_owned());
            return Err(Refusal::Usage(format!("`{}` is not a pipeline file{near}", self.names[0])));
        }
        let mut sessions = Vec::new();
        for file in files {
            let session = Source { file: file.into(), options: self.options.clone() }.open_results()?;
            if session.pipeline.about.has_tags(tags) {
                sessions.push(session);
            }
        }
        if sessions.is_empty() {
            return Err(Refusal::Usage(format!("none of these pipelines has the tags {}", tags.join(", "))));
        }
        let is_unknown = |name: &&&str| sessions.iter().all(|session| session.pipeline.select(name).is_empty());
        match stages.iter().find(is_unknown) {
            Some(name) => Err(unknown(&sessions, name, usual)),
            None => Ok(Opened { sessions, stages }),
        }
    }
}

/// Suggests a pipeline file for a name that is neither a file nor ends in `.toml`.
fn near(name: &str) -> Option<String> {
    Some(format!("; did you mean `{}`?", near_file(Path::new(name))?.display()))
}

fn unknown(sessions: &[Session], name: &str, usual: fn(&Pipeline) -> Vec<StageId>) -> Refusal {
    let stages = || sessions.iter().flat_map(|session| &session.pipeline.stages);
    let names = stages().flat_map(|stage| [stage.family.as_str(), stage.name.as_str()]);
    let stage = nearest(name, names).map(|near| format!("; did you mean `{near}`?"));
    let all = || {
        let known = sessions.iter().map(|session| known(&session.pipeline, &usual(&session.pipeline)));
        format!("; {}", known.collect::<Vec<_>>().join(", and "))
    };
    let near = stage.or_else(|| near(name)).unwrap_or_else(all);
    Refusal::Usage(format!("no stage of these pipelines is called `{name}`{near}"))
}

/// `there is evaluate, validate`: the names of these stages in the file.
pub(super) fn known(pipeline: &Pipeline, stages: &[StageId]) -> String {
    let mut names: Vec<&str> = stages.iter().map(|id| pipeline.stage(*id).family.as_str()).collect();
    names.dedup();
    if names.is_empty() { "there is none".to_owned() } else { format!("there is {}", names.join(", ")) }
}
