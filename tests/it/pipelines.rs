//! Pipelines that many tests start from, and the edits with which a test makes its own.
//!
//! A test shows only what differs: `training().adapted().set("stages.inter.iterations", 40)`. Files are edited line by line;
//! nothing here knows what a key means.

use std::ops::{Deref, Range};

use serde_json::Value;

/// The text of a pipeline file. Edited lines stay in their place.
#[derive(Clone)]
pub struct Pipeline(String);

const TRAINING: &str = r#"format = 1
[pipeline]
name = "p"
classes = "scenes-8"
threads = 1
[models.small]
arch = "small"
[stages.inter]
kind = "inter-training"
method = "source-only"
model = "small"
source = "source"
iterations = 2
"#;

const INFERENCE: &str = r#"[stages.entropy]
kind = "entropy-inference"
weights = "inter"
images = "target"
"#;

const RANKING: &str = r#"[stages.rank]
kind = "ranking"
scores = "entropy"
lambda = 0.5
[stages.pseudo]
kind = "pseudo-labelling"
predictions = "entropy"
images = "rank.easy"
"#;

const INTRA: &str = r#"[stages.intra]
kind = "intra-training"
method = "advent"
model = "small"
weights = "inter"
easy = "pseudo"
hard = "rank.hard"
iterations = 2
discriminator_width = 4
"#;

/// The stage `inter`: a training of the small network, without adaptation, on the scenes `source`.
pub fn training() -> Pipeline {
    Pipeline(TRAINING.to_owned()).scenes("source", "source", 1, 4)
}

/// The whole method, small enough for seconds: every kind but imports, on scenes of their default size.
pub fn method() -> Pipeline {
    let steps = "iterations = 4\nbatch = 2\noptimizer = \"adam\"\nlearning_rate = 2e-3\n";
    let pipeline = training().set("pipeline.seed", 1).adapted().ranked().intra().evaluated();
    let pipeline =
        ["source", "target", "test"].iter().fold(pipeline, |all, set| all.without(&format!("datasets.{set}.size")));
    let pipeline =
        pipeline.set("datasets.source.count", 6).set("datasets.target.count", 10).set("datasets.test.count", 4);
    let pipeline = pipeline.with("stages.inter", steps).set("stages.rank.lambda", 0.67).with("stages.intra", steps);
    pipeline.set("stages.evaluate.weights", ["inter", "intra"]).set("stages.evaluate.overlays", 2)
}

/// What a shell does until there is a file of this name.
pub fn until(file: &str) -> String {
    format!("until [ -e {file} ]; do sleep 0.01; done")
}

impl Pipeline {
    /// A file without stages.
    pub fn new() -> Pipeline {
        Pipeline("format = 1\n".to_owned())
    }

    /// With this name of the pipeline, which has none yet.
    pub fn named(self, name: &str) -> Pipeline {
        self.add(&format!("[pipeline]\nname = {}\n", toml(name)))
    }

    /// With a command as a stage: a line for the shell.
    pub fn command<const I: usize, const O: usize>(
        self,
        stage: &str,
        shell: &str,
        inputs: [&str; I],
        outputs: [&str; O],
    ) -> Pipeline {
        self.runs(stage, ("shell", shell.into()), &inputs, &outputs)
    }

    /// With a command as a stage: a program and its arguments.
    pub fn program<const I: usize, const O: usize>(
        self,
        stage: &str,
        command: &[&str],
        inputs: [&str; I],
        outputs: [&str; O],
    ) -> Pipeline {
        self.runs(stage, ("command", command.into()), &inputs, &outputs)
    }

    fn runs(self, stage: &str, what: (&str, Value), inputs: &[&str], outputs: &[&str]) -> Pipeline {
        let keys = [("kind", "command".into()), what, ("inputs", inputs.into()), ("outputs", outputs.into())];
        let lines = keys.map(|(key, value)| format!("{key} = {}\n", toml(value))).concat();
        self.add(&format!("[stages.{stage}]\n{lines}"))
    }

    /// With a data set of small scenes.
    pub fn scenes(self, name: &str, style: &str, seed: u32, count: u32) -> Pipeline {
        let lines = format!("style = \"{style}\"\nseed = {seed}\ncount = {count}\nsize = [64, 32]\n");
        self.dataset(name, &format!("format = \"scenes\"\n{lines}"))
    }

    /// With the folder of its name as a data set.
    pub fn folder(self, name: &str) -> Pipeline {
        self.dataset(name, &format!("format = \"folder\"\nroot = \"{name}\"\n"))
    }

    /// With a data set of these lines, in the place of the one of its name where there is one.
    pub fn dataset(mut self, name: &str, lines: &str) -> Pipeline {
        match self.lines_of(&format!("datasets.{name}")) {
            Some(place) => {
                self.0.replace_range(place, lines);
                self
            }
            None => self.add(&format!("[datasets.{name}]\n{lines}")),
        }
    }

    /// With these classes in the place of those of scenes.
    pub fn classes<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Pipeline {
        let classes = names.into_iter().map(|name| format!("[[classes]]\nname = {}\n", toml(name)));
        self.without("pipeline.classes").add(&classes.collect::<String>())
    }

    /// With `inter` adapting to the scenes `target` by AdvEnt.
    pub fn adapted(self) -> Pipeline {
        let lines = "method = \"advent\"\ntarget = \"target\"\ndiscriminator_width = 4\n";
        self.scenes("target", "target", 2, 4).with("stages.inter", lines)
    }

    /// With the inference of `inter` on the images of `target`.
    pub fn inferred(self) -> Pipeline {
        self.add(INFERENCE)
    }

    /// With that inference, the ranking of its images and the pseudo labels of the easy ones.
    pub fn ranked(self) -> Pipeline {
        self.inferred().add(RANKING)
    }

    /// With a training that goes on from `inter`, from the easy images to the hard ones.
    pub fn intra(self) -> Pipeline {
        self.add(INTRA)
    }

    /// With `inter` measured on the scenes `test`.
    pub fn evaluated(self) -> Pipeline {
        self.scenes("test", "target", 3, 2).evaluated_on("test")
    }

    /// With `inter` measured on a data set.
    pub fn evaluated_on(self, dataset: &str) -> Pipeline {
        let lines = format!("weights = \"inter\"\ndataset = \"{dataset}\"\noverlays = 0\n");
        self.add(&format!("[stages.evaluate]\nkind = \"evaluation\"\n{lines}"))
    }

    /// With these lines at its end.
    pub fn add(mut self, lines: &str) -> Pipeline {
        self.0.push_str(lines);
        self
    }

    /// With this value of a key: `set("stages.inter.iterations", 3)`.
    pub fn set(self, key: &str, value: impl Into<Value>) -> Pipeline {
        let (table, name) = key.rsplit_once('.').unwrap();
        self.with(table, &format!("{name} = {}", toml(value)))
    }

    /// With these lines in a table, each in the place of the one of its key, or last where that is new.
    pub fn with(mut self, table: &str, lines: &str) -> Pipeline {
        for line in lines.lines() {
            let (key, _) = line.split_once(" = ").unwrap();
            let place = self.line_of(table, key).unwrap_or_else(|| {
                let end = self.table(table).end;
                end..end
            });
            self.0.replace_range(place, &format!("{line}\n"));
        }
        self
    }

    /// Without this key, which it must have.
    pub fn without(mut self, key: &str) -> Pipeline {
        let (table, name) = key.rsplit_once('.').unwrap();
        let place = self.line_of(table, name).unwrap_or_else(|| panic!("no `{key}` in\n{}", self.0));
        self.0.replace_range(place, "");
        self
    }

    fn line_of(&self, table: &str, key: &str) -> Option<Range<usize>> {
        let place = self.table(table);
        let mut at = place.start;
        for line in self.0[place].split_inclusive('\n') {
            if line.split_once(" = ").is_some_and(|(name, _)| name == key) {
                return Some(at..at + line.len());
            }
            at += line.len();
        }
        None
    }

    fn table(&self, name: &str) -> Range<usize> {
        self.lines_of(name).unwrap_or_else(|| panic!("no [{name}] in\n{}", self.0))
    }

    /// Where the lines below the head of a table stand, if it is there.
    fn lines_of(&self, table: &str) -> Option<Range<usize>> {
        let head = format!("[{table}]\n");
        let start = self.0.find(&head)? + head.len();
        let lengths = self.0[start..].split_inclusive('\n').take_while(|line| !line.starts_with('[')).map(str::len);
        Some(start..start + lengths.sum::<usize>())
    }
}

/// A value as TOML: as JSON, but for the one character that JSON alone takes as it is.
pub fn toml(value: impl Into<Value>) -> String {
    value.into().to_string().replace('\u{7f}', "\\u007F")
}

impl Deref for Pipeline {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Pipeline {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<[u8]> for Pipeline {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}
