//! Sources as they were found, and what is needed to read them.
//!
//! Doesn't know how anything is read.

use std::path::PathBuf;

use crate::digest::FileDigest;
use crate::exec::{job, with_causes};
use crate::inputs::listing::{self, Files};
use crate::inputs::seen::Seen;
use crate::inputs::{self, Inputs};
use crate::pipeline::{Pipeline, Problem, Span};

use super::manifest::Ingredient;

/// A source as it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// For the manifests.
    pub ingredient: Ingredient,
    /// For the jobs.
    pub content: Content,
    /// Its files when the digest was computed.
    pub seen: Seen,
    /// The object that [`Ingredient::listing`] names.
    pub listing: Option<Vec<u8>>,
    /// Width and height of all images of a data set as a network sees them, if they are known to have one size.
    pub size: Option<[u32; 2]>,
    /// Remarks on it, although it is valid.
    pub warnings: Vec<Problem>,
}

/// What a job gets of it.
#[derive(Clone, Debug)]
pub enum Content {
    /// An explicit list.
    Dataset(job::Dataset),
    /// A file.
    File(job::Source),
    /// The absolute path of a folder.
    Folder(PathBuf),
}

impl Found {
    /// Its files with short content digests.
    pub fn files(&self) -> Option<Files> {
        listing::decode(self.listing.as_deref()?)
    }

    /// Number of samples, for a data set. `None` for a part of the scenes: only the generator knows which are hard.
    pub fn samples(&self) -> Option<usize> {
        match &self.content {
            Content::Dataset(job::Dataset::Files { samples, .. }) => Some(samples.len()),
            Content::Dataset(job::Dataset::Scenes { part, count, .. }) => (part == "all").then_some(*count as usize),
            Content::File(_) | Content::Folder(_) => None,
        }
    }
}

/// Reads sources.
pub struct Surveyor<'a> {
    /// For names, classes and positions in the text.
    pub pipeline: &'a Pipeline,
    /// The files.
    pub inputs: &'a Inputs,
}

pub(super) fn input_problem(error: &inputs::Error, span: Span) -> Problem {
    Problem::error(with_causes(error)).at(span, "")
}

pub(super) fn encode_size(size: Option<[u32; 2]>) -> Vec<u8> {
    size.map(|size| size.map(u32::to_le_bytes).concat()).unwrap_or_default()
}

pub(super) fn object_of(bytes: &[u8]) -> FileDigest {
    FileDigest(crate::digest::Digest::of(bytes))
}
