//! What can be looked at while a run goes on: TensorBoard's events, over a kill and when a training is another one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::pipelines::{Pipeline, training};
use crate::space::Space;
use crate::space::waiting::wait_until;

const STEPS: &str = r#"iterations = 60
optimizer = "adam"
learning_rate = 1e-3
checkpoint_every = 10
dataset = "source"
evaluate_every = 20
"#;

fn pipeline() -> Pipeline {
    training().with("stages.inter", STEPS).inferred().set("stages.entropy.images", "source")
}

/// The event files of a stage that aren't empty.
fn events(space: &Space, stage: &str) -> Vec<PathBuf> {
    let files = crate::space::files(&space.path(&format!("runs/p/{stage}")));
    let is_one =
        |path: &PathBuf| path.to_string_lossy().contains("tfevents") && path.metadata().is_ok_and(|m| m.len() > 0);
    files.into_iter().filter(is_one).collect()
}

fn only(space: &Space, stage: &str) -> PathBuf {
    let mut events = events(space, stage);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

/// Starts a run and waits until it shows something of a training before that is complete, or is over.
fn started(space: &Space) -> Child {
    let earlier = events(space, "inter");
    let mut run = space.start("p.toml");
    let is_shown = || events(space, "inter").iter().any(|path| !earlier.contains(path));
    wait_until("what is shown of the training", || is_shown() || run.try_wait().unwrap().is_some());
    run
}

/// Whether it came to that: on a busy machine the whole training may be over first.
fn is_killed(space: &Space) -> bool {
    let mut run = started(space);
    run.kill().unwrap();
    !run.wait().unwrap().success()
}

#[test]
fn what_is_shown_of_a_killed_training_ends_as_that_of_an_undisturbed_one() {
    let undisturbed = Space::with(pipeline());
    undisturbed.run("p.toml");
    let space = Space::with(pipeline());
    let mut reader = Reader::of(&space);
    let mut seen: Vec<PathBuf> = Vec::new();
    for _ in 0..2 {
        if !is_killed(&space) {
            break;
        }
        reader.iter_mut().for_each(Reader::reload);
        let last = events(&space, "inter").pop().unwrap();
        assert!(seen.last() < Some(&last), "{last:?} comes after {seen:?}");
        seen.push(last);
    }
    space.run("p.toml");
    for stage in ["inter", "entropy"] {
        let [own, other] = [&space, &undisturbed].map(|space| std::fs::read(only(space, stage)).unwrap());
        assert!(own == other, "the events of {stage} differ");
        assert!(only(&space, stage).metadata().unwrap().permissions().readonly());
    }
    assert!(seen.last() < Some(&only(&space, "inter")));
    let expected: Vec<u64> = (0..60).collect();
    for mut reader in reader.into_iter().chain(Reader::of(&space)) {
        assert_eq!(reader.steps("loss/seg_main"), expected);
        assert_eq!(reader.steps("miou/target"), [20, 40, 60]);
        assert!(reader.steps("pictures/scene-00003/prediction").into_iter().eq((6..=60).step_by(6)));
        assert_eq!(reader.steps("pictures/scene-00003/photograph"), [6]);
    }
}

#[test]
fn another_training_takes_the_place_of_the_one_that_was_shown() {
    let space = Space::with(pipeline());
    space.run("p.toml");
    let mut reader = Reader::of(&space);
    reader.iter_mut().for_each(Reader::reload);
    let first = only(&space, "inter");
    let all: Vec<PathBuf> = ["inter", "entropy"].map(|stage| only(&space, stage)).into();
    space.run("p.toml");
    assert_eq!(["inter", "entropy"].map(|stage| only(&space, stage)).as_slice(), all, "nothing was done");
    space.run("p.toml --set stages.inter.iterations=30");
    assert!(only(&space, "inter") > first);
    for mut reader in reader.into_iter().chain(Reader::of(&space)) {
        assert_eq!(reader.steps("loss/seg_main"), (0..30).collect::<Vec<u64>>());
    }
    space.remove(&format!("runs/p/inter/{}", only(&space, "inter").file_name().unwrap().display()));
    space.run("p.toml --set stages.inter.iterations=30");
    only(&space, "inter");
}

#[test]
fn the_table_of_runs_has_a_row_for_each_member_of_a_sweep_with_its_settings_and_results() {
    let inter = "iterations = 1\nmatrix = { learning_rate = [1e-3, 2.5e-4], seed = [1, 2] }\n";
    let space = Space::with(training().with("stages.inter", inter).evaluated());
    space.run("p.toml");
    let Some(rows) = rows(&space) else { return };
    assert_eq!(rows.len(), 4, "a training that an evaluation measures is behind its row: {rows:#?}");
    for (run, row) in &rows {
        let metrics = space.json(&format!("runs/{run}/metrics.json"));
        let miou = metrics["inter"]["miou"].as_f64().unwrap() as f32;
        assert_eq!(row["results"], serde_json::json!({ "miou/inter": f64::from(miou) }), "{run}");
        let settings = &row["settings"];
        let [seed, rate] = ["seed", "learning_rate"].map(|axis| settings[format!("inter.{axis}")].as_f64().unwrap());
        assert_eq!(*run, format!("p/evaluate[learning_rate={rate},seed={seed}]"));
        assert_eq!([&settings["stage"], &settings["inter.method"]], ["evaluate", "source-only"]);
        assert_eq!(settings["inter.iterations"], 1.0);
        assert!(settings["inter.momentum"].is_null(), "the default: {settings}");
        assert_eq!(row["status"], 1, "it succeeded");
    }
    // Where nothing measures a training, it is a row itself, with the last of its own evaluations.
    let space =
        Space::with(pipeline().with("stages.inter", "iterations = 2\nevaluate_every = 1\ncheckpoint_every = 1\n"));
    space.run("p.toml");
    let rows = self::rows(&space).unwrap();
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["p/inter"]);
    let evaluations = space.read("runs/p/inter/evaluations.jsonl");
    let last: Value = serde_json::from_str(evaluations.lines().last().unwrap()).unwrap();
    let miou = f64::from(last["miou"].as_f64().unwrap() as f32);
    assert_eq!(rows["p/inter"]["results"]["miou/target"], miou);
    assert_eq!(rows["p/inter"]["settings"]["inter.optimizer"], "adam");
}

/// The rows of TensorBoard's own table of runs, by run; `None` where Python has no TensorBoard.
fn rows(space: &Space) -> Option<BTreeMap<String, Value>> {
    const PROGRAM: &str = "import json, sys
try:
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups
except ImportError:
    print('null'); sys.exit()
runs = EventMultiplexer(); runs.AddRunsFromDirectory(sys.argv[1]); runs.Reload()
context = backend_context.Context(TBContext(data_provider=MultiplexerDataProvider(runs, sys.argv[1])))
request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=100)
request.allowed_statuses.extend(range(4))
handler = list_session_groups.Handler(RequestContext(), context, '', request)
value = lambda value: getattr(value, value.WhichOneof('kind'))
table = {}
for group in handler.run().session_groups:
    for session in group.sessions:
        results = {metric.name.tag: metric.value for metric in session.metric_values}
        settings = {name: value(setting) for name, setting in group.hparams.items()}
        table[session.name] = {'settings': settings, 'results': results, 'status': session.status}
print(json.dumps(table))";
    let ran = Command::new("python3").args(["-c", PROGRAM]).arg(space.path("runs")).output();
    let Ok(ran) = ran else {
        println!("skipped: there is no python3");
        return None;
    };
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let rows = serde_json::from_slice(&ran.stdout).unwrap();
    if Option::is_none(&rows) {
        println!("skipped: `import tensorboard` fails");
    }
    rows
}

/// TensorBoard's own reader of a stage's folder, which stays open while files come and go.
struct Reader {
    python: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    /// None where Python has no TensorBoard.
    fn of(space: &Space) -> Option<Reader> {
        const PROGRAM: &str = "import sys
try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print('none'); sys.exit()
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0, 'images': 0})
print('ready', flush=True)
for tag in map(str.strip, sys.stdin):
    events.Reload()
    tags = events.Tags()
    read = dict.fromkeys(tags['scalars'], events.Scalars) | dict.fromkeys(tags['images'], events.Images)
    steps = [event.step for event in read[tag](tag)] if tag in read else []
    print(*steps, flush=True)";
        std::fs::create_dir_all(space.path("runs/p/inter")).unwrap();
        let mut command = Command::new("python3");
        command.args(["-c", PROGRAM]).arg(space.path("runs/p/inter"));
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut python = piped.inspect_err(|_| println!("skipped: there is no python3")).ok()?;
        let (ask, answers) = (python.stdin.take().unwrap(), BufReader::new(python.stdout.take().unwrap()));
        let mut reader = Reader { python, ask, answers };
        if reader.line() != "ready" {
            println!("skipped: `import tensorboard` fails");
            return None;
        }
        Some(reader)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// The steps that it knows of a tag.
    fn steps(&mut self, tag: &str) -> Vec<u64> {
        writeln!(self.ask, "{tag}").unwrap();
        self.line().split_whitespace().map(|step| step.parse().unwrap()).collect()
    }

    /// Reads what there is, as it would while the run goes on.
    fn reload(&mut self) {
        for tag in ["loss/seg_main", "pictures/scene-00000/entropy"] {
            let steps = self.steps(tag);
            assert!(steps.is_sorted_by(|a, b| a < b), "{steps:?}");
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.python.kill();
        let _ = self.python.wait();
    }
}
