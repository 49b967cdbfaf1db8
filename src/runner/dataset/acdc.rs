//! ACDC: `rgb_anon/CONDITION/SPLIT/DRIVE/…_rgb_anon.png` and `gt/CONDITION/SPLIT/DRIVE/…_gt_labelTrainIds.png`, 1920 × 1080.
//!
//! Beside the train ids lie label ids, colours and masks of what can't be recognised (`_gt_invIds.png`), which aren't read. The
//! normal-light pictures of the same places are in folders of their own (`train_ref` and so on). The labels of the test split
//! aren't public. (Source: lhoyer/MIC, `seg/README.md`, for the folders of the archive, and `mmseg/datasets/acdc.py` for the names;
//! w1oves/Rein, `configs/_base_/datasets/fog-acdc_1024x1024.py`, for both.)

use super::cityscapes::TRAIN_IDS;
use super::layout::Layout;
use super::listing::Naming;

pub(super) const LAYOUT: Layout = Layout {
    format: "acdc",
    images: "rgb_anon",
    labels: "gt",
    below: "{of}/{}",
    naming: NAMING,
    values: TRAIN_IDS,
    last: 18,
    example: [
        "rgb_anon/{of}/{}/GOPR0475/GOPR0475_frame_000041_rgb_anon.png",
        "gt/{of}/{}/GOPR0475/GOPR0475_frame_000041_gt_labelTrainIds.png",
    ],
    ..Layout::PLAIN
};

/// The names of its files, which Dark Zurich's are like.
pub(super) const NAMING: Naming =
    Naming { images: &["_rgb_anon.png"], labels: &["_gt_labelTrainIds.png"], ..Naming::PLAIN };
