//! A tensor as PyTorch describes it: a view of a storage, with a stride for each dimension.
use std::borrow::Cow;

use safetensors::Dtype;

use super::Array;

/// The location of a tensor's elements. Offset and strides count elements.
#[derive(Debug)]
pub(super) struct Strided<'a> {
    pub(super) storage: &'a str,
    pub(super) dtype: Dtype,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl Strided<'_> {
    /// The number of elements; none if it, or the product of the non-zero dimensions, overflows.
    pub(super) fn bytes(&self) -> Option<usize> {
        let product = |bytes: usize, &side: &usize| bytes.checked_mul(side.max(1));
        let bytes = self.shape.iter().try_fold(element_size(self.dtype), product)?;
        i64::try_from(bytes).ok()?;
        Some(if self.shape.contains(&0) { 0 } else { bytes })
    }

    /// The elements row by row; none if one of them is outside the storage.
    pub(super) fn gather<'s>(&self, storage: &'s [u8]) -> Option<Array<'s>> {
        let bytes = self.bytes()?;
        let array = |bytes| Some(Array { dtype: self.dtype, shape: self.shape.clone(), bytes });
        if self.shape.len() != self.strides.len() {
            return None;
        }
        if bytes == 0 {
            return array(Cow::Borrowed(&[]));
        }
        let element = element_size(self.dtype);
        let sides = || self.shape.iter().zip(&self.strides);
        let last =
            sides().try_fold(self.offset, |at, (side, stride)| at.checked_add((side - 1).checked_mul(*stride)?))?;
        if last.checked_add(1)?.checked_mul(element)? > storage.len() {
            return None;
        }
        if self.is_contiguous() {
            return array(Cow::Borrowed(&storage[self.offset * element..][..bytes]));
        }
        let mut gathered = Vec::with_capacity(bytes);
        let mut index = vec![0; self.shape.len()];
        while gathered.len() < bytes {
            let at = index.iter().zip(&self.strides).fold(self.offset, |at, (i, stride)| at + i * stride);
            gathered.extend_from_slice(&storage[at * element..][..element]);
            for (i, side) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *side {
                    break;
                }
                *i = 0;
            }
        }
        array(Cow::Owned(gathered))
    }

    /// Whether the tensor is contiguous. A dimension of size 1 can have any stride.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&side, &stride)| {
            let fits = side == 1 || stride == expected;
            expected *= side;
            fits
        })
    }
}

/// In bytes.
pub(super) fn element_size(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}
