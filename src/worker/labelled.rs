//! The labelled side of a training: its data sets, and how their images are drawn.
//!
//! Class counts become the draws of rare class sampling; what is wrong with them is said before the first step.

use std::sync::Arc;

use intrada_data::class_counts::Statistics;
use intrada_data::rare::{self, RareClasses, TooRare};
use intrada_data::source::{Reader, Source};
use intrada_ml::data::loader::Part;
use intrada_runner::kind::training::{LABELLED, LEARNT_FROM};
use intrada_work::{Failure, Notes, Work};
use serde::Deserialize;

/// The keys of the labelled side.
#[derive(Clone, Deserialize)]
pub(crate) struct LabelledKeys {
    source_shares: Option<Vec<f64>>,
    labelled_share: Option<f64>,
    #[serde(flatten)]
    rare: RareKeys,
}

/// The data sets that a training learns from.
pub(crate) struct Labelled {
    sets: Vec<Set>,
}

struct Set {
    /// What the pipeline file calls it; `None`: pseudo-labels.
    name: Option<String>,
    source: Source,
    share: f64,
    rare: Option<Arc<RareClasses>>,
    /// Whether it is labelled images of the target domain.
    is_target: bool,
}

impl Labelled {
    /// The data sets `own`, and the one that the job names as `labelled`.
    ///
    /// # Errors
    /// Class counts don't fit them.
    pub(crate) fn new(work: &Work, own: Vec<Source>, keys: &LabelledKeys) -> Result<Labelled, Failure> {
        let few = work.job.datasets.contains_key(LABELLED).then(|| work.source(LABELLED)).transpose()?;
        let of_few = few.as_ref().map_or(0.0, |_| keys.labelled_share.unwrap_or(0.5));
        let count = own.len();
        let shares = keys.source_shares.clone().unwrap_or_else(|| vec![1.0; count]);
        let all: f64 = shares.iter().sum();
        let name = |role: &str| work.job.dataset_names.get(role).cloned();
        let role = |key: &str, place| if count == 1 { key.to_owned() } else { format!("{key}[{place}]") };
        let own = own.into_iter().zip(&shares).enumerate().map(|(place, (source, share))| Set {
            name: name(&role(LEARNT_FROM, place)),
            source,
            share: (1.0 - of_few) * share / all,
            rare: None,
            is_target: false,
        });
        let few = few.map(|source| Set { name: name(LABELLED), source, share: of_few, rare: None, is_target: true });
        let mut sets: Vec<Set> = own.chain(few).collect();
        for (place, set) in sets.iter_mut().enumerate() {
            set.rare = match counts_of(work, place) {
                Some(role) => keys.rare.classes(work, &set.source, &role)?,
                None => None,
            };
        }
        Ok(Labelled { sets })
    }

    /// The first of them.
    pub(crate) fn first(&self) -> &Source {
        &self.sets[0].source
    }

    /// As the loader takes them.
    pub(crate) fn parts(&self) -> Vec<Part<'_>> {
        let sets = self.sets.iter();
        sets.map(|set| Part { source: &set.source, share: set.share, rare: set.rare.clone() }).collect()
    }

    /// Adds to the notes of the training how often each class is drawn, and that labels of the target are read.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub(crate) fn note(&self, work: &Work, notes: &mut Notes) -> Result<(), Failure> {
        for set in &self.sets {
            let name = set.name.as_deref().unwrap_or("pseudo-labels");
            if let Some(rare) = &set.rare {
                let said = notes.entry("rare_classes".to_owned()).or_default();
                let drawn = drawn(work, rare);
                *said = match (said.is_empty(), self.sets.len()) {
                    (true, 1) => drawn,
                    (true, _) => format!("{name}: {drawn}"),
                    (false, _) => format!("{said}; {name}: {drawn}"),
                };
            }
            if set.is_target {
                let images = Reader::new(&set.source)?.len();
                let percent = 100.0 * set.share;
                let said = format!(
                    "learns from labels of {name} ({images} images): {percent:.0} % of the labelled images drawn"
                );
                notes.insert("target_labels".to_owned(), said);
            }
        }
        Ok(())
    }
}

/// The role of the class counts of the data set at this place.
fn counts_of(work: &Work, place: usize) -> Option<String> {
    let roles = [format!("class_counts[{place}]")].into_iter().chain((place == 0).then(|| "class_counts".to_owned()));
    roles.into_iter().find(|role| work.job.inputs.contains_key(role))
}

/// The keys of rare class sampling; those after the first are absent without it.
#[derive(Clone, Copy, Deserialize)]
struct RareKeys {
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
    fn classes(&self, work: &Work, source: &Source, role: &str) -> Result<Option<Arc<RareClasses>>, Failure> {
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

/// How often each class is drawn.
fn drawn(work: &Work, rare: &RareClasses) -> String {
    let classes = work.job.classes.iter().zip(rare.probabilities());
    let drawn: Vec<String> =
        classes.map(|(class, probability)| format!("{} {:.2} %", class.name, 100.0 * probability)).collect();
    drawn.join(", ")
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

    use intrada_data::class_counts::Counts;
    use intrada_runner::exec::job::{Class, Dataset, Input, Job};
    use serde_json::json;

    use super::*;
    use crate::testing::{begun, empty_job};

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
        begun(job)
    }

    fn classes(work: &Work, min_pixels: u64) -> Result<Option<Arc<RareClasses>>, String> {
        let keys = json!({ "rare_class_sampling": true, "rare_class_min_pixels": min_pixels });
        let keys: RareKeys = serde_json::from_value(keys).unwrap();
        keys.classes(work, &work.source("source").unwrap(), "class_counts").map_err(|failure| match failure {
            Failure::Failed { message, help, .. } => format!("{message}; {}", help.join("; ")),
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
    fn labelled_target_images_have_their_share_and_the_sources_share_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let scenes = |count| Dataset::Scenes {
            style: "source".into(),
            part: "all".into(),
            seed: 1,
            count,
            size: [32, 16],
            margins: Default::default(),
        };
        let sets = [("source[0]", 2), ("source[1]", 3), ("labelled", 1)];
        let datasets = sets.map(|(role, count)| (role.to_owned(), scenes(count))).into();
        let dataset_names = sets.map(|(role, _)| (role.to_owned(), format!("set {role}"))).into();
        let job = Job { datasets, dataset_names, ..empty_job(folder.path()) };
        let work = begun(job);
        let labelled = |keys| {
            let keys: LabelledKeys = serde_json::from_value(keys).unwrap();
            Labelled::new(&work, work.sources("source").unwrap(), &keys).unwrap()
        };
        let shares = |keys| labelled(keys).parts().iter().map(|part| part.share).collect::<Vec<f64>>();
        assert_eq!(shares(json!({})), [0.25, 0.25, 0.5]);
        assert_eq!(shares(json!({ "source_shares": [1.0, 3.0], "labelled_share": 0.2 })), [0.2, 0.8 * 3.0 / 4.0, 0.2]);
        let mut notes = Notes::new();
        labelled(json!({ "labelled_share": 0.2 })).note(&work, &mut notes).unwrap();
        assert_eq!(
            notes["target_labels"],
            "learns from labels of set labelled (1 images): 20 % of the labelled images drawn"
        );
    }

    #[test]
    fn an_image_that_was_not_counted_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let work = work(folder.path(), &[("scene-00000", [5000, 4000])]);
        let said = classes(&work, 3000).unwrap_err();
        assert!(said.contains("lack `scene-00001`"), "{said}");
    }
}
