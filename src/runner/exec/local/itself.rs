//! This program as the worker of jobs that need no tensor: a process of it performs one.
//!
//! Knows no kind: the function that performs a job is given by `main`, as its crate uses this one. Such a process starts in
//! milliseconds, where `intrada-worker` loads libtorch in 0.4 s.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use super::supervisor::own_program;
use super::{PERFORM, WORKER};

/// Performs the job in a file: reports on standard output, logs on standard error.
pub type Perform = fn(&Path) -> ExitCode;

/// Whether this program can perform jobs. A test that uses this crate can't.
static CAN_PERFORM: AtomicBool = AtomicBool::new(false);

/// If this process was started to perform a job, does so. `main` must call this before it reads its arguments.
pub fn answer_runner(perform: Perform) -> Option<ExitCode> {
    CAN_PERFORM.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().filter(|first| first == PERFORM)?;
    let job = arguments.next()?;
    // The name by which `pkill` and `top` know it: who kills all runners by name would kill it, too. Linux only.
    let _ = std::fs::write("/proc/self/comm", WORKER);
    Some(perform(job.as_ref()))
}

/// This program; `None`: it can't perform jobs.
pub(super) fn program() -> Option<PathBuf> {
    own_program().filter(|_| CAN_PERFORM.load(Ordering::Relaxed))
}
