//! Logits at the size of the image, one row at a time.
//!
//! Class maps and entropy maps are computed at full size, where a float for each class and pixel takes forty times the
//! image's memory; each of softmax, logarithm and sum would go through all of it. A row of all classes stays in the CPU's
//! cache from the first of these to the last. Bilinear, like [`equations::upsample`](crate::equations::upsample); rows are
//! independent, so threads share them without changing any number. Knows neither entropy nor the classes' meanings, nor where
//! rows come from other than [`Rows`]: see [`sight`](crate::sight).
use std::ops::{Add, AddAssign, Div, Mul, Range, Sub};
use std::sync::Arc;
use std::{mem, thread};

use tch::Tensor;
use tch::kind::Element;

use crate::equations::Alignment;
use crate::network::Prediction;

/// The numbers of logits: single precision, or double to compare with other programs.
pub(crate) trait Real:
    Element
    + Copy
    + Send
    + Sync
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
{
    const HALF: Self;
    const ONE: Self;

    /// An integer below 2²⁴.
    fn of(integer: usize) -> Self;

    /// The largest integer that isn't above; 0 for negative numbers.
    fn whole(self) -> usize;
}

impl Real for f32 {
    const HALF: f32 = 0.5;
    const ONE: f32 = 1.0;

    fn of(integer: usize) -> f32 {
        integer as f32
    }

    fn whole(self) -> usize {
        self as usize
    }
}

impl Real for f64 {
    const HALF: f64 = 0.5;
    const ONE: f64 = 1.0;

    fn of(integer: usize) -> f64 {
        integer as f64
    }

    fn whole(self) -> usize {
        self as usize
    }
}

/// All classes of an image, row by row.
pub(crate) trait Lines<F>: Sync {
    /// C.
    fn classes(&self) -> usize;

    /// Pixels of a row.
    fn width(&self) -> usize;

    /// Writes a row, class by class: `C × width`. `scratch` is for these lines alone.
    fn read(&self, row: usize, scratch: &mut Scratch<F>, out: &mut [F]);
}

/// What takes all rows of an image in order, some of them at a time.
pub(crate) trait Target<F> {
    /// Width and height of the image that it takes.
    fn size(&self) -> [usize; 2];

    /// Takes these rows, the ones after those before.
    fn take(&mut self, lines: &dyn Lines<F>, rows: Range<usize>);
}

/// Buffers for reuse from row to row.
pub(crate) struct Scratch<F> {
    /// A row of a small map.
    pub(crate) line: Vec<F>,
    /// The row as the mirrored image gives it.
    pub(crate) mirrored: Vec<F>,
    /// The two rows that [`Resized`] read last.
    kept: [(Option<usize>, Vec<F>); 2],
}

impl<F> Default for Scratch<F> {
    fn default() -> Scratch<F> {
        let kept = || (None, Vec::new());
        Scratch { line: Vec::new(), mirrored: Vec::new(), kept: [kept(), kept()] }
    }
}

/// Logits of one image, to be read at another size.
pub(crate) struct Rows<F = f32> {
    /// Row by row of the small map, within each class by class: `h × C × w`.
    values: Vec<F>,
    classes: usize,
    /// Columns of the small map.
    narrow: usize,
    scaling: Arc<Scaling<F>>,
}

/// The positions of pixels in a map of another size.
pub(crate) struct Scaling<F> {
    columns: Vec<Between<F>>,
    rows: Vec<Between<F>>,
}

/// A pixel's position between two of the small map.
#[derive(Clone, Copy)]
struct Between<F> {
    /// The first of them, and the offset of the second: 0 at the last.
    first: usize,
    step: usize,
    /// The second's weight, in 0..1.
    share: F,
}

impl<F: Real> Between<F> {
    /// Maps `to` pixels to `from`.
    fn all(from: usize, to: usize, alignment: Alignment) -> Vec<Between<F>> {
        let (scale, shift) = match alignment {
            Alignment::Corners if to > 1 => (F::of(from - 1) / F::of(to - 1), F::ZERO),
            Alignment::Corners => (F::ZERO, F::ZERO),
            // From the centre of a pixel, half a pixel from its edge.
            Alignment::Edges => (F::of(from) / F::of(to), F::HALF),
        };
        let within = |number: F, most: F| {
            let number = if number > F::ZERO { number } else { F::ZERO };
            if number > most { most } else { number }
        };
        let at = |pixel: usize| {
            let position = within((F::of(pixel) + shift) * scale - shift, F::of(from));
            let first = position.whole().min(from - 1);
            let share = within(position - F::of(first), F::ONE);
            Between { first, step: usize::from(first + 1 < from), share }
        };
        (0..to).map(at).collect()
    }
}

impl<F: Real> Scaling<F> {
    /// From a map to one of another size, both width and height.
    pub(crate) fn new(from: [usize; 2], to: [usize; 2], alignment: Alignment) -> Scaling<F> {
        let [columns, rows] = [0, 1].map(|axis| Between::all(from[axis], to[axis], alignment));
        Scaling { columns, rows }
    }

    /// The first of the rows that needs a row of the map from `row` on; their number if none does.
    pub(crate) fn first_beyond(&self, row: usize) -> usize {
        self.rows.partition_point(|between| between.first + between.step < row)
    }

    /// Writes a row: `C × width`, of two rows of the map, `C × w`.
    fn mix(&self, rows: [&[F]; 2], share: F, narrow: usize, scratch: &mut Vec<F>, out: &mut [F]) {
        blend(rows, share, scratch);
        for (small, out) in scratch.chunks_exact(narrow).zip(out.chunks_exact_mut(self.columns.len())) {
            for (out, &Between { first, step, share }) in out.iter_mut().zip(&self.columns) {
                *out = mix(small[first], small[first + step], share);
            }
        }
    }
}

/// Rows that are copied at once.
const BLOCK: usize = 64;

impl<F: Real> Rows<F> {
    /// Logits of shape `1×C×h×w`, of any kind and on any device, to be read at `size` (width, height).
    ///
    /// # Panics
    /// If they are of another shape or have no element, or a side of `size` is 0.
    pub(crate) fn new(Prediction { logits, alignment }: &Prediction, size: [usize; 2]) -> Rows<F> {
        let [1, _, height, width] = logits.size()[..] else { panic!("logits of one image, not {logits:?}") };
        let from = [width, height].map(|side| side as usize);
        assert!(!from.contains(&0) && !size.contains(&0), "no picture of {size:?} from {logits:?}");
        Rows::scaled(logits, Arc::new(Scaling::new(from, size, *alignment)))
    }

    /// The same with a scaling of logits of this shape, which several maps can share.
    ///
    /// # Panics
    /// If they are of another shape or have no element.
    pub(crate) fn scaled(logits: &Tensor, scaling: Arc<Scaling<F>>) -> Rows<F> {
        let [1, classes, height, width] = logits.size()[..] else { panic!("logits of one image, not {logits:?}") };
        assert!(classes * height * width > 0, "no picture from {logits:?}");
        let logits = logits.to_device(tch::Device::Cpu).to_kind(F::KIND).squeeze_dim(0);
        let line = (classes * width) as usize;
        let mut values = vec![F::ZERO; line * height as usize];
        // Some rows at a time, so that large logits are not in memory once more.
        for (block, values) in (0..).zip(values.chunks_mut(line * BLOCK)) {
            let rows = (values.len() / line) as i64;
            let block = logits.narrow(1, block * BLOCK as i64, rows).permute([1, 0, 2]);
            block.contiguous().copy_data(values, values.len());
        }
        Rows { values, classes: classes as usize, narrow: width as usize, scaling }
    }

    pub(crate) fn height(&self) -> usize {
        self.scaling.rows.len()
    }

    /// The two rows of the small map between which a row is, and the second's weight.
    fn around(&self, row: usize) -> ([&[F]; 2], F) {
        let Between { first, step, share } = self.scaling.rows[row];
        let line = self.classes * self.narrow;
        ([first, first + step].map(|row| &self.values[row * line..][..line]), share)
    }

    /// Adds a row to one of `width` pixels for each class, from the pixel `from` on. `line` is a buffer for reuse.
    pub(crate) fn add(&self, row: usize, line: &mut Vec<F>, out: &mut [F], [width, from]: [usize; 2]) {
        let (rows, share) = self.around(row);
        blend(rows, share, line);
        for (small, out) in line.chunks_exact(self.narrow).zip(out.chunks_exact_mut(width)) {
            for (out, &Between { first, step, share }) in out[from..].iter_mut().zip(&self.scaling.columns) {
                *out += mix(small[first], small[first + step], share);
            }
        }
    }
}

impl<F: Real> Lines<F> for Rows<F> {
    fn classes(&self) -> usize {
        self.classes
    }

    fn width(&self) -> usize {
        self.scaling.columns.len()
    }

    fn read(&self, row: usize, scratch: &mut Scratch<F>, out: &mut [F]) {
        let (rows, share) = self.around(row);
        self.scaling.mix(rows, share, self.narrow, &mut scratch.line, out);
    }
}

/// Other lines at another size. A row is made of two of theirs, which are read once where rows are read in order.
pub(crate) struct Resized<'a, F> {
    pub(crate) lines: &'a dyn Lines<F>,
    pub(crate) scaling: &'a Scaling<F>,
}

impl<F: Real> Lines<F> for Resized<'_, F> {
    fn classes(&self) -> usize {
        self.lines.classes()
    }

    fn width(&self) -> usize {
        self.scaling.columns.len()
    }

    fn read(&self, row: usize, scratch: &mut Scratch<F>, out: &mut [F]) {
        let Between { first, step, share } = self.scaling.rows[row];
        let mut kept = mem::replace(&mut scratch.kept, Scratch::default().kept);
        if kept[1].0 == Some(first) {
            kept.swap(0, 1);
        }
        for ((row, values), wanted) in kept.iter_mut().zip([first, first + step]) {
            if *row != Some(wanted) {
                values.resize(self.lines.classes() * self.lines.width(), F::ZERO);
                self.lines.read(wanted, scratch, values);
                *row = Some(wanted);
            }
        }
        let around = [0, 1].map(|which: usize| kept[which].1.as_slice());
        self.scaling.mix(around, share, self.lines.width(), &mut scratch.line, out);
        scratch.kept = kept;
    }
}

/// Calls `work` with ranges that together cover these rows, each in a thread; the results are in the order of the rows.
/// Uses as many threads as libtorch.
pub(crate) fn shared_out<T: Send>(rows: Range<usize>, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let threads = (tch::get_num_threads().max(1) as usize).min(rows.len()).max(1);
    let bound = |band: usize| rows.start + band * rows.len() / threads;
    let work = &work;
    thread::scope(|scope| {
        let band = |band| scope.spawn(move || work(bound(band)..bound(band + 1)));
        // The last band runs on this thread, which would only wait.
        let others: Vec<_> = (0..threads - 1).map(band).collect();
        let last = work(bound(threads - 1)..rows.end);
        let joined =
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.chain([last]).collect()
    })
}

/// What lies between two rows, into a buffer for reuse.
fn blend<F: Real>([above, below]: [&[F]; 2], share: F, line: &mut Vec<F>) {
    line.clear();
    line.extend(above.iter().zip(below).map(|(above, below)| mix(*above, *below, share)));
}

fn mix<F: Real>(a: F, b: F, share: F) -> F {
    a * (F::ONE - share) + b * share
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::equations;

    fn alignments() -> impl Strategy<Value = Alignment> {
        prop_oneof![Just(Alignment::Corners), Just(Alignment::Edges)]
    }

    fn prediction([width, height]: [i64; 2], seed: i64, alignment: Alignment) -> Prediction {
        tch::manual_seed(seed);
        Prediction { logits: Tensor::randn([1, 3, height, width], (Kind::Float, Device::Cpu)), alignment }
    }

    #[test]
    fn rows_of_a_map_with_more_rows_than_are_copied_at_once_are_its_own() {
        let prediction = prediction([5, 2 * BLOCK as i64 + 3], 1, Alignment::Edges);
        let rows = Rows::<f32>::new(&prediction, [5, 2 * BLOCK + 3]);
        let (mut scratch, mut row) = (Scratch::default(), vec![0f32; 3 * 5]);
        for y in 0..rows.height() {
            rows.read(y, &mut scratch, &mut row);
            let wanted = prediction.logits.select(2, y as i64).contiguous().view(-1);
            assert_eq!(row, Vec::<f32>::try_from(wanted).unwrap(), "row {y}");
        }
    }

    proptest! {
        #[test]
        fn rows_are_those_of_bilinear_upsampling(
            from in (1i64..9, 1i64..9),
            to in (1usize..40, 1usize..40),
            seed in 0..1000i64,
            alignment in alignments(),
        ) {
            let prediction = prediction([from.1, from.0], seed, alignment);
            let wanted = equations::upsample(&prediction.logits, [to.1 as i64, to.0 as i64], alignment);
            let rows = Rows::<f32>::new(&prediction, [to.0, to.1]);
            let (mut scratch, mut row) = (Scratch::default(), vec![0f32; 3 * to.0]);
            for y in 0..to.1 {
                rows.read(y, &mut scratch, &mut row);
                let wanted = Vec::<f32>::try_from(wanted.select(2, y as i64).contiguous().view(-1)).unwrap();
                for (ours, theirs) in row.iter().zip(&wanted) {
                    prop_assert!((ours - theirs).abs() < 5e-6, "row {}: {} is not {}", y, ours, theirs);
                }
            }
        }

        #[test]
        fn rows_resized_again_are_those_of_two_upsamplings_in_whatever_order_they_are_read(
            sides in (1i64..6, 1i64..6),
            between in (1usize..20, 1usize..20),
            to in (1usize..30, 1usize..30),
            order in proptest::collection::vec(any::<proptest::sample::Index>(), 1..20),
            alignment in alignments(),
        ) {
            let prediction = prediction([sides.0, sides.1], 7, alignment);
            let once = equations::upsample(&prediction.logits, [between.1 as i64, between.0 as i64], alignment);
            let wanted = equations::upsample(&once, [to.1 as i64, to.0 as i64], alignment);
            let rows = Rows::<f32>::new(&prediction, [between.0, between.1]);
            let scaling = Scaling::new([between.0, between.1], [to.0, to.1], alignment);
            let resized = Resized { lines: &rows, scaling: &scaling };
            let (mut scratch, mut row) = (Scratch::default(), vec![0f32; 3 * to.0]);
            for y in order.iter().map(|index| index.index(to.1)) {
                resized.read(y, &mut scratch, &mut row);
                let wanted = Vec::<f32>::try_from(wanted.select(2, y as i64).contiguous().view(-1)).unwrap();
                for (ours, theirs) in row.iter().zip(&wanted) {
                    prop_assert!((ours - theirs).abs() < 2e-5, "row {}: {} is not {}", y, ours, theirs);
                }
            }
            let beyond = |row: usize| {
                (0..to.1).find(|y| scaling.rows[*y].first + scaling.rows[*y].step >= row).unwrap_or(to.1)
            };
            for row in 0..=between.1 {
                prop_assert_eq!(scaling.first_beyond(row), beyond(row));
            }
        }

        #[test]
        fn every_row_is_given_to_one_thread_and_in_order(start in 0usize..50, height in 0usize..50) {
            let given = shared_out(start..start + height, |rows| rows.collect::<Vec<_>>());
            prop_assert!(given.into_iter().flatten().eq(start..start + height));
        }
    }
}
