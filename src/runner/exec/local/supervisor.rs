//! The process between the runner and its jobs, one after the other: it ensures that no process of a job outlives it.
//!
//! The runner may be killed at any time, by a person or because memory ran out. A tool behind a pipe, a child of `make` or of a
//! wrapper script, or a process in its own session would then keep writing where the next run puts its results. So each job is
//! started by a supervisor: this program, called with `SUPERVISE`. A socket connects it to the runner and closes when the runner
//! ends. Then, and when the job ends, it kills all its descendants, and ends, or takes the next job, only after them. Until then it
//! keeps the leases open, so that no other run takes them.
//!
//! On Linux, processes that lose their parent become its children, so none escapes. On other systems it reaches only the job's
//! process group; processes that left the group hold the leases themselves, unless they closed them.
//!
//! ```text
//! runner ──"J": a job · "T": ask it to end · closed: kill it──▶ supervisor ──▶ job ──▶ …
//!        ◀──"p" or "e": started or not · "s": how it ended · "S": the same, and the supervisor ends──
//! ```
//!
//! A supervisor has one job at a time. Starting this program takes several times as long as a small command, so the runner keeps
//! supervisors for its next jobs (`Supervisor::rest`) and dismisses them at its end.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use super::processes::children;
use super::{SUPERVISE, SUPERVISOR, descriptors, orphans, signals};

/// How long to wait before checking again whether killed processes are gone.
const MOMENT: Duration = Duration::from_millis(2);

/// Whether this program can be started as a supervisor. A test that uses this crate can't.
static CAN_SUPERVISE: AtomicBool = AtomicBool::new(false);

/// Supervisors without a job.
static RESTING: Mutex<Vec<Supervisor>> = Mutex::new(Vec::new());

const JOB: u8 = b'J';
const MORE: u8 = b'+';
const ASK: u8 = b'T';
const BEGUN: u8 = b'p';
const NOT_BEGUN: u8 = b'e';
const ENDED: u8 = b's';
const ENDED_WITH_IT: u8 = b'S';

/// What a supervisor starts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
    /// None: where the runner was started.
    pub(super) folder: Option<PathBuf>,
    /// All its variables.
    pub(super) environment: Vec<(OsString, OsString)>,
}

/// Where a job writes to, and what all its processes keep open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a> {
    pub(super) stdout: BorrowedFd<'a>,
    pub(super) stderr: BorrowedFd<'a>,
    pub(super) kept: &'a [OwnedFd],
}

/// Whose jobs a supervisor has, as its environment says: that never changes, and by it a later run finds a supervisor that was stopped
/// and lost its runner. Empty: of no cache and workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Home {
    /// The lock file of its first job, which is in the same folder as those of all others.
    pub(super) job: Option<OsString>,
    pub(super) workspace: Option<OsString>,
}

impl Home {
    fn serves(&self, other: &Home) -> bool {
        let folder = |home: &Home| home.job.as_deref().map(|job| Path::new(job).parent().map(Path::to_owned));
        folder(self) == folder(other) && self.workspace == other.workspace
    }
}

/// A process that supervises, and the connection to it.
#[derive(Debug)]
pub(super) struct Supervisor {
    child: Child,
    line: Arc<UnixStream>,
    home: Home,
}

/// Whether this program can be a supervisor.
pub(super) fn can_supervise() -> bool {
    CAN_SUPERVISE.load(Ordering::Relaxed) && own_program().is_some()
}

/// The running program, even if its file was replaced since.
pub(super) fn own_program() -> Option<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Some(running.to_owned()) } else { std::env::current_exe().ok() }
}

/// Lets the supervisors without a job end, and waits for that. `main` calls this at its end.
pub fn dismiss() {
    for supervisor in std::mem::take(&mut *resting()) {
        supervisor.dismiss();
    }
}

fn resting() -> MutexGuard<'static, Vec<Supervisor>> {
    RESTING.lock().expect("no code panics while it holds this list")
}

impl Supervisor {
    /// Starts a job, below a supervisor that rests or a new one. Returns once the job has started.
    ///
    /// # Errors
    /// The supervisor or the job can't be started.
    pub(super) fn with(order: &Order, files: Files<'_>, home: &Home) -> io::Result<Supervisor> {
        let order = postcard::to_allocvec(order).map_err(io::Error::other)?;
        while let Some(supervisor) = Supervisor::resting(home) {
            // It may have been killed while it rested.
            if supervisor.send(&order, files).is_ok() {
                return supervisor.begin();
            }
            supervisor.dismiss();
        }
        let supervisor = Supervisor::launch(home)?;
        // If it has ended already, that is heard.
        let _ = supervisor.send(&order, files);
        supervisor.begin()
    }

    fn resting(home: &Home) -> Option<Supervisor> {
        let mut resting = resting();
        let place = resting.iter().rposition(|supervisor| supervisor.home.serves(home))?;
        Some(resting.swap_remove(place))
    }

    fn launch(home: &Home) -> io::Result<Supervisor> {
        let (line, theirs) = UnixStream::pair()?;
        let program = own_program().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command.arg0(SUPERVISOR).arg(SUPERVISE).process_group(0);
        command.envs(home.job.iter().map(|job| (orphans::JOB, job)));
        command.envs(home.workspace.iter().map(|workspace| (orphans::WORKSPACE, workspace)));
        // This copy of its end is closed with the command; otherwise its end would go unnoticed.
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Supervisor { child: command.spawn()?, line: Arc::new(line), home: home.clone() })
    }

    fn send(&self, order: &[u8], Files { stdout, stderr, kept }: Files<'_>) -> io::Result<()> {
        let files: Vec<BorrowedFd<'_>> = [stdout, stderr].into_iter().chain(kept.iter().map(AsFd::as_fd)).collect();
        let mut parts = files.chunks(descriptors::MOST);
        descriptors::send(&self.line, JOB, parts.next().unwrap_or_default())?;
        let sizes = [order.len() as u64, files.len() as u64].map(u64::to_le_bytes).concat();
        (&*self.line).write_all(&[&*sizes, order].concat())?;
        parts.try_for_each(|part| descriptors::send(&self.line, MORE, part))
    }

    /// Waits until the job has begun.
    fn begin(self) -> io::Result<Supervisor> {
        let error = match hear(&self.line) {
            Some((BEGUN, _)) => return Ok(self),
            Some((_, number)) => {
                self.rest();
                return Err(io::Error::from_raw_os_error(number));
            }
            None => io::Error::other("its supervisor ended before it began"),
        };
        self.dismiss();
        Err(error)
    }

    /// The connection, for ending the job from another thread.
    pub(super) fn line(&self) -> Arc<UnixStream> {
        Arc::clone(&self.line)
    }

    /// Waits until all processes of the job are gone. With whether it takes another job. `None`: the supervisor itself was killed.
    pub(super) fn hear_end(&self) -> Option<(ExitStatus, bool)> {
        let (word, status) = hear(&self.line).filter(|(word, _)| matches!(*word, ENDED | ENDED_WITH_IT))?;
        Some((ExitStatus::from_raw(status), word == ENDED))
    }

    /// Keeps it for another job. Only after the end of its job, and unless that was [let go](let_go).
    pub(super) fn rest(self) {
        resting().push(self);
    }

    /// Lets it end, and waits for that.
    pub(super) fn dismiss(mut self) -> Option<ExitStatus> {
        let_go(&self.line);
        self.child.wait().ok()
    }
}

/// Asks the job to save what it has and end.
pub(super) fn ask(mut line: &UnixStream) {
    // It may have ended.
    let _ = line.write_all(&[ASK]);
}

/// Has all processes of the job killed. Its supervisor ends with it.
pub(super) fn let_go(line: &UnixStream) {
    let _ = line.shutdown(std::net::Shutdown::Write);
}

fn hear(mut line: &UnixStream) -> Option<(u8, i32)> {
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

/// If this process was started as a supervisor, acts as one until the runner lets it go. `main` must call this first.
pub fn answer_runner() -> Option<ExitCode> {
    if std::env::args_os().nth(1).is_none_or(|first| first != SUPERVISE) {
        CAN_SUPERVISE.store(true, Ordering::Relaxed);
        return None;
    }
    let line = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map(UnixStream::from);
    let done = line.map_err(io::Error::from).and_then(|line| Duty::begin(line)?.serve());
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The work of a supervisor.
struct Duty {
    line: UnixStream,
    /// Readable when a child has ended.
    ends: UnixStream,
}

/// A job that the runner sent.
struct Received {
    order: Order,
    stdout: OwnedFd,
    stderr: OwnedFd,
    kept: Arc<Vec<OwnedFd>>,
}

impl Duty {
    fn begin(line: UnixStream) -> io::Result<Duty> {
        // The name by which `pkill` and `top` know it. Linux only.
        let _ = std::fs::write("/proc/self/comm", SUPERVISOR);
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        heed_no_signals();
        let (ends, tell) = UnixStream::pair()?;
        ends.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(libc::SIGCHLD, tell)?;
        Ok(Duty { line, ends })
    }

    fn serve(&self) -> io::Result<()> {
        while let Some(received) = self.receive()? {
            if !self.supervise(received)? {
                break;
            }
        }
        Ok(())
    }

    /// Waits for a job. `None`: the runner has let this process go.
    fn receive(&self) -> io::Result<Option<Received>> {
        loop {
            match descriptors::receive(&self.line)? {
                None => return Ok(None),
                Some((JOB, files)) => return self.receive_rest(files).map(Some),
                // A request that came when the job had just ended.
                Some(_) => {}
            }
        }
    }

    fn receive_rest(&self, mut files: Vec<OwnedFd>) -> io::Result<Received> {
        let number = || {
            let mut number = [0; 8];
            (&self.line).read_exact(&mut number).map(|()| u64::from_le_bytes(number) as usize)
        };
        let (length, count) = (number()?, number()?);
        let mut order = vec![0; length];
        (&self.line).read_exact(&mut order)?;
        while files.len() < count {
            let (_, more) = descriptors::receive(&self.line)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            files.extend(more);
        }
        let order = postcard::from_bytes(&order).map_err(io::Error::other)?;
        let mut files = files.into_iter();
        let (Some(stdout), Some(stderr)) = (files.next(), files.next()) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        Ok(Received { order, stdout, stderr, kept: Arc::new(files.collect()) })
    }

    /// Starts a job and waits until nothing of it is left. Returns whether there may be another.
    fn supervise(&self, Received { order, stdout, stderr, kept }: Received) -> io::Result<bool> {
        let mut command = Command::new(order.program);
        command.args(order.arguments).env_clear().envs(order.environment).process_group(0);
        if let Some(folder) = order.folder {
            command.current_dir(folder);
        }
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        keep_open(&mut command, Arc::clone(&kept));
        signals::die_with_parent(&mut command);
        let job = match command.spawn() {
            Ok(child) => Pid::from_raw(child.id() as i32).expect("a process number is positive"),
            Err(error) => {
                // What it had is closed before the runner hears of it.
                drop((command, kept));
                say(&self.line, NOT_BEGUN, error.raw_os_error().unwrap_or(0));
                return Ok(true);
            }
        };
        // The job's output closes when the job ends.
        drop(command);
        say(&self.line, BEGUN, 0);
        let (status, is_let_go) = self.wait_for(job)?;
        // While the group has a process, its number isn't reused.
        let _ = kill_process_group(job, Signal::KILL);
        let may_go_on = end_the_rest() && !is_let_go;
        drop(kept);
        say(&self.line, if may_go_on { ENDED } else { ENDED_WITH_IT }, status);
        Ok(may_go_on)
    }

    /// Waits for the job, reaps other children meanwhile, and follows the runner's requests. When the runner is gone, or lets go, kills
    /// everything. Returns the job's status, and whether it was let go.
    fn wait_for(&self, job: Pid) -> io::Result<(i32, bool)> {
        loop {
            let (line, ends) = wait_for_either(&self.line, &self.ends)?;
            if ends {
                while (&self.ends).read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
                if let Some(status) = reap(job)? {
                    return Ok((status, false));
                }
            }
            if line && self.is_let_go(job) {
                break;
            }
        }
        loop {
            let _ = kill_process_group(job, Signal::KILL);
            kill_children();
            if let Some(status) = reap(job)? {
                return Ok((status, true));
            }
            std::thread::sleep(MOMENT);
        }
    }

    /// Follows a request.
    fn is_let_go(&self, job: Pid) -> bool {
        match (&self.line).read(&mut [0]) {
            Ok(1..) => {
                let _ = kill_process_group(job, Signal::TERM);
                false
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            Ok(0) | Err(_) => true,
        }
    }
}

/// Has the child, and what it starts in turn, inherit these descriptors.
pub(super) fn keep_open(command: &mut Command, descriptors: Arc<Vec<OwnedFd>>) {
    // SAFETY: between fork and exec one system call a descriptor is made; it is safe after a fork and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            let keep = |descriptor| rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty());
            descriptors.iter().try_for_each(keep).map_err(io::Error::from)
        });
    }
}

/// A batch system signals all processes of a job; here the runner decides. Signals that were ignored stay ignored, and the job
/// inherits that; the others have their default action in the job, as handlers don't survive `exec`.
fn heed_no_signals() {
    let heeded =
        signals::heeded(&[libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2]);
    for signal in heeded {
        let _ = signal_hook::flag::register(signal, Arc::default());
    }
}

/// Waits until one of them can be read, and says which.
fn wait_for_either(one: &UnixStream, other: &UnixStream) -> io::Result<(bool, bool)> {
    let asked = |stream: &UnixStream| libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut both = [asked(one), asked(other)];
    // SAFETY: the two requests live until the call returns.
    let answered = unsafe { libc::poll(both.as_mut_ptr(), 2, -1) };
    match (answered, io::Error::last_os_error()) {
        (0.., _) => Ok((both[0].revents != 0, both[1].revents != 0)),
        (_, error) if error.kind() == io::ErrorKind::Interrupted => Ok((false, false)),
        (_, error) => Err(error),
    }
}

/// Reaps the children that have ended. Returns the job's status if it is among them.
fn reap(job: Pid) -> io::Result<Option<i32>> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == job => return Ok(Some(status.as_raw())),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Kills what the job left running and waits until it has ended. Without children there are no descendants either: they become
/// children when their parents end. Returns whether none is left.
fn end_the_rest() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return true,
            // Processes of another user can't be killed and are left running.
            Ok(None) if kill_children() == 0 => return false,
            Ok(None) => std::thread::sleep(MOMENT),
        }
    }
}

/// Returns how many could be killed.
fn kill_children() -> usize {
    let children = children(rustix::process::getpid()).into_iter();
    children.filter(|child| kill_process(*child, Signal::KILL).is_ok()).count()
}

/// The order for this command, as it is. `is_bare`: without the runner's own variables.
///
/// # Errors
/// An argument contains a NUL byte, so that no program can be started with it.
pub(super) fn order(command: &Command, is_bare: bool) -> io::Result<Order> {
    let inherited = std::env::vars_os().filter(|_| !is_bare);
    let mut environment: std::collections::BTreeMap<OsString, OsString> = inherited.collect();
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => drop(environment.insert(name.to_owned(), value.to_owned())),
            None => drop(environment.remove(name)),
        }
    }
    let order = Order {
        program: command.get_program().to_owned(),
        arguments: command.get_args().map(OsStr::to_owned).collect(),
        folder: command.get_current_dir().map(Path::to_owned),
        environment: environment.into_iter().collect(),
    };
    let has_nul = |word: &OsStr| word.as_encoded_bytes().contains(&0);
    let variables = order.environment.iter().flat_map(|(name, value)| [name, value]);
    if has_nul(&order.program) || order.arguments.iter().chain(variables).any(|word| has_nul(word)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "nul byte found in provided data"));
    }
    Ok(order)
}
