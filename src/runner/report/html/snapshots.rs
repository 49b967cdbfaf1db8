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
use crate::measures::{count, plural};
use crate::pipeline::{Class, StageId};
use crate::results::map::Map;

/// Images per training.
const IMAGES: usize = 2;

/// The trainings whose predictions are shown, and how many others have saved some.
pub(super) struct Developments {
    shown: Vec<Snapshots>,
    left_out: usize,
}

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
pub(super) fn gather(workspace: &Workspace, photographs: &mut Photographs) -> Developments {
    let mut all = Developments { shown: Vec::new(), left_out: 0 };
    for (id, _) in workspace.stages() {
        if all.shown.len() < IN_FULL {
            all.shown.extend(snapshots(workspace, id, photographs));
        } else if !workspace.files(id, OutputRole::Snapshots).is_empty() {
            all.left_out += 1;
        }
    }
    all
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

/// One strip per image, below the curves; empty if no training saved any. As of all parts, only the first is open.
pub(super) fn render(Developments { shown, left_out }: &Developments, classes: &[Class]) -> Markup {
    let scale = Scale::classes(classes);
    html! {
        @if !shown.is_empty() { h3 { "How the predictions develop" } }
        @for (at, snapshots) in shown.iter().enumerate() {
            @let strips = table(snapshots, &scale);
            @if shown.len() > 1 {
                details.part id={ "snapshots-" (at) } open[at == 0] { summary { h4 { (snapshots.training) } } (strips) }
            } @else {
                h4 { (snapshots.training) }
                (strips)
            }
        }
        @if *left_out > 0 {
            p.note {
                "Predictions are those of the first " (IN_FULL) " trainings; those of "
                (plural(*left_out, "further training")) " are left out. TensorBoard has them all."
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_training_is_open_and_the_page_says_how_many_are_left_out() {
        let html = |count: usize, left_out: usize| {
            let one = |at: usize| Snapshots { training: format!("t{at}"), moments: vec![1], strips: Vec::new() };
            render(&Developments { shown: (0..count).map(one).collect(), left_out }, &[]).into_string()
        };
        assert_eq!(html(0, 0), "");
        assert_eq!(html(1, 0).matches("<details").count(), 0);
        let many = html(IN_FULL, 4);
        assert_eq!((many.matches("<details").count(), many.matches(" open>").count()), (IN_FULL, 1));
        assert!(many.contains("those of 4 further trainings are left out") && !html(3, 0).contains("left out"));
    }
}
