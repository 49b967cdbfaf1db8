//! `intra-training`: from the easy part of the target, with its pseudo-labels, to the hard part. The same loop.

use intrada_ml::data::source;
use intrada_ml::rank;

use crate::data::Part;
use crate::training;
use crate::work::{Failure, Notes, Work};

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let labels = work.linked_folder("easy")?;
    let labelled = |name: &String| source::map_file(name).is_ok_and(|file| labels.join(file).exists());
    let names = work.sample_names("images")?;
    let easy: Vec<String> = names.iter().filter(|name| labelled(name)).cloned().collect();
    let all = work.folder("easy")?.len();
    if easy.len() != all {
        let message = format!("{all} images have pseudo-labels, but {} of the data set do", easy.len());
        return Err(Failure::advised(message, "pseudo-labels and images must come from the same data set"));
    }
    let easy = work.part("images", Part { names: easy, labels: Some(labels) })?;
    let hard = match work.output_of_stage("hard").ok() {
        Some(list) => Some(work.part("images", Part { names: rank::files::read_split(list)?, labels: None })?),
        None => None,
    };
    training::train(work, &easy, hard.as_ref())
}
