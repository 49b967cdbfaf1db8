//! BDD100K, its 10k images with semantic labels: `images/10k/SPLIT/NAME.jpg` and `labels/sem_seg/masks/SPLIT/NAME.png`.
//!
//! The root is the folder `bdd100k` of the archives. Masks hold train ids, and 255 for "unknown"; `labels/sem_seg/colormaps` is for
//! viewing. 1280 × 720. The labels of the test split aren't public. The release before it, `seg/` with `_train_id.png`, isn't read.
//! (Source: bdd100k/bdd100k, `doc/source/download.rst` and `format.rst`.)

use super::cityscapes::TRAIN_IDS;
use super::layout::Layout;
use super::listing::Naming;

pub(super) const LAYOUT: Layout = Layout {
    format: "bdd100k",
    images: "images/10k/{}",
    labels: "labels/sem_seg/masks/{}",
    naming: Naming { images: &[".jpg"], ..Naming::PLAIN },
    values: TRAIN_IDS,
    last: 18,
    example: ["images/10k/{}/0004a4c0-d4dff0ad.jpg", "labels/sem_seg/masks/{}/0004a4c0-d4dff0ad.png"],
    ..Layout::PLAIN
};
