//! `status`: which stages are where: in the queue of a batch system, on a node, on this machine, done or not begun.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::drive;
use super::{Answer, DONE, Format, Source, show, show_json};
use crate::exec::batch::Batch;
use crate::exec::batch::driver::DRIVER;
use crate::exec::batch::status::{Said, Submission, submissions};
use crate::measures::{count, duration, now};
use crate::sched::dry::{self, Decision, Planned};
use crate::sched::session::{Access, Session};
use crate::shown;

/// Show where stages are: waiting, running or done
#[derive(Args)]
#[command(
    after_help = "It reads the cache and asks each batch system once. It can be called on any machine that has both.

Examples:
  intrada-run p.toml --detach      submits what is ready
  intrada-run status p.toml        where the jobs are"
)]
pub(super) struct Status {
    #[command(flatten)]
    source: Source,
    /// Text for people, or JSON Lines
    #[arg(long, default_value = "text")]
    format: Format,
}

/// A stage, or a job that no stage wants any more.
struct Line {
    stage: String,
    state: &'static str,
    text: String,
    submission: Option<Submission>,
}

impl Status {
    pub(super) fn answer(self) -> Answer {
        let mut session = self.source.open(Access::Look)?;
        let planned = dry::plan(&mut session, &[], &[])?.stages;
        let mut submitted = submissions(&session.store.job_folders());
        let said = ask(&session, &submitted);
        let mut lines = Vec::new();
        for planned in &planned {
            let is_own = |submission: &Submission| {
                planned.key.is_some_and(|key| submission.name.split('.').next() == Some(&*key.to_string()))
            };
            let own: Vec<Submission> = submitted.extract_if(.., |submission| is_own(submission)).collect();
            let name = session.pipeline.stage(planned.stage).name.clone();
            if own.is_empty() {
                lines.push(without_job(&session, name, planned));
            } else {
                lines.extend(own.into_iter().map(|submission| with_job(name.clone(), submission, &said)));
            }
        }
        let driver = drive::folder_name(&session);
        lines.extend(submitted.into_iter().map(|submission| other(submission, &driver, &said)));
        match self.format {
            Format::Json => {
                let head = std::iter::once(of_pipeline(&session));
                show_json(&head.chain(lines.iter().map(as_json)).map(|line| format!("{line}\n")).collect::<String>())?;
            }
            Format::Text => {
                let about = shown::line(&session.pipeline.about.line()).into_owned();
                let head =
                    if about.is_empty() { String::new() } else { format!("{}: {about}\n", session.pipeline.name) };
                show(&(head + &table(&lines)))?;
            }
        }
        Ok(DONE)
    }
}

/// What each batch system says of its jobs, or why it can't be asked.
fn ask(session: &Session, submitted: &[Submission]) -> BTreeMap<(String, String), Said> {
    let mut said = BTreeMap::new();
    for executor in &session.pipeline.executors {
        let open = submitted.iter().filter(|submission| submission.executor == executor.name);
        let jobs: Vec<String> = open.filter_map(|submission| submission.job.clone()).collect();
        if jobs.is_empty() {
            continue;
        }
        let answer = Batch::open(executor, &session.store.job_folders())
            .map_err(|failure| format!("{failure:?}"))
            .and_then(|batch| batch.ask(&jobs));
        if let Err(why) = &answer {
            talk!("warning: `{}` can't be asked: {why}", executor.name);
        }
        said.extend(answer.unwrap_or_default().into_iter().map(|(job, said)| ((executor.name.clone(), job), said)));
    }
    said
}

fn with_job(stage: String, submission: Submission, said: &BTreeMap<(String, String), Said>) -> Line {
    let Submission { executor, job, at, node, progress, ended, .. } = &submission;
    let number = job.as_deref().unwrap_or("without a number");
    let said = job.as_ref().and_then(|job| said.get(&(executor.clone(), job.clone())));
    let (state, what) = match (ended, said, node) {
        (Some(ended), ..) => ("ended", ended.clone()),
        (None, Some(said), _) => (if said.runs { "running" } else { "waiting" }, said.words.clone()),
        (None, None, Some(node)) => ("unknown", format!("ran on {node} when it was last heard of")),
        (None, None, None) => ("unknown", "has not begun, and its batch system does not know it now".to_owned()),
    };
    let progress = match progress {
        Some((done, total, unit)) if ended.is_none() => format!(", {} of {} {unit}", count(*done), count(*total)),
        _ => String::new(),
    };
    let text = format!("job {number} of `{executor}` {what}{progress}; submitted {} ago", since(*at));
    Line { stage, state, text, submission: Some(submission) }
}

/// A job that belongs to no stage of this pipeline file. `driver`: the name of the folder of this file's driver.
fn other(submission: Submission, driver: &str, said: &BTreeMap<(String, String), Said>) -> Line {
    let (is_driver, is_own) = (submission.name.starts_with(DRIVER), submission.name == driver);
    let has_ended = submission.ended.is_some();
    let cancel = submission.job.clone().filter(|_| !has_ended);
    let stage = if is_own { "(the runner)".to_owned() } else { submission.stage.clone() };
    let line = with_job(stage, submission, said);
    match (is_driver, is_own) {
        (_, true) => line,
        (true, false) => Line { state: "other", text: format!("{}; it runs another pipeline file", line.text), ..line },
        (false, false) => {
            let what = match cancel {
                Some(job) => format!("; no stage of this file wants it now: cancel job {job} if no other file does"),
                None => "; no stage of this file wants it now".to_owned(),
            };
            Line { state: "unwanted", text: line.text + &what, ..line }
        }
    }
}

fn without_job(session: &Session, stage: String, planned: &Planned) -> Line {
    let holder = planned.key.and_then(|key| session.store.holder(key));
    let (state, text) = match (planned.decision, holder) {
        (_, Some(holder)) => {
            ("running", format!("process {} on {}, for {}", holder.pid, holder.host, since(holder.since)))
        }
        (Decision::UpToDate, None) => ("done", String::new()),
        (Decision::Hit, None) => ("in cache", "its result is in the cache".to_owned()),
        (Decision::Run, None) => ("to run", planned.reason.clone()),
        (Decision::Depends, None) => ("depends", planned.reason.clone()),
    };
    Line { stage, state, text, submission: None }
}

fn since(at: f64) -> String {
    duration((now() - at).max(0.0))
}

fn of_pipeline(session: &Session) -> serde_json::Value {
    let (name, about) = (&session.pipeline.name, &session.pipeline.about);
    json!({"event": "pipeline", "pipeline": name, "description": about.description, "tags": about.tags})
}

fn as_json(line: &Line) -> serde_json::Value {
    let mut json = json!({"event": "stage-status", "stage": line.stage, "state": line.state, "text": line.text});
    if let Some(submission) = &line.submission {
        json["executor"] = json!(submission.executor);
        json["job"] = json!(submission.job);
        json["node"] = json!(submission.node);
        if let Some((done, total, unit)) = &submission.progress {
            json["done"] = json!(done);
            json["total"] = json!(total);
            json["unit"] = json!(unit);
        }
    }
    json
}

fn table(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| shown::width(&line.stage)).max().unwrap_or(0);
    let row = |line: &Line| {
        let text = shown::line(&line.text).into_owned();
        let row = format!("  {:<8}  {}  {text}", line.state, shown::left(&line.stage, width));
        format!("{}\n", row.trim_end())
    };
    let number = |state: &str| lines.iter().filter(|line| line.state == state).count();
    let states =
        ["done", "in cache", "running", "waiting", "ended", "unknown", "unwanted", "other", "to run", "depends"];
    let parts: Vec<String> =
        states.iter().filter(|state| number(state) > 0).map(|state| format!("{} {state}", number(state))).collect();
    lines.iter().map(row).collect::<String>() + &parts.join(", ") + "\n"
}
