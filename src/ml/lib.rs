//! The papers as code: networks, equations, the adaptation loop, metrics.
//!
//! Knows tensors, image files and numbers; no pipeline, no cache and no TOML: the caller decides what runs, with which
//! files, and where the results go. So each function can be read next to its paper.
//!
//! In the order of the data flow: [`data`] (on [`intrada_data`], which needs no tensor) → [`network`] (the networks: [`arch`]) →
//! [`equations`] → [`adapt`] (with [`discriminator`] and [`optim`]) → [`checkpoint`] → [`sight`] → [`entropy_inference`] →
//! [`label_free`] → [`metrics`].
#![warn(missing_docs)]

pub mod adapt;
pub mod arch;
mod aspp;
pub mod checkpoint;
pub mod cpu;
pub mod data;
pub mod device;
pub mod discriminator;
pub mod draws;
pub mod entropy_inference;
pub mod equations;
mod folded;
#[cfg(test)]
mod golden;
pub mod label_free;
mod layer;
pub mod metrics;
mod mix;
pub mod network;
pub mod operations;
pub mod optim;
mod pth;
mod rows;
pub mod sight;
