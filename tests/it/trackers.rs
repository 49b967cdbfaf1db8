//! The examples that copy results to trackers, with stand-ins for these that say what they are told.

use std::process::Command;

use serde_json::{Value, json};

use crate::pipelines::training;
use crate::space::{Ran, Space};

const MLFLOW: &str = r#"
import contextlib, json, os
def say(what, *values): print(what, json.dumps(values, sort_keys=True))
def set_experiment(name): say("experiment", name)
def set_tags(tags): say("tags", tags)
def log_params(parameters): say("parameters", parameters)
def log_metrics(values, step=None):
    assert all(isinstance(value, float) for value in values.values()), values
    say("values", step, values)
def log_artifacts(folder): say("files", sorted(os.listdir(folder)))
def search_runs(filter_string, output_format): return [1] if os.environ["KNOWN"] in filter_string else []
@contextlib.contextmanager
def start_run(run_name):
    say("run", run_name)
    yield
"#;

const WANDB: &str = r#"
import contextlib, json
def say(what, *values): print(what, json.dumps(values, sort_keys=True))
class Run:
    summary = {}
    def log(self, values, step): say("values", step, values)
    def log_artifact(self, artifact): say("files", artifact)
class Artifact(dict):
    def __init__(self, name, type, metadata): self["named"] = name
    def add_file(self, path, name): self[name] = open(path, "rb").read(1) != b""
@contextlib.contextmanager
def init(project, name, id, group, config, resume):
    say("experiment", project); say("run", name); say("parameters", config)
    Run.summary = {}
    yield Run()
    say("values", None, Run.summary)
"#;

/// Three seeds of a training that is looked at while it lasts, evaluated.
fn space() -> Space {
    let looks = "dataset = \"test\"\nevaluate_every = 1\ncandidates = \"test\"\ncandidates_every = 1\n";
    let inter = format!("{looks}matrix = {{ seed = [1, 2] }}\n");
    let space = Space::with(training().evaluated().with("stages.inter", &inter));
    space.write("fake/mlflow.py", MLFLOW);
    space.write("fake/wandb.py", WANDB);
    space.run("p.toml evaluate[seed=1]");
    space
}

/// What an example says of `p.toml`: a line's first word and its values; `None` where there is no Python.
fn copied(space: &Space, example: &str, known: &str) -> Option<(Vec<(String, Value)>, Ran)> {
    let script = format!("{}/examples/{example}", env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3");
    python.args(["-B", &script, "p.toml"]).current_dir(space.path("")).env("PYTHONPATH", space.path("fake"));
    python.env("INTRADA_RUN", env!("CARGO_BIN_EXE_intrada-run")).env("KNOWN", known);
    let ran = match python.output() {
        Ok(output) => Ran::of(output),
        Err(error) => {
            println!("skipped: there is no python3: {error}");
            return None;
        }
    };
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let said = ran.stdout.lines().filter_map(|line| {
        let (what, values) = line.split_once(' ')?;
        Some((what.to_owned(), serde_json::from_str(values).ok()?))
    });
    Some((said.collect(), ran))
}

#[test]
fn trackers_get_parameters_losses_results_and_files_of_what_is_up_to_date() {
    let space = space();
    for example in ["to_mlflow.py", "to_wandb.py"] {
        let Some((said, ran)) = copied(&space, example, "no such key") else { return };
        assert!(ran.stderr.contains("2 of 4 stages are not up to date and are left out"), "{}", ran.stderr);
        let all =
            |what: &str| said.iter().filter(|(word, _)| word == what).map(|(_, values)| values).collect::<Vec<_>>();
        assert_eq!(all("experiment")[0], &json!(["p"]), "{example}");
        assert_eq!(all("run"), [&json!(["inter[seed=1]"]), &json!(["evaluate[seed=1]"])], "{example}");
        assert_eq!(all("parameters")[0][0]["seed"], 1, "{example}");
        let values = |step: Value| all("values").into_iter().filter(move |values| values[0] == step);
        let second = values(json!(1)).next().unwrap();
        assert!(second[1]["seg_main"].is_f64() && second[1]["lr"].is_f64(), "{example}: {second}");
        assert!(second[1].get("adv_main").is_none(), "{second}");
        let evaluations = space.read("runs/p/inter[seed=1]/evaluations.jsonl");
        let last: Value = serde_json::from_str(evaluations.lines().last().unwrap()).unwrap();
        let during = values(json!(2)).find_map(|values| values[1].get("evaluation/miou")).unwrap();
        assert_eq!(during, &last["miou"], "{example}");
        let scored = space.read("runs/p/inter[seed=1]/candidates.jsonl");
        let last: Value = serde_json::from_str(scored.lines().last().unwrap()).unwrap();
        let during = values(json!(2)).find_map(|values| values[1].get("candidates/entropy")).unwrap();
        assert_eq!(during, &last["entropy"], "{example}");
        let metrics = space.json("runs/p/evaluate[seed=1]/metrics.json");
        let found = values(Value::Null).find(|values| values[1].get("inter/miou").is_some()).unwrap();
        assert_eq!(found[1]["inter/miou"], metrics["inter"]["miou"], "{example}");
        assert_eq!(found[1]["inter/iou/road"], metrics["inter"]["iou"]["road"], "{example}");
        let files = serde_json::to_string(&all("files")).unwrap();
        for file in ["model.safetensors", "best.safetensors", "chosen.safetensors", "metrics.json", "images.jsonl"] {
            assert!(files.contains(file), "{example}: {files}");
        }
    }
}

#[test]
fn a_result_that_mlflow_has_is_left_alone() {
    let space = space();
    let stages: Value = serde_json::from_str(&space.intrada("inspect p.toml --format json").stdout).unwrap();
    let stages = stages["stages"].as_array().unwrap();
    let evaluated = stages.iter().find(|stage| stage["name"] == "evaluate[seed=1]").unwrap();
    let Some((said, ran)) = copied(&space, "to_mlflow.py", evaluated["key"].as_str().unwrap()) else { return };
    assert_eq!(said.iter().filter(|(what, _)| what == "run").count(), 1);
    assert!(ran.stdout.contains("evaluate[seed=1] is there already"), "{}", ran.stdout);
}
