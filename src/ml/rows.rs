//! Logits at the size of the image, one row at a time.
//!
//! Class maps and entropy maps are computed at full size, where a float for each class and pixel takes forty times the
//! image's memory; each of softmax, logarithm and sum would go through all of it. A row of all classes stays in the CPU's
//! cache from the first of these to the last. Bilinear, like [`equations::upsample`](crate::equations::upsample); rows are
//! independent, so threads share them without changing any number. Knows neither entropy nor the classes' meanings.
use std::ops::Range;
use std::thread;

use tch::{Device, Kind};

use crate::equations::Alignment;
use crate::network::Prediction;

/// Logits of one image, to be read at another size.
pub(crate) struct Rows {
    /// Row by row of the small map, within each class by class: `h × C × w`.
    values: Vec<f32>,
    classes: usize,
    /// Columns of the small map.
    narrow: usize,
    columns: Vec<Between>,
    rows: Vec<Between>,
}

/// A pixel's position between two of the small map.
#[derive(Clone, Copy)]
struct Between {
    /// The first of them, and the offset of the second: 0 at the last.
    first: usize,
    step: usize,
    /// The second's weight, in 0..1.
    share: f32,
}

impl Between {
    /// Maps `to` pixels to `from`.
    fn all(from: usize, to: usize, alignment: Alignment) -> Vec<Between> {
        let (scale, shift) = match alignment {
            Alignment::Corners if to > 1 => ((from - 1) as f32 / (to - 1) as f32, 0.0),
            Alignment::Corners => (0.0, 0.0),
            // From the centre of a pixel, half a pixel from its edge.
            Alignment::Edges => (from as f32 / to as f32, 0.5),
        };
        let at = |pixel: usize| {
            let position = ((pixel as f32 + shift) * scale - shift).max(0.0);
            let first = (position as usize).min(from - 1);
            Between { first, step: usize::from(first + 1 < from), share: (position - first as f32).clamp(0.0, 1.0) }
        };
        (0..to).map(at).collect()
    }
}

impl Rows {
    /// Logits of shape `1×C×h×w`, of any kind and on any device, to be read at `size` (width, height) in float32.
    ///
    /// # Panics
    /// If they are of another shape or have no element, or a side of `size` is 0.
    pub(crate) fn new(prediction: &Prediction, size: [usize; 2]) -> Rows {
        let Prediction { logits, alignment } = prediction;
        let [1, classes, height, width] = logits.size()[..] else { panic!("logits of one image, not {logits:?}") };
        assert!(classes * height * width > 0 && !size.contains(&0), "no picture of {size:?} from {logits:?}");
        let values = logits.to_device(Device::Cpu).to_kind(Kind::Float).squeeze_dim(0).permute([1, 0, 2]);
        let values = Vec::try_from(values.contiguous().view(-1)).expect("a flat tensor of floats is a vector");
        let [classes, height, width] = [classes, height, width].map(|side| side as usize);
        let [columns, rows] =
            [(width, size[0]), (height, size[1])].map(|(from, to)| Between::all(from, to, *alignment));
        Rows { values, classes, narrow: width, columns, rows }
    }

    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    pub(crate) fn height(&self) -> usize {
        self.rows.len()
    }

    /// Writes a row, class by class: `C × width`. `scratch` is a buffer for reuse.
    pub(crate) fn read(&self, row: usize, scratch: &mut Vec<f32>, out: &mut [f32]) {
        let Between { first, step, share } = self.rows[row];
        let line = self.classes * self.narrow;
        let [above, below] = [first, first + step].map(|row| &self.values[row * line..][..line]);
        scratch.clear();
        scratch.extend(above.iter().zip(below).map(|(above, below)| mix(*above, *below, share)));
        for (small, out) in scratch.chunks_exact(self.narrow).zip(out.chunks_exact_mut(self.width())) {
            for (out, &Between { first, step, share }) in out.iter_mut().zip(&self.columns) {
                *out = mix(small[first], small[first + step], share);
            }
        }
    }

    /// Calls `work` with ranges that together cover all rows, each in a thread; the results are in the order of the rows.
    /// Uses as many threads as libtorch.
    pub(crate) fn shared_out<T: Send>(&self, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
        let threads = (tch::get_num_threads().max(1) as usize).min(self.height());
        let bound = |band: usize| band * self.height() / threads;
        let work = &work;
        thread::scope(|scope| {
            let band = |band| scope.spawn(move || work(bound(band)..bound(band + 1)));
            // The last band runs on this thread, which would only wait.
            let others: Vec<_> = (0..threads - 1).map(band).collect();
            let last = work(bound(threads - 1)..self.height());
            let joined =
                others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.chain([last]).collect()
        })
    }
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a * (1.0 - share) + b * share
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, prop_assert, prop_oneof, proptest};
    use tch::Tensor;

    use super::*;
    use crate::equations;

    proptest! {
        #[test]
        fn rows_are_those_of_bilinear_upsampling(
            from in (1i64..9, 1i64..9),
            to in (1usize..40, 1usize..40),
            seed in 0..1000i64,
            alignment in prop_oneof![Just(Alignment::Corners), Just(Alignment::Edges)],
        ) {
            tch::manual_seed(seed);
            let logits = Tensor::randn([1, 3, from.0, from.1], (Kind::Float, Device::Cpu));
            let wanted = equations::upsample(&logits, [to.1 as i64, to.0 as i64], alignment);
            let rows = Rows::new(&Prediction { logits, alignment }, [to.0, to.1]);
            let (mut scratch, mut row) = (Vec::new(), vec![0f32; 3 * to.0]);
            for y in 0..to.1 {
                rows.read(y, &mut scratch, &mut row);
                let wanted = Vec::<f32>::try_from(wanted.select(2, y as i64).contiguous().view(-1)).unwrap();
                for (ours, theirs) in row.iter().zip(&wanted) {
                    prop_assert!((ours - theirs).abs() < 5e-6, "row {}: {} is not {}", y, ours, theirs);
                }
            }
        }

        #[test]
        fn every_row_is_given_to_one_thread_and_in_order(height in 1usize..50) {
            let logits = Tensor::zeros([1, 2, 2, 2], (Kind::Float, Device::Cpu));
            let rows = Rows::new(&Prediction { logits, alignment: Alignment::Edges }, [1, height]);
            let given: Vec<usize> = rows.shared_out(|rows| rows.collect::<Vec<_>>()).into_iter().flatten().collect();
            prop_assert!(given.into_iter().eq(0..height));
        }
    }
}
