//! Exports a network as a folder for PyTorch: weights, a definition of exactly that network, a program that predicts with it.
//!
//! The definitions are in the `.py` files beside this one, one per family of networks, and are written out unchanged: they read
//! what differs from `config.json`. Knows no tensor; a test of the worker compares the logits of each definition with ours.

use std::path::Path;

use super::config::{arch, config, metadata};
use super::network::{network, pretty};
use super::package::Package;
use super::provenance::{self, Part};
use super::wishes::Wishes;
use super::{Error, Format, card, safetensors};
use crate::kind::OutputRole;
use crate::kind::model::{is_dinov2, is_segformer};
use crate::pipeline::OutputId;
use crate::sched::session::Session;

/// The format.
pub(super) const FORMAT: Format = Format {
    name: "pytorch",
    about: "the weights of a training for PyTorch, with the network's definition, model card, settings and lineage",
    exports: OutputRole::Weights,
    stage: "a training",
    is_graph: false,
    write,
};

/// A program that predicts pictures with the network of its folder.
const LOAD: &str = include_str!("load.py");

/// The files, but for the lineage, which describes them.
const PARTS: [Part; 5] = [
    Part { name: "model.safetensors", about: "the weights", media: "application/octet-stream" },
    Part {
        name: "config.json",
        about: "classes, colours, preprocessing, the network's options",
        media: "application/json",
    },
    Part { name: "model.py", about: "the network in PyTorch", media: "text/x-python" },
    Part { name: "load.py", about: "predicts pictures with the network, in PyTorch", media: "text/x-python" },
    Part { name: "README.md", about: "the model card", media: "text/markdown" },
];

/// How the folder is used, for its card.
const USAGE: &str = "\
## Usage

`load.py` predicts in PyTorch, with the preprocessing of the training, and `model.py` defines the network. They need PyTorch 2.0 or
newer, numpy, Pillow and safetensors.

```sh
python3 load.py picture.png --out classes.png
```

```python
import load

classes = load.predict(picture)   # a PIL image, or an array H x W x 3 of uint8 -> class indices H x W
network = load.network()          # the network with its weights
```

`config.json` has classes, colours and preprocessing.
";

/// `model.py`: the definition of networks of this architecture, whose `Model(config)` takes the entries of `config.json`.
///
/// # Panics
/// The tables have no such architecture.
pub fn definition(arch: &str) -> &'static str {
    match arch {
        "small" => include_str!("small.py"),
        "efficientnet-lite0" => include_str!("efficientnet_lite.py"),
        "deeplabv2-resnet50" | "deeplabv2-resnet101" => include_str!("deeplab_v2.py"),
        _ if is_segformer(arch) => include_str!("segformer.py"),
        _ if is_dinov2(arch) => include_str!("dinov2.py"),
        _ => panic!("{arch} has no definition in PyTorch"),
    }
}

/// Exports the weights `output` of a training into the folder `place`; their paths.
///
/// # Errors
/// [`Error`]; `place` is as it was then.
fn write(session: &mut Session, output: OutputId, place: &Path, _: &Wishes) -> Result<Vec<String>, Error> {
    let package = Package::begin(&session.store, &session.pipeline.root, place)?;
    let network = network(session, output)?;
    let weights = network.weights()?;
    let malformed = |reason| Error::NotSafetensors { stage: network.stage().name.clone(), reason };
    let (header, data) = safetensors::with_metadata(&weights, &metadata(&network)).map_err(malformed)?;
    let lineage = provenance::crate_of(&network, "export: the same tensors under a header with metadata", &PARTS);
    package.write("model.safetensors", &[&header, data])?;
    package.write("config.json", &[pretty(&config(&network)).as_bytes()])?;
    package.write("model.py", &[definition(arch(&network)).as_bytes()])?;
    package.write("load.py", &[LOAD.as_bytes()])?;
    package.write("README.md", &[card::card(&network, USAGE).as_bytes()])?;
    package.write(provenance::FILE, &[pretty(&lineage).as_bytes()])?;
    package.list_sums()?;
    Ok(package.finish()?.into_iter().map(|file| place.join(file).display().to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::model::ARCHS;

    #[test]
    fn every_network_has_a_definition_and_none_is_a_script_of_torch() {
        for arch in ARCHS {
            let text = definition(arch.name);
            assert!(text.contains("class Model(nn.Module):") && text.contains(family(arch.name)), "{}", arch.name);
            assert!(!text.contains("torch.jit") && !LOAD.contains("torch.jit"));
        }
    }

    /// What its docstring begins with.
    fn family(arch: &str) -> &str {
        match arch.split_once('-').map_or(arch, |(family, _)| family) {
            "segformer" => "\"\"\"SegFormer in PyTorch",
            "dinov2" => "\"\"\"DINOv2 in PyTorch",
            _ => arch,
        }
    }
}
