//! Calls the client programs of a batch system: `sbatch`, `squeue`, or a line of a person's own.
//!
//! Knows no batch system. A client that doesn't answer in time is ended: its controller may be away.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Clients of a busy controller take seconds; some retry for minutes by themselves.
const PATIENCE: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(5);

/// What a client has answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// It ended well and printed this.
    Said(String),
    /// It ended with an error and printed this.
    Refused(String),
    /// It couldn't be started.
    NoClient(String),
    /// What it has done isn't known: it didn't end in time, or was killed.
    Silent(String),
}

impl Answer {
    /// What it printed if it ended well, else why it didn't.
    pub(super) fn said(self) -> Result<String, String> {
        match self {
            Answer::Said(text) => Ok(text),
            Answer::Refused(why) | Answer::NoClient(why) | Answer::Silent(why) => Err(why),
        }
    }
}

/// What a client has printed that has ended by itself, well or not.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
    name: String,
}

impl Printed {
    /// What it complained about, for a message: the last line, or all of a few.
    pub(super) fn why(&self) -> String {
        const FEW: usize = 3;
        let lines = |text: &str| -> Vec<String> {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(super::super::shown).collect()
        };
        let complaints =
            [&self.stderr, &self.stdout].map(|text| lines(text)).into_iter().find(|lines| !lines.is_empty());
        match complaints {
            None => format!("`{}` ended with {}", self.name, self.status),
            Some(lines) if lines.len() <= FEW => lines.join("; "),
            Some(lines) => lines[lines.len() - 1].clone(),
        }
    }
}

/// Runs a client to its end.
pub(super) fn call(command: Command) -> Answer {
    match run(command, patience()) {
        Ok(printed) if printed.status.success() => Answer::Said(printed.stdout),
        Ok(printed) => Answer::Refused(printed.why()),
        Err(answer) => answer,
    }
}

/// Runs a client to its end, and returns all that it printed however it ended.
///
/// # Errors
/// [`Answer::NoClient`] or [`Answer::Silent`].
pub(super) fn run(mut command: Command, patience: Duration) -> Result<Printed, Answer> {
    let name = command.get_program().to_string_lossy().into_owned();
    inherit_nothing_of_a_job(&mut command);
    // A group of its own: an interrupt in this program's terminal must not end a client that is submitting a job.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| Answer::NoClient(format!("failed to start `{name}`: {error}")))?;
    let stdout = read(child.stdout.take());
    let stderr = read(child.stderr.take());
    let silent = |what: &str| Answer::Silent(format!("`{name}` {what}"));
    let Some(status) = end_of(&mut child, patience) else {
        // And what it has started: a line for a shell is several programs.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        let _ = child.wait();
        return Err(silent(&format!("did not answer within {} s", patience.as_secs_f64())));
    };
    if status.code().is_none() {
        return Err(silent(&format!("was ended: {status}")));
    }
    // A program that it has left behind may hold its output open, for as long as it runs.
    let (Ok(stdout), Ok(stderr)) = (stdout.recv_timeout(patience), stderr.recv_timeout(patience)) else {
        return Err(silent("has left a program behind that keeps its output open: redirect that program's output"));
    };
    Ok(Printed { status, stdout, stderr, name })
}

/// Reads a pipe to its end on a thread of its own.
fn read(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// How it ended. `None`: not in time.
fn end_of(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(MOMENT),
            _ => return None,
        }
    }
}

/// How long a client may take. A test may set another limit, in seconds.
pub(super) fn patience() -> Duration {
    let named = std::env::var("INTRADA_CLIENT_PATIENCE").ok().and_then(|text| text.parse().ok());
    named.map_or(PATIENCE, Duration::from_secs_f64)
}

/// A runner that itself runs in a job has variables of that job, which would become options of the jobs that it submits.
fn inherit_nothing_of_a_job(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_of_job =
            ["SLURM_", "SBATCH_", "SALLOC_", "SRUN_", "SQUEUE_", "SCANCEL_"].iter().any(|of| text.starts_with(of));
        if is_of_job && text != "SLURM_CONF" {
            command.env_remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Answer {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]);
        call(command)
    }

    #[test]
    fn a_client_s_answer_is_what_it_prints_or_the_few_or_last_lines_of_why_not() {
        assert_eq!(shell("echo 15; echo aside >&2").said(), Ok("15\n".to_owned()));
        assert_eq!(
            shell("echo first >&2; echo 'no such partition' >&2; exit 1").said(),
            Err("first; no such partition".to_owned())
        );
        assert_eq!(shell("seq 9 >&2; exit 1").said(), Err("9".to_owned()));
        assert!(shell("exit 3").said().unwrap_err().contains("exit status: 3"));
        let missing = call(Command::new("no-such-client")).said().unwrap_err();
        assert!(missing.starts_with("failed to start `no-such-client`"), "{missing}");
    }

    #[test]
    fn a_client_that_was_killed_has_refused_nothing() {
        assert!(matches!(shell("kill -KILL $$"), Answer::Silent(why) if why.contains("signal: 9")));
    }

    #[test]
    fn neither_a_client_that_hangs_nor_one_that_leaves_a_program_behind_is_waited_for_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        for line in ["sleep 1000 & echo $! > left; echo 7", "sleep 1000 | sleep 1000"] {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", line]).current_dir(dir.path());
            let answer = run(command, Duration::from_millis(500)).unwrap_err();
            assert!(matches!(answer, Answer::Silent(_)), "{line}: {answer:?}");
        }
        let left = std::fs::read_to_string(dir.path().join("left")).unwrap_or_default();
        if let Some(left) = left.trim().parse().ok().and_then(Pid::from_raw) {
            rustix::process::kill_process(left, Signal::KILL).unwrap();
        }
    }
}
