//! `pseudo-labelling`: the predictions of the easy images become labels (IntraDA, eq. 5), all of them or the surest part.

use intrada_ml::pseudo_label::{self, Keep};
use intrada_ml::rank::files;
use serde::Deserialize;

use super::summary;
use crate::work::{Failure, Notes, Work};

#[derive(Deserialize)]
struct Parameters {
    keep: Option<f64>,
}

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let Parameters { keep } = work.parameters()?;
    let predictions = work.linked_folder("predictions")?;
    let easy = files::read_split(work.file("images")?)?;
    let colours: Vec<[u8; 3]> = work.job.classes.iter().map(|class| class.colour).collect();
    let (labels, colour) = (work.output_folder("labels")?, work.output_folder("colour")?);
    let names = easy.iter().map(String::as_str);
    let keep = match keep {
        None => None,
        Some(share) => {
            let entropy = work.linked_folder("entropy")?;
            Some(Keep::of(&predictions, &entropy, names.clone(), work.class_count()?, share)?)
        }
    };
    let labelled = pseudo_label::write(&predictions, names, keep.as_ref(), &colours, &labels, &colour)?;
    Ok(summary(format!("{} label maps, {:.1} % of their pixels labelled", easy.len(), 100.0 * labelled)))
}
