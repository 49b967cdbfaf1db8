//! Converts bytes to a network's input: channel order, mean, scale, and planes instead of pixels.

use intrada_data::raster::Rgb;
use tch::{Device, Kind, Tensor};

use crate::network::{ChannelOrder, Normalization};

/// A normalisation, precomputed for each of the 256 values of each channel.
pub struct Input {
    /// The image's channel that becomes plane 0, 1, 2, and its normalised values.
    planes: [(usize, [f32; 256]); 3],
}

impl Input {
    /// `(x − mean) / scale` in float32, once per value and not per pixel.
    pub fn new(normalization: &Normalization) -> Self {
        let Normalization { channels, mean, scale } = normalization;
        let plane = |plane: usize| {
            let channel = match channels {
                ChannelOrder::Rgb => plane,
                ChannelOrder::Bgr => 2 - plane,
            };
            (channel, std::array::from_fn(|value| (value as f32 - mean[plane]) / scale[plane]))
        };
        Self { planes: [plane(0), plane(1), plane(2)] }
    }

    /// Appends the three planes of an image (3·H·W values) to a batch.
    pub fn append(&self, image: &Rgb, values: &mut Vec<f32>) {
        for (channel, table) in &self.planes {
            values.extend(image.pixels().iter().map(|pixel| table[usize::from(pixel[*channel])]));
        }
    }

    /// The part of an image with this upper left corner and this width and height, as `1×3×h×w` in float32.
    ///
    /// # Panics
    /// If it is not inside of the image.
    pub fn part(&self, image: &Rgb, corner: [usize; 2], size: [usize; 2]) -> Tensor {
        let [width, height] = size.map(|side| side as i64);
        let tensor = Tensor::empty([1, 3, height, width], (Kind::Float, Device::Cpu));
        let rows = || image.rows().skip(corner[1]).take(size[1]).map(|row| &row[corner[0]..][..size[0]]);
        // One plane after the other, so that no more than one of them is in memory twice.
        for (index, (channel, table)) in (0..).zip(&self.planes) {
            let mut values = Vec::with_capacity(size[0] * size[1]);
            rows().for_each(|row| values.extend(row.iter().map(|pixel| table[usize::from(pixel[*channel])])));
            tensor.select(1, index).copy_(&Tensor::from_slice(&values).view([1, height, width]));
        }
        tensor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_in_the_networks_order_and_normalised() {
        let image = Rgb::new(2, 1, vec![10, 20, 30, 40, 50, 60]);
        let values = |channels| {
            let mut values = Vec::new();
            Input::new(&Normalization { channels, mean: [1.0, 2.0, 3.0], scale: [1.0, 2.0, 3.0] })
                .append(&image, &mut values);
            values
        };
        assert_eq!(values(ChannelOrder::Rgb), [9.0, 39.0, 9.0, 24.0, 9.0, 19.0]);
        assert_eq!(values(ChannelOrder::Bgr), [29.0, 59.0, 9.0, 24.0, 7.0 / 3.0, 37.0 / 3.0]);
    }

    #[test]
    fn a_part_is_cut_out_of_the_planes() {
        let image = Rgb::new(5, 4, (0..60).collect());
        let normalization =
            Normalization { channels: ChannelOrder::Bgr, mean: [1.0, 2.0, 3.0], scale: [4.0, 5.0, 7.0] };
        let input = Input::new(&normalization);
        let mut values = Vec::new();
        input.append(&image, &mut values);
        let planes = Tensor::from_slice(&values).view([1, 3, 4, 5]);
        assert!(input.part(&image, [0, 0], [5, 4]).equal(&planes));
        assert!(input.part(&image, [1, 2], [3, 2]).equal(&planes.narrow(2, 2, 2).narrow(3, 1, 3)));
    }
}
