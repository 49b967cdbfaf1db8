//! Label Studio: tasks with the network's masks as predictions by brush, and the JSON export.
//!
//! Regions of a brush may overlap. The network's don't, so of two labels of a pixel the one that the network didn't give was
//! painted by a person, and counts; of two such ones the later in the export does. Other regions than those of a brush aren't
//! read.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Error;
use super::super::folder::{ChosenImage, IMAGES, write};
use super::super::mask::{IGNORED, Mask, pixels};
use super::cvat::hex;
use super::{Export, Format, Heard, Labels, Set, brush};
use crate::digest::Digest;
use crate::shell::word;

/// The format.
pub(super) const FORMAT: Format = Format {
    name: "label-studio",
    about: "Label Studio, with brush labels",
    write: write_tasks,
    steps,
    recognizes: |export| matches!(export, Export::Json(Value::Array(_))),
    read,
};

const TASKS: &str = "label-studio-tasks.json";
const CONFIG: &str = "label-studio-config.xml";
/// A pixel of a brush that is at least half opaque is inside: strokes have soft edges.
const OPAQUE: u8 = 128;

fn write_tasks(set: &Set<'_>) -> Result<(), Error> {
    let tasks: Vec<Value> = set.images().iter().map(|image| task(set, image)).collect::<Result<_, _>>()?;
    let text = serde_json::to_string(&tasks).expect("tasks are plain data") + "\n";
    write(&set.folder.join(TASKS), text.as_bytes())?;
    write(&set.folder.join(CONFIG), config(set).as_bytes())
}

fn task(set: &Set<'_>, image: &ChosenImage) -> Result<Value, Error> {
    let mask = set.network(image)?;
    let [width, height] = image.size;
    let occurs = |class: &usize| mask.bytes().iter().any(|value| usize::from(*value) == *class);
    let region = |class: usize| {
        let code = brush::encode(mask.bytes().iter().map(|value| usize::from(*value) == class));
        json!({
            "id": Digest::of(format!("{} {class}", image.file).as_bytes()).to_string()[..10],
            "type": "brushlabels", "from_name": "label", "to_name": "image", "image_rotation": 0,
            "original_width": width, "original_height": height,
            "value": {"format": "rle", "rle": code, "brushlabels": [set.classes()[class].name]},
        })
    };
    let regions: Vec<Value> = (0..set.classes().len()).filter(occurs).map(region).collect();
    Ok(json!({
        "data": {"image": format!("/data/local-files/?d={IMAGES}/{}", image.file), "file": image.file},
        "predictions": [{"model_version": set.description.asked.network, "result": regions}],
    }))
}

fn config(set: &Set<'_>) -> String {
    let mut text = "<View>\n  <Image name=\"image\" value=\"$image\" zoom=\"true\" zoomControl=\"true\"/>\n  \
                    <BrushLabels name=\"label\" toName=\"image\">\n"
        .to_owned();
    for class in set.classes() {
        let _ = writeln!(text, "    <Label value=\"{}\" background=\"{}\"/>", escaped(&class.name), hex(class.colour));
    }
    text + "  </BrushLabels>\n</View>\n"
}

/// As the value of an attribute of XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn steps(set: &Set<'_>) -> String {
    let folder = set.folder.display();
    // A shell would take a blank in it for the end of the value.
    let quoted = word(&set.folder.to_string_lossy()).into_owned();
    format!(
        "Label Studio
1. Start it so that it may show files of this folder:
   LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true \\
   LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={quoted} \\
   label-studio start
2. Make a project; paste {CONFIG} into the custom
   template of its labeling setup.
3. Settings, Cloud Storage, Add Source Storage, Local files, with the path
   {folder}/{IMAGES}. Save it, don't sync it.
4. Import {TASKS}. In Settings, Annotation, let the
   predictions be shown when a task is labelled.
5. Correct the masks and submit each task: what isn't submitted isn't read.
6. Export, format JSON.
"
    )
}

/// A task of the export, as far as it is needed.
#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    id: Value,
    data: BTreeMap<String, Value>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    was_cancelled: bool,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default)]
    result: Vec<Value>,
}

/// A region of a brush.
#[derive(Deserialize)]
struct Region {
    original_width: u32,
    original_height: u32,
    #[serde(default)]
    image_rotation: f64,
    value: Brush,
}

#[derive(Deserialize)]
struct Brush {
    rle: Vec<u8>,
    #[serde(alias = "labels")]
    brushlabels: Vec<String>,
}

fn read(export: &mut Export, set: &Set<'_>, heard: &mut Heard) {
    let Export::Json(Value::Array(tasks)) = export else { return };
    let mut overlaps = (0_usize, 0_u64);
    let mut waiting = Vec::new();
    for (place, task) in std::mem::take(tasks).into_iter().enumerate() {
        if task.get("annotations").is_none() {
            let text = "it has no `annotations`: export the project as JSON, not as JSON-MIN or another format";
            return heard.problems.push(format!("task {place}: {text}"));
        }
        let Task { id, data, annotations } = match serde_json::from_value(task) {
            Ok(task) => task,
            Err(error) => {
                heard.problems.push(format!("task {place}: {error}"));
                continue;
            }
        };
        let place = if id.is_null() { format!("task {place}") } else { format!("task {id}") };
        let Some(image) = image(set, &data) else {
            let shown = ["file", "image"].iter().find_map(|key| data.get(*key)?.as_str()).unwrap_or("no image");
            heard.foreign.push(format!("{place} ({shown})"));
            continue;
        };
        let mut submitted: Vec<Annotation> =
            annotations.into_iter().filter(|annotation| !annotation.was_cancelled).collect();
        // The times have one form, so they sort as text; of equal ones the last in the export.
        submitted.sort_by(|a, b| a.updated_at.cmp(&b.updated_at));
        if submitted.len() > 1 {
            heard.notes.push(format!(
                "{place}, {}: of {} annotations the last one is read",
                image.file,
                submitted.len()
            ));
        }
        let Some(annotation) = submitted.pop() else {
            waiting.push(image.file.clone());
            continue;
        };
        match labels(set, image, &annotation, &place, heard) {
            Ok((labels, overlapping)) => {
                overlaps.0 += usize::from(overlapping > 0);
                overlaps.1 += overlapping;
                heard.labels.push(labels);
            }
            Err(reason) => heard.problems.push(format!("{place}, {}: {reason}", image.file)),
        }
    }
    if overlaps.1 > 0 {
        let (images, pixels) = overlaps;
        heard.notes.push(format!(
            "{pixels} pixels of {images} images have two labels; what the network didn't say counts, else the later one"
        ));
    }
    if !waiting.is_empty() {
        heard.notes.push(format!("nobody has submitted {}", waiting.join(", ")));
    }
}

/// The image of a task: by the name that was written into it, else by its address.
fn image<'a>(set: &'a Set<'_>, data: &BTreeMap<String, Value>) -> Option<&'a ChosenImage> {
    let text = |key: &str| data.get(key).and_then(Value::as_str);
    let by_address = || {
        let file = text("image")?.rsplit(['/', '=']).next()?;
        // A file that was uploaded has eight digits and a line before its name.
        let uploaded = || {
            let (mark, rest) = file.split_once('-')?;
            (mark.len() == 8 && mark.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| set.image(rest))?
        };
        set.image(file).or_else(uploaded)
    };
    text("file").and_then(|file| set.image(file)).or_else(by_address)
}

/// The labels of an annotation, and the number of pixels that have two.
fn labels(
    set: &Set<'_>,
    image: &ChosenImage,
    annotation: &Annotation,
    place: &str,
    heard: &mut Heard,
) -> Result<(Labels, u64), String> {
    // The classes first, so that their indices are those of the network's mask.
    let mut names: Vec<String> = set.classes().iter().map(|class| class.name.clone()).collect();
    let network = set.network(image).map_err(|error| error.to_string())?;
    let mut composed = vec![IGNORED; pixels(image.size)];
    let mut overlapping = vec![false; composed.len()];
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for result in &annotation.result {
        let kind = result.get("type").and_then(Value::as_str).unwrap_or("no type");
        if result.pointer("/value/rle").is_none() {
            if kind.ends_with("labels") {
                return Err(format!("it has a region of type {kind}; only those of a brush are read"));
            }
            *others.entry(kind.to_owned()).or_default() += 1;
            continue;
        }
        let region: Region = serde_json::from_value(result.clone()).map_err(|error| error.to_string())?;
        let (value, region) = region_of(region, image, &mut names)?;
        for (at, _) in region.iter().enumerate().filter(|(_, opacity)| **opacity >= OPAQUE) {
            let before = composed[at];
            let said = network.bytes()[at];
            overlapping[at] |= before != IGNORED && before != value;
            let is_correction = before == IGNORED || value != said || before == said;
            if is_correction {
                composed[at] = value;
            }
        }
    }
    others.iter().for_each(|(kind, number)| {
        heard.notes.push(format!("{place}, {}: left out {number} results of type {kind}", image.file));
    });
    let labels =
        Labels { file: image.file.clone(), place: place.to_owned(), mask: Mask::new(image.size, composed), names };
    Ok((labels, overlapping.into_iter().filter(|both| *both).count() as u64))
}

/// The value of a region's label among `names`, to which a new one is added, and the opacity of its pixels.
fn region_of(region: Region, image: &ChosenImage, names: &mut Vec<String>) -> Result<(u8, Vec<u8>), String> {
    let size = [region.original_width, region.original_height];
    if size != image.size {
        return Err(format!("it has a region of an image of {size:?} pixels; this one has {:?}", image.size));
    }
    if region.image_rotation != 0.0 {
        return Err("the image was rotated in Label Studio; rotate it back there".to_owned());
    }
    let [name] = &region.value.brushlabels[..] else {
        return Err(format!("a region has {} labels in place of one", region.value.brushlabels.len()));
    };
    let at = names.iter().position(|other| other == name).unwrap_or(names.len());
    if at == names.len() {
        names.push(name.clone());
    }
    let value = u8::try_from(at).ok().filter(|value| *value < IGNORED).ok_or("it has more than 255 labels")?;
    Ok((value, brush::decode(&region.value.rle, pixels(size))?))
}

#[cfg(test)]
mod tests {
    use super::super::super::folder::{Asked, Description, LabelClass, NETWORK};
    use super::super::super::mixture::{Mixture, Rule};
    use super::*;
    use crate::digest::FileDigest;

    /// A folder with one image of four pixels in which the network saw these classes, of road, car and sky.
    fn folder(network: [u8; 4]) -> (tempfile::TempDir, Description) {
        let dir = tempfile::tempdir().unwrap();
        let by = Mixture::parse("random", Some(1)).unwrap();
        let (identity, not_in, formats) = Default::default();
        let asked = Asked { by, seed: 0, dataset: "target".into(), network: "intra".into(), identity, not_in, formats };
        let class = |name: &str| LabelClass { name: name.into(), colour: [1, 2, 3] };
        let mut description = Description::new(asked, ["road", "car", "sky & <sun>"].map(class).to_vec());
        description.images.push(ChosenImage {
            file: "a.png".into(),
            image: "town/a".into(),
            size: [4, 1],
            digest: FileDigest(Digest::of(b"")),
            length: 0,
            written: None,
            rule: Rule::Random,
            probability: Some(1.0),
            mean_entropy: 0.1,
            why: String::new(),
        });
        write(&dir.path().join(NETWORK).join("a.png"), &Mask::new([4, 1], network.to_vec()).png()).unwrap();
        (dir, description)
    }

    #[test]
    fn the_folder_is_one_word_of_the_command_that_starts_it() {
        let (_, description) = folder([0, 1, 0, 1]);
        let steps = |folder: &str| steps(&Set { folder: std::path::Path::new(folder), description: &description });
        assert!(steps("/my data/l").contains("LOCAL_FILES_DOCUMENT_ROOT='/my data/l' \\\n"), "{}", steps("/my data/l"));
        assert!(steps("/data/l").contains("LOCAL_FILES_DOCUMENT_ROOT=/data/l \\\n"));
    }

    fn region(name: &str, pixels: [bool; 4]) -> Value {
        let value = json!({"format": "rle", "rle": brush::encode(pixels.into_iter()), "brushlabels": [name]});
        json!({"type": "brushlabels", "original_width": 4, "original_height": 1, "image_rotation": 0, "value": value})
    }

    fn heard(network: [u8; 4], tasks: Value) -> Heard {
        let (dir, description) = folder(network);
        let set = Set { folder: dir.path(), description: &description };
        let mut heard = Heard::default();
        read(&mut Export::Json(tasks), &set, &mut heard);
        heard
    }

    fn one(result: Value) -> Value {
        json!([{"id": 7, "data": {"file": "a.png"}, "annotations": [{"result": result}]}])
    }

    #[test]
    fn of_two_labels_of_a_pixel_the_one_counts_that_the_network_did_not_give() {
        // The network says road, road, car, car; somebody has painted road over the first car, and car over the first road.
        let grown_road = region("road", [true, true, true, false]);
        let own_car = region("car", [false, false, true, true]);
        let new_car = region("car", [true, false, false, false]);
        for regions in [json!([grown_road, own_car, new_car]), json!([new_car, own_car, grown_road])] {
            let heard = heard([0, 0, 1, 1], one(regions));
            assert_eq!(heard.labels[0].mask.bytes(), [1, 0, 0, 1], "{:?}", heard.problems);
            assert!(heard.notes[0].starts_with("2 pixels of 1 images have two labels"), "{:?}", heard.notes);
        }
    }

    #[test]
    fn of_two_labels_that_the_network_did_not_give_the_later_counts_and_the_rest_stays_without() {
        let all = |name: &str| region(name, [true, false, false, false]);
        let heard = heard([2, 2, 2, 2], one(json!([all("road"), all("car"), all("dog")])));
        let Labels { mask, names, .. } = &heard.labels[0];
        assert_eq!((mask.bytes(), names[3].as_str()), (&[3, IGNORED, IGNORED, IGNORED][..], "dog"));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_task() {
        let told = |result: Value| heard([0; 4], one(result)).problems.concat();
        assert!(
            told(json!([{"type": "polygonlabels", "value": {"points": []}}]))
                .contains("task 7, a.png: it has a region of type polygonlabels")
        );
        let mut other = region("road", [true; 4]);
        other["original_width"] = json!(5);
        assert!(told(json!([other])).contains("of an image of [5, 1] pixels; this one has [4, 1]"));
        let mut turned = region("road", [true; 4]);
        turned["image_rotation"] = json!(90);
        assert!(told(json!([turned])).contains("rotated"));
        assert!(heard([0; 4], json!([{"image": "a.png", "label": []}])).problems[0].contains("JSON-MIN"));
    }

    #[test]
    fn an_image_is_found_by_its_name_its_address_and_the_name_of_its_upload() {
        let task = |data: Value| json!([{"data": data, "annotations": [{"result": [region("road", [true; 4])]}]}]);
        let addresses = ["/data/local-files/?d=images/a.png", "/data/upload/3/0123abcd-a.png", "s3://bucket/a.png"];
        for data in addresses.iter().map(|address| json!({"image": address})).chain([json!({"file": "a.png"})]) {
            assert_eq!(heard([0; 4], task(data.clone())).labels.len(), 1, "{data}");
        }
        assert_eq!(heard([0; 4], task(json!({"image": "b.png"}))).foreign, ["task 0 (b.png)"]);
    }

    #[test]
    fn only_what_was_submitted_is_read_and_of_several_the_last() {
        let annotation = |at: &str, name: &str, cancelled: bool| {
            let result = [region(name, [true; 4])];
            json!({"updated_at": at, "was_cancelled": cancelled, "result": result})
        };
        let many = json!([{"id": 1, "data": {"file": "a.png"}, "annotations": [
            annotation("2026-02-01T00:00:00Z", "car", false), annotation("2026-01-01T00:00:00Z", "road", false),
            annotation("2026-03-01T00:00:00Z", "road", true)]}]);
        let many = heard([0; 4], many);
        assert_eq!(many.labels[0].mask.bytes(), [1; 4]);
        assert!(many.notes[0].contains("of 2 annotations the last one"));
        let none =
            heard([0; 4], json!([{"data": {"file": "a.png"}, "annotations": [], "predictions": [{"result": []}]}]));
        assert!(none.labels.is_empty() && none.notes[0].contains("nobody has submitted a.png"));
    }

    #[test]
    fn the_tasks_hold_the_networks_regions_and_the_labels_are_escaped() {
        let (dir, description) = folder([0, 0, 2, 2]);
        let set = Set { folder: dir.path(), description: &description };
        write_tasks(&set).unwrap();
        let tasks: Value = serde_json::from_slice(&std::fs::read(dir.path().join(TASKS)).unwrap()).unwrap();
        let regions = tasks.pointer("/0/predictions/0/result").unwrap().clone();
        assert_eq!(regions.as_array().unwrap().len(), 2, "only classes that occur");
        assert_eq!(heard([0, 0, 2, 2], one(regions)).labels[0].mask.bytes(), [0, 0, 2, 2]);
        let config = std::fs::read_to_string(dir.path().join(CONFIG)).unwrap();
        assert!(config.contains("value=\"sky &amp; &lt;sun>\" background=\"#010203\""), "{config}");
    }
}
