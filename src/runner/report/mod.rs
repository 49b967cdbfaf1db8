//! The files in `runs/` for people to look at: the page, TensorBoard's events, and the code that keeps both up to date.
//!
//! Knows results and events; decides nothing, and no computation depends on it.

pub mod html;
pub mod tensorboard;
pub mod views;
