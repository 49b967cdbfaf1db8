//! What a [`Job`](super::Job) of `intrada-run predict` says in place of a stage's parameters, and what the worker answers about
//! each image.
//!
//! Knows no pipeline: the network may come from a stage or from an exported folder. The images aren't part of a key, so they have
//! no digests here; the worker says what it read.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, FileDigest};
use crate::kind::dataset::Scaling;
use crate::store::stat::Stat;

/// [`Job::kind`](super::Job::kind) of such a job. No stage is of this kind.
pub const PREDICT: &str = "predict";

/// The parameter that holds a [`Prediction`]; the others are those of the model, and `window`, `stride` and `flip_test`.
pub const PREDICTION: &str = "prediction";

/// Where the worker writes its [`Answer`]s, in the job's slot: a line of JSON each, once the image's files are complete.
pub const ANSWERS: &str = "answers.jsonl";

/// What is to be predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// In this order.
    pub images: Vec<Image>,
    /// Width and height in pixels that the network sees an image at; `None`: its own.
    pub size: Option<[u32; 2]>,
    /// How images take that size.
    pub scaling: Scaling,
    /// Images of more pixels, at the size that the network sees, are seen through the job's window; smaller ones are seen whole.
    pub whole_at_most: u64,
    /// What is written of each image, into the job's staging folder.
    pub outputs: Vec<Output>,
    /// The label value of each class; empty unless [`Output::LabelIds`] is among the outputs.
    pub label_ids: Vec<u8>,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The names of its outputs, without extension: a relative path with `/` between its parts.
    pub name: String,
    /// The file: an absolute path.
    pub path: PathBuf,
}

impl Image {
    /// A digest of its path.
    pub fn place(&self) -> Digest {
        Digest::of(self.path.as_os_str().as_encoded_bytes())
    }
}

/// A picture that can be written of an image, at the image's own size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// The index of each pixel's class, in a grey PNG.
    Classes,
    /// The classes in their colours, as a PNG with a palette.
    Colour,
    /// The colours over the photograph, as an RGB PNG.
    Overlay,
    /// The entropy of each pixel, 0 (0) to 255 (log2 C), in a grey PNG.
    Entropy,
    /// The probability of each pixel's class, 0 (0) to 255 (1), in a grey PNG.
    Confidence,
    /// The label value of each pixel's class, in a grey PNG.
    LabelIds,
}

impl Output {
    /// All, in the order in which help lists them.
    pub const ALL: [Output; 6] =
        [Output::Classes, Output::Colour, Output::Overlay, Output::Entropy, Output::Confidence, Output::LabelIds];

    /// Its name for `--outputs`, and of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Output::Classes => "classes",
            Output::Colour => "colour",
            Output::Overlay => "overlay",
            Output::Entropy => "entropy",
            Output::Confidence => "confidence",
            Output::LabelIds => "label-ids",
        }
    }

    /// Its file of an image with this name, below the folder of predictions.
    pub fn file(self, image: &str) -> PathBuf {
        // The name may contain dots, so no extension is replaced.
        PathBuf::from(format!("{}/{image}.png", self.name()))
    }
}

/// What the worker says of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// [`Image::name`].
    pub name: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Its files are complete.
    Predicted(Box<Predicted>),
    /// It has none.
    Failed {
        /// Why.
        reason: String,
    },
}

/// The size of a file in bytes, and the time of its last change, in nanoseconds since 1970.
pub fn stamp(file: &Stat) -> (u64, i64) {
    (file.size, file.mtime_ns)
}

/// A predicted image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// Of its file when it was read: [`stamp`].
    pub stamp: (u64, i64),
    /// What the file held.
    pub digest: FileDigest,
    /// A digest of its absolute path: tells images of two folders apart that have the same name.
    pub place: Digest,
    /// Width and height in pixels, upright.
    pub size: [u32; 2],
    /// Width and height at which the network saw it, before any window.
    pub seen: [u32; 2],
    /// The window's width and height, if it was seen through one.
    pub window: Option<[u32; 2]>,
    /// The mean entropy that a ranking would use (IntraDA, eq. 4; `mean_entropy` in a `scores.csv`), at the image's own size.
    pub mean_entropy: f32,
    /// Pixels of each class.
    pub pixels: Vec<u64>,
    /// What the network doesn't see of the file, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// The outputs that were written.
    pub outputs: Vec<Output>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_line_that_reads_back() {
        let predicted = Predicted {
            stamp: (3, -4),
            digest: FileDigest(Digest::of(b"image")),
            place: Digest::of(b"/a/b.c"),
            size: [640, 480],
            seen: [320, 240],
            window: Some([128, 128]),
            mean_entropy: 0.25,
            pixels: vec![1, 2],
            dropped: vec!["transparency".into()],
            outputs: vec![Output::Classes, Output::LabelIds],
        };
        let outcomes = [Outcome::Predicted(Box::new(predicted)), Outcome::Failed { reason: "two\nlines".into() }];
        for outcome in outcomes {
            let answer = Answer { name: "a/b.c".into(), outcome };
            let line = serde_json::to_string(&answer).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
        }
    }

    #[test]
    fn outputs_have_different_files_and_are_parsed_by_their_names() {
        let files: std::collections::BTreeSet<PathBuf> = Output::ALL.iter().map(|output| output.file("a.b")).collect();
        assert_eq!(files.len(), Output::ALL.len());
        for output in Output::ALL {
            assert_eq!(serde_json::to_value(output).unwrap(), output.name());
        }
        assert_eq!(Output::Classes.file("a/b.c"), PathBuf::from("classes/a/b.c.png"));
    }
}
