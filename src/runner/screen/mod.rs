//! What a run says, on a screen: lines redrawn on a terminal, plain lines, JSON.
//!
//! Knows events, and nothing of where they go: each of these is a [`Reporter`](crate::event::Reporter) that writes to whatever it was
//! given. Screens are made here and nowhere else, so that a run, a plan and a test say things alike.

mod closing;
mod forecast;
pub mod harmless;
pub mod json;
pub mod live;
pub mod plain;
pub mod reading;
