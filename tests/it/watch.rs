//! `watch`: the program goes on by itself, with what a change concerns and nothing else.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::pipelines::{Pipeline, until};
use crate::space::Space;
use crate::space::processes::kill;
use crate::space::waiting::wait_until;

/// Far more than anything here takes: reached only where something is wrong.
const DEADLINE: Duration = Duration::from_secs(120);

/// The program, watching, and what it says.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn of(space: &Space) -> Watching {
        let mut command = space.command("watch p.toml --format json");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (send, lines) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let errors = send.clone();
        std::thread::spawn(move || pass_on(BufReader::new(stdout), &send));
        std::thread::spawn(move || pass_on(BufReader::new(stderr), &errors));
        Watching { child, lines }
    }

    /// The lines up to and with the first that holds this text.
    fn until(&self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.lines.recv_timeout(DEADLINE);
            lines.push(line.unwrap_or_else(|_| panic!("no {text:?} came after {lines:#?}")));
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
    }

    /// The outcomes up to the next rest: `stage:outcome`, sorted.
    fn outcomes(&self) -> Vec<String> {
        let lines = self.until("run-finished");
        let events = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let settled = events.filter(|event| event["event"] == "stage-finished");
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let mut outcomes: Vec<String> =
            settled.map(|event| format!("{}:{}", text(&event["stage"]), text(&event["outcome"]))).collect();
        outcomes.sort();
        outcomes
    }

    /// As Ctrl-C does; the exit status.
    fn interrupt(mut self) -> Option<i32> {
        assert!(kill(self.child.id(), "-INT"));
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pass_on(lines: impl BufRead, send: &mpsc::Sender<String>) {
    for line in lines.lines().map_while(Result::ok) {
        let _ = send.send(line);
    }
}

fn chain() -> Space {
    let space = Space::with(
        Pipeline::new()
            .command(
                "upper",
                "tr a-z A-Z < words.txt > upper.txt; echo upper >> runs.log",
                ["words.txt"],
                ["upper.txt"],
            )
            .command("sorted", "sort upper.txt > sorted.txt; echo sorted >> runs.log", ["upper.txt"], ["sorted.txt"])
            .command(
                "other",
                "wc -l < numbers.txt > other.txt; echo other >> runs.log",
                ["numbers.txt"],
                ["other.txt"],
            ),
    );
    space.write("words.txt", "b\na\nc\n");
    space.write("numbers.txt", "1\n2\n");
    space
}

#[test]
fn an_edited_input_concerns_what_reads_it_and_nothing_else() {
    let space = chain();
    let watching = Watching::of(&space);
    assert_eq!(watching.outcomes(), ["other:ran", "sorted:ran", "upper:ran"]);
    space.write("words.txt", "b\na\nd\n");
    assert_eq!(watching.outcomes(), ["sorted:ran", "upper:ran"]);
    assert_eq!(space.read("sorted.txt"), "A\nB\nD\n");
    space.write("words.txt", "a\nb\nd\n");
    assert_eq!(watching.outcomes(), ["sorted:ran", "upper:ran"]);
    space.write("words.txt", "b\na\nd\n");
    assert_eq!(watching.outcomes(), ["sorted:hit", "upper:hit"], "known from before");
    assert_eq!(watching.interrupt(), Some(130));
}

#[test]
fn an_edited_output_comes_back_and_own_writing_wakes_nobody() {
    let space = chain();
    let watching = Watching::of(&space);
    watching.outcomes();
    space.write("upper.txt", "by hand");
    let lines = watching.until("run-finished");
    let changes: Vec<&String> = lines.iter().filter(|line| line.contains("\"changed\"")).collect();
    assert_eq!(changes.len(), 1, "{lines:#?}");
    assert_eq!(space.read("upper.txt"), "B\nA\nC\n");
    // Had the run's own writing of outputs counted as a change, its finish would come before this change.
    space.write("numbers.txt", "1\n2\n3\n");
    let lines = watching.until("run-finished");
    assert!(lines[0].contains("\"changed\"") && lines[0].contains("numbers.txt"), "{lines:#?}");
    assert_eq!(space.read("runs.log").lines().filter(|line| *line == "upper").count(), 1);
}

#[test]
fn an_edited_pipeline_file_is_read_anew_and_a_wrong_one_only_told() {
    let space = chain();
    let watching = Watching::of(&space);
    watching.outcomes();
    space.edit("p.toml", "sort upper.txt", "sort -r upper.txt");
    assert_eq!(watching.outcomes(), ["other:up-to-date", "sorted:ran", "upper:up-to-date"]);
    assert_eq!(space.read("sorted.txt"), "C\nB\nA\n");
    space.edit("p.toml", "sort -r", "\" sort -r");
    watching.until("nothing was run");
    // The mistakes are told once, whatever else happens in the folder (a log of them may lie in it).
    space.write("notes.txt", "");
    std::thread::sleep(Duration::from_millis(500));
    space.edit("p.toml", "\" sort -r", "sort -u -r");
    let lines = watching.until("run-finished");
    assert!(lines.iter().all(|line| !line.contains("nothing was run")), "{lines:#?}");
    assert_eq!(space.read("sorted.txt"), "C\nB\nA\n");
}

#[test]
fn an_input_that_is_missing_is_told_and_waited_for() {
    let space = chain();
    space.remove("words.txt");
    let watching = Watching::of(&space);
    watching.until("`words.txt` does not exist");
    space.write("words.txt", "a\n");
    assert_eq!(watching.outcomes(), ["other:ran", "sorted:ran", "upper:ran"]);
}

/// `a` runs until it is let go; `b` reads another file. Each writes down that it was begun.
fn slow_pipeline(cpus: u32) -> Pipeline {
    // Once it has said that it began, it hears a signal.
    let shell =
        format!("trap 'echo ended >> a.log; exit 1' TERM; echo begun >> a.log; {}; cat a.in > a.out", until("go"));
    let pipeline = Pipeline::new().add(&format!("[resources]\ncpu = {cpus}\n"));
    pipeline.command("a", &shell, ["a.in"], ["a.out"]).command("b", "cat b.in > b.out", ["b.in"], ["b.out"])
}

fn slow() -> (Space, Watching) {
    let space = Space::with(slow_pipeline(4));
    space.write("a.in", "1\n");
    space.write("b.in", "1\n");
    let watching = Watching::of(&space);
    watching.until("\"stage\":\"b\"");
    watching.until("stage-finished"); // b's; a waits
    space.wait_for_file("a.log");
    (space, watching)
}

#[test]
fn a_running_stage_whose_key_did_not_change_is_left_alone() {
    let (space, watching) = slow();
    space.write("b.in", "2\n");
    watching.until("\"stage\":\"b\"");
    watching.until("stage-finished");
    // Another pipeline file, too: what runs for the old one is taken over.
    space.edit("p.toml", "cat b.in >", "cat b.in b.in >");
    watching.until("\"stage\":\"b\"");
    watching.until("stage-finished");
    space.write("go", "");
    assert!(
        watching.until("run-finished").iter().any(|line| line.contains("\"stage\":\"a\"") && line.contains("\"ran\""))
    );
    assert_eq!(
        (space.read("a.log"), space.read("a.out"), space.read("b.out")),
        ("begun\n".into(), "1\n".into(), "2\n2\n".into())
    );
}

#[test]
fn a_running_stage_whose_key_changed_is_stopped_and_begun_anew() {
    let (space, watching) = slow();
    space.write("a.in", "2\n");
    watching.until("stage-dropped");
    space.write("go", "");
    assert_eq!(watching.outcomes(), ["a:ran"]);
    assert_eq!(space.read("a.log"), "begun\nended\nbegun\n");
    assert_eq!(space.read("a.out"), "2\n");
    // Back again: what was stopped had given nothing.
    space.write("a.in", "1\n");
    assert_eq!(watching.outcomes(), ["a:ran"]);
    assert_eq!(space.read("a.out"), "1\n");
}

#[test]
fn a_stage_that_failed_runs_again_when_its_input_is_mended() {
    let space = Space::with(Pipeline::new().command("a", "grep good in > out", ["in"], ["out"]));
    space.write("in", "bad\n");
    let watching = Watching::of(&space);
    assert_eq!(watching.outcomes(), ["a:failed"]);
    space.write("in", "good\n");
    assert_eq!(watching.outcomes(), ["a:ran"]);
}

#[test]
fn a_file_that_is_added_to_an_input_folder_is_seen() {
    let space = Space::with(Pipeline::new().command("a", "find in -type f | sort > out", ["in"], ["out"]));
    space.write("in/one", "");
    let watching = Watching::of(&space);
    assert_eq!(watching.outcomes(), ["a:ran"]);
    space.write("in/deep/two", "");
    assert_eq!(watching.outcomes(), ["a:ran"]);
    assert_eq!(space.read("out"), "in/deep/two\nin/one\n");
}

#[test]
fn a_cache_that_is_deleted_meanwhile_is_made_again() {
    let space = chain();
    let watching = Watching::of(&space);
    watching.until("run-finished");
    // In one step: the runner would begin while file after file is deleted, and a stage would fail in the middle of it.
    let away = Space::new();
    std::fs::rename(space.path("cache"), away.path("cache")).unwrap();
    assert_eq!(watching.outcomes(), ["other:ran", "sorted:ran", "upper:ran"]);
    assert_eq!(watching.interrupt(), Some(130));
    assert_eq!(space.outcomes(), ["other:up-to-date", "sorted:up-to-date", "upper:up-to-date"]);
}

#[test]
fn a_stage_that_writes_what_it_reads_is_not_run_for_ever() {
    let space = Space::with(Pipeline::new().command(
        "a",
        "echo >> tries; date +%N > in/log; cat in/one > out",
        ["in"],
        ["out"],
    ));
    space.write("in/one", "");
    let watching = Watching::of(&space);
    watching.until("`in/log` changes whenever a runs");
    watching.until("run-finished");
    let tries = || space.read("tries").lines().count();
    let before = tries();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(tries(), before, "it rests");
    // What a person edits is followed as before.
    space.write("in/one", "edited");
    assert_eq!(watching.outcomes(), ["a:failed"]);
    assert_eq!(tries(), before + 1);
}

#[test]
fn a_stage_that_adds_ever_new_files_to_what_it_reads_is_not_run_for_ever() {
    let space = Space::with(Pipeline::new().command(
        "a",
        "echo >> tries; mkdir -p in/logs; date > in/logs/$(date +%N); cat in/one > out",
        ["in"],
        ["out"],
    ));
    space.write("in/one", "");
    let watching = Watching::of(&space);
    watching.until("`in` gets new files, this time `in/logs/");
    watching.until("run-finished");
    let tries = || space.read("tries").lines().count();
    let before = tries();
    assert_eq!(before, 3);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(tries(), before, "it rests");
}

#[test]
fn a_stage_that_may_be_in_vain_makes_way_for_the_one_that_decides() {
    let pipeline = slow_pipeline(1).set("stages.b.shell", "sort b.in > a.in");
    let space = Space::with(pipeline.set("stages.b.outputs", ["a.in"]));
    space.write("b.in", "1\n2\n");
    let watching = Watching::of(&space);
    space.wait_for_file("a.log");
    // There is one slot and `a` has it, but what it reads is being made anew.
    space.write("b.in", "2\n1\n");
    watching.until("stage-dropped");
    space.write("go", "");
    watching.until("run-finished");
    assert_eq!((space.read("a.log"), space.read("a.out")), ("begun\nended\nbegun\n".into(), "1\n2\n".into()));
}

#[test]
fn after_any_edits_all_is_as_a_fresh_run_would_make_it() {
    let names = ["a", "b", "c"];
    let shell = |inputs: &str, name: &str| format!("sleep 0.05; cat {inputs} > {name}.out");
    let copied = names.iter().fold(Pipeline::new(), |pipeline, name| {
        let (input, output) = (format!("{name}.in"), format!("{name}.out"));
        pipeline.command(name, &shell(&input, name), [&input], [&output])
    });
    let outputs = ["a.out", "b.out", "c.out"];
    let file = copied.command("all", &shell(&outputs.join(" "), "all"), outputs, ["all.out"]);
    let space = Space::with(&file);
    names.iter().for_each(|name| space.write(&format!("{name}.in"), "0\n"));
    let watching = Watching::of(&space);
    let mut random = 1_u32;
    for edit in 0..60 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let name = names[(random >> 8) as usize % names.len()];
        match random >> 16 & 7 {
            0 => space.write(&format!("{name}.out"), "by hand"),
            1 => space.write("all.out", "by hand"),
            2 => space.write("p.toml", file.clone().add(&format!("# {edit}\n"))),
            3 => space.write("p.toml", file.replace("sleep 0.05; cat a", "sleep 0.04; cat a")),
            _ => space.write(&format!("{name}.in"), format!("{}\n", random >> 24 & 3)),
        }
        std::thread::sleep(Duration::from_millis(u64::from(random >> 20 & 127)));
    }
    // One more, of which it is known when it has arrived: whatever was told before has been taken in by then.
    space.write("p.toml", &file);
    space.write("c.in", "the last\n");
    let contents = || ["a.in", "b.in", "c.in"].map(|name| space.read(name)).concat();
    loop {
        watching.until("run-finished");
        if std::fs::read_to_string(space.path("all.out")).is_ok_and(|text| text == contents()) {
            break;
        }
    }
    assert_eq!(watching.interrupt(), Some(130));
    assert_eq!(space.outcomes(), ["a:up-to-date", "all:up-to-date", "b:up-to-date", "c:up-to-date"]);
}

#[test]
fn a_file_behind_a_link_in_an_input_folder_wakes_the_stage_that_reads_it() {
    let space = Space::with(Pipeline::new().command("a", "cat data/*/* > a.txt", ["data"], ["a.txt"]));
    let disk = Space::new();
    disk.write("city/1.txt", "one");
    space.write("data/own/2.txt", "two");
    std::os::unix::fs::symlink(disk.path("city"), space.path("data/city")).unwrap();
    let watching = Watching::of(&space);
    assert_eq!(watching.outcomes(), ["a:ran"]);
    disk.write("city/1.txt", "three");
    assert_eq!(watching.outcomes(), ["a:ran"]);
    assert_eq!(space.read("a.txt"), "threetwo");
    assert_eq!(watching.interrupt(), Some(130));
}

/// Waits until the output holds this. Whatever the watch says on the way.
fn comes(space: &Space, watching: &Watching, output: &str, wanted: &str) {
    let holds = || std::fs::read_to_string(space.path(output)).ok();
    wait_until(output, || holds().as_deref() == Some(wanted));
    watching.until("run-finished");
}

#[test]
fn a_link_above_an_input_that_is_made_to_lead_elsewhere_is_seen_and_what_lies_there_then() {
    let space = Space::with(Pipeline::new().command("a", "cat sets/data/in/* > a.txt", ["sets/data/in"], ["a.txt"]));
    let disk = Space::new();
    let link = |to: &str, at: std::path::PathBuf| {
        let new = at.with_extension("new");
        std::os::unix::fs::symlink(to, &new).unwrap();
        std::fs::rename(&new, at).unwrap();
    };
    for version in ["1", "2", "3"] {
        disk.write(&format!("v{version}/in/file"), version);
    }
    // One link leads through another one.
    link("v1", disk.path("current"));
    std::fs::create_dir(space.path("sets")).unwrap();
    link(disk.path("current").to_str().unwrap(), space.path("sets/data"));
    let watching = Watching::of(&space);
    comes(&space, &watching, "a.txt", "1");
    link("v2", disk.path("current"));
    comes(&space, &watching, "a.txt", "2");
    disk.write("v2/in/file", "two");
    comes(&space, &watching, "a.txt", "two");
    link(disk.path("v3").to_str().unwrap(), space.path("sets/data"));
    comes(&space, &watching, "a.txt", "3");
    disk.write("v3/in/file", "three");
    comes(&space, &watching, "a.txt", "three");
    assert_eq!(watching.interrupt(), Some(130));
}

#[test]
fn an_input_folder_that_was_replaced_by_another_is_watched_as_it_is_now() {
    let space = Space::with(Pipeline::new().command("a", "cat sets/in/deep/* > a.txt", ["sets/in"], ["a.txt"]));
    space.write("sets/in/deep/file", "1");
    let watching = Watching::of(&space);
    comes(&space, &watching, "a.txt", "1");
    for round in ["a", "b", "c"] {
        // Another folder takes the name.
        space.write("sets/new/deep/file", round);
        std::fs::rename(space.path("sets/in"), space.path("sets/old")).unwrap();
        std::fs::rename(space.path("sets/new"), space.path("sets/in")).unwrap();
        std::fs::remove_dir_all(space.path("sets/old")).unwrap();
        comes(&space, &watching, "a.txt", round);
        space.write("sets/in/deep/file", format!("{round} edited"));
        comes(&space, &watching, "a.txt", &format!("{round} edited"));
        // It is removed and made again.
        std::fs::remove_dir_all(space.path("sets/in")).unwrap();
        space.write("sets/in/deep/file", format!("{round} again"));
        comes(&space, &watching, "a.txt", &format!("{round} again"));
        space.write("sets/in/deep/more", "!");
        comes(&space, &watching, "a.txt", &format!("{round} again!"));
    }
    assert_eq!(watching.interrupt(), Some(130));
}
