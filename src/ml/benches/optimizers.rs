//! Measures a step of the papers' optimisers on all parameters of a network: SGD on DeepLab-v2 with ResNet-101, AdamW on SegFormer-B1, and
//! a teacher's step.
//!
//! `cargo bench -p intrada-ml --bench optimizers -- THREADS REPEATS` prints the median CPU milliseconds of a step, by the fused kernels and
//! by the single operations that these stand for. There is no target value.

// Memory is not measured here.
#[allow(dead_code)]
mod measured;

use intrada_ml::arch::{Arch, Options};
use intrada_ml::network::{Network, Parameter, RateGroup};
use intrada_ml::optim::{Adam, DecoupledDecay, Optimizer, Rates, Repeats, Sgd};
use intrada_shim::fused;
use measured::{Laps, medians};
use tch::{Device, Kind, Tensor, no_grad};

const RATES: Rates = Rates { body: 1e-6, head: 1e-5 };

fn main() {
    // `cargo bench` adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [threads, repeats] = &arguments[..] else {
        eprintln!("usage: cargo bench -p intrada-ml --bench optimizers -- THREADS REPEATS");
        return;
    };
    tch::set_num_threads(threads.parse().expect("a number of threads"));
    let repeats: usize = repeats.parse().expect("a number of repeats");
    {
        let network = with_gradients(Arch::DeepLabV2ResNet101);
        let mut sgd = Sgd::new(network.parameters(), 0.9, 5e-4, Repeats::Once);
        report("SGD, deeplabv2-resnet101, fused", repeats, || sgd.step(RATES));
        let (mut parameters, mut buffers) = (network.parameters(), zeros(&*network));
        report("SGD, deeplabv2-resnet101, plain", repeats, || plain_sgd(&mut parameters, &mut buffers));
    }
    let network = with_gradients(Arch::SegformerB1);
    let decay = DecoupledDecay { decay: 0.01, exempt: vec!["norm".to_owned()] };
    let mut adamw = Adam::decoupled(network.parameters(), (0.9, 0.999), decay);
    report("AdamW, segformer-b1, fused", repeats, || adamw.step(RATES));
    let (mut parameters, mut first, mut second) = (network.parameters(), zeros(&*network), zeros(&*network));
    report("AdamW, segformer-b1, plain", repeats, || plain_adamw(&mut parameters, &mut first, &mut second));
    let mut ours = zeros(&*network);
    let theirs: Vec<Tensor> = network.parameters().into_iter().map(|p| p.tensor).collect();
    report("teacher, segformer-b1, fused", repeats, || fused::lerp(&ours, &theirs, 1e-3).expect("alike"));
    report("teacher, segformer-b1, plain", repeats, || {
        no_grad(|| {
            for (ours, theirs) in ours.iter_mut().zip(&theirs) {
                let _ = ours.g_mul_scalar_(1.0 - 1e-3).g_add_(&(theirs * 1e-3));
            }
        });
    });
}

fn with_gradients(arch: Arch) -> Box<dyn Network> {
    let network = arch.build(Options::new(19, false), 1, Device::Cpu, Kind::Float);
    network.parameters().iter().for_each(|p| p.tensor.square().sum(Kind::Float).backward());
    network
}

fn zeros(network: &dyn Network) -> Vec<Tensor> {
    network.parameters().iter().map(|p| p.tensor.detach().zeros_like()).collect()
}

fn rate(parameter: &Parameter) -> f64 {
    if parameter.group == RateGroup::Head { RATES.head } else { RATES.body }
}

fn plain_sgd(parameters: &mut [Parameter], buffers: &mut [Tensor]) {
    no_grad(|| {
        for (p, buffer) in parameters.iter_mut().zip(buffers) {
            let slope = (&p.tensor * 5e-4).g_add_(&p.tensor.grad());
            let _ = buffer.g_mul_scalar_(0.9).g_add_(&slope);
            let _ = p.tensor.addcmul_(buffer, &Tensor::scalar_tensor(-rate(p), (Kind::Float, Device::Cpu)));
        }
    });
}

fn plain_adamw(parameters: &mut [Parameter], first: &mut [Tensor], second: &mut [Tensor]) {
    no_grad(|| {
        for ((p, m), v) in parameters.iter_mut().zip(first).zip(second) {
            let gradient = p.tensor.grad();
            let rate = rate(p);
            let _ = p.tensor.g_mul_scalar_(1.0 - rate * 0.01);
            let _ = m.lerp_(&gradient, 0.1);
            let _ = v.g_mul_scalar_(0.999).addcmul_(&(&gradient * 0.001), &gradient);
            let bottom = v.sqrt().g_div_scalar_(0.5).g_add_scalar_(1e-8);
            let _ = p.tensor.addcdiv_(&(&*m * (-rate / 0.5)), &bottom);
        }
    });
}

/// The median of `repeats`, after a warm-up.
fn report(what: &str, repeats: usize, mut step: impl FnMut()) {
    let mut laps = Laps::start();
    for _ in 0..=repeats {
        step();
        laps.lap();
    }
    println!("{what:<34} {:8.2} ms", 1000.0 * medians(&laps.first(repeats)).0);
}
