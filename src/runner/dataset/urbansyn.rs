//! UrbanSyn: `rgb/rgb_0001.png` and `ss/ss_0001.png`, 2048 × 1024, without splits.
//!
//! Labels hold train ids, and 19 for what is unlabelled; `ss_color` is for viewing. (Source: the README of the data set,
//! UrbanSyn/UrbanSyn, for folders and classes; readers of others for the names of labels and for 19, as tue-mps/vfm-uda-plusplus,
//! `datasets/utils/mappings.py`. No official split was found; name one with `list`.)

use super::cityscapes::TRAIN_IDS;
use super::layout::Layout;
use super::listing::Naming;

pub(super) const LAYOUT: Layout = Layout {
    format: "urbansyn",
    images: "rgb",
    labels: "ss",
    naming: Naming { prefixes: ["rgb_", "ss_"], ..Naming::PLAIN },
    values: TRAIN_IDS,
    last: 19,
    example: ["rgb/rgb_0001.png", "ss/ss_0001.png"],
    ..Layout::PLAIN
};
