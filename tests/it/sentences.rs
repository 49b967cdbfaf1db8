//! What the program says is so: sentences that were wrong once, each held against what they are about.

use std::time::Instant;

use crate::pipelines::{Pipeline, training};
use crate::space::{Ran, Space, grey_png};

fn pipeline() -> Pipeline {
    training().set("stages.inter.checkpoint_every", 1).evaluated()
}

#[test]
fn after_a_failure_no_result_of_an_earlier_network_is_shown_as_this_runs() {
    let space = Space::with(pipeline());
    let first = space.intrada("p.toml");
    let inspected = space.intrada("inspect p.toml inter --format json").stdout;
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    let digest = inspected["outputs"][0]["digest"].as_str().unwrap()[..12].to_owned();
    assert!(space.read("runs/p/report.html").contains(&digest));
    assert!(first.code == Some(0) && first.stdout.contains("mIoU"), "{}{}", first.stdout, first.stderr);
    // Another training, which has no time: what lies in place of the evaluation is of the one before.
    space.edit("p.toml", "iterations = 2\n", "iterations = 3\ntimeout = \"0.001 s\"\n");
    let failed = space.intrada("p.toml");
    assert_eq!(failed.code, Some(1), "{}{}", failed.stdout, failed.stderr);
    assert!(failed.stdout.starts_with("Failed: 2 stages"), "{}", failed.stdout);
    assert_eq!(failed.stdout.lines().count(), 1, "no table: {}", failed.stdout);
    let page = space.read("runs/p/report.html");
    assert!(!page.contains(&digest), "the page shows what the training gave with another key");
    assert!(page.contains("evaluate has no current result") || !page.contains("id=\"certainty\""));
    // What is brought up to date beside a failure is shown.
    let again = space.intrada("p.toml --set stages.inter.iterations=2");
    assert!(again.code == Some(0) && again.stdout.contains("mIoU"), "{}{}", again.stdout, again.stderr);
}

#[test]
fn what_a_resumed_training_cost_is_the_sum_over_its_runs() {
    let space = Space::with(pipeline().set("stages.inter.iterations", 1500));
    let mut run = space.start("p.toml inter");
    let start = Instant::now();
    space.wait_for_lines(&mut run, "losses.jsonl", 20);
    let trained = start.elapsed();
    assert!(crate::space::processes::kill(run.id(), "-INT"));
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let second = space.intrada("run p.toml inter --format json");
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    let resumed = second.events().into_iter().any(|event| event["event"] == "stage-resumed");
    assert!(resumed, "{}", second.stdout);
    let finished = second.events().into_iter().find(|event| event["event"] == "stage-finished").unwrap();
    let now = finished["seconds"].as_f64().unwrap();
    let inspected: serde_json::Value =
        serde_json::from_str(&space.intrada("inspect p.toml inter --format json").stdout).unwrap();
    let all = inspected["seconds"].as_f64().unwrap();
    let earlier = all - now;
    assert!(earlier > 0.0 && earlier <= start.elapsed().as_secs_f64(), "{now} s of {all} s after {trained:?}");
    space.run("p.toml");
    let compared: serde_json::Value =
        serde_json::from_str(&space.intrada("compare p.toml --format json").stdout).unwrap();
    assert_eq!(compared["rows"][0]["training_seconds"]["mean"].as_f64(), Some(all), "{compared}");
}

#[test]
fn an_export_of_what_a_training_does_not_have_says_why() {
    let space = Space::with(pipeline());
    space.run("p.toml");
    let said = |name: &str| {
        let ran = space.intrada(&format!("export p.toml {name} out"));
        assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
        ran.stderr
    };
    let best = said("inter.best");
    assert!(best.contains("no labelled images to choose one on") && best.contains("set its `dataset`"), "{best}");
    assert!(said("inter.modle").contains("did you mean `inter.model`?"));
    assert!(said("inter.discriminator").contains("needs another `method`"));
    assert!(said("evaluate").contains("has no weights"));
}

#[test]
fn a_slip_on_the_command_line_is_answered_with_what_was_meant() {
    let space = Space::with(pipeline());
    space.write("folder/q.toml", "");
    let said = |line: &str| -> String {
        let ran = space.intrada(line);
        assert_eq!(ran.code, Some(2), "{line}: {}{}", ran.stdout, ran.stderr);
        ran.stderr
    };
    for (line, meant) in [
        ("comapre p.toml", "did you mean `compare`?"),
        ("pln p.toml", "did you mean `plan`?"),
        ("p.tmol", "did you mean `p.toml`?"),
        ("run p.tmol", "did you mean `p.toml`?"),
        ("p1.toml", "did you mean `p.toml`?"),
        ("plan zzzzzzzz.toml", "pipeline files there: p.toml"),
        ("plan nowhere/p.toml", "there is no folder nowhere"),
        ("folder", "pipeline files in it: folder/q.toml"),
        ("plan folder", "pipeline files in it: folder/q.toml"),
        ("doctor folder", "pipeline files in it: folder/q.toml"),
        ("evaluate p.toml", "intrada-run p.toml evaluate"),
        ("p.toml evalute", "did you mean `evaluate`?"),
        ("compare p.toml evalute", "did you mean `evaluate`?"),
        ("compare p.toml qqqqqq", "there is evaluate"),
        ("compare p.tmol", "did you mean `p.toml`?"),
        ("compare p.toml --against intre", "did you mean `inter`?"),
        ("cache unpin p.toml evalute", "did you mean `evaluate`?"),
        ("help comapre", "did you mean `compare`?"),
        ("--quite p.toml", "--quiet"),
        ("plan p.toml --formt json", "--format"),
        ("plan p.toml --format jsno", "json"),
        ("cache stast", "stats"),
        ("p.toml --set stages.intre.iterations=3", "did you mean `inter`?"),
    ] {
        let answer = said(line);
        assert!(answer.contains(meant), "{line}: {answer}");
    }
}

/// A file of the repository.
fn file(path: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn stages(pipeline: &str) -> usize {
    pipeline.lines().filter(|line| line.starts_with("[stages.") && !line.contains(".matrix")).count()
}

#[test]
fn the_documents_count_the_stages_that_there_are() {
    let quickstart = stages(&file("pipelines/quickstart.toml"));
    assert!(file("README.md").contains(&format!("second run ends with `{quickstart} up to date`")), "{quickstart}");
    let space = Space::new();
    for folder in ["synth/images", "synth/labels", "photos", "test/images", "test/labels"] {
        space.write(&format!("{folder}/0.png"), grey_png(64, 32, 1));
    }
    let line = "init mine --source synth/images --labels synth/labels --target photos --test test/images --test-labels \
                test/labels --classes road,car,person";
    let ran: Ran = space.intrada(line);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let word = words[stages(&space.read("mine/pipeline.toml")) - 1];
    assert!(file("docs/tutorial.md").contains(&format!("`mine/pipeline.toml`: {word} stages")), "{word}");
}
