//! What chance does to results: the spread over seeds, a bootstrap over images, and the rule by which a difference is a gain.
//!
//! Knows counts of pixels and numbers; no file, no pipeline and no words for people. A crate of its own because it computes: it is
//! optimised in every build, which would make the runner slow to compile.

pub mod bootstrap;
pub mod evidence;
pub mod spread;
