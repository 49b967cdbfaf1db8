//! Which SegFormer a file holds, by the names and shapes of its tensors.
//!
//! Knows no network and no file.
use std::collections::BTreeMap;

use intrada_weights::names::Convention;

use super::super::mit::Size;

/// The size of the encoder that a file with tensors of these names and shapes holds under the names of `program`, whatever is
/// before them.
pub(super) fn size_in(program: &Convention, file: &BTreeMap<String, Vec<i64>>) -> Option<Size> {
    let shape = |own: &str| program.shape_in(file, own);
    let channels = *shape("patch_embed1.proj.weight")?.first()?;
    let depths = [1, 2, 3, 4]
        .map(|stage| (0..).take_while(|block| shape(&format!("block{stage}.{block}.norm1.weight")).is_some()).count());
    Size::ALL.into_iter().find(|size| size.depths() == depths && size.channels()[0] == channels)
}

#[cfg(test)]
mod tests;
