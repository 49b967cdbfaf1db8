//! What a [`Job`](super::Job) says that paints synthetic scenes into files: for tools that need files, as those for labelling.
//!
//! Its data set, by the role [`IMAGES`], is one of scenes; the files go into its staging folder. Their labels are never written: who is
//! to label them must not find them.

use std::path::PathBuf;

/// [`Job::kind`](super::Job::kind) of such a job. No stage is of this kind.
pub const PAINTING: &str = "scenes";

/// The role of the data set.
pub const IMAGES: &str = "images";

/// The file of a scene of this name.
pub fn file(name: &str) -> PathBuf {
    PathBuf::from(format!("{name}.png"))
}
