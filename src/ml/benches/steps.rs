//! Measures a step of one method without data loading: on `segformer-b1` with images of 256 × 256 in batches of two, or on `small` with
//! images of 128 × 64 in batches of four, as the quickstart has them.
//!
//! `cargo bench -p intrada-ml --bench steps -- METHOD THREADS REPEATS [NETWORK [PRECISION]]` prints CPU and wall seconds, the median of the
//! repeats after a warm-up, and the largest resident memory of the process. `steps.py` does the same in PyTorch, and `steps.sh` runs both in turn.
//! There is no target value.

mod measured;

use intrada_data::DataError;
use intrada_ml::adapt::{
    Companions, Control, GeneratorOptimizer, Method, Open, Precision, Run, Settings, Warmup, adapt,
};
use intrada_ml::arch::{Arch, Options};
use intrada_ml::data::{Batch, Batches};
use intrada_ml::optim::DecoupledDecay;
use measured::{Laps, medians, peak_mebibytes};
use tch::{Device, Kind, Tensor};

/// A network and what it is given.
#[derive(Clone, Copy)]
struct Case {
    arch: Arch,
    classes: i64,
    width: i64,
    height: i64,
    batch: i64,
    /// Of the discriminator's first convolution.
    first_width: i64,
}

const SEGFORMER: Case =
    Case { arch: Arch::SegformerB1, classes: 19, width: 256, height: 256, batch: 2, first_width: 64 };
const SMALL: Case = Case { arch: Arch::Small, classes: 8, width: 128, height: 64, batch: 4, first_width: 16 };

fn main() {
    // `cargo bench` adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [method, threads, repeats, rest @ ..] = &arguments[..] else {
        eprintln!("usage: cargo bench -p intrada-ml --bench steps -- METHOD THREADS REPEATS [NETWORK [PRECISION]]");
        return;
    };
    let named: Method = serde_json::from_value(method.as_str().into()).expect("a method");
    let case = match rest.first().map(String::as_str) {
        None | Some("segformer-b1") => SEGFORMER,
        Some("small") => SMALL,
        Some(other) => panic!("{other} is neither segformer-b1 nor small"),
    };
    let precision = rest.get(1).map_or("float32", String::as_str);
    let precision: Precision = serde_json::from_value(precision.into()).expect("float32 or bfloat16");
    tch::set_num_threads(threads.parse().expect("a number of threads"));
    let repeats: usize = repeats.parse().expect("a number of repeats");
    let build = |seed| case.arch.build(Options::new(case.classes, false), seed, Device::Cpu, Kind::Float);
    let [network, teacher, reference] = [1, 2, 3].map(build);
    let companions = Companions { teacher: Some(teacher.as_ref()), reference: Some(reference.as_ref()) };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [slot, staging] = ["slot", "staging"].map(|name| folder.path().join(name));
    std::fs::create_dir_all(&staging).expect("a folder in it");
    let open: Open = &|_| Ok(Box::new(Noise(case)));
    let run = Run {
        network: network.as_ref(),
        companions,
        normalization: case.arch.normalization(),
        given: None,
        source: open,
        target: Some(open),
        discriminator_init: None,
        slot: &slot,
        staging: &staging,
    };
    let mut terms = named.terms();
    if let Some(adversary) = &mut terms.adversary {
        adversary.width = case.first_width;
    }
    let decay = DecoupledDecay { decay: 0.01, exempt: vec!["norm".to_owned()] };
    let settings = Settings {
        // One more than is measured, so that writing the results is excluded.
        iterations: repeats as u64 + 2,
        generator: GeneratorOptimizer::AdamW { betas: (0.9, 0.999), decay },
        warmup: Warmup { iterations: 1500, ratio: 1e-6 },
        generator_rate: 6e-5,
        mean: named.mean(),
        terms,
        precision,
        checkpoint_every: Some(1_000_000),
        ..Settings::default()
    };
    let mut laps = Laps::start();
    let mut observe = |_: &intrada_ml::adapt::Progress| {
        laps.lap();
        Control::Continue
    };
    adapt(&run, &settings, &mut observe).expect("a training on noise");
    let (cpu, wall) = medians(&laps.first(repeats));
    println!("rust    {method:<12} cpu {cpu:7.4} s  wall {wall:7.4} s  peak {:6.0} MiB", peak_mebibytes());
}

/// Noise with blocks of labels, so that cells have a class.
struct Noise(Case);

impl Batches for Noise {
    fn next_batch(&mut self) -> Result<Batch, DataError> {
        let Case { classes, width, height, batch, .. } = self.0;
        let images = Tensor::rand([batch, 3, height, width], (Kind::Float, Device::Cpu)) * 4.0 - 2.0;
        let blocks = Tensor::randint(classes, [batch, 1, 8, 8], (Kind::Float, Device::Cpu));
        let labels = blocks.upsample_nearest2d([height, width], None, None).squeeze_dim(1).to_kind(Kind::Int64);
        let names = vec!["noise".to_owned(); batch as usize];
        Ok(Batch { images, labels: Some(labels), inside: None, names })
    }
}
