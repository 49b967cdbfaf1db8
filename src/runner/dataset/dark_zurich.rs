//! Dark Zurich: `rgb_anon/SPLIT/TIME/DRIVE/…_rgb_anon.png`, and for `val` at night `gt/val/night/DRIVE/…_gt_labelTrainIds.png`.
//!
//! Training images are unlabelled, at night, in twilight and by day; `val` and `test` have only the night, and the labels of `test`
//! aren't public. Their reference images by day are in folders of their own (`val_ref/day`, `test_ref/day`), which aren't read.
//! 1920 × 1080. The lists of the archive (`lists_file_names/`) name images from `rgb_anon/` on, so names here begin there as well.
//! (Source: lhoyer/MIC, `seg/README.md` and `mmseg/datasets/dark_zurich.py`; open-mmlab/mmsegmentation,
//! `configs/_base_/datasets/dark_zurich.py`, for the folders of `val`. Those of `train` and `test` are as readers of others have
//! them; the archive itself was not looked into.)

use super::acdc::NAMING;
use super::cityscapes::TRAIN_IDS;
use super::layout::Layout;

pub(super) const LAYOUT: Layout = Layout {
    format: "dark-zurich",
    images: "rgb_anon",
    labels: "gt",
    below: "{}/{of}",
    naming: NAMING,
    values: TRAIN_IDS,
    last: 18,
    example: [
        "rgb_anon/{}/{of}/GOPR0356/GOPR0356_frame_000321_rgb_anon.png",
        "gt/{}/{of}/GOPR0356/GOPR0356_frame_000321_gt_labelTrainIds.png",
    ],
    origin: "; only `val` at night has public labels",
    ..Layout::PLAIN
};
