//! The class maps that this program's worker predicts of the test pictures: what a graph has to give.
//!
//! Knows no graph.

use std::fs;
use std::path::Path;

use super::super::Error;
use super::pictures::{Picture, grey_png};
use crate::exec::control::Control;
use crate::exec::job::predict::{Image, Output};
use crate::predict::folder::{Folder, Settings};
use crate::predict::network::Network;
use crate::predict::{self, Seeing, Wanted};

/// A class-index PNG for each picture, at its own size.
///
/// # Errors
/// The worker failed, or couldn't predict one of the pictures.
pub(super) fn class_maps(network: &Network, pictures: &[Picture]) -> Result<Vec<Vec<u8>>, Error> {
    let dir = tempfile::tempdir().map_err(io("make a temporary folder in", &std::env::temp_dir()))?;
    let mut images = Vec::new();
    for picture in pictures {
        let path = dir.path().join(format!("{}.png", picture.name));
        fs::write(&path, &picture.png).map_err(io("write", &path))?;
        images.push(Image { name: picture.name.clone(), path });
    }
    let outputs = [Output::Classes];
    // A graph sees an image whole, whatever its size.
    let settings = Settings { whole_at_most: u64::MAX, ..predict::settings(network, &Seeing::default()) };
    let mut folder = Folder::open(&dir.path().join("out"), &network.name, settings, &outputs, false)?;
    // The comparison is with ONNX Runtime on the processor.
    let wanted = Wanted { network, images: &images, device: "cpu", threads: predict::all_cores() };
    let ended = predict::predict(&wanted, &mut folder, &Control::default(), &mut |_| {})?;
    if let Some((name, reason)) = ended.failed.into_iter().next() {
        let picture = pictures.iter().find(|picture| picture.name == name);
        let name = picture.map_or(name, |picture| picture.origin.clone());
        return Err(Error::TestPicture { name, reason });
    }
    let map = |picture: &Picture| {
        let path = folder.path().join(Output::Classes.file(&picture.name));
        let png = fs::read(&path).map_err(io("read", &path))?;
        let unread =
            |error: png::DecodingError| Error::TestPicture { name: picture.origin.clone(), reason: error.to_string() };
        again(&png).map_err(unread)
    };
    pictures.iter().map(map).collect()
}

/// The same map in a form that `verify.py` reads quickly.
fn again(png: &[u8]) -> Result<Vec<u8>, png::DecodingError> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info()?;
    let mut indices = vec![0; reader.output_buffer_size().unwrap_or_default()];
    let info = reader.next_frame(&mut indices)?;
    Ok(grey_png([info.width, info.height], &indices[..info.buffer_size()]))
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
