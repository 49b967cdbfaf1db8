//! The labelled side of a training: how its images are drawn.
//!
//! Class counts become the draws of rare class sampling; what is wrong with them is said before the first step.

use std::sync::Arc;

use intrada_ml::data::class_counts::Statistics;
use intrada_ml::data::rare::{self, RareClasses, TooRare};
use intrada_ml::data::source::{Reader, Source};
use serde::Deserialize;

use crate::work::{Failure, Notes, Work};

/// The keys of rare class sampling; those after the first are absent without it.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct RareKeys {
    #[serde(default)]
    rare_class_sampling: bool,
    rare_class_temperature: Option<f64>,
    rare_class_min_pixels: Option<u64>,
    rare_class_crop_share: Option<f64>,
    rare_class_tries: Option<u32>,
}

impl RareKeys {
    /// The draws among the images of a data set, by the class counts of this role; `None` without rare class sampling.
    ///
    /// # Errors
    /// The counts lack an image, or a class has no image with enough of it.
    pub(crate) fn classes(
        &self,
        work: &Work,
        source: &Source,
        role: &str,
    ) -> Result<Option<Arc<RareClasses>>, Failure> {
        if !self.rare_class_sampling {
            return Ok(None);
        }
        let settings = rare::Settings {
            temperature: self.rare_class_temperature.unwrap_or(0.01),
            min_pixels: self.rare_class_min_pixels.unwrap_or(3000),
            crop_share: self.rare_class_crop_share.unwrap_or(0.5),
            tries: self.rare_class_tries.unwrap_or(10),
        };
        let statistics = Statistics::read(work.output_of_stage(role)?)?;
        if statistics.total.pixels.len() != usize::from(work.class_count()?) {
            return Err(Failure::advised(
                "the class counts are of other classes",
                "run the class-statistics stage again",
            ));
        }
        let counts = statistics.of_samples(&Reader::new(source)?).map_err(|image| {
            let message = format!("the class counts lack `{image}`, which the training learns from");
            Failure::advised(message, "counts and labels must be of the same images")
        })?;
        if counts.iter().all(|counts| counts.labelled() == 0) {
            return Err(Failure::advised("no label has a pixel of a class", "look at the labels"));
        }
        let rare = RareClasses::new(&counts, settings).map_err(|error| too_rare(work, &error, settings.min_pixels))?;
        Ok(Some(Arc::new(rare)))
    }
}

/// Adds how often each class is drawn to the notes of a training.
pub(crate) fn note(work: &Work, rare: &RareClasses, notes: &mut Notes) {
    let classes = work.job.classes.iter().zip(rare.probabilities());
    let drawn: Vec<String> =
        classes.map(|(class, probability)| format!("{} {:.2} %", class.name, 100.0 * probability)).collect();
    notes.insert("rare_classes".to_owned(), drawn.join(", "));
}

fn too_rare(work: &Work, TooRare { classes }: &TooRare, min_pixels: u64) -> Failure {
    let class = |(class, largest): &(usize, u64)| {
        let name = work.job.classes.get(*class).map_or("?", |class| class.name.as_str());
        format!("{name} (at most {largest})")
    };
    let named: Vec<String> = classes.iter().map(class).collect();
    let message = format!(
        "no image has more than rare_class_min_pixels = {min_pixels} pixels of these classes: {}",
        named.join(", ")
    );
    // Of each class, the image with most of it has to serve.
    let least = classes.iter().map(|(_, largest)| *largest).min().unwrap_or_default().saturating_sub(1);
    let help = format!(
        "lower `rare_class_min_pixels`: with {least} each class has an image; or map such a class to 255 in the data set"
    );
    Failure::advised(message, help)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use intrada_ml::data::class_counts::Counts;
    use intrada_runner::exec::job::{Class, Dataset, Input, Job};
    use serde_json::json;
    use tch::Device;

    use super::*;
    use crate::work::tests::empty_job;

    /// Two scenes, counted so.
    fn work(folder: &Path, images: &[(&str, [u64; 2])]) -> Work {
        let (style, part) = ("source".into(), "all".into());
        let scenes = Dataset::Scenes { style, part, seed: 1, count: 2, size: [32, 16], margins: Default::default() };
        let counts = |pixels: [u64; 2]| Counts { pixels: pixels.to_vec(), ignored: 0 };
        let images = images.iter().map(|(image, pixels)| ((*image).to_owned(), counts(*pixels))).collect();
        let file = folder.join("counts");
        std::fs::write(&file, Statistics::new(images, 2).text()).unwrap();
        let class = |name: &str| Class { name: name.into(), colour: [0; 3], rare: false, thing: false };
        let job = Job {
            datasets: [("source".to_owned(), scenes)].into(),
            inputs: [("class_counts".to_owned(), Input::File(file))].into(),
            classes: vec![class("road"), class("rider")],
            ..empty_job(folder)
        };
        Work::new(job, Device::Cpu, Arc::default())
    }

    fn classes(work: &Work, min_pixels: u64) -> Result<Option<Arc<RareClasses>>, String> {
        let keys = json!({ "rare_class_sampling": true, "rare_class_min_pixels": min_pixels });
        let keys: RareKeys = serde_json::from_value(keys).unwrap();
        keys.classes(work, &work.source("source").unwrap(), "class_counts").map_err(|failure| match failure {
            Failure::Failed { message, help } => format!("{message}; {}", help.join("; ")),
            Failure::Interrupted { .. } => panic!("nothing interrupts it"),
        })
    }

    #[test]
    fn classes_without_an_image_are_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let work = work(folder.path(), &[("scene-00000", [5000, 40]), ("scene-00001", [4000, 30])]);
        let said = classes(&work, 3000).unwrap_err();
        assert!(said.contains("rare_class_min_pixels = 3000 pixels of these classes: rider (at most 40);"), "{said}");
        assert!(said.contains("with 39 each class"), "{said}");
        assert!(classes(&work, 39).unwrap().is_some());
    }

    #[test]
    fn a_class_that_does_not_occur_needs_no_image() {
        let folder = tempfile::tempdir().unwrap();
        let work = work(folder.path(), &[("scene-00000", [5000, 0]), ("scene-00001", [4000, 0])]);
        let rare = classes(&work, 3000).unwrap().unwrap();
        assert_eq!(rare.probabilities(), [1.0, 0.0]);
    }

    #[test]
    fn an_image_that_was_not_counted_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let work = work(folder.path(), &[("scene-00000", [5000, 4000])]);
        let said = classes(&work, 3000).unwrap_err();
        assert!(said.contains("lack `scene-00001`"), "{said}");
    }
}
