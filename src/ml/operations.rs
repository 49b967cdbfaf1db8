//! Counts the floating-point operations of steps: those of convolutions, linear layers and the products of attention.
//!
//! A multiplication and an addition are two operations, as in the peaks that makers of GPUs publish; papers often count such a pair
//! once. Everything else (normalisations, resizing, losses, optimisers) is not counted: it is little, and isn't what peaks are
//! measured by. What is counted follows from shapes, however a layer is computed. It knows no network.
use std::cell::Cell;

use tch::Tensor;

thread_local! {
    /// Of this thread, since it began to count; none where it doesn't.
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// What `work` gives, and the operations of the layers that it goes through on this thread, with those of the backward passes that
/// follow from them.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, u64) {
    COUNT.set(Some(0));
    let result = work();
    (result, COUNT.take().unwrap_or(0))
}

/// Counts a product of two tensors that takes so many multiplications. The gradient of a factor takes as many again, where it has one.
fn product(multiplications: i64, factors: [&Tensor; 2], result: &Tensor, so_far: u64) -> u64 {
    // Where gradients are off, the result has none, whatever the factors have.
    let backward =
        if result.requires_grad() { factors.iter().filter(|factor| factor.requires_grad()).count() } else { 0 };
    so_far + 2 * multiplications as u64 * (1 + backward as u64)
}

/// Of a convolution N×C×H×W by O×(C / groups)×k×k. Padding counts, as is usual.
pub(crate) fn convolution(x: &Tensor, weight: &Tensor, result: &Tensor) {
    let Some(so_far) = COUNT.get() else { return };
    let each: i64 = weight.size()[1..].iter().product();
    COUNT.set(Some(product(result.numel() as i64 * each, [x, weight], result, so_far)));
}

/// Of a linear layer with weights output × input.
pub(crate) fn linear(x: &Tensor, weight: &Tensor, result: &Tensor) {
    let Some(so_far) = COUNT.get() else { return };
    COUNT.set(Some(product(result.numel() as i64 * weight.size()[1], [x, weight], result, so_far)));
}

/// Of attention: …×n×d queries by …×m×d keys, and the weights that come of it by values.
pub(crate) fn attention([query, key, value]: [&Tensor; 3], result: &Tensor) {
    let Some(so_far) = COUNT.get() else { return };
    let keys = key.size()[key.dim() - 2];
    let so_far = product(query.numel() as i64 * keys, [query, key], result, so_far);
    let weights = if query.requires_grad() { query } else { key };
    COUNT.set(Some(product(result.numel() as i64 * keys, [weights, value], result, so_far)));
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, no_grad};

    use super::*;
    use crate::arch::{Arch, Options};
    use crate::layer::{Conv, First, Geometry, Linear, Scope, attention as attend};
    use crate::network::{RateGroup, Statistics};

    fn zeros(shape: &[i64]) -> Tensor {
        Tensor::zeros(shape, (Kind::Float, Device::Cpu))
    }

    fn count<T>(work: impl FnOnce() -> T) -> u64 {
        counted(work).1
    }

    #[test]
    fn a_convolution_takes_two_operations_for_each_weight_that_a_cell_of_the_result_sees() {
        let mut scope = Scope::new(1, Kind::Float, Device::Cpu);
        for (index, (channels, groups, stride, kernel, cells)) in [
            // Sides of 10 and 12.
            ([4, 6], 1, 1, 3, 10 * 12),
            ([4, 6], 2, 2, 3, 5 * 6),
            ([8, 8], 8, 1, 5, 10 * 12),
            ([64, 64], 1, 1, 3, 10 * 12),
        ]
        .into_iter()
        .enumerate()
        {
            let geometry = Geometry { stride, groups, ..Geometry::same(kernel, 1) };
            let conv = Conv::new(&mut scope, &index.to_string(), channels, geometry, true, RateGroup::Body);
            let [input, output] = channels;
            let forward = (2 * 3 * output * cells * input / groups * kernel * kernel) as u64;
            let x = zeros(&[3, input, 10, 12]);
            assert_eq!(count(|| no_grad(|| conv.forward(&x))), forward);
            assert_eq!(count(|| conv.forward(&x)), 2 * forward, "images have no gradient");
            let x = x.set_requires_grad(true);
            assert_eq!(count(|| conv.forward(&x)), 3 * forward);
            let frozen = Conv { weight: conv.weight.detach(), ..conv };
            assert_eq!(count(|| frozen.forward(&x)), 2 * forward, "weights that stand still have none");
        }
    }

    #[test]
    fn a_linear_layer_and_attention_take_those_of_their_products() {
        let mut scope = Scope::new(1, Kind::Float, Device::Cpu);
        let linear = Linear::new(&mut scope, "linear", [16, 24], RateGroup::Body, First::Uniform);
        let x = zeros(&[2, 7, 16]).set_requires_grad(true);
        assert_eq!(count(|| linear.forward(&x)), 3 * 2 * 2 * 7 * 16 * 24);
        // Two images, four heads, queries of 7 cells, keys and values of 5, 8 numbers each.
        let [query, key, value] = [7, 5, 5].map(|cells| zeros(&[2, 4, cells, 8]));
        let forward = 2 * 2 * (2 * 4 * 7 * 5 * 8);
        assert_eq!(count(|| attend(&query, &key, &value, 1.0)), forward);
        let query = query.set_requires_grad(true);
        assert_eq!(count(|| attend(&query, &key, &value, 1.0)), 2 * forward);
        let [key, value] = [key, value].map(|tensor| tensor.set_requires_grad(true));
        assert_eq!(count(|| attend(&query, &key, &value, 1.0)), 3 * forward);
    }

    #[test]
    fn segformers_have_the_numbers_of_their_paper() {
        // arXiv 2105.15203, table 1: FLOPs on ADE20K, 150 classes, at 512 × 512. Pairs of multiplication and addition. The head's convolution of
        // the four concatenated maps, 256 channels each, is part of the projections instead: a product with each of these.
        let spared = |channels: i64| (256 * 256 * (4 * 128 * 128 - channels)) as f64 / 1e9;
        for (arch, channels, published) in
            [(Arch::SegformerB0, 32 + 64 + 160 + 256, 8.4), (Arch::SegformerB1, 64 + 128 + 320 + 512, 15.9)]
        {
            let network = arch.build(Options::new(150, false), 1, Device::Cpu, Kind::Float);
            let pass = || no_grad(|| network.forward(&zeros(&[1, 3, 512, 512]), Statistics::Running, None));
            let pairs = count(pass) as f64 / 2e9 + spared(channels);
            assert!((pairs - published).abs() < 0.05, "{arch:?}: {pairs} instead of {published}");
        }
    }

    #[test]
    fn a_predictor_without_an_auxiliary_head_takes_less_and_nothing_is_counted_afterwards() {
        let network = Arch::DeepLabV2ResNet50.build(Options::new(19, true), 1, Device::Cpu, Kind::Float);
        let x = zeros(&[1, 3, 65, 65]);
        let whole = count(|| no_grad(|| network.forward(&x, Statistics::Running, None)));
        let predicts = network.predictor();
        let main = count(|| predicts(&x));
        assert!(0 < main && main < whole, "{main} of {whole}");
        drop(predicts(&x));
        assert_eq!(count(|| ()), 0);
    }
}
