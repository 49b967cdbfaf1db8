//! What a stage would compute: its manifest and key, and their differences from earlier runs.
//!
//! Knows no scheduling and no processes. Planning is a function, not a phase: a key includes the digests of the inputs, so
//! it is known when they are, in the middle of a run if need be.

pub mod aliases;
pub mod assemble;
pub mod away;
pub mod device;
pub mod explain;
mod files;
pub mod found;
pub mod items;
mod links;
pub mod manifest;
pub mod margins;
pub mod overlap;
pub mod sources;
pub mod split;
pub mod together;
pub mod weights;
