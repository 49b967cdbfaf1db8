//! Submits jobs, many with one call: those that are ready at the same moment and need the same become tasks of an array.
//!
//! Knows the files of a job and the interface of a batch system. Before anything is submitted, each job's folder says under
//! which name: if this program ends, or no answer comes, the job is found by that name instead of being submitted twice.
//! Whoever comes first submits for all that come meanwhile.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::super::Failure;
use super::super::command::{MINIMAL, SURROUNDINGS};
use super::super::executor::Request;
use super::node::PERFORM;
use super::papers::{Papers, Submitted};
use super::queue::{NotSubmitted, Queue, Submission};
use super::wishes::Wishes;
use crate::digest::Digest;
use crate::measures::now;
use crate::shell;

/// What the names of the folders of arrays begin with.
pub(super) const ARRAY: &str = "array.";
/// The file with the folders of an array's jobs.
const LIST: &str = "jobs";
/// The longest wait between two attempts to reach a batch system that is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A job that was submitted may take this many questions to appear.
const QUESTIONS: u32 = 3;

/// Submits for one executor.
pub(super) struct Submitter {
    pub(super) queue: Arc<dyn Queue>,
    /// The executor's name.
    pub(super) executor: String,
    /// This program on the nodes.
    pub(super) program: PathBuf,
    /// Where the folders of jobs are.
    pub(super) folders: PathBuf,
    /// How long to wait for more jobs before submitting.
    pub(super) pause: Duration,
    pub(super) pending: Mutex<Pending>,
}

#[derive(Default)]
pub(super) struct Pending {
    waiting: Vec<Asked>,
    /// Whether somebody submits for all.
    has_leader: bool,
}

/// A job that is to be submitted.
struct Asked {
    ask: Ask,
    wishes: Arc<Wishes>,
    answer: Sender<Result<Submitted, Failure>>,
}

/// What a job is submitted with.
pub(super) struct Ask {
    pub(super) papers: Papers,
    pub(super) request: Request,
    /// What its resume slot holds.
    pub(super) kept: Option<u64>,
    /// How often it was submitted again after failures of the infrastructure.
    pub(super) again: u32,
}

impl Submitter {
    /// Submits a job and waits until it has a number. `tell`: that the batch system is away, once.
    ///
    /// # Errors
    /// It was refused, or a wish to stop came first.
    pub(super) fn submit(
        &self,
        ask: Ask,
        wishes: &Arc<Wishes>,
        tell: &mut dyn FnMut(String),
    ) -> Result<Submitted, Failure> {
        let (answer, answers) = mpsc::channel();
        let leads = {
            let mut pending = self.lock();
            pending.waiting.push(Asked { ask, wishes: Arc::clone(wishes), answer });
            !std::mem::replace(&mut pending.has_leader, true)
        };
        if leads {
            self.lead(tell);
        }
        answers.recv().expect("the leader answers everybody")
    }

    fn lead(&self, tell: &mut dyn FnMut(String)) {
        loop {
            std::thread::sleep(self.pause);
            let group = {
                let mut pending = self.lock();
                let group = take_group(&mut pending.waiting, self.queue.most_tasks());
                pending.has_leader = !group.is_empty();
                group
            };
            if group.is_empty() {
                return;
            }
            self.submit_group(group, tell);
        }
    }

    fn submit_group(&self, group: Vec<Asked>, tell: &mut dyn FnMut(String)) {
        let (stopped, group): (Vec<_>, Vec<_>) = group.into_iter().partition(|asked| asked.wishes.is_stopping());
        for asked in stopped {
            let _ = asked.answer.send(Err(Failure::Cancelled { at: asked.ask.kept }));
        }
        if group.is_empty() {
            return;
        }
        let result = self.submitted(&group, tell);
        for (task, asked) in group.iter().enumerate() {
            let answer = result.clone().and_then(|(label, job)| {
                let task = (group.len() > 1).then_some(task);
                let submitted = self.record(&asked.ask, &label, task, Some(&job));
                asked.ask.papers.write_submitted(&submitted).map_err(|error| unwritten(&asked.ask.papers, &error))?;
                Ok(submitted)
            });
            let _ = asked.answer.send(answer);
        }
    }

    /// Submits a group as one. Returns its label and its number.
    fn submitted(&self, group: &[Asked], tell: &mut dyn FnMut(String)) -> Result<(String, String), Failure> {
        let mut pause = self.pause.max(Duration::from_millis(100));
        let mut is_told = false;
        loop {
            let label = label(&group[0].ask.request.stage);
            let submission = self.prepare(group, &label)?;
            let why = match self.queue.submit(&submission.as_asked(&group[0].ask.request, &label, group.len())) {
                Ok(job) => return Ok((label, job)),
                Err(NotSubmitted::Refused(why)) => return Err(self.refused(&why)),
                Err(NotSubmitted::NoClient(why)) => return Err(self.without_client(&why)),
                Err(NotSubmitted::Unsure(why)) => why,
            };
            if self.queue.tells_labels() && !std::mem::replace(&mut is_told, true) {
                tell(format!("`{}` can't be reached and is tried again: {why}", self.executor));
            }
            if let Some(job) = self.look_for(&label, group, pause).map_err(|_| self.doubtful(&why))? {
                return Ok((label, job));
            }
            if group.iter().all(|asked| asked.wishes.is_stopping()) {
                return Err(Failure::Cancelled { at: None });
            }
            rest(pause, group);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// The job of this label, of which it isn't known whether it was submitted. `None`: the system has said several times that
    /// there is none, or all wish to stop.
    ///
    /// # Errors
    /// This system can't tell.
    fn look_for(&self, label: &str, group: &[Asked], pause: Duration) -> Result<Option<String>, ()> {
        if !self.queue.tells_labels() {
            return Err(());
        }
        let mut pause = pause;
        let mut denials = 0;
        while denials < QUESTIONS {
            match self.queue.labelled(label) {
                Ok(Some(job)) => return Ok(Some(job)),
                Ok(None) => denials += 1,
                Err(_) if group.iter().all(|asked| asked.wishes.is_stopping()) => return Ok(None),
                Err(_) => pause = (2 * pause).min(LONGEST_PAUSE),
            }
            rest(pause, group);
        }
        Ok(None)
    }

    fn without_client(&self, why: &str) -> Failure {
        let help =
            format!("run this where the programs of `{}` are, as on a login node, or add them to PATH", self.executor);
        Failure::new(why).with_help(help)
    }

    fn refused(&self, why: &str) -> Failure {
        let help = format!("`[executors.{}]` and `resources` of the stage say what is asked for", self.executor);
        Failure::new(format!("`{}` refused the job: {why}", self.executor)).with_help(help)
    }

    fn doubtful(&self, why: &str) -> Failure {
        let help = "look into the queue: if the job is there, cancel it; then run again";
        Failure::new(format!("it isn't known whether `{}` has taken the job: {why}", self.executor)).with_help(help)
    }

    /// Writes what is needed on the nodes, and into each folder under which name it is submitted.
    fn prepare(&self, group: &[Asked], label: &str) -> Result<Prepared, Failure> {
        let first = &group[0].ask.papers;
        let prepared = match group {
            [_] => Prepared { script: first.script(), log: first.system_log(), list: None },
            _ => {
                let folder = self.folders.join(format!("{ARRAY}{label}"));
                fs::create_dir_all(&folder).map_err(|error| unwritten(&Papers(folder.clone()), &error))?;
                let papers = Papers(folder.clone());
                Prepared { script: papers.script(), log: folder.join("%a.log"), list: Some(folder.join(LIST)) }
            }
        };
        let failed = |error: io::Error| Failure::new(format!("failed to write {}: {error}", prepared.script.display()));
        if let Some(list) = &prepared.list {
            let folders = group.iter().map(|asked| format!("{}\n", asked.ask.papers.0.display()));
            fs::write(list, folders.collect::<String>()).map_err(failed)?;
        }
        let text = self.script(&group[0].ask, prepared.list.as_deref());
        write_script(&prepared.script, &text).map_err(failed)?;
        for (task, asked) in group.iter().enumerate() {
            let task = (group.len() > 1).then_some(task);
            let submitted = self.record(&asked.ask, label, task, None);
            asked.ask.papers.write_submitted(&submitted).map_err(|error| unwritten(&asked.ask.papers, &error))?;
        }
        Ok(prepared)
    }

    fn record(&self, ask: &Ask, label: &str, task: Option<usize>, job: Option<&str>) -> Submitted {
        let job = job.map(|job| task.map_or_else(|| job.to_owned(), |task| self.queue.task(job, task)));
        let at = now();
        let (executor, label) = (self.executor.clone(), label.to_owned());
        Submitted { executor, label, task, job, at, kept: ask.kept, again: ask.again }
    }

    /// The script that performs a job, or the job of its task in a list.
    fn script(&self, ask: &Ask, list: Option<&Path>) -> String {
        let word = |path: &Path| shell::word(&path.to_string_lossy()).into_owned();
        let mut text =
            String::from("#!/bin/sh\n# Written by intrada-run: performs the job of a stage on a node.\numask 077\n");
        text += &exports();
        let folder = match list {
            None => word(&ask.papers.0),
            Some(list) => {
                text += &format!("folder=$(sed -n \"$((SLURM_ARRAY_TASK_ID + 1))p\" {})\n", word(list));
                "\"$folder\"".to_owned()
            }
        };
        text += &format!("{}{} {PERFORM} {folder}\n", self.queue.starter(&ask.request), word(&self.program));
        text
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().expect("no code panics while it holds this lock")
    }
}

impl Drop for Submitter {
    /// The folders of arrays whose jobs have all ended are of no use any more. What can't be removed stays.
    fn drop(&mut self) {
        let entries = fs::read_dir(&self.folders).into_iter().flatten().flatten();
        for folder in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(ARRAY)) {
            let folder = folder.path();
            let list = fs::read_to_string(folder.join(LIST)).unwrap_or_default();
            let is_over = |job: &str| {
                let submitted = Papers(PathBuf::from(job)).submitted();
                // One that can't be read may be open.
                submitted
                    .is_ok_and(|submitted| submitted.is_none_or(|s| !folder.ends_with(format!("{ARRAY}{}", s.label))))
            };
            if list.lines().all(is_over) {
                let _ = fs::remove_dir_all(folder);
            }
        }
    }
}

/// The files of one submission.
struct Prepared {
    script: PathBuf,
    log: PathBuf,
    list: Option<PathBuf>,
}

impl Prepared {
    fn as_asked<'a>(&'a self, request: &'a Request, label: &'a str, tasks: usize) -> Submission<'a> {
        Submission {
            script: &self.script,
            label,
            comment: "intrada-run",
            log: &self.log,
            request,
            tasks,
            is_step: true,
        }
    }
}

/// The lines of a script that set what jobs see of this program's environment.
pub(super) fn exports() -> String {
    let line = |(name, value): (&str, OsString)| format!("export {name}={}\n", shell::word(&value.to_string_lossy()));
    surroundings().into_iter().map(line).collect()
}

/// What jobs see of this program's environment, wherever they run. Variables of a node (`TMPDIR`, its GPUs) are its own.
fn surroundings() -> BTreeMap<&'static str, OsString> {
    let names = MINIMAL.iter().chain(&SURROUNDINGS).filter(|name| **name != "TMPDIR").chain(&["LD_LIBRARY_PATH"]);
    names.filter_map(|name| Some((*name, std::env::var_os(name)?))).collect()
}

/// Waits, unless all of the group wish to stop.
fn rest(pause: Duration, group: &[Asked]) {
    const MOMENT: Duration = Duration::from_millis(100);
    let until = Instant::now() + pause;
    while Instant::now() < until && !group.iter().all(|asked| asked.wishes.is_stopping()) {
        std::thread::sleep(MOMENT.min(until.saturating_duration_since(Instant::now())));
    }
}

/// Those that need the same as the first, at most so many.
fn take_group(waiting: &mut Vec<Asked>, most: usize) -> Vec<Asked> {
    let Some(first) = waiting.first() else { return Vec::new() };
    // The stage's name is for people; members of a sweep differ in it.
    let alike = |request: &Request| Request { stage: String::new(), ..request.clone() };
    let wanted = alike(&first.ask.request);
    let mut group = Vec::new();
    let mut rest = Vec::new();
    for asked in waiting.drain(..) {
        let fits = group.len() < most && alike(&asked.ask.request) == wanted;
        if fits { group.push(asked) } else { rest.push(asked) }
    }
    *waiting = rest;
    group
}

/// A name that no other submission has: `intrada-rank-3f29c1d8`.
pub(super) fn label(stage: &str) -> String {
    let stage: String = stage.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(40).collect();
    let unique = format!("{:?} {} {stage}", SystemTime::now(), std::process::id());
    format!("intrada-{stage}-{}", &Digest::of(unique.as_bytes()).to_string()[..8])
}

pub(super) fn write_script(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text)?;
    // It holds a person's environment.
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

fn unwritten(papers: &Papers, error: &io::Error) -> Failure {
    Failure::new(format!("failed to write into {}: {error}", papers.0.display()))
}

#[cfg(test)]
mod tests;
