//! `init`: writes a commented pipeline, for synthetic scenes or for the user's folders.
//!
//! Asks nothing and never overwrites. Reads the folders before it writes, so that the pipeline runs as it is.

use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{Answer, DONE, Refusal};
use crate::dataset::colours::colour;
use crate::dataset::labels::{self, LabelError};
use crate::dataset::meaning::{self, Labelling, Settled};
use crate::dataset::survey::{self, Survey, SurveyError};
use crate::kind::classes;
use crate::measures::{count, pixels};
use crate::pipeline::{self, template};
use crate::shell;

/// Maximum image width of a new pipeline.
const WIDTH: u32 = 256;

/// Write a commented pipeline to start from; never overwrites
#[derive(Args)]
#[command(after_help = "Without folders, the pipeline uses synthetic road scenes.

Examples:
  intrada-run init quickstart
  intrada-run init mine --source synth/images --labels synth/labels \\
      --target photos --classes road,car,person")]
pub(super) struct Init {
    /// The folder of the pipeline; created if missing
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Folder of the labelled source images
    #[arg(long, value_name = "DIR", requires_all = ["labels", "target", "classes"])]
    source: Option<PathBuf>,
    /// Folder of their labels: PNGs of the same names, an 8-bit class index per pixel
    #[arg(long, value_name = "DIR", requires = "source")]
    labels: Option<PathBuf>,
    /// Folder of the target images, which need no labels
    #[arg(long, value_name = "DIR", requires = "source")]
    target: Option<PathBuf>,
    /// Folder of target images for evaluation
    #[arg(long, value_name = "DIR", requires_all = ["source", "test_labels"])]
    test: Option<PathBuf>,
    /// Folder of their labels
    #[arg(long, value_name = "DIR", requires = "test")]
    test_labels: Option<PathBuf>,
    /// The classes in the order of their indices, or a set such as cityscapes-19
    #[arg(long, value_name = "NAMES", requires = "source")]
    classes: Option<String>,
}

impl Init {
    pub(super) fn answer(self) -> Answer {
        if self.dir.exists() && !self.dir.is_dir() {
            return Err(no_folder(&self.dir));
        }
        let pipeline = self.dir.join("pipeline.toml");
        if pipeline.exists() {
            return Err(is_there(&pipeline));
        }
        // Before anything is created: an invalid pipeline left behind would block the next `init`.
        let text = match (&self.source, &self.labels, &self.target) {
            (Some(source), Some(labels), Some(target)) => self.own(&pipeline, source, labels, target)?,
            _ => template::TEMPLATE.clone(),
        };
        std::fs::create_dir_all(&self.dir).map_err(|error| match error.kind() {
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => no_folder(&self.dir),
            _ => anyhow::Error::new(error).context(format!("failed to make {}", self.dir.display())).into(),
        })?;
        write_new(&pipeline, &text)?;
        // For editors; the pipeline's first line names it. An existing one is kept.
        let schema = self.dir.join("pipeline.schema.json");
        if !schema.exists() {
            write_new(&schema, &pipeline::schema::text())?;
        }
        talk!("wrote {}", pipeline.display());
        talk!("next  intrada-run {}", shell::word(&pipeline.to_string_lossy()));
        Ok(DONE)
    }

    /// The pipeline for the user's folders. Prints what it found in them.
    fn own(&self, pipeline: &Path, source: &Path, labels: &Path, target: &Path) -> Result<String, Refusal> {
        let classes = self.classes()?;
        let names: Vec<&str> = match &classes {
            template::Classes::Set(name) => {
                classes::find(name).map_or(&[][..], |set| set.classes).iter().map(|class| class.name).collect()
            }
            template::Classes::Named(names) => names.iter().map(String::as_str).collect(),
        };
        let root =
            pipeline::root_of(pipeline).map_err(|problem| Refusal::from(pipeline::Problems::without_text(problem)))?;
        let look = |name: &str, images: &Path, labels: Option<&Path>, of_source: (&[u8], &Settled)| {
            let survey = survey::survey(images, labels).map_err(|error| refusal(&error))?;
            talk!("  {name:<8}{}", described(&survey, labels.is_some()));
            let settled = match labels {
                Some(labels) => settled(&survey, &names, labels, of_source)?,
                None => Settled::Indices,
            };
            let (why, others) = (why(&settled, names.len()), others(&settled));
            if !why.is_empty() {
                talk!("          {why}: map = {}", meaning::shown(settled.map()));
            }
            for (when, map) in &others {
                talk!("          but {when}: map = {} (in the file as a comment)", meaning::shown(map));
            }
            let place = |path: &Path| placed(&root, path);
            let (images, labels) = (place(images)?, labels.map(place).transpose()?);
            let images = template::Images { images, labels, map: settled.map().to_vec(), why, others };
            Ok::<_, Refusal>((images, survey, settled))
        };
        let nothing = (&[][..], &Settled::Indices);
        let (source, seen, of_source) = look("source", source, Some(labels), nothing)?;
        let (target, ..) = look("target", target, None, nothing)?;
        let test = self.test.as_deref();
        let test =
            test.map(|test| look("test", test, self.test_labels.as_deref(), (&seen.values, &of_source))).transpose()?;
        if test.is_none() {
            talk!("  no evaluation, as --test and --test-labels are missing: see the end of the file");
        }
        let own = template::Own {
            file: pipeline.display().to_string(),
            name: self.name(),
            classes,
            source,
            target,
            test: test.map(|(images, ..)| images),
            size: fitted(seen.size.unwrap_or([WIDTH, WIDTH])),
        };
        template::own(&own).ok_or_else(|| Refusal::Usage("a folder's path isn't UTF-8, which TOML requires".to_owned()))
    }

    fn classes(&self) -> Result<template::Classes, Refusal> {
        let typed = self.classes.as_deref().unwrap_or_default();
        let names: Vec<&str> = typed.split(',').map(str::trim).collect();
        if let [name] = names[..] {
            return classes::find(name).map(|set| template::Classes::Set(set.name)).ok_or_else(|| {
                let sets = classes::NAMES.join(", ");
                Refusal::Usage(format!("--classes takes at least two names or one of the sets {sets}, not \"{name}\""))
            });
        }
        let mut seen = HashSet::new();
        if let Some(index) = names.iter().position(|name| name.is_empty() || !seen.insert(*name)) {
            let first = names.iter().position(|name| *name == names[index]).unwrap_or(index);
            let what = match names[index] {
                "" => format!("class {index} of --classes has no name"),
                name => format!("--classes names \"{name}\" twice, as classes {first} and {index}"),
            };
            return Err(Refusal::Usage(format!(
                "{what}\nhelp: name each class once, in the order of their indices, which start at 0"
            )));
        }
        Ok(template::Classes::Named(names.into_iter().map(str::to_owned).collect()))
    }

    /// The pipeline's name: the folder's, with other characters replaced by `-`.
    fn name(&self) -> String {
        let folder = std::path::absolute(&self.dir).ok();
        let folder = folder.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let letters =
            folder.unwrap_or_default().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        if letters == String::new() { "mine".to_owned() } else { letters }
    }
}

/// Why folders can't be used, and what to write instead for labels of colours.
fn refusal(error: &SurveyError) -> Refusal {
    let SurveyError::Label(LabelError::Colours { colours, .. }) = error else {
        return Refusal::Usage(error.to_string());
    };
    let some = colours.first.iter().take(4).map(|one| format!("\"{}\" = \"…\"", colour(one.colour)));
    let rest = if colours.first.len() > 4 { ", …" } else { "" };
    Refusal::Usage(format!(
        "{error}: `init` takes labels of indices; write a pipeline file whose data set names the class of each colour, \
         `palette = {{ {}{rest} }}` (docs/datasets.md)",
        some.collect::<Vec<_>>().join(", ")
    ))
}

/// What the values of labels mean, guessed from the values. `source`: the values of the source's labels and their meaning,
/// which is used here too if no other values occur or the source's map explains all of them.
fn settled(
    survey: &Survey,
    names: &[&str],
    labels: &Path,
    (known, source): (&[u8], &Settled),
) -> Result<Settled, Refusal> {
    let labelling = Labelling { values: &survey.values, classes: names, map: &[] };
    let as_source = Labelling { map: source.map(), ..labelling };
    let is_explained = as_source.strangers().is_empty() && as_source.absent().len() < names.len();
    let is_known = survey.values.iter().all(|value| known.contains(value));
    let own = labelling.settled();
    let likely = match (source, &own) {
        (Settled::Likely(..), _) if is_explained => source.clone(),
        (_, Settled::Likely(..)) if is_explained && is_known => source.clone(),
        _ => own,
    };
    if likely != Settled::Unclear {
        return Ok(likely);
    }
    Err(Refusal::Usage(format!(
        "{} holds labels with the values {}; none is an index of the {} classes (0 to {}), and their meaning can't be guessed: \
         write a pipeline file with a `map`, or labels that hold indices",
        labels.display(),
        labels::listed(&survey.values),
        names.len(),
        names.len().saturating_sub(1),
    )))
}

/// The condition under which the map is right, or the reason for it; empty without a map.
fn why(settled: &Settled, class_count: usize) -> String {
    match settled {
        Settled::Likely(reading, _) => reading.condition.clone(),
        Settled::Ignored(_) => format!("ignored, as there are {class_count} classes"),
        Settled::Indices | Settled::Unclear => String::new(),
    }
}

/// The other likely maps, each with its condition.
fn others(settled: &Settled) -> Vec<(String, Vec<(u8, u8)>)> {
    match settled {
        Settled::Likely(_, others) => others.iter().map(|other| (other.condition.clone(), other.map.clone())).collect(),
        Settled::Indices | Settled::Ignored(_) | Settled::Unclear => Vec::new(),
    }
}

/// "1,200 images, 1280 × 720, labels with values 0 1 2 255".
fn described(survey: &Survey, has_labels: bool) -> String {
    let mut parts = vec![format!("{} images", count(survey.images as u64))];
    parts.extend(survey.size.map(pixels));
    if has_labels {
        let of =
            if survey.read < survey.images { format!("in {} of the labels: ", survey.read) } else { String::new() };
        parts.push(format!("{of}values {}", labels::listed(&survey.values)));
    } else {
        parts.push("no labels are needed".to_owned());
    }
    parts.join(", ")
}

/// The stored size if it is at most [`WIDTH`] wide; else scaled to that width, both sides multiples of 8, as the networks
/// downsample by eight.
fn fitted([width, height]: [u32; 2]) -> [u32; 2] {
    if width <= WIDTH {
        return [width, height];
    }
    let to = WIDTH;
    let eighths = |pixels: f64| ((pixels / 8.0).round() as u32).max(1) * 8;
    [eighths(f64::from(to)), eighths(f64::from(height) * f64::from(to) / f64::from(width))]
}

/// The path as a pipeline of this root names it: relative if it is below the root or was typed as a relative path, so that the
/// workspace can be moved.
fn placed(root: &Path, typed: &Path) -> Result<PathBuf, Refusal> {
    let path = typed.canonicalize().with_context(|| format!("failed to find {}", typed.display()))?;
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    if let Ok(below) = path.strip_prefix(&root) {
        return Ok(below.to_owned());
    }
    let shared = path.components().zip(root.components()).take_while(|(one, other)| one == other).count();
    let up = root.components().skip(shared).map(|_| Component::ParentDir);
    let down: Vec<Component<'_>> = path.components().skip(shared).collect();
    // A folder above the root has no relative name.
    if typed.is_absolute() || down.is_empty() { Ok(path.clone()) } else { Ok(up.chain(down).collect()) }
}

fn write_new(path: &Path, text: &str) -> Result<(), Refusal> {
    let written = std::fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(is_there(path)),
        Err(error) => Err(anyhow::Error::new(error).context(format!("failed to write {}", path.display())).into()),
    }
}

fn no_folder(path: &Path) -> Refusal {
    Refusal::Usage(format!(
        "{} is a file or inside one, but init takes the folder of the new pipeline\nhelp: name a folder; `pipeline.toml` is created in it",
        path.display()
    ))
}

fn is_there(path: &Path) -> Refusal {
    Refusal::Usage(format!("{} exists already and is not overwritten", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_keeps_its_shape_and_fits_what_networks_halve_three_times() {
        assert_eq!(fitted([1280, 720]), [256, 144]);
        assert_eq!(fitted([2048, 1024]), [256, 128]);
        assert_eq!(fitted([240, 180]), [240, 180]);
        assert_eq!(fitted([4000, 1]), [256, 8]);
    }
}
