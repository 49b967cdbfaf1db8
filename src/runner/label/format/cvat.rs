//! CVAT's "Segmentation mask 1.1": an archive with colour-coded masks as in Pascal VOC, and `labelmap.txt`, which says what a
//! colour means.
//!
//! What CVAT exports has the same form, with `background` for pixels without a label, and maybe other colours; only
//! `labelmap.txt` of the export counts. A grey mask holds the places of labels in it.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use super::super::archive::{Archive, NewArchive};
use super::super::folder::{IMAGES, write};
use super::super::mask::{IGNORED, Mask, Painted};
use super::super::{Error, io_error};
use super::{Export, Format, Heard, Labels, Set};
use crate::plain;

/// The format.
pub(super) const FORMAT: Format = Format {
    name: "cvat",
    about: "CVAT, as Segmentation mask 1.1",
    write: write_archive,
    steps,
    recognizes: |export| matches!(export, Export::Archive(archive) if at(archive).is_some()),
    read,
};

/// The archive to import.
const ARCHIVE: &str = "cvat.zip";
/// The labels for a new project.
const PROJECT: &str = "cvat-labels.json";
/// Says what colours mean.
const LABELMAP: &str = "labelmap.txt";
/// Folder of the masks.
const MASKS: &str = "SegmentationClass/";
/// What CVAT calls pixels without a label, always black.
pub const BACKGROUND: &str = "background";

fn write_archive(set: &Set<'_>) -> Result<(), Error> {
    let path = set.folder.join(ARCHIVE);
    let made = |action| io_error(action, &path);
    if let Some(class) = set.classes().iter().find(|class| class.name.contains([':', '\n', '\r', '#'])) {
        return Err(Error::NoPlaceFor { name: class.name.clone(), format: FORMAT.name, others: "label-studio" });
    }
    let mut archive = NewArchive::new();
    archive.add(LABELMAP, labelmap(set).as_bytes()).map_err(made("write"))?;
    let list: String = set.images().iter().map(|image| format!("{}\n", image.stem())).collect();
    archive.add("ImageSets/Segmentation/default.txt", list.as_bytes()).map_err(made("write"))?;
    let colours: Vec<[u8; 3]> = set.classes().iter().map(|class| class.colour).collect();
    for image in set.images() {
        let photograph = set.folder.join(IMAGES).join(&image.file);
        let bytes = plain::read(&photograph).map_err(io_error("read", &photograph))?;
        archive.add(&format!("JPEGImages/{}", image.file), &bytes).map_err(made("write"))?;
        let mask = set.network(image)?.painted(&colours);
        archive.add(&format!("{MASKS}{}", image.mask()), &mask).map_err(made("write"))?;
    }
    write(&path, &archive.finish().map_err(made("write"))?)?;
    let labels: Vec<_> = set
        .classes()
        .iter()
        .map(|class| json!({"name": class.name, "color": hex(class.colour), "type": "mask", "attributes": []}))
        .collect();
    let text = serde_json::to_string_pretty(&labels).expect("labels are plain data") + "\n";
    write(&set.folder.join(PROJECT), text.as_bytes())
}

fn labelmap(set: &Set<'_>) -> String {
    let line = |name: &str, [red, green, blue]: [u8; 3]| format!("{name}:{red},{green},{blue}::\n");
    let own = set.classes().iter().map(|class| line(&class.name, class.colour));
    let is_own = set.classes().iter().any(|class| class.name == BACKGROUND);
    let background = if is_own { String::new() } else { line(BACKGROUND, [0; 3]) };
    format!("# label:color_rgb:parts:actions\n{background}{}", own.collect::<String>())
}

/// `#804080`.
pub(super) fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn steps(_: &Set<'_>) -> String {
    format!(
        "CVAT
1. Make a project; paste {PROJECT} into the tab \"Raw\" of its labels.
2. In the project: Actions, Import dataset, format \"Segmentation mask 1.1\",
   file {ARCHIVE}. This makes a task with images and masks.
   (Into a task that you made of images/ yourself: Menu, Upload annotations.)
3. Correct the masks. Leave a pixel without a label where you don't know it.
4. Actions, Export dataset, format \"Segmentation mask 1.1\".
"
    )
}

/// The folder of the labels in an archive: that of the label map, which somebody may have packed with its folder.
fn at(archive: &Archive) -> Option<String> {
    let folders = archive.names().iter().filter_map(|name| name.strip_suffix(LABELMAP));
    folders.filter(|at| at.is_empty() || at.ends_with('/')).min_by_key(|at| at.len()).map(str::to_owned)
}

/// A line of a label map.
struct Label {
    name: String,
    colour: [u8; 3],
}

fn read(export: &mut Export, set: &Set<'_>, heard: &mut Heard) {
    let Export::Archive(archive) = export else { return };
    let Some(at) = at(archive) else { return };
    let labels =
        match archive.read(&format!("{at}{LABELMAP}")).map_err(|error| error.to_string()).and_then(|text| parse(&text))
        {
            Ok(labels) => labels,
            Err(reason) => return heard.problems.push(format!("{at}{LABELMAP}: {reason}")),
        };
    let folder = format!("{at}{MASKS}");
    let masks: Vec<String> = archive.names().iter().filter(|name| name.starts_with(&folder)).cloned().collect();
    for place in masks {
        let Some(image) = set.image(place.strip_suffix(".png").unwrap_or(&place)) else {
            heard.foreign.push(place);
            continue;
        };
        let painted = archive.read(&place).map_err(|error| error.to_string()).and_then(|file| Painted::decode(&file));
        let mask = painted.and_then(|painted| values(&painted, &labels));
        match mask {
            Ok((mask, names)) => heard.labels.push(Labels { file: image.file.clone(), place, mask, names }),
            Err(reason) => heard.problems.push(format!("{place}: {reason}")),
        }
    }
}

/// The labels of a label map. Their colours differ.
fn parse(text: &[u8]) -> Result<Vec<Label>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut labels: Vec<Label> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // A label's name has no colon for CVAT either.
        let mut fields = line.split(':');
        let name = fields.next().unwrap_or_default().trim().to_owned();
        let numbers: Vec<Result<u8, _>> =
            fields.next().unwrap_or_default().split(',').map(|n| n.trim().parse()).collect();
        let [Ok(red), Ok(green), Ok(blue)] = numbers[..] else {
            return Err(format!("line {number}: expected name:red,green,blue:: and found `{line}`"));
        };
        let colour = [red, green, blue];
        if let Some(other) = labels.iter().find(|label| label.colour == colour) {
            return Err(format!(
                "line {number}: `{name}` has the colour of `{}`; change one in the project",
                other.name
            ));
        }
        labels.push(Label { name, colour });
    }
    if labels.is_empty() { Err("it has no label".to_owned()) } else { Ok(labels) }
}

/// Indices of names of a painted mask; of those labels alone that occur.
fn values(painted: &Painted, labels: &[Label]) -> Result<(Mask, Vec<String>), String> {
    let mut names: Vec<String> = Vec::new();
    // What a colour or a number is as a value; black without a label is CVAT's background.
    let mut value = |label: Option<&Label>| -> Result<u8, String> {
        let Some(label) = label else { return Ok(IGNORED) };
        let at = names.iter().position(|name| *name == label.name).unwrap_or(names.len());
        if at == names.len() {
            names.push(label.name.clone());
        }
        u8::try_from(at).ok().filter(|at| *at < IGNORED).ok_or_else(|| "it has more than 255 labels".to_owned())
    };
    let bytes: Vec<u8> = match painted {
        Painted::Colours { size, pixels } => {
            let mut known: HashMap<[u8; 3], u8> = HashMap::new();
            let mut strange: BTreeMap<[u8; 3], (usize, usize)> = BTreeMap::new();
            let mut bytes = Vec::with_capacity(pixels.len());
            for (place, colour) in pixels.iter().enumerate() {
                if let Some(value) = known.get(colour) {
                    bytes.push(*value);
                    continue;
                }
                let label = labels.iter().find(|label| label.colour == *colour);
                if label.is_none() && *colour != [0; 3] {
                    strange.entry(*colour).or_insert((place, 0)).1 += 1;
                    bytes.push(IGNORED);
                    continue;
                }
                let value = value(label)?;
                known.insert(*colour, value);
                bytes.push(value);
            }
            if let Some((colour, (place, pixels))) = strange.iter().max_by_key(|(_, (_, pixels))| *pixels) {
                let (x, y) = (place % size[0] as usize, place / size[0] as usize);
                let more = if strange.len() > 1 {
                    format!(", and {} other colours", strange.len() - 1)
                } else {
                    String::new()
                };
                return Err(format!(
                    "{pixels} pixels, the first at {x}, {y}, have the colour {colour:?}, which {LABELMAP} doesn't have{more}"
                ));
            }
            bytes
        }
        Painted::Numbers(mask) => {
            let mut known: [Option<u8>; 256] = [None; 256];
            let mut bytes = Vec::with_capacity(mask.bytes().len());
            for number in mask.bytes() {
                let number = usize::from(*number);
                let value = match known[number] {
                    Some(value) => value,
                    None => {
                        let label = labels.get(number);
                        if label.is_none() {
                            return Err(format!("it has the value {number}, and {LABELMAP} {} labels", labels.len()));
                        }
                        value(label)?
                    }
                };
                known[number] = Some(value);
                bytes.push(value);
            }
            bytes
        }
    };
    Ok((Mask::new(painted.size(), bytes), names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Vec<Label> {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_colour_means_what_the_label_map_of_the_export_says() {
        let labels =
            labels("# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:1,2,3::\ntree: 9, 9, 9 :leaf:\n");
        let painted = Painted::Colours { size: [4, 1], pixels: vec![[9; 3], [0; 3], [1, 2, 3], [9; 3]] };
        let (mask, names) = values(&painted, &labels).unwrap();
        assert_eq!(
            (mask.bytes(), &names[..]),
            (&[0, 1, 2, 0][..], &["tree", "background", "road"].map(String::from)[..])
        );
        let numbers = Painted::Numbers(Mask::new([2, 1], vec![2, 0]));
        assert_eq!(values(&numbers, &labels).unwrap().1, ["tree", "background"]);
        assert!(values(&Painted::Numbers(Mask::new([1, 1], vec![3])), &labels).unwrap_err().contains("the value 3"));
    }

    #[test]
    fn black_without_a_label_is_ignored_and_another_colour_is_told_with_its_place() {
        let labels = labels("road:1,2,3::\n");
        let black = Painted::Colours { size: [2, 1], pixels: vec![[0; 3], [1, 2, 3]] };
        assert_eq!(values(&black, &labels).unwrap().0.bytes(), [IGNORED, 0]);
        let strange = Painted::Colours { size: [2, 2], pixels: vec![[1, 2, 3], [1, 2, 3], [0; 3], [1, 2, 4]] };
        let told = values(&strange, &labels).unwrap_err();
        assert!(told.contains("1 pixels, the first at 1, 1, have the colour [1, 2, 4]"), "{told}");
    }

    #[test]
    fn a_label_map_that_means_nothing_is_refused() {
        let told = |text: &str| parse(text.as_bytes()).map(|_| ()).unwrap_err();
        assert!(told("road\n").contains("line 1: expected"));
        assert!(told("a:1,2,3::\n\nb:1,2,3::\n").contains("line 3: `b` has the colour of `a`"));
        assert!(told("a:1,2,300::\n").contains("expected"));
        assert!(told("# nothing\n").contains("no label"));
    }
}
