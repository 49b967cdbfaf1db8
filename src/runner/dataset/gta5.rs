//! GTA5, "Playing for Data": `images/00001.png` to `24966.png` and `labels/` of the same names.
//!
//! Labels are palette PNGs whose index is the Cityscapes id; reading them as colours trains without errors and scores near
//! zero. A few labels were never published, so that 24 941 pairs remain (IAST, issue 2). Other missing labels are reported.

use super::cityscapes::IDS;
use super::layout::Layout;
use super::listing::Naming;

pub(super) const LAYOUT: Layout = Layout {
    format: "gta5",
    images: "images",
    labels: "labels",
    naming: Naming::PLAIN,
    values: IDS,
    last: 34,
    gaps: &[(2154, 2158), (4634, 4637), (7115, 7119), (9683, 9688), (12050, 12054)],
    example: ["images/00001.png", "labels/00001.png"],
    ..Layout::PLAIN
};
