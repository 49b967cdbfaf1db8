//! Builds a stage's manifest from its resolved inputs, and the part of its job that needs no input.
//!
//! Knows which parameters have a meaning and which facts about the classes a kind reads; doesn't access the file system.
//! Only what a stage reads is included: renaming a class doesn't affect a training, a new colour only redraws pictures.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::exec::job::{self, Job};
use crate::kind::{ClassFact, Role, Runs};
use crate::pipeline::{Class, Pipeline, Stage, Value};

use super::manifest::{Ingredient, Manifest};
use super::margins;

/// The manifest of `stage` with `inputs` by role.
pub fn manifest(pipeline: &Pipeline, stage: &Stage, inputs: BTreeMap<String, Box<Ingredient>>) -> Manifest {
    let meaning = stage.parameters.iter().filter(|parameter| parameter.role == Role::Meaning);
    let mut parameters: BTreeMap<String, String> =
        meaning.map(|parameter| (parameter.name.clone(), shown(&parameter.value))).collect();
    for fact in stage.kind.classes.iter().filter(|fact| is_read(stage, fact)) {
        let (name, value) = class_fact(*fact, &pipeline.classes);
        parameters.insert(name.to_owned(), value);
    }
    if let Some(set) = pipeline.instruction_set.filter(|_| stage.kind.computes) {
        parameters.insert("instruction_set".to_owned(), set.name.to_owned());
    }
    if let Some((role, dataset)) = margins::heeded(pipeline, stage) {
        parameters.extend(dataset.margins.set().map(|(key, pixels)| (format!("{role}.{key}"), pixels.to_string())));
    }
    let outputs = match stage.kind.runs {
        Runs::Worker => stage.outputs.iter().map(|output| output.name.clone()).collect(),
        Runs::Command => stage.outputs.iter().map(|output| output.path.to_string_lossy().into_owned()).collect(),
    };
    Manifest {
        kind: stage.kind.name.to_owned(),
        revision: revision(stage),
        parameters,
        inputs,
        outputs,
        environment: environment(stage).into_iter().map(|(name, value)| (name, value.map(as_text))).collect(),
    }
}

/// The worker's job for `stage`, without inputs and folders, on one CPU thread.
pub fn job(pipeline: &Pipeline, stage: &Stage) -> Job {
    let parameters = stage.parameters.iter().map(|parameter| {
        (parameter.name.clone(), serde_json::to_value(&parameter.value).expect("a parameter is plain data"))
    });
    let class = |class: &Class| {
        let Class { name, colour, rare, thing } = class.clone();
        job::Class { name, colour, rare, thing }
    };
    let set = pipeline.instruction_set.filter(|_| stage.kind.computes);
    Job {
        format: job::FORMAT,
        stage: stage.name.clone(),
        kind: stage.kind.name.to_owned(),
        parameters: parameters.collect(),
        classes: pipeline.classes.iter().map(class).collect(),
        datasets: BTreeMap::new(),
        dataset_names: BTreeMap::new(),
        input_names: BTreeMap::new(),
        inputs: BTreeMap::new(),
        items: None,
        staging: PathBuf::new(),
        slot: PathBuf::new(),
        samples: None,
        device: "cpu".to_owned(),
        threads: 1,
        attempt: None,
        instruction_set: set.map(|set| set.name.to_owned()),
    }
}

/// The revision of the kind, or of stages with these parameters.
fn revision(stage: &Stage) -> u32 {
    let of_such = stage.kind.revised.iter().filter(|(only, _)| stage.meets(only)).map(|(_, revision)| *revision);
    of_such.max().unwrap_or(stage.kind.revision)
}

/// The value of a variable as text, unique per value. Non-UTF-8 values are escaped after a NUL character, which no variable
/// can contain.
fn as_text(value: OsString) -> String {
    value.into_string().unwrap_or_else(|value| format!("\0{}", value.as_encoded_bytes().escape_ascii()))
}

/// The current values of a command's declared environment variables.
pub fn environment(stage: &Stage) -> BTreeMap<String, Option<OsString>> {
    let Some(Value::List(names)) = stage.parameter("env") else { return BTreeMap::new() };
    let names = names.iter().filter_map(|name| match name {
        Value::Text(name) => Some(name.clone()),
        _ => None,
    });
    names
        .map(|name| {
            let value = std::env::var_os(&name);
            (name, value)
        })
        .collect()
}

/// Strings are written without quotes, so that `why` prints `normalize none → rare-classes-code`; the field records the
/// type.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        value => value.canonical(),
    }
}

/// Whether the stage, not only its kind, reads this fact about the classes.
fn is_read(stage: &Stage, fact: &ClassFact) -> bool {
    match fact {
        ClassFact::Things(only) => stage.meets(only),
        ClassFact::Count | ClassFact::Names | ClassFact::Rare | ClassFact::Colours => true,
    }
}

fn class_fact(fact: ClassFact, classes: &[Class]) -> (&'static str, String) {
    let list = |of: &dyn Fn(&Class) -> Value| Value::List(classes.iter().map(of).collect()).canonical();
    match fact {
        ClassFact::Count => ("classes.count", classes.len().to_string()),
        ClassFact::Names => ("classes.names", list(&|class| Value::Text(class.name.clone()))),
        ClassFact::Rare => ("classes.rare", list(&|class| Value::Flag(class.rare))),
        ClassFact::Things(_) => ("classes.things", list(&|class| Value::Flag(class.thing))),
        ClassFact::Colours => {
            let hex = |[r, g, b]: [u8; 3]| Value::Text(format!("{r:02x}{g:02x}{b:02x}"));
            ("classes.colours", list(&|class| hex(class.colour)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;
    use crate::kind::{Kind, Only};

    #[test]
    fn two_values_of_a_variable_have_two_texts_though_neither_is_text() {
        let text = |bytes: &[u8]| as_text(OsString::from_vec(bytes.to_vec()));
        assert_eq!(text("Zürich".as_bytes()), "Zürich");
        let values: [&[u8]; 5] = [b"\xff", b"\xfe", b"\\xff", b"\xff\\", "\u{fffd}".as_bytes()];
        let texts: std::collections::BTreeSet<String> = values.into_iter().map(text).collect();
        assert_eq!(texts.len(), values.len());
    }

    /// [`STAGES`] with this in its header, more stages, and arguments of `--set`.
    fn pipeline(header: &str, stages: &str, set: &[&str]) -> Pipeline {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        let text = format!("format = 1\n[pipeline]\nclasses = \"scenes-8\"\nthreads = 1\n{header}\n{STAGES}{stages}");
        std::fs::write(&file, text).unwrap();
        let set: Vec<String> = set.iter().map(|&argument| argument.to_owned()).collect();
        crate::pipeline::load(&file, &set).unwrap()
    }

    /// The key of each stage of this pipeline, in the order of the file, without inputs.
    fn keys(header: &str, stages: &str) -> Vec<String> {
        keys_of(&pipeline(header, stages, &[]))
    }

    fn keys_of(pipeline: &Pipeline) -> Vec<String> {
        pipeline.stages.iter().map(|stage| manifest(pipeline, stage, BTreeMap::new()).key().to_string()).collect()
    }

    const STAGES: &str = r#"
[datasets.s]
format = "scenes"
style = "source"
seed = 1
count = 2
size = [64, 48]
[datasets.t]
format = "scenes"
style = "target"
seed = 2
count = 2
size = [64, 48]
[models.m]
arch = "small"
[stages.inter]
kind = "inter-training"
method = "advent"
model = "m"
source = "s"
target = "t"
[stages.entropy]
kind = "entropy-inference"
weights = "inter"
images = "t"
[stages.rank]
kind = "ranking"
scores = "entropy"
[stages.evaluate]
kind = "evaluation"
weights = "inter"
dataset = "s"
[stages.after]
kind = "command"
command = ["true"]
inputs = []
outputs = ["x"]
"#;

    #[test]
    fn an_instruction_set_enters_the_keys_of_what_computes_and_no_others_and_without_one_they_stay_as_they_are() {
        let [without, avx2, avx512] =
            ["", "instruction_set = \"avx2\"", "instruction_set = \"avx512\""].map(|header| keys(header, ""));
        let changes = |with: &[String]| with.iter().zip(&without).map(|(a, b)| a != b).collect::<Vec<_>>();
        assert_eq!(changes(&avx2), [true, true, false, true, false]);
        assert_eq!(changes(&avx512), [true, true, false, true, false]);
        assert!(avx2[0] != avx512[0]);
        // As before there was such a key, but for the revisions that training and inference have since.
        assert_eq!(
            without[..2],
            [
                "be49fd3d4117632f9de0c2e49e9ea3ade1c0ebb412fb44bb4932026c52fde392",
                "4c067dfa8ea8eb5b83189de5001777a103ab271ccc0dfa4ad25fbb9c6bb66a19"
            ]
        );
    }

    #[test]
    fn margins_enter_the_key_of_a_training_on_their_target_and_of_nothing_else_that_reads_it() {
        let taught = "stages.inter.mixed=true";
        let keys = |set: &[&str]| keys_of(&pipeline("", "", &[&[taught], set].concat()));
        let plain = keys(&[]);
        let changes = |set: &[&str]| keys(set).iter().zip(&plain).map(|(a, b)| a != b).collect::<Vec<_>>();
        assert_eq!(changes(&["datasets.t.margin_bottom=3"]), [true, false, false, false, false]);
        assert_eq!(changes(&["datasets.t.margin_bottom=0"]), [false; 5]);
        assert_eq!(changes(&["datasets.s.margin_bottom=3"]), [false; 5], "a source has labels");
        let without = |set: &[&str]| keys_of(&pipeline("", "", set));
        assert_eq!(without(&["datasets.t.margin_bottom=3"]), without(&[]), "no stage learns from a teacher");
        let all =
            ["top", "bottom", "left", "right"].map(|side| keys(&[&format!("datasets.t.margin_{side}=3")])[0].clone());
        assert_eq!(all.into_iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        let with = pipeline("", "", &[taught, "datasets.t.margin_bottom=3"]);
        let manifest = manifest(&with, &with.stages[0], BTreeMap::new());
        let told = manifest.parameters.iter().filter(|(name, _)| name.contains("margin"));
        assert_eq!(told.collect::<Vec<_>>(), [(&"target.margin_bottom".to_owned(), &"3".to_owned())]);
    }

    #[test]
    fn things_enter_the_key_of_a_stage_that_meets_their_condition_and_of_no_other() {
        const FACTS: &[ClassFact] = &[ClassFact::Count, ClassFact::Things(Only::on("flip"))];
        let things = |flip: &str, things: &str| {
            let mut pipeline = pipeline(things, "", &[flip]);
            let stage = &mut pipeline.stages[0];
            stage.kind = Box::leak(Box::new(Kind { classes: FACTS, ..*stage.kind }));
            let manifest = manifest(&pipeline, &pipeline.stages[0], BTreeMap::new());
            manifest.parameters.get("classes.things").cloned()
        };
        let shown = |things: [usize; 2]| {
            let thing = |class: usize| things.contains(&class).to_string();
            Some(format!("[{}]", (0..8).map(thing).collect::<Vec<_>>().join(",")))
        };
        assert_eq!(things("stages.inter.flip=true", ""), shown([5, 7]));
        assert_eq!(things("stages.inter.flip=true", "things = [\"sky\", \"car\"]"), shown([0, 5]));
        assert_eq!(things("stages.inter.flip=false", ""), None);
    }

    #[test]
    fn a_kind_that_changed_for_some_of_its_stages_is_revised_for_these_alone() {
        let pseudo = |more: &str| {
            let stage =
                "[stages.pseudo]\nkind = \"pseudo-labelling\"\npredictions = \"entropy\"\nimages = \"rank.easy\"\n";
            keys("", &format!("{stage}{more}"))[5].clone()
        };
        assert_eq!(pseudo(""), "f47e6cbfa961d0414b51b111794949a7d184a5a3f8206b5b802b24eec539ca07", "as before");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.toml");
        let stages = "[stages.all]\nkind = \"pseudo-labelling\"\npredictions = \"entropy\"\nimages = \"rank.easy\"\n\
                      [stages.surest]\nkind = \"pseudo-labelling\"\npredictions = \"entropy\"\nentropy = \"entropy\"\n";
        std::fs::write(&file, format!("format = 1\n[pipeline]\nclasses = \"scenes-8\"\n{STAGES}{stages}")).unwrap();
        let pipeline = crate::pipeline::load(&file, &[]).unwrap();
        let revision = |name: &str| {
            let stage = pipeline.stages.iter().find(|stage| stage.name == name).unwrap();
            manifest(&pipeline, stage, BTreeMap::new()).revision
        };
        assert_eq!(["all", "surest"].map(revision), [1, 4]);
        // A kind that is raised for all its stages is raised beyond these, which then go.
        assert!(crate::kind::ALL.iter().all(|kind| kind.revised.iter().all(|(_, newer)| *newer > kind.revision)));
    }
}
