//! Measures convolutions of DeepLab-v2 on ResNet-101 at 512 × 256: ours beside libtorch's, forwards and for both gradients.
//!
//! `cargo bench -p intrada-ml --bench convolutions -- THREADS REPEATS` prints GFLOP a second and thread, of the median wall time; the
//! operations are those of the convolution as it is defined. There is no target value.

// Memory is not measured here.
#[allow(dead_code)]
mod measured;

use intrada_shim::convolution::convolve;
use measured::{Laps, medians};
use tch::kind::FLOAT_CPU;
use tch::{Kind, Tensor, no_grad};

/// A convolution of an image with weights.
type Form<'a> = &'a dyn Fn(&Tensor, &Tensor) -> Tensor;

/// Input and output channels, rows, columns, side of the kernel, dilation.
const SHAPES: [[i64; 6]; 8] = [
    [256, 64, 64, 128, 1, 1],
    [64, 64, 64, 128, 3, 1],
    [512, 128, 32, 64, 1, 1],
    [128, 128, 32, 64, 3, 1],
    [256, 1024, 32, 64, 1, 1],
    [256, 256, 32, 64, 3, 2],
    [2048, 512, 32, 64, 1, 1],
    [512, 512, 32, 64, 3, 4],
];

fn main() {
    // `cargo bench` adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [threads, repeats] = &arguments[..] else {
        eprintln!("usage: cargo bench -p intrada-ml --bench convolutions -- THREADS REPEATS");
        return;
    };
    let threads: i32 = threads.parse().expect("a number of threads");
    tch::set_num_threads(threads);
    let repeats: usize = repeats.parse().expect("a number of repeats");
    println!("{:<34}{:>8}{:>8}{:>8}", "", "result", "image", "weights");
    for [input, output, rows, columns, kernel, dilation] in SHAPES {
        let padding = dilation * (kernel / 2);
        let ours = |x: &Tensor, weight: &Tensor| convolve(x, weight, None, padding, dilation);
        let theirs = |x: &Tensor, weight: &Tensor| x.conv2d(weight, None::<&Tensor>, 1, padding, dilation, 1);
        for (name, form) in [("ours", &ours as Form<'_>), ("libtorch", &theirs)] {
            let x = adjacent(Tensor::randn([1, input, rows, columns], FLOAT_CPU));
            let weight = adjacent(Tensor::randn([output, input, kernel, kernel], FLOAT_CPU));
            let operations = 2 * input * output * rows * columns * kernel * kernel;
            let rate = |seconds: f64| operations as f64 / seconds / 1e9 / f64::from(threads);
            let forward = median(repeats, || drop(no_grad(|| form(&x, &weight))));
            // One gradient alone, with that of a product by which it begins.
            let backward = |x: &Tensor, weight: &Tensor| {
                let y = form(x, weight);
                let (sum, wanted) = ((&y * y.detach()).sum(Kind::Float), if x.requires_grad() { x } else { weight });
                median(repeats, || drop(Tensor::run_backward(&[&sum], &[wanted], true, false)))
            };
            let of_x = backward(&x.shallow_clone().set_requires_grad(true), &weight.detach());
            let of_weight = backward(&x.detach(), &weight.shallow_clone().set_requires_grad(true));
            let shape = format!("{name} {kernel}×{kernel}, {input} → {output}, {rows}×{columns}");
            println!("{shape:<34}{:8.0}{:8.0}{:8.0}", rate(forward), rate(of_x), rate(of_weight));
        }
    }
}

fn adjacent(x: Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

fn median(repeats: usize, mut call: impl FnMut()) -> f64 {
    let mut laps = Laps::start();
    for _ in 0..=repeats {
        call();
        laps.lap();
    }
    medians(&laps.first(repeats)).1
}
