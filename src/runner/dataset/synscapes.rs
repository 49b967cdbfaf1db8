//! Synscapes: `img/rgb/1.png` to `25000.png` (1440 × 720) or `img/rgb-2k/` (2048 × 1024), and `img/class/`.
//!
//! Names are numbers without leading zeros, so they are sorted as numbers. The class pictures hold Cityscapes ids at 1440 ×
//! 720 only; for `rgb-2k` they are resized like any label. There is no official split: name one with `list`. (Source: the
//! data set's own pages; tue-mps/vfm-uda-plusplus for the ids.)

use super::cityscapes::IDS;
use super::layout::Layout;
use super::listing::{Naming, Order};

pub(super) const LAYOUT: Layout = Layout {
    format: "synscapes",
    images: "img/{}",
    labels: "img/class",
    naming: Naming { order: Order::Number, ..Naming::PLAIN },
    values: IDS,
    last: 34,
    example: ["img/{}/1.png", "img/class/1.png"],
    ..Layout::PLAIN
};
