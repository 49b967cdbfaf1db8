//! Performs a job on a node of a batch system: what [`super`] submits calls this program there.
//!
//! Knows the files of a job, and this machine as the place where it runs, so that a job on a node is a job like any other: a
//! process group under a supervisor, with its log, its events and its time limit. Knows no batch system but for the names of
//! the variables that say which job it is. The result is left as files; the runner may be anywhere, or nowhere.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::attempt::{Attempt, SUPERSEDED};
use super::super::control::Control;
use super::super::executor::{Belongings, Ended, Executor, Report, Start, Work};
use super::super::job::{self, Job};
use super::super::local::{Local, surroundings};
use super::super::{Elsewhere, Failure, Visible, run_info};
use super::papers::{End, Order, Outcome, Papers, Running};
use super::scratch::{Copies, Scratch};
use crate::digest::Digest;

/// The first argument of this program on a node; the job's folder follows.
pub(super) const PERFORM: &str = "--perform-job";

/// The exit status of an attempt that was asked to end and has saved.
const INTERRUPTED: u8 = 75;
/// How often signals are looked for.
const MOMENT: Duration = Duration::from_millis(50);
/// How often an attempt checks whether another one has replaced it.
const CHECK: Duration = Duration::from_secs(2);
/// How long after the end of a command a signal may still come that has ended it. A batch system signals the processes of a job one
/// after another: a shell whose program is ended may go on to its next line, and end well, before this program hears of it.
const SETTLE: Duration = Duration::from_secs(1);
/// How long a job may take to save and stop at its time limit before it is killed.
const GRACE: Duration = Duration::from_secs(60);

/// If this process was started on a node to perform a job, performs it. `main` must call this early.
pub fn answer_batch_system() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != PERFORM) {
        return None;
    }
    let papers = Papers(PathBuf::from(arguments.next()?));
    Some(match perform(&papers) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // The batch system keeps it in a file that the runner shows.
            let _ = writeln!(io::stderr(), "intrada-run: failed to perform the job in {}: {error}", papers.0.display());
            ExitCode::FAILURE
        }
    })
}

/// Performs the job and returns the exit status: the batch system's own tools show it.
fn perform(papers: &Papers) -> io::Result<u8> {
    let order = papers.order()?.ok_or_else(|| io::Error::other("there is no order.json"))?;
    if papers.outcome()?.is_some_and(|outcome| outcome.is_final()) {
        // Started twice, and the other one was quicker.
        return Ok(0);
    }
    let signals = Signals::listen()?;
    let slot = slot(&order.work);
    fs::create_dir_all(&slot)?;
    let attempt = Attempt::take(&slot.with_extension("attempt"), &token())?;
    papers.write_running(&running(&attempt, None))?;
    papers.drop_outcome()?;
    let began = Began { at: Instant::now(), earlier: job::kept(&slot).map_or(0.0, |kept| kept.seconds) };
    let control = Control::default();
    let result = carry_out(papers, &order, &attempt, &control, &signals);
    if !attempt.is_current() {
        let _ = fs::remove_dir_all(papers.out_of(&attempt.token));
        return Ok(SUPERSEDED);
    }
    let is_command = matches!(order.work, Work::Command(_));
    if is_command && result.is_ok() {
        signals.settle(SETTLE);
    }
    let end = end(result, is_command, &control, &signals);
    let status = status(&end);
    if status != 0 {
        let _ = fs::remove_dir_all(papers.out_of(&attempt.token));
    }
    papers.write_outcome(&Outcome { attempt: attempt.token, end, elsewhere: began.elsewhere() })?;
    Ok(status)
}

fn running(attempt: &Attempt, note: Option<String>) -> Running {
    Running { attempt: attempt.token.clone(), node: node(), job: number(), note }
}

/// When an attempt began, and what had been done before.
struct Began {
    at: Instant,
    earlier: f64,
}

impl Began {
    fn elsewhere(&self) -> Elsewhere {
        let machine = format!("{}, {}", node(), run_info::machine());
        Elsewhere { machine, seconds: self.at.elapsed().as_secs_f64(), earlier: self.earlier }
    }
}

/// Starts the job here and waits for its end.
fn carry_out(
    papers: &Papers,
    order: &Order,
    attempt: &Attempt,
    control: &Control,
    signals: &Signals,
) -> Result<Ended, Failure> {
    if let Some(other) = other_version(order) {
        return Err(other);
    }
    let unwritten = |error: io::Error| Failure::new(format!("failed to write into {}: {error}", papers.0.display()));
    let out = papers.out_of(&attempt.token);
    fs::create_dir_all(&out).map_err(unwritten)?;
    let desk = tempfile::Builder::new().prefix("node.").tempdir_in(&papers.0).map_err(unwritten)?;
    let mut events =
        File::options().create(true).append(true).open(papers.events(&attempt.token)).map_err(unwritten)?;
    let mut work = match &order.work {
        Work::Worker(job, gpus) => {
            let job = Job { staging: out, attempt: Some(attempt.clone()), ..Job::clone(job) };
            Work::Worker(Box::new(job), gpus.clone())
        }
        Work::Command(program) => Work::Command(program.clone()),
    };
    let name = order.belongs_to.clone().into_os_string();
    let belongings = Belongings { name, workspace: None, leases: Arc::default() };
    let mut is_silent = true;
    let run = || {
        // Until the job ends, no other job deletes its copies.
        let brought = bring(papers, order, attempt, &mut work, control);
        if control.is_stopping() {
            return Err(Failure::Cancelled { at: None });
        }
        let start = Start {
            work: &work,
            request: &order.request,
            name: &order.name,
            folder: desk.path(),
            log: &order.log,
            belongings: &belongings,
        };
        let mut execution = Local.start(&start)?;
        let handle = execution.handle();
        control.attach(Arc::clone(&handle));
        while let Some(report) = execution.next_report() {
            if let Report::Event(event) = report {
                let event = match &brought {
                    Some((_, copies)) => copies.name_originals(event),
                    None => event,
                };
                let line = serde_json::to_string(&event).expect("an event is plain data");
                writeln!(events, "{line}").map_err(unwritten)?;
                is_silent = false;
            }
        }
        let ended = execution.wait();
        control.detach(&handle);
        let ended = ended?;
        // Perhaps the loader has ended it: only here can that be found out.
        match &work {
            Work::Worker(..) if is_silent && !ended.how.is_success() && !control.is_stopping() => {
                Local.describe(&Visible::All).map(|_| ended)
            }
            _ => Ok(ended),
        }
    };
    signals.while_listening(control, attempt, || control.within(order.request.timeout, GRACE, run))
}

/// Has the job read copies of its inputs on this node, if its executor has a place for them.
fn bring(
    papers: &Papers,
    order: &Order,
    attempt: &Attempt,
    work: &mut Work,
    control: &Control,
) -> Option<(Scratch, Copies)> {
    let (Some(place), Work::Worker(job, _)) = (&order.scratch, work) else { return None };
    let brought = Scratch::open(place).map(|scratch| {
        let copies = scratch.bring(job, || control.is_stopping());
        (scratch, copies)
    });
    let words = match &brought {
        Ok((_, copies)) => copies.words(),
        Err(why) => format!("not used, inputs are read on the shared file system: {why}"),
    };
    // Neither is worth a failure.
    if brought.is_err() {
        let _ = papers.write_running(&running(attempt, Some(format!("scratch: {words}"))));
    }
    let log = File::options().create(true).append(true).open(&order.log);
    let _ = log.and_then(|mut log| writeln!(log, "{}", surroundings::scratch_note(&words)));
    brought.ok()
}

/// A program of another version would leave other bytes under this key.
fn other_version(order: &Order) -> Option<Failure> {
    let own = version();
    (order.version != own).then(|| {
        Failure::new(format!("intrada-run on the node is {own}, the one that submitted the job is {}", order.version))
            .with_help("install the same version on the nodes, or name its path: `program` of the executor")
    })
}

/// The version of this program, as far as results are concerned.
pub(super) fn version() -> String {
    format!("{} (jobs of format {})", env!("CARGO_PKG_VERSION"), job::FORMAT)
}

fn end(result: Result<Ended, Failure>, is_command: bool, control: &Control, signals: &Signals) -> End {
    match result {
        // A worker has said whether it is done; of a command that was signalled nobody knows.
        Ok(Ended { how, .. }) if signals.first().is_some() && (is_command || !how.is_success()) => {
            End::Interrupted { how, is_warning: signals.first() == Some(Signal::Warning) }
        }
        Ok(Ended { how, out_of_memory, .. }) => End::Ended { how, out_of_memory, timed_out: control.has_expired() },
        Err(Failure::Failed { message, help }) => End::NotStarted { message, help },
        Err(Failure::Cancelled { .. } | Failure::Left(_)) => End::Interrupted {
            how: super::super::executor::How::Other("not started".to_owned()),
            is_warning: signals.first() == Some(Signal::Warning),
        },
    }
}

fn status(end: &End) -> u8 {
    match end {
        End::Ended { how, .. } if how.is_success() => 0,
        End::Interrupted { .. } => INTERRUPTED,
        End::Ended { .. } | End::NotStarted { .. } => 1,
    }
}

fn slot(work: &Work) -> PathBuf {
    match work {
        Work::Worker(job, _) => job.slot.clone(),
        Work::Command(program) => program.slot.clone(),
    }
}

/// No other attempt has it.
fn token() -> String {
    let now = format!("{:?} {} {}", std::time::SystemTime::now(), std::process::id(), node());
    let unique = &Digest::of(now.as_bytes()).to_string()[..12];
    let restarts = variable("SLURM_RESTART_COUNT").unwrap_or_else(|| "0".to_owned());
    let number = number().unwrap_or_else(|| "job".to_owned());
    let plain: String = number.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect();
    format!("{plain}.{restarts}.{unique}")
}

/// The number of the job in the batch system, as the runner writes it.
fn number() -> Option<String> {
    match (variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID")) {
        (Some(job), Some(task)) => Some(format!("{job}_{task}")),
        _ => variable("SLURM_JOB_ID"),
    }
}

fn node() -> String {
    variable("SLURMD_NODENAME").unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    /// The time limit is near.
    Warning,
    /// End now: a cancellation, a preemption, the time limit itself.
    End,
}

/// The signals by which a batch system asks a job to end.
struct Signals {
    warned: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    first: Mutex<Option<Signal>>,
}

impl Signals {
    fn listen() -> io::Result<Signals> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
        let (warned, ended) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        for signal in [SIGUSR1, SIGUSR2] {
            signal_hook::flag::register(signal, Arc::clone(&warned))?;
        }
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&ended))?;
        }
        Ok(Signals { warned, ended, first: Mutex::new(None) })
    }

    /// The first signal that has come.
    fn first(&self) -> Option<Signal> {
        let first = *self.first.lock().expect("no code panics while it holds this lock");
        first.or_else(|| self.come())
    }

    /// A signal that has come, the stronger one of both.
    fn come(&self) -> Option<Signal> {
        if self.ended.load(Ordering::Relaxed) {
            Some(Signal::End)
        } else if self.warned.load(Ordering::Relaxed) {
            Some(Signal::Warning)
        } else {
            None
        }
    }

    /// Waits for a signal, at most so long.
    fn settle(&self, longest: Duration) {
        let until = Instant::now() + longest;
        while self.first().is_none() && Instant::now() < until {
            std::thread::sleep(MOMENT);
        }
    }

    /// Does `work`; meanwhile a signal asks the job to save and end, and an attempt that was replaced is killed.
    fn while_listening<T>(&self, control: &Control, attempt: &Attempt, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let (done, wait) = mpsc::channel::<()>();
            scope.spawn(move || {
                let mut checked = Instant::now();
                while wait.recv_timeout(MOMENT) == Err(RecvTimeoutError::Timeout) {
                    self.pass_on(control);
                    if checked.elapsed() >= CHECK {
                        checked = Instant::now();
                        if !attempt.is_current() {
                            control.kill();
                        }
                    }
                }
            });
            let result = work();
            drop(done);
            result
        })
    }

    fn pass_on(&self, control: &Control) {
        let Some(signal) = self.come() else { return };
        let mut first = self.first.lock().expect("no code panics while it holds this lock");
        if first.is_none() {
            *first = Some(signal);
            control.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signals(warned: bool, ended: bool) -> Signals {
        let [warned, ended] = [warned, ended].map(|flag| Arc::new(AtomicBool::new(flag)));
        Signals { warned, ended, first: Mutex::new(None) }
    }

    fn end_of(status: i32, is_command: bool, signals: &Signals) -> End {
        let ended = Ended::here(super::super::super::executor::How::Status(status), None);
        end(Ok(ended), is_command, &Control::default(), signals)
    }

    #[test]
    fn a_command_that_was_signalled_is_no_success_and_a_worker_that_is_done_is_one() {
        for signals in [signals(true, false), signals(false, true)] {
            assert!(matches!(end_of(0, true, &signals), End::Interrupted { .. }));
            assert!(matches!(end_of(1, true, &signals), End::Interrupted { .. }));
            assert!(matches!(end_of(0, false, &signals), End::Ended { .. }));
            assert!(matches!(end_of(75, false, &signals), End::Interrupted { .. }));
        }
        assert!(matches!(end_of(0, true, &signals(false, false)), End::Ended { .. }));
    }

    #[test]
    fn a_signal_that_comes_after_the_process_has_ended_is_waited_for() {
        let signals = signals(false, false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(MOMENT);
                signals.ended.store(true, Ordering::Relaxed);
            });
            signals.settle(Duration::from_secs(600));
        });
        assert!(matches!(end_of(0, true, &signals), End::Interrupted { .. }));
    }
}
