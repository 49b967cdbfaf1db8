//! The screens that wrong files are answered with: `wrong/<name>.toml` and, beside it, the screen.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop};
use proptest::{prop_assert, prop_oneof, proptest};

use super::*;
use crate::mark::{self, Stands};

/// What `intrada-run` would answer to a file of this text. The first lines may hold arguments: `# --set key=value`, and then
/// `# --executor name`.
fn screen(file: &str, text: String) -> String {
    let set: Vec<String> = text.lines().map_while(|line| line.strip_prefix("# --set ")).map(str::to_owned).collect();
    let executor = text.lines().nth(set.len()).and_then(|line| line.strip_prefix("# --executor ")).map(str::to_owned);
    Draft::parse(Path::new(file), root(), text, &set, executor.as_deref()).refuse(Vec::new()).render(Look::Plain)
}

fn wrong_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipeline/wrong");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    files
}

#[test]
fn every_wrong_file_is_answered_with_its_screen() {
    let files = wrong_files();
    assert!(files.len() >= 20);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("wrong");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let screen = screen(&format!("{name}.toml"), fs::read_to_string(&file).unwrap());
        settings.bind(|| insta::assert_snapshot!(name, screen));
    }
}

#[test]
fn twenty_thousand_mistakes_are_counted_and_the_first_are_told_whatever_they_are() {
    let stages = |text: &dyn Fn(usize) -> String| (0..20_000).map(text).collect::<String>();
    let files = [
        stages(&|i| {
            format!("[stages.s{i}]\nkind = \"command\"\nshell = \"true\"\noutputs = [\"o{i}\"]\nmistake = 1\n")
        }),
        stages(&|i| format!("[stages.s{i}]\nkind = \"entropy-inference\"\nweights = \"x{i}\"\nimages = \"d{i}\"\n")),
        "[stages.s]\n".to_owned() + &stages(&|i| format!("shell = \"{i}\"\n")),
        stages(&|i| format!("[stages.s{i}]\nkind = command\n")),
        format!("[stages.s]\nkind = \"command\"\nmatrix.include = [{}]\n", stages(&|i| format!("{{ a = {i} }}, "))),
    ];
    for text in files {
        let screen = screen("p.toml", format!("format = 1\n{text}"));
        assert!(screen.matches("\nerror").count() < 60 && screen.len() < 40_000, "{}", &screen[..2000]);
        assert!(screen.contains(" in p.toml, nothing was run"), "{}", &screen[screen.len() - 200..]);
    }
}

#[test]
fn a_path_of_fifty_thousand_names_is_refused_at_its_place() {
    let path = "a/".repeat(50_000);
    let stage = "kind = \"command\"\nshell = \"true\"\n";
    for (keys, place) in [
        (format!("inputs = [\"{path}\"]\noutputs = [\"o\"]\n"), "p.toml:5:11"),
        (format!("outputs = [\"{path}x\"]\n"), "p.toml:5:12"),
        (format!("outputs = [\"o\"]\n[datasets.d]\nformat = \"folder\"\nroot = \"{path}\"\n"), "p.toml:8:8"),
        (
            format!("outputs = [\"o\"]\n[datasets.d]\nformat = \"folder\"\nroot = \"d\"\nlist = \"{path}\"\n"),
            "p.toml:9:8",
        ),
    ] {
        let screen = screen("p.toml", format!("format = 1\n[stages.s]\n{stage}{keys}"));
        assert!(screen.contains(place) && screen.contains("too long for a path"), "{place}: {}", &screen[..500]);
        assert!(screen.len() < 4_000, "{place}: {} bytes", screen.len());
    }
}

fn root() -> &'static Path {
    Path::new("/workspace")
}

/// A pipeline of which the caller gives the stages. Two data sets, one model, seed 7.
fn pipeline(stages: &str) -> Pipeline {
    parse(stages, &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

pub(super) fn parse(stages: &str, set: &[&str]) -> Result<Pipeline, Problems> {
    let head = r#"
        format = 1
        pipeline = { classes = "scenes-8", seed = 7 }
        datasets.here = { format = "scenes", style = "source", seed = 1, count = 4 }
        datasets.there = { format = "scenes", style = "target", seed = 2, count = 4 }
        models.small = { arch = "small", init = "small.safetensors" }
    "#;
    let set: Vec<String> = set.iter().map(|&argument| argument.to_owned()).collect();
    Draft::parse(Path::new("p/test.toml"), root(), format!("{head}{stages}"), &set, None).finish()
}

/// The whole method on what [`parse`] puts before it.
pub(super) const WHOLE: &str = r#"
    [stages.inter]
    kind = "inter-training"
    method = "advent"
    model = "small"
    source = "here"
    target = "there"
    [stages.entropy]
    kind = "entropy-inference"
    weights = "inter"
    images = "there"
    [stages.rank]
    kind = "ranking"
    scores = "entropy"
    [stages.pseudo]
    kind = "pseudo-labelling"
    predictions = "entropy"
    images = "rank.easy"
    [stages.intra]
    kind = "intra-training"
    method = "advent"
    model = "small"
    weights = "inter"
    easy = "pseudo"
    hard = "rank.hard"
    [stages.evaluate]
    kind = "evaluation"
    weights = ["inter", "intra"]
    dataset = "here"
"#;

/// `role ← where it comes from`, a line an input.
fn inputs(pipeline: &Pipeline, stage: &str) -> Vec<String> {
    let stage = pipeline.stage(pipeline.find(stage).unwrap());
    let from = |source: &InputSource| match source {
        InputSource::Output { output, within } => {
            let path = &pipeline.stage(output.stage).outputs[output.output].path;
            within.as_ref().map_or(path.clone(), |within| path.join(within)).display().to_string()
        }
        InputSource::Dataset { dataset, labels } => {
            format!("{}{}", pipeline.dataset(*dataset).name, if *labels { " with labels" } else { "" })
        }
        InputSource::Path { path, producers } => format!("{} after {}", path.display(), producers.len()),
    };
    stage.inputs.iter().map(|input| format!("{} ← {}", input.role, from(&input.from))).collect()
}

fn parameters(pipeline: &Pipeline, stage: &str) -> Vec<String> {
    let stage = pipeline.stage(pipeline.find(stage).unwrap());
    stage.parameters.iter().map(|parameter| format!("{} {}", parameter.name, parameter.value)).collect()
}

#[test]
fn a_name_stands_for_the_output_that_fits_and_weights_bring_their_network() {
    let pipeline = pipeline(WHOLE);
    assert_eq!(
        inputs(&pipeline, "inter"),
        ["source ← here with labels", "target ← there", "model.init ← small.safetensors after 0"]
    );
    assert_eq!(inputs(&pipeline, "entropy"), ["weights ← runs/test/inter/model.safetensors", "images ← there"]);
    assert_eq!(
        parameters(&pipeline, "entropy"),
        ["flip_test false", "channels_last false", r#"model.arch "small""#, "model.multi_level true"]
    );
    assert_eq!(inputs(&pipeline, "rank"), ["scores ← runs/test/entropy/scores.csv"]);
    assert_eq!(parameters(&pipeline, "rank"), ["lambda 0.67", r#"normalize "none""#]);
    assert_eq!(
        inputs(&pipeline, "intra"),
        [
            "easy ← runs/test/pseudo/labels",
            "hard ← runs/test/rank/hard_split.txt",
            // `weights` takes the place of the model's `init`, which is no input then.
            "weights ← runs/test/inter/model.safetensors",
            "images ← there",
        ]
    );
    assert_eq!(
        inputs(&pipeline, "evaluate"),
        [
            "weights.inter ← runs/test/inter/model.safetensors",
            "weights.intra ← runs/test/intra/model.safetensors",
            "dataset ← here with labels",
        ]
    );
    assert_eq!(
        parameters(&pipeline, "evaluate"),
        [
            "overlays 8",
            "predictions false",
            "flip_test false",
            "channels_last false",
            r#"model.inter.arch "small""#,
            "model.inter.multi_level true",
            r#"model.intra.arch "small""#,
            "model.intra.multi_level true",
        ]
    );
}

#[test]
fn weights_come_from_files_too_and_one_of_several_is_called_after_its_file() {
    let text = WHOLE
        .replace("weights = \"inter\"\n    images", "model = \"small\"\n    weights = \"gta2city.pth\"\n    images")
        .replace("weights = \"inter\"\n    easy", "weights = \"published/gta2city.v2\"\n    easy")
        .replace("[\"inter\", \"intra\"]", "[\"inter\", \"published/gta2city.v2.pth\"]\n    model = \"other\"");
    let other = "models.other = { arch = \"deeplabv2-resnet101\" }
    [stages.";
    let pipeline = pipeline(&text.replacen("[stages.", other, 1));
    assert_eq!(inputs(&pipeline, "entropy"), ["weights ← gta2city.pth after 0", "images ← there"]);
    assert_eq!(
        parameters(&pipeline, "entropy"),
        ["flip_test false", "channels_last false", r#"model.arch "small""#, "model.multi_level true"]
    );
    assert_eq!(inputs(&pipeline, "intra")[2], "weights ← published/gta2city.v2 after 0");
    assert_eq!(inputs(&pipeline, "evaluate")[1], "weights.gta2city.v2 ← published/gta2city.v2.pth after 0");
    assert_eq!(
        parameters(&pipeline, "evaluate")[4..8],
        [
            r#"model.inter.arch "small""#,
            "model.inter.multi_level true",
            r#"model.gta2city.v2.arch "deeplabv2-resnet101""#,
            "model.gta2city.v2.multi_level true",
        ]
    );
}

/// Three commands: `a` says where it runs, `b` doesn't, `c` says that it runs here.
const ON_EXECUTORS: &str = r#"
    format = 1
    [pipeline]
    executor = "pbs"
    [executors.pbs]
    kind = "commands"
    submit = "qsub -N {name} {script}"
    status = "qstat {jobs} | awk '{ print $1, $5 }'"
    cancel = "qdel {jobs}"
    running = ["R"]
    [executors.cluster]
    kind = "slurm"
    partition = "gpu"
    time = "1 d"
    max_jobs = 7
    program = "bin/intrada-run"
    extra = ["--reservation=night", "-x", "node7"]
    [stages.a]
    kind = "command"
    shell = "true"
    outputs = ["a"]
    executor = "cluster"
    resources = { gpus = 4, cpu = 2, memory = "1 TiB", time = "90 min" }
    [stages.b]
    kind = "command"
    shell = "true"
    outputs = ["b"]
    [stages.c]
    kind = "command"
    shell = "true"
    outputs = ["c"]
    executor = "local"
    resources = { time = "2 h" }
"#;

fn on_executors(executor: Option<&str>) -> Result<Pipeline, Problems> {
    Draft::parse(Path::new("p.toml"), root(), ON_EXECUTORS.to_owned(), &[], executor).finish()
}

/// The executor of each stage.
fn places(pipeline: &Pipeline) -> Vec<&str> {
    let place = |stage| pipeline.executor_of(stage).map_or("here", |executor| &*executor.name);
    pipeline.stages.iter().map(place).collect()
}

#[test]
fn an_executor_has_what_its_table_says_and_the_usual_for_the_rest() {
    let pipeline = on_executors(None).unwrap_or_else(|problems| panic!("{problems}"));
    let [pbs, cluster] = &*pipeline.executors else { panic!("{:?}", pipeline.executors) };
    let seconds = Duration::from_secs;
    let common = |executor: &Executor| (executor.max_jobs, executor.poll, executor.latency, executor.program.clone());
    assert_eq!(common(pbs), (50, seconds(15), seconds(60), None));
    assert_eq!(common(cluster), (7, seconds(15), seconds(60), Some("/workspace/bin/intrada-run".into())));
    let slurm = Slurm {
        partition: Some("gpu".to_owned()),
        account: None,
        qos: None,
        constraint: None,
        gpu_type: None,
        time: Some(seconds(86_400)),
        requeue: true,
        extra: ["--reservation=night", "-x", "node7"].map(str::to_owned).to_vec(),
    };
    assert_eq!(cluster.system, System::Slurm(slurm));
    let System::Commands(commands) = &pbs.system else { panic!("{pbs:?}") };
    assert_eq!((&*commands.cancel, commands.time), ("qdel {jobs}", None));
    assert_eq!(commands.running, ["R"]);
    assert!(commands.waiting.contains(&"qw".to_owned()) && commands.ended.contains(&"FINISHED".to_owned()));
}

#[test]
fn a_stage_runs_where_it_says_else_where_the_pipeline_says_and_the_command_line_decides_for_all() {
    let pipeline = on_executors(None).unwrap();
    assert_eq!(places(&pipeline), ["cluster", "pbs", "here"]);
    let pipeline = on_executors(Some("cluster")).unwrap();
    assert_eq!(places(&pipeline), ["cluster"; 3]);
    let problems = on_executors(Some("local")).unwrap_err().to_string();
    assert!(problems.contains("[resources] has no `gpus`"), "checked as a stage of this machine: {problems}");
}

#[test]
fn what_a_stage_needs_elsewhere_is_not_compared_with_this_machine() {
    let pipeline = on_executors(None).unwrap();
    let demand = &pipeline.stages[0].execution.demand;
    assert_eq!((demand.gpus, demand.cpu, demand.time), (Some(4), Some(2), Some(Duration::from_secs(5400))));
    assert_eq!(demand.counted.get("memory"), Some(&(1 << 40)));
    assert_eq!(
        pipeline.stages[2].execution.demand.time,
        Some(Duration::from_secs(7200)),
        "without effect, but allowed"
    );
}

#[test]
fn what_does_not_apply_is_no_part_of_the_stage() {
    let names = |method: &str| {
        let text = WHOLE.replacen("method = \"advent\"", &format!("method = \"{method}\""), 1);
        let pipeline = parse(&text, &[]).unwrap();
        let stage = pipeline.stage(pipeline.find("inter").unwrap()).clone();
        let names: Vec<String> = stage.parameters.into_iter().map(|parameter| parameter.name).collect();
        (names, stage.outputs.len(), stage.inputs.len(), pipeline.warnings.len())
    };
    let (advent, outputs, inputs, warnings) = names("advent");
    assert!(advent.contains(&"adversarial_weight".to_owned()) && !advent.contains(&"entropy_weight".to_owned()));
    assert_eq!((outputs, inputs, warnings), (4, 3, 0));
    let (minent, outputs, ..) = names("minent");
    assert!(!minent.contains(&"discriminator_width".to_owned()) && minent.contains(&"entropy_weight".to_owned()));
    assert_eq!(outputs, 3);
    // The target was typed, isn't read, and that is said.
    let (_, outputs, inputs, warnings) = names("source-only");
    assert_eq!((outputs, inputs, warnings), (3, 2, 1));
}

#[test]
fn typing_a_default_changes_nothing() {
    let plain = pipeline(WHOLE);
    let rank =
        WHOLE.replace("scores = \"entropy\"", "normalize = \"none\"\nlambda = 0.670\nscores = \"entropy.scores\"");
    let inter = rank.replacen("source =", "seed = 0x7\nbatch = 1\nhead_factor = 10\nbetas = [0, 0.1]\nsource =", 1);
    let typed = parse(&inter, &[]).unwrap();
    for stage in ["inter", "entropy", "rank"] {
        assert_eq!(parameters(&plain, stage), parameters(&typed, stage));
        assert_eq!(inputs(&plain, stage), inputs(&typed, stage));
    }
    assert_eq!(typed.warnings.len(), 1, "SGD has no betas");
}

#[test]
fn a_key_that_came_later_enters_no_key_of_the_cache_where_it_is_as_before() {
    let role_of_gan = |typed: &str| {
        let pipeline = parse(&WHOLE.replacen("method = \"advent\"", typed, 1), &[]).unwrap();
        let stage = pipeline.stage(pipeline.find("inter").unwrap());
        let gan = stage.parameters.iter().find(|parameter| parameter.name == "gan").unwrap();
        (gan.value.to_string(), gan.role)
    };
    let method = "method = \"advent\"\n";
    assert_eq!(role_of_gan(method), ("\"vanilla\"".to_owned(), Role::Execution));
    assert_eq!(role_of_gan(&format!("{method}gan = \"vanilla\"")), role_of_gan(method));
    assert_eq!(role_of_gan(&format!("{method}gan = \"ls\"")), ("\"ls\"".to_owned(), Role::Meaning));
}

#[test]
fn an_argument_replaces_a_value_or_adds_one() {
    let text = WHOLE.replace("scores = \"entropy\"", "scores = \"entropy\"\nlambda = 0.5");
    let set = [
        "stages.rank.lambda=0.60",
        "pipeline.seed=9",
        "stages.rank.normalize=\"rare-classes-code\"",
        "datasets.there.count=5",
    ];
    let pipeline = parse(&text, &set).unwrap();
    assert_eq!(parameters(&pipeline, "rank"), ["lambda 0.6", r#"normalize "rare-classes-code""#]);
    assert_eq!(pipeline.stage(StageId(0)).parameter("seed"), Some(&Value::Integer(9)));
    assert!(matches!(pipeline.datasets[1].format, Format::Scenes { count: 5, .. }));
    let lambda = &pipeline.stage(StageId(2)).parameters[0];
    assert_eq!(pipeline.sources.text(lambda.span), "0.60");
}

#[test]
fn a_path_that_is_or_lies_in_an_output_is_an_edge_and_a_folder_around_outputs_waits_for_them() {
    let pipeline = pipeline(
        r#"
        [datasets.made]
        format = "folder"
        root = "./data/made/"
        list = "out/list.txt"
        map = { 34 = 255, 1 = 0 }
        [models.fetched]
        arch = "small"
        init = "out/weights/small.safetensors"
        [stages.fetch]
        kind = "command"
        command = ["fetch"]
        outputs = ["out/weights", "out/list.txt", "data/made/images/1"]
        [stages.train]
        kind = "inter-training"
        method = "minent"
        model = "fetched"
        source = "made"
        target = "here"
        [stages.look]
        kind = "command"
        shell = "ls"
        inputs = ["out", "runs/test/train/losses.jsonl", "/workspace/out/list.txt", "other"]
        outputs = ["listing"]
        [stages.use]
        kind = "entropy-inference"
        weights = "runs/test/train/model.safetensors"
        images = "there"
        [stages.small]
        kind = "inter-training"
        method = "source-only"
        model = "small"
        source = "here"
        "#,
    );
    assert_eq!(
        inputs(&pipeline, "train"),
        ["source ← made with labels", "target ← here", "model.init ← out/weights/small.safetensors"]
    );
    assert_eq!(
        inputs(&pipeline, "look"),
        [
            "inputs[0] ← out after 2",
            "inputs[1] ← runs/test/train/losses.jsonl",
            "inputs[2] ← out/list.txt",
            "inputs[3] ← other after 0",
        ]
    );
    // The path of a training's output brings its network just as its name does.
    assert_eq!(
        parameters(&pipeline, "use"),
        ["flip_test false", "channels_last false", r#"model.arch "small""#, "model.multi_level true"]
    );
    let made = &pipeline.datasets[2];
    assert_eq!(made.producers, [1, 2].map(|output| OutputId { stage: StageId(0), output }));
    assert_eq!(made.map, [(1, 0), (34, 255)]);
    let Format::Folder { images, labels, list, .. } = &made.format else { panic!("it is a folder") };
    assert_eq!(
        [images, labels, list.as_ref().unwrap()],
        [Path::new("data/made/images"), Path::new("data/made/labels"), Path::new("out/list.txt")]
    );
}

#[test]
fn a_window_has_a_stride_of_three_quarters_unless_another_is_given() {
    let looking = |lines: &str| {
        let text =
            WHOLE.replace("weights = \"inter\"\n    images", &format!("{lines}\n    weights = \"inter\"\n    images"));
        let mut found = parameters(&pipeline(&text), "entropy");
        found.retain(|parameter| !parameter.starts_with("model.") && !parameter.starts_with("channels_last"));
        found.sort();
        found
    };
    assert_eq!(looking("window = [1024, 130]"), ["flip_test false", "stride [768,97]", "window [1024,130]"]);
    assert_eq!(looking("window = [1, 2]\nflip_test = true"), ["flip_test true", "stride [1,1]", "window [1,2]"]);
    assert_eq!(looking("window = [64, 64]\nstride = [64, 1]"), ["flip_test false", "stride [64,1]", "window [64,64]"]);
}

#[test]
fn own_classes_get_colours_that_people_tell_apart() {
    let text = "format = 1\n[[classes]]\nname = \"a\"\n[[classes]]\nname = \"b\"\ncolour = [1, 2, 3]\nrare = true\n\
                [stages.x]\nkind = \"command\"\nshell = \"true\"\noutputs = [\"x\"]";
    let pipeline = Draft::parse(Path::new("p.toml"), root(), text.to_owned(), &[], None).finish().unwrap();
    let class = |name: &str, colour, rare| Class { name: name.to_owned(), colour, rare, thing: false };
    assert_eq!(pipeline.classes, [class("a", [230, 159, 0], false), class("b", [1, 2, 3], true)]);
}

#[test]
fn things_are_those_of_the_class_set_unless_the_file_names_others() {
    let things = |set: &[&str]| {
        let pipeline = parse(WHOLE, set).unwrap();
        let things = pipeline.classes.into_iter().filter(|class| class.thing);
        things.map(|class| class.name).collect::<Vec<_>>()
    };
    assert_eq!(things(&[]), ["car", "person"]);
    assert_eq!(things(&["pipeline.things=[\"pole\", \"car\"]"]), ["car", "pole"]);
}

#[test]
fn every_default_is_a_value_that_its_key_takes() {
    use crate::kind;
    let variants = kind::dataset::FORMATS.iter().chain(kind::model::ARCHS).map(|variant| variant.keys);
    let tables = kind::ALL.iter().map(|kind| kind.keys).chain(variants);
    let more: [kind::Keys; 2] = [&[kind::pipeline::KEYS], &[kind::pipeline::CLASS_KEYS]];
    let mut defaults = 0;
    for keys in tables.chain(more) {
        for key in kind::all(keys) {
            if let kind::Presence::Default(literal) = key.presence {
                let text = format!("{} = {}", key.name, Value::from(literal));
                let sources = Sources::new(vec![Source { name: String::new(), text }]);
                let node = raw::parse(&sources, 0).table.0.remove(0).node;
                assert_eq!(read_value::read(key, &node).unwrap().value, literal.into(), "{}", key.name);
                defaults += 1;
            }
            for (_, literal) in key.defaults {
                assert!(matches!(key.presence, kind::Presence::Default(_)), "{} has another default", key.name);
                let text = format!("{} = {}", key.name, Value::from(*literal));
                let sources = Sources::new(vec![Source { name: String::new(), text }]);
                let node = raw::parse(&sources, 0).table.0.remove(0).node;
                assert_eq!(read_value::read(key, &node).unwrap().value, (*literal).into(), "{}", key.name);
            }
            let of_defaults = key.defaults.iter().map(|(only, _)| *only);
            for only in key.only.into_iter().chain(of_defaults).flat_map(kind::Only::alternatives) {
                let mut before = kind::all(keys).take_while(|other| other.name != key.name);
                let is_default = key.only.is_none_or(|own| own.alternatives().all(|own| own != only));
                let mut every = kind::all(keys);
                let other = if is_default {
                    before.find(|other| other.name == only.key)
                } else {
                    every.find(|other| other.name == only.key)
                };
                let names: &[&str] = match other.unwrap_or_else(|| panic!("{}: {}", key.name, only.key)).value_type {
                    kind::ValueType::Choice(names) => names,
                    kind::ValueType::Flag => &["true", "false"],
                    _ => &[],
                };
                assert!(only.is.iter().all(|name| names.contains(name)), "{}", key.name);
            }
        }
    }
    assert!(defaults > 40);
}

#[test]
fn the_root_is_the_nearest_folder_with_a_cache() {
    let workspace = tempfile::tempdir().unwrap();
    let root = workspace.path();
    fs::create_dir_all(root.join("cache")).unwrap();
    fs::create_dir_all(root.join("a/b/cache")).unwrap();
    let file = root.join("a/b/p.toml");
    fs::write(&file, "format = 1\n[stages.x]\nkind = \"command\"\nshell = \"true\"\noutputs = [\"x\"]\n").unwrap();
    assert_eq!(load(&file, &[]).unwrap().root, root.join("a/b"));
    fs::write(root.join("cache/CACHEDIR.TAG"), mark::tag(Stands::InItsWorkspace)).unwrap();
    assert_eq!(load(&file, &[]).unwrap().root, root);
    // Of another program, or of one that was named with `--cache`.
    for other in ["Signature: 8a477f597d28d172789f06886806bc55\n", &mark::tag(Stands::Elsewhere)] {
        fs::write(root.join("a/b/cache/CACHEDIR.TAG"), other).unwrap();
        assert_eq!(load(&file, &[]).unwrap().root, root);
    }
    fs::write(root.join("a/b/cache/CACHEDIR.TAG"), mark::tag(Stands::InItsWorkspace)).unwrap();
    assert_eq!(load(&file, &[]).unwrap().root, root.join("a/b"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let answer = |file: &Path| load(file, &[]).unwrap_err().to_string();
    let missing = folder.path().join("missing.toml");
    assert_eq!(answer(&missing), format!("error: {} does not exist\n\n", missing.display()));
    assert!(answer(folder.path()).contains("is a folder"));
    let latin = folder.path().join("latin.toml");
    fs::write(&latin, b"format = 1\n# M\xfcnchen\n").unwrap();
    assert!(answer(&latin).contains("is not UTF-8: line 2"));
}

#[test]
fn the_template_is_right_as_it_stands() {
    let pipeline = Draft::parse(Path::new("x.toml"), root(), template::TEMPLATE.clone(), &[], None).finish().unwrap();
    assert_eq!((pipeline.name.as_str(), pipeline.warnings), ("mine", Vec::new()));
}

/// Pieces that a pipeline file is made of, and some that it isn't.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "[stages.a]",
        "[stages.b]",
        "[datasets.here]",
        "[models.m]",
        "[pipeline]",
        "[[classes]]",
        "format = 1",
        "format",
        "kind = \"command\"",
        "kind = \"inter-training\"",
        "kind = \"evaluation\"",
        "kind = \"ranking\"",
        "weights = [\"a\", \"b\"]",
        "weights = \"a.model\"",
        "scores = \"b\"",
        "outputs = [\"x/y\"]",
        "outputs = [\"x\"]",
        "inputs = [\"x\", \"..\"]",
        "shell = 1",
        "lambda = nan",
        "lambda = -0",
        "map = { 34 = 255 }",
        "map.x.y = 1",
        "size = [1, 0]",
        "name = \"é\"",
        "classes = 1",
        "arch = \"small\"",
        "model = \"m\"",
        "method = \"advent\"",
        "source = \"here\"",
        "target = \"here\"",
        "style = 1979-05-27",
        "\t",
        "\r\n",
        "]",
        "{",
        "\"",
        "'''",
        "=",
        ".",
        "é = \u{1F600}",
        "a.b.c.d = {}",
        "#",
        "\u{feff}",
        "\0",
        "0x",
        "1e999",
    ];
    prop_oneof![9 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn whatever_is_typed_is_answered(
        pieces in prop::collection::vec((piece(), prop_oneof![Just("\n"), Just(" "), Just("")]), 0..40),
        set in prop::collection::vec(piece(), 0..2),
    ) {
        let text: String = pieces.into_iter().flat_map(|(piece, end)| [piece, end.to_owned()]).collect();
        let problems = Draft::parse(Path::new("x.toml"), root(), text, &set, None).refuse(Vec::new());
        for look in [Look::Plain, Look::Coloured] {
            prop_assert!(problems.render(look).ends_with("nothing was run\n") || problems.errors() == 0);
        }
    }

    #[test]
    fn a_file_with_a_piece_cut_out_is_answered(start in 0..1200usize, length in 0..60usize) {
        let text = format!("format = 1\n[pipeline]\nclasses = \"scenes-8\"\n{WHOLE}");
        let (start, end) = (start.min(text.len()), (start + length).min(text.len()));
        let cut = text[..start].to_owned() + &text[end..];
        let draft = Draft::parse(Path::new("x.toml"), root(), cut, &[], None);
        let problems = draft.refuse(Vec::new());
        // The data sets are not there, so something is always wrong.
        prop_assert!(problems.errors() > 0);
        prop_assert!(problems.to_string().contains("nothing was run"));
    }
}

#[test]
fn a_stage_means_its_last_network_and_the_best_only_by_name() {
    let text = r#"format = 1
[pipeline]
classes = "scenes-8"
[datasets.d]
format = "scenes"
style = "source"
seed = 1
count = 1
[models.m]
arch = "small"
[stages.t]
kind = "inter-training"
method = "source-only"
model = "m"
source = "d"
dataset = "d"
[stages.e]
kind = "evaluation"
weights = ["t", "t.best"]
dataset = "d"
"#;
    let workspace = tempfile::tempdir().unwrap();
    let file = workspace.path().join("p.toml");
    fs::write(&file, text).unwrap();
    let pipeline = load(&file, &[]).unwrap();
    let training = pipeline.stage(pipeline.find("t").unwrap());
    assert_eq!(training.parameter("evaluate_every"), Some(&Value::Integer(2000)), "as in the released code");
    let evaluation = pipeline.stage(pipeline.find("e").unwrap());
    let read: Vec<(&str, &str)> = evaluation
        .inputs
        .iter()
        .filter_map(|input| match input.from {
            InputSource::Output { output, .. } => Some((&*input.role, &*training.outputs[output.output].name)),
            _ => None,
        })
        .collect();
    assert_eq!(read, [("weights.t", "model"), ("weights.t.best", "best")]);

    fs::write(&file, text.replace("source = \"d\"\ndataset = \"d\"", "source = \"d\"\nevaluate_every = 5")).unwrap();
    let problems = load(&file, &[]).unwrap_err().to_string();
    assert!(problems.contains("`evaluate_every` has no effect here: it needs `dataset`\n"), "{problems}");
    assert!(problems.contains("stage `t` has no output `best`"), "{problems}");
}
