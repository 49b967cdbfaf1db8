//! A command computes from what its key says, or its result is not kept: whatever is edited, swapped, put back, or put in its
//! place by another run of the workspace while it waits, reads and ends.
//!
//! Who acts when is agreed on by files that the commands make and wait for, so nothing depends on who is quicker. The storm at
//! the end is random; what it asserts holds for any order. `INTRADA_ROUNDS=100 cargo test --test it guard::` is its long form, and
//! `INTRADA_SEED` repeats its moments as far as the machine lets it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::pipelines::{Pipeline, until};
use crate::space::Space;
use crate::space::chance::{Chance, number};
use crate::space::processes::{descendants, kill, kill_with_jobs};

fn scene() -> Space {
    let shell = format!("touch begun; {}; cat in/file in/link > out.txt; touch done; {}", until("read"), until("end"));
    let space = Space::with(Pipeline::new().command("a", &shell, ["in"], ["out.txt"]));
    space.write("in/file", "one");
    space.write("in/target", "one");
    space.write("in/other", "two");
    symlink("target", space.path("in/link")).unwrap();
    space
}

/// Waits for a file that a command makes, and takes it away.
fn wait_for(space: &Space, name: &str) {
    space.wait_for_file(name);
    space.remove(name);
}

/// Changes something while the command has begun and reads, and changes it back before it ends. Answers with what the
/// workspace gives afterwards, undisturbed, and how often the command was begun.
fn disturbed(change: impl Fn(&Path), back: impl Fn(&Path)) -> (String, bool) {
    let space = scene();
    let mut child = space.start("p.toml");
    wait_for(&space, "begun");
    change(&space.path("in"));
    space.write("read", "");
    wait_for(&space, "done");
    back(&space.path("in"));
    space.write("end", "");
    child.wait().unwrap();
    let again = space.path("begun").exists();
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    space.remove("out.txt");
    assert_eq!(space.outcomes(), ["a:hit"]);
    (space.read("out.txt"), again)
}

#[test]
fn what_was_changed_read_and_changed_back_is_never_the_result_of_the_key() {
    type Change = fn(&Path);
    let changes: [(&str, Change, Change); 7] = [
        (
            "a file that came and went",
            |top| std::fs::write(top.join("file"), "two").and_then(|()| std::fs::write(top.join("new"), "")).unwrap(),
            |top| std::fs::write(top.join("file"), "one").and_then(|()| std::fs::remove_file(top.join("new"))).unwrap(),
        ),
        (
            "written",
            |top| std::fs::write(top.join("file"), "two").unwrap(),
            |top| std::fs::write(top.join("file"), "one").unwrap(),
        ),
        (
            "swapped by rename",
            |top| {
                std::fs::rename(top.join("file"), top.join("kept")).unwrap();
                std::fs::rename(top.join("other"), top.join("file")).unwrap();
            },
            |top| {
                std::fs::rename(top.join("file"), top.join("other")).unwrap();
                std::fs::rename(top.join("kept"), top.join("file")).unwrap();
            },
        ),
        (
            "written with its old times",
            |top| rewritten(&top.join("file"), "two"),
            |top| rewritten(&top.join("file"), "one"),
        ),
        ("a link", |top| linked(top, "other"), |top| linked(top, "target")),
        (
            "behind a link",
            |top| std::fs::write(top.join("target"), "two").unwrap(),
            |top| std::fs::write(top.join("target"), "one").unwrap(),
        ),
        (
            "gone for a moment",
            |top| {
                std::fs::rename(top.join("file"), top.join("away"))
                    .and_then(|()| std::fs::write(top.join("file"), "two"))
                    .unwrap()
            },
            |top| std::fs::rename(top.join("away"), top.join("file")).unwrap(),
        ),
    ];
    for (name, change, back) in changes {
        let (result, _) = disturbed(change, back);
        assert_eq!(result, "oneone", "{name}");
    }
}

fn kill_all(processes: &[u32]) {
    for process in processes {
        kill(*process, "-KILL");
    }
}

/// Writes a file and gives it its old times back.
fn rewritten(path: &Path, text: &str) {
    let modified = path.metadata().unwrap().modified().unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::File::open(path).unwrap().set_modified(modified).unwrap();
}

fn linked(top: &Path, target: &str) {
    std::fs::remove_file(top.join("link")).unwrap();
    symlink(target, top.join("link")).unwrap();
}

#[test]
fn a_touch_alone_has_the_command_run_again_by_itself() {
    let (result, again) = disturbed(|_| {}, |top| rewritten(&top.join("file"), "one"));
    assert_eq!(result, "oneone");
    assert!(again, "the command was begun a second time in the same run");
    let (result, again) = disturbed(|_| {}, |_| {});
    assert_eq!((result.as_str(), again), ("oneone", false));
}

#[test]
fn a_command_that_sets_the_mode_of_what_it_reads_is_not_refused_for_ever() {
    let space = Space::with(Pipeline::new().command("a", "chmod 755 tool; ./tool > out.txt", ["tool"], ["out.txt"]));
    space.write("tool", "#!/bin/sh\necho done\n");
    space.command("plan p.toml").status().unwrap();
    std::process::Command::new("chmod").args(["755", "tool"]).current_dir(space.path("")).status().unwrap();
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("runs again, as `tool` was touched"), "{}", ran.stderr);
}

#[test]
fn what_a_killed_command_kept_from_an_edit_that_was_taken_back_is_not_resumed_from() {
    let space = Space::with(Pipeline::new().command(
        "a",
        &format!(
            "[ -e $INTRADA_CKPT/state ] || {{ cat in.txt > $INTRADA_CKPT/new; mv $INTRADA_CKPT/new $INTRADA_CKPT/state; }}
            touch begun; {}; cat $INTRADA_CKPT/state > out.txt",
            until("end")
        ),
        ["in.txt"],
        ["out.txt"],
    ));
    space.write("in.txt", "one");
    let mut child = space.start("p.toml");
    wait_for(&space, "begun");
    let jobs = descendants(child.id());
    kill(child.id(), "-KILL");
    kill_all(&jobs);
    child.wait().unwrap();

    // Nothing was touched: it goes on from what it kept.
    space.write("end", "");
    let kept = std::fs::read_dir(space.path("cache/slots")).unwrap().next().unwrap().unwrap().path();
    let slot = kept.with_extension("").join("state");
    std::fs::write(&slot, "kept").unwrap();
    assert_eq!(space.intrada("p.toml").code, Some(0));
    assert_eq!(space.read("out.txt"), "kept");

    space.remove("end");
    space.remove("begun");
    let mut child = space.start("run p.toml --force a");
    wait_for(&space, "begun");
    let jobs = descendants(child.id());
    kill(child.id(), "-KILL");
    kill_all(&jobs);
    child.wait().unwrap();
    space.write("in.txt", "two");
    space.write("in.txt", "one");
    std::fs::write(&slot, "made of the edit").unwrap();
    space.write("end", "");
    let ran = space.intrada("run p.toml --force a");
    assert_eq!((ran.code, space.read("out.txt").as_str()), (Some(0), "one"), "{}", ran.stderr);
    assert!(ran.stderr.contains("starts from the beginning"), "{}", ran.stderr);
}

#[test]
fn two_runs_with_other_values_each_end_right() {
    let space = Space::with(
        Pipeline::new()
            .program("a", &["sh", "-c", "echo $0 > a.txt", "first"], [], ["a.txt"])
            .command("slow", &format!("touch begun; {}; echo s > s.txt", until("go")), [], ["s.txt"])
            .command("b", "cat a.txt s.txt > b.txt", ["a.txt", "s.txt"], ["b.txt"])
            .command("gather", "cat made/* > g.txt", ["made", "s.txt"], ["g.txt"])
            .program("made", &["sh", "-c", "echo $0 > made/1.txt", "first"], [], ["made/1.txt"]),
    );
    let mut first = space.start("p.toml");
    wait_for(&space, "begun");
    space.wait_for_file("a.txt");
    space.wait_for_file("made/1.txt");
    let set = r#"run p.toml a made --quiet --set stages.a.command=["sh","-c","echo\u0020$0>a.txt","second"] --set stages.made.command=["sh","-c","echo\u0020$0>made/1.txt","second"]"#;
    assert_eq!(space.intrada(set).code, Some(0));
    assert_eq!(space.read("a.txt"), "second\n");
    space.write("go", "");
    assert_eq!(first.wait().unwrap().code(), Some(0), "the first run ends well, too");
    assert_eq!(space.read("b.txt"), "first\ns\n");
    assert_eq!(space.read("g.txt"), "first\n");
    assert_eq!(space.intrada("p.toml").code, Some(0));
    assert_eq!((space.read("a.txt"), space.read("b.txt")), ("first\n".to_owned(), "first\ns\n".to_owned()));
}

/// Commands with children behind a pipe, a folder that another stage writes into, and one that resumes. A part that is
/// killed fails them: what a shell swallows nobody else can know.
fn storm_pipeline() -> Pipeline {
    let resumes = "[ -e $INTRADA_CKPT/seen ] || { cat made/* > $INTRADA_CKPT/new; mv $INTRADA_CKPT/new $INTRADA_CKPT/seen; }; \
                   sleep 0.05; cat $INTRADA_CKPT/seen | tee g.txt > /dev/null";
    let bash = |line: &'static str| ["bash", "-e", "-o", "pipefail", "-c", line];
    let valued = |line: &'static str| [&bash(line)[..], &["x"]].concat();
    Pipeline::new()
        .program("a", &valued("(cat in.txt; sleep 0.05; echo $0) | tee a.txt | tail -1"), ["in.txt"], ["a.txt"])
        .program(
            "part",
            &valued("sleep 0.02; (cat in.txt; echo $0) | tee made/part.txt > /dev/null"),
            ["in.txt"],
            ["made/part.txt"],
        )
        .program("gather", &bash(resumes), ["made"], ["g.txt"])
        .program(
            "b",
            &bash("cat a.txt g.txt in.txt | (sleep 0.05; cat > b.txt)"),
            ["a.txt", "g.txt", "in.txt"],
            ["b.txt"],
        )
}

fn with_value(value: &str) -> String {
    let set = |stage: &str, line: &str| {
        format!(r#" --set stages.{stage}.command=["bash","-e","-o","pipefail","-c","{line}","{value}"]"#)
            .replace("+", "\\u0020")
    };
    format!(
        "run p.toml --quiet{}{}",
        set("a", "(cat+in.txt;+sleep+0.05;+echo+$0)+|+tee+a.txt+|+tail+-1"),
        set("part", "sleep+0.02;+(cat+in.txt;+echo+$0)+|+tee+made/part.txt+>+/dev/null"),
    )
}

#[test]
fn in_a_storm_of_runs_edits_and_kills_no_wrong_result_is_published() {
    storm(|_| "cache");
}

#[test]
fn in_a_storm_of_runs_with_a_cache_each_which_are_deleted_at_any_time_no_wrong_result_is_published() {
    storm(|value| if value == "x" { "cache" } else { "other" });
}

/// Two runs with other values at a time, each with its cache, while files are edited, processes killed and, where there are two,
/// caches deleted.
fn storm(cache: impl Fn(&str) -> &'static str) {
    let deletes = cache("x") != cache("y");
    let with_value = |value: &str| format!("{} --cache {}", with_value(value), cache(value));
    let (rounds, seed) = (number("INTRADA_ROUNDS").unwrap_or(8), number("INTRADA_SEED").unwrap_or(1));
    let mut chance = Chance(seed);
    let space = Space::with(storm_pipeline());
    let (values, contents) = (["x", "y"], ["1", "2", "3"]);
    space.write("in.txt", contents[0]);
    for _ in 0..rounds {
        let mut runs: Vec<Child> = values.iter().map(|value| space.start(&with_value(value))).collect();
        for _ in 0..1 + chance.one_of(6) {
            std::thread::sleep(Duration::from_millis(chance.one_of(120) as u64));
            match chance.one_of(if deletes { 6 } else { 5 }) {
                5 => {
                    // What is made in it meanwhile makes this fail now and then.
                    let _ = std::fs::remove_dir_all(space.path(cache(values[chance.one_of(values.len())])));
                }
                0 | 1 => space.write("in.txt", contents[chance.one_of(contents.len())]),
                2 => {
                    let before = space.bytes("in.txt");
                    space.write("in.txt", contents[chance.one_of(contents.len())]);
                    std::thread::sleep(Duration::from_millis(chance.one_of(60) as u64));
                    space.write("in.txt", before);
                }
                victim => {
                    let run = &runs[chance.one_of(runs.len())];
                    let below = descendants(run.id());
                    let victims = match victim {
                        3 => vec![run.id()],
                        _ if below.is_empty() => Vec::new(),
                        _ => vec![below[chance.one_of(below.len())]],
                    };
                    kill_all(&victims);
                }
            }
        }
        for run in &mut runs {
            run.wait().unwrap();
        }
    }
    // Whatever was published is served now.
    for content in contents {
        space.write("in.txt", content);
        for value in values {
            // An edit that failed a stage before is no longer there, so at most one more run is needed.
            let ran = space.intrada(&with_value(value));
            assert_eq!(ran.code, Some(0), "seed {seed}: {}", ran.stderr);
            let a = format!("{content}{value}\n");
            let found = ["a.txt", "made/part.txt", "g.txt", "b.txt"].map(|name| space.read(name));
            assert_eq!(found, [a.clone(), a.clone(), a.clone(), format!("{a}{a}{content}")], "seed {seed}");
        }
    }
    for value in values {
        let ran = space.intrada(&format!("cache verify --cache {}", cache(value)));
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn two_runs_with_other_caches_keep_each_other_s_places_apart() {
    let line = format!("echo $0 > a.txt; touch begun; {}", until("go"));
    let space = Space::with(Pipeline::new().program("a", &["sh", "-c", &line, "first"], [], ["a.txt"]));
    let mut first = space.start("p.toml");
    wait_for(&space, "begun");
    let set = r#"p.toml --cache other --set stages.a.command=["sh","-c","echo\u0020$0>a.txt","second"]"#;
    let mut second = space.command(set).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It says so when it has to wait.
    let said = BufReader::new(second.stderr.take().unwrap());
    assert!(said.lines().any(|line| line.unwrap().contains("waiting")));
    assert_eq!(space.read("a.txt"), "first\n");
    space.write("go", "");
    assert_eq!((first.wait().unwrap().code(), second.wait().unwrap().code()), (Some(0), Some(0)));
    for (arguments, text) in [("p.toml", "first\n"), (set, "second\n")] {
        assert_eq!(space.intrada(arguments).code, Some(0));
        assert_eq!(space.read("a.txt"), text);
    }
    assert!(!space.path(".intrada").exists());
}

#[test]
fn a_run_that_comes_after_the_claims_were_deleted_waits_all_the_same() {
    let shell = format!(
        "x=$(cat in.txt); touch begun.$x; [ $x = one ] || echo $x > out.txt; {}; [ $x != one ] || echo $x > out.txt",
        until("go.$x")
    );
    let space = Space::with(Pipeline::new().command("a", &shell, ["in.txt"], ["out.txt"]));
    space.write("in.txt", "one");
    let mut first = space.start("p.toml");
    wait_for(&space, "begun.one");
    space.remove(".intrada");
    space.write("in.txt", "two");
    let mut second =
        space.command("p.toml --cache other").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(second.stderr.take().unwrap());
    assert!(said.lines().any(|line| line.unwrap().contains("waiting")));
    space.write("go.one", "");
    first.wait().unwrap();
    space.write("go.two", "");
    assert_eq!(second.wait().unwrap().code(), Some(0));
    assert_eq!(space.read("out.txt"), "two\n");
}

#[test]
fn workspaces_within_one_another_and_linked_ones_keep_each_other_s_places_apart() {
    let stage = |output: &str| {
        let line = format!("echo $0 > {output}; touch begun; {}", until("go"));
        Pipeline::new().program("a", &["sh", "-c", &line, "x"], [], [output])
    };
    for (outer, inner) in [("sub/out.txt", "out.txt"), ("lk/out.txt", "out.txt")] {
        let space = Space::with(stage(outer));
        std::fs::create_dir_all(space.path("sub/cache")).unwrap();
        symlink("sub", space.path("lk")).unwrap();
        space.write("sub/q.toml", stage(inner));
        let mut first = space.start("p.toml --cache one");
        wait_for(&space, "begun");
        let mut second = space.command("q.toml --cache ../two");
        second.current_dir(space.path("sub")).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut second = second.spawn().unwrap();
        let said = BufReader::new(second.stderr.take().unwrap());
        assert!(said.lines().any(|line| line.unwrap().contains("waiting")), "{outer}");
        space.write("go", "");
        assert_eq!(first.wait().unwrap().code(), Some(0), "{outer}");
        space.write("sub/go", "");
        assert_eq!(second.wait().unwrap().code(), Some(0), "{outer}");
    }
}

#[test]
fn a_stage_whose_way_to_its_output_was_changed_while_it_ran_keeps_nothing() {
    let space = Space::with(Pipeline::new().command(
        "a",
        &format!("echo right > cur/o.txt; touch begun; {}", until("go")),
        [],
        ["cur/o.txt"],
    ));
    space.write("one/x", "");
    space.write("two/o.txt", "stale");
    symlink("one", space.path("cur")).unwrap();
    let mut run = space.start("p.toml");
    wait_for(&space, "begun");
    std::fs::remove_file(space.path("cur")).unwrap();
    symlink("two", space.path("cur")).unwrap();
    space.write("go", "");
    assert_eq!(run.wait().unwrap().code(), Some(1));
    assert_eq!((space.outcomes(), space.read("cur/o.txt")), (vec!["a:ran".to_owned()], "right\n".to_owned()));
}

#[test]
fn a_link_in_an_output_that_leads_out_of_it_is_told_and_one_within_is_not() {
    let space = Space::with(Pipeline::new().command(
        "a",
        "mkdir d; echo x > d/x; ln -s x d/within; ln -s ../other d/out; ln -s nowhere d/dead",
        [],
        ["d"],
    ));
    space.write("other", "o");
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("warning")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("warning: a gave `d/out`, a link out of its output"), "{told:?}");
}

#[test]
fn whoever_reads_through_a_link_out_of_an_output_runs_again_when_that_changes() {
    let space = Space::with(
        Pipeline::new()
            .command(
                "farm",
                "mkdir farm; ln -s ../data/one.txt farm/1; ln -s ../data/more farm/more; ln -s 1 farm/within",
                [],
                ["farm"],
            )
            .command(
                "read",
                "cat farm/1 farm/within farm/more/* > read.txt; touch begun; while [ -e wait ]; do sleep 0.01; done",
                ["farm"],
                ["read.txt"],
            ),
    );
    space.write("data/one.txt", "1");
    space.write("data/more/two.txt", "2");
    assert_eq!(space.outcomes(), ["farm:ran", "read:ran"]);
    assert_eq!(space.outcomes(), ["farm:up-to-date", "read:up-to-date"]);
    space.write("data/one.txt", "3");
    let why = space.intrada("why p.toml read").stdout;
    assert!(why.contains("behind the link 1"), "{why}");
    assert_eq!(space.outcomes(), ["farm:up-to-date", "read:ran"]);
    assert_eq!(space.read("read.txt"), "332");
    space.write("data/more/new.txt", "0");
    assert_eq!(
        (space.outcomes(), space.read("read.txt").as_str()),
        (vec!["farm:up-to-date".into(), "read:ran".into()], "3302")
    );
    space.remove("data/more/new.txt");
    space.write("data/one.txt", "1");
    space.remove("farm");
    assert_eq!(space.outcomes(), ["farm:hit", "read:hit"]);
    assert_eq!(space.read("read.txt"), "112");
    // While it is read it is guarded as what is read directly.
    space.write("data/one.txt", "4");
    space.write("wait", "");
    space.remove("begun");
    let mut run = space.start("p.toml");
    wait_for(&space, "begun");
    space.write("data/one.txt", "5");
    space.remove("wait");
    assert_eq!(run.wait().unwrap().code(), Some(1));
    assert_eq!(space.outcomes(), ["farm:up-to-date", "read:ran"]);
    assert_eq!(space.read("read.txt"), "552");
}

#[test]
fn a_link_on_the_way_to_an_output_that_leads_elsewhere_for_a_moment_has_the_command_run_again() {
    let shell = format!(
        "touch begun; {}; rm write; echo right > cur/o.txt; touch done; {}; rm end",
        until("write"),
        until("end")
    );
    let space = Space::with(Pipeline::new().command("a", &shell, [], ["cur/o.txt"]));
    space.write("one/x", "");
    space.write("two/x", "");
    symlink("one", space.path("cur")).unwrap();
    let mut run = space.start("p.toml");
    for is_first in [true, false] {
        wait_for(&space, "begun");
        if is_first {
            relinked(&space.path("cur"), "two");
        }
        space.write("write", "");
        wait_for(&space, "done");
        if is_first {
            relinked(&space.path("cur"), "one");
            // Without it there would be no output at all, which fails by itself.
            space.write("one/o.txt", "stale");
        }
        space.write("end", "");
    }
    assert_eq!((run.wait().unwrap().code(), space.read("cur/o.txt")), (Some(0), "right\n".to_owned()));
}

fn relinked(link: &Path, target: &str) {
    std::fs::remove_file(link).unwrap();
    symlink(target, link).unwrap();
}

#[test]
fn nothing_is_resumed_from_that_was_read_of_a_folder_in_the_place_of_the_right_one() {
    let shell = format!(
        "touch begun; {}; [ -e $INTRADA_CKPT/s ] || cat data/x > $INTRADA_CKPT/s; touch done; {}; cp $INTRADA_CKPT/s out.txt; \
         [ ! -e fails ]",
        until("read"),
        until("end")
    );
    let pipeline = Pipeline::new().command("a", &shell, ["data"], ["out.txt"]);
    for (is_killed, folder) in [(false, "data"), (true, "data"), (false, "above"), (true, "above")] {
        let space = Space::with(pipeline.replace("data", if folder == "data" { "data" } else { "above/data" }));
        let data = if folder == "data" { "data/x" } else { "above/data/x" };
        space.write(data, "one");
        space.write(&format!("other/{data}").replace(&format!("other/{folder}"), "other"), "two");
        let mut run = space.start("p.toml");
        wait_for(&space, "begun");
        std::fs::rename(space.path(folder), space.path("keep")).unwrap();
        std::fs::rename(space.path("other"), space.path(folder)).unwrap();
        space.write("read", "");
        wait_for(&space, "done");
        std::fs::rename(space.path(folder), space.path("other")).unwrap();
        std::fs::rename(space.path("keep"), space.path(folder)).unwrap();
        if is_killed {
            kill_with_jobs(&mut run);
        }
        space.write("end", "");
        run.wait().unwrap();
        let ran = space.intrada("p.toml");
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(space.read("out.txt"), "one", "{folder}, killed: {is_killed}: {}", ran.stderr);
        assert_eq!(crate::space::files(&space.path("cache/orphans")), Vec::<std::path::PathBuf>::new(), "{folder}");
    }
}

#[test]
fn what_is_renamed_away_and_back_in_each_attempt_is_refused() {
    let (read, end) = (until("read"), until("end"));
    let shell = format!("touch begun; {read}; rm read; cat in.txt > out.txt; touch done; {end}; rm end");
    let space = Space::with(Pipeline::new().command("a", &shell, ["in.txt"], ["out.txt"]));
    space.write("in.txt", "right");
    let run = space.start("p.toml");
    for _ in 0..2 {
        wait_for(&space, "begun");
        std::fs::rename(space.path("in.txt"), space.path("k")).unwrap();
        space.write("in.txt", "evil!");
        space.write("read", "");
        wait_for(&space, "done");
        std::fs::rename(space.path("k"), space.path("in.txt")).unwrap();
        space.write("end", "");
    }
    assert_eq!({ run }.wait().unwrap().code(), Some(1));
    space.write("read", "");
    space.write("end", "");
    assert_eq!((space.outcomes(), space.read("out.txt")), (vec!["a:ran".to_owned()], "right".to_owned()));
}

#[test]
fn two_first_runs_in_a_workspace_make_one_cache() {
    for _ in 0..20 {
        let stage = |output: &str| Pipeline::new().command("a", &format!("echo 1 > {output}"), [], [output]);
        let space = Space::with(stage("a.txt"));
        space.write("q.toml", stage("b.txt"));
        let runs = ["p.toml", "q.toml"].map(|file| space.start(file));
        for mut run in runs {
            assert_eq!(run.wait().unwrap().code(), Some(0));
        }
    }
}

#[test]
fn a_stage_that_two_runs_force_while_each_puts_its_own_value_in_place_ends_right_in_both() {
    let pipeline = Pipeline::new().program("a", &["sh", "-c", "echo $0 > a.txt", "first"], [], ["a.txt"]);
    let space =
        Space::with(pipeline.command("b", "cat a.txt > b.txt; sleep 0.02; cat a.txt >> b.txt", ["a.txt"], ["b.txt"]));
    let set = r#"--set stages.a.command=["sh","-c","echo\u0020$0>a.txt","second"]"#;
    for round in 0..15 {
        let runs = [String::new(), set.to_owned()].map(|set| space.start(&format!("p.toml --force b {set}")));
        for mut run in runs {
            assert_eq!(run.wait().unwrap().code(), Some(0), "round {round}");
        }
    }
    for (set, text) in [("", "first\nfirst\n"), (set, "second\nsecond\n")] {
        assert_eq!(space.intrada(&format!("p.toml {set}")).code, Some(0));
        assert_eq!(space.read("b.txt"), text);
    }
}
