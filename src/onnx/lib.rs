//! Writes a trained network as an ONNX graph: an image of bytes in, classes at its own size out.
//!
//! Knows no tensor library, no pipeline and no cache: it takes the bytes of a safetensors file and what the caller says of the
//! network, and gives the bytes of a file. The networks are those of `ml::arch`, in the same arithmetic as far as operators of
//! opset 17 allow; no operator is used that TensorRT's parser lacks. The structs of ONNX's protobuf schema are written here by
//! hand for `prost` (`proto`): the alternative, a copy of the schema and `protoc` in the build, would be one more program that
//! an installation needs.
//!
//! Left out is what only a training needs: an auxiliary head, dropout, counters.
#![warn(missing_docs)]

mod aspp;
mod deeplab_v2;
mod dinov2;
mod efficientnet_lite;
#[cfg(test)]
mod eval;
mod frame;
mod graph;
mod layer;
mod mit;
mod proto;
mod resample;
mod segformer;
mod small;
mod vit;
mod weights;

use bytes::Bytes;
use prost::Message;

pub use frame::{CLASSES, ENTROPY, Filter, IMAGE, Outputs, PROBABILITIES, Preprocessing, Scaling};
pub use segformer::Head;

use graph::{Graph, Precision, Value};
use layer::Alignment;
use proto::{
    DataType, Dimension, IR_VERSION, ModelProto, OPSET, OperatorSetIdProto, Side, StringStringEntryProto,
    TensorShapeProto, TensorType, TypeProto, ValueInfoProto,
};
use weights::Weights;

/// A network of the program, with those of its options that its tensors don't show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The small encoder–decoder.
    Small,
    /// EfficientNet-Lite0.
    EfficientNetLite0 {
        /// Pixels of the image per cell of the final grid: 8, 16 or 32.
        output_stride: i64,
    },
    /// DeepLab-v2.
    DeepLabV2 {
        /// How many branches of the head are summed: 2 or 4.
        branches: usize,
    },
    /// SegFormer.
    SegFormer {
        /// Its head.
        head: Head,
    },
    /// DINOv2 with a linear head.
    DinoV2 {
        /// How many of the last layers the head sees.
        layers: usize,
    },
}

/// What is written.
#[derive(Clone, Debug)]
pub struct Request {
    /// The network.
    pub network: Network,
    /// How images become its input.
    pub preprocessing: Preprocessing,
    /// C, the number of classes, at most 255: classes are bytes.
    pub classes: usize,
    /// What it gives beside the classes.
    pub outputs: Outputs,
    /// Whether the network's numbers are in half precision; what is around it is in single precision in any case.
    pub half: bool,
    /// The name of the graph.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// The program's version.
    pub version: String,
    /// More about it, by keys.
    pub metadata: Vec<(String, String)>,
}

/// Why there is no graph.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The weights can't be read.
    #[error("the weights are not a safetensors file: {reason}")]
    File {
        /// Why.
        reason: String,
    },
    /// A tensor of the network is not in the file.
    #[error("the weights have no tensor `{name}`, which the network needs")]
    Missing {
        /// Its name.
        name: String,
    },
    /// The file has more than the network.
    #[error("the weights have {count} tensors that the network doesn't use, such as `{name}`")]
    Unused {
        /// The first of them.
        name: String,
        /// How many.
        count: usize,
    },
    /// A tensor's numbers are not in single precision.
    #[error("the tensor `{name}` is of type {found}, not F32")]
    NotFloat {
        /// Its name.
        name: String,
        /// Its type.
        found: String,
    },
    /// A tensor has a shape that the network can't use.
    #[error("the tensor `{name}` has the shape {found:?}, which is not the network's")]
    Shape {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// The head is of another number of classes.
    #[error("the head gives {found} classes, and {wanted} are named")]
    Classes {
        /// Of the weights.
        found: usize,
        /// Of the request.
        wanted: usize,
    },
    /// The head has no such number of branches.
    #[error("a sum of {asked} branches; a head has 4")]
    Branches {
        /// The number.
        asked: usize,
    },
    /// The file would be larger than protobuf allows.
    #[error("the file would have {bytes} bytes, and an ONNX file holds 2 GiB at most; export it in half precision")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// The file of a network whose weights are this safetensors file: an ONNX `ModelProto`. The same request gives the same bytes.
///
/// # Errors
/// The weights aren't those of the network.
pub fn model(weights: impl Into<Bytes>, request: &Request) -> Result<Vec<u8>, Error> {
    let weights = Weights::new(weights.into())?;
    check_classes(&weights, request)?;
    let mut g = Graph::new(if request.half { Precision::Half } else { Precision::Single });
    let image = g.within("input", |g| frame::input(g, &request.preprocessing));
    let logits = g.within("network", |g| logits(g, &weights, &image, request.network))?;
    weights.check_all_taken(&left_out(request.network))?;
    let alignment = if request.network.aligns_corners() { Alignment::Corners } else { Alignment::Edges };
    g.within("output", |g| frame::outputs(g, &logits, alignment, request.outputs, request.classes));
    let mut graph = g.finish(&request.name);
    graph.input = vec![info(IMAGE, DataType::Uint8, &["N", "H", "W", "3"], "images, red first, each of any size")];
    graph.output = outputs(request);
    let entry = |(key, value): &(String, String)| StringStringEntryProto { key: key.clone(), value: value.clone() };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "intrada".to_owned(),
        producer_version: request.version.clone(),
        doc_string: request.about.clone(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: request.metadata.iter().map(entry).collect(),
    };
    let bytes = model.encoded_len();
    if bytes > i32::MAX as usize {
        return Err(Error::TooLarge { bytes });
    }
    Ok(model.encode_to_vec())
}

fn logits(g: &mut Graph, weights: &Weights, image: &Value, network: Network) -> Result<Value, Error> {
    match network {
        Network::Small => small::logits(g, weights, image),
        Network::EfficientNetLite0 { output_stride } => efficientnet_lite::logits(g, weights, image, output_stride),
        Network::DeepLabV2 { branches } => deeplab_v2::logits(g, weights, image, branches),
        Network::SegFormer { head } => segformer::logits(g, weights, image, head),
        Network::DinoV2 { layers } => dinov2::logits(g, weights, image, layers),
    }
}

impl Network {
    /// Whether the corners of the logits' grid are those of the image, or else the edges: `align_corners` of PyTorch.
    pub fn aligns_corners(self) -> bool {
        match self {
            Network::Small | Network::EfficientNetLite0 { .. } | Network::DeepLabV2 { .. } => true,
            Network::SegFormer { .. } | Network::DinoV2 { .. } => false,
        }
    }

    /// The weight tensor of its main head, whose first side is the number of classes.
    pub fn head(self) -> &'static str {
        match self {
            Network::Small => "main.weight",
            Network::EfficientNetLite0 { .. } | Network::DeepLabV2 { .. } => "layer6.conv2d_list.0.weight",
            Network::SegFormer { head: Head::SegFormer } => "decode_head.linear_pred.weight",
            Network::SegFormer { .. } | Network::DinoV2 { .. } => "decode_head.conv_seg.weight",
        }
    }
}

/// The beginnings of names of tensors that predict nothing.
fn left_out(network: Network) -> Vec<String> {
    let aux = ["aux.", "layer5."].map(str::to_owned).to_vec();
    match network {
        Network::DeepLabV2 { branches } => {
            let unused = (branches..4).map(|branch| format!("layer6.conv2d_list.{branch}."));
            aux.into_iter().chain(unused).collect()
        }
        Network::Small | Network::EfficientNetLite0 { .. } => aux,
        Network::SegFormer { .. } | Network::DinoV2 { .. } => Vec::new(),
    }
}

fn check_classes(weights: &Weights, request: &Request) -> Result<(), Error> {
    let shape = weights.shape(request.network.head())?;
    let found = shape.first().copied().unwrap_or_default();
    let wanted = request.classes;
    if found == wanted && wanted <= 255 { Ok(()) } else { Err(Error::Classes { found, wanted }) }
}

fn outputs(request: &Request) -> Vec<ValueInfoProto> {
    let classes = request.classes.to_string();
    let mut outputs = vec![info(
        CLASSES,
        DataType::Uint8,
        &["N", "H", "W"],
        "the index of the most probable class of each pixel, the first of equals",
    )];
    if request.outputs.entropy {
        let about = "the entropy of the probabilities, divided by the logarithm of the number of classes: from 0 to 1";
        outputs.push(info(ENTROPY, DataType::Float, &["N", "H", "W"], about));
    }
    if request.outputs.probabilities {
        let about = "the probability of each class, by softmax";
        outputs.push(info(PROBABILITIES, DataType::Float, &["N", &classes, "H", "W"], about));
    }
    outputs
}

/// A side is a number, or a name of what each run chooses.
fn info(name: &str, elem_type: DataType, sides: &[&str], about: &str) -> ValueInfoProto {
    let side = |side: &&str| match side.parse() {
        Ok(number) => Side::DimValue(number),
        Err(_) => Side::DimParam((*side).to_owned()),
    };
    let dim = sides.iter().map(|name| Dimension { value: Some(side(name)) }).collect();
    let tensor_type = TensorType { elem_type: elem_type as i32, shape: Some(TensorShapeProto { dim }) };
    let r#type = Some(TypeProto { tensor_type: Some(tensor_type) });
    ValueInfoProto { name: name.to_owned(), r#type, doc_string: about.to_owned() }
}

#[cfg(test)]
mod tests;
