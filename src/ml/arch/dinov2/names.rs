//! Which vision transformer of DINOv2 a file holds, by the names and shapes of its tensors.
//!
//! Knows no network and no file.
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use intrada_weights::names::Convention;

use super::super::vit::{Form, PATCH, Size};

/// A vision transformer, as a file's names and shapes tell.
pub(super) struct Found {
    width: i64,
    blocks: usize,
    patch: i64,
    registers: bool,
}

impl Found {
    /// The transformer that a file with tensors of these names and shapes holds under the names of `program`, whatever is
    /// before them.
    pub(super) fn of(program: &Convention, file: &BTreeMap<String, Vec<i64>>) -> Option<Found> {
        let shape = |own: &str| program.shape_in(file, own);
        let [width, _, patch, _] = shape("patch_embed.proj.weight")?[..] else { return None };
        let blocks = (0..).take_while(|block| shape(&format!("blocks.{block}.norm1.weight")).is_some()).count();
        (blocks > 0).then(|| Found { width, blocks, patch, registers: shape("register_tokens").is_some() })
    }

    /// Which of ours it is; `None` if it is another.
    pub(super) fn form(&self) -> Option<Form> {
        let Found { width, blocks, patch, registers } = *self;
        let size = Size::ALL.into_iter().find(|size| (size.width(), size.depth()) == (width, blocks))?;
        (patch == PATCH).then_some(Form { size, registers })
    }
}

impl Display for Found {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self.form() {
            Some(form) => write!(f, "a {form}"),
            None => {
                let Found { width, blocks, patch, registers: _ } = self;
                write!(
                    f,
                    "a vision transformer of {blocks} blocks, {width} channels and patches of {patch} pixels a side"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
