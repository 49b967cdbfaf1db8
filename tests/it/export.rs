//! Results handed on: a network with its card and lineage, predictions for a benchmark; of real runs by the real worker.

use std::process::Command;

use crate::pipelines::{Pipeline, training};
use crate::space::{Space, files, grey_png};
use serde_json::Value;

/// One training that is looked at while it lasts, and an evaluation of its last and its best network.
fn chosen() -> Pipeline {
    let pipeline =
        training().set("pipeline.seed", 7).evaluated().with("stages.inter", "dataset = \"test\"\nevaluate_every = 1\n");
    let pipeline = pipeline.set("stages.evaluate.weights", ["inter", "inter.best"]);
    pipeline.without("datasets.source.size").without("datasets.test.size")
}

const FILES: [&str; 7] =
    ["README.md", "SHA256SUMS", "config.json", "load.py", "model.py", "model.safetensors", "ro-crate-metadata.json"];

/// Header and data of a safetensors file.
fn safetensors(bytes: &[u8]) -> (Value, &[u8]) {
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
    (serde_json::from_slice(header).unwrap(), data)
}

fn names(space: &Space, folder: &str) -> Vec<String> {
    let folder = space.path(folder);
    files(&folder).iter().map(|path| path.strip_prefix(&folder).unwrap().display().to_string()).collect()
}

#[test]
fn a_network_is_exported_with_all_that_it_takes_to_use_and_judge_it() {
    let space = Space::with(chosen());
    let early = space.intrada("export p.toml inter out");
    assert_eq!(early.code, Some(2), "{}", early.stderr);
    assert!(early.stderr.contains("run it first: intrada-run p.toml inter"), "{}", early.stderr);
    assert!(!space.path("out").exists() && !space.path("cache").exists(), "looking changes nothing");

    space.run("p.toml");
    let exported = space.intrada("export p.toml inter.best out/best");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    assert_eq!(exported.stdout.lines().count(), FILES.len(), "{}", exported.stdout);
    assert_eq!(names(&space, "out/best"), FILES);
    let left: Vec<_> = std::fs::read_dir(space.path("out")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is left beside it: {left:?}");

    let (exported, best) = (space.bytes("out/best/model.safetensors"), space.bytes("runs/p/inter/best.safetensors"));
    let ((mut header, data), (mut before, data_before)) = (safetensors(&exported), safetensors(&best));
    assert!(data == data_before, "the tensors are the same bytes");
    let metadata = header.as_object_mut().unwrap().remove("__metadata__").unwrap();
    before.as_object_mut().unwrap().remove("__metadata__");
    assert_eq!(header, before, "under the same names");
    assert_eq!([&metadata["arch"], &metadata["mean"], &metadata["size"]], ["small", "[127.0,127.0,127.0]", "[128,64]"]);

    let config = space.json("out/best/config.json");
    assert_eq!((&config["num_labels"], &config["id2label"]["2"]), (&8.into(), &"road".into()));
    assert_eq!((&config["label2id"]["road"], &config["palette"][2]), (&2.into(), &serde_json::json!([128, 64, 128])));
    assert_eq!(config["preprocessing"]["channel_order"], "rgb");

    let card = space.read("out/best/README.md");
    let metrics = space.json("runs/p/evaluate/metrics.json");
    let percent = |name: &str| format!("{:.1}", 100.0 * metrics[name]["miou"].as_f64().unwrap());
    assert!(card.contains(&format!("| mIoU | {} | {} |", percent("inter"), percent("inter.best"))), "{card}");
    assert!(card.contains("last: evaluate") && card.contains("best, this file: evaluate"), "{card}");
    assert!(card.contains("labelled images of test") && card.contains("| seed | 7 |"), "{card}");
    assert!(card.contains("| inter | `iterations` | 2 | 120000 |") && !card.contains("`momentum`"), "{card}");
    let index = card.lines().find_map(|line| line.strip_prefix("model-index: ")).unwrap();
    let index: Value = serde_json::from_str(index).unwrap();
    assert_eq!(index[0]["results"][0]["metrics"][0]["value"], metrics["inter.best"]["miou"]);

    assert!(card.contains("python3 load.py picture.png --out classes.png"), "{card}");

    // The same result is the same bytes whenever it is exported.
    assert_eq!(space.intrada("export p.toml inter.best out/again").code, Some(0));
    for file in FILES {
        assert!(space.bytes(&format!("out/best/{file}")) == space.bytes(&format!("out/again/{file}")), "{file}");
    }
    let occupied = space.intrada("export p.toml inter out/best");
    assert_eq!(occupied.code, Some(2));
    assert!(occupied.stderr.contains("is not an empty folder"), "{}", occupied.stderr);

    // What an evaluation found of another network is no result of this one; and an edited view is not what is exported.
    space.edit("p.toml", "seed = 7", "seed = 8");
    assert_eq!(space.intrada("export p.toml inter out/stale").code, Some(2));
    space.edit("p.toml", "seed = 8", "seed = 7");
    space.remove("runs");
    assert_eq!(space.intrada("export p.toml inter out/last").code, Some(0));
    assert!(space.read("out/last/README.md").contains("last, this file: evaluate"));

    // What was exported is a file like any published one, and can be handed on again.
    let import =
        "[stages.read]\nkind = \"checkpoint-import\"\nfile = \"out/last/model.safetensors\"\nmodel = \"small\"\n";
    space.write("p.toml", chosen().add(import));
    space.run("p.toml read");
    assert_eq!(space.intrada("export p.toml read out/read").code, Some(0));
    let read = space.bytes("out/read/model.safetensors");
    assert!(safetensors(&read).1 == safetensors(&space.bytes("out/last/model.safetensors")).1, "the same tensors");
    let card = space.read("out/read/README.md");
    assert!(card.contains("imported from a published file") && card.contains("weights come from a file"), "{card}");
}

#[test]
fn a_card_tells_the_spread_over_seeds_and_the_commit() {
    let space = Space::with(chosen().add("[stages.inter.matrix]\nseed = [1, 2, 3]\n"));
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=n", "-c", "user.email=n@localhost", "-c", "commit.gpgsign=false"];
        let mut command = Command::new("git");
        command.args(identity).args(arguments).current_dir(space.path(""));
        command.output().is_ok_and(|ran| ran.status.success())
    };
    let has_git = git(&["init", "-q"]) && git(&["add", "p.toml"]) && git(&["commit", "-qm", "m"]);
    space.run("p.toml");
    assert_eq!(space.intrada("export p.toml inter[seed=2] out").code, Some(0));
    let card = space.read("out/README.md");
    let miou = |seed: u32, name: &str| {
        let metrics = space.json(&format!("runs/p/evaluate[seed={seed}]/metrics.json"));
        metrics[name]["miou"].as_f64().unwrap_or_else(|| panic!("{name} in {metrics}"))
    };
    let spread = |name: &str| {
        let found = [1, 2, 3].map(|seed| 100.0 * miou(seed, name));
        let mean = found.iter().sum::<f64>() / 3.0;
        let sd = (found.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        format!("{mean:.1} ± {sd:.1}")
    };
    let row = format!("| evaluate, test | 3 | {} | {} |", spread("inter"), spread("inter.best"));
    assert!(card.contains("over the trainings with the seeds 1, 2, 3") && card.contains(&row), "{row}: {card}");
    assert!(card.contains("| seed | 2 |") && !card.contains("single seed"), "{card}");
    assert!(!has_git || card.contains("| commit of the workspace | "), "{card}");
}

#[test]
fn the_lineage_is_a_crate_in_which_every_reference_is_answered() {
    let space = Space::with(chosen());
    space.run("p.toml inter");
    assert_eq!(space.intrada("export p.toml inter out").code, Some(0));
    let described = space.json("out/ro-crate-metadata.json");
    let entities = closed(&described);
    let root = entities.iter().find(|entity| entity["@id"] == "./").unwrap();
    let parts = root["hasPart"].as_array().unwrap();
    for part in parts {
        assert!(space.path("out").join(part["@id"].as_str().unwrap()).is_file(), "{part}");
    }
    let training = entities.iter().find(|entity| entity["name"] == "inter").unwrap();
    assert!(training["endTime"].as_str().unwrap() >= training["startTime"].as_str().unwrap());
    assert_eq!(training["endTime"], root["datePublished"]);
    let source = entities.iter().find(|entity| entity["name"] == "source" && entity["@type"] == "Dataset").unwrap();
    assert!(source["description"].as_str().unwrap().contains("images and labels, format scenes, 4 images"), "{source}");
    assert!(space.read("out/README.md").contains("No evaluation of this training"), "it wasn't evaluated yet");
    let text = space.read("out/ro-crate-metadata.json");
    assert!(!text.contains(&*space.path("").to_string_lossy()), "no path of this machine goes out");
}

#[test]
fn the_lineage_of_a_whole_pipeline_is_printed_as_far_as_it_is_done() {
    let space = Space::with(chosen());
    let early = space.intrada("lineage p.toml");
    assert_eq!(early.code, Some(2));
    assert!(early.stderr.contains("no stage of p.toml is up to date; run it first"), "{}", early.stderr);
    space.run("p.toml inter");
    let actions = |arguments: &str| -> Vec<String> {
        let printed = space.intrada(arguments);
        assert_eq!(printed.code, Some(0), "{}", printed.stderr);
        let described = serde_json::from_str(&printed.stdout).unwrap();
        let actions = closed(&described).iter().filter(|entity| entity["@type"] == "CreateAction");
        let mut names: Vec<String> = actions.map(|action| action["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(actions("lineage p.toml"), ["inter"]);
    let open = space.intrada("lineage p.toml evaluate");
    assert_eq!(open.code, Some(2));
    assert!(open.stderr.contains("`evaluate` is not up to date"), "{}", open.stderr);
    space.run("p.toml");
    assert_eq!(actions("lineage p.toml"), ["evaluate", "inter"]);
    assert_eq!(actions("lineage p.toml inter"), ["inter"]);
    has_run_events(&space);
}

/// Two a stage, which a collector can join: what the evaluation reads has the name and the version that the training gave.
fn has_run_events(space: &Space) {
    let asked = || space.intrada("lineage p.toml --format openlineage").stdout;
    let events: Vec<Value> = asked().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |event: &Value| format!("{} {}", event["job"]["name"], event["eventType"]).replace('"', "");
    let names: Vec<String> = events.iter().map(told).collect();
    assert_eq!(names, ["inter START", "inter COMPLETE", "evaluate START", "evaluate COMPLETE"]);
    for pair in events.chunks(2) {
        assert_eq!(pair[0]["run"], pair[1]["run"]);
        assert!(pair[0]["eventTime"].as_str() <= pair[1]["eventTime"].as_str());
    }
    let id: Vec<&str> = events[0]["run"]["runId"].as_str().unwrap().split('-').collect();
    assert_eq!(id.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert!(id[2].starts_with('8') && id[3].starts_with(['8', '9', 'a', 'b']), "{id:?}");
    let (given, read) = (events[1]["outputs"].as_array().unwrap(), events[2]["inputs"].as_array().unwrap());
    let weights: Vec<&Value> = read.iter().filter(|input| given.contains(input)).collect();
    assert_eq!(weights.len(), 2, "the last network and the best: {read:?}");
    assert_eq!(asked().lines().count(), 4);
    assert_eq!(asked().lines().next().map(str::to_owned), Some(events[0].to_string()), "asked twice, told the same");
}

/// The entities of a crate's description, in which each stands once and every reference is answered.
fn closed(described: &Value) -> &[Value] {
    assert_eq!(described["@context"], "https://w3id.org/ro/crate/1.1/context");
    let entities = described["@graph"].as_array().unwrap();
    let mut references = vec!["./".to_owned(), "ro-crate-metadata.json".to_owned()];
    entities.iter().for_each(|entity| collect(entity, true, &mut references));
    for id in references.iter().filter(|id| !id.starts_with("https://")) {
        assert_eq!(entities.iter().filter(|entity| entity["@id"] == **id).count(), 1, "{id} stands once");
    }
    entities
}

/// The names in `{"@id": …}` below an entity.
fn collect(value: &Value, is_entity: bool, into: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| collect(value, false, into)),
        Value::Object(map) => {
            if let (false, Some(id)) = (is_entity, map.get("@id")) {
                into.push(id.as_str().unwrap().to_owned());
            }
            map.values().for_each(|value| collect(value, false, into));
        }
        _ => {}
    }
}

#[test]
fn names_that_look_like_markup_are_shown_and_never_meant() {
    let classes = ["</td><script>alert('ä')</script>", "a|b `c` \"d\": - [e](javascript:f)"];
    let pipeline = training().classes(classes).folder("source").evaluated_on("source");
    let space = Space::with(pipeline.add("[stages.inter.matrix]\norder = [\"sequential\"]\n"));
    space.write("source/images/a.png", grey_png(64, 32, 90));
    space.write("source/labels/a.png", grey_png(64, 32, 1));
    space.run("p.toml");
    let exported = space.intrada("export p.toml inter[order=sequential] out");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let card = space.read("out/README.md");
    let (_, body) = card.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    assert!(!body.contains('<') && !body.contains("](") && !body.contains("`c`"), "{body}");
    let columns = |line: &str| line.matches('|').count();
    let table: Vec<&str> = body.lines().skip_while(|line| !line.contains("(1 image)")).take(5).collect();
    assert_eq!(table.iter().map(|line| columns(line)).collect::<Vec<_>>(), [3; 5], "{table:?}");
    let config = space.json("out/config.json");
    assert_eq!(config["id2label"]["0"], "</td><script>alert('ä')</script>");
}

#[test]
fn predictions_are_written_as_the_benchmark_of_cityscapes_takes_them() {
    let pipeline = training().set("pipeline.classes", "cityscapes-19").folder("source");
    let space = Space::with(pipeline.inferred().set("stages.entropy.images", "source"));
    let image = "aachen/aachen_000000_000019_leftImg8bit.png";
    space.write(&format!("source/images/{image}"), grey_png(64, 32, 90));
    space.write(&format!("source/labels/{image}"), grey_png(64, 32, 18));
    space.run("p.toml");
    let refused = space.intrada("export p.toml entropy out");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("has no weights; name a training"), "{}", refused.stderr);
    let exported = space.intrada("export p.toml entropy out --as cityscapes");
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    assert_eq!(names(&space, "out"), ["aachen_000000_000019_labelIds.png"]);
    let (size, ids) = pixels(&space, "out/aachen_000000_000019_labelIds.png");
    let predictions = files(&space.path("runs/p/entropy/predictions"));
    let prediction = predictions[0].strip_prefix(space.path("")).unwrap().to_string_lossy().into_owned();
    let (small, classes) = pixels(&space, &prediction);
    assert_eq!((size, small), ([2048, 1024], [64, 32]));
    const IDS: [u8; 19] = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33];
    for (place, id) in ids.iter().enumerate() {
        let class = classes[place / 2048 / 32 * 64 + place % 2048 / 32];
        assert_eq!(*id, IDS[usize::from(class)], "pixel {place}");
    }

    std::fs::rename(space.path(&format!("source/images/{image}")), space.path("source/images/aachen/street.png"))
        .unwrap();
    std::fs::rename(space.path(&format!("source/labels/{image}")), space.path("source/labels/aachen/street.png"))
        .unwrap();
    space.run("p.toml");
    let refused = space.intrada("export p.toml entropy other --as cityscapes");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("street.png") && refused.stderr.contains("<city>_<sequence>_<frame>"));
    assert!(!space.path("other").exists());
}

fn pixels(space: &Space, path: &str) -> ([u32; 2], Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(space.bytes(path))).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut bytes).unwrap();
    ([frame.width, frame.height], bytes)
}
