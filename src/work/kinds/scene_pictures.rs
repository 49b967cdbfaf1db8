//! What a command asks for that needs synthetic scenes as files: paints those of a data set, without their labels.
//!
//! Not a stage: nothing is cached. A file is complete once it has its name, and one that is there is not painted again.

use std::collections::HashSet;

use intrada_data::encode::rgb_png;
use intrada_data::scenes;
use intrada_runner::exec::job::Dataset;
use intrada_runner::exec::job::scenes::{IMAGES, file};

use super::summary;
use crate::datasets::scene_style;
use crate::work::{Failure, Notes, Work};

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let names: HashSet<String> = work.sample_names(IMAGES)?.into_iter().collect();
    let Some(Dataset::Scenes { style, seed, count, .. }) = work.job.datasets.get(IMAGES) else {
        return Err(Failure::advised(
            "the job paints no scenes",
            "build intrada-run and intrada-worker from the same sources",
        ));
    };
    let total = names.len() as u64;
    let wanted = (0..u64::from(*count)).filter(|index| names.contains(&scenes::name(*index)));
    for (done, index) in (1..).zip(wanted) {
        let path = work.job.staging.join(file(&scenes::name(index)));
        if !path.exists() {
            let (photograph, _) = scenes::scene(scene_style(style), *seed, index);
            let partial = work.job.slot.join("partial");
            std::fs::create_dir_all(&work.job.staging)?;
            std::fs::write(&partial, rgb_png(&photograph))?;
            std::fs::rename(&partial, &path)?;
        }
        work.progress(done, total, "scenes", Vec::new());
        if work.is_stopping() {
            return Err(Failure::Interrupted { at: done });
        }
    }
    Ok(summary(format!("{total} scenes")))
}
