//! An executor for tests: it plays a script in the place of a program, so that a job takes no process and no time.
//!
//! Whatever a script does happens in the order of its steps, in the thread that waits for the job. A step that waits for a
//! request waits for as long as that takes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use super::executor::{Belongings, Ended, Execution, Executor, Handle, How, Report, Start, Work};
use super::job::{Description, Event};
use super::{Failure, Visible};
use crate::kind::instruction_set::InstructionSet;

/// Plays one script a job, in order.
#[derive(Default)]
pub(crate) struct Scripted {
    scripts: Mutex<VecDeque<Script>>,
    started: Mutex<Vec<Started>>,
    is_batch: bool,
}

/// What a job was started with.
#[derive(Clone)]
pub(crate) struct Started {
    /// The job's own.
    pub(crate) name: String,
    /// The lock file of its key.
    pub(crate) lock: PathBuf,
    /// The device and inode of each file that it holds open.
    pub(crate) leases: Vec<(u64, u64)>,
    pub(crate) work: Work,
}

/// What a job does, and how it ends.
pub(crate) struct Script {
    steps: VecDeque<Step>,
    ended: Ended,
    /// Whether it goes on when it has played these.
    is_left: bool,
}

enum Step {
    Say(Event),
    /// A path below the folder that the job writes to, and what it writes there.
    Write(&'static str, &'static str),
    Do(Box<dyn FnOnce() + Send>),
    UntilStopped,
    UntilKilled,
}

impl Script {
    /// One that ends so, at once.
    pub(crate) fn ending(how: How) -> Script {
        Script { steps: VecDeque::new(), ended: Ended::here(how, None), is_left: false }
    }

    /// Goes on without this program.
    pub(crate) fn left(mut self) -> Script {
        self.is_left = true;
        self
    }

    pub(crate) fn out_of_memory(mut self, known: Option<bool>) -> Script {
        self.ended.out_of_memory = known;
        self
    }

    pub(crate) fn says(self, event: Event) -> Script {
        self.then(Step::Say(event))
    }

    pub(crate) fn writes(self, path: &'static str, text: &'static str) -> Script {
        self.then(Step::Write(path, text))
    }

    pub(crate) fn does(self, action: impl FnOnce() + Send + 'static) -> Script {
        self.then(Step::Do(Box::new(action)))
    }

    /// Waits until it is asked to stop, or killed.
    pub(crate) fn until_stopped(self) -> Script {
        self.then(Step::UntilStopped)
    }

    /// Waits until it is killed, whatever else it is asked.
    pub(crate) fn until_killed(self) -> Script {
        self.then(Step::UntilKilled)
    }

    fn then(mut self, step: Step) -> Script {
        self.steps.push_back(step);
        self
    }
}

impl Scripted {
    pub(crate) fn playing(scripts: impl IntoIterator<Item = Script>) -> Scripted {
        Scripted { scripts: Mutex::new(scripts.into_iter().collect()), ..Scripted::default() }
    }

    /// The same, as a batch system.
    pub(crate) fn in_batches(self) -> Scripted {
        Scripted { is_batch: true, ..self }
    }

    pub(crate) fn started(&self) -> Vec<Started> {
        self.started.lock().unwrap().clone()
    }
}

impl Executor for Scripted {
    fn start(&self, start: &Start<'_>) -> Result<Box<dyn Execution>, Failure> {
        let Belongings { name, leases, .. } = start.belongings;
        let inode = |lease| rustix::fs::fstat(lease).map(|stat| (stat.st_dev, stat.st_ino)).unwrap();
        let leases = leases.iter().map(inode).collect();
        let started = Started { name: start.name.to_owned(), lock: name.into(), leases, work: start.work.clone() };
        self.started.lock().unwrap().push(started);
        let script = self.scripts.lock().unwrap().pop_front();
        let script = script.ok_or_else(|| Failure::new("there is no script for another job"))?;
        let folder = match start.work {
            Work::Worker(job, _) => job.staging.clone(),
            Work::Command(program) => program.folder.clone(),
        };
        Ok(Box::new(Playing { script, folder, requests: Arc::default() }))
    }

    fn describe(&self, _: &Visible) -> Result<Description, Failure> {
        Err(Failure::new("the worker lacks a library"))
    }

    fn has_gpu(&self) -> bool {
        false
    }

    fn refusal(&self, _: &InstructionSet) -> Option<Failure> {
        None
    }

    fn is_batch(&self) -> bool {
        self.is_batch
    }
}

struct Playing {
    script: Script,
    folder: PathBuf,
    requests: Arc<Requests>,
}

/// What a job was told: whether to stop, whether it was killed.
#[derive(Default)]
struct Requests {
    told: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Requests {
    fn tell(&self, change: fn(&mut (bool, bool))) {
        change(&mut self.told.lock().unwrap());
        self.changed.notify_all();
    }

    fn wait_for(&self, is_there: fn(&(bool, bool)) -> bool) {
        let told = self.told.lock().unwrap();
        drop(self.changed.wait_while(told, |told| !is_there(told)).unwrap());
    }
}

impl Handle for Requests {
    fn stop(&self) {
        self.tell(|told| told.0 = true);
    }

    fn kill(&self) {
        self.tell(|told| told.1 = true);
    }
}

impl Execution for Playing {
    fn handle(&self) -> Arc<dyn Handle> {
        Arc::clone(&self.requests) as Arc<dyn Handle>
    }

    fn next_report(&mut self) -> Option<Report> {
        while let Some(step) = self.script.steps.pop_front() {
            match step {
                Step::Say(event) => return Some(Report::Event(event)),
                Step::Write(path, text) => {
                    std::fs::create_dir_all(&self.folder).unwrap();
                    std::fs::write(self.folder.join(path), text).unwrap();
                }
                Step::Do(action) => action(),
                Step::UntilStopped => self.requests.wait_for(|(stopped, killed)| *stopped || *killed),
                Step::UntilKilled => self.requests.wait_for(|(_, killed)| *killed),
            }
        }
        None
    }

    fn wait(&mut self) -> Result<Ended, Failure> {
        if self.script.is_left { Err(Failure::Left("it runs".to_owned())) } else { Ok(self.script.ended.clone()) }
    }
}
