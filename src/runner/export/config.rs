//! How to use the weights: `config.json`, and a short form in the header of the weights.
//!
//! Knows nothing of the training. The names `id2label`, `label2id` and `num_labels` are those that model hubs read.

use serde_json::{Map, Value as Json, json};

use super::subject::Network;
use crate::kind::dataset::{Fit, Resize};
use crate::kind::model::{aligns_corners, preprocessing};
use crate::pipeline::Value;

/// `config.json`.
pub(super) fn config(network: &Network<'_>) -> Json {
    let classes = &network.pipeline().classes;
    let named = classes.iter().enumerate();
    let id_to_label: Map<String, Json> =
        named.clone().map(|(id, class)| (id.to_string(), Json::from(class.name.as_str()))).collect();
    let label_to_id: Map<String, Json> = named.map(|(id, class)| (class.name.clone(), Json::from(id))).collect();
    let aligned = aligns_corners(arch(network));
    let mut config: Map<String, Json> = model(network).map(|(name, value)| (name.to_owned(), json!(value))).collect();
    config.extend([
        ("num_labels".to_owned(), json!(classes.len())),
        ("id2label".to_owned(), Json::Object(id_to_label)),
        ("label2id".to_owned(), Json::Object(label_to_id)),
        ("palette".to_owned(), json!(classes.iter().map(|class| class.colour).collect::<Vec<_>>())),
        ("ignore_index".to_owned(), json!(255)),
        // Of the labels that it was trained with: `predict --outputs label-ids` writes them.
        ("label_ids".to_owned(), json!(network.label_ids())),
        ("preprocessing".to_owned(), input(network)),
        (
            "logits".to_owned(),
            json!(format!("of the main head; upsample them bilinearly to the image with align_corners = {aligned}")),
        ),
        ("align_corners".to_owned(), json!(aligned)),
    ]);
    Json::Object(config)
}

/// The parameters of its model, all of which affect what the network computes.
fn model<'a>(network: &'a Network<'_>) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let parameters = network.stage().parameters.iter();
    parameters.filter_map(|parameter| Some((parameter.name.strip_prefix("model.")?, &parameter.value)))
}

/// The header's metadata. When the file is loaded, model and classes are compared with it, as the tensors don't show how many
/// branches a head sums.
pub(super) fn metadata<'a>(network: &'a Network<'_>) -> Vec<(&'a str, String)> {
    let classes: Vec<&str> = network.pipeline().classes.iter().map(|class| class.name.as_str()).collect();
    let input = input(network);
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut metadata = vec![("format", "pt".to_owned())];
    metadata.extend(model(network).map(|(name, value)| (name, text(&json!(value)))));
    metadata.extend(["channel_order", "mean", "scale", "size"].map(|name| (name, text(&input[name]))));
    metadata.extend([("classes", json!(classes).to_string()), ("key", network.done().key.to_string())]);
    metadata
}

/// The name of the network's architecture.
pub(super) fn arch<'a>(network: &'a Network<'_>) -> &'a str {
    network.stage().parameter("model.arch").and_then(|arch| arch.as_text()).expect("every training has a model")
}

/// From an image to the network's input.
fn input(network: &Network<'_>) -> Json {
    let preprocessing = preprocessing(arch(network)).expect("every architecture of the tables has a preprocessing");
    let scaling = network.scaling();
    json!({
        "channel_order": preprocessing.channels,
        "mean": preprocessing.mean,
        "scale": preprocessing.scale,
        "value_range": [0, 255],
        "formula": "(x - mean) / scale",
        "size": network.size(),
        "fit": match scaling.fit {
            Fit::Exact => "exact",
            Fit::Box => "box",
        },
        "resample": match scaling.resize {
            Resize::Bicubic => "bicubic, as in Pillow",
            Resize::Bilinear => "bilinear without antialiasing, as in OpenCV",
        },
    })
}
