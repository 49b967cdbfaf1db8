//! Whether adaptation is worth it: what `assess` says, of which networks, and what it says where it can't.

use serde_json::Value;

use crate::pipelines::{Pipeline, training};
use crate::space::Space;

/// Without adaptation, with it, and with a few labels of the target.
fn weighed() -> Pipeline {
    let few = "[stages.few]\nkind = \"inter-training\"\nmethod = \"source-only\"\nmodel = \"small\"\nsource = \"source\"\n\
               labelled = \"few\"\niterations = 2\n[stages.before]\nkind = \"inter-training\"\nmethod = \"source-only\"\n\
               model = \"small\"\nsource = \"source\"\niterations = 2\n";
    let pipeline = training().adapted().scenes("few", "target", 5, 3).add(few).evaluated();
    pipeline.set("datasets.test.count", 12).set("stages.evaluate.weights", ["before", "inter", "few"])
}

fn json(space: &Space) -> Value {
    let ran = space.intrada("assess p.toml --format json");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn an_assessment_names_the_three_networks_with_their_differences_and_costs() {
    let space = Space::with(weighed());
    space.run("p.toml");
    let before = space.results("cache");
    let said = json(&space);
    let one = &said["assessments"][0];
    let names: Vec<&str> =
        one["networks"].as_array().unwrap().iter().map(|network| network["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["before", "inter", "few"]);
    assert_eq!((&one["seeds"], &one["images"]), (&1.into(), &12.into()));
    assert_eq!(one["networks"][2]["labelled_images"], 3);
    assert_eq!(one["networks"][2]["labelling_hours"], 4.5, "at 90 minutes");
    assert!(one["networks"].as_array().unwrap().iter().all(|network| network["cpu_hours"].as_f64().unwrap() > 0.0));
    // The difference is that of the metrics, and its interval holds it.
    let metrics: Value = serde_json::from_str(&space.read("runs/p/evaluate/metrics.json")).unwrap();
    let points = 100.0 * (metrics["inter"]["miou"].as_f64().unwrap() - metrics["before"]["miou"].as_f64().unwrap());
    let told = one["networks"][1]["difference"].as_str().unwrap();
    let numbers: Vec<f64> = told.split([' ', '[', ']', ',']).filter_map(|word| word.parse().ok()).collect();
    assert!(
        (numbers[0] - points).abs() < 0.06 && numbers[1] <= numbers[0] && numbers[0] <= numbers[2],
        "{told}: {points}"
    );
    let text = space.intrada("assess p.toml --minutes-per-image 7").stdout;
    assert!(text.contains("3 labelled images of the target") && text.contains("page  runs/p/assess.html"), "{text}");
    assert!(text.contains("another training may differ by 2 points"), "{text}");
    assert!(space.read("runs/p/assess.html").contains("7 minutes per image"));
    assert_eq!(space.results("cache"), before, "nothing runs");
    space.remove("runs");
    assert_eq!(json(&space)["assessments"], said["assessments"], "results in the cache are enough, as for compare");
}

#[test]
fn what_is_missing_for_an_assessment_is_said() {
    let without = weighed().set("stages.evaluate.weights", ["inter", "few"]);
    let space = Space::with(without);
    space.run("p.toml");
    let ran = space.intrada("assess p.toml");
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("it measures no network without adaptation: add a training with method = \"source-only\""),
        "{}",
        ran.stdout
    );
    space.write("p.toml", training().as_ref() as &str);
    let ran = space.intrada("assess p.toml");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("p.toml has no evaluation"), "{}", ran.stderr);
    let ran = space.intrada("assess p.toml --minutes-per-image -1");
    assert_eq!(ran.code, Some(2));
}
