//! A cache on a file system without locks of the kernel: everything that locks are for holds with renewed ones, too.
//!
//! No such file system can be mounted here, so the kind is chosen by `INTRADA_LOCKS`.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::pipelines::{Pipeline, until};
use crate::space::processes::kill;
use crate::space::waiting::wait_until;
use crate::space::{Space, files};

/// Two commands, the second of which reads what the first wrote. Each notes that it was started.
fn pipeline() -> Pipeline {
    let first = format!("echo x >> began; {}; echo first > a.txt", until("go"));
    let pipeline = Pipeline::new().command("first", &first, [], ["a.txt"]);
    pipeline.command("second", "echo x >> seconds; cat a.txt > b.txt", ["a.txt"], ["b.txt"])
}

fn space() -> Space {
    let space = Space::with(pipeline());
    space.write("cache/locks/kind", "renewed\n");
    std::fs::create_dir_all(space.path("cache/workspaces")).unwrap();
    space
}

fn start(space: &Space) -> Child {
    let mut command = space.command("run p.toml");
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The folders of renewed locks that are held or were left.
fn locks(space: &Space) -> usize {
    let locks = files(&space.path("cache/locks"));
    locks.iter().filter(|path| !path.ends_with("kind")).count()
}

#[test]
fn two_runs_of_one_pipeline_compute_each_stage_once() {
    let space = space();
    let mut runs = [start(&space), start(&space)];
    wait_until("the first stage has begun", || space.path("began").exists());
    space.write("go", "");
    assert!(runs.iter_mut().all(|run| run.wait().unwrap().success()));
    assert_eq!((space.read("began"), space.read("seconds")), ("x\n".to_owned(), "x\n".to_owned()));
    assert_eq!(space.read("b.txt"), "first\n");
    assert_eq!(locks(&space), 0, "{:?}", files(&space.path("cache/locks")));
    assert!(!space.path(".intrada").exists());
    assert_eq!(files(&space.path("cache/tmp")), Vec::<PathBuf>::new());
}

#[test]
fn a_killed_runner_s_stage_is_taken_over_and_its_processes_are_ended() {
    let space = space();
    let mut killed = start(&space);
    wait_until("the first stage has begun", || space.path("began").exists());
    assert!(locks(&space) > 0);
    assert!(kill(killed.id(), "-KILL"));
    killed.wait().unwrap();
    let mut next = start(&space);
    wait_until("the next run has begun it", || space.read("began") == "x\nx\n");
    space.write("go", "");
    assert!(next.wait().unwrap().success());
    assert_eq!(space.read("b.txt"), "first\n");
    assert_eq!(locks(&space), 0, "{:?}", files(&space.path("cache/locks")));
    assert_eq!(space.outcomes(), ["first:up-to-date", "second:up-to-date"]);
}

#[test]
fn gc_beside_a_run_removes_nothing_that_it_has_made() {
    let second = format!("echo x >> seconds; {}; cat a.txt > b.txt", until("done"));
    let first = "echo first > a.txt";
    let pipeline = Pipeline::new().command("first", first, [], ["a.txt"]);
    let space = Space::with(pipeline.command("second", &second, ["a.txt"], ["b.txt"]));
    let mut command = space.command("run p.toml");
    command.env("INTRADA_LOCKS", "renewed");
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the second stage has begun", || space.path("seconds").exists());
    assert_eq!(space.read("cache/locks/kind"), "renewed\n");
    let before = space.objects();
    let gc = space.intrada("cache gc p.toml --max-size 0 --all");
    assert_eq!(gc.code, Some(0), "{}", gc.stderr);
    assert_eq!(space.objects(), before);
    space.write("done", "");
    assert!(run.wait().unwrap().success());
    assert_eq!(space.outcomes(), ["first:up-to-date", "second:up-to-date"]);
    let gc = space.intrada("cache gc p.toml --max-size 0 --all");
    assert_eq!(gc.code, Some(0), "{}", gc.stderr);
    assert_eq!(space.objects(), Vec::<PathBuf>::new());
}

#[test]
fn doctor_says_which_kind_of_locks_a_cache_has_and_a_wish_that_differs_is_refused() {
    let space = space();
    let doctor = space.intrada("doctor");
    assert!(doctor.stdout.contains("ok    locks: renewed files: as the cache says"), "{}", doctor.stdout);
    let refused = space.command("run p.toml").env("INTRADA_LOCKS", "kernel").output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) || refused.status.code() == Some(1), "{told}");
    assert!(told.contains("INTRADA_LOCKS") && told.contains("locks/kind"), "{told}");
    let unknown = space.command("run p.toml --cache other").env("INTRADA_LOCKS", "flock").output().unwrap();
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("`kernel` or `renewed`"));
    assert!(!space.path("other/traces").exists(), "what was made for it is gone");
}
