//! Measures one AdvEnt step, and entropy inferences of one image and of eight, with DeepLab-v2 on ResNet-101, without data loading.
//!
//! `cargo bench -p intrada-ml --bench throughput -- THREADS REPEATS [WHAT [PRECISION]]` prints a line each, or that one whose name contains
//! WHAT: CPU and wall seconds, the median of the repeats after one warm-up, and the largest resident memory of the process until then.
//! PRECISION is that of the step. `throughput.py` does the same in PyTorch, and `throughput.sh` runs both in turn. There is no target value.

mod measured;

use intrada_data::DataError;
use intrada_ml::adapt::{Companions, Control, Open, Precision, Run, Settings, adapt};
use intrada_ml::arch::{Arch, Options};
use intrada_ml::data::{Batch, Batches};
use intrada_ml::entropy_inference::infer;
use intrada_ml::network::{Network, Prediction};
use measured::{Laps, Times, medians, peak_mebibytes};
use tch::{Device, Kind, Tensor};

const CLASSES: i64 = 19;

fn main() {
    // `cargo bench` adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [threads, repeats, rest @ ..] = &arguments[..] else {
        eprintln!("usage: cargo bench -p intrada-ml --bench throughput -- THREADS REPEATS [WHAT [PRECISION]]");
        return;
    };
    tch::set_num_threads(threads.parse().expect("a number of threads"));
    let repeats: usize = repeats.parse().expect("a number of repeats");
    let precision = rest.get(1).map_or("float32", String::as_str);
    let precision: Precision = serde_json::from_value(precision.into()).expect("float32 or bfloat16");
    let options = Options::new(CLASSES, true);
    let network = Arch::DeepLabV2ResNet101.build(options, 1, Device::Cpu, Kind::Float);
    let is_wanted = |name: &str| rest.first().is_none_or(|what| name.contains(what.as_str()));
    if is_wanted("inference") {
        report("inference 1024x512", &inference(network.as_ref(), repeats, 1));
    }
    // One by one, as stages do it; PyTorch takes them as one batch.
    if is_wanted("eight 1024x512") {
        report("eight 1024x512", &inference(network.as_ref(), repeats, 8));
    }
    if is_wanted("step") {
        report("advent step 512x256", &training(network.as_ref(), repeats, precision));
    }
}

fn inference(network: &dyn Network, repeats: usize, images: usize) -> Times {
    let image = Tensor::rand([1, 3, 512, 1024], (Kind::Float, Device::Cpu)) * 255.0 - 116.0;
    let predictor = network.predictor();
    let seen = || Prediction { logits: predictor(&image), alignment: network.alignment() };
    let mut laps = Laps::start();
    for _ in 0..=repeats {
        for _ in 0..images {
            std::hint::black_box(infer("image", &seen().into(), [1024, 512], &[3, 4, 5]).expect("finite logits"));
        }
        laps.lap();
    }
    laps.first(repeats)
}

fn training(network: &dyn Network, repeats: usize, precision: Precision) -> Times {
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
    let settings = Settings {
        iterations: repeats as u64 + 2,
        checkpoint_every: Some(1_000_000),
        precision,
        ..Settings::default()
    };
    let mut laps = Laps::start();
    let mut observe = |_: &intrada_ml::adapt::Progress| {
        laps.lap();
        Control::Continue
    };
    adapt(&run, &settings, &mut observe).expect("it trains");
    laps.first(repeats)
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
    let (cpu, wall) = medians(times);
    println!("intrada  {what:<20}  cpu {cpu:7.3} s  wall {wall:7.3} s  peak {:6.0} MiB", peak_mebibytes());
}
