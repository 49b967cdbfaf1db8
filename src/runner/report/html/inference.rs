//! The pictures of an entropy inference: for each image the photograph, the prediction and the entropy.
//!
//! Knows the folders of such a stage, looked up by image name. Ranking and pseudo-labels are shown with them.

use std::collections::HashMap;
use std::path::PathBuf;

use maud::{Markup, html};

use super::photographs::{Photographs, cell};
use super::picture::{Scale, element};
use super::workspace::Workspace;
use crate::digest::FileDigest;
use crate::kind::OutputRole;
use crate::pipeline::StageId;
use crate::results::image::map_file;
use crate::results::map::Map;

/// The folders of one stage: path, content.
#[derive(Default)]
pub(super) struct Inference {
    photographs: HashMap<PathBuf, FileDigest>,
    predictions: HashMap<PathBuf, FileDigest>,
    entropies: HashMap<PathBuf, FileDigest>,
}

/// One image's small pictures; each may be missing.
pub(super) struct Seen {
    /// Its name.
    pub(super) image: String,
    /// The CSS class of its photograph's cells.
    pub(super) photograph: Option<String>,
    /// Classes, overlaid on the photograph: the prediction, unless another map replaces it.
    pub(super) classes: Option<Map>,
    /// Its entropy.
    pub(super) entropy: Option<Map>,
}

impl Inference {
    /// Empty if there is no such stage.
    pub(super) fn of(workspace: &Workspace, stage: Option<StageId>) -> Inference {
        let Some(stage) = stage else { return Inference::default() };
        let files = |role| workspace.files(stage, role).into_iter().collect();
        Inference {
            photographs: files(OutputRole::Photographs),
            predictions: files(OutputRole::Predictions),
            entropies: files(OutputRole::EntropyMaps),
        }
    }

    /// One image.
    pub(super) fn seen(&self, workspace: &Workspace, image: &str, photographs: &mut Photographs) -> Seen {
        let file = map_file(image);
        let map =
            |files: &HashMap<PathBuf, FileDigest>| Some(Map::decode(&workspace.object(*files.get(&file)?)?)?.small());
        let photograph = self.photographs.get(&file.with_extension("jpg"));
        Seen {
            image: image.to_owned(),
            photograph: photograph.and_then(|photograph| photographs.class(workspace, *photograph)),
            classes: map(&self.predictions),
            entropy: map(&self.entropies).map(Map::coarse),
        }
    }
}

impl Seen {
    /// Photograph, classes and entropy, one above the other. `what` describes the classes.
    pub(super) fn column(&self, scale: &Scale, what: &str, below: &str) -> Markup {
        let (class, image) = (self.photograph.as_deref(), &self.image);
        let over = |map: Option<Map>, scale: &Scale, what: &str, below: Markup| {
            let about = format!("{what} of {image}");
            let picture = map.map(|map| element(&map, scale, &about));
            cell(class.filter(|_| picture.is_some()), picture, &about, below)
        };
        html! {
            div.column data-name=(image) {
                @if class.is_some() { (cell(class, None, &format!("photograph of {image}"), "")) }
                (over(self.classes.clone().map(Map::hatched), scale, what, html! {}))
                (over(self.entropy.clone(), &Scale::entropies(), "entropy", html! { (image) br; (below) }))
            }
        }
    }
}
