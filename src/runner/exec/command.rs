//! Runs the program of a `command` stage in the workspace.
//!
//! Knows no cache: what to run, where, with which environment. The environment is minimal on purpose, so that a variable
//! that matters but isn't declared (and so isn't in the key) is missed at once instead of making a wrong hit later. What
//! says where to compute and how to reach the network, and not what to compute, is passed on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::process::{self, Control, Prepared};
use super::{Failure, Visible};

/// Always passed on: without these few most programs don't start.
const MINIMAL: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// Passed on and no part of the key: by which way to the network, with which rights.
pub const SURROUNDINGS: [&str; 18] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "SSH_AUTH_SOCK",
    "KRB5CCNAME",
    "XDG_RUNTIME_DIR",
];

/// Passed on and no part of the key, unless the pipeline lends the stage GPUs of its own: on which GPUs of the machine.
pub const DEVICES: [&str; 8] = [
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ONEAPI_DEVICE_SELECTOR",
    "ZE_AFFINITY_MASK",
];

/// A program and its surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// The folder that it runs in.
    pub folder: PathBuf,
    /// Declared variables with their values; none for one that is not set.
    pub environment: BTreeMap<String, Option<OsString>>,
    /// Its resume slot, named to it as `INTRADA_CKPT`.
    pub slot: PathBuf,
    /// Its GPUs.
    pub gpus: Visible,
}

impl Program {
    /// A `shell = "…"` line, as `sh` runs it.
    pub fn shell(line: &str) -> Vec<String> {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()]
    }

    /// Runs it to its end; all it prints goes to `log`.
    ///
    /// # Errors
    /// It can't be started, or it ended with another status than 0.
    pub fn perform(&self, log: File, control: &Control) -> Result<(), Failure> {
        let [program, arguments @ ..] = &self.arguments[..] else { return Err(Failure::new("the command is empty")) };
        let mut prepared = Prepared::new(program);
        let command = prepared.command();
        command.args(arguments).current_dir(&self.folder).env_clear();
        let devices = if self.gpus == Visible::All { &DEVICES[..] } else { &[] };
        let passed_on = MINIMAL.iter().chain(&SURROUNDINGS).chain(devices);
        command.envs(passed_on.filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(self.environment.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
        command.env("INTRADA_CKPT", &self.slot);
        self.gpus.limit(command);
        let both = log.try_clone().map_err(|error| Failure::new(format!("failed to write the log: {error}")))?;
        command.stdout(both).stderr(log);
        let started = process::start(&mut prepared, control).map_err(|error| self.not_started(program, &error))?;
        let Some(mut running) = started else { return Err(Failure::Cancelled { at: None }) };
        let status = process::wait(&mut running, control)
            .map_err(|error| Failure::new(format!("failed to wait for {program}: {error}")))?;
        match status.success() {
            // Asked to stop, it may have saved and ended well, with half of its output: that is no result.
            _ if control.is_stopping() => Err(Failure::Cancelled { at: None }),
            true => Ok(()),
            false => Err(Failure::new(format!("{} {}", self.shown(), process::describe(status)))),
        }
    }

    fn not_started(&self, program: &str, error: &std::io::Error) -> Failure {
        let failure = Failure::new(format!("failed to start {program}: {error}"));
        match error.kind() {
            std::io::ErrorKind::NotFound if !Path::new(program).is_absolute() => {
                failure.with_help("it is looked for in PATH and, with a slash in its name, in the workspace root")
            }
            std::io::ErrorKind::PermissionDenied => {
                failure.with_help(format!("is it executable? `chmod +x {program}`"))
            }
            _ => failure,
        }
    }

    fn shown(&self) -> String {
        let shown = match &self.arguments[..] {
            [sh, c, line] if sh == "/bin/sh" && c == "-c" => line.clone(),
            arguments => arguments.join(" "),
        };
        format!("`{}`", super::shown(shown.lines().next().unwrap_or("")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: Vec<String>) -> (Result<(), Failure>, String) {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let program = Program {
            arguments,
            folder: dir.path().to_owned(),
            environment: [("GIVEN".to_owned(), Some("value".into())), ("UNSET".to_owned(), None)].into(),
            slot: dir.path().join("slot"),
            gpus: Visible::All,
        };
        let result = program.perform(File::create(&log).unwrap(), &Control::default());
        (result, std::fs::read_to_string(log).unwrap())
    }

    #[test]
    fn a_program_sees_the_declared_environment_and_the_minimal_one_only() {
        let (result, log) = run(Program::shell("env | sed 's/=.*//' | sort | tr '\\n' ' '"));
        assert_eq!(result, Ok(()));
        let own = ["GIVEN", "INTRADA_CKPT", "PWD", "_", "SHLVL", "OLDPWD"];
        let allowed: Vec<&str> = [&own[..], &MINIMAL, &SURROUNDINGS, &DEVICES].concat();
        assert!(log.split_whitespace().all(|name| allowed.contains(&name)), "{log}");
        assert!(log.contains("GIVEN"));
    }

    #[test]
    fn every_variable_that_is_passed_on_is_named_in_the_reference() {
        let reference = include_str!("../pipeline/reference.md");
        let is_named = |name: &&&str| reference.contains(&format!("`{name}`"));
        let in_capitals = |name: &&&str| is_named(&&&*name.to_lowercase());
        for name in MINIMAL.iter().chain(&SURROUNDINGS).chain(&DEVICES) {
            assert!(is_named(&name) || in_capitals(&name), "{name}");
        }
    }

    #[test]
    fn what_a_failure_says_of_a_command_does_nothing_to_a_terminal() {
        let (result, _) = run(Program::shell("printf '\u{1b}[2J'; exit 4"));
        assert_eq!(result, Err(Failure::new("`printf '�[2J'; exit 4` ended with exit status 4")));
    }

    #[test]
    fn a_failing_program_is_named_with_its_status_and_keeps_its_output() {
        let (result, log) = run(Program::shell("echo heard; exit 4"));
        assert_eq!(result, Err(Failure::new("`echo heard; exit 4` ended with exit status 4")));
        assert_eq!(log, "heard\n");
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let (result, _) = run(vec!["no-such-program".into()]);
        let Err(Failure::Failed { message, help }) = result else { panic!("it can't have run") };
        assert!(message.starts_with("failed to start no-such-program: "), "{message}");
        assert_eq!(help.len(), 1);
    }
}
