//! Submitted jobs as their folders and their batch systems describe them: for a person who asks, also on another machine.
//!
//! Changes nothing and follows nothing. Each batch system is asked once for all its jobs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::super::job::Event;
use super::super::listen;
use super::Batch;
use super::papers::{End, Outcome, Papers, Submitted};
use super::queue::{Phase, Standing};

/// A submitted job whose result no run has taken yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The job's name: its key, and its part if the stage is split.
    pub name: String,
    /// The stage for which it was submitted.
    pub stage: String,
    /// The name of the executor.
    pub executor: String,
    /// Its number in the batch system; `None`: it isn't known whether it was submitted.
    pub job: Option<String>,
    /// When it was submitted, in seconds since the Unix epoch.
    pub at: f64,
    /// The node of its last attempt.
    pub node: Option<String>,
    /// How far its last attempt is: done, total, unit.
    pub progress: Option<(u64, u64, String)>,
    /// How it ended, in words, if it has.
    pub ended: Option<String>,
}

/// What a batch system says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Whether it runs.
    pub runs: bool,
    /// Its standing, as it stands behind the name of a job.
    pub words: String,
}

/// The submitted jobs in these folders, by name. Folders without one are left out.
pub fn submissions(folders: &Path) -> Vec<Submission> {
    let entries = std::fs::read_dir(folders).into_iter().flatten().flatten();
    let mut all: Vec<Submission> = entries.filter_map(|entry| submission(&Papers(entry.path()))).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn submission(papers: &Papers) -> Option<Submission> {
    let Submitted { executor, job, at, .. } = papers.submitted().ok()??;
    let order = papers.order().ok().flatten();
    let running = papers.running().ok().flatten();
    let outcome = papers.outcome().ok().flatten();
    let name = papers.0.file_name()?.to_string_lossy().into_owned();
    Some(Submission {
        stage: order.map_or_else(|| name.clone(), |order| order.request.stage),
        name,
        executor,
        job,
        at,
        node: running.as_ref().map(|running| running.node.clone()),
        progress: running.and_then(|running| progress(&papers.events(&running.attempt))),
        ended: outcome.map(|outcome| words(&outcome)),
    })
}

fn words(outcome: &Outcome) -> String {
    match &outcome.end {
        End::Ended { how, .. } if how.is_success() => {
            "has ended well; the next run that wants it takes its result".to_owned()
        }
        End::Ended { how, .. } => format!("{how}; the next run says more"),
        End::NotStarted { message, .. } => format!("could not start: {message}"),
        End::Interrupted { .. } => "was interrupted and has saved".to_owned(),
    }
}

/// The last progress in a file of events.
fn progress(events: &Path) -> Option<(u64, u64, String)> {
    /// Longer than several events.
    const ENOUGH: u64 = 16 << 10;
    let mut file = File::open(events).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(ENOUGH))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().find_map(|line| match listen::event(line)? {
        Event::Progress { done, total, unit, .. } => Some((done, total, unit)),
        _ => None,
    })
}

impl Batch {
    /// What the batch system says of these jobs; one that it doesn't know is left out.
    ///
    /// # Errors
    /// It can't be asked; why, in its words.
    pub fn ask(&self, jobs: &[String]) -> Result<BTreeMap<String, Said>, String> {
        let standings = self.submitter.queue.standings(jobs)?;
        let said = |standing: Standing| Said { runs: standing.phase == Phase::Running, words: standing.words() };
        Ok(standings.into_iter().map(|(job, standing)| (job, said(standing))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::executor::{How, Request, Work};
    use super::super::super::{Elsewhere, Visible, command::Program};
    use super::super::papers::{Order, Running};
    use super::*;

    #[test]
    fn a_submission_is_told_with_its_node_its_progress_and_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let papers = Papers(dir.path().join("key"));
        std::fs::create_dir_all(&papers.0).unwrap();
        std::fs::create_dir_all(dir.path().join("array.x")).unwrap();
        let program = Program {
            arguments: vec!["true".into()],
            folder: dir.path().into(),
            environment: [].into(),
            slot: dir.path().into(),
            gpus: Visible::All,
        };
        let request = Request { stage: "s".into(), ..Request::default() };
        let order = Order {
            version: String::new(),
            name: "key".into(),
            work: Work::Command(program),
            request,
            log: dir.path().join("log"),
            belongs_to: dir.path().into(),
            scratch: None,
        };
        papers.write_order(&order).unwrap();
        let submitted = Submitted {
            executor: "cluster".into(),
            label: "l".into(),
            task: None,
            job: Some("15".into()),
            at: 1.0,
            kept: None,
            again: 0,
        };
        papers.write_submitted(&submitted).unwrap();
        let one = |dir: &Path| submissions(dir).pop().unwrap();
        let first = one(dir.path());
        assert_eq!(
            (first.stage.as_str(), first.job.as_deref(), first.node, first.ended),
            ("s", Some("15"), None, None)
        );
        let running = Running { attempt: "a".into(), node: "n1".into(), job: Some("15".into()), note: None };
        papers.write_running(&running).unwrap();
        let event = |done| {
            let unit = "images".to_owned();
            serde_json::to_string(&Event::Progress { done, total: 9, unit, values: vec![] }).unwrap()
        };
        std::fs::write(papers.events("a"), format!("{}\n{}\nhalf a li", event(1), event(4))).unwrap();
        let second = one(dir.path());
        assert_eq!((second.node.as_deref(), second.progress), (Some("n1"), Some((4, 9, "images".into()))));
        let end = End::Ended { how: How::Status(0), out_of_memory: None, timed_out: false };
        let elsewhere = Elsewhere { machine: "n1".into(), seconds: 1.0, earlier: 0.0 };
        papers.write_outcome(&Outcome { attempt: "a".into(), end, elsewhere }).unwrap();
        assert!(one(dir.path()).ended.unwrap().contains("has ended well"));
        papers.close().unwrap();
        assert!(submissions(dir.path()).is_empty());
    }
}
