//! What an exported graph is, for the crate that writes it, for `config.json` and for people.
//!
//! Knows the tables of the networks and no tensor.

use intrada_onnx::{Filter, Head, Outputs, Preprocessing, Request, Scaling};
use serde_json::{Value as Json, json};

use super::super::config::{arch, config, metadata};
use super::super::provenance;
use super::super::subject::Network;
use super::super::wishes::{Output, Wishes};
use crate::kind::dataset::{Fit, Resize};
use crate::kind::model::{is_dinov2, is_segformer, preprocessing, smallest_side};
use crate::pipeline::Value;

/// What the crate has to write.
pub(super) fn request(network: &Network<'_>, wishes: &Wishes) -> Request {
    let pipeline = network.pipeline();
    let classes = pipeline.classes.len();
    let (stage, name) = (&network.stage().name, &pipeline.name);
    Request {
        network: of_options(network),
        preprocessing: of_images(network),
        classes,
        outputs: Outputs {
            probabilities: wishes.outputs.contains(&Output::Probabilities),
            entropy: wishes.outputs.contains(&Output::Entropy),
        },
        half: wishes.half,
        name: format!("{name}-{stage}"),
        about: format!(
            "Semantic segmentation into {classes} classes by {}: stage {stage} of the pipeline {name}. {}",
            arch(network),
            in_words(network)
        ),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        metadata: properties(network, wishes),
    }
}

/// The network by its options, whose defaults the pipeline has filled in.
fn of_options(network: &Network<'_>) -> intrada_onnx::Network {
    let parameter = |name: &str| network.stage().parameter(&format!("model.{name}"));
    let integer = |name: &str| parameter(name).and_then(Value::as_integer);
    let head = parameter("head").and_then(Value::as_text).unwrap_or_default();
    graph_of(arch(network), head, integer("output_stride"), integer("branches"))
}

/// The network of this architecture. What it has no choice of is ignored.
fn graph_of(arch: &str, head: &str, output_stride: Option<i64>, branches: Option<i64>) -> intrada_onnx::Network {
    match arch {
        "small" => intrada_onnx::Network::Small,
        "efficientnet-lite0" => intrada_onnx::Network::EfficientNetLite0 { output_stride: output_stride.unwrap_or(8) },
        "deeplabv2-resnet50" | "deeplabv2-resnet101" => {
            intrada_onnx::Network::DeepLabV2 { branches: branches.unwrap_or(4) as usize }
        }
        _ if is_segformer(arch) => {
            let head = match head {
                "daformer" => Head::DaFormer,
                "segformer-mmseg" => Head::Mmseg,
                _ => Head::SegFormer,
            };
            intrada_onnx::Network::SegFormer { head }
        }
        _ if is_dinov2(arch) => intrada_onnx::Network::DinoV2 { layers: if head == "linear-4" { 4 } else { 1 } },
        _ => panic!("the tables have no architecture {arch}"),
    }
}

fn of_images(network: &Network<'_>) -> Preprocessing {
    let own = preprocessing(arch(network)).expect("every architecture of the tables has a preprocessing");
    let scaling = network.scaling();
    let size = network.size().map(|size| Scaling {
        size,
        in_box: scaling.fit == Fit::Box,
        filter: match scaling.resize {
            Resize::Bicubic => Filter::Pillow,
            Resize::Bilinear => Filter::OpenCv,
        },
    });
    Preprocessing { bgr: own.channels == "bgr", mean: own.mean, scale: own.scale, size }
}

/// The preprocessing, all of which is inside of the graph.
fn in_words(network: &Network<'_>) -> String {
    let config = config(network);
    let how = &config["preprocessing"];
    let size = match network.size() {
        None => "at its own size".to_owned(),
        Some([width, height]) => {
            let fit = if network.scaling().fit == Fit::Box { "in a box of" } else { "resized to" };
            format!("{fit} {width} × {height} pixels ({})", how["resample"].as_str().unwrap_or_default())
        }
    };
    let channels = how["channel_order"].as_str().unwrap_or_default();
    format!(
        "The graph takes an image as it is: it is seen {size}, its channels in the order {channels}, (x − {}) / {}; the classes \
         are at the image's own size.",
        how["mean"], how["scale"]
    )
}

/// What the file says about itself.
fn properties(network: &Network<'_>, wishes: &Wishes) -> Vec<(String, String)> {
    let classes = &network.pipeline().classes;
    // Those of the weights' header, less what is about files of weights alone.
    let same = metadata(network).into_iter().filter(|(name, _)| *name != "format");
    let mut properties: Vec<(String, String)> = same.map(|(name, value)| (name.to_owned(), value)).collect();
    let colours: Vec<[u8; 3]> = classes.iter().map(|class| class.colour).collect();
    let mut more = |name: &str, value: String| properties.push((name.to_owned(), value));
    more("palette", json!(colours).to_string());
    more("preprocessing", in_words(network));
    more("smallest_side", smallest_side(arch(network)).to_string());
    more("precision", if wishes.half { "float16" } else { "float32" }.to_owned());
    more("lineage", provenance::digest(&network.lineage).to_string());
    properties
}

/// The input, for `config.json`.
pub(super) fn inputs() -> Json {
    json!([{"name": intrada_onnx::IMAGE, "type": "uint8", "shape": ["N", "H", "W", 3], "channel_order": "rgb"}])
}

/// The outputs, for `config.json`.
pub(super) fn outputs(wishes: &Wishes) -> Json {
    let of = |output: &Output| match output {
        Output::Classes => json!({"name": output.name(), "type": "uint8", "shape": ["N", "H", "W"]}),
        Output::Entropy => json!({"name": output.name(), "type": "float32", "shape": ["N", "H", "W"], "range": [0, 1]}),
        Output::Probabilities => json!({"name": output.name(), "type": "float32", "shape": ["N", "C", "H", "W"]}),
    };
    Output::ALL.iter().filter(|output| wishes.has(**output)).map(of).collect()
}

/// How the folder is used, for its card.
pub(super) fn usage(wishes: &Wishes) -> String {
    let mut text = USAGE.to_owned();
    if wishes.has(Output::Entropy) || wishes.has(Output::Probabilities) {
        text += "\nFurther outputs:\n\n";
    }
    if wishes.has(Output::Entropy) {
        text += "* `entropy`, float32 N × H × W: that of the probabilities, divided by the logarithm of the number of classes\n";
    }
    if wishes.has(Output::Probabilities) {
        text += "* `probabilities`, float32 N × C × H × W: the softmax of the logits\n";
    }
    if wishes.half {
        text += "\nThe network computes in half precision, what is before and after it in single precision.\n";
    }
    text
}

const USAGE: &str = r#"## Usage

`model.onnx` takes images as they are, uint8 N × H × W × 3 with red first, of any size, and gives the class index of each pixel. It
resizes and normalises them as the training did. An image is seen whole, never in windows.

```python
import numpy, onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("model.onnx")
image = numpy.asarray(ImageOps.exif_transpose(Image.open("picture.jpg")).convert("RGB"))[None]
classes = session.run(["classes"], {"image": image})[0][0]   # H x W, uint8
```

`python3 verify.py` (ONNX Runtime and numpy) compares its classes for the pictures in `test/` with those that intrada predicts. Use
it on each machine, and after each conversion. `config.json` has classes, colours and preprocessing; `model.onnx` has them too, in
its metadata. The operators are those of opset 17 that ONNX Runtime and TensorRT 10 support; TensorRT computes some rounding of the
preprocessing in another precision, and was not tested.
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::model::{ARCHS, aligns_corners, heads};

    #[test]
    fn every_network_of_the_tables_is_a_graph_with_its_head_and_alignment() {
        for arch in ARCHS.iter().map(|arch| arch.name) {
            for head in ["", "segformer", "daformer", "segformer-mmseg", "linear", "linear-4"] {
                let graph = graph_of(arch, head, None, None);
                assert_eq!(graph.aligns_corners(), aligns_corners(arch), "{arch} {head}");
                assert!(heads(arch).contains(&graph.head()), "{arch} {head}: {}", graph.head());
            }
        }
        assert_eq!(graph_of("dinov2-vits14", "linear-4", None, None), intrada_onnx::Network::DinoV2 { layers: 4 });
        assert_eq!(graph_of("deeplabv2-resnet50", "", None, Some(2)), intrada_onnx::Network::DeepLabV2 { branches: 2 });
    }
}
