//! What a user can ask of an exported graph.
//!
//! Knows no format: the command line reads it, and formats that write a graph heed it.

use std::path::PathBuf;

/// What the user wants of a graph. Other formats ignore it; the command line refuses it for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Its outputs; the classes are always one.
    pub outputs: Vec<Output>,
    /// Whether the network's numbers are in half precision.
    pub half: bool,
    /// A folder of images in the place of the drawn test pictures.
    pub test_images: Option<PathBuf>,
}

impl Wishes {
    /// Whether the graph has this output.
    pub fn has(&self, output: Output) -> bool {
        output == Output::Classes || self.outputs.contains(&output)
    }
}

/// What a graph can give of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The class of each pixel, which every graph gives.
    Classes,
    /// The probability of each class.
    Probabilities,
    /// The entropy of the probabilities.
    Entropy,
}

impl Output {
    /// All, in the order in which help lists them.
    pub const ALL: [Output; 3] = [Output::Classes, Output::Entropy, Output::Probabilities];

    /// Its name, for `--outputs` and in the graph.
    pub fn name(self) -> &'static str {
        match self {
            Output::Classes => intrada_onnx::CLASSES,
            Output::Probabilities => intrada_onnx::PROBABILITIES,
            Output::Entropy => intrada_onnx::ENTROPY,
        }
    }
}
