//! A child process that can be stopped, killed with all it started, and that dies with the runner.
//!
//! Knows nothing of stages. Each child leads a process group of its own, so that a signal reaches its children too and a
//! Ctrl-C typed at the terminal reaches only the runner, which then asks the children to save and stop. A [`supervisor`]
//! stands between, and sees to it that nothing outlives the job; a program that uses this crate and can't be one (a test)
//! starts its jobs itself.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::{orphans, signals, supervisor};

/// How a running job is told to end, from another thread.
#[derive(Debug, Default)]
pub struct Control {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How a signal reaches the job, while it hasn't been waited for.
    reach: Option<Reach>,
    /// What all its processes have.
    belongings: Option<Belongings>,
    stopping: bool,
    /// It was told to end because it took too long, and by nobody else.
    expired: bool,
}

#[derive(Debug)]
enum Reach {
    /// The leader of its process group. Once it was waited for, the number may be somebody else's.
    Group(Pid),
    Supervisor(UnixStream),
}

#[derive(Debug)]
struct Belongings {
    name: OsString,
    workspace: Option<OsString>,
    leases: Arc<Vec<OwnedFd>>,
}

impl Control {
    /// Gives every process of the job these open leases, so that they are held until the last one has ended, and variables with
    /// the job's name and its workspace, by which they are known.
    pub fn give(&self, name: OsString, workspace: Option<OsString>, leases: Vec<OwnedFd>) {
        self.lock().belongings = Some(Belongings { name, workspace, leases: Arc::new(leases) });
    }

    /// Asks the job to save what it has and end. A job that hasn't started yet won't.
    pub fn stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the job and all that it started, at once.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Whether it was told to end, by whomever.
    pub fn is_stopping(&self) -> bool {
        let state = self.lock();
        state.stopping || state.expired
    }

    /// Whether [`Control::stop`] or [`Control::kill`] was called.
    pub fn is_told_to_stop(&self) -> bool {
        self.lock().stopping
    }

    /// Whether it was told to end by [`Control::within`] alone.
    pub fn has_expired(&self) -> bool {
        let state = self.lock();
        state.expired && !state.stopping
    }

    /// Does `work`, in which the job is started and waited for. If that takes longer than `limit` the job is asked to save and
    /// end; after `grace` more it is killed. The limit is counted anew each time.
    pub fn within<T>(&self, limit: Option<Duration>, grace: Duration, work: impl FnOnce() -> T) -> T {
        self.lock().expired = false;
        let Some(limit) = limit else { return work() };
        std::thread::scope(|scope| {
            let (done, wait) = mpsc::channel::<()>();
            scope.spawn(move || {
                for (patience, signal) in [(limit, Signal::TERM), (grace, Signal::KILL)] {
                    if wait.recv_timeout(patience) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                    let mut state = self.lock();
                    state.expired = true;
                    state.pass_on(signal);
                }
            });
            let result = work();
            drop(done);
            result
        })
    }

    fn signal(&self, signal: Signal) {
        let mut state = self.lock();
        state.stopping = true;
        state.pass_on(signal);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds this lock")
    }
}

impl State {
    fn pass_on(&self, signal: Signal) {
        match &self.reach {
            // The group may be gone by itself: then there is nothing to end.
            Some(Reach::Group(group)) => drop(kill_process_group(*group, signal)),
            Some(Reach::Supervisor(line)) if signal == Signal::KILL => supervisor::let_go(line),
            Some(Reach::Supervisor(line)) => supervisor::ask(line),
            None => {}
        }
    }
}

/// A program that is about to be a job.
pub struct Prepared {
    command: Command,
    is_supervised: bool,
}

impl Prepared {
    /// Without arguments yet.
    pub fn new(program: impl AsRef<OsStr>) -> Prepared {
        match supervisor::command_for(program.as_ref()) {
            Some(command) => Prepared { command, is_supervised: true },
            None => Prepared { command: Command::new(program), is_supervised: false },
        }
    }

    /// To add arguments and surroundings to. Its standard input is empty.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }
}

/// A job that was started.
pub struct Running {
    child: Child,
    line: Option<UnixStream>,
}

impl Running {
    /// What it writes, if that was asked for.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }
}

/// Starts a program under `control`. `None`: it was told to stop before it started.
///
/// Call [`wait`] from the same thread: on Linux a child without a supervisor is killed when the thread that started it ends.
///
/// # Errors
/// Whatever starting the program answers.
pub fn start(prepared: &mut Prepared, control: &Control) -> io::Result<Option<Running>> {
    use std::os::unix::process::CommandExt;
    let Prepared { command, is_supervised } = prepared;
    let mut state = control.lock();
    if state.stopping || state.expired {
        return Ok(None);
    }
    command.process_group(0);
    if let Some(Belongings { name, workspace, leases }) = &state.belongings {
        command.env(orphans::JOB, name);
        if let Some(workspace) = workspace {
            command.env(orphans::WORKSPACE, workspace);
        }
        keep_open(command, Arc::clone(leases));
    }
    let (running, reach) = if *is_supervised {
        let (child, line) = supervisor::start(command)?;
        let reach = Reach::Supervisor(line.try_clone()?);
        (Running { child, line: Some(line) }, reach)
    } else {
        signals::die_with_parent(command);
        let child = command.stdin(std::process::Stdio::null()).spawn()?;
        let reach = Reach::Group(pid_of(&child));
        (Running { child, line: None }, reach)
    };
    state.reach = Some(reach);
    Ok(Some(running))
}

/// Waits for the job, then ends whatever is left of what it started.
///
/// # Errors
/// Whatever waiting answers.
pub fn wait(running: &mut Running, control: &Control) -> io::Result<ExitStatus> {
    let Running { child, line } = running;
    match line {
        Some(line) => {
            let told = supervisor::hear_end(line);
            control.lock().reach = None;
            let own = child.wait()?;
            match told {
                Some(status) => Ok(status),
                None => without_supervisor(own, control),
            }
        }
        None => wait_directly(child, control),
    }
}

/// The supervisor was killed. The job went with it; what that had started didn't.
fn without_supervisor(own: ExitStatus, control: &Control) -> io::Result<ExitStatus> {
    let name = control.lock().belongings.as_ref().map(|belongings| belongings.name.clone());
    if let Some(name) = name {
        orphans::end_of(&name);
    }
    match own.success() {
        true => Err(io::Error::other("its supervisor ended before it")),
        false => Ok(own),
    }
}

fn wait_directly(child: &mut Child, control: &Control) -> io::Result<ExitStatus> {
    // Not reaped yet, so that its number can't be given to another process between the wait and the clean-up.
    let pid = pid_of(child);
    loop {
        let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        match rustix::process::waitid(rustix::process::WaitId::Pid(pid), options) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    let mut state = control.lock();
    let _ = kill_process_group(pid, Signal::KILL);
    state.reach = None;
    child.wait()
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32).expect("a process number is positive")
}

/// Has the child, and what it starts in turn, inherit these descriptors.
fn keep_open(command: &mut Command, descriptors: Arc<Vec<OwnedFd>>) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec one system call a descriptor is made; it is safe after a fork and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            let keep = |descriptor| rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty());
            descriptors.iter().try_for_each(keep).map_err(io::Error::from)
        });
    }
}

/// How a process ended, in words: `exit status 2`, `killed by signal 9 (SIGKILL)`.
pub fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}{}", signal_name(signal)),
        (None, None) => format!("ended in a way that the system calls {status}"),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (illegal instruction)",
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic)",
        9 => " (SIGKILL)",
        11 => " (segmentation fault)",
        15 => " (SIGTERM)",
        25 => " (SIGXFSZ: a file grew beyond what `ulimit -f` allows)",
        _ => "",
    }
}

/// How many processes the kernel has ended since it started because memory ran out, where it tells: a number that grows while
/// a child runs says why that child was killed by signal 9.
pub fn out_of_memory_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Prepared {
        let mut prepared = Prepared::new("/bin/sh");
        prepared.command().args(["-c", script]);
        prepared
    }

    #[test]
    fn a_job_that_was_stopped_before_it_started_never_starts() {
        let control = Control::default();
        control.stop();
        assert!(start(&mut shell("true"), &control).unwrap().is_none());
    }

    #[test]
    fn kill_ends_the_grandchildren_too() {
        let dir = tempfile::tempdir().unwrap();
        let pids = dir.path().join("pids");
        let control = Control::default();
        let script =
            format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; trap '' TERM; wait; wait", pids.display());
        let mut child = start(&mut shell(&script), &control).unwrap().unwrap();
        let grandchild = loop {
            match std::fs::read_to_string(&pids) {
                Ok(text) => break Pid::from_raw(text.trim().parse().unwrap()).unwrap(),
                Err(_) => std::thread::yield_now(),
            }
        };
        control.kill();
        let status = wait(&mut child, &control).unwrap();
        assert!(describe(status).contains("signal 9"), "{}", describe(status));
        // It is a zombie or gone as soon as init has looked; signal 0 on a zombie succeeds, so ask for its state.
        let alive = || {
            std::fs::read_to_string(format!("/proc/{}/stat", grandchild.as_raw_nonzero()))
                .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
        };
        while alive() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_job_that_takes_too_long_is_asked_to_end_and_then_made_to() {
        let control = Control::default();
        let moment = Duration::from_millis(100);
        let perform = |script: &str, limit| {
            control.within(limit, moment, || {
                let mut child = start(&mut shell(script), &control).unwrap().unwrap();
                wait(&mut child, &control).unwrap()
            })
        };
        let status = perform("trap 'exit 5' TERM; while :; do sleep 0.01; done", Some(moment));
        assert_eq!((describe(status), control.has_expired()), ("ended with exit status 5".to_owned(), true));
        let status = perform("trap '' TERM; while :; do sleep 0.01; done", Some(moment));
        assert!(describe(status).contains("signal 9") && control.has_expired(), "{}", describe(status));
        let status = perform("exit 0", Some(Duration::from_secs(1000)));
        assert!(status.success() && !control.has_expired() && !control.is_stopping());
    }

    #[test]
    fn an_exit_status_is_said_in_words() {
        let control = Control::default();
        let mut child = start(&mut shell("exit 3"), &control).unwrap().unwrap();
        assert_eq!(describe(wait(&mut child, &control).unwrap()), "ended with exit status 3");
    }
}
