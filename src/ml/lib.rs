//! The papers as code: networks, equations, the adaptation loop, data sets, ranking, pseudo-labels, metrics.
//!
//! Knows tensors, image files and numbers; no pipeline, no cache and no TOML: the caller decides what runs, with which
//! files, and where the results go. So each function can be read next to its paper.
//!
//! In the order of the data flow: [`input_file`] → [`data`] → [`network`] ([`small`], [`efficientnet_lite`], [`deeplab_v2`]
//! on [`resnet`], made by [`arch`]) → [`equations`] → [`adapt`] (with [`discriminator`] and [`optim`]) → [`checkpoint`] →
//! [`entropy_inference`] → [`rank`] → [`pseudo_label`] → [`metrics`].
#![warn(missing_docs)]

pub mod adapt;
pub mod arch;
pub mod checkpoint;
pub mod cpu;
pub mod data;
pub mod deeplab_v2;
pub mod discriminator;
pub mod efficientnet_lite;
pub mod entropy_inference;
pub mod equations;
mod folded;
#[cfg(test)]
mod golden;
pub mod input_file;
mod layer;
pub mod metrics;
pub mod network;
pub mod optim;
pub mod pseudo_label;
mod pth;
pub mod rank;
pub mod resnet;
mod rows;
pub mod small;
