//! The pipeline that `init` writes: commented and ready to run.
//!
//! Reads no file: the caller passes what it found in the user's folders. Without folders it is the quickstart with another
//! head, so that there is only one such text, which is tested as its own file.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use toml::Value;

use crate::shown;

const QUICKSTART: &str = include_str!("../../../pipelines/quickstart.toml");

const HEAD: &str = "\
#:schema ./pipeline.schema.json
#
# Intra-domain adaptation on synthetic road scenes, ready to run. For your own images: intrada-run init --help
#
# Editors with TOML schema support complete and explain the keys, from the file in the first line.
";

/// A new pipeline on synthetic scenes.
pub static TEMPLATE: LazyLock<String> = LazyLock::new(|| {
    let start = QUICKSTART.find("format = 1").expect("the quickstart is a pipeline file");
    HEAD.to_owned() + &QUICKSTART[start..].replacen("name = \"quickstart\"", "name = \"mine\"", 1)
});

const OWN: &str = include_str!("template/own.toml");

/// Settings of all three trainings, with which the small network learns in minutes.
const TRAINING: &str = "\
iterations = 1000
schedule_iterations = 1000
batch = 4
optimizer = \"adam\"
learning_rate = 2e-3
head_factor = 1
betas = [0.9, 0.99]
flip = true
colour_jitter = 0.2";

const ADVERSARY: &str = "\
adversarial_weight = 0.01
adversarial_weight_aux = 0
discriminator_width = 16
discriminator_learning_rate = 1e-3";

const EVALUATE: &str = "
# 6. All three on the labelled target images.
[stages.evaluate]
kind = \"evaluation\"
weights = [\"source-only\", \"inter\", \"intra\"]
dataset = \"test\"";

const NO_EVALUATION: &str = "
# 6. Without labels: the confidence of the new network, and where its predictions differ.
[stages.entropy-after]
kind = \"entropy-inference\"
weights = \"intra\"
images = \"target\"

#    With some labelled target images that no training uses, its accuracy can be measured:
#
#     [datasets.test]
#     format = \"folder\"
#     root = \"…\"                    # with images/ and labels/
#
#     [stages.evaluate]
#     kind = \"evaluation\"
#     weights = [\"source-only\", \"inter\", \"intra\"]
#     dataset = \"test\"";

/// A pipeline on the user's folders. All paths are relative to the workspace root, or absolute.
#[derive(Clone, Debug)]
pub struct Own {
    /// The pipeline file, as named on a command line.
    pub file: String,
    /// The pipeline's name.
    pub name: String,
    /// The classes.
    pub classes: Classes,
    /// The labelled images.
    pub source: Images,
    /// The images without labels.
    pub target: Images,
    /// Labelled target images for evaluation.
    pub test: Option<Images>,
    /// Image size in training, `[width, height]` in pixels.
    pub size: [u32; 2],
}

/// The classes of [`Own`].
#[derive(Clone, Debug)]
pub enum Classes {
    /// A named set.
    Set(&'static str),
    /// These, in the order of their indices.
    Named(Vec<String>),
}

/// Images and, if any, their labels.
#[derive(Clone, Debug)]
pub struct Images {
    /// The folder of the images.
    pub images: PathBuf,
    /// That of the labels.
    pub labels: Option<PathBuf>,
    /// Label values to replace, as in the data set's `map`.
    pub map: Vec<(u8, u8)>,
    /// The condition under which that map is right, or its reason.
    pub why: String,
    /// Other likely maps, each with its condition.
    pub others: Vec<(String, Vec<(u8, u8)>)>,
}

/// A new pipeline on the user's folders. `None`: a path isn't UTF-8, which TOML requires.
pub fn own(own: &Own) -> Option<String> {
    let (set, classes) = match &own.classes {
        Classes::Set(name) => (format!("classes = {}\n\n", string(name)), String::new()),
        Classes::Named(names) => {
            let table = |name: &String| format!("[[classes]]\nname = {}\n\n", string(name));
            ("\n".to_owned(), names.iter().map(table).collect())
        }
    };
    let test = match &own.test {
        Some(test) => {
            format!("\n# Labelled target images for evaluation only.\n[datasets.test]\n{}\n", dataset(test, own.size)?)
        }
        None => String::new(),
    };
    let filled = [
        ("{{file}}", own.file.clone()),
        ("{{name}}", string(&own.name)),
        ("{{set}}\n", set),
        ("{{classes}}", classes),
        ("{{source}}", dataset(&own.source, own.size)?),
        ("{{target}}", dataset(&own.target, own.size)?),
        ("{{test}}", test),
        ("{{training}}", TRAINING.to_owned()),
        ("{{adversary}}", ADVERSARY.to_owned()),
        ("{{evaluate}}", if own.test.is_some() { EVALUATE } else { NO_EVALUATION }.to_owned()),
    ];
    Some(fill(OWN, &filled))
}

/// One pass, so that filled-in text is never read as a placeholder.
fn fill(text: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (name, value) =
            values.iter().find(|(name, _)| rest[start..].starts_with(name)).expect("the template's names are these");
        filled.push_str(&rest[..start]);
        filled.push_str(value);
        rest = &rest[start + name.len()..];
    }
    filled + rest
}

fn dataset(of: &Images, [width, height]: [u32; 2]) -> Option<String> {
    let root = match &of.labels {
        Some(labels) => common(&of.images, labels),
        None => of.images.parent().unwrap_or(Path::new("")).to_owned(),
    };
    let mut lines = vec!["format = \"folder\"".to_owned(), format!("root = {}", path(&root)?)];
    lines.push(format!("images = {}", path(of.images.strip_prefix(&root).ok()?)?));
    if let Some(labels) = &of.labels {
        lines.push(format!("labels = {}", path(labels.strip_prefix(&root).ok()?)?));
    }
    lines.push(format!("size = [{width}, {height}]"));
    if !of.map.is_empty() {
        lines.push(format!("{}   # {}", map(&of.map), shown::line(&of.why)));
        lines.extend(of.others.iter().map(|(when, other)| format!("# {}   # {}", map(other), shown::line(when))));
    }
    Some(lines.join("\n"))
}

fn map(map: &[(u8, u8)]) -> String {
    let pairs: Vec<String> = map.iter().map(|(from, to)| format!("{from} = {to}")).collect();
    format!("map = {{ {} }}", pairs.join(", "))
}

/// The deepest folder that contains both.
fn common(a: &Path, b: &Path) -> PathBuf {
    a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

fn path(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    Some(string(if text.is_empty() { "." } else { text }))
}

fn string(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, Format};
    use super::*;

    fn images(images: &str, labels: Option<&str>) -> Images {
        Images {
            images: images.into(),
            labels: labels.map(PathBuf::from),
            map: Vec::new(),
            why: String::new(),
            others: Vec::new(),
        }
    }

    fn some() -> Own {
        Own {
            file: "mine/pipeline.toml".into(),
            name: "mine".into(),
            classes: Classes::Named(vec!["road".into(), "a \"car\" {{name}}".into()]),
            source: Images {
                map: vec![(7, 255), (34, 255)],
                why: "if 7 is\nno \"car\"".to_owned(),
                others: vec![("if 34 is\nno \"car\"".to_owned(), vec![(34, 255)])],
                ..images("data/synth", Some("data/synth-labels"))
            },
            target: images("/photos of \"us\"", None),
            test: Some(images("test/images", Some("test/labels"))),
            size: [256, 128],
        }
    }

    #[test]
    fn what_is_written_for_own_folders_is_a_pipeline_that_names_them() {
        for test in [true, false] {
            let mut own_folders = some();
            own_folders.test = own_folders.test.filter(|_| test);
            let text = own(&own_folders).unwrap();
            let pipeline = Draft::parse(Path::new("x.toml"), Path::new("/root/"), text.clone(), &[], None).finish();
            let pipeline = pipeline.unwrap_or_else(|problems| panic!("{}", problems.render(super::super::Look::Plain)));
            assert_eq!(pipeline.classes[1].name, "a \"car\" {{name}}");
            assert_eq!(pipeline.find("evaluate").is_some(), test);
            assert_eq!(pipeline.datasets[0].map, [(7, 255), (34, 255)]);
            // The other one is there to be put in its place.
            assert!(text.contains("\n# map = { 34 = 255 }   # if 34 is"), "{text}");
            let folders = |dataset: &super::super::Dataset| match &dataset.format {
                Format::Folder { images, labels, .. } => (images.clone(), labels.clone()),
                _ => unreachable!("all are folders"),
            };
            assert_eq!(folders(&pipeline.datasets[0]), ("data/synth".into(), "data/synth-labels".into()));
            assert_eq!(folders(&pipeline.datasets[1]).0, Path::new("/photos of \"us\""));
        }
    }
}
