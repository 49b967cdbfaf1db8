//! The linear head with which DINOv2 is evaluated on semantic segmentation (arXiv 2304.07193, section 7.4): batch
//! normalisation and a 1×1 convolution on the map of one or more layers.
//!
//! Follows `linear_head.py` (`BNHead`) of the released code and the configurations of its published heads, which concatenate
//! the earliest layer first and drop nothing. Knows no encoder and no file.
//!
//! Keys below a prefix: `bn.*`, `conv_seg.*`.
use tch::Tensor;

use crate::layer::{BatchNorm, Conv, First, Geometry, Scope};
use crate::network::{RateGroup, Statistics};

/// The head.
pub(crate) struct LinearHead {
    norm: BatchNorm,
    classify: Conv,
}

impl LinearHead {
    /// `channels` of all layers together. The classifier's weights start as N(0, 0.01).
    pub(crate) fn new(scope: &mut Scope, prefix: &str, channels: i64, classes: i64) -> LinearHead {
        let norm = BatchNorm::trained(scope, &format!("{prefix}.bn"), channels, RateGroup::Head);
        let (name, first) = (format!("{prefix}.conv_seg"), First::NormalAndZero(0.01));
        let (sizes, geometry) = ([channels, classes], Geometry::same(1, 1));
        let classify = Conv::beginning(scope, &name, sizes, geometry, true, RateGroup::Head, first);
        LinearHead { norm, classify }
    }

    /// The layers' maps N×d×h×w, earliest first → N×C×h×w.
    pub(crate) fn forward(&self, maps: &[Tensor], statistics: Statistics) -> Tensor {
        self.classify.forward(&self.norm.forward(&Tensor::cat(maps, 1), statistics))
    }
}
