//! `entropy-inference`: one pass over the target that computes scores, predictions, entropy maps, small photographs
//! and thumbnails.
//!
//! Works image by image: an image that an earlier pass with the same weights has processed is reused.

use std::borrow::Cow;

use intrada_data::encode::grey_png;
use intrada_data::rank::Score;
use intrada_data::rank::files::scores_csv;
use intrada_data::source::LabelUse;
use intrada_ml::data::pass::Photographs;
use intrada_ml::entropy_inference::{Inference, infer};
use intrada_ml::network::Network;
use intrada_work::datasets::Part;
use intrada_work::items::{ItemWriter, Output};
use intrada_work::kinds::summary;
use intrada_work::thumbnails::{self, Sheets, Thumbnail};
use intrada_work::{Failure, Notes, Work};
use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::device;
use crate::measure::Subject;
use crate::model::Model;
use crate::passes;
use crate::pictures::photograph;
use crate::viewing::view;

#[derive(Deserialize)]
struct Parameters {
    #[serde(flatten)]
    model: Model,
}

/// One file per image, in this order.
const OUTPUTS: &[Output] = &[
    Output { name: Cow::Borrowed("predictions"), ending: "png" },
    Output { name: Cow::Borrowed("entropy"), ending: "png" },
    Output { name: Cow::Borrowed("photographs"), ending: "jpg" },
];

/// What is known of an image besides its files.
#[derive(Serialize, Deserialize)]
struct Found {
    #[serde(flatten)]
    numbers: Numbers,
    /// Of the photograph, the prediction and the entropy map.
    thumbnails: [Thumbnail; 3],
}

/// An image's line in `scores.csv`, without its name.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Numbers {
    mean_entropy: f32,
    mean_entropy_eq4_nats: f32,
    predicted_rare_classes: u32,
}

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let Parameters { model } = work.parameters()?;
    let mut items = ItemWriter::begin(work, "images", OUTPUTS)?;
    let rest = items.rest();
    if !rest.is_empty() {
        look_at(work, &model, rest, &mut items)?;
    }
    if items.is_shard() {
        return Ok(summary(format!("{} images", items.handed_in())));
    }
    let known = items.known();
    let found = items.finish()?;
    let [photographs, predictions, entropies] =
        [0, 1, 2].map(|at| found.iter().map(|(_, found)| &found.thumbnails[at]).collect());
    let maps = vec![("prediction".to_owned(), predictions), ("entropy".to_owned(), entropies)];
    Sheets { photographs, maps }.write(work)?;
    let scores: Vec<Score> = found.into_iter().map(|(image, found)| found.numbers.score(image)).collect();
    std::fs::write(work.output("scores.csv")?, scores_csv(&scores))?;
    let reused = if known > 0 { format!(", {known} reused") } else { String::new() };
    Ok(summary(format!("{} images{reused}", scores.len())))
}

pub(super) fn try_weights(work: &Work) -> Result<(), Failure> {
    let Parameters { model } = work.parameters()?;
    network(work, &model).map(|_| ())
}

fn network(work: &Work, model: &Model) -> Result<Box<dyn Network>, Failure> {
    model.trained(work, &work.file("weights")?)
}

fn look_at(work: &Work, model: &Model, names: Vec<String>, items: &mut ItemWriter<Found>) -> Result<(), Failure> {
    let network = network(work, model)?;
    let (name, normalization) = (work.job.stage.as_str(), model.arch.normalization());
    let subject = Subject { name, network: network.as_ref(), normalization, kind: Kind::Float };
    let looking = subject.looking(device::of(&work.job), view(work)?);
    let rare: Vec<u8> =
        (0..=255).zip(&work.job.classes).filter(|(_, class)| class.rare).map(|(index, _)| index).collect();
    let total = names.len() as u64;
    let part = work.part("images", Part { names, labels: None })?;
    let pass = passes::over(&part, &normalization, LabelUse::Ignored, Photographs::AsStored)?;
    for (done, frame) in (1..).zip(pass) {
        let frame = frame?;
        // At the network's input size, as in the released code: intra training reads images and labels at this size.
        let size = frame.seen_size();
        let Inference { prediction, entropy, score, .. } = infer(&frame.name, &looking.at(&frame)?, size, &rare)?;
        let files = [grey_png(&prediction), grey_png(&entropy), photograph(&frame.photograph, size)];
        let thumbnails = [
            thumbnails::photograph(&frame.photograph, size),
            thumbnails::classes(&prediction),
            thumbnails::entropy(&entropy),
        ];
        items.add(&frame.name, &files, Found { numbers: Numbers::of(&score), thumbnails })?;
        work.progress(done, total, "images", Vec::new());
        if work.is_stopping() {
            return Err(Failure::Interrupted { at: items.handed_in() });
        }
    }
    Ok(())
}

impl Numbers {
    fn of(score: &Score) -> Numbers {
        let Score { mean_entropy, mean_entropy_eq4_nats, predicted_rare_classes, .. } = *score;
        Numbers { mean_entropy, mean_entropy_eq4_nats, predicted_rare_classes }
    }

    fn score(self, image: String) -> Score {
        let Numbers { mean_entropy, mean_entropy_eq4_nats, predicted_rare_classes } = self;
        Score { image, mean_entropy, mean_entropy_eq4_nats, predicted_rare_classes }
    }
}
