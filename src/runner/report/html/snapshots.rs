//! Snapshots: a training's predictions of the same images at several iterations.
//!
//! Knows the pictures that a training saves, and no losses. Shows only some of its images for lack of space: all of them,
//! with their entropies, are in TensorBoard's events.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use maud::{Markup, html};

use super::evaluation::IN_FULL;
use super::photographs::{Photographs, cell};
use super::picture::{Scale, element};
use super::workspace::Workspace;
use crate::digest::FileDigest;
use crate::kind::OutputRole;
use crate::measures::count;
use crate::pipeline::{Class, StageId};
use crate::results::map::Map;

/// Images per training.
const IMAGES: usize = 2;
/// The strips of more trainings than these are folded.
const OPEN: usize = 3;

/// The predictions of one training.
pub(super) struct Snapshots {
    training: String,
    /// Iterations done.
    moments: Vec<u64>,
    strips: Vec<Strip>,
}

/// One image.
struct Strip {
    image: String,
    /// The CSS class of its photograph's cells.
    photograph: Option<String>,
    /// One per snapshot.
    predictions: Vec<Option<Map>>,
}

/// Of the trainings with current results; of a large sweep the first.
pub(super) fn gather(workspace: &Workspace, photographs: &mut Photographs) -> Vec<Snapshots> {
    workspace.stages().filter_map(|(id, _)| snapshots(workspace, id, photographs)).take(IN_FULL).collect()
}

fn snapshots(workspace: &Workspace, id: StageId, photographs: &mut Photographs) -> Option<Snapshots> {
    let files: BTreeMap<PathBuf, FileDigest> = workspace.files(id, OutputRole::Snapshots).into_iter().collect();
    let predictions = files.keys().filter_map(|path| path.strip_prefix("prediction").ok());
    let moment = |path: &Path| path.iter().next()?.to_str()?.parse::<u64>().ok();
    let moments: BTreeSet<u64> = predictions.filter_map(moment).collect();
    let images = files.keys().filter_map(|path| path.strip_prefix("photograph").ok());
    let strip = |image: &Path| {
        let photograph = files.get(&Path::new("photograph").join(image));
        let prediction = |moment: &u64| {
            let path = Path::new("prediction").join(moment.to_string()).join(image.with_extension("png"));
            Some(Map::decode(&workspace.object(*files.get(&path)?)?)?.small())
        };
        Strip {
            image: image.with_extension("").display().to_string(),
            photograph: photograph.and_then(|photograph| photographs.class(workspace, *photograph)),
            predictions: moments.iter().map(prediction).collect(),
        }
    };
    let strips: Vec<Strip> = images.take(IMAGES).map(strip).collect();
    let training = workspace.pipeline.stage(id).name.clone();
    (!strips.is_empty() && !moments.is_empty()).then(|| Snapshots {
        training,
        moments: moments.into_iter().collect(),
        strips,
    })
}

/// One strip per image, below the curves; empty if no training saved any.
pub(super) fn render(all: &[Snapshots], classes: &[Class]) -> Markup {
    let scale = Scale::classes(classes);
    html! {
        @if !all.is_empty() { h3 { "How the predictions develop" } }
        @for snapshots in all {
            @let strips = table(snapshots, &scale);
            @if all.len() > OPEN {
                details.part { summary { h4 { (snapshots.training) } } (strips) }
            } @else {
                h4 { (snapshots.training) }
                (strips)
            }
        }
    }
}

fn table(snapshots: &Snapshots, scale: &Scale) -> Markup {
    html! {
        div.wide {
            table.pictures.snapshots {
                thead { tr { th { "iteration" } @for moment in &snapshots.moments { th { (count(*moment)) } } } }
                tbody { @for strip in &snapshots.strips { (row(snapshots, strip, scale)) } }
            }
        }
        "\n"
    }
}

fn row(snapshots: &Snapshots, Strip { image, photograph, predictions }: &Strip, scale: &Scale) -> Markup {
    let class = photograph.as_deref();
    let over = |(moment, map): (&u64, &Option<Map>)| {
        let about = format!("{} after {} iterations, {image}", snapshots.training, count(*moment));
        let picture = map.as_ref().map(|map| element(map, scale, &about));
        cell(class.filter(|_| picture.is_some()), picture, &about, "")
    };
    html! {
        tr data-name=(image) {
            td { (cell(class, None, &format!("photograph of {image}"), image)) }
            @for prediction in snapshots.moments.iter().zip(predictions) { td { (over(prediction)) } }
        }
        "\n"
    }
}
