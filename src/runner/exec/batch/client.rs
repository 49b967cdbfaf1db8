//! Calls the client programs of a batch system: `sbatch`, `squeue`, or a line of a person's own.
//!
//! Knows no batch system. A client that doesn't answer in time is ended: its controller may be away.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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
    /// It didn't end in time.
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

/// Runs a client to its end.
pub(super) fn call(mut command: Command) -> Answer {
    let name = command.get_program().to_string_lossy().into_owned();
    inherit_nothing_of_a_job(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Answer::NoClient(format!("failed to start `{name}`: {error}")),
    };
    let read = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = read(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let until = Instant::now() + patience();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(MOMENT),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Answer::Silent(format!("`{name}` did not answer within {} s", patience().as_secs_f64()));
            }
        }
    };
    let text = |thread: std::thread::JoinHandle<String>| thread.join().unwrap_or_default();
    let (stdout, stderr) = (text(stdout), text(stderr));
    if status.success() {
        return Answer::Said(stdout);
    }
    let last = [&stderr, &stdout].into_iter().find_map(|text| text.lines().rfind(|line| !line.trim().is_empty()));
    let why = last.map_or_else(|| format!("`{name}` ended with {status}"), |line| super::super::shown(line.trim()));
    Answer::Refused(why)
}

/// Another limit in seconds, for tests.
fn patience() -> Duration {
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
    fn a_client_s_answer_is_what_it_prints_or_the_last_line_of_why_not() {
        assert_eq!(shell("echo 15; echo aside >&2").said(), Ok("15\n".to_owned()));
        assert_eq!(
            shell("echo first >&2; echo 'no such partition' >&2; exit 1").said(),
            Err("no such partition".to_owned())
        );
        assert!(shell("exit 3").said().unwrap_err().contains("exit status: 3"));
        let missing = call(Command::new("no-such-client")).said().unwrap_err();
        assert!(missing.starts_with("failed to start `no-such-client`"), "{missing}");
    }
}
