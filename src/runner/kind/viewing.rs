//! The keys of every kind that predicts: how its network looks at an image, and how its maps lie in memory.
//!
//! Knows no network. The default of `stride` depends on `window`, and neither may be smaller than what the other or the
//! network needs: rules across keys, see `pipeline::windows`.

use super::{KeySpec, Only, ValueType};

/// The keys.
pub(super) const KEYS: &[KeySpec] = &[
    KeySpec::new(
        WINDOW,
        ValueType::Size,
        "`[width, height]` in pixels of a window that slides over each image, at the data set's `size`: the network sees \
         one window at a time, their logits are averaged where they overlap, and memory stays small however large the image is; \
         an image that is smaller than the window is seen whole; default: every image is seen whole",
    )
    .optional()
    .origin("SegFormer: [1024, 1024], in HRDA and MIC too"),
    KeySpec::new(
        STRIDE,
        ValueType::Size,
        "`[x, y]` in pixels from one window to the next, at most the window; the last windows are moved inside of the image; \
         default: three quarters of the window, rounded down",
    )
    .optional()
    .only(Only::with(WINDOW))
    .origin("SegFormer: [768, 768]; HRDA and MIC: [512, 512]"),
    KeySpec::new(
        "flip_test",
        ValueType::Flag,
        "look also at the mirror image and take the mean of both logits; takes twice as long",
    )
    .or_flag(false)
    .added()
    .origin("none in AdvEnt, SegFormer, DAFormer and MIC"),
    CHANNELS_LAST,
];

/// How the tensors of a network lie in a GPU's memory. Trainings have it as well.
pub(super) const CHANNELS_LAST: KeySpec = KeySpec::new(
    "channels_last",
    ValueType::Flag,
    "keep the channels of DeepLab's, EfficientNet-Lite0's and SegFormer's maps adjacent in memory on a GPU as well, as always on a CPU; without effect \
     on a CPU. Never run on a GPU",
)
.or_flag(false)
.added()
.origin("none in AdvEnt, SegFormer, DAFormer and MIC");

/// The key of the window.
pub const WINDOW: &str = "window";
/// The key of the distance between windows.
pub const STRIDE: &str = "stride";

/// The stride of windows of this width and height, if none is given.
pub fn default_stride(window: [i64; 2]) -> [i64; 2] {
    window.map(|side| (side * 3 / 4).max(1))
}
