//! What differs between two versions of a pipeline: stages, their settings, data sets, and the program.
//!
//! Compares what the two files mean, defaults included, not their text: another order of lines or a comment is no change.
//! Reads no data; which of it changed is compared by its digests, in [`past`](super::past).

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::pipeline::{Dataset, Input, InputSource, Pipeline, Stage};
use crate::shown;

use super::results::{facts, shown as text_of};

/// Characters of a shown value: it may be a whole shell script.
const VALUE: usize = 120;
/// Stages that a change names.
const NAMED: usize = 3;

/// One change. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// What it is about, as in `rank`, `data set target`, `pipeline`.
    pub of: String,
    /// The key of the file, where it is one.
    pub key: Option<String>,
    /// Before; none where it is new.
    pub old: Option<String>,
    /// Now; none where it is gone.
    pub new: Option<String>,
    /// What happened, if it isn't the value of a key: `added`, `removed`, `2 files added`.
    pub what: Option<String>,
}

impl Change {
    /// A key has another value.
    pub(super) fn of_key(of: &str, key: &str, old: Option<&String>, new: Option<&String>) -> Change {
        let (old, new) = (old.cloned(), new.cloned());
        Change { of: of.to_owned(), key: Some(key.to_owned()), old, new, what: None }
    }

    /// Something happened.
    pub(super) fn told(of: &str, what: &str) -> Change {
        Change { of: of.to_owned(), key: None, old: None, new: None, what: Some(what.to_owned()) }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.of)?;
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        let brief = |value: &str| match value {
            "" => "\"\"".to_owned(),
            value => shown::brief(&value.replace('\n', " "), VALUE).into_owned(),
        };
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, " {} → {}", brief(old), brief(new))?,
            (None, Some(new)) => write!(f, " {} (new)", brief(new))?,
            (Some(old), None) => write!(f, " {} (gone)", brief(old))?,
            (None, None) => {}
        }
        self.what.iter().try_for_each(|what| write!(f, " {what}"))
    }
}

/// The changes from one version of a pipeline to another, in the order of the newer file.
pub fn between(old: &Pipeline, new: &Pipeline) -> Vec<Change> {
    let mut all = values("pipeline", &of_pipeline(old), &of_pipeline(new));
    all.extend(datasets(old, new));
    all.extend(stages(old, new));
    all
}

/// The values that differ, in the order of the newer ones.
fn values(of: &str, old: &[(String, String)], new: &[(String, String)]) -> Vec<Change> {
    let find =
        |all: &[(String, String)], key: &str| all.iter().find(|(own, _)| own == key).map(|(_, value)| value.clone());
    let gone = old.iter().filter(|(key, _)| find(new, key).is_none());
    let keys = new.iter().chain(gone).map(|(key, _)| key);
    let pairs = keys.map(|key| (key, find(old, key), find(new, key))).filter(|(_, old, new)| old != new);
    pairs.map(|(key, old, new)| Change::of_key(of, key, old.as_ref(), new.as_ref())).collect()
}

fn of_pipeline(pipeline: &Pipeline) -> Vec<(String, String)> {
    let classes = pipeline.classes.iter().map(|class| {
        let thing = if class.thing { " (thing)" } else { "" };
        let rare = if class.rare { " (rare)" } else { "" };
        format!("{}{thing}{rare}", class.name)
    });
    let mut values = vec![
        ("description".to_owned(), pipeline.about.description.clone()),
        ("tags".to_owned(), pipeline.about.tags.join(", ")),
        ("classes".to_owned(), classes.collect::<Vec<_>>().join(", ")),
        ("device".to_owned(), pipeline.device.clone()),
    ];
    values.extend(pipeline.threads.map(|threads| ("threads".to_owned(), threads.to_string())));
    values.extend(pipeline.instruction_set.map(|set| ("instruction_set".to_owned(), set.name.to_owned())));
    values.retain(|(_, value)| !value.is_empty());
    values
}

fn datasets(old: &Pipeline, new: &Pipeline) -> Vec<Change> {
    let called = |name: &str| format!("data set {name}");
    let mut changes = Vec::new();
    for dataset in &new.datasets {
        match old.datasets.iter().find(|before| before.name == dataset.name) {
            None => changes.push(Change::told(&called(&dataset.name), "added")),
            Some(before) => {
                changes.extend(values(&called(&dataset.name), &of_dataset(before), &of_dataset(dataset)));
            }
        }
    }
    let gone = old.datasets.iter().filter(|dataset| new.datasets.iter().all(|other| other.name != dataset.name));
    changes.extend(gone.map(|dataset| Change::told(&called(&dataset.name), "removed")));
    changes
}

fn of_dataset(dataset: &Dataset) -> Vec<(String, String)> {
    let prefix = format!("{}.", dataset.name);
    let bare = |name: String| name.strip_prefix(&prefix).map(str::to_owned).unwrap_or(name);
    let mut values = vec![("format".to_owned(), dataset.format_name().to_owned())];
    values.extend(facts(dataset).into_iter().map(|(name, value)| (bare(name), value)));
    if dataset.orientation != Default::default() {
        values.push(("orientation".to_owned(), format!("{:?}", dataset.orientation).to_lowercase()));
    }
    if !dataset.decode.is_full() {
        values.push(("decode".to_owned(), format!("{:?}", dataset.decode).to_lowercase()));
    }
    if dataset.cache {
        values.push(("cache".to_owned(), "true".to_owned()));
    }
    values.extend(dataset.margins.set().map(|(key, pixels)| (key.to_owned(), pixels.to_string())));
    if !dataset.map.is_empty() {
        let pairs: Vec<String> = dataset.map.iter().map(|(from, to)| format!("{from} = {to}")).collect();
        values.push(("map".to_owned(), pairs.join(", ")));
    }
    if !dataset.palette.is_empty() {
        values.push(("palette".to_owned(), format!("{:?}", dataset.palette)));
    }
    values
}

/// The stages by family, as the members of a sweep mostly change together.
fn stages(old: &Pipeline, new: &Pipeline) -> Vec<Change> {
    let mut changes = Vec::new();
    for Family { name: family, before, now } in families(old, new) {
        let names = |stages: &[&Stage], other: &Pipeline| -> Vec<String> {
            stages.iter().filter(|stage| other.find(&stage.name).is_none()).map(|stage| stage.name.clone()).collect()
        };
        for (names, all, what) in
            [(names(&now, old), now.len(), "added"), (names(&before, new), before.len(), "removed")]
        {
            if !names.is_empty() {
                changes.push(Change::told(&called(family, &names, all), what));
            }
        }
        let mut common = 0;
        // Each change with the members that it is of.
        let mut found: Vec<(Change, Vec<String>)> = Vec::new();
        let mut places: HashMap<Change, usize> = HashMap::new();
        for stage in now {
            let Some(earlier) = old.find(&stage.name).map(|id| old.stage(id)) else { continue };
            common += 1;
            for change in values("", &of_stage(old, earlier, stage), &of_stage(new, stage, earlier)) {
                let place = *places.entry(change).or_insert_with_key(|change| {
                    found.push((change.clone(), Vec::new()));
                    found.len() - 1
                });
                found[place].1.push(stage.name.clone());
            }
        }
        changes.extend(
            found.into_iter().map(|(change, members)| Change { of: called(family, &members, common), ..change }),
        );
    }
    changes
}

/// The stages of one name: one, or the members of a sweep.
struct Family<'p> {
    name: &'p str,
    before: Vec<&'p Stage>,
    now: Vec<&'p Stage>,
}

/// In the order of the newer version; those that it lacks come last.
fn families<'p>(old: &'p Pipeline, new: &'p Pipeline) -> Vec<Family<'p>> {
    let mut families: Vec<Family<'p>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let both = new.stages.iter().map(|stage| (stage, true)).chain(old.stages.iter().map(|stage| (stage, false)));
    for (stage, is_new) in both {
        let name = stage.family.as_str();
        let place = *places.entry(name).or_insert_with(|| {
            families.push(Family { name, before: Vec::new(), now: Vec::new() });
            families.len() - 1
        });
        let family = &mut families[place];
        if is_new { family.now.push(stage) } else { family.before.push(stage) }
    }
    families
}

/// `rank`, where all members are meant; else their names, or their number.
fn called(family: &str, members: &[String], all: usize) -> String {
    match members {
        [only] if all == 1 => only.clone(),
        members if members.len() == all => format!("{family} ({all} members)"),
        members if members.len() <= NAMED => members.join(", "),
        members => format!("{} members of {family}", members.len()),
    }
}

/// A stage's settings and inputs, by key, to compare with those of its `other` version.
fn of_stage(pipeline: &Pipeline, stage: &Stage, other: &Stage) -> Vec<(String, String)> {
    let mut values = vec![("kind".to_owned(), stage.kind.name.to_owned())];
    let typed = stage.parameters.iter().filter(|parameter| !is_told(pipeline, stage, other, &parameter.name));
    values.extend(typed.map(|parameter| (parameter.name.clone(), text_of(&parameter.value))));
    let mut inputs: BTreeMap<&str, String> = BTreeMap::new();
    for input in &stage.inputs {
        let from = match &input.from {
            InputSource::Dataset { dataset, .. } => pipeline.dataset(*dataset).name.clone(),
            InputSource::Path { path, .. } => path.display().to_string(),
            InputSource::Output { output, within } => {
                let from = pipeline.stage(output.stage);
                let inside = within.as_ref().map(|path| format!("/{}", path.display())).unwrap_or_default();
                format!("{}.{}{inside}", from.name, from.outputs[output.output].name)
            }
        };
        match input.role.strip_prefix(ONE_OF_SEVERAL) {
            None => {
                inputs.insert(&input.role, from);
            }
            Some(name) => {
                let network = if is_named_after_its_stage(pipeline, input, name) { name.to_owned() } else { from };
                let all = inputs.entry("weights").or_default();
                if !all.is_empty() {
                    all.push_str(", ");
                }
                all.push_str(&network);
            }
        }
    }
    values.extend(inputs.into_iter().map(|(role, from)| (role.to_owned(), from)));
    if stage.kind.outputs.is_empty() {
        let outputs: Vec<String> = stage.outputs.iter().map(|output| output.path.display().to_string()).collect();
        values.push(("outputs".to_owned(), outputs.join(", ")));
    }
    values
}

/// What the roles of the networks begin with that one stage measures; its key `weights` lists them.
const ONE_OF_SEVERAL: &str = "weights.";

/// Whether a network is called as its stage is, so that the name says where it comes from.
fn is_named_after_its_stage(pipeline: &Pipeline, input: &Input, name: &str) -> bool {
    let InputSource::Output { output, within: None } = &input.from else { return false };
    let rest = name.strip_prefix(pipeline.stage(output.stage).family.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Whether another line tells a change of this setting: `model.inter.arch` of a stage that measures `inter` comes and
/// goes with it, and else changes with the training of `inter`.
fn is_told(pipeline: &Pipeline, stage: &Stage, other: &Stage, setting: &str) -> bool {
    let Some((name, _)) = setting.strip_prefix("model.").and_then(|rest| rest.rsplit_once('.')) else { return false };
    let role = format!("{ONE_OF_SEVERAL}{name}");
    let Some(own) = stage.input(&role) else { return false };
    let is_trained =
        matches!(&own.from, InputSource::Output { output, .. } if pipeline.stage(output.stage).is_training());
    is_trained || other.input(&role).is_none()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pipeline::reread;

    const TEXT: &str = r#"
format = 1
[pipeline]
name = "p"
classes = "scenes-8"
[datasets.s]
format = "scenes"
style = "source"
seed = 1
count = 2
[models.m]
arch = "small"
[stages.inter]
kind = "inter-training"
method = "source-only"
model = "m"
source = "s"
matrix = { seed = [1, 2] }
[stages.evaluate]
kind = "evaluation"
weights = "inter"
dataset = "s"
[stages.say]
kind = "command"
shell = "true"
outputs = ["x"]
"#;

    fn read(text: &str) -> Pipeline {
        reread(Path::new("p.toml"), Path::new("/w"), text.to_owned(), &[])
            .unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn told(from: &str, to: &str) -> Vec<String> {
        assert_eq!(TEXT.matches(from).count(), 1, "{from}");
        between(&read(TEXT), &read(&TEXT.replace(from, to))).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_changes_nothing_is_no_change() {
        assert_eq!(told("count = 2", "count = 0x2 # two"), Vec::<String>::new());
        assert_eq!(
            told("shell = \"true\"\noutputs = [\"x\"]", "outputs = [\"x\"]\nshell = \"true\""),
            Vec::<String>::new()
        );
        assert_eq!(told("seed = 1\n", "seed = 1\nsize = [320, 192]\n").len(), 1, "the size of the scenes is set");
    }

    #[test]
    fn a_change_names_the_key_with_its_old_and_new_value_and_the_stage_or_data_set() {
        assert_eq!(told("count = 2", "count = 3"), ["data set s: count 2 → 3"]);
        assert_eq!(told("shell = \"true\"", "shell = \"\"\"true\ntrue\"\"\""), ["say: shell true → true true"]);
        assert_eq!(told("outputs = [\"x\"]", "outputs = [\"y\"]"), ["say: outputs x → y"]);
        assert_eq!(
            told("name = \"p\"", "name = \"p\"\ntags = [\"a\", \"b\"]\nthreads = 2"),
            ["pipeline: tags a, b (new)", "pipeline: threads 2 (new)"]
        );
        assert_eq!(told("dataset = \"s\"", "dataset = \"s\"\noverlays = 7"), ["evaluate (2 members): overlays 8 → 7"]);
    }

    #[test]
    fn members_of_a_sweep_that_change_together_are_one_line() {
        assert_eq!(
            told("source = \"s\"", "source = \"s\"\niterations = 3"),
            ["inter (2 members): iterations 120000 → 3"]
        );
        assert_eq!(told("seed = [1, 2]", "seed = [1, 2, 3]"), ["inter[seed=3] added", "evaluate[seed=3] added"]);
        let fewer = told("seed = [1, 2]", "seed = [2]");
        assert_eq!(fewer[0], "inter[seed=1] removed");
        let none = told("matrix = { seed = [1, 2] }", "seed = 4");
        assert!(
            none.contains(&"inter added".to_owned()) && none.contains(&"inter (2 members) removed".to_owned()),
            "{none:?}"
        );
    }

    #[test]
    fn networks_of_an_evaluation_are_one_key_and_their_models_are_told_by_their_trainings() {
        let other =
            "[stages.other]\nkind = \"inter-training\"\nmethod = \"source-only\"\nmodel = \"m\"\nsource = \"s\"\n";
        let of = |weights: &str, model: &str| {
            let text = TEXT.replace("weights = \"inter\"", &format!("weights = {weights}"));
            read(&(text.replace("arch = \"small\"", model) + other))
        };
        let told = |old: &Pipeline, new: &Pipeline| -> Vec<String> {
            between(old, new).iter().map(ToString::to_string).collect()
        };
        let (small, one) = ("arch = \"small\"", of("\"inter\"", "arch = \"small\""));
        let two = of("[\"inter\", \"other\"]", small);
        assert_eq!(told(&one, &two), ["evaluate (2 members): weights inter → inter, other"]);
        assert_eq!(told(&two, &one), ["evaluate (2 members): weights inter, other → inter"]);
        let single_level = told(&two, &of("[\"inter\", \"other\"]", "arch = \"small\"\nmulti_level = false"));
        let levels = "model.multi_level true → false";
        assert!(single_level.contains(&format!("inter (2 members): {levels}")), "{single_level:?}");
        assert!(single_level.contains(&format!("other: {levels}")), "{single_level:?}");
        assert!(!single_level.iter().any(|line| line.starts_with("evaluate")), "{single_level:?}");
    }

    #[test]
    fn stages_and_data_sets_come_and_go() {
        let say = "[stages.say]\nkind = \"command\"\nshell = \"true\"\noutputs = [\"x\"]\n";
        assert_eq!(told(say, ""), ["say removed"]);
        let forth = between(&read(&TEXT.replace(say, "")), &read(TEXT));
        assert_eq!(forth, [Change::told("say", "added")]);
    }
}
