//! `entropy-inference`: one pass over the target that gives scores, predictions and entropy maps.

use intrada_ml::data::source::LabelUse;
use intrada_ml::data::{encode, source};
use intrada_ml::entropy_inference::infer;
use intrada_ml::network::Mode;
use intrada_ml::rank::files::scores_csv;
use serde::Deserialize;

use super::summary;
use crate::model::Model;
use crate::work::{Failure, Notes, Work};

#[derive(Deserialize)]
struct Parameters {
    #[serde(flatten)]
    model: Model,
}

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let Parameters { model } = work.parameters()?;
    let network = model.trained(work, work.file("weights")?)?;
    let rare: Vec<u8> =
        (0..=255).zip(&work.job.classes).filter(|(_, class)| class.rare).map(|(index, _)| index).collect();
    let (predictions, entropy) = (work.output_folder("predictions")?, work.output_folder("entropy")?);
    let pass = work.pass("images", &model.arch.normalization(), LabelUse::Ignored)?;
    let total = pass.samples() as u64;
    let mut scores = Vec::new();
    for frame in pass {
        let frame = frame?;
        let logits = tch::no_grad(|| network.forward(&frame.input.to_device(work.device), Mode::Eval)).main;
        let [height, width] = [2, 3].map(|axis| frame.input.size()[axis] as usize);
        // At the size that the network sees, as the released code does: intra training reads images and labels at it.
        let found = infer(&frame.name, &logits, [width, height], &rare)?;
        let file = source::map_file(&frame.name)?;
        encode::write(&predictions.join(&file), &encode::grey_png(&found.prediction))?;
        encode::write(&entropy.join(&file), &encode::grey_png(&found.entropy))?;
        scores.push(found.score);
        work.progress(scores.len() as u64, total, "images", Vec::new());
        if work.is_stopping() {
            return Err(Failure::Interrupted { at: 0 });
        }
    }
    std::fs::write(work.output("scores.csv")?, scores_csv(&scores))?;
    Ok(summary(format!("{} images", scores.len())))
}
