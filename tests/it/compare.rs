//! `compare` on real networks: what was run, what wasn't, and what is out of date.

use crate::pipelines::{Pipeline, training};
use crate::space::Space;
use serde_json::Value;

const SECOND: &str = r#"[stages.second]
kind = "inter-training"
method = "source-only"
model = "small"
source = "source"
weights = "inter"
iterations = 1
matrix = { learning_rate = [1e-3, 1e-2], seed = [3, 2, 1] }
"#;

/// A training over three seeds and one that goes on from it with two rates, of one iteration each.
fn pipeline() -> Pipeline {
    let inter = "iterations = 1\ndataset = \"test\"\nmatrix = { seed = [1, 2, 3] }\n";
    let pipeline = training().with("stages.inter", inter).add(SECOND).evaluated();
    pipeline.set("stages.evaluate.weights", ["inter", "inter.best", "second"])
}

fn rows(space: &Space, arguments: &str) -> Vec<Value> {
    let ran = space.intrada(&format!("compare {arguments} --format json"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let mut answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    answer["rows"].take().as_array().unwrap().clone()
}

#[test]
fn a_table_says_what_metrics_json_says_and_counts_what_is_missing() {
    let space = Space::with(pipeline());
    let missing = rows(&space, "p.toml");
    assert_eq!(missing.len(), 3, "first, and second with two rates");
    assert!(missing.iter().all(|row| row["not_run"] == 3 && row["last"].is_null()), "{missing:?}");

    space.run("p.toml evaluate[learning_rate=0.01]");
    let again = space.intrada("p.toml evaluate[learning_rate=0.01]");
    assert!(again.stderr.ends_with("next    intrada-run compare p.toml\n"), "{}", again.stderr);
    let one = space.intrada("p.toml evaluate[seed=1,learning_rate=0.01]");
    assert!(!one.stderr.contains("next  "), "one evaluation has nothing beside it: {}", one.stderr);
    let table = rows(&space, "p.toml");
    let miou = |seed: u32, weights: &str| -> f64 {
        let path = format!("runs/p/evaluate[seed={seed},learning_rate=0.01]/metrics.json");
        let metrics = space.json(&path);
        metrics[weights]["miou"].as_f64().unwrap()
    };
    let mean = |of: &dyn Fn(u32) -> f64| (1..=3).map(of).sum::<f64>() / 3.0;
    let is = |value: &Value, expected: f64| assert!((value.as_f64().unwrap() - expected).abs() < 1e-12, "{value}");
    assert_eq!(table[0]["weights"], "inter");
    is(&table[0]["last"]["mean"], mean(&|seed| miou(seed, "inter")));
    is(&table[0]["best"]["mean"], mean(&|seed| miou(seed, "inter.best")));
    let second = |rate: &str| table.iter().find(|row| row["parameters"]["second.learning_rate"] == rate).unwrap();
    is(&second("0.01")["last"]["mean"], mean(&|seed| miou(seed, "second")));
    is(&second("0.01")["since"]["mean"], mean(&|seed| miou(seed, "second") - miou(seed, "inter")));
    assert_eq!(second("0.01")["since"]["count"], 3);
    assert_eq!((second("0.001")["measured"].clone(), second("0.001")["not_run"].clone()), (0.into(), 3.into()));

    // By image, each against its own seed's: what `images.jsonl` says, on average.
    let by_image = rows(&space, "p.toml --by-image");
    let images = &by_image.iter().find(|row| row["parameters"]["second.learning_rate"] == "0.01").unwrap()["images"];
    assert_eq!(images["count"], 2);
    let image = images["gained"].as_array().unwrap().iter().chain(images["lost"].as_array().unwrap()).next().unwrap();
    let of = |seed: u32, weights: &str| -> f64 {
        let text = space.read(&format!("runs/p/evaluate[seed={seed},learning_rate=0.01]/images.jsonl"));
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.find(|line| line["image"] == image["name"]).unwrap()["miou"][weights].as_f64().unwrap()
    };
    is(&image["own"], mean(&|seed| of(seed, "second")));
    is(&image["base"], mean(&|seed| of(seed, "inter")));

    // Other trainings: what was measured is not what the file now means.
    let stale = rows(&space, "p.toml --set stages.second.iterations=2 evaluate[seed=2]");
    assert!(stale.iter().all(|row| row["measured"] == 0), "{stale:?}");
    assert_eq!(stale.iter().map(|row| row["stale"].as_u64().unwrap()).sum::<u64>(), 2, "{stale:?}");
    // What failed is counted as such: a training that can't go well.
    space.edit("p.toml", "learning_rate = [1e-3, 1e-2]", "learning_rate = [1e-3, 1e-2, 1e30]");
    space.edit("p.toml", "weights = \"inter\"\niterations = 1", "weights = \"inter\"\niterations = 2");
    assert_eq!(space.intrada("p.toml evaluate[seed=1,learning_rate=1e30]").code, Some(1));
    let failed = rows(&space, "p.toml");
    let failed = failed.iter().find(|row| row["parameters"]["second.learning_rate"] == "1e30").unwrap();
    assert_eq!((failed["failed"].clone(), failed["not_run"].clone()), (1.into(), 3.into()));
    space.write("p.toml", pipeline());
    // Another pipeline of the same meaning has the same results, out of the cache.
    space.write("q.toml", pipeline().set("pipeline.name", "q"));
    let both = rows(&space, "p.toml q.toml evaluate[learning_rate=0.01] --no-group --sort last");
    assert_eq!((both.len(), both[0]["last"].clone()), (12, both[1]["last"].clone()));
}

#[test]
fn what_cannot_be_compared_is_refused_with_what_can() {
    let space = Space::with(pipeline());
    for (arguments, expected) in [
        ("evaluate", "is not a pipeline file"),
        ("p.toml inter", "`inter` is of kind inter-training, not evaluation; there is evaluate"),
        ("p.toml evalute", "did you mean `evaluate`?"),
        ("p.toml --by-image --format csv", "--by-image needs"),
        ("p.toml --against secnd", "did you mean `second`?"),
        ("p.toml --sort rate", "there are pipeline, weights, last, best, since, time, second.learning_rate"),
    ] {
        let refused = space.intrada(&format!("compare {arguments}"));
        assert_eq!(refused.code, Some(2), "{arguments}: {}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{arguments}: {}", refused.stderr);
    }
}
