//! What an image holds and where, in short: the shares of the predicted classes in each cell of a grid.
//!
//! Made from a class map, so it needs no second look at the image, and works for every network. Two street scenes differ in it if a
//! car stands elsewhere, not if the light differs. Knows no rule.

use super::mask::Mask;

/// Cells across and down.
const GRID: usize = 4;

/// Shares of the classes, cell by cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout(Vec<f32>);

impl Layout {
    /// Of a map of class indices below `classes`. A cell without such a pixel has no shares.
    pub fn of(map: &Mask, classes: usize) -> Layout {
        let [width, height] = map.size().map(|side| side as usize);
        let mut counts = vec![0_u32; GRID * GRID * classes];
        for (y, row) in map.bytes().chunks_exact(width.max(1)).enumerate() {
            let down = y * GRID / height * GRID;
            for (x, class) in row.iter().map(|class| usize::from(*class)).enumerate() {
                if class < classes {
                    counts[(down + x * GRID / width) * classes + class] += 1;
                }
            }
        }
        let shares = counts.chunks_exact(classes.max(1)).flat_map(|cell| {
            let all = cell.iter().sum::<u32>().max(1) as f32;
            cell.iter().map(move |count| *count as f32 / all)
        });
        Layout(shares.collect())
    }

    /// From 0 (the same shares in each cell) to 1 (no class in common in any cell): half the sum of the absolute differences
    /// in each cell, averaged over the cells.
    pub fn distance(&self, other: &Layout) -> f32 {
        let sum: f32 = self.0.iter().zip(&other.0).map(|(a, b)| (a - b).abs()).sum();
        sum / 2.0 / (GRID * GRID) as f32
    }

    /// The mean of some.
    pub fn mean<'a>(layouts: impl Iterator<Item = &'a Layout>) -> Layout {
        let mut sum: Vec<f64> = Vec::new();
        let mut count = 0.0;
        for layout in layouts {
            sum.resize(layout.0.len(), 0.0);
            sum.iter_mut().zip(&layout.0).for_each(|(sum, share)| *sum += f64::from(*share));
            count += 1.0;
        }
        Layout(sum.into_iter().map(|sum| (sum / count) as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves(left: u8, right: u8) -> Layout {
        let bytes = (0..8 * 8).map(|i| if i % 8 < 4 { left } else { right }).collect();
        Layout::of(&Mask::new([8, 8], bytes), 3)
    }

    #[test]
    fn the_distance_is_0_for_the_same_and_1_for_nothing_in_common_and_sees_the_place() {
        assert_eq!(halves(0, 1).distance(&halves(0, 1)), 0.0);
        assert_eq!(halves(0, 0).distance(&halves(1, 2)), 1.0);
        assert_eq!(halves(0, 1).distance(&halves(0, 2)), 0.5);
        assert_eq!(halves(0, 1).distance(&halves(1, 0)), 1.0, "the shares of the whole image are the same");
    }

    #[test]
    fn small_and_ignored_maps_have_a_layout() {
        let small = Layout::of(&Mask::new([1, 1], vec![2]), 3);
        assert_eq!(small.distance(&small), 0.0);
        let none = Layout::of(&Mask::ignored([3, 3]), 3);
        assert!(none.0.iter().all(|share| *share == 0.0));
        assert_eq!(Layout::mean([halves(0, 0), halves(1, 1)].iter()).distance(&halves(0, 1)), 0.5);
    }
}
