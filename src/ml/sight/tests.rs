//! Laws of sliding windows, against sums over whole tensors.
use std::num::NonZeroUsize;

use intrada_data::raster::Rgb;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use tch::Device;

use super::*;
use crate::entropy_inference::{infer, judge, predict, predict_and_infer};
use crate::equations::upsample;
use crate::network::{ChannelOrder, Normalization};

const PLAIN: Normalization = Normalization { channels: ChannelOrder::Rgb, mean: [127.0; 3], scale: [64.0; 3] };

/// An image of noise.
fn frame([width, height]: [usize; 2], seed: u8) -> Frame {
    let noise = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) as u8 ^ seed;
    Frame::new("a", Rgb::new(width, height, (0..width * height * 3).map(noise).collect()), &PLAIN)
}

/// Logits of 4 classes at half the resolution, rounded up. They depend on the place in the window, as those of a network
/// near its borders do, and are not symmetric.
fn eye(input: &Tensor) -> Tensor {
    let size = input.size();
    let [height, width] = [size[2], size[3]];
    let small = input.upsample_bilinear2d([(height + 1) / 2, (width + 1) / 2], false, None, None);
    let across = Tensor::arange((width + 1) / 2, (input.kind(), Device::Cpu)).sin();
    let down = Tensor::arange((height + 1) / 2, (input.kind(), Device::Cpu)).cos().view([-1, 1]);
    let extra = small.select(1, 0) * &across - small.select(1, 2) * &down;
    Tensor::cat(&[small, extra.unsqueeze(1)], 1) * 2.0
}

/// The same in double precision.
fn double(input: &Tensor) -> Tensor {
    eye(&input.to_kind(Kind::Double))
}

/// Sums of enlarged logits over the whole image, divided by counts: mmsegmentation's, with tensors.
fn naive(input: &Tensor, window: Window, alignment: Alignment) -> Tensor {
    let [height, width] = [input.size()[2] as usize, input.size()[3] as usize];
    let options = (Kind::Double, Device::Cpu);
    let sum = Tensor::zeros([1, 4, height as i64, width as i64], options);
    let counts = Tensor::zeros([1, 1, height as i64, width as i64], options);
    let [w, h] = [window.size[0].min(width), window.size[1].min(height)];
    let grids = |side: usize, window: usize, stride: usize| (side - window).div_ceil(stride) + 1;
    for down in 0..grids(height, h, window.stride[1]) {
        for across in 0..grids(width, w, window.stride[0]) {
            let y = (down * window.stride[1]).min(height - h) as i64;
            let x = (across * window.stride[0]).min(width - w) as i64;
            let cut = |all: &Tensor| all.narrow(2, y, h as i64).narrow(3, x, w as i64);
            let _ = cut(&sum).g_add_(&upsample(&double(&cut(input)), [h as i64, w as i64], alignment));
            let _ = cut(&counts).g_add_scalar_(1.0);
        }
    }
    sum / counts
}

fn shown<F: Real>(sight: &Sight, size: [usize; 2]) -> Whole<F> {
    let Sight::Windows(sliding) = sight else { panic!("windows") };
    let mut whole = Whole::new(size);
    assert!(sliding.show(&mut [&mut whole]));
    whole
}

fn away(ours: &Tensor, theirs: &Tensor) -> f64 {
    (ours - theirs.squeeze_dim(0)).abs().max().double_value(&[])
}

/// A window, and an image that may be smaller.
fn windows() -> impl Strategy<Value = ([usize; 2], Window)> {
    ((1usize..40, 1usize..40), (1usize..24, 1usize..24), (any::<u8>(), any::<u8>())).prop_map(
        |(image, size, stride)| {
            let stride = [usize::from(stride.0) % size.0 + 1, usize::from(stride.1) % size.1 + 1];
            ([image.0, image.1], Window::new([size.0, size.1], stride).unwrap())
        },
    )
}

fn alignments() -> impl Strategy<Value = Alignment> {
    prop_oneof![Just(Alignment::Corners), Just(Alignment::Edges)]
}

proptest! {
    #[test]
    fn bands_of_windows_are_sums_of_all_windows_divided_by_their_numbers(
        (image, window) in windows(),
        seed in any::<u8>(),
        alignment in alignments(),
        mirrored_too in any::<bool>(),
        to in (1usize..50, 1usize..50),
    ) {
        let frame = frame(image, seed);
        let input = frame.input().to_kind(Kind::Double);
        let mut theirs = naive(&input, window, alignment);
        if mirrored_too {
            theirs = (theirs + naive(&input.flip([3]), window, alignment).flip([3])) * 0.5;
        }
        let sight = Sight::new(&frame, View { window: Some(window), mirrored_too }, alignment, &double);
        let ours = shown::<f64>(&sight, image);
        prop_assert!(away(&ours.tensor(), &theirs) < 1e-12);
        let resized = upsample(&theirs, [to.1 as i64, to.0 as i64], alignment);
        prop_assert!(away(&shown::<f64>(&sight, [to.0, to.1]).tensor(), &resized) < 1e-11);
    }

    #[test]
    fn windows_stand_at_multiples_of_the_stride_and_the_last_ends_with_the_image(
        side in 1usize..200,
        window in 1usize..100,
        stride in 1usize..100,
    ) {
        let (window, stride) = (window.min(side), stride.min(window).min(side));
        let places = places(side, window, stride);
        prop_assert_eq!(places[0], 0);
        prop_assert_eq!(places[places.len() - 1] + window, side);
        for (index, place) in places[..places.len() - 1].iter().enumerate() {
            prop_assert_eq!(*place, index * stride);
            prop_assert!(places[index + 1] > *place && places[index + 1] <= *place + window, "each pixel is seen");
        }
        let side = Side::<f32>::new(places.clone(), window, side, false);
        for (x, count) in side.counts.iter().enumerate() {
            prop_assert_eq!(*count as usize, places.iter().filter(|place| (**place..**place + window).contains(&x)).count());
        }
    }

    #[test]
    fn a_window_as_large_as_the_image_is_the_whole_image_to_the_bit(
        image in (1usize..40, 1usize..40),
        more in (0usize..9, 0usize..9),
        seed in any::<u8>(),
        alignment in alignments(),
    ) {
        let (frame, size) = (frame([image.0, image.1], seed), [image.0 + more.0, image.1 + more.1]);
        let whole = Sight::new(&frame, View::default(), alignment, &eye);
        let view = View { window: Window::new(size, size), mirrored_too: false };
        let windows = Sight::new(&frame, view, alignment, &eye);
        let [a, b] = [&whole, &windows].map(|sight| infer("a", sight, frame.seen_size(), &[1]).unwrap());
        prop_assert_eq!((&a.prediction, &a.entropy, &a.score), (&b.prediction, &b.entropy, &b.score));
        prop_assert_eq!(predict(&windows, frame.seen_size()), a.prediction);
    }
}

#[test]
fn the_mirror_image_counts_as_much_as_the_image_also_in_a_window_as_large_as_both() {
    let (frame, size) = (frame([37, 22], 3), [40, 30]);
    for alignment in [Alignment::Corners, Alignment::Edges] {
        let view = |window| View { window, mirrored_too: true };
        let Sight::Whole(whole) = Sight::new(&frame, view(None), alignment, &double) else { panic!("it is whole") };
        let input = frame.input();
        let [image, mirror] =
            [input.shallow_clone(), input.flip([3])].map(|x| upsample(&double(&x), [22, 37], alignment));
        let mean = (image + mirror.flip([3])) * 0.5;
        assert!(away(&upsample(&whole.logits, [22, 37], alignment).squeeze_dim(0), &mean) < 1e-13);
        let windows = Sight::new(&frame, view(Window::new(size, size)), alignment, &double);
        assert!(away(&shown::<f64>(&windows, [37, 22]).tensor(), &mean) < 1e-13);
    }
}

#[test]
fn an_image_is_shown_band_by_band_and_threads_change_no_number() {
    let frame = frame([50, 41], 9);
    let view = View { window: Window::new([16, 12], [12, 9]), mirrored_too: true };
    let sight = Sight::new(&frame, view, Alignment::Edges, &eye);
    assert_eq!(shown::<f32>(&sight, [50, 41]).parts, [0, 9, 18, 27, 29]);
    let all = shown::<f32>(&sight, [50, 41]);
    // Each row by itself, and by a thread that begins with it, is the row of one pass.
    struct Rows([usize; 2], usize, Vec<f32>);
    impl Target<f32> for Rows {
        fn size(&self) -> [usize; 2] {
            self.0
        }

        fn take(&mut self, lines: &dyn Lines<f32>, rows: Range<usize>) {
            let threads = NonZeroUsize::new(self.1).unwrap();
            for first in 0..threads.get() {
                let mut scratch = Scratch::default();
                for y in rows.clone().skip(first).step_by(threads.get()) {
                    let line = lines.classes() * lines.width();
                    let mut row = vec![0.0; line];
                    lines.read(y, &mut scratch, &mut row);
                    self.2[y * line..][..line].copy_from_slice(&row);
                }
            }
        }
    }
    let Sight::Windows(sliding) = &sight else { panic!("windows") };
    for size in [[50, 41], [70, 90], [21, 13]] {
        let once = shown::<f32>(&sight, size);
        for threads in [1, 2, 5] {
            let mut rows = Rows(size, threads, vec![0.0; size[0] * size[1] * 4]);
            sliding.show(&mut [&mut rows]);
            assert_eq!(rows.2, once.values, "{size:?} by {threads} threads");
        }
    }
    assert_eq!(all.tensor().size(), [4, 41, 50]);
}

#[test]
fn one_look_at_the_windows_gives_maps_at_several_sizes() {
    let frame = frame([30, 20], 1);
    let looks = std::cell::Cell::new(0);
    let counted = |input: &Tensor| {
        looks.set(looks.get() + 1);
        eye(input)
    };
    let view = View { window: Window::new([12, 12], [9, 9]), mirrored_too: false };
    let sight = Sight::new(&frame, view, Alignment::Corners, &counted);
    let (prediction, entropy) = judge("a", &sight, [60, 40], Some([30, 20])).unwrap();
    assert_eq!(looks.get(), 3 * 2);
    assert_eq!(prediction, predict(&sight, [60, 40]));
    let inference = infer("a", &sight, [30, 20], &[]).unwrap();
    assert_eq!(entropy, Some(inference.score.mean_entropy));
    let (prediction, small) = predict_and_infer(&sight, [30, 20], [15, 10]);
    assert_eq!((prediction, small.unwrap().entropy.size()), (inference.prediction, [15, 10]));
}

#[test]
fn a_window_with_logits_that_are_not_finite_is_refused_with_the_image() {
    let frame = frame([30, 20], 1);
    // The darkest corner of the image only.
    let broken = |input: &Tensor| if input.size()[3] == 10 { eye(input) * f64::NAN } else { eye(input) };
    let view = View { window: Window::new([10, 10], [10, 10]), mirrored_too: false };
    let sight = Sight::new(&frame, view, Alignment::Edges, &broken);
    let said = judge("street.png", &sight, [30, 20], None).unwrap_err().to_string();
    assert_eq!(said, infer("street.png", &sight, [30, 20], &[]).unwrap_err().to_string());
    assert!(said.contains("street.png logits that are not finite (600 of 600 pixels)"), "{said}");
}

#[test]
fn pixels_between_two_windows_would_not_be_seen() {
    assert!(Window::new([8, 8], [8, 8]).is_some());
    assert!(Window::new([8, 8], [9, 8]).is_none() && Window::new([8, 8], [8, 9]).is_none());
    assert!(Window::new([8, 8], [0, 8]).is_none() && Window::new([0, 8], [0, 8]).is_none());
}

#[test]
fn a_window_is_never_larger_than_the_image() {
    let view = View { window: Window::new([8, 30], [8, 8]), mirrored_too: false };
    assert_eq!(view.at_once([20, 20]), [8, 20]);
    assert_eq!(View::default().at_once([20, 20]), [20, 20]);
}
