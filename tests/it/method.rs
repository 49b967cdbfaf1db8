//! The whole method with the real worker, on a few tiny scenes: what runs, what is reused, and why.

use crate::pipelines::{method, training};
use crate::space::{Space, files, grey_png};

/// Which images an inference is sure about, beside where it is right.
const LABELLED_TOO: &str = r#"
[stages.surety]
kind = "entropy-inference"
weights = "inter"
images = "test"
"#;

const ALL: [&str; 6] = ["entropy", "evaluate", "inter", "intra", "pseudo", "rank"];

fn all(outcome: &str) -> Vec<String> {
    ALL.iter().map(|stage| format!("{stage}:{outcome}")).collect()
}

#[test]
fn the_method_runs_from_end_to_end_and_then_has_nothing_to_do() {
    let space = Space::with(method());
    let first = space.intrada("p.toml");
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(first.stdout.contains("mIoU"), "{}", first.stdout);
    assert!(first.stdout.contains("inter") && first.stdout.contains("intra") && first.stdout.contains("pole"));
    assert!(first.stdout.contains("6 ran"), "{}", first.stdout);
    assert_eq!(space.outcomes(), all("up-to-date"));

    let runs = |path: &str| space.path(&format!("runs/p/{path}"));
    assert_eq!(space.read("runs/p/inter/losses.jsonl").lines().count(), 4);
    assert!(runs("inter/pictures/photograph/scene-00009.jpg").exists());
    assert!(runs("intra/pictures/entropy/4").exists() && runs("intra/pictures/prediction/1").exists());
    let easy = space.read("runs/p/rank/easy_split.txt");
    assert_eq!(easy.lines().count(), 6, "trunc(10 · 0.67)");
    assert_eq!(space.read("runs/p/rank/hard_split.txt").lines().count(), 4);
    assert_eq!(files(&runs("pseudo/labels")).len(), 6);
    assert_eq!(files(&runs("entropy/predictions")).len(), 10);
    assert_eq!(files(&runs("entropy/entropy")).len(), 10);
    assert_eq!(files(&runs("evaluate/overlays")).len(), 4, "two a model");
    let judged = space.read("runs/p/evaluate/images.jsonl");
    assert_eq!(judged.lines().count(), 4, "a line an image");
    assert_eq!(judged.matches("\"shown\"").count(), 4, "so few images are all shown");
    assert_eq!(files(&runs("evaluate/pictures")).len(), 4 * (2 + 2 * 2), "image and label; two maps a model");
    let metrics = space.json("runs/p/evaluate/metrics.json");
    let page = space.read("runs/p/report.html");
    let block = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    let data: serde_json::Value = serde_json::from_str(block).unwrap();
    assert_eq!(data["evaluations"]["evaluate"]["metrics"], metrics, "the report shows the very numbers");
    assert_eq!(
        page.matches("background-image:url(data:image/jpeg").count(),
        4 + 10,
        "of the evaluation and of the target"
    );
    let miou = metrics["intra"]["miou"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&miou));
    let pixels: i64 = metrics["inter"]["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|n| n.as_i64().unwrap())
        .sum();
    assert_eq!(pixels, 4 * 128 * 64, "every pixel of every image is counted once");
}

#[test]
fn an_evaluation_knows_the_scores_that_a_ranking_would_go_by() {
    for size in [[128, 64], [64, 32]] {
        let space = Space::with(method().set("datasets.test.size", size).add(LABELLED_TOO));
        space.run("p.toml surety evaluate");
        let judged = space.read("runs/p/evaluate/images.jsonl");
        let of_inter = judged.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(line["entropy"]["intra"].is_number());
            format!("{},{}", line["image"].as_str().unwrap(), line["entropy"]["inter"])
        });
        let scores = space.read("runs/p/surety/scores.csv");
        let scores = scores.lines().skip(1).map(|line| line.split(',').take(2).collect::<Vec<_>>().join(","));
        assert!(of_inter.eq(scores), "{judged}");
    }
}

#[test]
fn another_lambda_runs_the_ranking_and_what_follows_and_why_says_so() {
    let space = Space::with(method());
    space.outcomes();
    space.edit("p.toml", "lambda = 0.67", "lambda = 0.6");
    // trunc(10 · 0.6) is 6 as well: the split is the same, and nothing after the ranking has to run.
    let why = space.intrada("why p.toml rank");
    assert!(why.stdout.contains("lambda 0.67 → 0.6"), "{}", why.stdout);
    assert_eq!(
        space.outcomes(),
        [
            "entropy:up-to-date",
            "evaluate:up-to-date",
            "inter:up-to-date",
            "intra:up-to-date",
            "pseudo:up-to-date",
            "rank:ran"
        ]
    );
    space.edit("p.toml", "lambda = 0.6", "lambda = 0.4");
    assert_eq!(
        space.outcomes(),
        ["entropy:up-to-date", "evaluate:ran", "inter:up-to-date", "intra:ran", "pseudo:ran", "rank:ran"]
    );
    let settled = space.run("p.toml --set stages.rank.lambda=0.67");
    assert!(settled.iter().all(|stage| stage.outcome != "ran"), "all of it was computed before: {settled:?}");
}

#[test]
fn deleting_runs_loses_nothing_and_nothing_trains() {
    let space = Space::with(method());
    space.outcomes();
    let before = space.bytes("runs/p/intra/model.safetensors");
    space.remove("runs");
    assert_eq!(space.outcomes(), all("hit"));
    assert_eq!(space.bytes("runs/p/intra/model.safetensors"), before);
}

#[test]
fn the_same_work_in_another_workspace_gives_the_same_bytes() {
    let (one, two) = (Space::with(method()), Space::with(method()));
    one.outcomes();
    two.outcomes();
    let (one, two) = (one.results("runs"), two.results("runs"));
    assert!(one.len() > 30);
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    for (path, bytes) in &one {
        assert!(two[path] == *bytes, "{} differs", path.display());
    }
}

#[test]
fn checkpoint_interval_threads_and_device_are_in_no_key() {
    let space = Space::with(method());
    space.outcomes();
    let other = method().set("pipeline.threads", 2).set("pipeline.device", "cpu");
    space.write("p.toml", other.set("stages.inter.checkpoint_every", 3));
    assert_eq!(space.outcomes(), all("up-to-date"));
}

#[test]
fn an_output_that_was_edited_by_hand_is_restored() {
    let space = Space::with(method());
    space.outcomes();
    let path = space.path("runs/p/rank/easy_split.txt");
    let before = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "something else\n").unwrap();
    let rank = space.run("p.toml").into_iter().find(|stage| stage.stage == "rank").unwrap();
    assert_eq!(rank.outcome, "hit");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn pseudo_labels_can_be_kept_to_the_surest_part_of_each_class() {
    let space = Space::with(method());
    space.outcomes();
    space.write("p.toml", method().with("stages.pseudo", "entropy = \"entropy\"\nkeep = 0.5"));
    let ran = space.intrada("run p.toml --format json");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(["rank", "pseudo", "intra"].map(|stage| ran.outcome(stage).outcome), ["up-to-date", "ran", "ran"]);
    let ignored = |path: &std::path::PathBuf| {
        let mut reader =
            png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap())).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        (bytes.iter().filter(|value| **value == 255).count(), bytes.len())
    };
    let labels = files(&space.path("runs/p/pseudo/labels"));
    let (ignored, all) = labels.iter().map(ignored).fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    let share = ignored as f64 / all as f64;
    // Pixels as sure as the last one that is kept are kept, too, so it is at most a half.
    assert!((0.2..=0.5).contains(&share), "{share} of the pixels are ignored");
}

#[test]
fn without_a_list_every_prediction_becomes_a_label_and_trains_a_network_by_itself() {
    let space = Space::with(method());
    let all = method().without("stages.pseudo.images").set("stages.intra.method", "source-only");
    space.write("p.toml", all.without("stages.intra.weights").without("stages.intra.hard"));
    let ran = space.intrada("run p.toml intra --format json");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.settled().iter().all(|settled| settled.stage != "rank"), "nothing asks for a ranking");
    assert_eq!(files(&space.path("runs/p/pseudo/labels")).len(), 10, "as many as images");
    let events = ran.events();
    let pseudo = events.iter().find(|event| event["stage"] == "pseudo" && event["notes"].is_object()).unwrap();
    let shares = pseudo["notes"]["classes"].as_str().unwrap().split(", ").map(|share| {
        let number = share.rsplit_once(' ').unwrap().0.rsplit_once(' ').unwrap().1;
        number.parse::<f64>().unwrap()
    });
    let shares: Vec<f64> = shares.collect();
    assert_eq!(shares.len(), 8);
    assert!((shares.iter().sum::<f64>() - 100.0).abs() < 0.05, "{shares:?}");
}

#[test]
fn inspect_and_log_and_graph_and_stats_answer() {
    let space = Space::with(method());
    space.outcomes();
    let inspect = space.intrada("inspect p.toml rank");
    assert!(inspect.stdout.contains("easy_split.txt") && inspect.stdout.contains("lambda 0.67"), "{}", inspect.stdout);
    assert_eq!(space.intrada("log p.toml rank").code, Some(0));
    let mermaid = space.intrada("graph p.toml --format mermaid");
    assert!(mermaid.stdout.contains("inter") && mermaid.stdout.contains("-->"), "{}", mermaid.stdout);
    let stats = space.intrada("cache stats --format json");
    let stats: serde_json::Value = serde_json::from_str(&stats.stdout).unwrap();
    assert_eq!(stats["traces"]["files"], 6);
}

#[test]
fn an_output_that_a_stage_no_longer_has_goes_from_its_view() {
    let space = Space::with(method());
    space.run("p.toml inter");
    assert!(space.path("runs/p/inter/discriminator.safetensors").exists());
    let other = method().set("stages.inter.method", "minent").without("stages.inter.discriminator_width");
    space.write("p.toml", other);
    space.run("p.toml inter");
    assert!(!space.path("runs/p/inter/discriminator.safetensors").exists());
    assert!(space.path("runs/p/inter/model.safetensors").exists());
}

#[test]
fn a_data_set_that_a_command_writes_is_listed_when_the_command_is_done() {
    let space = Space::with(
        training().classes(["ground", "sky"]).folder("source").command(
            "prepare",
            "mkdir -p source/images source/labels; cp raw/image.png source/images/a.png; cp raw/label.png source/labels/a.png",
            ["raw"],
            ["source/images", "source/labels"],
        ),
    );
    space.write("raw/image.png", grey_png(64, 32, 90));
    space.write("raw/label.png", grey_png(64, 32, 1));
    assert_eq!(space.outcomes(), ["inter:ran", "prepare:ran"]);
    assert_eq!(space.outcomes(), ["inter:up-to-date", "prepare:up-to-date"]);
    space.write("raw/image.png", grey_png(64, 32, 91));
    assert_eq!(space.outcomes(), ["inter:ran", "prepare:ran"]);
    // A label outside the classes can only be found now, and fails what would read it.
    space.write("raw/label.png", grey_png(64, 32, 7));
    let ran = space.intrada("run p.toml --format json");
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert_eq!((ran.outcome("prepare").outcome, ran.outcome("inter").outcome), ("ran".to_owned(), "failed".to_owned()));
    assert!(ran.stdout.contains("source/labels/a.png"), "{}", ran.stdout);
}
