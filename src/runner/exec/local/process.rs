//! A child process that can be stopped, killed with all it started, and that dies with the runner.
//!
//! Knows nothing of stages. Each child leads its own process group, so that a signal reaches its children too, and Ctrl-C at
//! the terminal reaches only the runner, which then asks the children to save and stop. A [`supervisor`] in between ensures
//! that nothing outlives the job. A program that uses this crate and can't be a supervisor (a test) starts jobs directly.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::super::executor::{self, Belongings, How};
use super::supervisor::{self, Files, Home, Supervisor};
use super::{orphans, signals};

/// How a signal reaches a process, until it has been waited for.
#[derive(Debug)]
pub(super) struct Handle(Mutex<Option<Reach>>);

#[derive(Debug)]
enum Reach {
    /// The leader of its process group. After it was waited for, the number may belong to another process.
    Group(Pid),
    /// The connection to its supervisor, which may have another job after the process was waited for.
    Supervisor { line: Arc<UnixStream>, is_let_go: bool },
}

impl Handle {
    fn signal(&self, signal: Signal) {
        match &mut *self.lock() {
            // The group may have ended by itself.
            Some(Reach::Group(group)) => drop(kill_process_group(*group, signal)),
            Some(Reach::Supervisor { line, is_let_go }) if signal == Signal::KILL => {
                supervisor::let_go(line);
                *is_let_go = true;
            }
            Some(Reach::Supervisor { line, .. }) => supervisor::ask(line),
            None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Reach>> {
        self.0.lock().expect("no thread panics while it holds this lock")
    }
}

impl executor::Handle for Handle {
    fn stop(&self) {
        self.signal(Signal::TERM);
    }

    fn kill(&self) {
        self.signal(Signal::KILL);
    }
}

/// A program that is about to be a job. Its standard input is empty.
pub(super) struct Prepared {
    command: Command,
    is_bare: bool,
    stdout: Output,
    stderr: Output,
}

enum Output {
    /// Nowhere.
    None,
    To(File),
    Piped,
}

impl Prepared {
    /// Without arguments and output yet, and with the variables of this process.
    pub(super) fn new(program: impl AsRef<OsStr>) -> Prepared {
        Prepared { command: Command::new(program), is_bare: false, stdout: Output::None, stderr: Output::None }
    }

    /// Only with variables that are set from now on.
    pub(super) fn bare(program: impl AsRef<OsStr>) -> Prepared {
        let mut prepared = Prepared { is_bare: true, ..Prepared::new(program) };
        prepared.command.env_clear();
        prepared
    }

    /// For adding arguments, variables and its folder.
    pub(super) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Its standard output is read here: [`Process::take_stdout`].
    pub(super) fn pipe_stdout(&mut self) {
        self.stdout = Output::Piped;
    }

    /// Its standard output goes to this file.
    pub(super) fn stdout_to(&mut self, file: File) {
        self.stdout = Output::To(file);
    }

    /// Its standard error goes to this file.
    pub(super) fn stderr_to(&mut self, file: File) {
        self.stderr = Output::To(file);
    }
}

impl Output {
    /// What the process gets, and what is read here.
    fn open(self) -> io::Result<(OwnedFd, Option<PipeReader>)> {
        Ok(match self {
            Output::None => (File::options().write(true).open("/dev/null")?.into(), None),
            Output::To(file) => (file.into(), None),
            Output::Piped => {
                let (read, write) = io::pipe()?;
                (write.into(), Some(read))
            }
        })
    }
}

/// A process that was started.
pub(super) struct Process {
    /// None once it was waited for.
    started: Option<Started>,
    stdout: Option<PipeReader>,
    handle: Arc<Handle>,
    /// The job that it belongs to.
    job: Option<OsString>,
}

enum Started {
    Below(Supervisor),
    Directly(Child),
}

impl Process {
    /// Starts a program; with `belongings`, as a process of a job.
    ///
    /// The thread that calls this must outlive the process: on Linux a child without a supervisor is killed when the thread that
    /// started it ends.
    ///
    /// # Errors
    /// The program can't be started.
    pub(super) fn start(prepared: Prepared, belongings: Option<&Belongings>) -> io::Result<Process> {
        let Prepared { mut command, is_bare, stdout, stderr } = prepared;
        let mut home = Home::default();
        let mut kept = Arc::default();
        if let Some(Belongings { name, workspace, leases }) = belongings {
            command.env(orphans::JOB, name);
            if let Some(workspace) = workspace {
                command.env(orphans::WORKSPACE, workspace);
            }
            home = Home { job: Some(name.clone()), workspace: workspace.clone() };
            kept = Arc::clone(leases);
        }
        let (stdout, read) = stdout.open()?;
        let (stderr, _) = stderr.open()?;
        let (started, reach) = if supervisor::can_supervise() {
            let files = Files { stdout: stdout.as_fd(), stderr: stderr.as_fd(), kept: &kept };
            let supervisor = Supervisor::with(&supervisor::order(&command, is_bare)?, files, &home)?;
            let reach = Reach::Supervisor { line: supervisor.line(), is_let_go: false };
            (Started::Below(supervisor), reach)
        } else {
            supervisor::keep_open(&mut command, kept);
            signals::die_with_parent(&mut command);
            let child = command.process_group(0).stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn()?;
            let group = Reach::Group(pid_of(&child));
            (Started::Directly(child), group)
        };
        let job = belongings.map(|belongings| belongings.name.clone());
        let handle = Arc::new(Handle(Mutex::new(Some(reach))));
        Ok(Process { started: Some(started), stdout: read, handle, job })
    }

    /// For ending it from another thread.
    pub(super) fn handle(&self) -> Arc<Handle> {
        Arc::clone(&self.handle)
    }

    /// Its standard output, if that is piped.
    pub(super) fn take_stdout(&mut self) -> Option<PipeReader> {
        self.stdout.take()
    }

    /// Waits for it, then kills what is left of the processes that it started. To be called once.
    ///
    /// # Errors
    /// Waiting fails.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        let supervisor = match self.started.take() {
            Some(Started::Below(supervisor)) => supervisor,
            Some(Started::Directly(child)) => return self.wait_directly(child),
            None => return Err(io::Error::other("it was waited for already")),
        };
        let told = supervisor.hear_end();
        let reach = self.handle.lock().take();
        let is_let_go = matches!(reach, Some(Reach::Supervisor { is_let_go: true, .. }));
        match told {
            Some((status, true)) if !is_let_go => {
                supervisor.rest();
                Ok(status)
            }
            Some((status, _)) => {
                supervisor.dismiss();
                Ok(status)
            }
            None => self.without_supervisor(supervisor.dismiss()),
        }
    }

    /// The supervisor was killed. The job died with it, but the job's own children may live on.
    fn without_supervisor(&self, own: Option<ExitStatus>) -> io::Result<ExitStatus> {
        if let Some(job) = &self.job {
            orphans::end_of(job);
        }
        own.filter(|own| !own.success()).ok_or_else(|| io::Error::other("its supervisor ended before it"))
    }

    fn wait_directly(&self, mut child: Child) -> io::Result<ExitStatus> {
        // Not reaped yet, so that its number isn't reused between the wait and the clean-up.
        let pid = pid_of(&child);
        loop {
            let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
            match rustix::process::waitid(rustix::process::WaitId::Pid(pid), options) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => break,
            }
        }
        let mut reach = self.handle.lock();
        let _ = kill_process_group(pid, Signal::KILL);
        *reach = None;
        child.wait()
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32).expect("a process number is positive")
}

/// How a process ended.
pub(super) fn how(status: ExitStatus) -> How {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => How::Status(code),
        (None, Some(signal)) => How::Signal(signal),
        (None, None) => How::Other(status.to_string()),
    }
}

/// Whether memory ran out since this was made: that explains a child killed by signal 9.
#[derive(Debug)]
pub(super) struct OutOfMemory(Option<u64>);

/// How long a count serves: asking the kernel costs as much as starting a thread.
const RECENT: Duration = Duration::from_secs(1);

/// The last count, and when it was asked for.
static COUNTED: Mutex<Option<(Instant, Option<u64>)>> = Mutex::new(None);

impl OutOfMemory {
    /// From now on, or from up to a second ago.
    pub(super) fn from_now_on() -> OutOfMemory {
        let mut counted = COUNTED.lock().expect("no code panics while it holds this count");
        let recent = counted.filter(|(asked, _)| asked.elapsed() < RECENT);
        OutOfMemory(recent.unwrap_or_else(|| *counted.insert((Instant::now(), out_of_memory_kills()))).1)
    }

    /// `None`: the kernel doesn't tell.
    pub(super) fn ran_out(&self) -> Option<bool> {
        let now = out_of_memory_kills();
        // A kill must not be told of the next job, too.
        *COUNTED.lock().expect("no code panics while it holds this count") = Some((Instant::now(), now));
        Some(now? > self.0?)
    }
}

/// How many processes the kernel has killed since boot because memory ran out, if it reports that.
fn out_of_memory_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::control::Control;
    use crate::exec::executor::Handle as _;

    fn start(script: &str) -> Process {
        let mut prepared = Prepared::new("/bin/sh");
        prepared.command().args(["-c", script]);
        Process::start(prepared, None).unwrap()
    }

    fn end(process: &mut Process) -> How {
        how(process.wait().unwrap())
    }

    #[test]
    fn kill_ends_the_grandchildren_too() {
        let dir = tempfile::tempdir().unwrap();
        let pids = dir.path().join("pids");
        let script =
            format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; trap '' TERM; wait; wait", pids.display());
        let mut process = start(&script);
        let grandchild = loop {
            match std::fs::read_to_string(&pids) {
                Ok(text) => break Pid::from_raw(text.trim().parse().unwrap()).unwrap(),
                Err(_) => std::thread::yield_now(),
            }
        };
        process.handle().kill();
        assert_eq!(end(&mut process), How::Signal(9));
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
    fn a_process_that_takes_too_long_is_asked_to_end_and_then_made_to() {
        let control = Control::default();
        let moment = Duration::from_millis(100);
        let perform = |script: &str, limit| {
            control.within(limit, moment, || {
                let mut process = start(script);
                control.attach(process.handle());
                end(&mut process)
            })
        };
        let how = perform("trap 'exit 5' TERM; while :; do sleep 0.01; done", Some(moment));
        assert_eq!((how, control.has_expired()), (How::Status(5), true));
        let how = perform("trap '' TERM; while :; do sleep 0.01; done", Some(moment));
        assert_eq!((how, control.has_expired()), (How::Signal(9), true));
        let how = perform("exit 0", Some(Duration::from_secs(1000)));
        assert!(how.is_success() && !control.has_expired() && !control.is_stopping());
    }

    #[test]
    fn an_exit_status_is_said_in_words() {
        assert_eq!(end(&mut start("exit 3")).to_string(), "ended with exit status 3");
    }
}
