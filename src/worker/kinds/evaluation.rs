//! `evaluation`: IoU of one or several trainings against the labels of a data set.
//!
//! One stage takes several, so that they are compared on the same images; `measure` measures each.

use std::collections::BTreeMap;

use intrada_ml::data::colour::overlay;
use intrada_ml::data::encode;
use intrada_ml::data::pass::Frame;
use intrada_ml::data::source::map_file;
use intrada_ml::entropy_inference::infer;
use intrada_ml::metrics::{Confusion, mean_iou};
use intrada_ml::network::Network;
use intrada_runner::kind::classes;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::summary;
use crate::measure::{self, Subject};
use crate::model::Model;
use crate::pictures::{self, Judged};
use crate::work::{Failure, Notes, Work};

#[derive(Deserialize)]
struct Parameters {
    overlays: u64,
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

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let Parameters { overlays } = work.parameters()?;
    let names = names(work);
    // Check all files first: an unusable one must not be reported after an hour of measuring the others.
    for name in names.iter().skip(1) {
        network(work, name)?;
    }
    let folder = work.output_folder("overlays")?;
    let colours: Vec<[u8; 3]> = work.job.classes.iter().map(|class| class.colour).collect();
    let mut metrics = BTreeMap::new();
    let mut judged: Vec<Judged> = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let (model, network) = network(work, name)?;
        let (confusion, images) = measure::confusion(work, subject(name, &model, network.as_ref()), 0, |seen| {
            if judged.len() as u64 == seen.index {
                judged.push(Judged { image: seen.frame.name.clone(), ..Judged::default() });
            }
            let image = &mut judged[seen.index as usize];
            image.miou.insert(name.clone(), mean_iou(seen.confusion.iou()));
            image.entropy.insert(name.clone(), mean_entropy(seen.frame, seen.logits));
            if pictures::is_shown(seen.index, seen.images, overlays) {
                let picture = overlay(&seen.frame.photograph, seen.prediction, &colours);
                encode::write(&folder.join(name).join(map_file(&seen.frame.name)?), &encode::rgb_png(&picture))?;
            }
            let (done, total) = (i as u64 * seen.images + seen.index + 1, names.len() as u64 * seen.images);
            work.progress(done, total, "images", Vec::new());
            Ok(())
        })?;
        metrics.insert(name.clone(), measured(work, &confusion, images));
    }
    std::fs::write(work.output("metrics.json")?, serde_json::to_string_pretty(&metrics)? + "\n")?;
    show(work, &names, &mut judged)?;
    let shown =
        |(name, measured): (&String, &Measured)| format!("{name} {:.1}", 100.0 * measured.miou.unwrap_or(f64::NAN));
    Ok(summary(format!("mIoU in %: {}", metrics.iter().map(shown).collect::<Vec<_>>().join(", "))))
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

fn subject<'a>(name: &'a str, model: &Model, network: &'a dyn Network) -> Subject<'a> {
    Subject { name, network, normalization: model.arch.normalization(), kind: Kind::Float }
}

/// The score that `entropy-inference` gives the image; none if the network has diverged.
fn mean_entropy(frame: &Frame, logits: &Tensor) -> Option<f32> {
    let inference = infer(&frame.name, logits, frame.seen_size(), &[]);
    inference.ok().map(|inference| inference.score.mean_entropy)
}

/// Writes the measurements image by image, and predicts the most informative images again to make pictures.
fn show(work: &Work, names: &[String], judged: &mut [Judged]) -> Result<(), Failure> {
    pictures::choose(judged);
    let lines: Vec<String> = judged.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    std::fs::write(work.output("images.jsonl")?, lines.join("\n") + "\n")?;
    let folder = work.output_folder("pictures")?;
    for name in names {
        let (model, network) = network(work, name)?;
        pictures::make(work, &folder, name, subject(name, &model, network.as_ref()), judged)?;
    }
    Ok(())
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
    use intrada_ml::data::raster::Rgb;
    use tch::{Device, Kind, Tensor};

    use super::{Frame, classes, mean_entropy, part_mious};

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

    #[test]
    fn a_network_that_has_diverged_has_no_entropy() {
        let tensor = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
        let (name, photograph) = ("a".to_owned(), Rgb::filled(6, 4, [0; 3]));
        let frame = Frame { name, input: tensor(&[1, 3, 4, 6]), photograph, label: None };
        let logits = tensor(&[1, 5, 2, 3]);
        assert_eq!(mean_entropy(&frame, &logits), Some(0.2), "undecided among five");
        let _ = logits.narrow(1, 2, 1).fill_(f64::NAN);
        assert_eq!(mean_entropy(&frame, &logits), None);
    }
}
