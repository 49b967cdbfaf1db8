//! How a network looks at an image: whole, or through a window that slides over it, and whether also at its mirror image.
//!
//! As in the released code of SegFormer, HRDA and MIC (mmsegmentation, `slide_inference`): windows stand at multiples of the
//! stride, the last ones moved inside of the image; the **logits** of each are enlarged to the window, added up where windows
//! overlap, and divided by their number; the mean is resized from the image's size to the requested one. So a window as
//! large as the image differs from a whole image only in that second resizing, which DAFormer's evaluation has too.
//!
//! The mirror image is looked at in the same way, its windows at multiples of the stride from *its* left side, and the mean
//! is taken over the logits. (mmsegmentation's takes it over the softmax. Logits have one mean for class maps and entropies,
//! and a row of them is all that is ever held.)
//!
//! Logits of a large image are never held at its size, nor all of its windows': windows are looked at from the top, their
//! logits kept as small as the network gives them, and the rows that no further window reaches are handed on. Knows neither
//! entropy nor files, and no particular network.
#[cfg(test)]
use std::ops::Range;
use std::sync::Arc;

use tch::{Kind, Tensor};

use crate::data::pass::Frame;
use crate::equations::Alignment;
use crate::network::Prediction;
use crate::rows::{Lines, Real, Resized, Rows, Scaling, Scratch, Target};

/// A window that slides over an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    size: [usize; 2],
    stride: [usize; 2],
}

impl Window {
    /// Of this width and height, at multiples of this stride (in x and in y). None if a stride is 0, or larger than the
    /// window, so that pixels between two windows would not be seen.
    pub fn new(size: [usize; 2], stride: [usize; 2]) -> Option<Window> {
        let is_seen = |axis: usize| (1..=size[axis]).contains(&stride[axis]);
        [0, 1].into_iter().all(is_seen).then_some(Window { size, stride })
    }
}

/// How images are looked at. The default: whole, and not mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The window, if it isn't the whole image.
    pub window: Option<Window>,
    /// Whether the mirror image counts as much as the image.
    pub mirrored_too: bool,
}

impl View {
    /// Width and height of what the network sees at once of an image of this size: a window is never larger than that.
    pub fn at_once(&self, image: [usize; 2]) -> [usize; 2] {
        self.window.map_or(image, |window| [0, 1].map(|axis| window.size[axis].min(image[axis])))
    }
}

/// A network without anything but its logits: input `1×3×h×w`, float32, on the CPU → `1×C×h'×w'`, of any kind, on any
/// device.
pub type Eye<'a> = dyn Fn(&Tensor) -> Tensor + 'a;

/// An image as a network sees it.
pub enum Sight<'a> {
    /// At once: its logits.
    Whole(Prediction),
    /// In windows, each of which is looked at when its rows are needed.
    Windows(Sliding<'a>),
}

impl From<Prediction> for Sight<'_> {
    fn from(prediction: Prediction) -> Self {
        Sight::Whole(prediction)
    }
}

impl<'a> Sight<'a> {
    /// Looks at an image, or prepares to. `alignment` is the network's.
    pub fn new(frame: &'a Frame, view: View, alignment: Alignment, eye: &'a Eye) -> Sight<'a> {
        let View { window, mirrored_too } = view;
        if let Some(window) = window {
            return Sight::Windows(Sliding { frame, window, mirrored_too, alignment, eye });
        }
        let input = frame.input();
        let mut logits = eye(&input);
        if mirrored_too {
            // The grid of the mirror image is the mirror image of the grid, so it makes no difference which is enlarged.
            logits = (logits + mirrored(&eye(&mirrored(&input)))) * 0.5;
        }
        Sight::Whole(Prediction { logits, alignment })
    }

    /// Shows the image to several targets, each at its own size. Whether all logits were finite.
    ///
    /// # Panics
    /// If they are not those of one image.
    pub(crate) fn show(&self, targets: &mut [&mut dyn Target<f32>]) -> bool {
        match self {
            Sight::Whole(prediction) => {
                for target in targets {
                    let rows = Rows::new(prediction, target.size());
                    target.take(&rows, 0..rows.height());
                }
                is_finite(&prediction.logits)
            }
            Sight::Windows(sliding) => sliding.show(targets),
        }
    }
}

/// An image and the window that slides over it.
pub struct Sliding<'a> {
    frame: &'a Frame,
    window: Window,
    mirrored_too: bool,
    alignment: Alignment,
    eye: &'a Eye<'a>,
}

impl Sliding<'_> {
    /// See [`Sight::show`].
    pub(crate) fn show<F: Real>(&self, targets: &mut [&mut dyn Target<F>]) -> bool {
        let Sliding { frame, window, mirrored_too, alignment, eye: _ } = *self;
        let image = frame.seen_size();
        let size = View { window: Some(window), mirrored_too }.at_once(image);
        let [columns, tops] = [0, 1].map(|axis| places(image[axis], size[axis], window.stride[axis]));
        let mut sides = vec![Side::new(columns, size[0], image[0], false)];
        if mirrored_too {
            sides.push(Side::new(
                sides[0].columns.iter().map(|x| image[0] - size[0] - x).collect(),
                size[0],
                image[0],
                true,
            ));
        }
        let resizings: Vec<Option<Scaling<F>>> = targets
            .iter()
            .map(|target| (target.size() != image).then(|| Scaling::new(image, target.size(), alignment)))
            .collect();
        let mut shown = vec![0; targets.len()];
        let (mut scaling, mut finite) = (None, true);
        let mut strips: Vec<Strip<F>> = Vec::new();
        for (strip, &top) in tops.iter().enumerate() {
            let end = tops.get(strip + 1).copied().unwrap_or(image[1]);
            let mut look = |side: &Side<F>, x: usize| {
                let logits = self.look([x, top], size, side.is_mirrored);
                finite &= is_finite(&logits);
                let grid = [3, 2].map(|axis| logits.size()[axis] as usize);
                let scaling = scaling.get_or_insert_with(|| Arc::new(Scaling::new(grid, size, alignment)));
                Rows::scaled(&logits, Arc::clone(scaling))
            };
            let of_side = |side| Side::look(side, &mut look);
            strips.push(Strip { top, windows: sides.iter().map(of_side).collect() });
            let band = Band { strips: &strips, sides: &sides, window: size, width: image[0] };
            for ((target, resizing), shown) in targets.iter_mut().zip(&resizings).zip(&mut shown) {
                // Rows that no later window reaches, and at another size those that are made of such rows.
                let rows = *shown..resizing.as_ref().map_or(end, |scaling| scaling.first_beyond(end));
                *shown = rows.end;
                match resizing {
                    _ if rows.is_empty() => {}
                    None => target.take(&band, rows),
                    Some(scaling) => target.take(&Resized { lines: &band, scaling }, rows),
                }
            }
            // At another size, the last row of this band may be needed once more.
            strips.retain(|strip| strip.top + size[1] >= end);
        }
        finite
    }

    /// The logits of one window.
    fn look(&self, corner: [usize; 2], size: [usize; 2], is_mirrored: bool) -> Tensor {
        let input = self.frame.part(corner, size);
        if is_mirrored { mirrored(&(self.eye)(&mirrored(&input))) } else { (self.eye)(&input) }
    }
}

/// The left or top sides of the windows: multiples of the stride, the last one moved inside.
fn places(side: usize, window: usize, stride: usize) -> Vec<usize> {
    let last = side - window;
    (0..last).step_by(stride).chain([last]).collect()
}

fn mirrored(images: &Tensor) -> Tensor {
    images.flip([3])
}

fn is_finite(logits: &Tensor) -> bool {
    logits.isfinite().all().to_kind(Kind::Int64).int64_value(&[]) == 1
}

/// The windows of a strip that look at the image, or those that look at the mirror image.
struct Side<F> {
    /// Their left sides in the image.
    columns: Vec<usize>,
    /// For each column of the image, how many of them see it.
    counts: Vec<F>,
    is_mirrored: bool,
}

impl<F: Real> Side<F> {
    fn new(columns: Vec<usize>, window: usize, width: usize, is_mirrored: bool) -> Side<F> {
        let mut counts = vec![F::ZERO; width];
        for x in &columns {
            counts[*x..][..window].iter_mut().for_each(|count| *count += F::ONE);
        }
        Side { columns, counts, is_mirrored }
    }

    fn look(&self, look: &mut impl FnMut(&Side<F>, usize) -> Rows<F>) -> Vec<Rows<F>> {
        self.columns.iter().map(|x| look(self, *x)).collect()
    }
}

/// All windows at one height.
struct Strip<F> {
    top: usize,
    /// For each side.
    windows: Vec<Vec<Rows<F>>>,
}

/// The strips that cover some rows completely: means over the windows that see a pixel.
struct Band<'a, F> {
    strips: &'a [Strip<F>],
    sides: &'a [Side<F>],
    /// Width and height.
    window: [usize; 2],
    /// The image's.
    width: usize,
}

impl<F: Real> Band<'_, F> {
    /// The mean over the windows of one side.
    fn mean(&self, side: usize, row: usize, line: &mut Vec<F>, out: &mut [F]) {
        out.fill(F::ZERO);
        let Side { columns, counts, .. } = &self.sides[side];
        let mut strips = 0;
        for Strip { top, windows } in self.strips {
            if !(*top..top + self.window[1]).contains(&row) {
                continue;
            }
            strips += 1;
            for (window, x) in windows[side].iter().zip(columns) {
                window.add(row - top, line, out, [self.width, *x]);
            }
        }
        let strips = F::of(strips);
        for out in out.chunks_exact_mut(self.width) {
            out.iter_mut().zip(counts).for_each(|(out, count)| *out = *out / (*count * strips));
        }
    }
}

impl<F: Real> Lines<F> for Band<'_, F> {
    fn classes(&self) -> usize {
        self.strips[0].windows[0][0].classes()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn read(&self, row: usize, scratch: &mut Scratch<F>, out: &mut [F]) {
        let Scratch { line, mirrored, .. } = scratch;
        self.mean(0, row, line, out);
        if self.sides.len() > 1 {
            mirrored.resize(out.len(), F::ZERO);
            self.mean(1, row, line, mirrored);
            out.iter_mut().zip(mirrored).for_each(|(out, mirrored)| *out = (*out + *mirrored) * F::HALF);
        }
    }
}

/// All rows of an image as a tensor, for tests.
#[cfg(test)]
pub(crate) struct Whole<F> {
    size: [usize; 2],
    /// Row by row, within each class by class.
    values: Vec<F>,
    /// The first row of each part.
    pub(crate) parts: Vec<usize>,
}

#[cfg(test)]
impl<F: Real> Whole<F> {
    pub(crate) fn new(size: [usize; 2]) -> Whole<F> {
        Whole { size, values: Vec::new(), parts: Vec::new() }
    }

    /// C×H×W.
    pub(crate) fn tensor(&self) -> Tensor {
        let [width, height] = self.size.map(|side| side as i64);
        Tensor::from_slice(&self.values).view([height, -1, width]).permute([1, 0, 2])
    }
}

#[cfg(test)]
impl<F: Real> Target<F> for Whole<F> {
    fn size(&self) -> [usize; 2] {
        self.size
    }

    fn take(&mut self, lines: &dyn Lines<F>, rows: Range<usize>) {
        let line = lines.classes() * lines.width();
        assert_eq!(self.values.len(), rows.start * line, "rows come in order and none is left out");
        self.parts.push(rows.start);
        let mut scratch = Scratch::default();
        let mut row = vec![F::ZERO; line];
        for y in rows {
            lines.read(y, &mut scratch, &mut row);
            self.values.extend_from_slice(&row);
        }
    }
}

#[cfg(test)]
mod tests;
