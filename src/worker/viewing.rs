//! The keys that say how a stage looks at its images: `window`, `stride` and `flip_test`.
//!
//! Knows no stage. The runner has checked them, and sends a stride with each window.

use intrada_ml::sight::{View, Window};
use intrada_work::{Failure, Work};
use serde::Deserialize;

/// The keys as they arrive; absent from stages of older runners.
#[derive(Deserialize)]
struct Viewing {
    window: Option<[usize; 2]>,
    stride: Option<[usize; 2]>,
    #[serde(default)]
    flip_test: bool,
}

/// How the stage looks at its images.
pub(crate) fn view(work: &Work) -> Result<View, Failure> {
    let Viewing { window, stride, flip_test } = work.parameters()?;
    let window = match window {
        None => None,
        Some(size) => Some(Window::new(size, stride.unwrap_or(size)).ok_or_else(|| {
            let help = "build intrada-run and intrada-worker from the same sources";
            Failure::advised(format!("a window of {size:?} with a stride of {stride:?} leaves pixels out"), help)
        })?),
    };
    Ok(View { window, mirrored_too: flip_test })
}
