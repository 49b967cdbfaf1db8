//! Results read from the cache: an evaluation, a ranking, the values of an image; comparisons, and texts.
//!
//! Knows files and numbers, not how a screen or a page shows them.

pub mod assess;
pub mod choice;
pub mod compare;
pub mod correlation;
pub mod evidence;
pub mod image;
pub mod made_with;
pub mod map;
pub mod metrics;
pub mod story;
