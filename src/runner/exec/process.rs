//! A child process that can be stopped, killed with all it started, and that dies with the runner.
//!
//! Knows nothing of stages. Each child leads a process group of its own, so that a signal reaches its children too and a
//! Ctrl-C typed at the terminal reaches only the runner, which then asks the children to save and stop.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process_group};

/// How a running job is told to end, from another thread.
#[derive(Debug, Default)]
pub struct Control {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The leader of the group, while it hasn't been waited for: afterwards the number may be somebody else's.
    group: Option<Pid>,
    stopping: bool,
}

impl Control {
    /// Asks the job to save what it has and end. A job that hasn't started yet won't.
    pub fn stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the job and all that it started, at once.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Whether [`Control::stop`] or [`Control::kill`] was called.
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    fn signal(&self, signal: Signal) {
        let mut state = self.lock();
        state.stopping = true;
        if let Some(group) = state.group {
            // The group may be gone by itself: then there is nothing to end.
            let _ = kill_process_group(group, signal);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds this lock")
    }
}

/// Starts `command` under `control`. `None`: it was told to stop before it started.
///
/// Call [`wait`] from the same thread: on Linux the child is killed when the thread that started it ends.
///
/// # Errors
/// Whatever starting the program answers.
pub fn start(command: &mut Command, control: &Control) -> io::Result<Option<Child>> {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
    die_with_parent(command);
    let mut state = control.lock();
    if state.stopping {
        return Ok(None);
    }
    let child = command.spawn()?;
    state.group = Pid::from_raw(child.id() as i32);
    Ok(Some(child))
}

/// Waits for the child, then ends whatever is left of its group.
///
/// # Errors
/// Whatever waiting answers.
pub fn wait(child: &mut Child, control: &Control) -> io::Result<ExitStatus> {
    // Not reaped yet, so that its number can't be given to another process between the wait and the clean-up.
    let pid = Pid::from_raw(child.id() as i32).expect("a process number is positive");
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
    state.group = None;
    child.wait()
}

/// Where the system can do it, the child is killed when the runner dies, even by SIGKILL: nothing goes on writing into a
/// folder that a restarted run will use.
#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let runner = rustix::process::getpid();
    // SAFETY: between fork and exec only two system calls are made; both are safe after a fork and allocate nothing.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The runner may have died before the call above took hold.
            if rustix::process::getppid() != Some(runner) {
                return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
            }
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: &mut Command) {}

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
        9 => " (SIGKILL; the kernel's out-of-memory killer sends it too)",
        11 => " (segmentation fault)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
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
    fn an_exit_status_is_said_in_words() {
        let control = Control::default();
        let mut child = start(&mut shell("exit 3"), &control).unwrap().unwrap();
        assert_eq!(describe(wait(&mut child, &control).unwrap()), "ended with exit status 3");
    }
}
