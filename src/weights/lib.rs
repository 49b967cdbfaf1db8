//! What the program that links libtorch and the one that doesn't both know of weights files: their format by their first bytes, and
//! the names under which other programs save our networks.
//!
//! Knows no tensors and reads no files: the caller passes bytes.
#![warn(missing_docs)]

pub mod beginning;
pub mod names;
pub mod shown;
