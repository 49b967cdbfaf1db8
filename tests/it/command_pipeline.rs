//! Pipelines of commands, no tensor anywhere: invalidation, restoring and failing as a person meets them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::pipelines::{Pipeline, until};
use crate::space::Space;
use crate::space::processes::kill;

fn pipeline() -> Pipeline {
    let count = "mkdir -p counted && wc -l < sorted.txt > counted/lines && cp sorted.txt counted/copy && echo counted >> runs.log";
    Pipeline::new()
        .command("upper", "tr a-z A-Z < words.txt > upper.txt; echo upper >> runs.log", ["words.txt"], ["upper.txt"])
        .program(
            "sorted",
            &["sh", "-c", "sort upper.txt > sorted.txt; echo sorted >> runs.log"],
            ["upper.txt"],
            ["sorted.txt"],
        )
        .command("counted", count, ["sorted.txt"], ["counted"])
}

fn chain() -> Space {
    let space = Space::with(pipeline());
    space.write("words.txt", "b\na\nc\n");
    space
}

#[test]
fn the_first_run_runs_everything_in_order_and_the_second_nothing() {
    let space = chain();
    let order: Vec<_> = space.run("p.toml").into_iter().map(|s| (s.stage, s.outcome)).collect();
    let ran = |stage: &str| (stage.to_owned(), "ran".to_owned());
    assert_eq!(order, [ran("upper"), ran("sorted"), ran("counted")]);
    assert_eq!(space.read("counted/copy"), "A\nB\nC\n");
    assert_eq!(space.outcomes(), ["counted:up-to-date", "sorted:up-to-date", "upper:up-to-date"]);
    assert_eq!(space.read("runs.log"), "upper\nsorted\ncounted\n", "nothing ran twice");
}

#[test]
fn a_reader_who_goes_away_changes_neither_the_work_nor_the_exit_status() {
    let space = chain();
    let status = |arguments: &str| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        space.command(arguments).stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap().code()
    };
    assert_eq!(status("p.toml"), Some(0), "as with 2>&1 | head");
    assert_eq!(space.read("counted/copy"), "A\nB\nC\n");
    assert_eq!(status("plan p.toml"), Some(0));
    assert_eq!(status("completions bash"), Some(0));
    assert_eq!(status("p.toml no-such-stage"), Some(2));
    assert_eq!(status("why missing.toml upper"), Some(2));
}

#[test]
fn a_change_that_does_not_reach_the_end_is_cut_off_early() {
    let space = chain();
    space.outcomes();
    space.write("words.txt", "c\nb\na\n"); // sorted, it is as before
    assert_eq!(space.outcomes(), ["counted:up-to-date", "sorted:ran", "upper:ran"]);
}

#[test]
fn comments_order_of_tables_and_touches_invalidate_nothing() {
    let space = chain();
    space.outcomes();
    let pipeline = pipeline();
    let (head, tail) = pipeline.split_once("[stages.sorted]").unwrap();
    let (_, upper) = head.split_once("format = 1").unwrap();
    space.write("p.toml", format!("# moved about\nformat = 1\n[stages.sorted]{tail}\n{upper}"));
    let now = std::time::SystemTime::now();
    std::fs::File::options().append(true).open(space.path("words.txt")).unwrap().set_modified(now).unwrap();
    assert_eq!(space.outcomes(), ["counted:up-to-date", "sorted:up-to-date", "upper:up-to-date"]);
}

#[test]
fn outputs_that_are_missing_or_edited_come_back_from_the_cache() {
    let space = chain();
    space.outcomes();
    space.remove("upper.txt");
    space.write("counted/copy", "edited by hand");
    space.write("counted/added", "by hand");
    assert_eq!(space.outcomes(), ["counted:hit", "sorted:up-to-date", "upper:hit"]);
    assert_eq!(space.read("upper.txt"), "B\nA\nC\n");
    assert_eq!(space.read("counted/copy"), "A\nB\nC\n");
    assert!(!space.path("counted/added").exists());
}

#[test]
fn going_back_to_an_earlier_input_is_a_hit() {
    let space = chain();
    space.outcomes();
    space.write("words.txt", "x\n");
    assert_eq!(space.outcomes(), ["counted:ran", "sorted:ran", "upper:ran"]);
    space.write("words.txt", "b\na\nc\n");
    assert_eq!(space.outcomes(), ["counted:hit", "sorted:hit", "upper:hit"]);
    assert_eq!(space.read("counted/copy"), "A\nB\nC\n");
}

#[test]
fn a_damaged_object_is_noticed_and_its_stage_runs_again() {
    let space = chain();
    space.outcomes();
    for object in space.objects() {
        let mut bytes = std::fs::read(&object).unwrap();
        bytes[0] ^= 1;
        let mut permissions = std::fs::metadata(&object).unwrap().permissions();
        #[allow(clippy::permissions_set_readonly_false, reason = "a file of this test's own folder")]
        permissions.set_readonly(false);
        std::fs::set_permissions(&object, permissions).unwrap();
        std::fs::write(&object, bytes).unwrap();
    }
    space.remove("upper.txt");
    space.remove("sorted.txt");
    space.remove("counted");
    let plan = space.intrada("plan p.toml --format json");
    assert_eq!(plan.events()[0]["decision"], "run", "plan knows it, too: {}", plan.stdout);
    assert_eq!(space.outcomes(), ["counted:ran", "sorted:ran", "upper:ran"]);
    assert_eq!(space.read("counted/copy"), "A\nB\nC\n");
}

#[test]
fn a_failing_stage_fails_the_run_shows_its_log_and_leaves_the_rest_alone() {
    let space = chain();
    space.outcomes();
    space.edit("p.toml", "sort upper.txt", "echo told you >&2; exit 3; sort upper.txt");
    let ran = space.intrada("run p.toml --format json");
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.outcome("sorted").outcome, "failed");
    assert_eq!(ran.outcome("counted").outcome, "skipped");
    let plain = space.intrada("p.toml");
    assert_eq!(plain.code, Some(1));
    assert!(plain.stderr.contains("told you"), "{}", plain.stderr);
    assert!(plain.stderr.contains("exit status 3"), "{}", plain.stderr);
    let log = space.intrada("log p.toml sorted");
    assert_eq!((log.code, log.stdout.as_str()), (Some(0), "told you\n"));
    // What it had made before was put back; moving it about shows in its change time, so it is read once more.
    space.write("p.toml", pipeline());
    assert_eq!(space.outcomes(), ["counted:up-to-date", "sorted:up-to-date", "upper:up-to-date"]);
}

#[test]
fn independent_branches_go_on_after_a_failure() {
    let space = chain();
    space.write("p.toml", pipeline().command("broken", "exit 1", [], ["never"]));
    let ran = space.intrada("run p.toml --format json");
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.outcome("counted").outcome, "ran");
    assert_eq!(ran.outcome("broken").outcome, "failed");
}

#[test]
fn a_declared_output_that_is_not_written_is_an_error_that_names_it() {
    let space = Space::with(Pipeline::new().command("a", "true", [], ["out.txt"]));
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("out.txt"), "{}", ran.stderr);
}

#[test]
fn a_declared_variable_enters_the_key_and_an_undeclared_one_is_not_seen() {
    let pipeline = Pipeline::new().command("a", "echo $SEEN $UNSEEN > out", [], ["out"]);
    let space = Space::with(pipeline.set("stages.a.env", ["SEEN"]));
    let run = |seen: &str| {
        let mut command = space.command("run p.toml --format json");
        crate::space::Ran::of(command.env("SEEN", seen).env("UNSEEN", "x").output().unwrap()).outcome("a").outcome
    };
    assert_eq!([run("1"), run("1"), run("2"), run("1")], ["ran", "up-to-date", "ran", "hit"]);
    assert_eq!(space.read("out"), "1\n");
}

#[test]
fn named_stages_run_with_what_they_need_and_nothing_else() {
    let space = chain();
    let stages: Vec<_> = space.run("p.toml sorted").into_iter().map(|s| s.stage).collect();
    assert_eq!(stages, ["upper", "sorted"]);
}

#[test]
fn force_runs_a_stage_again_and_early_cutoff_spares_the_rest() {
    let space = chain();
    space.outcomes();
    let mut all: Vec<_> =
        space.run("p.toml --force upper").iter().map(|s| format!("{}:{}", s.stage, s.outcome)).collect();
    all.sort();
    assert_eq!(all, ["counted:up-to-date", "sorted:up-to-date", "upper:ran"]);
}

#[test]
fn why_names_what_changed_down_to_the_file() {
    let space = chain();
    assert!(space.intrada("why p.toml upper").stdout.contains("has not run in this workspace"));
    space.outcomes();
    assert!(space.intrada("why p.toml upper").stdout.contains("up to date"));
    space.write("words.txt", "other\n");
    let why = space.intrada("why p.toml upper");
    assert_eq!(why.code, Some(0));
    assert!(why.stdout.contains("words.txt"), "{}", why.stdout);
    assert!(why.stdout.ends_with("same  kind, revision, shell, upper.txt\n"), "{}", why.stdout);
}

#[test]
fn why_names_a_result_in_the_cache_that_is_nearer_than_the_last_one() {
    let space = chain();
    space.outcomes();
    space.edit("p.toml", "tr a-z A-Z < words.txt", "tr a-y A-Y < words.txt");
    space.write("words.txt", "other\n");
    space.outcomes();
    // The words as they were, and another program: from the last run both differ, from the first only the program.
    space.write("words.txt", "b\na\nc\n");
    space.edit("p.toml", "tr a-y A-Y < words.txt", "tr a-x A-X < words.txt");
    let why = space.intrada("why p.toml upper").stdout;
    assert!(why.starts_with("upper runs: 2 of "), "{why}");
    let last = why.lines().last().unwrap();
    assert!(last.starts_with("nearest in the cache: ") && last.ends_with(", differs in shell only"), "{why}");
}

#[test]
fn an_executable_bit_alone_is_told_from_content() {
    let space = Space::with(pipeline().replace("[\"words.txt\"]", "[\"in\"]").replace("< words.txt", "< in/words.txt"));
    space.write("in/words.txt", "b\n");
    space.outcomes();
    let path = space.path("in/words.txt");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let why = space.intrada("why p.toml upper").stdout;
    assert!(why.contains("all files are unchanged; an executable bit,"), "{why}");
}

#[test]
fn plan_changes_nothing_and_says_what_would_happen() {
    let space = chain();
    let decisions = |ran: crate::space::Ran| -> Vec<String> {
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.events()
            .iter()
            .map(|e| format!("{}:{}", e["stage"].as_str().unwrap(), e["decision"].as_str().unwrap()))
            .collect()
    };
    let plan = || decisions(space.intrada("plan p.toml --format json"));
    assert_eq!(plan(), ["upper:run", "sorted:depends", "counted:depends"]);
    assert!(!space.path("upper.txt").exists() && !space.path("cache").exists());
    space.outcomes();
    assert_eq!(plan(), ["upper:up-to-date", "sorted:up-to-date", "counted:up-to-date"]);
    space.remove("counted");
    assert_eq!(plan(), ["upper:up-to-date", "sorted:up-to-date", "counted:hit"]);
    space.write("words.txt", "x\n");
    assert_eq!(plan(), ["upper:run", "sorted:depends", "counted:depends"]);
}

#[test]
fn another_pipeline_with_the_same_work_reuses_it() {
    let space = chain();
    space.outcomes();
    space.write("q.toml", pipeline().replace("stages.upper", "stages.capitals"));
    let settled = space.run("q.toml");
    assert!(settled.iter().all(|s| s.outcome != "ran"), "{settled:?}");
}

#[test]
fn a_built_runner_works_from_any_folder() {
    let space = chain();
    let mut command = space.command("");
    let ran = crate::space::Ran::of(command.arg(space.path("p.toml")).current_dir("/").output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(space.read("sorted.txt"), "A\nB\nC\n");
}

#[test]
fn the_shipped_example_of_commands_runs_without_a_worker() {
    let space = Space::new();
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for name in ["words.toml", "words.txt"] {
        space.write(&format!("examples/{name}"), std::fs::read(examples.join(name)).unwrap());
    }
    std::fs::create_dir_all(space.path("cache")).unwrap();
    let tag = std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cache/CACHEDIR.TAG")).unwrap();
    space.write("cache/CACHEDIR.TAG", tag);
    let mut command = space.command("examples/words.toml");
    let ran = crate::space::Ran::of(command.env("INTRADA_WORKER", "/nowhere").output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(space.read("examples/out/count.txt").trim(), "8");
}

#[test]
fn init_writes_a_pipeline_that_is_right_and_never_overwrites() {
    let space = Space::new();
    let ran = space.intrada("init mine");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(space.path("mine/pipeline.schema.json").exists());
    let plan = space.intrada("plan mine/pipeline.toml --format json");
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    assert!(plan.events().len() >= 7);
    space.write("mine/pipeline.toml", "mine");
    assert_eq!(space.intrada("init mine").code, Some(2));
    assert_eq!(space.read("mine/pipeline.toml"), "mine");
}

#[test]
fn the_schema_and_completions_are_printed() {
    let space = Space::new();
    let schema: serde_json::Value = serde_json::from_str(&space.intrada("schema").stdout).unwrap();
    assert!(schema["properties"]["stages"].is_object());
    assert!(space.intrada("completions bash").stdout.contains("intrada-run"));
}

#[test]
fn a_command_that_ends_well_when_it_is_asked_to_stop_is_not_done() {
    let space = Space::with(Pipeline::new().command(
        "a",
        "trap 'exit 0' TERM; echo half > out; i=0; while [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done",
        [],
        ["out"],
    ));
    let run = space.command("run p.toml --format json").stdout(Stdio::piped()).spawn().unwrap();
    space.wait_for_file("out");
    assert!(kill(run.id(), "-INT"));
    let ran = crate::space::Ran::of(run.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.outcome("a").outcome.as_str()), (Some(130), "cancelled"));
    let plan = space.intrada("plan p.toml --format json");
    assert_eq!(plan.events()[0]["decision"], "run");
}

#[test]
fn an_interrupt_says_of_every_stage_what_became_of_it() {
    let pipeline = Pipeline::new().command("a", "touch started; sleep 60", [], ["a"]);
    let space = Space::with(pipeline.command("b", "cp a b", ["a"], ["b"]));
    let run = space.command("run p.toml --format json").stdout(Stdio::piped()).spawn().unwrap();
    space.wait_for_file("started");
    assert!(kill(run.id(), "-INT"));
    let ran = crate::space::Ran::of(run.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130));
    assert_eq!(ran.settled().len(), 2, "{}", ran.stdout);
    assert_eq!(ran.outcome("a").outcome, "cancelled");
}

#[test]
fn an_output_that_is_no_file_is_an_error_and_no_hang() {
    let space = Space::with(Pipeline::new().command("a", "mkfifo pipe", [], ["pipe"]));
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("pipe"), "{}", ran.stderr);
}

#[test]
fn nobody_reading_the_answer_is_no_crash() {
    let space = chain();
    for arguments in ["plan p.toml", "graph p.toml", "why p.toml upper", "schema"] {
        let mut child = space.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments}");
    }
}

#[test]
fn a_file_that_only_a_person_has_is_kept_when_a_command_replaces_it() {
    let space = chain();
    space.write("upper.txt", "written by hand");
    space.outcomes();
    let orphans = crate::space::files(&space.path("cache/orphans"));
    assert_eq!(
        orphans.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<Vec<_>>(),
        ["written by hand"]
    );
}

#[test]
fn a_failure_says_what_the_system_answered() {
    let space = Space::with(Pipeline::new().command("a", "ln -s nowhere out", [], ["out"]));
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("No such file"), "{}", ran.stderr);
}

#[test]
fn a_result_of_an_input_that_was_edited_meanwhile_is_not_kept() {
    let space = Space::with(Pipeline::new().command(
        "a",
        "touch started; while [ -e wait ]; do sleep 0.02; done; cat in > out",
        ["in"],
        ["out"],
    ));
    space.write("in", "old");
    space.write("wait", "");
    let run = space.command("run p.toml --format json").stdout(Stdio::piped()).spawn().unwrap();
    space.wait_for_file("started");
    space.write("in", "new");
    space.remove("wait");
    let ran = crate::space::Ran::of(run.wait_with_output().unwrap());
    assert_eq!(ran.outcome("a").outcome, "failed");
    assert!(ran.outcome("a").reason.contains("`in` changed"), "{}", ran.stdout);
    space.write("in", "old");
    assert_eq!(space.outcomes(), ["a:ran"]);
    assert_eq!(space.read("out"), "old");
}

#[test]
fn two_runs_that_write_to_one_place_take_turns_and_keep_their_own_bytes() {
    let space = Space::new();
    for (name, word) in [("p", "A"), ("q", "B")] {
        let shell = format!("echo {word} > out; touch {name}.started; {}; cat out > copy; mv copy out", until("go"));
        space.write(&format!("{name}.toml"), Pipeline::new().command("a", &shell, [], ["out"]));
    }
    let mut first = space.start("p.toml");
    space.wait_for_file("p.started");
    let mut second = space.command("q.toml").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(second.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("waiting")));
    space.write("go", "");
    said.for_each(drop);
    assert_eq!((first.wait().unwrap().code(), second.wait().unwrap().code()), (Some(0), Some(0)));
    for (name, word) in [("p", "A"), ("q", "B")] {
        let settled = space.run(&format!("{name}.toml"));
        assert_ne!(settled[0].outcome, "ran");
        assert_eq!(space.read("out").trim(), word);
    }
}

#[test]
fn what_a_killed_runner_had_moved_aside_is_not_lost() {
    let space = chain();
    space.write("upper.txt", "written by hand");
    space.edit("p.toml", "tr a-z A-Z <", "touch started; while [ -e wait ]; do sleep 0.02; done; tr a-z A-Z <");
    space.write("wait", "");
    let mut run = space.start("p.toml");
    space.wait_for_file("started");
    crate::space::processes::kill_with_jobs(&mut run);
    space.remove("wait");
    assert_eq!(space.outcomes(), ["counted:ran", "sorted:ran", "upper:ran"]);
    let orphans = crate::space::files(&space.path("cache/orphans"));
    let kept: Vec<String> = orphans.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert_eq!(kept, ["written by hand"], "the command was still waiting when it ended with its runner");
}

#[test]
fn what_a_run_answers_goes_to_stdout_and_what_it_says_on_the_way_to_stderr() {
    let space = Space::with(Pipeline::new().command("a", "echo x > a", [], ["a"]));
    let ran = space.intrada("p.toml");
    assert!(ran.stdout.starts_with("Finished 1 stage in ") && ran.stdout.ends_with(": 1 ran\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("ran        a") && !ran.stderr.contains("Finished"), "{}", ran.stderr);
    assert_eq!(space.intrada("run p.toml --quiet").stdout, "");
}

#[test]
fn a_touched_file_is_read_once_though_nothing_has_to_run() {
    let space = chain();
    space.outcomes();
    let index = || {
        let files = crate::space::files(&space.path("cache/workspaces"));
        let index = files.iter().find(|path| path.ends_with("index")).unwrap();
        std::fs::read(index).unwrap()
    };
    let before = index();
    let hour = std::time::Duration::from_secs(3600);
    let file = std::fs::File::open(space.path("words.txt")).unwrap();
    file.set_modified(std::time::SystemTime::now() - hour).unwrap();
    // Longer than a tick of the clock: before that, a file is read again each time.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let nothing = ["counted:up-to-date", "sorted:up-to-date", "upper:up-to-date"];
    assert_eq!(space.outcomes(), nothing);
    let after = index();
    assert!(before != after, "what was read is kept");
    assert_eq!(space.outcomes(), nothing);
    assert!(after == index(), "and not read again");
}
