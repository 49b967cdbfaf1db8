//! `pseudo-labelling`: predictions of the easy images become labels (IntraDA, eq. 5): all pixels, or the most confident
//! ones.

use std::path::{Path, PathBuf};

use intrada_data::decode;
use intrada_data::pseudo_label::{self, Keep};
use intrada_data::rank::files;
use intrada_data::source::map_file;
use intrada_runner::exec::job::Class;
use serde::Deserialize;

use super::summary;
use crate::thumbnails::{self, Sheets, Thumbnail};
use crate::work::{Failure, Notes, Work};

#[derive(Deserialize)]
struct Parameters {
    keep: Option<f64>,
}

/// Writes thumbnails of the labels, in the order of their paths.
fn lay_out(work: &Work, images: &[String], labels: &Path) -> Result<(), Failure> {
    let mut files: Vec<PathBuf> = images.iter().map(|image| map_file(image)).collect::<Result<_, _>>()?;
    files.sort();
    let thumbnail = |file: &PathBuf| Ok(thumbnails::classes(&decode::label(&labels.join(file))?));
    let all: Vec<Thumbnail> = files.iter().map(thumbnail).collect::<Result<_, Failure>>()?;
    Sheets { photographs: Vec::new(), maps: vec![("label".to_owned(), all.iter().collect())] }.write(work)
}

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let Parameters { keep } = work.parameters()?;
    let predictions = |file: &Path| work.file_of("predictions", file);
    let images = match work.output_of_stage("images").ok() {
        Some(list) => files::read_split(list)?,
        None => work.folder("predictions")?.keys().cloned().collect(),
    };
    let colours: Vec<[u8; 3]> = work.job.classes.iter().map(|class| class.colour).collect();
    let (labels, colour) = (work.output_folder("labels")?, work.output_folder("colour")?);
    let names = images.iter().map(String::as_str);
    let entropy = |file: &Path| work.file_of("entropy", file);
    let keep = match keep {
        None => None,
        Some(share) => Some(Keep::of(&predictions, &entropy, names.clone(), work.class_count()?, share)?),
    };
    let is_partial = keep.is_some();
    let histogram = pseudo_label::write(&predictions, names, keep, &colours, &labels, &colour)?;
    if is_partial {
        lay_out(work, &images, &labels)?;
    }
    let labelled = 100.0 * histogram.labelled();
    let mut notes = summary(format!("{} label maps, {labelled:.1} % of their pixels labelled", images.len()));
    let share = |(class, share): (&Class, f64)| format!("{} {:.2} %", class.name, 100.0 * share);
    let shares = work.job.classes.iter().zip(histogram.shares()).map(share);
    notes.insert("classes".to_owned(), shares.collect::<Vec<_>>().join(", "));
    Ok(notes)
}
