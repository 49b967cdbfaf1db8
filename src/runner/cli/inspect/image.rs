//! `inspect --image`: what the results of a pipeline hold about one image.
//!
//! Finds the tables and maps of all stages on the same data set; `results::image` reads them. Other data sets are skipped, as
//! they may have another image of the same name.

use super::super::Refusal;
use crate::digest::FileDigest;
use crate::kind::OutputRole;
use crate::pipeline::{InputSource, Stage, StageId, nearest};
use crate::results::image;
use crate::sched::session::Session;
use crate::shown;
use crate::store::Kind;
use crate::store::index::PlacedOutput;

/// Outputs with data per image, each with the input that leads to the images.
const LOOKS: &[(OutputRole, &str)] = &[
    (OutputRole::Scores, "images"),
    (OutputRole::RankingTable, "scores"),
    (OutputRole::Labels, "predictions"),
    (OutputRole::ImageScores, "dataset"),
];
/// Output folders with one file per image: description and file extension.
const FOLDERS: &[(OutputRole, &str, &str)] = &[
    (OutputRole::Photographs, "the image, small", "jpg"),
    (OutputRole::EntropyMaps, "entropy of each pixel", "png"),
    (OutputRole::Predictions, "predicted class of each pixel", "png"),
    (OutputRole::Labels, "pseudo-labels", "png"),
];
/// Number of names listed if several fit.
const SHOWN: usize = 8;

/// Describes the image of this name, or the only one whose name contains it.
pub(super) fn known(session: &Session, id: StageId, typed: &str) -> Result<String, Refusal> {
    let stage = session.pipeline.stage(id);
    let stages = || session.graph.order().iter().map(|id| session.pipeline.stage(*id));
    let Some(dataset) = dataset(session, stage) else {
        let looking = stages().filter(|stage| dataset(session, stage).is_some()).map(|stage| stage.name.as_str());
        let looking = looking.take(SHOWN).collect::<Vec<_>>().join(", ");
        let kind = stage.kind.name;
        return Err(Refusal::Usage(format!(
            "`{}` is of kind {kind}, which has no data per image; name one of {looking}",
            stage.name
        )));
    };
    let related = || stages().filter(|other| self::dataset(session, other) == Some(dataset));
    let name = name(session, related(), typed)
        .map_err(|text| Refusal::Usage(format!("no result on {dataset} names an image `{typed}`{text}")))?;
    let width = related().map(|stage| shown::width(&stage.name)).max().unwrap_or(0);
    let mut text = format!("{} of {dataset}\n", shown::line(&name));
    for stage in related() {
        let mut head = stage.name.as_str();
        for line in lines(session, stage, &name) {
            text += &format!("  {}  {}\n", shown::left(head, width), shown::line(&line));
            head = "";
        }
    }
    Ok(text)
}

/// The data set whose images a stage reads, directly or through another stage.
fn dataset<'a>(session: &'a Session, stage: &Stage) -> Option<&'a str> {
    let (_, role) = LOOKS.iter().find(|(role, _)| stage.outputs.iter().any(|output| output.role == *role))?;
    match stage.input(role)?.from {
        InputSource::Dataset { dataset, .. } => Some(&session.pipeline.dataset(dataset).name),
        InputSource::Output { output, .. } => self::dataset(session, session.pipeline.stage(output.stage)),
        InputSource::Path { .. } => None,
    }
}

/// The image of this name; else the names that are near or contain it.
fn name<'a>(session: &Session, stages: impl Iterator<Item = &'a Stage>, typed: &str) -> Result<String, String> {
    let tables =
        stages.flat_map(|stage| LOOKS.iter().filter_map(|(role, _)| Some((*role, table(session, stage, *role)?))));
    let mut names: Vec<String> = tables.flat_map(|(role, table)| image::names(role, &table)).collect();
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| name == typed) {
        return Ok(typed.to_owned());
    }
    let mut fitting = names.iter().filter(|name| name.contains(typed)).cloned().collect::<Vec<_>>();
    match fitting.len() {
        0 if names.is_empty() => Err(": there are no results yet; run the pipeline first".to_owned()),
        0 => {
            let near = nearest(typed, names.iter().map(String::as_str));
            Err(near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())
        }
        1 => Ok(fitting.remove(0)),
        several => {
            fitting.truncate(SHOWN);
            fitting.iter_mut().for_each(|name| *name = shown::cut(name, 80));
            let more = if several > SHOWN { ", …" } else { "" };
            Err(format!("; {several} names contain it: {}{more}", fitting.join(", ")))
        }
    }
}

/// What one stage's results hold about it; paths are relative to the workspace's root, as in all of `inspect`.
fn lines(session: &Session, stage: &Stage, name: &str) -> Vec<String> {
    let told = |(role, _): &(OutputRole, &str)| image::describe(*role, &table(session, stage, *role)?, name);
    let mut lines: Vec<String> = LOOKS.iter().filter_map(told).collect();
    for (role, what, ending) in FOLDERS {
        let Some(placed) = placed(session, stage, *role) else { continue };
        let files = session.store.files_of(placed.artifact.object).unwrap_or_default();
        let place = image::map_file(name).with_extension(ending);
        let Some((path, object)) = files.iter().find(|(path, _)| *path == place) else { continue };
        if *role == OutputRole::Labels {
            let shares = read(session, *object).and_then(|map| image::shares(&map, &session.pipeline.classes));
            lines.extend(shares);
        }
        lines.push(format!("{what}: {}", placed.path.join(path).display()));
    }
    lines
}

fn table(session: &Session, stage: &Stage, role: OutputRole) -> Option<String> {
    let placed = placed(session, stage, role).filter(|placed| placed.artifact.kind != Kind::Folder)?;
    String::from_utf8(read(session, placed.artifact.object)?).ok()
}

/// The stage's output of this role from its last run here.
fn placed<'a>(session: &'a Session, stage: &Stage, role: OutputRole) -> Option<&'a PlacedOutput> {
    let place = stage.outputs.iter().position(|output| output.role == role)?;
    session.index.stages.get(&session.record_name(stage))?.outputs.get(place)
}

fn read(session: &Session, object: FileDigest) -> Option<Vec<u8>> {
    session.store.read(object).ok()?
}
