//! Measures one AdvEnt step and one entropy inference, with DeepLab-v2 on ResNet-101, without data loading.
//!
//! `cargo bench -p intrada-ml --bench throughput -- THREADS REPEATS [WHAT]` prints a line each, or that one whose name contains
//! WHAT: CPU and wall seconds, the median of the repeats after one warm-up. `throughput.py` does the same in PyTorch, and `throughput.sh` runs both in turn. There
//! is no target value.

use std::time::Instant;

use intrada_data::DataError;
use intrada_ml::adapt::{Companions, Control, Open, Run, Settings, adapt};
use intrada_ml::arch::{Arch, Options};
use intrada_ml::data::{Batch, Batches};
use intrada_ml::entropy_inference::infer;
use intrada_ml::network::{Network, Prediction};
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 19;

fn main() {
    // `cargo bench` adds a flag of its own.
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let [threads, repeats] = numbers[..] else {
        eprintln!("usage: cargo bench -p intrada-ml --bench throughput -- THREADS REPEATS");
        return;
    };
    tch::set_num_threads(threads as i32);
    let options = Options::new(CLASSES, true);
    let network = Arch::DeepLabV2ResNet101.build(options, 1, Device::Cpu, Kind::Float);
    let what = std::env::args().skip(1).find(|argument| argument.chars().all(char::is_alphabetic));
    type Measure = fn(&dyn Network, usize) -> Times;
    for (name, measure) in [("inference 1024x512", inference as Measure), ("advent step 512x256", training)] {
        if what.as_ref().is_none_or(|what| name.contains(what.as_str())) {
            report(name, &measure(network.as_ref(), repeats));
        }
    }
}

/// CPU and wall seconds of each repeat.
type Times = Vec<(f64, f64)>;

fn inference(network: &dyn Network, repeats: usize) -> Times {
    let image = Tensor::rand([1, 3, 512, 1024], (Kind::Float, Device::Cpu)) * 255.0 - 116.0;
    let predictor = network.predictor();
    let seen = || Prediction { logits: predictor(&image), alignment: network.alignment() };
    let pass = |_| {
        let (cpu, wall) = (cpu_seconds(), Instant::now());
        std::hint::black_box(infer("image", &seen().into(), [1024, 512], &[3, 4, 5]).expect("finite logits"));
        (cpu_seconds() - cpu, wall.elapsed().as_secs_f64())
    };
    (0..=repeats).map(pass).collect()
}

fn training(network: &dyn Network, repeats: usize) -> Times {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [slot, staging] = ["slot", "staging"].map(|name| folder.path().join(name));
    std::fs::create_dir_all(&staging).expect("a folder in it");
    let open: Open = &|_| Ok(Box::new(Noise));
    let run = Run {
        network,
        companions: Companions::default(),
        normalization: Arch::DeepLabV2ResNet101.normalization(),
        given: None,
        source: open,
        target: Some(open),
        discriminator_init: None,
        slot: &slot,
        staging: &staging,
    };
    // One more than is measured, so that writing the results is excluded.
    let settings =
        Settings { iterations: repeats as u64 + 2, checkpoint_every: Some(1_000_000), ..Settings::default() };
    let mut times = Vec::new();
    let mut last = (cpu_seconds(), Instant::now());
    let mut observe = |_: &intrada_ml::adapt::Progress| {
        times.push((cpu_seconds() - last.0, last.1.elapsed().as_secs_f64()));
        last = (cpu_seconds(), Instant::now());
        Control::Continue
    };
    adapt(&run, &settings, &mut observe).expect("it trains");
    times.truncate(repeats + 1);
    times
}

/// The same image over and over: only the step is measured.
struct Noise;

impl Batches for Noise {
    fn next_batch(&mut self) -> Result<Batch, DataError> {
        let images = Tensor::rand([1, 3, 256, 512], (Kind::Float, Device::Cpu)) * 255.0 - 116.0;
        let labels = Some(Tensor::randint(CLASSES, [1, 256, 512], (Kind::Int64, Device::Cpu)));
        Ok(Batch { images, labels, inside: None, names: vec!["noise".to_owned()] })
    }
}

fn report(what: &str, times: &Times) {
    let median = |pick: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = times.iter().skip(1).map(pick).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!("intrada  {what:<20}  cpu {:7.3} s  wall {:7.3} s", median(|t| t.0), median(|t| t.1));
}

/// Of all threads of this process: on a shared machine the number to compare.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in brackets: the 12th and 13th fields are user and system time in hundredths of a second.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) / 100.0
}
