//! The program's own files in a person's folders, and a person's files in the program's way.
//!
//! What a command's earlier output becomes while the command runs, and what a killed run leaves of that, is never read by a
//! stage. What only a person has is never moved without a word that says where it is.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use crate::pipelines::Pipeline;
use crate::space::processes::kill_with_jobs;
use crate::space::{Ran, Space, files};

/// A cache on another file system than the workspace; `None`, with a reason, where there is none.
fn far_cache(space: &Space) -> Option<tempfile::TempDir> {
    let far = tempfile::tempdir_in("/dev/shm").ok()?;
    if fs::metadata(far.path()).ok()?.dev() == fs::metadata(space.path("")).ok()?.dev() {
        eprintln!("skipped: /dev/shm is on the file system of the workspace");
        return None;
    }
    Some(far)
}

/// One writes into the folder that another reads. With a file `slow` there the first waits before it writes.
fn gather() -> Space {
    let shell = "if [ -e slow ]; then touch begun; while [ -e slow ]; do sleep 0.02; done; fi; cat in.txt > plots/1.txt; \
                 if [ -e late ]; then touch begun; sleep 600; fi";
    let pipeline = Pipeline::new().command("one", shell, ["in.txt"], ["plots/1.txt"]);
    let space =
        Space::with(pipeline.command("gather", "ls -A plots > g.txt; cat plots/* >> g.txt", ["plots"], ["g.txt"]));
    space.write("in.txt", "a\n");
    space
}

/// A run that is killed while stage `one` is at work; `mark` is the file that has it wait.
fn killed(space: &Space, arguments: &str, mark: &str) {
    space.write(mark, "");
    let mut run = space.start(arguments);
    space.wait_for_file("begun");
    kill_with_jobs(&mut run);
    space.remove(mark);
    space.remove("begun");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn contents(files: Vec<PathBuf>) -> Vec<String> {
    files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// `arguments` names the cache; `orphans` is where a person's files are put.
fn a_killed_run_leaves_nothing(space: &Space, arguments: &str, orphans: &str) {
    let run = || {
        let ran = space.intrada(arguments);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran
    };
    run();
    let fresh = space.read("g.txt");
    for mark in ["slow", "late"] {
        space.write("in.txt", "b\n");
        killed(space, arguments, mark);
        space.write("in.txt", "a\n");
        let ran = run();
        assert!(mark == "slow" || ran.stderr.contains("put aside"), "{mark}: {}", ran.stderr);
        assert_eq!(
            (space.read("g.txt"), names(&space.path("plots"))),
            (fresh.clone(), vec!["1.txt".to_owned()]),
            "{mark}"
        );
    }
    // What the killed command had written is nobody's, as far as anybody knows.
    assert_eq!(contents(files(&space.path(orphans))), ["b\n"]);
    fs::remove_dir_all(space.path(orphans)).unwrap();

    // An edit comes back before anything is looked at, whether or not the stage has to run.
    space.write("plots/1.txt", "edited\n");
    space.write("in.txt", "b\n");
    killed(space, arguments, "slow");
    assert!(!space.path("plots/1.txt").exists());
    let ran = run();
    assert_eq!(
        (space.read("g.txt").as_str(), contents(files(&space.path(orphans)))),
        ("1.txt\nb\n", vec!["edited\n".to_owned()])
    );
    assert!(ran.stderr.contains("plots/1.txt") && ran.stderr.contains("orphans/"), "{}", ran.stderr);
    assert_eq!(names(&space.path("plots")), ["1.txt"]);
}

#[test]
fn a_killed_run_leaves_nothing_in_a_folder_that_a_stage_reads() {
    let space = gather();
    a_killed_run_leaves_nothing(&space, "p.toml", "cache/orphans");
}

#[test]
fn a_killed_run_leaves_nothing_where_the_cache_is_on_another_file_system_either() {
    let space = gather();
    let Some(far) = far_cache(&space) else { return };
    a_killed_run_leaves_nothing(
        &space,
        &format!("run p.toml --cache {}/cache", far.path().display()),
        ".intrada/orphans",
    );
    fs::remove_dir_all(space.path(".intrada/orphans")).unwrap();
    assert_eq!(space.intrada(&format!("run p.toml --cache {}/cache --force one", far.path().display())).code, Some(0));
    assert!(!space.path(".intrada").exists(), "it is gone once it is empty");
}

#[test]
fn what_a_killed_restore_was_building_is_no_input_and_goes_with_the_next_run() {
    let space = gather();
    let Some(far) = far_cache(&space) else { return };
    let arguments = format!("run p.toml --cache {}/cache", far.path().display());
    assert_eq!(space.intrada(&arguments).code, Some(0));
    let fresh = space.read("g.txt");
    space.remove("plots/1.txt");
    assert_eq!(space.intrada(&arguments).code, Some(0));
    // As a kill in the middle of a restore leaves it: owned by a process that is no longer there.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let left = format!(".intrada/tmp/{}.{}.x1/new", host.trim(), i32::MAX);
    space.write(&left, "half");
    assert_eq!(space.intrada(&arguments).code, Some(0));
    assert_eq!((space.read("g.txt"), space.path(".intrada").exists()), (fresh, false));
}

fn put_aside(ran: &Ran) -> Vec<(String, String, String)> {
    let text = |event: &serde_json::Value, field: &str| event[field].as_str().unwrap().to_owned();
    let events = ran.events().into_iter().filter(|event| event["event"] == "put-aside");
    events.map(|event| (text(&event, "stage"), text(&event, "output"), text(&event, "to"))).collect()
}

#[test]
fn a_person_s_file_and_an_edit_are_told_of_before_and_when_they_are_moved() {
    let space = gather();
    space.write("plots/1.txt", "my own\n");
    let plan = space.intrada("plan p.toml");
    assert!(plan.stderr.contains("`plots/1.txt` is in the way"), "{}", plan.stderr);
    let plan = space.intrada("plan p.toml --format json");
    assert_eq!(plan.events()[0]["in_the_way"][0], "plots/1.txt", "{}", plan.stdout);
    assert_eq!(space.read("plots/1.txt"), "my own\n");
    let ran = space.intrada("run p.toml --format json");
    let [(stage, output, to)] = &put_aside(&ran)[..] else { panic!("{}", ran.stdout) };
    assert_eq!((stage.as_str(), output.as_str(), space.read(to).as_str()), ("one", "plots/1.txt", "my own\n"));

    // Of a result that comes out of the cache.
    space.write("g.txt", "my notes\n");
    assert!(space.intrada("plan p.toml").stderr.contains("`g.txt` is in the way"));
    let ran = space.intrada("p.toml");
    assert!(ran.stderr.contains("g.txt") && ran.stderr.contains("cache/orphans/g.txt-"), "{}", ran.stderr);
    // Also for whoever wants to hear little.
    space.write("g.txt", "more notes\n");
    let ran = space.intrada("p.toml --quiet");
    assert!(ran.stderr.contains("cache/orphans/g.txt-"), "{}", ran.stderr);
    let mut kept = contents(files(&space.path("cache/orphans")));
    kept.sort();
    assert_eq!(kept, ["more notes\n", "my notes\n", "my own\n"]);
    // What a run itself has made, unedited, is no orphan.
    space.write("in.txt", "b\n");
    let ran = space.intrada("run p.toml --format json");
    assert_eq!((ran.code, put_aside(&ran)), (Some(0), vec![]));
    assert!(!space.intrada("plan p.toml").stderr.contains("in the way"));
}

#[test]
fn of_two_outputs_the_edited_one_alone_is_kept() {
    let space = Space::with(Pipeline::new().command("a", "cat in.txt > x; cat in.txt > y", ["in.txt"], ["x", "y"]));
    space.write("in.txt", "a");
    space.outcomes();
    space.write("in.txt", "b");
    space.write("y", "edited");
    space.outcomes();
    assert_eq!(contents(files(&space.path("cache/orphans"))), ["edited"]);
}

#[test]
fn a_person_s_folder_and_link_are_kept_and_told_of_as_a_file_is() {
    for force in ["p.toml --format json", "p.toml --format json --force a"] {
        let space = Space::with(Pipeline::new().command("a", "echo a > x; echo b > y", [], ["x", "y"]));
        space.outcomes();
        space.remove("x");
        space.remove("y");
        space.write("x/notes", "mine");
        symlink("elsewhere", space.path("y")).unwrap();
        let ran = space.intrada(&format!("run {force}"));
        assert_eq!(
            (ran.code, space.read("x"), space.read("y")),
            (Some(0), "a\n".to_owned(), "b\n".to_owned()),
            "{}",
            ran.stderr
        );
        let told = put_aside(&ran);
        assert_eq!(told.len(), 2, "{}", ran.stdout);
        assert_eq!(contents(files(&space.path(&told[0].2))), ["mine"]);
        assert_eq!(fs::read_link(space.path(&told[1].2)).unwrap(), Path::new("elsewhere"));
    }
}

#[test]
fn the_program_s_own_folder_is_no_part_of_an_input() {
    let space = gather();
    space.write("plots/other.txt", "x");
    space.outcomes();
    space.write("plots/.intrada/aside/left", "x");
    let plan = space.intrada("plan p.toml");
    assert!(!plan.stdout.contains("  run  "), "{}", plan.stdout);
}

#[test]
fn a_command_that_reads_a_folder_with_the_cache_in_it_is_told() {
    let space = Space::with(Pipeline::new().command("a", "ls in > a.txt", ["in"], ["a.txt"]));
    space.write("in/file", "");
    assert!(!space.intrada("p.toml").stderr.contains("warning"));
    let ran = space.intrada("p.toml --cache in/cache");
    assert!(ran.code == Some(0) && ran.stderr.contains("the cache is inside `in`, which `a` reads"), "{}", ran.stderr);
}

#[test]
fn what_a_stage_s_own_killed_or_failed_run_has_left_is_told_as_that() {
    // The shell's parent is the supervisor, and that one's the runner.
    let parent = |of: &str| format!("$(awk '{{print $4}}' /proc/{of}/stat)");
    let kill = format!("kill -9 {}; sleep 100", parent(&parent("$PPID")));
    for end in [kill.as_str(), "exit 3"] {
        if end == kill && !Path::new("/proc/self/stat").exists() {
            continue;
        }
        let space = Space::with(Pipeline::new().command(
            "a",
            "echo $(cat in.txt) > out.txt; sh end.sh",
            ["in.txt"],
            ["out.txt"],
        ));
        space.write("in.txt", "half\n");
        space.write("end.sh", format!("{end}\n"));
        let ran = space.intrada("p.toml");
        assert_ne!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(space.read("out.txt"), "half\n");
        space.write("end.sh", "");
        space.write("in.txt", "whole\n");
        let plan = space.intrada("plan p.toml").stderr;
        assert!(plan.contains("left it incomplete") && !plan.contains("no run made it"), "{plan}");
        let ran = space.intrada("p.toml");
        assert!(ran.stderr.contains("left incomplete by a run of this stage"), "{}", ran.stderr);
        assert_eq!(contents(files(&space.path("cache/orphans"))), ["half\n"]);
        // What a person has edited since is no such thing.
        space.write("out.txt", "edited\n");
        space.write("in.txt", "again\n");
        let ran = space.intrada("run p.toml --format json");
        let events: Vec<_> = ran.events().into_iter().filter(|event| event["event"] == "put-aside").collect();
        assert_eq!((events.len(), &events[0]["unfinished"]), (1, &serde_json::json!(false)), "{}", ran.stdout);
    }
}

#[test]
fn a_person_s_file_that_lay_there_before_a_killed_run_stays_a_person_s() {
    let space = Space::with(Pipeline::new().command("a", "echo half > out.txt; sh end.sh", [], ["out.txt"]));
    space.write("out.txt", "my own\n");
    space.write("end.sh", "exit 3\n");
    assert_eq!(space.intrada("p.toml").code, Some(1));
    assert_eq!(space.read("out.txt"), "my own\n");
    space.write("end.sh", "");
    let ran = space.intrada("p.toml");
    assert!(ran.stderr.contains("was not made by a run"), "{}", ran.stderr);
}
