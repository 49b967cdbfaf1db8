//! Whole files from weights of zeros: what is refused, what is written, and the sizes around a network.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, TensorView, serialize};

use super::*;
use crate::eval::{Array, value};
use crate::proto::{GraphProto, NodeProto};

fn request(network: Network) -> Request {
    let preprocessing = Preprocessing { bgr: false, mean: [127.0; 3], scale: [64.0; 3], size: None };
    Request {
        network,
        preprocessing,
        classes: 4,
        outputs: Outputs::default(),
        half: false,
        name: "p-intra".to_owned(),
        about: "a network".to_owned(),
        version: "1.2.3".to_owned(),
        metadata: vec![("classes".to_owned(), "[]".to_owned())],
    }
}

/// The tensors of `small` with 4 classes and two levels.
fn small() -> Vec<(String, Vec<usize>)> {
    let mut tensors = Vec::new();
    let layers = [(3, 16, 3), (16, 16, 3), (16, 32, 3), (32, 32, 3), (32, 32, 3), (32, 32, 3)].into_iter().enumerate();
    let layers = layers.map(|(index, sizes)| (format!("encoder.{index}"), sizes));
    for (name, (input, output, kernel)) in layers.chain([("fuse".to_owned(), (48, 16, 1))]) {
        tensors.push((format!("{name}.conv.weight"), vec![output, input, kernel, kernel]));
        tensors.extend(["weight", "bias"].map(|leaf| (format!("{name}.norm.{leaf}"), vec![output])));
    }
    for (name, input) in [("aux", 32), ("main", 16)] {
        tensors.push((format!("{name}.weight"), vec![4, input, 3, 3]));
        tensors.push((format!("{name}.bias"), vec![4]));
    }
    tensors
}

fn file(tensors: &[(String, Vec<usize>)], dtype: Dtype) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, shape)| vec![0; shape.iter().product::<usize>() * dtype.bitsize() / 8]).collect();
    let views: HashMap<&str, TensorView> = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape), bytes)| (name.as_str(), TensorView::new(dtype, shape.clone(), bytes).unwrap()))
        .collect();
    serialize(views, None).unwrap()
}

fn read(file: &[u8]) -> (ModelProto, GraphProto) {
    let model = ModelProto::decode(file).unwrap();
    let graph = model.graph.clone().unwrap();
    (model, graph)
}

#[test]
fn a_file_has_the_trained_tensors_and_says_what_it_is_each_time_in_the_same_bytes() {
    let weights = file(&small(), Dtype::F32);
    let written = model(weights.clone(), &request(Network::Small)).unwrap();
    assert!(written == model(weights, &request(Network::Small)).unwrap(), "the same bytes");
    let (model, graph) = read(&written);
    assert_eq!((model.ir_version, model.opset_import[0].version), (IR_VERSION, OPSET));
    assert_eq!((model.producer_version.as_str(), model.metadata_props[0].key.as_str()), ("1.2.3", "classes"));
    let shape =
        |name: &str| graph.initializer.iter().find(|tensor| tensor.name == name).map(|tensor| tensor.dims.clone());
    assert_eq!(shape("encoder.0.conv.weight"), Some(vec![16, 3, 3, 3]));
    assert_eq!(shape("aux.weight"), None, "what only a training needs is left out");
    assert_eq!(graph.output.len(), 1);
    assert!(graph.output[0].doc_string.contains("first of equals"));
}

#[test]
fn every_value_is_computed_before_it_is_used_and_has_a_name_of_its_own() {
    let outputs = Outputs { probabilities: true, entropy: true };
    let size = Some(Scaling { size: [64, 32], in_box: true, filter: Filter::Pillow });
    let mut request = Request { outputs, ..request(Network::Small) };
    request.preprocessing.size = size;
    let (_, graph) = read(&model(file(&small(), Dtype::F32), &request).unwrap());
    let mut known: Vec<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    known.push(IMAGE);
    for NodeProto { input, output, .. } in &graph.node {
        for name in input.iter().filter(|name| !name.is_empty()) {
            assert!(known.contains(&name.as_str()), "{name} is used before it is computed");
        }
        for name in output {
            assert!(!known.contains(&name.as_str()), "there are two {name}");
            known.push(name);
        }
    }
    for output in &graph.output {
        assert!(known.contains(&output.name.as_str()), "nothing gives {}", output.name);
    }
    assert_eq!(
        graph.output.iter().map(|output| output.name.as_str()).collect::<Vec<_>>(),
        [CLASSES, ENTROPY, PROBABILITIES]
    );
}

#[test]
fn no_operator_is_one_that_tensorrt_lacks() {
    // Of those that a network or a resizing may seem to need: its parser's docs/operators.md lists them as unsupported, or its
    // Resize does for `antialias`.
    let (_, graph) = read(&model(file(&small(), Dtype::F32), &request(Network::Small)).unwrap());
    for node in &graph.node {
        let lacks = ["AffineGrid", "CenterCropPad", "Col2Im", "ReduceLogSumExp", "Unique", "If", "Loop", "Optional"];
        assert!(!lacks.contains(&node.op_type.as_str()), "{}", node.op_type);
        assert!(node.attribute.iter().all(|attribute| attribute.name != "antialias"), "{}", node.name);
    }
}

#[test]
fn half_precision_is_for_the_network_alone() {
    let request = Request { half: true, ..request(Network::Small) };
    let (_, graph) = read(&model(file(&small(), Dtype::F32), &request).unwrap());
    let of = |name: &str| graph.initializer.iter().find(|tensor| tensor.name == name).unwrap();
    assert_eq!(of("main.weight").data_type, DataType::Float16 as i32);
    assert_eq!(of("main.weight").raw_data.len(), 2 * 4 * 16 * 9);
    let resize = graph.node.iter().rfind(|node| node.op_type == "Resize").unwrap();
    let before = graph.node.iter().find(|node| node.output[0] == resize.input[0]).unwrap();
    assert_eq!((before.op_type.as_str(), before.attribute[0].i), ("Cast", Some(DataType::Float as i64)));
}

#[test]
fn weights_that_are_not_the_networks_are_refused_by_name() {
    let refused = |tensors: &[(String, Vec<usize>)], dtype, request: &Request| {
        model(file(tensors, dtype), request).unwrap_err().to_string()
    };
    let (own, all) = (request(Network::Small), small());
    let without: Vec<_> = all.iter().filter(|(name, _)| name != "fuse.norm.bias").cloned().collect();
    assert!(refused(&without, Dtype::F32, &own).contains("no tensor `fuse.norm.bias`"));
    let more: Vec<_> = all.iter().cloned().chain([("extra.weight".to_owned(), vec![1])]).collect();
    assert!(
        refused(&more, Dtype::F32, &own).contains("1 tensors that the network doesn't use, such as `extra.weight`")
    );
    assert!(refused(&all, Dtype::F16, &own).contains("of type F16"));
    let others = Request { classes: 5, ..own.clone() };
    assert!(refused(&all, Dtype::F32, &others).contains("4 classes, and 5 are named"));
    assert!(model(b"PK\x03\x04".to_vec(), &own).unwrap_err().to_string().contains("not a safetensors file"));
    let deeplab = request(Network::DeepLabV2 { branches: 4 });
    assert!(refused(&all, Dtype::F32, &deeplab).contains("`layer6.conv2d_list.0.weight`"));
}

/// The network's input for an image N×H×W×3.
fn input(preprocessing: &Preprocessing, image: Array) -> Array {
    let mut g = Graph::new(Precision::Single);
    let result = frame::input(&mut g, preprocessing);
    value(&g.finish("test"), &[(IMAGE, image)], &result.0)
}

#[test]
fn channels_are_in_the_networks_order_and_normalised() {
    let image = Array::new(DataType::Uint8, &[1, 1, 2, 3], [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
    let of = |bgr| Preprocessing { bgr, mean: [1.0, 2.0, 3.0], scale: [1.0, 2.0, 4.0], size: None };
    let values = |bgr| input(&of(bgr), image.clone()).values;
    assert_eq!(values(false), [9.0, 39.0, 9.0, 24.0, 6.75, 14.25]);
    assert_eq!(values(true), [29.0, 59.0, 9.0, 24.0, 1.75, 9.25]);
}

#[test]
fn an_image_fills_a_box_in_one_direction_like_the_trainings_images() {
    // Cases of `intrada_picture::fitted`, scaled down.
    for (size, within, expected) in [
        ([191, 105], [128, 72], [128, 70]),
        ([105, 191], [128, 72], [70, 128]),
        ([64, 48], [128, 72], [96, 72]),
        ([20, 1], [10, 10], [10, 1]),
    ] {
        for filter in [Filter::Pillow, Filter::OpenCv] {
            let scaling = Scaling { size: within, in_box: true, filter };
            let own = Preprocessing { bgr: false, mean: [0.0; 3], scale: [1.0; 3], size: Some(scaling) };
            let [width, height] = size;
            let image = Array::new(DataType::Uint8, &[1, height, width, 3], vec![7.0; width * height * 3]);
            let seen = input(&own, image);
            assert_eq!(seen.shape, [1, 3, expected[1], expected[0]], "{size:?} in {within:?}");
            assert!(seen.values.iter().all(|value| *value == 7.0), "one colour stays one colour");
        }
    }
}
