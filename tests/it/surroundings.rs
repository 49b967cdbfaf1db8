//! What a run takes over from whoever starts it, and passes on to its commands: signals, variables, limits.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::pipelines::{Pipeline, until};
use crate::space::{Ran, Space};

/// One command that runs this line.
fn one(shell: &str) -> Space {
    Space::with(Pipeline::new().command("a", shell, [], ["a.txt"]))
}

/// The program as `shell` starts it, where it is called `$RUN`.
fn started_by(space: &Space, shell: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", shell]).current_dir(space.path("")).env("RUN", env!("CARGO_BIN_EXE_intrada-run"));
    command.env_remove("INTRADA_CACHE").env("NO_COLOR", "1");
    command
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stops_neither_the_run_nor_its_commands() {
    for signal in ["HUP", "INT", "TERM"] {
        let space = one(&format!("touch begun; {}; kill -{signal} $$; echo on > a.txt", until("go")));
        let mut command = started_by(&space, &format!("trap '' {signal}; exec $RUN p.toml"));
        let run = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        space.wait_for_file("begun");
        assert!(crate::space::processes::kill(run.id(), &format!("-{signal}")));
        space.write("go", "");
        let ran = Ran::of(run.wait_with_output().unwrap());
        assert_eq!((ran.code, space.read("a.txt").as_str()), (Some(0), "on\n"), "{signal}: {}", ran.stderr);
    }
}

#[test]
fn a_signal_that_was_not_ignored_at_the_start_stops_the_run() {
    for signal in ["HUP", "INT", "TERM"] {
        let space = one("touch begun; sleep 600; echo on > a.txt");
        let run = started_by(&space, "exec $RUN p.toml").stderr(Stdio::null()).spawn().unwrap();
        space.wait_for_file("begun");
        assert!(crate::space::processes::kill(run.id(), &format!("-{signal}")));
        assert_eq!(run.wait_with_output().unwrap().status.code(), Some(130), "{signal}");
    }
}

#[test]
fn a_command_whose_reader_goes_away_is_ended_by_sigpipe_as_in_a_shell() {
    let space = one("(trap 'exit 1' PIPE; trap - PIPE; yes; echo $? > status) 2> talk | head -1 > a.txt");
    space.outcomes();
    // 128 and the number of SIGPIPE. With SIGPIPE ignored, `yes` complains of a broken pipe and ends with 1.
    assert_eq!((space.read("status").trim(), space.read("talk").as_str()), ("141", ""));
}

#[test]
fn variables_that_say_where_to_compute_reach_a_command_and_enter_no_key() {
    let space = one("env > a.txt");
    let names = ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "https_proxy", "SSL_CERT_FILE", "XDG_RUNTIME_DIR"];
    let run = |arguments: &str, value: &str| {
        let mut command = space.command(arguments);
        command.envs(names.map(|name| (name, value)));
        Ran::of(command.env("UNDECLARED", value).output().unwrap())
    };
    let ran = run("p.toml", "3");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let seen = space.read("a.txt");
    assert!(names.iter().all(|name| seen.contains(&format!("{name}=3\n"))) && !seen.contains("UNDECLARED"), "{seen}");
    let plan = run("plan p.toml", "1");
    assert!(plan.stdout.contains("up-to-date"), "{}", plan.stdout);
}

#[test]
fn gpus_that_the_pipeline_lends_take_the_place_of_those_of_the_caller() {
    let space = one("env > a.txt");
    space.edit("p.toml", "[stages.a]", "[resources]\ngpus = [\"7\"]\n[stages.a]\nresources = { gpus = 1 }");
    let mut command = space.command("run p.toml --device cuda");
    let ran = Ran::of(command.env("CUDA_VISIBLE_DEVICES", "3").env("HIP_VISIBLE_DEVICES", "3").output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let seen = space.read("a.txt");
    assert!(seen.contains("CUDA_VISIBLE_DEVICES=7\n") && !seen.contains("HIP_VISIBLE_DEVICES"), "{seen}");
}

#[test]
fn umask_limits_and_priority_are_those_of_the_caller() {
    let space = one("umask > a.txt; ulimit -n >> a.txt; nice >> a.txt");
    // The tests themselves may run with a lower priority.
    let own: i32 = String::from_utf8(Command::new("nice").output().unwrap().stdout).unwrap().trim().parse().unwrap();
    let ran = Ran::of(started_by(&space, "umask 027; ulimit -n 123; nice -n 3 $RUN p.toml").output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(space.read("a.txt"), format!("0027\n123\n{}\n", (own + 3).min(19)));
}

#[test]
fn a_job_without_a_sign_of_life_is_told_of_once() {
    let space = one(&format!("{}; echo on > a.txt", until("go")));
    let mut command = space.command("p.toml");
    let mut run = command.env("INTRADA_SILENCE", "1").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told = "a has written nothing for 1";
    assert!(lines.any(|line| line.contains(told)));
    // Long enough for it to be told again.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    space.write("go", "");
    assert!(!lines.any(|line| line.contains(told)));
    assert_eq!(run.wait().unwrap().code(), Some(0));
}
