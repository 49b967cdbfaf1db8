//! A network in the form that `transformers` has of it: settings, preprocessing, names, and code where it lacks a class.
//!
//! Knows the entries of an exported `config.json`, and no stage.

use intrada_weights::names::{Convention, Extent, Stored, dinov2, segformer};
use serde_json::{Map, Value as Json, json};

use super::super::safetensors;
use crate::kind::model::{is_dinov2, is_segformer};

/// The file of the code that `transformers` lacks.
const MODELING: &str = "modeling_intrada.py";

/// Which of its networks it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `SegformerForSemanticSegmentation`.
    SegFormer,
    /// Its encoder with a head of ours.
    SegFormerWithOurHead,
    /// `Dinov2Model` with a head of ours.
    DinoV2,
    /// `Dinov2WithRegistersModel` with a head of ours.
    DinoV2WithRegisters,
}

impl Form {
    /// Of the network of this `config.json`; `None` if `transformers` has none like it.
    pub fn of(own: &Map<String, Json>) -> Option<Form> {
        let text = |name: &str| own.get(name).and_then(Json::as_str).unwrap_or_default();
        let arch = text("arch");
        if is_segformer(arch) {
            return Some(if text("head") == "segformer" { Form::SegFormer } else { Form::SegFormerWithOurHead });
        }
        let registers = arch.ends_with("-reg");
        is_dinov2(arch).then_some(if registers { Form::DinoV2WithRegisters } else { Form::DinoV2 })
    }

    /// `config.json`: the entries of ours, and those that `transformers` reads.
    pub fn config(self, own: &Map<String, Json>) -> Map<String, Json> {
        let arch = own["arch"].as_str().unwrap_or_default();
        let mut config = own.clone();
        let layers = match self {
            Form::SegFormer | Form::SegFormerWithOurHead => mix_transformer(arch, own),
            Form::DinoV2 | Form::DinoV2WithRegisters => vision_transformer(arch),
        };
        config.extend(layers);
        let (model_type, class, settings) = match self {
            Form::SegFormer => ("segformer", "Segformer", None),
            Form::SegFormerWithOurHead => ("intrada-segformer", "IntradaSegformer", Some("IntradaSegformerConfig")),
            Form::DinoV2 => ("intrada-dinov2", "IntradaDinov2", Some("IntradaDinov2Config")),
            Form::DinoV2WithRegisters => {
                let class = "IntradaDinov2WithRegisters";
                ("intrada-dinov2-with-registers", class, Some("IntradaDinov2WithRegistersConfig"))
            }
        };
        let class = format!("{class}ForSemanticSegmentation");
        if let Some(settings) = settings {
            let code = |name: &str| format!("{}.{name}", MODELING.trim_end_matches(".py"));
            let found = json!({"AutoConfig": code(settings), "AutoModelForSemanticSegmentation": code(&class)});
            config.insert("auto_map".to_owned(), found);
        }
        // Under both names of the type of the numbers, as versions differ.
        let common = json!({
            "architectures": [class],
            "model_type": model_type,
            "semantic_loss_ignore_index": 255,
            "dtype": "float32",
            "torch_dtype": "float32",
        });
        config.extend(object(common));
        config
    }

    /// `preprocessor_config.json`, as near to the training's preprocessing as `transformers` comes; the card says what differs.
    pub fn preprocessor(self, own: &Map<String, Json>) -> Map<String, Json> {
        let how = &own["preprocessing"];
        // Grey levels from 0 to 1, in single precision in the tables.
        let unit = |name: &str| -> Vec<f64> {
            let numbers = how[name].as_array().into_iter().flatten();
            numbers.map(|number| (number.as_f64().unwrap_or_default() / 255.0 * 1e6).round() / 1e6).collect()
        };
        let mut preprocessor = object(json!({
            "image_processor_type": "SegformerImageProcessor",
            "do_resize": !how["size"].is_null(),
            "resample": if is_bilinear(how) { 2 } else { 3 },
            "do_rescale": true,
            "rescale_factor": 1.0 / 255.0,
            "do_normalize": true,
            "image_mean": unit("mean"),
            "image_std": unit("scale"),
            "do_reduce_labels": false,
        }));
        if let [Some(width), Some(height)] = [0, 1].map(|side| how["size"][side].as_u64()) {
            let size = if is_box(how) {
                json!({"shortest_edge": width.min(height), "longest_edge": width.max(height)})
            } else {
                json!({"height": height, "width": width})
            };
            preprocessor.insert("size".to_owned(), size);
        }
        preprocessor
    }

    /// Files of code: name, what it is, text.
    pub fn code(self) -> &'static [(&'static str, &'static str, &'static str)] {
        const HEADS: &str = "the network in PyTorch, of which the head is used";
        const CLASSES: &str = "the classes that transformers lacks";
        match self {
            Form::SegFormer => &[],
            Form::SegFormerWithOurHead => &[
                (MODELING, CLASSES, include_str!("segformer.py")),
                ("model.py", HEADS, include_str!("../pytorch/segformer.py")),
            ],
            Form::DinoV2 | Form::DinoV2WithRegisters => &[
                (MODELING, CLASSES, include_str!("dinov2.py")),
                ("model.py", HEADS, include_str!("../pytorch/dinov2.py")),
            ],
        }
    }

    /// Length and header of a file of these weights under the names of `transformers`, to be written before the returned data, the
    /// end of `file`.
    ///
    /// # Errors
    /// Why `file` isn't a safetensors file of this network.
    pub fn weights<'a>(self, file: &'a [u8], metadata: &[(&str, String)]) -> Result<(Vec<u8>, &'a [u8]), &'static str> {
        let program = self.names();
        safetensors::renamed(file, metadata, |own| match program.stored(own, Extent::Whole)? {
            stored @ (Stored::As(_) | Stored::Both(..) | Stored::Three(..)) => Some(stored.names()),
            Stored::FirstThird(_) | Stored::LastThirds(_) | Stored::Reversed(_) => None,
        })
    }

    /// The names of its tensors; heads of ours have our names.
    fn names(self) -> Convention {
        match self {
            Form::SegFormer => segformer::TRANSFORMERS,
            Form::SegFormerWithOurHead => Convention { head: &[], ..segformer::TRANSFORMERS },
            Form::DinoV2 | Form::DinoV2WithRegisters => dinov2::TRANSFORMERS,
        }
    }

    /// How the folder is used, for its card, and what differs from the training.
    pub(super) fn usage(self, own: &Map<String, Json>) -> String {
        let trust = if self.code().is_empty() { "" } else { ", trust_remote_code=True" };
        let mut text = format!(
            "\
## Usage

```python
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

processor = AutoImageProcessor.from_pretrained(folder)
network = AutoModelForSemanticSegmentation.from_pretrained(folder{trust})
output = network(**processor(picture, return_tensors=\"pt\"))
classes = processor.post_process_semantic_segmentation(output, [(picture.height, picture.width)])[0]
```

`picture` is a PIL image in RGB. `config.json` and `preprocessor_config.json` have classes, colours and preprocessing.
"
        );
        let mut notes = Vec::new();
        if !trust.is_empty() {
            notes.push(
                "`transformers` has no class for this network's head: `modeling_intrada.py` and `model.py` have it, and \
                 `trust_remote_code=True` lets them run. The encoder is that of `transformers`.",
            );
        }
        if self == Form::SegFormer {
            notes.push(
                "`transformers` computes most layer normalisations with an ε of 1e-5 where this network was trained with 1e-6, so \
                 logits differ a little (docs/export.md of intrada has figures).",
            );
        }
        let how = &own["preprocessing"];
        if how["size"].is_null() {
            notes.push("Pictures are not resized, as in the training.");
        }
        if is_box(how) {
            notes.push(
                "The box into which pictures are scaled needs transformers 5, and sides may differ by a pixel from those in the \
                 training.",
            );
        }
        if is_bilinear(how) {
            notes.push(
                "A picture is antialiased where it shrinks, and was not in the training, which resized as OpenCV does.",
            );
        }
        for note in notes {
            text += &format!("\n* {note}");
        }
        text.trim_end().to_owned() + "\n"
    }
}

fn is_box(how: &Json) -> bool {
    how["fit"] == "box"
}

fn is_bilinear(how: &Json) -> bool {
    how["resample"].as_str().is_some_and(|text| text.starts_with("bilinear"))
}

/// The settings of an encoder of SegFormer.
fn mix_transformer(arch: &str, own: &Map<String, Json>) -> Map<String, Json> {
    let (depths, is_narrow) = match arch {
        "segformer-b0" => ([2, 2, 2, 2], true),
        "segformer-b1" => ([2, 2, 2, 2], false),
        "segformer-b2" => ([3, 4, 6, 3], false),
        "segformer-b3" => ([3, 4, 18, 3], false),
        "segformer-b4" => ([3, 8, 27, 3], false),
        _ => ([3, 6, 40, 3], false),
    };
    let width = if matches!(arch, "segformer-b0" | "segformer-b1") { 256 } else { 768 };
    let rate = |name: &str| own.get(name).cloned().unwrap_or(json!(0.1));
    object(json!({
        "depths": depths,
        "hidden_sizes": if is_narrow { [32, 64, 160, 256] } else { [64, 128, 320, 512] },
        "num_attention_heads": [1, 2, 5, 8],
        "sr_ratios": [8, 4, 2, 1],
        "mlp_ratios": [4, 4, 4, 4],
        "decoder_hidden_size": width,
        "drop_path_rate": rate("drop_path"),
        "classifier_dropout_prob": rate("dropout"),
    }))
}

/// The settings of a transformer of DINOv2. `transformers` would drop paths at one rate in all blocks, unlike our trainings, so
/// it drops none.
fn vision_transformer(arch: &str) -> Map<String, Json> {
    let (width, depth) = match arch.as_bytes().get("dinov2-vit".len()) {
        Some(b's') => (384, 12),
        Some(b'b') => (768, 12),
        _ => (1024, 24),
    };
    let mut settings = object(json!({
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": width / 64,
        "mlp_ratio": 4,
        "image_size": 518,
        "patch_size": 14,
        "layer_norm_eps": 1e-6,
        "drop_path_rate": 0.0,
    }));
    if arch.ends_with("-reg") {
        settings.insert("num_register_tokens".to_owned(), json!(4));
    }
    settings
}

fn object(value: Json) -> Map<String, Json> {
    let Json::Object(entries) = value else { panic!("written as an object") };
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(arch: &str, head: &str, preprocessing: Json) -> Map<String, Json> {
        object(json!({"arch": arch, "head": head, "preprocessing": preprocessing}))
    }

    #[test]
    fn only_networks_of_transformers_have_a_form() {
        let form = |arch: &str, head: &str| Form::of(&own(arch, head, Json::Null));
        assert_eq!(form("segformer-b0", "segformer"), Some(Form::SegFormer));
        for head in ["daformer", "segformer-mmseg"] {
            assert_eq!(form("segformer-b5", head), Some(Form::SegFormerWithOurHead));
        }
        assert_eq!(form("dinov2-vitl14", "linear"), Some(Form::DinoV2));
        assert_eq!(form("dinov2-vits14-reg", "linear-4"), Some(Form::DinoV2WithRegisters));
        for arch in ["small", "efficientnet-lite0", "deeplabv2-resnet50", "deeplabv2-resnet101"] {
            assert_eq!(form(arch, ""), None, "{arch}");
        }
    }

    #[test]
    fn what_the_preprocessing_of_transformers_cannot_do_is_said() {
        let how = |size: Json, fit: &str, resample: &str| {
            let (mean, scale) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);
            json!({"size": size, "fit": fit, "resample": resample, "mean": mean, "scale": scale})
        };
        let of = |how: Json| {
            let own = own("segformer-b0", "segformer", how);
            (Form::SegFormer.preprocessor(&own), Form::SegFormer.usage(&own))
        };
        let (exact, said) = of(how(json!([128, 64]), "exact", "bicubic, as in Pillow"));
        assert_eq!((&exact["size"], &exact["resample"]), (&json!({"height": 64, "width": 128}), &json!(3)));
        assert_eq!(
            (&exact["image_mean"], &exact["image_std"]),
            (&json!([0.485, 0.456, 0.406]), &json!([0.229, 0.224, 0.225]))
        );
        assert!(!said.contains("box") && !said.contains("antialiased") && !said.contains("not resized"), "{said}");
        let (boxed, said) = of(how(json!([1280, 720]), "box", "bilinear without antialiasing, as in OpenCV"));
        assert_eq!(boxed["size"], json!({"shortest_edge": 720, "longest_edge": 1280}));
        assert!(said.contains("box") && said.contains("antialiased"), "{said}");
        let (stored, said) = of(how(Json::Null, "exact", "bicubic, as in Pillow"));
        assert!(stored["do_resize"] == false && !stored.contains_key("size") && said.contains("not resized"), "{said}");
    }
}
