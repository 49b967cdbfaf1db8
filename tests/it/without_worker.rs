//! Jobs that need no tensor, on a machine without a worker: the runner performs them itself, each in a process of its own.

use std::fs;

use crate::pipelines::method;
use crate::space::{Ran, Space};

const WORKER: &str = env!("CARGO_BIN_EXE_intrada-worker");

#[test]
fn what_needs_no_tensor_needs_no_worker_and_gives_the_bytes_that_the_worker_gives() {
    let space = Space::with(method());
    space.run("p.toml entropy");
    // The runner alone, as on a machine without libtorch.
    fs::create_dir(space.path("bin")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_intrada-run"), space.path("bin/intrada-run")).unwrap();
    let mut alone = std::process::Command::new(space.path("bin/intrada-run"));
    alone.args(["p.toml", "pseudo", "--set", "stages.rank.lambda=0.4"]).current_dir(space.path(""));
    let ran = Ran::of(alone.env("NO_COLOR", "1").output().unwrap());
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(!ran.stderr.contains("worker"), "{}", ran.stderr);
    let results = || (space.results("runs/p/rank"), space.results("runs/p/pseudo"));
    let own = results();
    assert!(!own.0.is_empty() && !own.1.is_empty());
    let log = space.intrada("log p.toml rank").stdout;
    assert!(log.contains("ranking `rank`") && log.contains("lambda = 0.4") && log.contains("4 easy, 6 hard"), "{log}");

    space.remove("cache");
    space.remove("runs");
    let mut named = space.command("p.toml pseudo --set stages.rank.lambda=0.4");
    let ran = Ran::of(named.env("INTRADA_WORKER", WORKER).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(own == results(), "the two programs perform these kinds by the same code");
}
