//! `pseudo-labelling`: the predictions of the easy images become labels (IntraDA, eq. 5).

use intrada_ml::pseudo_label;
use intrada_ml::rank::files;

use super::summary;
use crate::work::{Failure, Notes, Work};

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let predictions = work.linked_folder("predictions")?;
    let easy = files::read_split(work.file("images")?)?;
    let colours: Vec<[u8; 3]> = work.job.classes.iter().map(|class| class.colour).collect();
    let (labels, colour) = (work.output_folder("labels")?, work.output_folder("colour")?);
    pseudo_label::write(&predictions, easy.iter().map(String::as_str), &colours, &labels, &colour)?;
    Ok(summary(format!("{} label maps", easy.len())))
}
