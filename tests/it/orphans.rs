//! Nothing that a job has started outlives it, nor its runner, and no later run publishes beside it.
//!
//! The real program is killed while real commands with children of all sorts run. A tool that lives on shows: it would write
//! what belongs to the earlier key over the later one's output.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use crate::pipelines::{Pipeline, training};
use crate::space::processes::{children, is_alive, kill, stop};
use crate::space::waiting::{wait_for, wait_until};
use crate::space::{Ran, Space};

/// For `old` it writes late, for everything else at once.
const TOOL: &str = "x=$(cat in.txt)\n[ $x = old ] || echo $x > out.txt\necho $$ > pid.$x.part\nmv pid.$x.part pid.$x\n\
    if [ $x = old ]; then while [ ! -e go ]; do sleep 0.02; done; echo $x > out.txt; echo $x > late; fi\necho did $x\n";

/// Python with what it does by default, closed descriptors, and a session of its own.
const PYTHON: &str = "import subprocess\nsubprocess.run(['sh', 'tool.sh'], start_new_session=True, check=True)\n";

/// Ways in which a command comes to run a tool that isn't its first process.
const WAYS: &[(&str, &str)] = &[
    ("pipe", "sh tool.sh | tee log"),
    ("background", "sh tool.sh & wait"),
    ("wrapper", "sh wrapper.sh; true"),
    ("session", "setsid sh tool.sh; true"),
    ("orphaned", "(setsid sh tool.sh > /dev/null 2>&1 &); while [ ! -e out.txt ]; do sleep 0.02; done"),
    ("bare", "env -i PATH=$PATH sh tool.sh | tee log"),
    ("make", "make -s -f rules out.txt; true"),
    ("python", "python3 tool.py | tee log"),
];

fn space(way: &str) -> Space {
    let space = Space::with(Pipeline::new().command("a", way, ["in.txt", "tool.sh"], ["out.txt"]));
    space.write("tool.sh", TOOL);
    space.write("tool.py", PYTHON);
    space.write("wrapper.sh", "sh tool.sh\necho wrapped\n");
    space.write("rules", "out.txt: in.txt\n\tsh tool.sh | cat\n");
    space.write("in.txt", "old\n");
    space
}

fn is_there(program: &str) -> bool {
    let mut asked = std::process::Command::new(program);
    let is_there = asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !is_there {
        eprintln!("skipped: there is no `{program}`");
    }
    is_there
}

fn ways() -> impl Iterator<Item = (&'static str, Space)> {
    let has = |name: &str, program: &str, way: &str| way != name || is_there(program);
    let ways = WAYS.iter().filter(move |(name, _)| has("python", "python3", name) && has("make", "make", name));
    ways.map(|(name, way)| (*name, space(way)))
}

/// A run whose tool is at work, and the tool's process.
fn begun(space: &Space) -> (Child, u32) {
    let run = space.start("p.toml");
    let tool = wait_for("its tool", || fs::read_to_string(space.path("pid.old")).ok()?.trim().parse().ok());
    (run, tool)
}

fn ends(way: &str, pid: u32) {
    wait_until(&format!("{way}: the end of process {pid}"), || !is_alive(pid));
}

/// The process between the runner and its job.
fn supervisor(run: &Child) -> u32 {
    wait_for("a supervisor", || {
        children(run.id()).into_iter().find(|pid| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with("intrada-supervisor\0")
        })
    })
}

/// Runner and supervisor, so that neither of them cleans up.
fn kill_both(run: &mut Child) {
    assert!(stop(run.id()));
    assert!(kill(supervisor(run), "-KILL"));
    run.kill().unwrap();
    run.wait().unwrap();
}

fn is_linux() -> bool {
    let is_linux = Path::new("/proc/self/stat").exists();
    if !is_linux {
        eprintln!("skipped: the system tells nothing of processes");
    }
    is_linux
}

/// The input is another one by now: what is published is made from it, and is what a fresh run makes.
fn publishes_what_is_new(way: &str, space: &Space) -> Ran {
    space.write("in.txt", "new\n");
    let ran = space.intrada("p.toml");
    space.write("go", "");
    assert_eq!((ran.code, space.read("out.txt").as_str()), (Some(0), "new\n"), "{way}: {}", ran.stderr);
    space.remove("out.txt");
    assert_eq!(space.outcomes(), ["a:hit"], "{way}");
    assert_eq!(space.read("out.txt"), "new\n", "{way}");
    assert!(!space.path("late").exists(), "{way}: the tool lives on");
    ran
}

#[test]
fn whatever_a_job_started_is_gone_with_a_killed_runner() {
    if !is_linux() {
        return;
    }
    for (way, space) in ways() {
        let (mut run, tool) = begun(&space);
        run.kill().unwrap();
        run.wait().unwrap();
        ends(way, tool);
        publishes_what_is_new(way, &space);
    }
}

#[test]
fn a_run_that_comes_at_once_never_publishes_beside_what_a_killed_one_started() {
    for (way, space) in ways() {
        let (mut run, _) = begun(&space);
        run.kill().unwrap();
        // Not waited for: it may not even be gone.
        publishes_what_is_new(way, &space);
        run.wait().unwrap();
    }
}

#[test]
fn what_outlives_runner_and_supervisor_is_ended_by_the_next_run_which_says_so() {
    if !is_linux() {
        return;
    }
    for (way, space) in ways().filter(|(way, _)| *way != "bare") {
        let (mut run, tool) = begun(&space);
        kill_both(&mut run);
        let ran = publishes_what_is_new(way, &space);
        ends(way, tool);
        // What dies with its parent, or of a pipe that nobody reads, may be gone before the next run looks.
        assert!(
            ran.stderr.contains("that a killed run had left running") || !matches!(way, "session" | "orphaned"),
            "{way}: {}",
            ran.stderr
        );
    }
}

#[test]
fn what_outlives_both_and_hides_its_environment_is_waited_for() {
    if !is_linux() {
        return;
    }
    let space = space("env -i PATH=$PATH setsid sh tool.sh; true");
    let (mut run, tool) = begun(&space);
    kill_both(&mut run);
    space.write("in.txt", "new\n");
    let mut next = space.command("p.toml").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(next.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("waiting") && line.contains("which was killed")));
    assert!(is_alive(tool) && !space.path("pid.new").exists(), "it runs beside it");
    assert!(kill(tool, "-KILL"));
    said.for_each(drop);
    assert_eq!((next.wait().unwrap().code(), space.read("out.txt").as_str()), (Some(0), "new\n"));
}

#[test]
fn a_killed_supervisor_fails_its_stage_and_leaves_nothing_running() {
    if !is_linux() {
        return;
    }
    for (way, space) in ways().filter(|(way, _)| *way != "bare") {
        let (mut run, tool) = begun(&space);
        assert!(kill(supervisor(&run), "-KILL"));
        assert_eq!(run.wait().unwrap().code(), Some(1), "{way}");
        assert!(!is_alive(tool), "{way}: its tool lives on");
        publishes_what_is_new(way, &space);
    }
}

#[test]
fn a_single_killed_child_of_a_command_takes_the_rest_along() {
    let space = space("sh tool.sh | cat");
    space.edit("p.toml", "command\"\n", "command\"\nretries = 0\n");
    let (mut run, tool) = begun(&space);
    // The shell that waits for both.
    let shell = fs::read_to_string(format!("/proc/{tool}/stat")).ok();
    let Some(shell) = shell.and_then(|stat| stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()) else {
        return eprintln!("skipped: the system tells nothing of processes");
    };
    assert!(kill(shell, "-KILL"));
    assert_eq!(run.wait().unwrap().code(), Some(1));
    assert!(!is_alive(tool), "the tool lives on");
    publishes_what_is_new("shell", &space);
}

#[test]
fn what_a_command_leaves_running_in_a_session_of_its_own_ends_with_it() {
    if !is_linux() {
        return;
    }
    let space = space(
        "setsid sh -c 'echo $$ > pid; sleep 1000' & while [ ! -s pid ]; do sleep 0.02; done; echo done > out.txt",
    );
    assert_eq!(space.outcomes(), ["a:ran"]);
    assert!(!is_alive(space.read("pid").trim().parse().unwrap()));
}

#[test]
fn what_a_worker_started_is_gone_with_a_killed_runner() {
    if !is_linux() {
        return;
    }
    let space = Space::with(training().set("pipeline.device", "cpu"));
    space.write(
        "worker",
        "#!/bin/sh\n[ $1 = --try-weights ] && exit 1\n(setsid sh -c 'echo $$ > pid.part; mv pid.part pid.old; sleep 1000' &)\nsleep 1000\n",
    );
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(space.path("worker"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut run = space.command("p.toml");
    run.env("INTRADA_WORKER", space.path("worker")).stderr(Stdio::piped());
    let mut run = run.spawn().unwrap();
    let child = wait_for("the worker's child", || {
        if run.try_wait().unwrap().is_some() {
            let mut said = String::new();
            std::io::Read::read_to_string(run.stderr.as_mut().unwrap(), &mut said).unwrap();
            panic!("{said}");
        }
        fs::read_to_string(space.path("pid.old")).ok()?.trim().parse().ok()
    });
    run.kill().unwrap();
    run.wait().unwrap();
    ends("worker", child);
}

#[test]
fn a_stopped_supervisor_of_a_killed_runner_is_not_waited_for() {
    if !is_linux() {
        return;
    }
    // Where nobody of its session adopts it, the kernel wakes a stopped process whose parent ends.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    for (way, space) in ways().filter(|(way, _)| *way != "bare") {
        let (mut run, tool) = begun(&space);
        let supervisor = supervisor(&run);
        assert!(stop(supervisor));
        run.kill().unwrap();
        run.wait().unwrap();
        let ran = publishes_what_is_new(way, &space);
        ends(way, tool);
        ends(way, supervisor);
        assert!(ran.stderr.contains("that a killed run had left running"), "{way}: {}", ran.stderr);
    }
}

#[test]
fn a_stopped_run_is_no_killed_one_and_nothing_of_it_is_ended() {
    if !is_linux() {
        return;
    }
    let space = space("sh tool.sh");
    let (mut run, tool) = begun(&space);
    let supervisor = supervisor(&run);
    assert!(stop(supervisor) && stop(run.id()));
    let mut next = space.command("p.toml").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(next.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("waiting")));
    assert!(is_alive(tool) && is_alive(supervisor));
    assert!(kill(run.id(), "-CONT") && kill(supervisor, "-CONT"));
    space.write("go", "");
    assert_eq!(run.wait().unwrap().code(), Some(0));
    said.for_each(drop);
    assert_eq!((next.wait().unwrap().code(), space.read("out.txt").as_str()), (Some(0), "old\n"));
}
