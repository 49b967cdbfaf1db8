//! Finds and kills processes of jobs whose runner and [`supervisor`](super::supervisor) were both killed.
//!
//! A variable in a process's environment marks it as a job's. Descendants inherit the variable, whatever process group or
//! session they are in and whichever descriptors they have closed. The processes of a living run have a supervisor as an
//! ancestor; one without is an orphan, which nobody waits for any more. This needs Linux's `/proc`; elsewhere none is found.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::processes::{command_line, processes, program, state, variable};
use super::{SUPERVISE, SUPERVISOR};

/// Variable of a job's processes: the lock file of the key that it computes.
pub const JOB: &str = "INTRADA_JOB";

/// Variable of a job's processes: the root of its workspace, without symbolic links.
pub const WORKSPACE: &str = "INTRADA_WORKSPACE";

/// How long to wait before checking again whether killed processes are gone.
const MOMENT: Duration = Duration::from_millis(2);

/// Kills the orphans of jobs whose lock files are in this folder, or which belong to this workspace and another cache, and waits
/// until they are gone. Returns how many there were. Processes of other users stay.
pub fn end_all(locks: &Path, workspace: Option<&Path>) -> usize {
    end(|pid| {
        let is_of_cache = variable(pid, JOB).is_some_and(|job| Path::new(&job).parent() == Some(locks));
        is_of_cache || workspace.is_some_and(|root| variable(pid, WORKSPACE).is_some_and(|of| of == root.as_os_str()))
    })
}

/// The same, for one job.
pub(super) fn end_of(job: &OsStr) -> usize {
    end(|pid| variable(pid, JOB).is_some_and(|other| other == job))
}

fn end(is_meant: impl Fn(Pid) -> bool) -> usize {
    let mut ended = BTreeSet::new();
    loop {
        let is_left = |pid: &Pid| is_meant(*pid) && (is_orphan(*pid) || is_abandoned(*pid));
        let orphans = processes().into_iter().filter(is_left);
        let killed: Vec<Pid> = orphans.filter(|pid| kill_process(*pid, Signal::KILL).is_ok()).collect();
        if killed.is_empty() {
            return ended.len();
        }
        ended.extend(killed.into_iter().map(Pid::as_raw_nonzero));
        std::thread::sleep(MOMENT);
    }
}

/// Whether neither a supervisor nor this process is its ancestor: tests start jobs without a supervisor.
fn is_orphan(pid: Pid) -> bool {
    let own = rustix::process::getpid();
    let mut above = Some(pid);
    while let Some(pid) = above {
        if pid == own || is_supervisor(pid) {
            return false;
        }
        above = match state(pid) {
            Some((_, parent)) => parent,
            // It has ended meanwhile.
            None => return false,
        };
    }
    true
}

/// Whether it is a stopped (SIGSTOP) supervisor without a runner, which would hold its leases for ever. A supervisor's runner is
/// the same program as itself; the process that adopts it after the runner's end is another program, or a supervisor.
fn is_abandoned(pid: Pid) -> bool {
    let Some(('T' | 't', parent)) = state(pid) else { return false };
    let is_runner =
        |parent: Pid| program(parent).is_some() && program(parent) == program(pid) && !is_supervisor(parent);
    is_supervisor(pid) && program(pid).is_some() && !parent.is_some_and(is_runner)
}

fn is_supervisor(pid: Pid) -> bool {
    let words = command_line(pid);
    words.first().is_some_and(|word| word == SUPERVISOR.as_bytes())
        && words.get(1).is_some_and(|word| word == SUPERVISE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::local::processes::children;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_below_this_one_is_no_orphan_and_is_not_ended() {
        if !Path::new("/proc/self/environ").exists() {
            return eprintln!("skipped: the system tells nothing of processes");
        }
        let locks = tempfile::tempdir().unwrap();
        let job = locks.path().join("key");
        let mut child = Command::new("sleep").arg("1000").env(JOB, &job).stdin(Stdio::null()).spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32).unwrap();
        // Right after the start, `/proc` shows no environment yet.
        while variable(pid, JOB).is_none() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(variable(pid, JOB).as_deref(), Some(job.as_os_str()));
        assert!(children(rustix::process::getpid()).contains(&pid));
        assert_eq!((end_all(locks.path(), None), end_of(job.as_os_str())), (0, 0));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
