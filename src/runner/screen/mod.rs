//! Screens of a run: live lines on a terminal, plain lines, JSON.
//!
//! Knows events, not their destination: each screen is a [`Reporter`](crate::event::Reporter) that writes to a given stream. All
//! screens are here, so that runs, plans and tests use the same words.

mod closing;
mod forecast;
pub mod harmless;
pub mod json;
pub mod live;
pub mod plain;
pub mod reading;
