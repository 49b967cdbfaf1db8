//! Corrected labels, from what a tool exports to a data set: grey PNGs of class indices beside the images, and lists of them.
//!
//! Knows no tool: a [`Format`](super::format::Format) reads the export. Labels are matched with classes by their names alone.
//! All is checked before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::folder::{ChosenImage, Description, LABELS, write};
use super::format::{self, BACKGROUND, Export, Heard, Labels, Set};
use super::mask::{IGNORED, Mask};
use super::mixture::Rule;
use super::{Error, io_error};
use crate::pipeline::chosen::{LABELLED, NOT_RANDOM, RANDOM};
use crate::plain;

/// What is wanted.
pub struct Wanted<'a> {
    /// What the tool exported: an archive, its folder, or a file.
    pub export: &'a Path,
    /// The folder of chosen images.
    pub folder: &'a Path,
    /// The names of the classes by index; `None`: those for which the images were chosen.
    pub classes: Option<Vec<String>>,
    /// Labels whose pixels get none.
    pub ignore: &'a [String],
    /// Whether labels that were read before may be replaced.
    pub overwrite: bool,
}

/// What was read.
#[derive(Debug, Default, PartialEq)]
pub struct Ended {
    /// The format, by its name.
    pub format: &'static str,
    /// Images whose labels were written.
    pub written: usize,
    /// Images whose labels were there already.
    pub same: usize,
    /// Images of the folder.
    pub images: usize,
    /// Those of them that have labels now.
    pub labelled: usize,
    /// Pixels of the masks that were read, also of those without any label.
    pub pixels: u64,
    /// Those of them without a class.
    pub ignored: u64,
    /// Of these, the ones that have a label which was to be ignored, by label.
    pub ignored_labels: BTreeMap<String, u64>,
    /// Images whose labels are what the network saw.
    pub unchanged: Vec<String>,
    /// Images without any labelled pixel, which are left without labels.
    pub empty: Vec<String>,
    /// Images without any labelled pixel whose earlier labels were removed.
    pub removed: Vec<String>,
    /// Images without any labelled pixel whose earlier labels stay, as they may not be replaced.
    pub kept: Vec<String>,
    /// Images of the export that weren't chosen.
    pub foreign: Vec<String>,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// Images drawn at random, and those of them that have labels.
    pub random: [usize; 2],
    /// The lists that were written.
    pub lists: Vec<(&'static str, usize)>,
    /// What the folder says about itself.
    pub description: Option<Description>,
}

/// Reads an export into the folder of the images.
///
/// # Errors
/// [`Error`]; nothing was written then, unless it is one of writing.
pub fn read(wanted: &Wanted<'_>) -> Result<Ended, Error> {
    let folder = std::path::absolute(wanted.folder).map_err(io_error("resolve", wanted.folder))?;
    let description = Description::of(&folder)?;
    let set = Set { folder: &folder, description: &description };
    let mut export = open(wanted.export)?;
    let Some(format) = format::ALL.iter().find(|format| (format.recognizes)(&export)) else {
        let problem = "it is neither what CVAT exports as Segmentation mask 1.1 (an archive with labelmap.txt) nor Label Studio's \
                       export as JSON";
        return Err(wrong(wanted, vec![problem.to_owned()]));
    };
    let mut heard = Heard::default();
    (format.read)(&mut export, &set, &mut heard);
    let own = description.classes.iter().map(|class| class.name.clone());
    let classes = wanted.classes.clone().unwrap_or_else(|| own.collect());
    let mut ended = Ended {
        format: format.name,
        images: set.images().len(),
        notes: std::mem::take(&mut heard.notes),
        ..Ended::default()
    };
    heard.problems.extend(twice(&heard.labels));
    let labels = translate(&set, &classes, wanted.ignore, &mut heard, &mut ended)?;
    if !heard.problems.is_empty() {
        return Err(wrong(wanted, heard.problems));
    }
    if labels.is_empty() && ended.empty.is_empty() {
        let none = if heard.foreign.is_empty() {
            "it holds no labels".to_owned()
        } else {
            format!("none of its images was chosen into {}: it holds {}", wanted.folder.display(), some(&heard.foreign))
        };
        return Err(wrong(wanted, vec![none]));
    }
    ended.foreign = heard.foreign;
    put(&folder, labels, wanted.overwrite, &mut ended)?;
    lists(&set, &mut ended)?;
    ended.description = Some(description);
    Ok(ended)
}

fn wrong(wanted: &Wanted<'_>, problems: Vec<String>) -> Error {
    Error::Export { path: wanted.export.to_owned(), problems }
}

fn open(path: &Path) -> Result<Export, Error> {
    if let Some(archive) = Archive::open(path).map_err(io_error("read", path))? {
        return Ok(Export::Archive(archive));
    }
    let text = plain::read(path).map_err(io_error("read", path))?;
    serde_json::from_slice(&text).map(Export::Json).map_err(|error| Error::Export {
        path: path.to_owned(),
        problems: vec![format!("it is neither an archive nor JSON: {error}")],
    })
}

/// Images that an export has more than once.
fn twice(labels: &[Labels]) -> Vec<String> {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for Labels { file, place, .. } in labels {
        match first.get(file.as_str()) {
            Some(before) => problems.push(format!("{place}: it labels {file}, and so does {before}")),
            None => _ = first.insert(file, place),
        }
    }
    problems
}

/// Labels by their names → class indices, as PNG files by image. Unknown labels are problems.
fn translate(
    set: &Set<'_>,
    classes: &[String],
    ignore: &[String],
    heard: &mut Heard,
    ended: &mut Ended,
) -> Result<BTreeMap<String, Mask>, Error> {
    let class = |name: &str| classes.iter().position(|class| class == name).and_then(|at| u8::try_from(at).ok());
    // Pixels, images, and the first place.
    let mut unknown: BTreeMap<String, (u64, usize, String)> = BTreeMap::new();
    let mut masks = BTreeMap::new();
    for labels in std::mem::take(&mut heard.labels) {
        let image = set.image(&labels.file).expect("a format gives the files of chosen images");
        if labels.mask.size() != image.size {
            let (is, [width, height]) = (labels.mask.size(), image.size);
            heard.problems.push(format!(
                "{}: it has {} × {} pixels, the image {} has {width} × {height}",
                labels.place, is[0], is[1], image.file
            ));
            continue;
        }
        let (pixels, _) = labels.pixels();
        let mut table = [IGNORED; 256];
        for ((value, name), pixels) in labels.names.iter().enumerate().zip(pixels).filter(|(_, pixels)| *pixels > 0) {
            if let Some(class) = class(name) {
                table[value] = class;
            } else if ignore.contains(name) {
                *ended.ignored_labels.entry(name.clone()).or_default() += pixels;
            } else if name != BACKGROUND {
                let first = || (0, 0, labels.place.clone());
                let so_far = unknown.entry(name.clone()).or_insert_with(first);
                so_far.0 += pixels;
                so_far.1 += 1;
            }
        }
        let bytes: Vec<u8> = labels.mask.bytes().iter().map(|value| table[usize::from(*value)]).collect();
        let mask = Mask::new(labels.mask.size(), bytes);
        ended.pixels += mask.bytes().len() as u64;
        ended.ignored += mask.bytes().iter().filter(|value| **value == IGNORED).count() as u64;
        if !mask.is_labelled() {
            ended.empty.push(labels.file);
            continue;
        }
        if set.network(image)? == mask {
            ended.unchanged.push(labels.file.clone());
        }
        masks.insert(labels.file, mask);
    }
    heard.problems.extend(unknown.into_iter().map(|(name, (pixels, images, place))| {
        let images = if images == 1 { String::new() } else { format!(" and {} more", images - 1) };
        format!(
            "{place}{images}: {pixels} pixels have the label `{name}`, which is no class ({}); rename it in the tool, or add \
             --ignore '{name}'",
            classes.join(", ")
        )
    }));
    Ok(masks)
}

/// Writes the labels that aren't there yet, and removes those of images that have become empty.
fn put(folder: &Path, labels: BTreeMap<String, Mask>, overwrite: bool, ended: &mut Ended) -> Result<(), Error> {
    let place = |file: &str| folder.join(LABELS).join(mask_of(file));
    let mut new = Vec::new();
    let mut others = Vec::new();
    for (file, mask) in labels {
        match before(&place(&file))? {
            Before::Nothing => new.push((file, mask)),
            Before::Labels(same) if same == mask => ended.same += 1,
            Before::Labels(_) | Before::SomethingElse => {
                others.push(file.clone());
                new.push((file, mask));
            }
        }
    }
    if !others.is_empty() && !overwrite {
        return Err(Error::Corrected { path: folder.join(LABELS), files: others });
    }
    new.iter().try_for_each(|(file, mask)| write(&place(file), &mask.png()))?;
    ended.written = new.len();
    for file in std::mem::take(&mut ended.empty) {
        // Without `overwrite` they stay: an export of a part of the images may hold the others empty.
        match before(&place(&file))? {
            Before::Nothing => ended.empty.push(file),
            Before::Labels(_) | Before::SomethingElse if overwrite => {
                plain::remove(&place(&file)).map_err(io_error("remove", &place(&file)))?;
                ended.removed.push(file);
            }
            Before::Labels(_) | Before::SomethingElse => ended.kept.push(file),
        }
    }
    Ok(())
}

enum Before {
    Nothing,
    Labels(Mask),
    SomethingElse,
}

fn before(path: &Path) -> Result<Before, Error> {
    match plain::read(path) {
        Ok(file) => Ok(Mask::decode(&file).map_or(Before::SomethingElse, Before::Labels)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Before::Nothing),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

/// The name of the mask of a file.
fn mask_of(file: &str) -> PathBuf {
    Path::new(file).with_extension("png")
}

/// Writes the lists of what has labels now. Of the random draw there is one only if it is complete: a part of it, say the
/// easy images, is no random sample.
fn lists(set: &Set<'_>, ended: &mut Ended) -> Result<(), Error> {
    let has: BTreeSet<&str> = set
        .images()
        .iter()
        .filter(|image| set.folder.join(LABELS).join(image.mask()).is_file())
        .map(|image| image.file.as_str())
        .collect();
    let is_random = |image: &&ChosenImage| image.rule == Rule::Random;
    let labelled = |image: &&ChosenImage| has.contains(image.file.as_str());
    let drawn: Vec<&ChosenImage> = set.images().iter().filter(is_random).collect();
    let random: Vec<&ChosenImage> = drawn.iter().copied().filter(labelled).collect();
    let others: Vec<&ChosenImage> = set.images().iter().filter(|image| labelled(image) && !is_random(image)).collect();
    ended.random = [drawn.len(), random.len()];
    ended.labelled = has.len();
    let all: Vec<&ChosenImage> = set.images().iter().filter(labelled).collect();
    let random = if random.len() == drawn.len() { random } else { Vec::new() };
    for (name, images) in [(LABELLED, all), (RANDOM, random), (NOT_RANDOM, others)] {
        let path = set.folder.join(name);
        if images.is_empty() {
            plain::remove(&path).map_err(io_error("remove", &path))?;
            continue;
        }
        let mut files: Vec<&str> = images.iter().map(|image| image.file.as_str()).collect();
        files.sort_unstable();
        write(&path, files.iter().map(|file| format!("{file}\n")).collect::<String>().as_bytes())?;
        ended.lists.push((name, files.len()));
    }
    Ok(())
}

impl Ended {
    /// How many images came back without any label.
    pub fn without_labels(&self) -> usize {
        self.empty.len() + self.removed.len() + self.kept.len()
    }
}

/// The problems of an export in words, each on its line.
pub(super) fn told(path: &Path, problems: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = problems.iter().take(SHOWN).cloned().collect();
    let more = if problems.len() > SHOWN { format!("; and {} more", problems.len() - SHOWN) } else { String::new() };
    format!("{}: {}{more}", path.display(), shown.join("; "))
}

/// The first names of several.
pub fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

/// The data set of these labels as a pipeline file has it, with one of the lists. `root`: the folder as the pipeline names it.
pub fn dataset(description: &Description, root: &str, name: &str, list: &str) -> String {
    let seen = description.seen;
    let word = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!(
        "[datasets.{name}]\nformat = \"folder\"\nroot = {}\nlist = {}\n",
        word(root),
        word(&format!("{root}/{list}"))
    );
    if let Some([width, height]) = seen.size {
        text += &format!("size = [{width}, {height}]\n");
        if !seen.scaling.is_usual() {
            let key = |value: serde_json::Value| value.to_string();
            let scaling = serde_json::to_value(seen.scaling).expect("a scaling is plain data");
            let usual =
                serde_json::to_value(crate::kind::dataset::Scaling::default()).expect("a scaling is plain data");
            for name in ["fit", "resize"].into_iter().filter(|name| scaling[name] != usual[name]) {
                text += &format!("{name} = {}\n", key(scaling[name].clone()));
            }
        }
    }
    text
}
