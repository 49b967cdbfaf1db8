//! Measures a step of one method on `segformer-b1` with images of 256 × 256 in batches of two, without data loading.
//!
//! `cargo bench -p intrada-ml --bench steps -- METHOD THREADS REPEATS [PRECISION]` prints CPU and wall seconds, the median of the repeats after a
//! warm-up, and the largest resident memory of the process. `steps.py` does the same in PyTorch, and `steps.sh` runs both in turn.
//! There is no target value.

use std::time::Instant;

use intrada_data::DataError;
use intrada_ml::adapt::{
    Companions, Control, GeneratorOptimizer, Method, Open, Precision, Run, Settings, Warmup, adapt,
};
use intrada_ml::arch::{Arch, Options};
use intrada_ml::data::{Batch, Batches};
use intrada_ml::optim::DecoupledDecay;
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 19;
const SIDE: i64 = 256;
const BATCH: i64 = 2;

fn main() {
    // `cargo bench` adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [method, threads, repeats, rest @ ..] = &arguments[..] else {
        eprintln!("usage: cargo bench -p intrada-ml --bench steps -- METHOD THREADS REPEATS [PRECISION]");
        return;
    };
    let named: Method = serde_json::from_value(method.as_str().into()).expect("a method");
    let precision = rest.first().map_or("float32", String::as_str);
    let precision: Precision = serde_json::from_value(precision.into()).expect("float32 or bfloat16");
    tch::set_num_threads(threads.parse().expect("a number of threads"));
    let repeats: usize = repeats.parse().expect("a number of repeats");
    let build = |seed| Arch::SegformerB1.build(Options::new(CLASSES, false), seed, Device::Cpu, Kind::Float);
    let [network, teacher, reference] = [1, 2, 3].map(build);
    let companions = Companions { teacher: Some(teacher.as_ref()), reference: Some(reference.as_ref()) };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [slot, staging] = ["slot", "staging"].map(|name| folder.path().join(name));
    std::fs::create_dir_all(&staging).expect("a folder in it");
    let open: Open = &|_| Ok(Box::new(Noise));
    let run = Run {
        network: network.as_ref(),
        companions,
        normalization: Arch::SegformerB1.normalization(),
        given: None,
        source: open,
        target: Some(open),
        discriminator_init: None,
        slot: &slot,
        staging: &staging,
    };
    let decay = DecoupledDecay { decay: 0.01, exempt: vec!["norm".to_owned()] };
    let settings = Settings {
        // One more than is measured, so that writing the results is excluded.
        iterations: repeats as u64 + 2,
        generator: GeneratorOptimizer::AdamW { betas: (0.9, 0.999), decay },
        warmup: Warmup { iterations: 1500, ratio: 1e-6 },
        generator_rate: 6e-5,
        mean: named.mean(),
        terms: named.terms(),
        precision,
        checkpoint_every: Some(1_000_000),
        ..Settings::default()
    };
    let mut times = Vec::new();
    let mut last = (cpu_seconds(), Instant::now());
    let mut observe = |_: &intrada_ml::adapt::Progress| {
        times.push((cpu_seconds() - last.0, last.1.elapsed().as_secs_f64()));
        last = (cpu_seconds(), Instant::now());
        Control::Continue
    };
    adapt(&run, &settings, &mut observe).expect("a training on noise");
    times.truncate(repeats + 1);
    let median = |of: fn(&(f64, f64)) -> f64| {
        let mut sorted: Vec<f64> = times[1..].iter().map(of).collect();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    let (cpu, wall) = (median(|time| time.0), median(|time| time.1));
    println!("rust    {method:<12} cpu {cpu:7.3} s  wall {wall:7.3} s  peak {:6.0} MiB", peak_mebibytes());
}

/// Noise with blocks of labels, so that cells have a class.
struct Noise;

impl Batches for Noise {
    fn next_batch(&mut self) -> Result<Batch, DataError> {
        let images = Tensor::rand([BATCH, 3, SIDE, SIDE], (Kind::Float, Device::Cpu)) * 4.0 - 2.0;
        let blocks = Tensor::randint(CLASSES, [BATCH, 1, 8, 8], (Kind::Float, Device::Cpu));
        let labels = blocks.upsample_nearest2d([SIDE, SIDE], None, None).squeeze_dim(1).to_kind(Kind::Int64);
        let names = vec!["noise".to_owned(); BATCH as usize];
        Ok(Batch { images, labels: Some(labels), inside: None, names })
    }
}

fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn peak_mebibytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}
