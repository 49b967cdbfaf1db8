//! The process between the runner and a job: it ensures that no process of the job outlives it.
//!
//! The runner may be killed at any time, by a person or because memory ran out. A tool behind a pipe, a child of `make` or of a
//! wrapper script, or a process in its own session would then keep writing where the next run puts its results. So each job is
//! started by a supervisor: this program, called with `SUPERVISE`. A socket connects it to the runner and closes when the runner
//! ends. Then, and when the job ends, it kills all its descendants, and ends only after them. Until then it keeps the leases
//! open, so that no other run takes them.
//!
//! On Linux, processes that lose their parent become its children, so none escapes. On other systems it reaches only the job's
//! process group; processes that left the group hold the leases themselves, unless they closed them.
//!
//! ```text
//! runner ──"T": ask the job to end · closed: kill it──▶ supervisor ──▶ job ──▶ …
//!        ◀──"p" or "e": started or not · "s": how it ended──
//! ```

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group};

use super::processes::children;
use super::{SUPERVISE, SUPERVISOR, signals};

/// How long to wait before checking again whether killed processes are gone.
const MOMENT: Duration = Duration::from_millis(2);

/// Whether this program can be started as a supervisor. A test that uses this crate can't.
static CAN_SUPERVISE: AtomicBool = AtomicBool::new(false);

const ASK: u8 = b'T';
const BEGUN: u8 = b'p';
const NOT_BEGUN: u8 = b'e';
const ENDED: u8 = b's';

/// If this process was started as a supervisor, acts as one until its job has ended. `main` must call this first.
pub fn answer_runner() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != SUPERVISE) {
        CAN_SUPERVISE.store(true, Ordering::Relaxed);
        return None;
    }
    let program = arguments.next()?;
    let line = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map(UnixStream::from);
    let done = line.map_err(io::Error::from).and_then(|line| {
        let mut command = Command::new(program);
        command.args(arguments);
        supervise(command, line)
    });
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A command that runs `program` below a supervisor, without arguments yet. `None`: this program can't be a supervisor.
pub(super) fn command_for(program: &OsStr) -> Option<Command> {
    let mut command = Command::new(own_program().filter(|_| CAN_SUPERVISE.load(Ordering::Relaxed))?);
    command.arg0(SUPERVISOR).arg(SUPERVISE).arg(program);
    Some(command)
}

/// The running program, even if its file was replaced since.
pub(super) fn own_program() -> Option<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Some(running.to_owned()) } else { std::env::current_exe().ok() }
}

/// Starts a command made by [`command_for`]. Returns once the job has started.
///
/// # Errors
/// The supervisor or the job can't be started.
pub(super) fn start(command: &mut Command) -> io::Result<(Child, UnixStream)> {
    let (mut line, theirs) = UnixStream::pair()?;
    command.stdin(std::os::fd::OwnedFd::from(theirs));
    let child = command.spawn();
    // Close this copy; otherwise the supervisor's end would go unnoticed.
    command.stdin(Stdio::null());
    let mut child = child?;
    let error = match hear(&mut line) {
        Some((BEGUN, _)) => return Ok((child, line)),
        Some((_, number)) => io::Error::from_raw_os_error(number),
        None => io::Error::other("its supervisor ended before it began"),
    };
    child.wait()?;
    Err(error)
}

/// Waits until all processes of the job are gone. `None`: the supervisor itself was killed.
pub(super) fn hear_end(line: &mut UnixStream) -> Option<ExitStatus> {
    match hear(line) {
        Some((ENDED, status)) => Some(ExitStatus::from_raw(status)),
        _ => None,
    }
}

/// Asks the job to save what it has and end.
pub(super) fn ask(mut line: &UnixStream) {
    // It may have ended.
    let _ = line.write_all(&[ASK]);
}

/// Has all processes of the job killed.
pub(super) fn let_go(line: &UnixStream) {
    let _ = line.shutdown(std::net::Shutdown::Write);
}

fn hear(line: &mut UnixStream) -> Option<(u8, i32)> {
    let mut said = [0; 5];
    line.read_exact(&mut said).ok()?;
    let [word, number @ ..] = said;
    Some((word, i32::from_le_bytes(number)))
}

fn say(mut line: &UnixStream, word: u8, number: i32) {
    let [a, b, c, d] = number.to_le_bytes();
    // The runner may be gone.
    let _ = line.write_all(&[word, a, b, c, d]);
}

fn supervise(mut command: Command, line: UnixStream) -> io::Result<()> {
    // The name by which `pkill` and `top` know it. Linux only.
    let _ = std::fs::write("/proc/self/comm", SUPERVISOR);
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    heed_no_signals();
    command.stdin(Stdio::null()).process_group(0);
    signals::die_with_parent(&mut command);
    let job = match command.spawn() {
        Ok(child) => Pid::from_raw(child.id() as i32).expect("a process number is positive"),
        Err(error) => {
            say(&line, NOT_BEGUN, error.raw_os_error().unwrap_or(0));
            return Ok(());
        }
    };
    drop(command);
    // The job's output must close when the job ends, not when this process does.
    std::fs::File::options().write(true).open("/dev/null").and_then(|null| Ok(rustix::stdio::dup2_stdout(null)?))?;
    say(&line, BEGUN, 0);
    let from_runner = line.try_clone()?;
    std::thread::spawn(move || listen(from_runner, job));
    let status = wait_for(job)?;
    // While the group has a process, its number isn't reused.
    let _ = kill_process_group(job, Signal::KILL);
    end_the_rest();
    say(&line, ENDED, status);
    Ok(())
}

/// A batch system signals all processes of a job; here the runner decides. Signals that were ignored stay ignored, and the job
/// inherits that; the others have their default action in the job, as handlers don't survive `exec`.
fn heed_no_signals() {
    let heeded =
        signals::heeded(&[libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2]);
    for signal in heeded {
        let _ = signal_hook::flag::register(signal, std::sync::Arc::default());
    }
}

/// Follows the runner's requests. When the runner is gone, or lets go, kills everything until nothing is left, which ends this
/// process.
fn listen(mut line: UnixStream, job: Pid) {
    let mut word = [0];
    loop {
        match line.read(&mut word) {
            Ok(1..) => drop(kill_process_group(job, Signal::TERM)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
        }
    }
    let _ = kill_process_group(job, Signal::KILL);
    loop {
        kill_children();
        std::thread::sleep(MOMENT);
    }
}

/// Waits for the job, and reaps other children meanwhile.
fn wait_for(job: Pid) -> io::Result<i32> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == job => return Ok(status.as_raw()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Kills what the job left running and waits until it has ended. Without children there are no descendants either: they become
/// children when their parents end.
fn end_the_rest() {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
            // Processes of another user can't be killed and are left running.
            Ok(None) if kill_children() == 0 => return,
            Ok(None) => std::thread::sleep(MOMENT),
        }
    }
}

/// Returns how many could be killed.
fn kill_children() -> usize {
    let children = children(rustix::process::getpid()).into_iter();
    children.filter(|child| kill_process(*child, Signal::KILL).is_ok()).count()
}
