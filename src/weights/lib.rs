//! What a file of weights is, as far as its first bytes tell, for the program that links libtorch and the one that doesn't.
//!
//! Knows no tensor and reads no file: it is handed bytes.
#![warn(missing_docs)]

pub mod beginning;
pub mod shown;
