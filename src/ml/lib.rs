//! The papers as code: networks, equations, the adaptation loop, data sets, ranking, pseudo-labels, metrics.
//!
//! Knows tensors, image files and numbers; no pipeline, no cache and no TOML: the caller decides what runs, with which
//! files, and where the results go. So each function can be read next to its paper.
//!
//! In the order of the data flow: [`input_file`] → [`data`] → [`network`] (the networks: [`arch`]) → [`equations`] → [`adapt`] (with [`discriminator`] and [`optim`]) → [`checkpoint`] →
//! [`sight`] → [`entropy_inference`] → [`label_free`] → [`rank`] → [`pseudo_label`] → [`metrics`].
#![warn(missing_docs)]

pub mod adapt;
pub mod arch;
pub mod checkpoint;
pub mod cpu;
pub mod data;
pub mod discriminator;
pub mod draws;
pub mod entropy_inference;
pub mod equations;
mod folded;
#[cfg(test)]
mod golden;
pub mod input_file;
pub mod label_free;
mod layer;
pub mod metrics;
mod mix;
pub mod network;
pub mod optim;
pub mod pseudo_label;
mod pth;
pub mod rank;
mod rows;
pub mod sight;
