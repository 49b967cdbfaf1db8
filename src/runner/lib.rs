//! The pipeline runner: reads a pipeline file, decides which stages to re-run, schedules, stores, reports.
//!
//! Knows no tensor and never links libtorch: it starts in milliseconds, on any machine. The rooms are listed in the order
//! of the data flow; a room may use those above it in this list, never those below (tests/it/tidy).
#![warn(missing_docs)]

pub mod plain;

pub mod mark;
pub mod own;

pub mod by_name;

pub mod digest;

pub mod sums;

pub mod signing;

pub mod finding;

pub mod shown;

pub mod measures;

pub mod shell;

pub mod kind;

pub mod pipeline;

pub mod graph;

pub mod flow;

pub mod store;

pub mod inputs;

pub mod dataset;

pub mod watch;

pub mod exec;

pub mod event;
pub mod results;
pub mod plan;
pub mod sched;
pub mod screen;
pub mod report;
pub mod predict;
pub mod label;
pub mod export;
pub mod cli;
