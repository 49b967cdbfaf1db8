//! The files in `runs/` that are made to be looked at: the page, TensorBoard's events, and what keeps both up to date.
//!
//! Knows results and events; decides nothing, and nothing that is computed depends on it.

pub mod html;
pub mod tensorboard;
pub mod views;
