//! Stages on HyperQueue, by the table that docs/cluster.md shows, if there is an `hq` here.
//!
//! Each test has a server and a worker of its own. The laws are those of [`crate::commands`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::commands::{self, System};
use crate::space::waiting::wait_until;

/// A server and a worker with two CPUs.
struct HyperQueue {
    dir: tempfile::TempDir,
    path: OsString,
    daemons: Vec<Child>,
}

/// The search path on which `hq` was found.
fn path_with_hq() -> Option<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin");
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain([own]).collect();
    let is_there = folders.iter().any(|folder| folder.join("hq").is_file());
    is_there.then(|| std::env::join_paths(folders).unwrap())
}

impl HyperQueue {
    fn start() -> Option<HyperQueue> {
        let Some(path) = path_with_hq() else {
            eprintln!("skipped: there is no hq (HyperQueue)");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("intrada-hq-").tempdir().unwrap();
        let mut engine = HyperQueue { dir, path, daemons: Vec::new() };
        engine.daemon("server start --host=localhost");
        wait_until("the server", || engine.hq("server info").output().unwrap().status.success());
        engine.start_worker();
        Some(engine)
    }

    fn start_worker(&mut self) {
        self.daemon("worker start --cpus=2");
        let is_running = |engine: &HyperQueue| {
            let output = engine.hq("--output-mode=quiet worker list").output().unwrap();
            String::from_utf8_lossy(&output.stdout).contains("RUNNING")
        };
        wait_until("a worker", || is_running(self));
    }

    fn daemon(&mut self, arguments: &str) {
        let mut command = self.hq(arguments);
        self.daemons.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    fn hq(&self, arguments: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec hq {arguments}")]).envs(self.environment()).current_dir(self.dir.path());
        command
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![("PATH", self.path.clone()), ("HQ_SERVER_DIR", self.dir.path().join("server").into())]
    }

    /// As the document describes it, but asked more often.
    fn system(&self) -> System {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cluster.md");
        let document = std::fs::read_to_string(document).unwrap();
        let (_, table) =
            document.split_once("```toml\n[executors.hq]\n").expect("docs/cluster.md shows HyperQueue's table");
        let table = table.split("```").next().unwrap();
        let table = format!("\n[executors.batch]\npoll = \"0.2 s\"\nlatency = \"3 s\"\n{table}");
        System::new(table, self.environment(), "hq job cancel", "hq --output-mode=quiet job list --all")
    }
}

impl Drop for HyperQueue {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

#[test]
fn a_pipeline_gives_the_same_bytes_on_hyperqueue() {
    let Some(engine) = HyperQueue::start() else { return };
    commands::gives_the_same_bytes_as_here(&engine.system());
}

#[test]
fn jobs_of_hyperqueue_are_adopted_after_a_kill() {
    let Some(engine) = HyperQueue::start() else { return };
    commands::adopts_the_jobs_of_a_runner_that_was_killed(&engine.system());
}

#[test]
fn jobs_of_hyperqueue_are_cancelled_by_an_interrupt_and_resume() {
    let Some(engine) = HyperQueue::start() else { return };
    commands::cancels_its_jobs_on_an_interrupt_and_goes_on_later(&engine.system());
}

#[test]
fn a_job_of_hyperqueue_that_somebody_cancels_is_not_submitted_again() {
    let Some(engine) = HyperQueue::start() else { return };
    commands::reports_a_job_that_somebody_else_cancelled(&engine.system());
}

#[test]
fn a_failure_on_hyperqueue_says_what_happened_there() {
    let Some(engine) = HyperQueue::start() else { return };
    commands::tells_what_a_failed_stage_printed_on_its_node(&engine.system());
}

#[test]
fn a_worker_of_hyperqueue_that_dies_costs_time_and_no_result() {
    let Some(mut engine) = HyperQueue::start() else { return };
    let system = engine.system();
    commands::survives(&system, || {
        let mut worker = engine.daemons.pop().unwrap();
        worker.kill().unwrap();
        worker.wait().unwrap();
        engine.start_worker();
    });
}
