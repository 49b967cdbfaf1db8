//! What a pipeline's earlier runs were: what changed, what came out, giving one back, deleting one; and what a built-in stage's
//! log says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::pipelines::{Pipeline, training, until};
use crate::space::processes::{descendants, kill};
use crate::space::{Space, files};

/// Two commands, of which the second reads the first, and one beside them.
fn commands() -> Pipeline {
    Pipeline::new()
        .named("p")
        .command("upper", "tr a-z A-Z < words.txt > upper.txt", ["words.txt"], ["upper.txt"])
        .command("lines", "wc -l < upper.txt > lines.txt", ["upper.txt"], ["lines.txt"])
        .command("apart", "echo apart > apart.txt", [], ["apart.txt"])
}

fn space() -> Space {
    let space = Space::with(commands());
    space.write("words.txt", "b\na\n");
    space
}

/// The runs, the newest first.
fn runs(space: &Space, arguments: &str) -> Vec<Value> {
    let told = space.intrada(&format!("history {arguments} --format json"));
    assert_eq!(told.code, Some(0), "{}\n{}", told.stdout, told.stderr);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    told["runs"].as_array().unwrap().clone()
}

fn changes(run: &Value) -> Vec<String> {
    run["changes"].as_array().unwrap().iter().map(|change| change["text"].as_str().unwrap().to_owned()).collect()
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_run_names_what_changed_since_the_one_before_and_one_with_nothing_to_do_is_none() {
    let space = space();
    assert!(space.intrada("history p.toml").stdout.contains("no run of `p` is recorded"));
    space.run("p.toml");
    space.run("p.toml");
    assert_eq!(runs(&space, "p.toml").len(), 1, "the second had nothing to do");

    space.edit("p.toml", "wc -l", "wc -c");
    space.run("p.toml");
    space.write("words.txt", "c\nb\na\n");
    space.run("p.toml");
    space.write("p.toml", commands().command("more", "echo > more.txt", ["upper.txt"], ["more.txt"]));
    space.run("p.toml");
    space.run("p.toml lines --set stages.lines.shell='cat<upper.txt>lines.txt'");

    let all = runs(&space, "p.toml");
    let numbers: Vec<u64> = all.iter().map(|run| run["run"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    assert_eq!(changes(&all[4]), Vec::<String>::new());
    assert_eq!(changes(&all[3]), ["lines: shell wc -l < upper.txt > lines.txt → wc -c < upper.txt > lines.txt"]);
    assert_eq!(all[2]["changes"][0]["of"], "words.txt", "{}", all[2]);
    assert_eq!(changes(&all[2]).len(), 1, "{}", all[2]);
    assert_eq!(
        changes(&all[1]),
        ["lines: shell wc -c < upper.txt > lines.txt → wc -l < upper.txt > lines.txt", "more added"]
    );
    assert_eq!(names(&all[0]["targets"]), ["lines"]);
    assert_eq!(changes(&all[0]).len(), 1, "{}", all[0]);
    let outcomes = |run: &Value| -> BTreeMap<String, String> {
        let stages = run["stages"].as_array().unwrap().iter();
        let text = |stage: &Value, field: &str| stage[field].as_str().unwrap().to_owned();
        stages.map(|stage| (text(stage, "stage"), text(stage, "outcome"))).collect()
    };
    let expected = [("apart", "up-to-date"), ("lines", "ran"), ("upper", "up-to-date")];
    assert_eq!(outcomes(&all[3]), expected.map(|(stage, outcome)| (stage.to_owned(), outcome.to_owned())).into());
    assert!(all.iter().all(|run| run["state"] == "done" && run["gone"] == serde_json::json!([])));

    let text = space.intrada("history p.toml --last 2").stdout;
    assert!(text.starts_with("run 5  ") && text.contains("\nrun 4  ") && !text.contains("run 3"), "{text}");
    assert!(text.contains("  asked for  lines --set ") && text.contains("took "), "{text}");
    assert!(text.contains("  changed    lines: shell wc -c"), "{text}");
    let shown = space.intrada("history p.toml --show 2").stdout;
    assert!(shown.contains("# run 2 of p.toml, ") && shown.contains("wc -c"), "{shown}");
    // It is a pipeline file that means the same.
    space.write("q.toml", &shown);
    assert!(space.run("q.toml").iter().all(|settled| settled.outcome != "ran" || settled.stage == "more"));
    let refused = space.intrada("history p.toml --show 17");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("`p` has no run 17 in this workspace; there are runs 1 to"), "{}", refused.stderr);
}

#[test]
fn a_killed_run_a_failed_one_and_one_in_progress_are_in_the_history_as_such() {
    let space = Space::with(Pipeline::new().named("p").command("a", &until("go"), [], ["x"]));
    let mut run = space.start("p.toml");
    crate::space::waiting::wait_until("the run", || !runs(&space, "p.toml").is_empty());
    let going = &runs(&space, "p.toml")[0];
    assert_eq!((going["state"].as_str(), names(&going["running"])), (Some("running"), vec!["a".to_owned()]));
    for refused in ["--restore 1", "--delete 1"] {
        let refused = space.intrada(&format!("history p.toml {refused}"));
        assert!(refused.code == Some(2) && refused.stderr.contains("still running"), "{}", refused.stderr);
    }
    let below = descendants(run.id());
    std::iter::once(run.id()).chain(below).for_each(|pid| {
        kill(pid, "-KILL");
    });
    run.wait().unwrap();
    let killed = &runs(&space, "p.toml")[0];
    assert_eq!((killed["state"].as_str(), killed["seconds"].is_null()), (Some("killed"), true));
    assert!(space.intrada("history p.toml").stdout.contains("killed while it ran a"));
    let refused = space.intrada("history p.toml --restore 1");
    assert!(refused.code == Some(1) && refused.stderr.contains("run 1 has no results"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("no longer"), "it never had any: {}", refused.stderr);

    space.write("go", "");
    assert_eq!(space.intrada("p.toml").code, Some(1), "it makes no file x");
    let all = runs(&space, "p.toml");
    assert_eq!((all.len(), all[0]["state"].as_str()), (2, Some("failed")));
    let text = space.intrada("history p.toml").stdout;
    assert!(text.contains("failed after ") && text.contains("  failed     a: "), "{text}");
    assert!(text.contains("changed    nothing since run 1"), "{text}");
}

#[test]
fn a_damaged_record_is_named_and_no_runs_at_all_can_t_be_asked_for() {
    let space = space();
    space.run("p.toml");
    space.edit("p.toml", "wc -l", "wc -c");
    space.run("p.toml");
    let refused = space.intrada("history p.toml --last 0");
    assert!(refused.code == Some(2) && refused.stderr.contains("--last"), "{}", refused.stderr);
    let records = files(&space.path("cache/workspaces"));
    let first = records.into_iter().find(|path| path.ends_with("runs/p/1.jsonl")).unwrap();
    for damage in ["", "garbage\n"] {
        std::fs::write(&first, damage).unwrap();
        let told = space.intrada("history p.toml");
        assert!(told.stdout.starts_with("run 2  ") && !told.stdout.contains("run 1  "), "{}", told.stdout);
        let said = "the record of run 1 is damaged: ";
        assert_eq!(told.stderr.matches(said).count(), 1, "{}", told.stderr);
        assert!(told.stderr.contains("note: ") && told.stderr.contains("1.jsonl"), "{}", told.stderr);
        let shown = space.intrada("history p.toml --show 1");
        assert!(shown.code == Some(2) && shown.stderr.contains(said), "{}", shown.stderr);
    }
    assert!(!space.intrada("history p.toml --last 1").stderr.contains("damaged"), "it is older than what is shown");
}

#[test]
fn the_log_of_a_deleted_result_is_said_to_be_deleted_and_what_to_run() {
    let space = space();
    space.run("p.toml");
    assert_eq!(space.intrada("log p.toml lines").code, Some(0));
    assert_eq!(space.intrada("history p.toml --delete 1 --in-place").code, Some(0));
    let refused = space.intrada("log p.toml lines");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    for said in ["the log of `lines` was deleted from the cache", "intrada-run p.toml lines"] {
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    // Its outputs are still in place, so it is up to date without a log.
    std::fs::remove_file(space.path("lines.txt")).unwrap();
    space.run("p.toml lines");
    assert_eq!(space.intrada("log p.toml lines").code, Some(0));
}

#[test]
fn runs_of_one_workspace_at_once_have_a_record_each() {
    let space = Space::new();
    let shell = |name: &str| format!("{}; echo {name} > {name}", until("go"));
    for name in ["a", "b", "c"] {
        let pipeline = Pipeline::new().named("p").command(name, &shell(name), [], [name]);
        space.write(&format!("{name}.toml"), pipeline);
    }
    let mut all: Vec<_> = ["a", "b", "c"].iter().map(|name| space.start(&format!("{name}.toml"))).collect();
    crate::space::waiting::wait_until("three runs", || runs(&space, "a.toml").len() == 3);
    assert!(runs(&space, "b.toml").iter().all(|run| run["state"] == "running"));
    space.write("go", "");
    assert!(all.iter_mut().all(|run| run.wait().unwrap().success()));
    let mut files: Vec<String> =
        runs(&space, "a.toml").iter().map(|run| run["file"].as_str().unwrap().to_owned()).collect();
    files.sort();
    assert_eq!(files, ["a.toml", "b.toml", "c.toml"]);
    assert!(runs(&space, "a.toml").iter().all(|run| run["state"] == "done"));
}

#[test]
fn a_restored_run_has_the_bytes_it_had_and_its_file_and_nothing_else_is_touched() {
    let pipeline = training().scenes("target", "target", 2, 4).inferred().evaluated();
    let space = Space::with(&*pipeline);
    space.run("p.toml");
    let first = space.results("runs/p");
    let text = space.read("p.toml");
    space.edit("p.toml", "iterations = 2", "iterations = 3");
    space.run("p.toml");
    let (second, edited) = (space.results("runs/p"), space.read("p.toml"));
    assert_ne!(first, second);
    let all = runs(&space, "p.toml");
    assert_eq!(all[0]["changes"][0]["text"], "inter: iterations 2 → 3", "{}", all[0]);
    for run in &all {
        let miou = run["miou"]["evaluate"]["inter"].as_f64();
        assert!(miou.is_some_and(|miou| (0.0..=1.0).contains(&miou)), "{run}");
    }
    assert!(space.intrada("history p.toml").stdout.contains("  mIoU in %  evaluate: inter "));

    let ran = space.intrada("history p.toml --restore 1");
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), "runs/p-run1"), "{}", ran.stderr);
    assert_eq!((space.results("runs/p"), space.read("p.toml")), (second.clone(), edited));
    let restored: BTreeMap<PathBuf, Vec<u8>> = space
        .results("runs/p-run1")
        .into_iter()
        .map(|(path, bytes)| (PathBuf::from("runs/p").join(path.strip_prefix("runs/p-run1").unwrap()), bytes))
        .collect();
    let is_output = |path: &PathBuf| path.components().count() > 3 && !path.to_string_lossy().contains("events");
    let outputs = |all: &BTreeMap<PathBuf, Vec<u8>>| -> BTreeMap<PathBuf, Vec<u8>> {
        all.iter().filter(|(path, _)| is_output(path)).map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
    };
    assert!(outputs(&restored).len() >= 5);
    let of_first = outputs(&first);
    for (path, bytes) in outputs(&restored) {
        assert!(of_first.get(&path) == Some(&bytes), "{} differs", path.display());
    }
    assert!(space.read("runs/p-run1/report.html").contains("<h1>p-run1</h1>"));
    // Its file is that of the run under another name, and its results are in place.
    let file = space.read("runs/p-run1/p-run1.toml");
    assert!(file.ends_with(&text.replace("name = \"p\"", "name = \"p-run1\"")), "{file}");
    let again = space.run("runs/p-run1/p-run1.toml");
    assert!(again.iter().all(|settled| settled.outcome == "up-to-date"), "{again:?}");
    let compared = space.intrada("compare p.toml runs/p-run1/p-run1.toml --format json");
    let compared: Value = serde_json::from_str(&compared.stdout).unwrap();
    assert_eq!(compared["rows"].as_array().unwrap().iter().filter(|row| row["measured"] == 1).count(), 2, "{compared}");

    // What lies there is kept; once it is taken away and the cache is cleared, it is gone, and that is said.
    let clear = "cache gc --older-than 0s";
    assert_eq!(space.intrada(clear).code, Some(0));
    assert_eq!(runs(&space, "p.toml")[1]["gone"], serde_json::json!([]));
    space.remove("runs/p-run1");
    assert_eq!(space.intrada(clear).code, Some(0));
    assert_eq!(names(&runs(&space, "p.toml")[1]["gone"]).len(), 3);
    let miou = &runs(&space, "p.toml")[1]["miou"]["evaluate"]["inter"];
    assert!(miou.is_f64(), "the numbers stay");
    let refused = space.intrada("history p.toml --restore 1");
    assert!(refused.code == Some(1) && refused.stderr.contains("nothing is left of run 1"), "{}", refused.stderr);
    assert!(!space.path("runs/p-run1").exists());
}

#[test]
fn what_is_gone_of_a_restored_run_is_named_and_an_edited_file_in_its_place_is_kept() {
    let space = space();
    space.run("p.toml");
    space.edit("p.toml", "wc -l", "wc -c");
    space.run("p.toml");
    let key =
        runs(&space, "p.toml")[1]["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "lines").unwrap()
            ["key"]
            .as_str()
            .unwrap()
            .to_owned();
    space.remove(&format!("cache/traces/{}/{}.json", &key[..2], &key[2..]));
    space.write("runs/p-run1/p-run1.toml", "mine\n");
    let ran = space.intrada("history p.toml --restore 1");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("gone    lines: it is no longer in the cache"), "{}", ran.stderr);
    assert!(ran.stderr.contains("p-run1.toml lay there with other contents"), "{}", ran.stderr);
    assert_eq!(space.read("runs/p-run1/upper/upper.txt"), "B\nA\n");
    assert!(!space.path("runs/p-run1/lines").exists());
    assert!(files(&space.path("cache/orphans")).iter().any(|file| std::fs::read(file).unwrap() == b"mine\n"));
}

/// The results of the cache: stage and key.
fn results(space: &Space) -> Vec<(String, String)> {
    let traces = files(&space.path("cache/traces"));
    let read = |path: PathBuf| -> (String, String) {
        let text = std::fs::read_to_string(path).unwrap();
        let trace: Value = serde_json::Deserializer::from_str(&text).into_iter().next().unwrap().unwrap();
        (trace["stage"].as_str().unwrap().to_owned(), trace["key"].as_str().unwrap().to_owned())
    };
    let mut all: Vec<_> = traces.into_iter().map(read).collect();
    all.sort();
    all
}

#[test]
fn deleting_a_run_frees_exactly_what_no_other_uses_and_a_dry_run_says_so_before() {
    let space = space();
    space.run("p.toml");
    let of_first = results(&space);
    space.edit("p.toml", "wc -l", "wc -c");
    space.run("p.toml");
    let of_both = results(&space);
    assert_eq!(of_both.len(), 4, "only `lines` has another result");
    space.write("words.txt", "c\n");
    space.run("p.toml");

    let delete = |run: u32, more: &str| {
        let ran = space.intrada(&format!("history p.toml --delete {run} --format json{more}"));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let told: Value = serde_json::from_str(&ran.stdout).unwrap();
        let of = |reason: &str| -> Vec<String> {
            let results = told["results"].as_array().unwrap().iter().filter(|result| result["reason"] == reason);
            let mut names: Vec<String> = results.map(|result| result["stage"].as_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        (of("asked"), of("shared"), of("in-place"))
    };
    let all = results(&space);
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let expected = (names(&["lines"]), names(&["upper"]), names(&["apart"]));
    assert_eq!(delete(1, " --dry-run"), expected, "`apart` is in place, `upper` is of run 2, too");
    assert_eq!(results(&space), all, "nothing was changed");
    assert_eq!(delete(1, ""), expected);
    let left: Vec<_> =
        all.iter().filter(|result| !(result.0 == "lines" && of_first.contains(result))).cloned().collect();
    assert_eq!(results(&space), left);
    assert!(space.intrada("history p.toml").stdout.contains("  deleted    1 result on "));
    // Now nobody else needs what it shared.
    assert_eq!(delete(2, ""), (names(&["lines", "upper"]), names(&[]), names(&["apart"])));
    // The newest is in place: it goes when asked for, and the files stay.
    assert_eq!(delete(3, " --dry-run").2, names(&["apart", "lines", "upper"]));
    assert_eq!(delete(3, " --in-place").0, names(&["apart", "lines", "upper"]));
    assert_eq!((results(&space), space.read("lines.txt").trim()), (Vec::new(), "2"));
    assert_eq!(files(&space.path("cache/objects")), Vec::<PathBuf>::new());
    assert!(space.run("p.toml").iter().all(|settled| settled.outcome != "failed"));
}

#[test]
fn what_a_running_run_uses_is_not_deleted() {
    let space = Space::with(Pipeline::new().named("p").command("a", "echo a > a.txt", [], ["a.txt"]).command(
        "b",
        &format!("{}; cat a.txt > b.txt", until("go")),
        ["a.txt"],
        ["b.txt"],
    ));
    space.run("p.toml a");
    space.remove("a.txt");
    let mut run = space.start("p.toml");
    crate::space::waiting::wait_until("b", || runs(&space, "p.toml").len() == 2);
    let kept = results(&space);
    let ran = space.intrada("history p.toml --delete 1 --in-place");
    assert_eq!((ran.code, results(&space)), (Some(0), kept), "{}{}", ran.stdout, ran.stderr);
    space.write("go", "");
    assert!(run.wait().unwrap().success());
}

#[test]
fn description_and_tags_are_shown_everywhere_and_select_and_change_no_result() {
    let pipeline = training().evaluated();
    let space = Space::with(&*pipeline);
    space.run("p.toml");
    let told = pipeline.set("pipeline.description", "Does it <help>?").set("pipeline.tags", ["night", "a"]);
    space.write("p.toml", &*told);
    assert!(space.run("p.toml").iter().all(|settled| settled.outcome == "up-to-date"), "no key has them");
    let page = space.read("runs/p/report.html");
    assert!(page.contains("Does it &lt;help&gt;?") && page.contains("night"), "a page without them is out of date");
    assert!(space.intrada("status p.toml").stdout.starts_with("p: Does it <help>? (night, a)\n"));
    let events = space.intrada("status p.toml --format json").events();
    assert_eq!((&events[0]["event"], &events[0]["tags"][0]), (&"pipeline".into(), &"night".into()));
    let inspected: Value = serde_json::from_str(&space.intrada("inspect p.toml --format json").stdout).unwrap();
    assert_eq!(inspected["description"], "Does it <help>?");
    let compared: Value = serde_json::from_str(&space.intrada("compare p.toml --format json").stdout).unwrap();
    assert_eq!(compared["pipelines"][0]["tags"][1], "a");
    let exported = space.intrada("export p.toml inter net");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let card = space.read("net/README.md");
    assert!(card.contains("- \"night\"\n") && card.contains("Does it &#60;help&#62;?"), "{card}");

    space.write("q.toml", training().evaluated().set("pipeline.name", "q"));
    let rows = |arguments: &str| -> usize {
        let told = space.intrada(&format!("compare {arguments} --format json"));
        assert_eq!(told.code, Some(0), "{}", told.stderr);
        serde_json::from_str::<Value>(&told.stdout).unwrap()["rows"].as_array().unwrap().len()
    };
    assert_eq!([rows("p.toml q.toml"), rows("p.toml q.toml --tag night --tag a")], [2, 1]);
    assert!(
        space.intrada("compare p.toml q.toml --tag day").stderr.contains("none of these pipelines has the tags day")
    );
    space.edit("p.toml", "iterations = 2", "iterations = 3");
    space.run("p.toml");
    assert_eq!([runs(&space, "p.toml").len(), runs(&space, "p.toml --tag night").len()], [2, 1]);
    let changes = changes(&runs(&space, "p.toml")[0]);
    assert_eq!(changes[..2], ["pipeline: description Does it <help>? (new)", "pipeline: tags night, a (new)"]);
}

#[test]
fn the_log_of_a_built_in_stage_tells_settings_course_and_end_in_few_lines() {
    let steps = "iterations = 120\nschedule_iterations = 120\n";
    let pipeline = training().adapted().with("stages.inter", steps).inferred().evaluated();
    let pipeline = pipeline.set("stages.inter.dataset", "test").set("stages.inter.evaluate_every", 40);
    let space = Space::with(&*pipeline);
    space.run("p.toml");
    let log = space.intrada("log p.toml inter").stdout;
    for said in [
        "inter-training `inter` on cpu, 1 thread",
        "settings:",
        "iterations = 120,",
        "source: data set source, 4 images",
        "iteration 1 of 120: ",
        "seg_main ",
        "; learning rate ",
        "evaluation at iteration 80: mIoU ",
        "iteration 120 of 120: ",
        "finished in ",
        ": 120 iterations",
    ] {
        assert!(log.contains(said), "{said} is not in\n{log}");
    }
    assert!(log.lines().count() < 120 && !log.contains('\x1b'), "{log}");
    let is_stamped =
        |line: &str| line.len() > 11 && line.starts_with("0:0") && &line[7..8] == "." && &line[9..11] == "  ";
    let others: Vec<&str> =
        log.lines().filter(|line| !is_stamped(line) && !line.starts_with("intrada-run: ")).collect();
    assert_eq!(others, Vec::<&str>::new());
    let log = space.intrada("log p.toml entropy").stdout;
    assert!(log.contains("images: data set target, 4 images") && log.contains("4 of 4 images"), "{log}");
    assert!(log.contains("weights: ") && log.contains("finished in ") && log.contains(": 4 images"), "{log}");
    assert!(space.intrada("log p.toml evaluate").stdout.contains("mIoU in %: inter "));
}

#[test]
fn a_training_that_goes_on_says_so_in_its_log_and_a_failure_is_its_last_word() {
    let steps = "iterations = 60\nschedule_iterations = 60\ncheckpoint_every = 5\n";
    let space = Space::with(training().with("stages.inter", steps));
    let mut run = space.start("p.toml");
    space.wait_for_lines(&mut run, "losses.jsonl", 12);
    let below = descendants(run.id());
    std::iter::once(run.id()).chain(below).for_each(|pid| {
        kill(pid, "-KILL");
    });
    run.wait().unwrap();
    space.run("p.toml");
    let log = space.intrada("log p.toml inter").stdout;
    let (_, second) = log.split_once("goes on from its checkpoint at iteration ").unwrap_or_else(|| panic!("{log}"));
    assert!(second.contains("iteration 60 of 60: ") && second.contains("finished in "), "{log}");
    assert_eq!(log.matches("settings:").count(), 1, "they are the same");
    assert!(log.contains("; checkpoint at "), "{log}");

    let space = Space::with(training().set("stages.inter.learning_rate", 1e30));
    let ran = space.intrada("p.toml");
    assert_eq!(ran.code, Some(1));
    let log = space.intrada("log p.toml inter").stdout;
    assert!(log.lines().any(|line| line.contains("  failed: ")) && log.contains("  help: "), "{log}");
    assert!(!ran.stderr.contains("settings:") && !ran.stderr.contains("iteration 1 of"), "{}", ran.stderr);
}
