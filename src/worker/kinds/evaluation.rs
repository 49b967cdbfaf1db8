//! `evaluation`: IoU of one or several trainings against the labels of a data set.
//!
//! Predictions are brought to the size of the label, not the reverse (released code, `eval_UDA.py`).

use std::collections::BTreeMap;

use intrada_ml::data::colour::overlay;
use intrada_ml::data::encode;
use intrada_ml::data::source::{LabelUse, map_file};
use intrada_ml::entropy_inference::predict;
use intrada_ml::metrics::{Confusion, mean_iou};
use intrada_ml::network::Mode;
use serde::{Deserialize, Serialize};

use super::summary;
use crate::model::Model;
use crate::work::{Failure, Notes, Work};

#[derive(Deserialize)]
struct Parameters {
    overlays: u64,
}

/// What `metrics.json` holds for one model.
#[derive(Serialize)]
struct Measured {
    images: u64,
    miou: Option<f64>,
    iou: BTreeMap<String, Option<f64>>,
    confusion: Vec<Vec<i64>>,
}

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let Parameters { overlays } = work.parameters()?;
    let names: Vec<String> =
        work.job.inputs.keys().filter_map(|role| role.strip_prefix("weights.")).map(str::to_owned).collect();
    let folder = work.output_folder("overlays")?;
    let colours: Vec<[u8; 3]> = work.job.classes.iter().map(|class| class.colour).collect();
    let mut metrics = BTreeMap::new();
    for (i, name) in names.iter().enumerate() {
        let model: Model = work.parameters_below(&format!("model.{name}."), "model.")?;
        let network = model.trained(work, work.file(&format!("weights.{name}"))?)?;
        let classes = work.class_count()?;
        let pass = work.pass("dataset", &model.arch.normalization(), LabelUse::Required { classes })?;
        let images = pass.samples() as u64;
        let mut confusion = Confusion::new(classes);
        for (done, frame) in (0u64..).zip(pass) {
            let frame = frame?;
            let label = frame.label.as_ref().expect("labels are required");
            let logits = tch::no_grad(|| network.forward(&frame.input.to_device(work.device), Mode::Eval)).main;
            let prediction = predict(&logits, label.size());
            confusion.add(label.bytes(), prediction.bytes())?;
            if is_shown(done, images, overlays) {
                let picture = overlay(&frame.photograph, &prediction, &colours);
                encode::write(&folder.join(name).join(map_file(&frame.name)?), &encode::rgb_png(&picture))?;
            }
            work.progress(i as u64 * images + done + 1, names.len() as u64 * images, "images", Vec::new());
            if work.is_stopping() {
                return Err(Failure::Interrupted { at: 0 });
            }
        }
        metrics.insert(name.clone(), measured(work, &confusion, images));
    }
    std::fs::write(work.output("metrics.json")?, serde_json::to_string_pretty(&metrics)? + "\n")?;
    let shown =
        |(name, measured): (&String, &Measured)| format!("{name} {:.1}", 100.0 * measured.miou.unwrap_or(f64::NAN));
    Ok(summary(format!("mIoU in %: {}", metrics.iter().map(shown).collect::<Vec<_>>().join(", "))))
}

/// Evenly spread over the data set, so that pictures aren't all from its first street.
fn is_shown(index: u64, images: u64, overlays: u64) -> bool {
    let overlays = overlays.min(images);
    index * overlays / images != (index + 1) * overlays / images
}

fn measured(work: &Work, confusion: &Confusion, images: u64) -> Measured {
    let iou = confusion.iou();
    let names = work.job.classes.iter().map(|class| class.name.clone());
    Measured {
        images,
        miou: mean_iou(iou.iter().copied()),
        iou: names.zip(iou).collect(),
        confusion: confusion.rows().map(<[i64]>::to_vec).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_shown;

    #[test]
    fn as_many_overlays_are_shown_as_asked_for_and_never_more_than_images() {
        for (images, overlays, expected) in [(100, 8, 8), (3, 8, 3), (5, 0, 0), (7, 7, 7), (7, 3, 3)] {
            let shown = (0..images).filter(|index| is_shown(*index, images, overlays)).count();
            assert_eq!(shown, expected, "{overlays} of {images}");
        }
    }
}
