//! One pass through a data set, in order, a sample at a time: for inference and evaluation.
//!
//! Unlike a [`super::loader::Loader`] it makes no random changes and keeps the stored label size, as evaluation resizes the
//! prediction to the label and not the reverse (released code, `eval_UDA.py`); the photograph is kept for overlays.

use std::num::NonZeroUsize;
use std::sync::Arc;

use intrada_data::DataError;
use intrada_data::prefetch::Prefetch;
use intrada_data::raster::{Index, Rgb};
use intrada_data::resize::Scaling;
use intrada_data::source::{Example, LabelUse, Reader, Source};
use tch::Tensor;

use super::input::Input;
use crate::network::Normalization;

/// One sample of a pass.
pub struct Frame {
    /// Its name.
    pub name: String,
    /// The photograph as stored, or as the network sees it: see [`Photographs`].
    pub photograph: Rgb,
    /// Class indices (255 = ignore) as stored, at their own size; none if labels are ignored.
    pub label: Option<Index>,
    /// The photograph at the data set's size, if that is another.
    resized: Option<Rgb>,
    /// Bytes become the network's input, four times as large, where it is needed.
    format: Arc<Input>,
}

impl Frame {
    /// A photograph as a network with this input format sees it.
    pub fn new(name: impl Into<String>, photograph: Rgb, normalization: &Normalization) -> Frame {
        let format = Arc::new(Input::new(normalization));
        Frame { name: name.into(), photograph, label: None, resized: None, format }
    }

    /// The same, seen at the size that it takes on for images of a data set of this `size`.
    #[must_use]
    pub fn scaled(self, scaling: Scaling, size: [usize; 2]) -> Frame {
        Frame { resized: scaling.unless_equal(&self.photograph, size), ..self }
    }

    /// The image as the network sees it, changed; without its label.
    pub(crate) fn changed(&self, change: impl FnOnce(&Rgb) -> Rgb) -> Frame {
        let photograph = change(self.seen());
        Frame { name: self.name.clone(), photograph, label: None, resized: None, format: Arc::clone(&self.format) }
    }

    /// What the network sees: the photograph at the data set's size.
    fn seen(&self) -> &Rgb {
        self.resized.as_ref().unwrap_or(&self.photograph)
    }

    /// Width and height of the network's input.
    pub fn seen_size(&self) -> [usize; 2] {
        self.seen().size()
    }

    /// `1×3×H×W`, float32, at the data set's size, in the network's input format.
    pub fn input(&self) -> Tensor {
        self.part([0, 0], self.seen_size())
    }

    /// The same of a part with this upper left corner and this width and height.
    ///
    /// # Panics
    /// If it is not inside of the image.
    pub fn part(&self, corner: [usize; 2], size: [usize; 2]) -> Tensor {
        self.format.part(self.seen(), corner, size)
    }
}

/// Which photographs the frames of a pass have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Photographs {
    /// As stored, for pictures, and what the network sees.
    AsStored,
    /// Only what the network sees: if samples are kept, no file of an image is opened.
    AsSeen,
}

/// The samples of a data set in order, prepared ahead by threads.
pub struct Pass {
    prepared: Prefetch<Result<Frame, DataError>>,
    samples: usize,
}

impl Pass {
    /// Checks the data set's list and starts the threads.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn open(
        source: &Source,
        normalization: &Normalization,
        labels: LabelUse,
        photographs: Photographs,
        threads: NonZeroUsize,
    ) -> Result<Self, DataError> {
        let reader = Reader::new(source)?;
        let samples = (0..reader.len()).collect();
        Ok(Self::over(reader, samples, normalization, labels, photographs, threads))
    }

    /// The same, of these samples alone, in this order.
    ///
    /// # Errors
    /// As [`Reader::new`].
    ///
    /// # Panics
    /// If the data set has fewer samples than one of these numbers says.
    pub fn open_some(
        source: &Source,
        samples: Vec<usize>,
        normalization: &Normalization,
        labels: LabelUse,
        photographs: Photographs,
        threads: NonZeroUsize,
    ) -> Result<Self, DataError> {
        let reader = Reader::new(source)?;
        assert!(samples.iter().all(|&sample| sample < reader.len()), "a sample that the data set doesn't have");
        Ok(Self::over(reader, samples, normalization, labels, photographs, threads))
    }

    fn over(
        reader: Reader,
        samples: Vec<usize>,
        normalization: &Normalization,
        labels: LabelUse,
        photographs: Photographs,
        threads: NonZeroUsize,
    ) -> Self {
        let (format, count) = (Arc::new(Input::new(normalization)), samples.len());
        let prepare = move |i: u64| prepare(&reader, &format, samples[i as usize], labels, photographs);
        let prepared = Prefetch::start(0..count as u64, threads, threads.saturating_add(1), prepare);
        Self { prepared, samples: count }
    }

    /// The number of samples of the whole pass; of a whole data set, at least 1.
    pub fn samples(&self) -> usize {
        self.samples
    }
}

impl Iterator for Pass {
    type Item = Result<Frame, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.prepared.next()
    }
}

fn prepare(
    reader: &Reader,
    format: &Arc<Input>,
    sample: usize,
    labels: LabelUse,
    photographs: Photographs,
) -> Result<Frame, DataError> {
    let (Example { image, label, .. }, resized) = match photographs {
        Photographs::AsStored => reader.read_and_resize(sample, labels)?,
        Photographs::AsSeen => (reader.read_seen(sample, labels)?, None),
    };
    let name = reader.name(sample).to_owned();
    Ok(Frame { name, photograph: image, label, resized, format: Arc::clone(format) })
}

#[cfg(test)]
mod tests {
    use intrada_data::margins::Margins;
    use intrada_data::scenes::{self, Style};

    use super::*;
    use crate::network::ChannelOrder;

    const PLAIN: Normalization = Normalization { channels: ChannelOrder::Rgb, mean: [0.0; 3], scale: [1.0; 3] };

    #[test]
    fn a_pass_gives_each_sample_once_and_in_order() {
        let source = Source::Scenes {
            style: Style::Target,
            seed: 1,
            first: 4,
            count: 7,
            only: None,
            labels: None,
            size: Some([64, 32]),
            margins: Margins::default(),
        };
        let threads = NonZeroUsize::new(3).unwrap();
        let pass =
            Pass::open(&source, &PLAIN, LabelUse::Required { classes: 8 }, Photographs::AsStored, threads).unwrap();
        assert_eq!(pass.samples(), 7);
        let frames: Vec<Frame> = pass.map(Result::unwrap).collect();
        let names: Vec<&str> = frames.iter().map(|frame| frame.name.as_str()).collect();
        assert_eq!(names, (4..11).map(scenes::name).collect::<Vec<_>>());
        let (photograph, label) = scenes::scene(Style::Target, 1, 5);
        assert_eq!(frames[1].input().size(), [1, 3, 32, 64]);
        assert_eq!(frames[1].seen_size(), [64, 32]);
        assert_eq!((&frames[1].photograph, &frames[1].label), (&photograph, &Some(label)), "these stay as stored");
        let some =
            Pass::open_some(&source, vec![5, 1], &PLAIN, LabelUse::Ignored, Photographs::AsSeen, threads).unwrap();
        let some: Vec<Frame> = some.map(Result::unwrap).collect();
        assert_eq!(some.iter().map(|frame| frame.name.as_str()).collect::<Vec<_>>(), [names[5], names[1]]);
        assert_eq!(some[1].photograph.size(), [64, 32], "all that is seen");
        assert!(some[1].input().equal(&frames[1].input()));
    }
}
