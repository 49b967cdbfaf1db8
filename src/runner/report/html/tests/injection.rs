//! The page has the same elements whatever names are used.
//!
//! One pipeline in which every name, reason, note and line of a log ends in the same text: once in one that tries to end
//! elements and attributes and to begin others, once in a harmless one. The test compares the elements of the two pages and
//! their attribute names.

use super::*;
use crate::digest::ArtifactDigest;
use crate::event::runs;
use crate::kind::Role;
use crate::pipeline::{About, Coordinate, InputSource, Parameter, Value};
use crate::results::choice::tests::CANDIDATES;
use crate::sched::recorded;
use crate::store::{Trace, TracedOutput};

const HOSTILE: &str = "</b></title></pre></svg></script><script>alert(1)</script>\"' onload=alert(1) x=\"&amp;";
/// Sorts like the hostile one.
const HARMLESS: &str = "=harmless";

const PIPELINE: &str = r#"
format = 1
[pipeline]
name = "p"
[[classes]]
name = "road"
colour = [1, 2, 3]
[[classes]]
name = "pole"
colour = [4, 5, 6]
[datasets.source]
format = "folder"
root = "data/source"
[datasets.target]
format = "folder"
root = "data/target"
[models.small]
arch = "small"
[stages.before]
kind = "inter-training"
method = "source-only"
model = "small"
source = "source"
dataset = "source"
candidates_every = 1
candidates = "target"
iterations = 4
[stages.inter]
kind = "inter-training"
method = "source-only"
model = "small"
source = "source"
weights = "before"
iterations = 4
matrix = { seed = [1, 2], learning_rate = [1e-3, 2e-3] }
[stages.entropy]
kind = "entropy-inference"
weights = "before"
images = "target"
[stages.again]
kind = "entropy-inference"
weights = "data/file.safetensors"
model = "small"
images = "target"
[stages.rank]
kind = "ranking"
scores = "entropy"
[stages.pseudo]
kind = "pseudo-labelling"
predictions = "entropy"
images = "rank.easy"
[stages.evaluate]
kind = "evaluation"
weights = ["before", "before.best", "inter"]
dataset = "source"
"#;

/// The scene in which every name ends in `tail`.
fn named(tail: &str, is_evaluated: bool) -> Scene {
    let mut scene = Scene::of(&format!("{PIPELINE}# {tail}\n"));
    rename(&mut scene.pipeline, tail);
    let stages: Vec<(String, String)> =
        scene.pipeline.stages.iter().map(|stage| (stage.name.clone(), stage.family.replace(tail, ""))).collect();
    for (stage, family) in &stages {
        match family.as_str() {
            "before" => scene.place(stage, &[&trained(tail)[..], &[("candidates", Scene::file(CANDIDATES))]].concat()),
            "inter" => scene.place(stage, &trained(tail)),
            "entropy" | "again" => scene.place(stage, &looked(tail)),
            "rank" => {
                scene.place(stage, &[("ranking", Scene::file(table("score,split", "0.1,easy", "0.2,hard", tail)))])
            }
            "pseudo" => scene.place(stage, &[("labels", maps("", tail))]),
            "evaluate" if is_evaluated => {
                let outputs = evaluated(&scene, stage, tail);
                scene.place(stage, &outputs);
            }
            _ => {}
        }
        note(&mut scene, stage, tail);
    }
    record(&scene, tail);
    scene
}

/// Two runs whose files, data, networks and failures have names that end so.
fn record(scene: &Scene, tail: &str) {
    let runs = recorded::runs_of(&scene.pipeline, &scene.store);
    for text in ["one", "two"] {
        let shell = json!(format!("{text}{tail}"));
        let stage = "[stages.say]\nkind = \"command\"\noutputs = [\"x\"]\nshell";
        let head = || runs::Head {
            file: format!("p{tail}"),
            text: format!("format = 1\n[pipeline]\nname = \"p\"\n{stage} = {shell}\n"),
            program: format!("{text}{tail}"),
            ..runs::Head::default()
        };
        let settled = |outcome| runs::Settled {
            stage: format!("say{tail}"),
            outcome,
            key: Some(Key(Digest::of(text.as_bytes()))),
            at: 0.0,
            seconds: 1.0,
            reason: format!("broke{tail}"),
            summary: None,
            miou: [(format!("network{tail}"), Some(0.5))].into(),
            data: [].into(),
        };
        let what = format!("data set target{tail}");
        let digest = ArtifactDigest(Digest::of(text.as_bytes()));
        let read = || vec![(format!("role{tail}"), runs::Source { what: what.clone(), digest, listing: None })];
        let mut journal = runs::Journal::new(runs.clone());
        journal.settle(settled(Outcome::Failed), read(), true, &head);
        assert!(journal.close(runs::End { seconds: 1.0, interrupted: false }).is_none());
    }
}

/// Sets names, some of which a file could not define.
fn rename(pipeline: &mut Pipeline, tail: &str) {
    pipeline.name += tail;
    pipeline.about = About { description: format!("purpose{tail}"), tags: vec![format!("tagged{tail}")] };
    pipeline.file = PathBuf::from(format!("p{tail}.toml"));
    pipeline.classes.iter_mut().for_each(|class| class.name += tail);
    pipeline.datasets.iter_mut().for_each(|dataset| dataset.name += tail);
    for stage in &mut pipeline.stages {
        stage.name += tail;
        stage.family += tail;
        if !stage.coordinates.is_empty() {
            // A seed is recognised by its name, and numbers are drawn.
            stage.coordinates.iter_mut().filter(|at| at.axis != "seed").for_each(|at| at.axis += tail);
            stage.coordinates.push(Coordinate { axis: format!("word{tail}"), value: format!("word{tail}") });
        }
        for input in &mut stage.inputs {
            if input.role.starts_with("weights.") {
                input.role += tail;
            }
            if let InputSource::Path { path, .. } = &mut input.from {
                *path = PathBuf::from(format!("file{tail}"));
            }
        }
        let (name, value) = (format!("typed{tail}"), Value::Text(format!("value{tail}")));
        stage.parameters.push(Parameter { name, value, role: Role::Meaning, span: stage.span });
    }
}

/// Images `a` and `b`.
fn image(letter: &str, tail: &str) -> String {
    format!("{letter}{tail}")
}

/// A map of each image.
fn maps(folder: &str, tail: &str) -> Files {
    ["a", "b"].map(|letter| (format!("{folder}{}.png", image(letter, tail)), grey_png(8, 4, 1))).into()
}

fn photographs(folder: &str, tail: &str) -> Files {
    ["a", "b"].map(|letter| (format!("{folder}{}.jpg", image(letter, tail)), jpeg(8, 4, letter))).into()
}

/// A table of the images with these columns after their names.
fn table(heads: &str, a: &str, b: &str, tail: &str) -> String {
    let line = |letter: &str, rest: &str| format!("\"{}.jpg\",{rest}\n", image(letter, tail).replace('"', "\"\""));
    format!("image,{heads}\n{}{}", line("a", a), line("b", b))
}

fn trained(tail: &str) -> [(&'static str, Files); 3] {
    let pictures = [photographs("photograph/", tail), maps("prediction/30/", tail)].concat();
    [
        ("losses", Scene::file("{\"iteration\":0,\"seg_main\":1.0}\n{\"iteration\":1,\"seg_main\":0.5}\n")),
        ("evaluations", Scene::file("{\"iteration\":1,\"miou\":0.5}\n{\"iteration\":2,\"miou\":0.25}\n")),
        ("pictures", pictures),
    ]
}

/// Of both images.
fn thumbnails(maps: &[String]) -> Files {
    let layout = json!({ "columns": 10, "rows": 10, "cell": [8, 8], "sizes": [[8, 4], [8, 4]] });
    let mut files = vec![
        ("index.json".to_owned(), layout.to_string().into_bytes()),
        ("photograph/000.jpg".to_owned(), jpeg(16, 8, "")),
    ];
    files.extend(maps.iter().map(|map| (format!("{map}/000.png"), grey_png(16, 8, 1))));
    files
}

fn looked(tail: &str) -> [(&'static str, Files); 5] {
    let scores = table("mean_entropy,mean_entropy_eq4_nats,predicted_rare_classes", "0.1,0.1,0", "0.2,0.1,0", tail);
    [
        ("scores", Scene::file(scores)),
        ("predictions", maps("", tail)),
        ("entropy", maps("", tail)),
        ("photographs", photographs("", tail)),
        ("thumbnails", thumbnails(&["prediction", "entropy"].map(str::to_owned))),
    ]
}

fn evaluated(scene: &Scene, stage: &str, tail: &str) -> [(&'static str, Files); 4] {
    let stage = scene.pipeline.stage(scene.pipeline.find(stage).unwrap());
    let networks: Vec<&str> = stage.inputs.iter().filter_map(|input| input.role.strip_prefix("weights.")).collect();
    let of_each = |of: &dyn Fn(usize) -> serde_json::Value| -> serde_json::Value {
        networks
            .iter()
            .enumerate()
            .map(|(at, network)| ((*network).to_owned(), of(at)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let [road, pole] = [0, 1].map(|class| scene.pipeline.classes[class].name.clone());
    let measured = |at: usize| {
        json!({
            "images": 2, "miou": 0.5 - 0.1 * at as f64, "iou": { &road: 0.5, &pole: null },
            "confusion": [[3, 1], [2, 0]],
        })
    };
    let line = |letter: &str, shown: &str, share: f64| {
        let value = |at: usize| json!(share + 0.1 * at as f64);
        let name = format!("{}.jpg", image(letter, tail));
        json!({ "image": name, "miou": of_each(&value), "entropy": of_each(&value), "shown": shown }).to_string() + "\n"
    };
    let images = line("a", "best", 0.4) + &line("b", "worst", 0.2);
    let mut pictures = [photographs("photograph/", tail), maps("truth/", tail)].concat();
    for network in &networks {
        pictures.extend(maps(&format!("prediction/{network}/"), tail));
        pictures.extend(maps(&format!("entropy/{network}/"), tail));
    }
    let predictions = networks.iter().map(|network| format!("prediction/{network}"));
    let thumbnails = thumbnails(&predictions.chain(["truth".to_owned()]).collect::<Vec<_>>());
    let metrics = Scene::file(of_each(&measured).to_string());
    [("metrics", metrics), ("images", Scene::file(images)), ("pictures", pictures), ("thumbnails", thumbnails)]
}

/// A trace, a log and a history entry, full of names. One stage has failed.
fn note(scene: &mut Scene, stage: &str, tail: &str) {
    let text = |word: &str| format!("{word}{tail}");
    let record = scene.index.stages.get(&record_name(&scene.pipeline.name, stage));
    let key = record.map_or(Key(Digest::of(stage.as_bytes())), |record| record.key);
    let input = json!({ "what": format!("data set {}", text("target")), "digest": text("d"), "listing": null });
    let mut trace = Trace::new(key, "p", stage, "kind", json!({ "inputs": { text("role"): input } }));
    let placed = record.into_iter().flat_map(|record| &record.outputs);
    trace.outputs = placed
        .map(|placed| TracedOutput { name: text("out"), path: text("path"), artifact: placed.artifact })
        .collect();
    let classes = scene.pipeline.classes.iter().map(|class| format!("{} 50.00 %", class.name));
    trace.note = ["summary", "device", "machine", "libtorch"].map(|name| (name.to_owned(), text(name))).into();
    trace.note.insert(text("note"), text("noted"));
    trace.note.insert("classes".to_owned(), classes.collect::<Vec<_>>().join(", "));
    scene.store.publish(&trace, &[]).unwrap();
    fs::write(scene.store.log_path(key), format!("first{tail}\nlast{tail}\n")).unwrap();
    let is_failed = record.is_none();
    let outcome = if is_failed { Outcome::Failed } else { Outcome::Ran };
    let settled = Settled { outcome, at: 1.0, key: Some(key), reason: text("reason"), help: vec![text("help")] };
    scene.history.stages.insert(stage.to_owned(), settled);
    (scene.history.ended, scene.history.seconds) = (1_795_511_640.0, 10.0);
    let turn = Turn { began: 1_795_511_631.0, ended: 1_795_511_632.0, outcome };
    scene.history.turns.insert(stage.to_owned(), turn);
}

/// The tags of a page with the names of their attributes and without the values. The page must be well-formed: elements are
/// closed in reverse order.
fn elements(page: &str) -> Vec<String> {
    const WITHOUT_END: [&str; 5] = ["br", "img", "input", "link", "meta"];
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    let (mut open, mut all) = (Vec::new(), Vec::new());
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let mut is_quoted = false;
        let end = rest.find(|c| {
            is_quoted ^= c == '"';
            c == '>' && !is_quoted
        });
        let (tag, after) = rest.split_at(end.unwrap_or_else(|| panic!("a tag without an end: {rest:.80}")));
        rest = &after[1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "before {rest:.80}");
            continue;
        }
        let shape: String = tag.split('"').step_by(2).collect();
        let name = tag.split(' ').next().unwrap();
        if ["script", "style"].contains(&name) {
            rest = &rest[rest.find(&format!("</{name}>")).unwrap()..];
        }
        if !WITHOUT_END.contains(&name) {
            open.push(name);
        }
        all.push(shape);
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

/// As escaped in text and in attributes.
fn escaped(raw: &str) -> String {
    raw.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Compares the two pages. Each section must contain names, and each of the words must occur somewhere.
fn is_unmoved(is_evaluated: bool, sections: &[&str], words: &[&str]) {
    let [hostile, harmless] = [HOSTILE, HARMLESS].map(|tail| named(tail, is_evaluated).page());
    let parts: Vec<(&str, &str)> =
        hostile.split("<section id=\"").skip(1).map(|part| part.split_once('"').unwrap()).collect();
    assert_eq!(parts.iter().map(|(id, _)| *id).collect::<Vec<_>>(), sections);
    for (id, part) in parts {
        assert!(part.contains(&escaped(HOSTILE)), "no name is in section {id}");
    }
    for word in ["reason", "noted", "typed", "purpose", "tagged", "first", "last", "input role", "output out"]
        .iter()
        .chain(words)
    {
        assert!(hostile.contains(&escaped(&format!("{word}{HOSTILE}"))), "{word} is nowhere");
    }
    let (hostile_elements, elements) = (elements(&hostile), elements(&harmless));
    let first = hostile_elements.iter().zip(&elements).position(|(one, other)| one != other);
    assert_eq!(first.map(|at| (&hostile_elements[at], &elements[at])), None);
    assert_eq!(hostile_elements.len(), elements.len());
    assert!(hostile.contains("<script type=\"text/plain\" id=\"t"), "the page has thumbnails");
    let data = data(&hostile);
    assert_eq!(data["pipeline"], format!("p{HOSTILE}"));
}

#[test]
fn no_name_changes_an_element_of_a_page_with_results() {
    let all =
        ["findings", "sweep", "results", "training", "choice", "ranking", "difficulty", "pseudo-labels", "pictures"];
    let rest = ["images", "networks", "pipeline", "history", "provenance"];
    is_unmoved(true, &[&all[..], &rest].concat(), &["word", "best", "broke"]);
}

#[test]
fn no_name_changes_an_element_of_a_page_without_results_and_with_a_failure() {
    let all = ["findings", "certainty", "training", "choice", "ranking", "pseudo-labels", "images", "networks"];
    is_unmoved(false, &[&all[..], &["pipeline", "history", "provenance"]].concat(), &["help", "file"]);
}
