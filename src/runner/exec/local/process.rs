//! A child process that can be stopped, killed with all it started, and that dies with the runner.
//!
//! Knows nothing of stages. Each child leads its own process group, so that a signal reaches its children too, and Ctrl-C at
//! the terminal reaches only the runner, which then asks the children to save and stop. A [`supervisor`] in between ensures
//! that nothing outlives the job. A program that uses this crate and can't be a supervisor (a test) starts jobs directly.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::process::{Pid, Signal, kill_process_group};

use super::super::executor::{self, Belongings, How};
use super::{orphans, signals, supervisor};

/// How a signal reaches a process, until it has been waited for.
#[derive(Debug)]
pub(super) struct Handle(Mutex<Option<Reach>>);

#[derive(Debug)]
enum Reach {
    /// The leader of its process group. After it was waited for, the number may belong to another process.
    Group(Pid),
    Supervisor(UnixStream),
}

impl Handle {
    fn signal(&self, signal: Signal) {
        match &*self.lock() {
            // The group may have ended by itself.
            Some(Reach::Group(group)) => drop(kill_process_group(*group, signal)),
            Some(Reach::Supervisor(line)) if signal == Signal::KILL => supervisor::let_go(line),
            Some(Reach::Supervisor(line)) => supervisor::ask(line),
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

/// A program that is about to be a job.
pub(super) struct Prepared {
    command: Command,
    is_supervised: bool,
}

impl Prepared {
    /// Without arguments yet.
    pub(super) fn new(program: impl AsRef<OsStr>) -> Prepared {
        match supervisor::command_for(program.as_ref()) {
            Some(command) => Prepared { command, is_supervised: true },
            None => Prepared { command: Command::new(program), is_supervised: false },
        }
    }

    /// For adding arguments and environment. Its standard input is empty.
    pub(super) fn command(&mut self) -> &mut Command {
        &mut self.command
    }
}

/// A process that was started.
pub(super) struct Process {
    child: Child,
    /// The connection to its supervisor.
    line: Option<UnixStream>,
    handle: Arc<Handle>,
    /// The job that it belongs to.
    job: Option<OsString>,
}

impl Process {
    /// Starts a program; with `belongings`, as a process of a job.
    ///
    /// The thread that calls this must outlive the process: on Linux a child without a supervisor is killed when the thread that
    /// started it ends.
    ///
    /// # Errors
    /// The program can't be started.
    pub(super) fn start(prepared: &mut Prepared, belongings: Option<&Belongings>) -> io::Result<Process> {
        use std::os::unix::process::CommandExt;
        let Prepared { command, is_supervised } = prepared;
        command.process_group(0);
        if let Some(Belongings { name, workspace, leases }) = belongings {
            command.env(orphans::JOB, name);
            if let Some(workspace) = workspace {
                command.env(orphans::WORKSPACE, workspace);
            }
            keep_open(command, Arc::clone(leases));
        }
        let (child, line, reach) = if *is_supervised {
            let (child, line) = supervisor::start(command)?;
            let reach = Reach::Supervisor(line.try_clone()?);
            (child, Some(line), reach)
        } else {
            signals::die_with_parent(command);
            let child = command.stdin(std::process::Stdio::null()).spawn()?;
            let group = Reach::Group(pid_of(&child));
            (child, None, group)
        };
        let job = belongings.map(|belongings| belongings.name.clone());
        Ok(Process { child, line, handle: Arc::new(Handle(Mutex::new(Some(reach)))), job })
    }

    /// For ending it from another thread.
    pub(super) fn handle(&self) -> Arc<Handle> {
        Arc::clone(&self.handle)
    }

    /// Its standard output, if that is piped.
    pub(super) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for it, then kills what is left of the processes that it started.
    ///
    /// # Errors
    /// Waiting fails.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        let Some(line) = &mut self.line else { return self.wait_directly() };
        let told = supervisor::hear_end(line);
        *self.handle.lock() = None;
        let own = self.child.wait()?;
        match told {
            Some(status) => Ok(status),
            None => self.without_supervisor(own),
        }
    }

    /// The supervisor was killed. The job died with it, but the job's own children may live on.
    fn without_supervisor(&self, own: ExitStatus) -> io::Result<ExitStatus> {
        if let Some(job) = &self.job {
            orphans::end_of(job);
        }
        if own.success() { Err(io::Error::other("its supervisor ended before it")) } else { Ok(own) }
    }

    fn wait_directly(&mut self) -> io::Result<ExitStatus> {
        // Not reaped yet, so that its number isn't reused between the wait and the clean-up.
        let pid = pid_of(&self.child);
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
        self.child.wait()
    }
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

/// How a process ended.
pub(super) fn how(status: ExitStatus) -> How {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => How::Status(code),
        (None, Some(signal)) => How::Signal(signal),
        (None, None) => How::Other(status.to_string()),
    }
}

/// How many processes the kernel has killed since boot because memory ran out, if it reports that. If the number grows while a
/// child runs, that explains a child killed by signal 9.
pub(super) fn out_of_memory_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exec::control::Control;
    use crate::exec::executor::Handle as _;

    fn start(script: &str) -> Process {
        let mut prepared = Prepared::new("/bin/sh");
        prepared.command().args(["-c", script]);
        Process::start(&mut prepared, None).unwrap()
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
