//! Snapshots chosen without labels: which one is chosen, that scoring changes nothing, that a kill chooses the same, and what is
//! said of it.

use serde_json::Value;

use crate::pipelines::{Pipeline, training};
use crate::space::processes::kill;
use crate::space::{Space, files, grey_png};

const STEPS: &str = r#"iterations = 24
schedule_iterations = 24
batch = 2
optimizer = "adam"
learning_rate = 2e-2
checkpoint_every = 3
candidates_every = 5
"#;

/// A training on the source alone whose snapshots are scored on a target without labels.
fn pipeline() -> Pipeline {
    let pipeline = training().evaluated().scenes("target", "target", 2, 6).with("stages.inter", STEPS);
    pipeline.set("stages.inter.candidates", "target")
}

/// With labels too, at the same steps.
fn judged() -> Pipeline {
    let pipeline = pipeline().set("stages.inter.choose_by", "soft-neighbourhood-density");
    let pipeline = pipeline.set("stages.inter.dataset", "test").set("stages.inter.evaluate_every", 5);
    pipeline.set("stages.evaluate.weights", ["inter", "inter.best", "inter.chosen"])
}

fn lines(space: &Space, file: &str) -> Vec<Value> {
    space.read(&format!("runs/p/{file}")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn iterations(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["iteration"].as_u64().unwrap()).collect()
}

/// The iteration whose line has the largest merit, the first of equals.
fn best(lines: &[Value], merit: impl Fn(&Value) -> f64) -> u64 {
    let best = lines.iter().reduce(|best, line| if merit(line) > merit(best) { line } else { best }).unwrap();
    best["iteration"].as_u64().unwrap()
}

fn density(line: &Value) -> f64 {
    line["soft_neighbourhood_density"].as_f64().unwrap()
}

#[test]
fn chosen_is_the_snapshot_with_the_best_score_and_is_measured_as_a_network_of_its_own() {
    let space = Space::with(judged());
    let ran = space.intrada("run p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let (scored, evaluated) = (lines(&space, "inter/candidates.jsonl"), lines(&space, "inter/evaluations.jsonl"));
    assert_eq!(iterations(&scored), [5, 10, 15, 20, 24], "every fifth and the last");
    for line in &scored {
        assert_eq!((line["images"].as_u64(), line["pixels"].as_u64()), (Some(6), Some(600)));
        assert!((0.0..=99f64.ln()).contains(&density(line)), "{line}");
        for share in ["entropy", "agreement"] {
            assert!((0.0..=1.0).contains(&line[share].as_f64().unwrap()), "{line}");
        }
    }
    let chosen = best(&scored, density);
    let miou = |iteration: u64| {
        evaluated.iter().find(|line| line["iteration"] == iteration).unwrap()["miou"].as_f64().unwrap()
    };
    let metrics = space.json("runs/p/evaluate/metrics.json");
    assert_eq!(metrics["inter.chosen"]["miou"].as_f64(), Some(miou(chosen)));
    assert!(
        ran.stdout.contains("inter.chosen was chosen by its soft neighbourhood density on target: without labels"),
        "{}",
        ran.stdout
    );
    let traces: Vec<String> =
        files(&space.path("cache/traces")).iter().map(|t| std::fs::read_to_string(t).unwrap()).collect();
    let noted = format!("target without labels, iteration {chosen}, soft neighbourhood density");
    assert_eq!(
        traces.iter().filter(|trace| trace.contains("chosen_on") && trace.contains(&noted)).count(),
        1,
        "{traces:?}"
    );

    // The page, and the command, tell what the choice cost.
    let page = space.read("runs/p/report.html");
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    let most = evaluated.iter().map(|line| line["miou"].as_f64().unwrap()).fold(0.0, f64::max);
    let judged = &data["choices"]["inter"]["scores"]["soft_neighbourhood_density"];
    assert_eq!((judged["iteration"].as_u64(), judged["miou"].as_f64()), (Some(chosen), Some(miou(chosen))));
    assert_eq!(judged["regret"].as_f64(), Some(most - miou(chosen)));
    assert!(page.contains("chosen without labels") && page.contains("regret in points"));
    let told: Value = serde_json::from_str(&space.intrada("choices p.toml --format json").stdout).unwrap();
    assert_eq!(told["trainings"][0]["scores"], data["choices"]["inter"]["scores"]);
    assert_eq!(told["summary"]["last"]["regret"]["worst"].as_f64(), Some(most - miou(24)));
    let table = space.intrada("choices p.toml").stdout;
    let row = table.lines().nth(1).unwrap();
    let regret = format!("{:.1}", 100.0 * (most - miou(chosen)));
    assert!(row.split_whitespace().nth(3) == Some(&regret), "{table}");

    // A network like any other: exported, applied to images, a beginning for others.
    let exported = space.intrada("export p.toml inter.chosen out");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let card = space.read("out/README.md");
    assert!(
        card.contains("the best score on images without labels") && card.contains("chosen without labels, this file"),
        "{card}"
    );
    assert!(card.contains("the best soft neighbourhood density on images of target, of which no label"), "{card}");
    let inferred = judged_again(&space, "weights = \"inter.chosen\"");
    assert_eq!(inferred, ["entropy:ran", "evaluate:up-to-date", "inter:up-to-date"]);
}

/// With an inference by these weights.
fn judged_again(space: &Space, weights: &str) -> Vec<String> {
    let stage = format!("[stages.entropy]\nkind = \"entropy-inference\"\nimages = \"target\"\n{weights}\n");
    space.write("p.toml", judged().add(&stage));
    space.outcomes()
}

#[test]
fn scoring_changes_nothing_about_the_training() {
    let with = Space::with(pipeline());
    let keys = ["candidates_every", "candidates"].map(|key| format!("stages.inter.{key}"));
    let without = Space::with(keys.iter().fold(pipeline(), |pipeline, key| pipeline.without(key)));
    with.run("p.toml inter");
    without.run("p.toml inter");
    for name in ["model.safetensors", "losses.jsonl"] {
        let name = format!("runs/p/inter/{name}");
        assert!(with.bytes(&name) == without.bytes(&name), "{name} differs");
    }
    assert!(!without.path("runs/p/inter/chosen.safetensors").exists());
}

#[test]
fn another_score_chooses_by_the_same_numbers() {
    let spaces = ["soft-neighbourhood-density", "entropy", "agreement"].map(|score| {
        let space = Space::with(pipeline().set("stages.inter.choose_by", score));
        let key = space.run("p.toml inter").pop().unwrap().key;
        (space, key)
    });
    let [density_of, entropy, agreement] = &spaces;
    let scored = lines(&density_of.0, "inter/candidates.jsonl");
    assert!(spaces.iter().all(|(space, _)| lines(space, "inter/candidates.jsonl") == scored));
    assert!(density_of.1 != entropy.1 && entropy.1 != agreement.1, "a choice is part of the key");
    let chosen = [
        best(&scored, density),
        best(&scored, |line| -line["entropy"].as_f64().unwrap()),
        best(&scored, |line| line["agreement"].as_f64().unwrap()),
    ];
    for (iteration, (space, _)) in chosen.into_iter().zip(&spaces) {
        let shorter = pipeline().set("stages.inter.iterations", iteration).set("stages.inter.candidates_every", 24);
        let stopped = Space::with(shorter);
        stopped.run("p.toml inter");
        let chosen = space.bytes("runs/p/inter/chosen.safetensors");
        assert!(chosen == stopped.bytes("runs/p/inter/model.safetensors"), "not the network of iteration {iteration}");
    }
}

#[test]
fn a_training_killed_between_and_in_looks_chooses_the_same_snapshot() {
    const OUTPUTS: [&str; 5] =
        ["model.safetensors", "chosen.safetensors", "best.safetensors", "candidates.jsonl", "losses.jsonl"];
    let undisturbed = Space::with(judged());
    undisturbed.run("p.toml inter");
    let space = Space::with(judged());
    // Killed as soon as there is one line more, wherever the loop is then; once interrupted instead.
    for looks in 1..=4 {
        let mut run = space.start("run p.toml inter");
        space.wait_for_lines(&mut run, "candidates.jsonl", looks);
        kill(run.id(), if looks == 2 { "-INT" } else { "-KILL" });
        run.wait().unwrap();
    }
    space.run("p.toml inter");
    for name in OUTPUTS {
        let name = format!("runs/p/inter/{name}");
        assert!(space.bytes(&name) == undisturbed.bytes(&name), "{name} differs");
    }
}

#[test]
fn a_training_without_target_names_the_images_and_reads_no_label_of_them() {
    let space = Space::with(pipeline().without("stages.inter.candidates"));
    let refused = space.intrada("plan p.toml");
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    assert!(refused.stderr.contains("`candidates_every` needs images of the target"), "{}", refused.stderr);
    assert!(refused.stderr.contains("name a data set of the target in `candidates`"), "{}", refused.stderr);

    let photographs = pipeline().folder("target");
    space.write("p.toml", &*photographs);
    for (at, grey) in [40u8, 90, 200].into_iter().enumerate() {
        space.write(&format!("target/images/{at}.png"), grey_png(64, 32, grey));
    }
    space.run("p.toml inter");
    assert_eq!(lines(&space, "inter/candidates.jsonl")[0]["images"], 3);
    // A label that is no picture is nobody's business.
    space.write("target/labels/0.png", "no picture");
    assert_eq!(space.run("p.toml inter")[0].outcome, "up-to-date");
}

#[test]
fn an_adapting_training_is_scored_on_its_target_and_an_intra_training_on_both_parts() {
    let looks = "candidates_every = 1\ncandidates_images = 3\n";
    let pipeline = training().adapted().set("datasets.target.count", 5).ranked().intra();
    let space = Space::with(pipeline.with("stages.inter", looks).with("stages.intra", looks));
    space.run("p.toml");
    for stage in ["inter", "intra"] {
        let scored = lines(&space, &format!("{stage}/candidates.jsonl"));
        assert_eq!(iterations(&scored), [1, 2]);
        assert!(scored.iter().all(|line| line["images"] == 3 && line["pixels"] == 300), "{scored:?}");
    }
    let told = space.intrada("choices p.toml");
    assert!(told.stdout.contains("2 trainings left out: no labels to judge by"), "{}{}", told.stdout, told.stderr);
}
