//! The format of weights files by their first bytes, for the program that links libtorch and the one that doesn't.
//!
//! Knows no tensors and reads no files: the caller passes bytes.
#![warn(missing_docs)]

pub mod beginning;
pub mod shown;
