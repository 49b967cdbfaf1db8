//! The margins of a data set: pixels at the edges of its images that a loss ignores.
//!
//! Knows no loss. What lies inside the margins of a whole image is a rectangle, and stays one when the image is cut and
//! mirrored, so no mask is stored before the batch is made.

use std::fmt;

use serde::Deserialize;

/// Widths in pixels of the resized image, before any crop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Margins {
    /// Rows at the top.
    pub top: usize,
    /// Rows at the bottom.
    pub bottom: usize,
    /// Columns at the left.
    pub left: usize,
    /// Columns at the right.
    pub right: usize,
}

/// A rectangle of a picture. Of a crop that lies in the margins it holds no pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The first column and the one after the last.
    columns: [usize; 2],
    /// The first row and the one after the last.
    rows: [usize; 2],
}

impl Margins {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Margins::default()
    }

    /// What they leave of a whole image of this width and height; `None` if they leave no pixel.
    pub fn inside(&self, [width, height]: [usize; 2]) -> Option<Inside> {
        let left = |side: usize, before: usize, after: usize| {
            let end = side.checked_sub(after)?;
            (before < end).then_some([before, end])
        };
        Some(Inside { columns: left(width, self.left, self.right)?, rows: left(height, self.top, self.bottom)? })
    }
}

impl fmt::Display for Margins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Margins { top, bottom, left, right } = self;
        write!(f, "{top} at the top, {bottom} at the bottom, {left} at the left and {right} at the right")
    }
}

impl Inside {
    /// The same pixels in a part of the picture, which is mirrored left to right if `flip` is set.
    pub fn cut(self, corner: [usize; 2], size: [usize; 2], flip: bool) -> Inside {
        let within = |[first, end]: [usize; 2], axis: usize| {
            let part = |place: usize| place.saturating_sub(corner[axis]).min(size[axis]);
            [part(first), part(end)]
        };
        let [first, end] = within(self.columns, 0);
        let columns = if flip { [size[0] - end, size[0] - first] } else { [first, end] };
        Inside { columns, rows: within(self.rows, 1) }
    }

    /// Appends whether each pixel of a picture of this width and height lies in it, row by row.
    pub fn append(self, [width, height]: [usize; 2], mask: &mut Vec<bool>) {
        let is_in = |[first, end]: [usize; 2], place: usize| (first..end).contains(&place);
        mask.extend(
            (0..height)
                .flat_map(|row| (0..width).map(move |column| is_in(self.rows, row) && is_in(self.columns, column))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_leave_what_is_not_theirs_and_nothing_of_an_image_that_is_all_margin() {
        let margins = Margins { top: 1, bottom: 2, left: 0, right: 1 };
        let mut mask = Vec::new();
        margins.inside([3, 4]).unwrap().append([3, 4], &mut mask);
        assert_eq!(mask, [[false; 3], [true, true, false], [false; 3], [false; 3]].concat());
        assert_eq!(margins.inside([3, 3]), None);
        assert_eq!(margins.inside([1, 4]), None);
        assert_eq!(Margins { right: 5, ..Margins::default() }.inside([4, 4]), None);
    }
}
