//! `intrada-run predict`: class maps and other pictures of images that belong to no pipeline, at each image's own size.
//!
//! Not a stage: a file that can't be read, or that the network can't see, costs its own result and no other. Files are complete
//! once they have their names, and an image's answer is written after its files; so whatever has an answer needs no second look.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use intrada_data::colour::overlay;
use intrada_data::encode::{grey_png, palette_png, rgb_png};
use intrada_data::prefetch::Prefetch;
use intrada_data::raster::{Index, Rgb};
use intrada_data::resize::Scaling;
use intrada_ml::data::pass::Frame;
use intrada_ml::entropy_inference::{Inference, infer};
use intrada_ml::network::Normalization;
use intrada_ml::sight::View;
use intrada_picture::Dropped;
use intrada_runner::digest::{Digest, FileDigest};
use intrada_runner::exec::job::predict::{ANSWERS, Answer, Image, Outcome, Output, Predicted, Prediction, stamp};
use intrada_runner::plain;
use intrada_runner::store::stat::Stat;
use intrada_work::datasets::picture_scaling;
use intrada_work::kinds::summary;
use intrada_work::{Failure, Notes, Work};
use serde::Deserialize;
use tch::Kind;

use crate::device;
use crate::measure::{Looking, Subject};
use crate::model::Model;
use crate::viewing::view;

/// Threads that decode, and images that wait decoded: a large one takes hundreds of megabytes, so their number is not that of
/// the cores.
const DECODING: NonZeroUsize = NonZeroUsize::new(2).unwrap();

#[derive(Deserialize)]
struct Parameters {
    #[serde(flatten)]
    model: Model,
    prediction: Prediction,
}

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let Parameters { model, prediction } = work.parameters()?;
    let network = model.trained(work, &work.file("weights")?)?;
    let (name, normalization) = (work.job.stage.as_str(), model.arch.normalization());
    let subject = Subject { name, network: network.as_ref(), normalization, kind: Kind::Float };
    let window = view(work)?;
    let mut looker = Looker {
        looking: subject.looking(device::of(&work.job), View { window: None, ..window }),
        window,
        work,
        colours: work.job.classes.iter().map(|class| class.colour).collect(),
        prediction: &prediction,
        answers: File::options().append(true).create(true).open(work.job.slot.join(ANSWERS))?,
    };
    let total = prediction.images.len() as u64;
    let mut failed = 0;
    for (done, (image, read)) in (1..).zip(prediction.images.iter().zip(reading(&prediction, normalization))) {
        let outcome = match read {
            Ok(read) => looker.look_at(image, read)?,
            Err(reason) => Outcome::Failed { reason },
        };
        failed += u32::from(matches!(outcome, Outcome::Failed { .. }));
        looker.answer(image, outcome)?;
        work.progress(done, total, "images", vec![("failed".to_owned(), failed.into())]);
        if work.is_stopping() {
            return Err(Failure::Interrupted { at: done });
        }
    }
    Ok(summary(format!("{total} images, {failed} failed")))
}

/// An image that was read.
struct Read {
    frame: Frame,
    stamp: (u64, i64),
    digest: FileDigest,
    dropped: Vec<String>,
}

/// Reads the images ahead, in order; in place of one that can't be read, why.
fn reading(prediction: &Prediction, normalization: Normalization) -> Prefetch<Result<Read, String>> {
    let images = prediction.images.clone();
    let size = prediction.size.map(|size| size.map(|side| side as usize));
    let scaling = picture_scaling(prediction.scaling);
    let count = images.len() as u64;
    let make = move |place: u64| read(&images[place as usize], &normalization, size, scaling);
    Prefetch::start(0..count, DECODING, DECODING, make)
}

fn read(
    image: &Image,
    normalization: &Normalization,
    size: Option<[usize; 2]>,
    scaling: Scaling,
) -> Result<Read, String> {
    let (bytes, stamp) = content(&image.path).map_err(|error| format!("it can't be read: {error}"))?;
    let pixels = intrada_picture::photograph(&bytes).map_err(|fault| fault.to_string())?.upright();
    let dropped = dropped(&bytes, pixels.dropped);
    let photograph = Rgb::new(pixels.size[0], pixels.size[1], pixels.rgb);
    let frame = Frame::new(&image.name, photograph, normalization);
    let frame = if let Some(size) = size { frame.scaled(scaling, size) } else { frame };
    Ok(Read { frame, stamp, digest: FileDigest(Digest::of(&bytes)), dropped })
}

/// What the network doesn't see of a file, in words.
fn dropped(bytes: &[u8], dropped: Dropped) -> Vec<String> {
    /// As the checks of a data set say: a quarter of the range.
    const DARK: u16 = 1 << 14;
    let mut words = Vec::new();
    if dropped.lower_bits {
        // A second look, as few files have 16 bits.
        let brightest = intrada_picture::look(bytes).ok().and_then(|facts| facts.brightest);
        words.push(match brightest {
            Some(brightest) if brightest < DARK => {
                "of 16-bit samples the upper 8 bits are taken, and all are below 16384 of 65535: the network sees a dark image; \
                 scale the samples so that they reach 65535"
            }
            _ => "of 16-bit samples the upper 8 bits are taken",
        });
    }
    if dropped.transparency {
        words.push("transparent pixels have the colours that are stored in them");
    }
    words.into_iter().map(str::to_owned).collect()
}

/// The bytes of a file, its size and the time of its last change. Taken before reading: if it changes meanwhile, the next run
/// reads it again.
fn content(path: &Path) -> io::Result<(Vec<u8>, (u64, i64))> {
    let stamp = stamp(&Stat::of(path)?);
    Ok((plain::read(path)?, stamp))
}

/// A network with all that is needed to look at images and to say what it saw.
struct Looker<'a> {
    looking: Looking<'a>,
    window: View,
    work: &'a Work,
    colours: Vec<[u8; 3]>,
    prediction: &'a Prediction,
    answers: File,
}

impl Looker<'_> {
    /// Predicts an image and writes its files.
    ///
    /// # Errors
    /// A file can't be written. An image that can't be predicted is an outcome.
    fn look_at(&self, image: &Image, read: Read) -> Result<Outcome, Failure> {
        let Read { frame, stamp, digest, dropped } = read;
        let (size, seen) = (frame.photograph.size(), frame.seen_size());
        let view = self.view_of(seen);
        let inference = match self.looking.through(&frame, view) {
            Ok(sight) => infer(&image.name, &sight, size, &[]).map_err(|error| error.to_string()),
            Err(small) => Err(format!("it is {small}")),
        };
        let inference = match inference {
            Ok(inference) => inference,
            Err(reason) => return Ok(Outcome::Failed { reason }),
        };
        for &output in &self.prediction.outputs {
            self.write(output, image, &self.picture(output, &frame, &inference))?;
        }
        let pair = |size: [usize; 2]| size.map(|side| u32::try_from(side).expect("a photograph's sides fit 32 bits"));
        Ok(Outcome::Predicted(Box::new(Predicted {
            stamp,
            digest,
            place: image.place(),
            size: pair(size),
            seen: pair(seen),
            window: view.window.map(|_| pair(view.at_once(seen))).filter(|window| *window != pair(seen)),
            mean_entropy: inference.score.mean_entropy,
            pixels: counts(&inference.prediction, self.colours.len()),
            dropped,
            outputs: self.prediction.outputs.clone(),
        })))
    }

    /// A window for large images, for the others none.
    fn view_of(&self, seen: [usize; 2]) -> View {
        let is_large = (seen[0] * seen[1]) as u64 > self.prediction.whole_at_most;
        View { window: self.window.window.filter(|_| is_large), ..self.window }
    }

    fn picture(&self, output: Output, frame: &Frame, inference: &Inference) -> Vec<u8> {
        let Inference { prediction, entropy, confidence, .. } = inference;
        match output {
            Output::Classes => grey_png(prediction),
            Output::Colour => palette_png(prediction, &self.colours),
            Output::Overlay => rgb_png(&overlay(&frame.photograph, prediction, &self.colours)),
            Output::Entropy => grey_png(entropy),
            Output::Confidence => grey_png(confidence),
            Output::LabelIds => {
                let ids = &self.prediction.label_ids;
                let bytes = prediction.bytes().iter().map(|class| ids[usize::from(*class)]).collect();
                grey_png(&Index::new(prediction.width(), prediction.height(), bytes))
            }
        }
    }

    /// Writes a picture beside its place and renames it, so that no file is ever incomplete.
    fn write(&self, output: Output, image: &Image, png: &[u8]) -> Result<(), Failure> {
        let path = self.work.job.staging.join(output.file(&image.name));
        let folder = path.parent().expect("an output is in a folder");
        let written = || -> io::Result<()> {
            std::fs::create_dir_all(folder)?;
            let partial = self.work.job.slot.join("partial");
            std::fs::write(&partial, png)?;
            std::fs::rename(&partial, &path)
        };
        written().map_err(|error| {
            let help = "make room there, or correct its permissions; the same command resumes";
            Failure::advised(format!("failed to write {}: {error}", path.display()), help)
        })
    }

    fn answer(&mut self, image: &Image, outcome: Outcome) -> Result<(), Failure> {
        let answer = Answer { name: image.name.clone(), outcome };
        let line = serde_json::to_string(&answer)? + "\n";
        // One call, so that a kill leaves at most one incomplete line, at the end.
        self.answers.write_all(line.as_bytes())?;
        Ok(())
    }
}

/// The number of pixels of each class.
fn counts(map: &Index, classes: usize) -> Vec<u64> {
    let mut counts = [0; 256];
    map.bytes().iter().for_each(|class| counts[usize::from(*class)] += 1);
    counts[..classes].to_vec()
}
