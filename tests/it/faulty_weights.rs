//! Files of weights with which a stage would fail: told with their place before any stage runs, whatever is wrong with them and
//! wherever they are named.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::pipelines::{Pipeline, training};
use crate::space::{Ran, Space};
use serde_json::{Map, Value};

/// A training, and below it whatever a test adds.
fn pipeline() -> Pipeline {
    training().set("pipeline.device", "cpu").set("stages.inter.iterations", 1).adapted()
}

/// Reads a file when `inter` is done.
const EVALUATE: &str = r#"[stages.below]
kind = "evaluation"
weights = ["inter", "w.pth"]
model = "small"
dataset = "target"
"#;

/// Names, shapes and elements.
type Tensors = Vec<(String, Vec<usize>, Vec<u8>)>;

/// This pipeline, which has not run, and what its training gives: a network and its discriminators.
fn prepared(whole: Pipeline) -> (Space, Tensors, Vec<u8>) {
    let space = Space::with(pipeline());
    space.run("p.toml");
    let network = tensors(&space.bytes("runs/p/inter/model.safetensors"));
    let discriminators = space.bytes("runs/p/inter/discriminator.safetensors");
    space.remove("runs");
    space.remove("cache");
    space.write("p.toml", whole);
    (space, network, discriminators)
}

fn tensors(file: &[u8]) -> Tensors {
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let header: Map<String, Value> = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let number = |value: &Value| value.as_u64().unwrap() as usize;
    let tensor = |(name, entry): (String, Value)| {
        let shape = entry["shape"].as_array()?.iter().map(number).collect();
        let [begin, end] = [0, 1].map(|at| 8 + length + number(&entry["data_offsets"][at]));
        Some((name, shape, file[begin..end].to_vec()))
    };
    header.into_iter().filter_map(tensor).collect()
}

fn safetensors(tensors: &Tensors) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        data.extend(bytes);
        let dtype = if name.ends_with("num_batches_tracked") { "I64" } else { "F32" };
        header.insert(name.clone(), serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// The network under a prefix, each of its first elements one higher.
fn below(prefix: &str, network: &Tensors, more: f32) -> Tensors {
    let mut all = network.clone();
    for (name, _, bytes) in &mut all {
        name.insert_str(0, prefix);
        let first: &mut [u8; 4] = bytes.first_chunk_mut().unwrap();
        *first = (f32::from_le_bytes(*first) + more).to_le_bytes();
    }
    all
}

/// The shapes of those that hold floating-point numbers.
fn shapes(network: &Tensors) -> Vec<(String, Vec<usize>)> {
    network.iter().map(|(name, shape, _)| (name.clone(), shape.clone())).collect()
}

/// A file that PyTorch wrote; see src/ml/tests_data/pth.py.
fn of_pytorch(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/ml/tests_data/pth/{name}.pth"))).unwrap()
}

/// With one element of one tensor replaced.
fn with(network: &Tensors, tensor: &str, value: f32) -> Vec<u8> {
    let mut other = network.clone();
    let (_, _, bytes) = other.iter_mut().find(|(name, ..)| name == tensor).unwrap();
    bytes[..4].copy_from_slice(&value.to_le_bytes());
    safetensors(&other)
}

/// Whatever can be wrong with a file that is read as a network, and what is said of it.
fn faults(network: &Tensors, discriminators: &[u8]) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let zip = crate::weights::torch_zip(&shapes(network), "", "g.");
    let mut flipped = zip.clone();
    let at = zip.windows(4).position(|bytes| bytes == b"w/da").unwrap() + 40_000;
    flipped[at] ^= 1;
    let twice = [below("student.", network, 1.0), below("teacher.", network, 2.0)].concat();
    let mut wide = network.clone();
    let head = wide.iter_mut().find(|(name, ..)| name == "encoder.0.conv.weight").unwrap();
    *head = (head.0.clone(), vec![32, 3, 3, 3], [head.2.clone(), head.2.clone()].concat());
    let mut lacking = network.clone();
    lacking.retain(|(name, ..)| name != "encoder.0.norm.bias");
    let mut more = network.clone();
    more.push(("encoder.0.more".to_owned(), vec![1], vec![0; 4]));
    let pickle_cut = crate::weights::torch_save(&shapes(network), "", "g.");
    vec![
        ("NaN", with(network, "main.weight", f32::NAN), "tensor `main.weight` is not finite: 1 of its"),
        ("infinity", with(network, "encoder.0.conv.weight", f32::INFINITY), "`encoder.0.conv.weight` is not finite"),
        ("a flipped bit", flipped, "has another checksum (CRC-32) than was written with it"),
        ("a cut row of pickles", pickle_cut[..pickle_cut.len() - 9].to_vec(), "the file ends inside a storage"),
        ("a cut archive", zip[..zip.len() - 30].to_vec(), "damaged zip archive"),
        (
            "an archive in an archive",
            crate::weights::zipped(&[("best/w.pth".to_owned(), zip)]),
            "it holds `best/w.pth`",
        ),
        ("a program", of_pytorch("script"), "a TorchScript archive"),
        ("a whole network", of_pytorch("whole-zip"), "save `model.state_dict()`"),
        ("a command", of_pytorch("hostile-zip"), "it calls `posix.system`"),
        ("a list", of_pytorch("list"), "its 2 tensors have no names"),
        ("protocol 0", of_pytorch("protocol-0-row"), "save it again without `pickle_protocol=0`"),
        ("other names", of_pytorch("zip"), "none of the 25 tensors of this network is in the file"),
        ("discriminators", discriminators.to_vec(), "which `discriminator_init` of a training takes"),
        ("student and teacher", safetensors(&twice), "it holds this network 2 times, and their values differ"),
        (
            "another shape",
            safetensors(&wide),
            "`encoder.0.conv.weight` has shape [32, 3, 3, 3], expected [16, 3, 3, 3]",
        ),
        ("a missing tensor", safetensors(&lacking), "missing are `encoder.0.norm.bias`"),
        ("a foreign tensor", safetensors(&more), "tensor `encoder.0.more` [1] has no place in this network"),
    ]
}

fn assert_refused(ran: &Ran, what: &str, said: &[&str]) {
    assert_eq!(ran.code, Some(2), "{what}: {}\n{}", ran.stdout, ran.stderr);
    assert!(said.iter().all(|part| ran.stderr.contains(part)), "{what}, {said:?}: {}", ran.stderr);
    let cures = ["help: ", "copy or download", "save", "torch.save", "unpack"];
    assert!(cures.iter().any(|cure| ran.stderr.contains(cure)), "{what} without a cure: {}", ran.stderr);
    assert!(!ran.stdout.contains("stage-started"), "{what}: {}", ran.stdout);
}

#[test]
fn whatever_is_wrong_with_a_file_is_told_before_the_training_above_its_stage_runs() {
    let (space, network, discriminators) = prepared(pipeline().add(EVALUATE));
    for (what, bytes, said) in faults(&network, &discriminators) {
        space.write("w.pth", bytes);
        let ran = space.intrada("plan p.toml");
        assert_refused(&ran, what, &["p.toml:31:21", "w.pth", said]);
        let ran = space.intrada("run p.toml --format json");
        assert_refused(&ran, what, &["p.toml:31:21", "w.pth", said]);
        assert!(!space.path("runs").exists(), "{what}");
        // What doesn't read the file isn't kept from running.
        assert_eq!(space.intrada("plan p.toml inter").code, Some(0), "{what}");
    }
    let ran = space.intrada("doctor p.toml");
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    let told = "  FAIL  weights: w.pth: tensor `encoder.0.more` [1] has no place in this network";
    assert!(ran.stdout.contains(told) && ran.stdout.contains("named at p.toml:31:21"), "{}", ran.stdout);
    // All of them serve, and the stage below is done.
    for (prefix, form) in [("", "safetensors"), ("state_dict.module.", "safetensors"), ("", "zip"), ("model.", "zip")] {
        let serves = match form {
            "zip" => crate::weights::torch_zip(&shapes(&network), prefix, "g."),
            _ => safetensors(&below(prefix, &network, 0.0)),
        };
        space.write("w.pth", serves);
        assert_eq!(space.intrada("plan p.toml").code, Some(0), "{prefix} {form}");
    }
    assert_eq!(space.outcomes(), ["below:ran", "inter:ran"]);
}

#[test]
fn a_file_is_tried_wherever_a_stage_names_one() {
    let stage = |kind: &str, keys: &str| format!("[stages.s]\nkind = \"{kind}\"\nmodel = \"small\"\n{keys}");
    let adversarial = "method = \"advent\"\nsource = \"source\"\ntarget = \"target\"\niterations = 1\n";
    let training = |key: &str| stage("inter-training", &format!("{adversarial}{key} = \"w.pth\"\n"));
    let begun = stage("inter-training", adversarial).replace("\"small\"", "\"begun\"");
    let places = [
        ("init", format!("[models.begun]\narch = \"small\"\ninit = \"w.pth\"\n{begun}")),
        ("weights", training("weights")),
        ("both", training("discriminator_init")),
        ("main", training("discriminator_init_main")),
        ("aux", training("discriminator_init_aux")),
        ("entropy", stage("entropy-inference", "images = \"target\"\nweights = \"w.pth\"\n")),
        ("import", stage("checkpoint-import", "file = \"w.pth\"\n")),
        ("backbone", stage("checkpoint-import", "file = \"w.pth\"\npart = \"backbone\"\n")),
    ];
    let space = Space::new();
    // A network of one tensor, and none of these.
    space.write("w.pth", crate::weights::torch_zip(&[("no.such".to_owned(), vec![2])], "", "g."));
    for (place, stage) in places {
        space.write("p.toml", pipeline().add(&stage));
        let at = stage.split("w.pth").next().unwrap();
        let line = pipeline().lines().count() + at.lines().count();
        let column = at.lines().last().unwrap().len();
        let ran = space.intrada("plan p.toml");
        assert_refused(&ran, place, &[&format!("p.toml:{line}:{column}"), "w.pth: none of the", "`no.such`"]);
    }
    assert!(!space.path("cache").exists(), "a plan leaves nothing");
}

#[test]
fn a_discriminator_of_another_width_is_told_before_the_training_above() {
    let below = r#"[stages.below]
kind = "inter-training"
method = "advent"
model = "small"
source = "source"
target = "target"
iterations = 1
discriminator_width = 8
weights = "inter"
discriminator_init = "d.safetensors"
"#;
    let (space, _, discriminators) = prepared(pipeline().add(below));
    space.write("d.safetensors", discriminators);
    let said = ["p.toml:38:22", "d.safetensors: tensor `aux.0.weight` has shape [4, 8, 4, 4], expected [8, 8, 4, 4]"];
    assert_refused(&space.intrada("run p.toml --format json"), "width", &said);
    space.edit("p.toml", "discriminator_width = 8", "discriminator_width = 4");
    assert_eq!(space.intrada("plan p.toml").code, Some(0));
}

#[test]
fn what_a_command_has_written_is_tried_before_the_training_above_its_reader() {
    let converted = pipeline().command("convert", "cp made.pth out.pth", ["made.pth"], ["out.pth"]);
    let (space, network, discriminators) = prepared(converted.add(&EVALUATE.replace("w.pth", "out.pth")));
    space.write("made.pth", &discriminators);
    assert_eq!(space.intrada("plan p.toml").code, Some(0), "nobody knows what it will be");
    space.run("p.toml convert");
    for command in ["plan p.toml", "run p.toml --format json"] {
        assert_refused(&space.intrada(command), command, &["p.toml:36:21", "out.pth: none of the 25 tensors"]);
    }
    space.write("made.pth", safetensors(&network));
    assert_eq!(space.outcomes(), ["below:ran", "convert:ran", "inter:ran"]);
}

#[test]
fn what_a_command_makes_in_the_same_run_is_told_by_its_path_and_its_stage() {
    let made = pipeline().command("dl", "echo hi > dl.pth", [], ["dl.pth"]).add(EVALUATE);
    let space = Space::with(made.set("stages.below.weights", ["dl.pth"]));
    let ran = space.intrada("run p.toml below");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let said = format!("{}{}{}", ran.stdout, ran.stderr, space.intrada("log p.toml below").stdout);
    assert!(said.contains("dl.pth (made by dl) is not a checkpoint"), "{said}");
    assert!(!said.contains("objects"), "{said}");
}

/// The folder of an export of `inter` of a network of this model, with classes of these names.
fn exported(space: &Space, model: &str, classes: &[&str]) {
    space.write("p.toml", of_classes(model, classes, ""));
    space.run("p.toml inter");
    let ran = space.intrada("export p.toml inter out");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

fn of_classes(model: &str, classes: &[&str], below: &str) -> Pipeline {
    let pipeline = training().set("pipeline.device", "cpu").set("stages.inter.iterations", 1);
    pipeline.classes(classes.iter().copied()).with("models.small", model).add(below)
}

/// Reads the export.
const MEASURE: &str = r#"[stages.s]
kind = "evaluation"
weights = ["out/model.safetensors"]
model = "small"
dataset = "source"
"#;

const SCENES: [&str; 8] = ["sky", "building", "road", "sidewalk", "vegetation", "person", "car", "pole"];

#[test]
fn a_network_of_our_own_export_is_not_read_into_one_that_computes_something_else() {
    let stage = |kind: &str, keys: &str| format!("[stages.s]\nkind = \"{kind}\"\nmodel = \"small\"\n{keys}");
    let init = "method = \"source-only\"\nsource = \"source\"\niterations = 1\n";
    let weights = stage("inter-training", &format!("{init}weights = \"out/model.safetensors\"\n"));
    let import = stage("checkpoint-import", "file = \"out/model.safetensors\"\n");
    let entropy = stage("entropy-inference", "images = \"source\"\nweights = \"out/model.safetensors\"\n");
    let init = stage("inter-training", init);
    let space = Space::new();
    let eff = |more: &str| format!("arch = \"efficientnet-lite0\"\nmulti_level = false\n{more}");
    exported(&space, &eff("output_stride = 16"), &SCENES);
    let file = space.bytes("out/model.safetensors");
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let said = &header["__metadata__"];
    assert_eq!([&said["arch"], &said["output_stride"], &said["multi_level"]], ["efficientnet-lite0", "16", "false"]);

    let other = eff("output_stride = 32");
    let begun = format!("{other}\ninit = \"out/model.safetensors\"");
    for (stage, model) in
        [(MEASURE, &other), (&weights, &other), (&import, &other), (&entropy, &other), (&init, &begun)]
    {
        space.write("p.toml", of_classes(model, &SCENES, stage));
        let told = "model.safetensors: it was exported as a network with `output_stride = 16`, and is read into one with \
                    `output_stride = 32`";
        assert_refused(
            &space.intrada("plan p.toml s"),
            stage,
            &[told, "give the stage a model with `output_stride = 16`"],
        );
    }
    // Beside what differs, what it takes to agree.
    space.write("p.toml", of_classes(&eff("output_stride = 16"), &SCENES, MEASURE));
    assert_eq!(space.intrada("plan p.toml s").code, Some(0));
    space.write("p.toml", of_classes("arch = \"small\"", &SCENES, MEASURE));
    let told =
        "exported as a network with `arch = \"efficientnet-lite0\"`, `multi_level = false`, and is read into one with";
    assert_refused(&space.intrada("plan p.toml s"), "arch", &[told, "arch = \"small\""]);
}

#[test]
fn a_model_that_begins_with_the_network_of_a_stage_computes_as_that_does() {
    let below = r#"[models.coarse]
arch = "efficientnet-lite0"
output_stride = 32
init = "runs/p/inter/model.safetensors"
[stages.s]
kind = "inter-training"
method = "source-only"
model = "coarse"
source = "source"
iterations = 1
"#;
    let space = Space::with(of_classes("arch = \"efficientnet-lite0\"", &SCENES, below));
    let told =
        "`coarse` starts from the network of `inter`, which has `output_stride = 8`, but has `output_stride = 32`";
    assert_refused(&space.intrada("plan p.toml"), "init", &[told, "help: give `coarse` `output_stride = 8`"]);
    space.edit("p.toml", "output_stride = 32", "output_stride = 8");
    assert_eq!(space.intrada("plan p.toml").code, Some(0));
}

#[test]
fn a_network_of_our_own_export_is_not_read_with_its_classes_in_another_order() {
    let space = Space::new();
    exported(&space, "arch = \"small\"", &SCENES);
    let with = |classes: &[&str]| {
        space.write("p.toml", of_classes("arch = \"small\"", classes, MEASURE));
        space.intrada("plan p.toml s")
    };
    let mut swapped = SCENES;
    swapped.swap(0, 6);
    let ran = with(&swapped);
    assert_refused(&ran, "order", &["what it takes for `sky` would count as `car`", "put the classes of the pipeline"]);
    let mut renamed = SCENES;
    renamed[0] = "heaven";
    let ran = with(&renamed);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let both =
        ["warning: out/model.safetensors: its classes are called sky, building", "those of the pipeline heaven, b"];
    assert!(both.iter().all(|part| ran.stderr.contains(part)), "{}", ran.stderr);
    let ran = space.intrada("run p.toml s");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains(both[0]), "{}", ran.stderr);
    assert!(space.intrada("log p.toml s").stdout.contains("model.safetensors: its classes are called sky, building"));
    assert!(space.intrada("doctor p.toml").stdout.contains("its classes are called sky"));
    let ran = with(&SCENES);
    assert!(ran.code == Some(0) && !ran.stderr.contains("classes"), "{}", ran.stderr);
    assert!(space.outcomes().contains(&"s:ran".to_owned()));
}

#[test]
fn a_note_about_the_environment_is_in_the_log_and_no_part_of_what_went_wrong() {
    let pipeline = pipeline().set("stages.inter.iterations", 3).set("stages.inter.learning_rate", 1e30);
    let space = Space::with(pipeline);
    let ran = Ran::of(space.command("run p.toml").env("OMP_NUM_THREADS", "1").output().unwrap());
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("inter") && !said.contains("not passed on"), "{said}");
    // There may be other such variables where the test runs.
    let log = space.intrada("log p.toml inter").stdout;
    let note = log.lines().find(|line| line.contains("not passed on"));
    assert!(note.is_some_and(|note| note.contains("OMP_NUM_THREADS")), "{log}");
}

#[test]
fn a_folder_in_the_place_of_a_file_is_told_before_anything_runs() {
    let (space, ..) = prepared(pipeline().add(&EVALUATE.replace("w.pth", "weights/w")));
    space.write("weights/w/.metadata", "x");
    for command in ["plan p.toml", "run p.toml --format json"] {
        let ran = space.intrada(command);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("weights/w is a folder; name the file of weights in it"), "{}", ran.stderr);
    }
}

/// A worker that notes what it is asked, and answers as the real one.
fn noting(space: &Space) {
    let real = Path::new(env!("CARGO_BIN_EXE_intrada-run")).with_file_name("intrada-worker");
    let note = "[ $1 = --try-weights ] && cp \"$2\" asked.json";
    space.write("worker", format!("#!/bin/sh\n{note}\nexec {} \"$@\"\n", real.display()));
    std::fs::set_permissions(space.path("worker"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(space: &Space, arguments: &str) -> Ran {
    let mut command = space.command(arguments);
    Ran::of(command.env("INTRADA_WORKER", space.path("worker")).output().unwrap())
}

#[test]
fn the_worker_is_asked_once_for_all_files_and_only_where_a_stage_has_to_run_that_reads_one() {
    let members = r#"[stages.seeds]
kind = "inter-training"
method = "source-only"
model = "small"
source = "target"
iterations = 1
weights = "w.pth"
matrix = { seed = [1, 2, 3] }
"#;
    let (space, network, _) = prepared(pipeline().add(EVALUATE).add(members));
    noting(&space);
    space.write("w.pth", safetensors(&network));
    let ran = run(&space, "run p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let asked: Vec<Value> = serde_json::from_str(&space.read("asked.json")).unwrap();
    let kinds: Vec<&str> = asked.iter().map(|job| job["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["evaluation", "inter-training"], "the members of the sweep read it in the same way");
    space.remove("asked.json");
    // All is there.
    for command in ["run p.toml", "plan p.toml"] {
        assert_eq!(run(&space, command).code, Some(0));
    }
    // Nothing that runs reads a file.
    assert_eq!(run(&space, "plan p.toml inter --force inter").code, Some(0));
    assert!(!space.path("asked.json").exists());
}

#[test]
fn without_a_worker_it_is_said_which_files_were_not_tried() {
    let (space, network, _) = prepared(pipeline().add(EVALUATE));
    space.write("w.pth", safetensors(&network));
    space.write("worker", "#!/bin/sh\necho no such library >&2; exit 5\n");
    std::fs::set_permissions(space.path("worker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let ran = run(&space, "plan p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for part in ["warning: `w.pth` was not checked as weights: ", "exit status 5: no such library", "p.toml:31:21"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    space.remove("worker");
    let ran = run(&space, "plan p.toml");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("`w.pth` was not checked as weights, as there is no worker"), "{}", ran.stderr);
}

#[test]
fn a_watch_tells_of_a_file_that_does_not_serve_before_it_trains() {
    let (space, _, discriminators) = prepared(pipeline().add(EVALUATE));
    space.write("w.pth", discriminators);
    let mut command = space.command("watch p.toml --format json");
    let mut watch = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(watch.stdout.take().unwrap()));
    let mut events = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let told = |event: &Value| event.to_string().contains("w.pth: none of the 25 tensors");
    let first = events.find(|event| event["event"] == "stage-started" || told(event)).unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(told(&first), "{first}");
}
