//! Starts the program of a `command` stage as a process of this machine.
//!
//! Knows no cache. What the program sees of the runner's environment, [`Program::variables`] says.

use std::io;
use std::path::Path;

use super::super::Failure;
use super::super::command::Program;
use super::super::executor::Start;
use super::process::{Prepared, Process};
use super::{open_log, show};

/// Starts it; all it prints goes to the log.
pub(super) fn start(program: &Program, start: &Start<'_>) -> Result<Process, Failure> {
    let [name, arguments @ ..] = &program.arguments[..] else { return Err(Failure::new("the command is empty")) };
    let mut prepared = Prepared::bare(name);
    let command = prepared.command();
    command.args(arguments).current_dir(&program.folder);
    command.envs(program.variables(|name| std::env::var_os(name)));
    show(&program.gpus, command);
    let log = open_log(start)?;
    let both = log.try_clone().map_err(|error| Failure::new(format!("failed to write the log: {error}")))?;
    prepared.stdout_to(both);
    prepared.stderr_to(log);
    Process::start(prepared, Some(start.belongings)).map_err(|error| not_started(name, &error))
}

fn not_started(program: &str, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("failed to start {program}: {error}"));
    match error.kind() {
        io::ErrorKind::NotFound if !Path::new(program).is_absolute() => {
            failure.with_help("it is looked for in PATH and, with a slash in its name, in the workspace root")
        }
        io::ErrorKind::PermissionDenied => failure.with_help(format!("is it executable? `chmod +x {program}`")),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::exec::command::{DEVICES, MINIMAL, SURROUNDINGS};
    use crate::exec::control::Control;
    use crate::exec::executor::{Belongings, Request, Work};
    use crate::exec::local::Local;
    use crate::exec::local::orphans::JOB;
    use crate::exec::perform::perform;
    use crate::exec::{Finished, Visible};

    fn run(arguments: Vec<String>) -> (Result<Finished, Failure>, String) {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let program = Program {
            arguments,
            folder: dir.path().to_owned(),
            environment: [("GIVEN".to_owned(), Some("value".into())), ("UNSET".to_owned(), None)].into(),
            slot: dir.path().join("slot"),
            gpus: Visible::All,
        };
        let belongings = Belongings { name: "job".into(), workspace: None, leases: Arc::default() };
        let work = Work::Command(program);
        let request = Request::default();
        let folder = dir.path();
        let start = Start { work: &work, request: &request, name: "job", folder, log: &log, belongings: &belongings };
        let result = perform(&Local, &start, &Control::default(), |_| panic!("a command says no events"));
        (result, std::fs::read_to_string(log).unwrap())
    }

    #[test]
    fn a_program_sees_the_declared_environment_and_the_minimal_one_only() {
        let (result, log) = run(Program::shell("env | sed 's/=.*//' | sort | tr '\\n' ' '"));
        assert_eq!(result, Ok(Finished::default()));
        let own = ["GIVEN", "INTRADA_CKPT", JOB, "PWD", "_", "SHLVL", "OLDPWD"];
        let allowed: Vec<&str> = [&own[..], &MINIMAL, &SURROUNDINGS, &DEVICES].concat();
        assert!(log.split_whitespace().all(|name| allowed.contains(&name)), "{log}");
        assert!(log.contains("GIVEN"));
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
