//! The golden vectors: numbers of an independent PyTorch program, which this crate must reproduce.
//!
//! They are outside of the repository, in `shared/golden` beside it or beside a folder above it. Without them the tests
//! print a note and pass. Vectors of a single function (resizing, equations, ranking, metrics) are tested next to it; here
//! are those of a whole network or a whole training.

mod formula;
mod forward;
pub(crate) mod modern;
mod training;

use serde_json::Value;

use crate::arch::{Arch, Options};
use crate::network::Network;
use tch::{Device, Kind, Tensor, no_grad};

/// `golden.json`, and its path; none, with a note, if it is absent.
fn vectors() -> Option<(std::path::PathBuf, Value)> {
    let folder = formula::folder(env!("CARGO_MANIFEST_DIR"))?;
    let text = std::fs::read_to_string(folder.join("golden.json")).unwrap();
    Some((folder, serde_json::from_str(&text).unwrap()))
}

/// The network of this name with the weights of the formula.
fn network(arch: &Value, kind: Kind) -> (Arch, Box<dyn Network>) {
    let arch: Arch = serde_json::from_value(arch.clone()).unwrap();
    let options = Options::new(19, true);
    let network = arch.build(options, 1, Device::Cpu, kind);
    for (key, tensor) in network.state() {
        if tensor.kind() != Kind::Int64 {
            let shape: Vec<usize> = tensor.size().iter().map(|&side| side as usize).collect();
            let values = Tensor::from_slice(&formula::values(&format!("g.{key}"), &shape));
            no_grad(|| tensor.shallow_clone().copy_(&values.view(&tensor.size()[..])));
        }
    }
    (arch, network)
}

#[track_caller]
fn close(what: &str, ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance * theirs.abs(), "{what}: {ours} instead of {theirs}");
}
