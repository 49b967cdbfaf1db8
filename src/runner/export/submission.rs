//! Predictions in the format of the Cityscapes benchmark server: label ids instead of class indices, at the size of the images.
//!
//! Decodes and writes 8-bit index PNGs and knows the published scheme. Image names must be those of the benchmark, as the server
//! would count others as missing predictions.
//! (Source: mcordts/cityscapesScripts, `helpers/labels.py` and `evaluation/evalPixelLevelSemanticLabeling.py`.)

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;

use png::{BitDepth, ColorType};

use super::package::Package;
use super::wishes::Wishes;
use super::{Error, Format};
use crate::dataset;
use crate::digest::FileDigest;
use crate::kind::{OutputRole, classes};
use crate::pipeline::{OutputId, Pipeline};
use crate::sched::done::done;
use crate::sched::session::Session;
use crate::store::listing::{EntryKind, Listing};

/// `[width, height]` in pixels of every image of Cityscapes.
const SIZE: [usize; 2] = [2048, 1024];

/// The classes that the benchmark evaluates, in the order of their train ids.
const CLASSES: &str = "cityscapes-19";

/// The submission format.
pub(super) const FORMAT: Format = Format {
    name: "cityscapes",
    about: "the predictions of an entropy inference in the format of the Cityscapes benchmark server",
    exports: OutputRole::Predictions,
    stage: "an entropy-inference",
    is_graph: false,
    write: submission,
};

/// Writes the predictions `output` of an entropy inference into the folder `place`, as `<city>_<sequence>_<frame>_labelIds.png`.
/// Returns a line with their number.
///
/// # Errors
/// [`Error`]; `place` is then unchanged.
fn submission(session: &mut Session, output: OutputId, place: &Path, _: &Wishes) -> Result<Vec<String>, Error> {
    let ids = label_ids(&session.pipeline)?;
    let package = Package::begin(&session.store, &session.pipeline.root, place)?;
    let lineage = done(session, &[output.stage])?;
    let (stage, file) = (session.pipeline.stage(output.stage).name.clone(), session.pipeline.file.clone());
    let Some(done) = lineage.last().filter(|done| done.stage == output.stage) else {
        return Err(Error::NotDone { stage, file });
    };
    let read = |object| {
        let gone = || Error::Gone { what: "the predictions", stage: stage.clone(), file: file.clone() };
        session.store.read(object)?.ok_or_else(gone)
    };
    let mut names = HashSet::new();
    for (name, object) in files(done.artifacts[output.output].object, &read)? {
        let refuse = |reason: String| Error::NotCityscapes { name: name.clone(), stage: stage.clone(), reason };
        let frame = frame(&name).ok_or_else(|| {
            refuse("its name doesn't start with <city>_<sequence>_<frame>, such as aachen_000000_000019".to_owned())
        })?;
        if !names.insert(frame.to_owned()) {
            return Err(refuse(format!("another prediction is also named {frame}")));
        }
        let (classes, size) = decode(&read(object)?).map_err(|cause| refuse(cause.to_string()))?;
        let labelled = classes.iter().map(|class| ids.get(usize::from(*class)).copied());
        let labelled: Option<Vec<u8>> = labelled.collect();
        let labelled = labelled.ok_or_else(|| refuse("it contains a value that is not a class".to_owned()))?;
        let png = encode(&nearest(&labelled, size, SIZE)).map_err(|cause| refuse(cause.to_string()))?;
        package.write(&format!("{frame}_labelIds.png"), &[&png])?;
    }
    package.finish()?;
    Ok(vec![format!("{}: {} predictions", place.display(), names.len())])
}

/// The label id of each class.
fn label_ids(pipeline: &Pipeline) -> Result<Vec<u8>, Error> {
    let set = classes::find(CLASSES).expect("the tables have Cityscapes' classes");
    if !set.classes.iter().map(|class| class.name).eq(pipeline.classes.iter().map(|class| class.name.as_str())) {
        return Err(Error::OtherClasses);
    }
    let layout = dataset::published("cityscapes").expect("the tables have Cityscapes' layout");
    let names: Vec<&str> = set.classes.iter().map(|class| class.name).collect();
    let mut ids: Vec<(u8, u8)> = layout.map(&names).into_iter().map(|(id, class)| (class, id)).collect();
    ids.retain(|(class, _)| usize::from(*class) < names.len());
    ids.sort_unstable();
    Ok(ids.into_iter().map(|(_, id)| id).collect())
}

/// The files of a stored folder and its subfolders, by file name.
fn files(
    folder: FileDigest,
    read: &impl Fn(FileDigest) -> Result<Vec<u8>, Error>,
) -> Result<Vec<(String, FileDigest)>, Error> {
    let mut folders = vec![folder];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        // The digest was verified, so the object of a folder is a listing.
        let listing = Listing::decode(&read(folder)?).expect("the object of a folder is a listing");
        for entry in listing.entries() {
            match entry.kind {
                EntryKind::Folder => folders.push(entry.object),
                EntryKind::File { .. } => files.push((entry.name.to_string_lossy().into_owned(), entry.object)),
                EntryKind::Link => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

/// `aachen_000000_000019` out of `aachen_000000_000019_leftImg8bit.png`.
fn frame(name: &str) -> Option<&str> {
    let stem = Path::new(name).file_stem().and_then(OsStr::to_str)?;
    let stem = stem.strip_suffix("_leftImg8bit").unwrap_or(stem);
    let (rest, frame) = stem.rsplit_once('_')?;
    let (city, sequence) = rest.rsplit_once('_')?;
    let is_number = |text: &str| text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_city = !city.is_empty() && city.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    (is_city && is_number(sequence) && is_number(frame)).then_some(stem)
}

/// The indices of an 8-bit grey PNG in rows, and its `[width, height]`.
fn decode(png: &[u8]) -> Result<(Vec<u8>, [usize; 2]), png::DecodingError> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info()?;
    let size = [reader.info().width as usize, reader.info().height as usize];
    let mut indices = vec![0; size[0] * size[1]];
    reader.next_frame(&mut indices)?;
    Ok((indices, size))
}

/// Nearest-neighbour upsampling by pixel centres.
fn nearest(indices: &[u8], [width, height]: [usize; 2], to: [usize; 2]) -> Vec<u8> {
    let from = |place: usize, from: usize, to: usize| (2 * place + 1) * from / (2 * to);
    let row = |y: usize| {
        let row = &indices[from(y, height, to[1]) * width..][..width];
        (0..to[0]).map(move |x| row[from(x, width, to[0])])
    };
    (0..to[1]).flat_map(row).collect()
}

/// An 8-bit grey PNG of [`SIZE`].
fn encode(indices: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, SIZE[0] as u32, SIZE[1] as u32);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(indices)?;
    writer.finish()?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_named_as_the_benchmark_names_it() {
        assert_eq!(frame("aachen_000000_000019_leftImg8bit.png"), Some("aachen_000000_000019"));
        assert_eq!(frame("bad-honnef_000010_000019.png"), Some("bad-honnef_000010_000019"));
        for other in
            ["frame-1.png", "aachen_0_19.png", "_000000_000019.png", "a/b_000000_000019_leftImg8bitX.png", ".png"]
        {
            assert_eq!(frame(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_enlarged_twice_has_each_pixel_four_times() {
        assert_eq!(nearest(&[1, 2, 3, 4], [2, 2], [4, 4]), [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
        assert_eq!(nearest(&[1, 2, 3, 4, 5, 6], [3, 2], [3, 2]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(nearest(&[1, 2, 3], [3, 1], [1, 1]), [2]);
    }

    #[test]
    fn a_png_reads_back() {
        let indices: Vec<u8> = (0..SIZE[0] * SIZE[1]).map(|place| (place % 34) as u8).collect();
        assert_eq!(decode(&encode(&indices).unwrap()).unwrap(), (indices, SIZE));
    }
}
