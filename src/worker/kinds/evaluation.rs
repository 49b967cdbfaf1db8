//! `evaluation`: IoU of one or several trainings against the labels of a data set.
//!
//! One stage takes several, so that they are compared on the same images; `measure` measures each. Works image by image: what
//! an earlier pass with the same weights has measured is reused. Only the sums and the pictures are made at the end.

use std::collections::BTreeMap;
use std::path::PathBuf;

use intrada_data::colour::overlay;
use intrada_data::encode;
use intrada_data::raster::Index;
use intrada_data::source::map_file;
use intrada_ml::data::pass::Frame;
use intrada_ml::metrics::{Confusion, mean_iou};
use intrada_ml::network::Network;
use intrada_runner::kind::classes;
use intrada_work::items::{ItemWriter, Output};
use intrada_work::kinds::summary;
use intrada_work::thumbnails::{self, Sheets, Thumbnail};
use intrada_work::{Failure, Notes, Work};
use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::device;
use crate::measure::{self, Entropy, Looking, ROLE, Subject};
use crate::model::Model;
use crate::pictures::{self, ClassPixels, Judged};
use crate::viewing::view;

#[derive(Deserialize)]
struct Parameters {
    overlays: u64,
    #[serde(default)]
    predictions: bool,
}

/// The entry of one model in `metrics.json`.
#[derive(Serialize)]
struct Measured {
    images: u64,
    miou: Option<f64>,
    /// Means over the subsets of classes that papers report: `miou_16`, `miou_13`.
    #[serde(flatten)]
    part_mious: BTreeMap<String, Option<f64>>,
    iou: BTreeMap<String, Option<f64>>,
    confusion: Vec<Vec<i64>>,
}

/// What is known of an image.
#[derive(Default, Serialize, Deserialize)]
struct Found {
    /// By network, what was measured.
    networks: BTreeMap<String, OfImage>,
    /// Since the first network has seen it: thumbnails of the photograph and of the label.
    thumbnails: Option<[Thumbnail; 2]>,
}

/// What was measured of one image with one network.
#[derive(Serialize, Deserialize)]
struct OfImage {
    /// See [`Confusion::cells`]. IoUs are computed from it again: a number in text may lose its last digit.
    cells: Vec<[i64; 3]>,
    entropy: Option<f32>,
    /// Of the prediction.
    thumbnail: Thumbnail,
}

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let Parameters { overlays, predictions } = work.parameters()?;
    let names = names(work);
    // Check all files first: an unusable one must not be reported after an hour of measuring the others.
    for name in names.iter().skip(1) {
        network(work, name)?;
    }
    let outputs: Vec<Output> = names.iter().filter(|_| predictions).map(|name| kept(name)).collect();
    let mut items = ItemWriter::begin(work, ROLE, &outputs)?;
    look_at(work, &names, &Wanted { overlays, predictions }, &mut items)?;
    if items.is_shard() {
        return Ok(summary(format!("{} measurements", items.handed_in())));
    }
    let known = items.known();
    let found = items.finish()?;
    lay_out(work, &names, &found)?;
    let (metrics, mut judged) = summed_up(work, &names, &found)?;
    std::fs::write(work.output("metrics.json")?, serde_json::to_string_pretty(&metrics)? + "\n")?;
    show(work, &names, overlays, &mut judged)?;
    let shown =
        |(name, measured): (&String, &Measured)| format!("{name} {:.1}", 100.0 * measured.miou.unwrap_or(f64::NAN));
    let reused = if known > 0 { format!(" ({known} of {} images reused)", found.len()) } else { String::new() };
    Ok(summary(format!("mIoU in %: {}{reused}", metrics.iter().map(shown).collect::<Vec<_>>().join(", "))))
}

/// What is wanted besides measurements.
struct Wanted {
    /// The number of images with overlays.
    overlays: u64,
    /// Whether all predictions are kept.
    predictions: bool,
}

/// The folder of a network's predictions of all images.
fn kept_in(name: &str) -> String {
    format!("predictions/{name}")
}

/// They have the classes' colours for viewing; a pixel's index is its class.
fn kept(name: &str) -> Output {
    Output { name: kept_in(name).into(), ending: "png" }
}

/// Measures each network on the images of which that isn't known. Overlays are drawn on the way.
fn look_at(work: &Work, names: &[String], wanted: &Wanted, items: &mut ItemWriter<Found>) -> Result<(), Failure> {
    let colours: Vec<[u8; 3]> = work.job.classes.iter().map(|class| class.colour).collect();
    let images = items.count() as u64;
    let rest: Vec<Vec<usize>> =
        names.iter().map(|name| items.lacking(|found| found.networks.contains_key(name))).collect();
    let (mut done, total) = (0, rest.iter().map(Vec::len).sum::<usize>() as u64);
    for (name, places) in names.iter().zip(rest).filter(|(_, places)| !places.is_empty()) {
        let (model, network) = network(work, name)?;
        let mut in_order = places.clone().into_iter();
        let looking = looking(work, name, &model, network.as_ref())?;
        measure::images(work, &looking, places, Entropy::Wanted, |seen| {
            let place = in_order.next().expect("a pass has the samples that it was opened with");
            let (cells, thumbnail) = (seen.confusion.cells().collect(), thumbnails::classes(seen.prediction));
            let of_image = OfImage { cells, entropy: seen.entropy, thumbnail };
            let kept = wanted.predictions.then(|| encode::palette_png(seen.prediction, &colours));
            let folder = kept_in(name);
            let files: Vec<(&str, Vec<u8>)> = kept.into_iter().map(|file| (folder.as_str(), file)).collect();
            items.add_part(place, &files, |found| {
                found.thumbnails.get_or_insert_with(|| of_frame(seen.frame));
                found.networks.insert(name.clone(), of_image);
                names.iter().all(|name| found.networks.contains_key(name))
            })?;
            if !items.is_shard() && pictures::is_shown(place as u64, images, wanted.overlays) {
                draw_overlay(work, name, seen.frame, seen.prediction)?;
            }
            done += 1;
            work.progress(done, total, "images", Vec::new());
            if work.is_stopping() { Err(Failure::Interrupted { at: items.handed_in() }) } else { Ok(()) }
        })?;
    }
    Ok(())
}

/// Thumbnails of the photograph and of the label.
fn of_frame(frame: &Frame) -> [Thumbnail; 2] {
    let label = frame.label.as_ref().expect("labels are required");
    [thumbnails::photograph(&frame.photograph, label.size()), thumbnails::classes(label)]
}

/// Writes the sheets of thumbnails.
fn lay_out(work: &Work, names: &[String], found: &[(String, Found)]) -> Result<(), Failure> {
    let of_all = |of: &dyn Fn(&'_ Found) -> Option<&'_ Thumbnail>| -> Result<Vec<&Thumbnail>, Failure> {
        let all: Option<Vec<_>> = found.iter().map(|(_, found)| of(found)).collect();
        all.ok_or_else(|| Failure::advised("an image has no thumbnail".to_owned(), "this is a mistake in the kind"))
    };
    let of_frame = |at: usize| of_all(&|found| found.thumbnails.as_ref().map(|both| &both[at]));
    let mut maps = vec![("truth".to_owned(), of_frame(1)?)];
    for name in names {
        maps.push((format!("prediction/{name}"), of_all(&|found| Some(&found.networks.get(name)?.thumbnail))?));
    }
    Sheets { photographs: of_frame(0)?, maps }.write(work)
}

/// What `metrics.json` and `images.jsonl` say.
fn summed_up(
    work: &Work,
    names: &[String],
    found: &[(String, Found)],
) -> Result<(BTreeMap<String, Measured>, Vec<Judged>), Failure> {
    let classes = work.class_count()?;
    let mut judged: Vec<Judged> =
        found.iter().map(|(image, _)| Judged { image: image.clone(), ..Judged::default() }).collect();
    let mut metrics = BTreeMap::new();
    for name in names {
        let mut all = Confusion::new(classes);
        for ((image, found), judged) in found.iter().zip(&mut judged) {
            let of_image =
                found.networks.get(name).and_then(|found| Some((Confusion::of_cells(classes, &found.cells)?, found)));
            let (confusion, OfImage { entropy, .. }) = of_image.ok_or_else(|| {
                let message = format!("nothing usable was found of `{image}` with `{name}`");
                Failure::advised(message, "this is a mistake in the kind")
            })?;
            judged.miou.insert(name.clone(), mean_iou(confusion.iou()));
            judged.entropy.insert(name.clone(), *entropy);
            judged.truth = confusion.labelled();
            let pixels = ClassPixels { intersection: confusion.correct(), prediction: confusion.predicted() };
            judged.counts.insert(name.clone(), pixels);
            all.merge(&confusion);
        }
        metrics.insert(name.clone(), measured(work, &all, found.len() as u64));
    }
    Ok((metrics, judged))
}

pub(super) fn try_weights(work: &Work) -> Result<(), Failure> {
    names(work).iter().try_for_each(|name| network(work, name).map(|_| ()))
}

/// The names of the networks to measure.
fn names(work: &Work) -> Vec<String> {
    work.job.inputs.keys().filter_map(|role| role.strip_prefix("weights.")).map(str::to_owned).collect()
}

fn network(work: &Work, name: &str) -> Result<(Model, Box<dyn Network>), Failure> {
    let model: Model = work.parameters_below(&format!("model.{name}."), "model.")?;
    let network = model.trained(work, &work.file(&format!("weights.{name}"))?)?;
    Ok((model, network))
}

/// The network as it looks at the images of this stage.
fn looking<'a>(work: &Work, name: &'a str, model: &Model, network: &'a dyn Network) -> Result<Looking<'a>, Failure> {
    let subject = Subject { name, network, normalization: model.arch.normalization(), kind: Kind::Float };
    Ok(subject.looking(device::of(&work.job), view(work)?))
}

/// Writes the measurements image by image, and predicts the most informative images again to make pictures.
fn show(work: &Work, names: &[String], overlays: u64, judged: &mut [Judged]) -> Result<(), Failure> {
    pictures::choose(judged);
    let lines: Vec<String> = judged.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    std::fs::write(work.output("images.jsonl")?, lines.join("\n") + "\n")?;
    let folder = work.output_folder("pictures")?;
    work.output_folder("overlays")?;
    for name in names {
        let (model, network) = network(work, name)?;
        let looking = looking(work, name, &model, network.as_ref())?;
        overlay_rest(work, name, &looking, overlays, judged)?;
        pictures::make(work, &folder, name, &looking, judged)?;
    }
    Ok(())
}

/// Draws the overlays of images that this job has not measured itself.
fn overlay_rest(work: &Work, name: &str, looking: &Looking, overlays: u64, judged: &[Judged]) -> Result<(), Failure> {
    let mut rest = Vec::new();
    let images = judged.len() as u64;
    for (place, judged) in judged.iter().enumerate() {
        let is_shown = pictures::is_shown(place as u64, images, overlays);
        if is_shown && !overlay_file(work, name, &judged.image)?.exists() {
            rest.push(place);
        }
    }
    if rest.is_empty() {
        return Ok(());
    }
    let draw = |seen: measure::Seen| draw_overlay(work, name, seen.frame, seen.prediction);
    measure::images(work, looking, rest, Entropy::Unwanted, draw)
}

fn draw_overlay(work: &Work, name: &str, frame: &Frame, prediction: &Index) -> Result<(), Failure> {
    let colours: Vec<[u8; 3]> = work.job.classes.iter().map(|class| class.colour).collect();
    let picture = overlay(&frame.photograph, prediction, &colours);
    Ok(encode::write(&overlay_file(work, name, &frame.name)?, &encode::rgb_png(&picture))?)
}

fn overlay_file(work: &Work, name: &str, image: &str) -> Result<PathBuf, Failure> {
    Ok(work.job.staging.join("overlays").join(name).join(map_file(image)?))
}

fn measured(work: &Work, confusion: &Confusion, images: u64) -> Measured {
    let iou = confusion.iou();
    let names: Vec<&str> = work.job.classes.iter().map(|class| class.name.as_str()).collect();
    Measured {
        images,
        miou: mean_iou(iou.iter().copied()),
        part_mious: part_mious(&names, &iou),
        iou: names.iter().map(|name| (*name).to_owned()).zip(iou).collect(),
        confusion: confusion.rows().map(<[i64]>::to_vec).collect(),
    }
}

/// A mean over some of a network's classes; none if the network has fewer outputs. Pixels predicted as an excluded class
/// still count against the classes that stay.
fn part_mious(names: &[&str], iou: &[Option<f64>]) -> BTreeMap<String, Option<f64>> {
    let mean = |set: &classes::ClassSet| {
        let is_in = |name: &str| set.classes.iter().any(|class| class.name == name);
        let part = names.iter().zip(iou).filter(|(name, _)| is_in(name)).map(|(_, iou)| *iou);
        (format!("miou_{}", set.classes.len()), mean_iou(part))
    };
    classes::parts(names).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::{classes, part_mious};

    #[test]
    fn the_means_over_16_and_13_classes_leave_out_what_synthia_lacks_and_what_is_rare() {
        let names: Vec<&str> = classes::find("cityscapes-19").unwrap().classes.iter().map(|class| class.name).collect();
        let iou_of = |name: &&str| match *name {
            "terrain" | "truck" | "train" => Some(0.0),
            "wall" | "fence" | "pole" => Some(0.25),
            "bus" => None,
            _ => Some(0.5),
        };
        let means = part_mious(&names, &names.iter().map(iou_of).collect::<Vec<_>>());
        assert_eq!(means["miou_16"], Some((12.0 * 0.5 + 3.0 * 0.25) / 15.0), "an undefined class is left out");
        assert_eq!(means["miou_13"], Some(0.5));
        assert_eq!(part_mious(&["sky", "pole"], &[Some(1.0), None]).len(), 0);
    }
}
