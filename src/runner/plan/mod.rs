//! What a stage would compute: its manifest and key, and how that differs from what was computed before.
//!
//! Knows no scheduling and no processes. Planning is a function, not a phase: a key holds the digests of the inputs, so it is
//! known when they are, in the middle of a run if need be.

pub mod aliases;
pub mod assemble;
pub mod device;
pub mod explain;
mod files;
pub mod found;
pub mod items;
mod links;
pub mod manifest;
pub mod overlap;
pub mod sources;
pub mod split;
pub mod weights;
