//! `checkpoint-import`: converts a published file into weights like those of a training, with a record of the tensors loaded.
//!
//! Stages can name a published file directly. This kind shows, before any training, which tensors the network loads, or
//! converts the file to safetensors.

use super::{ClassFact, KeySpec, Kind, Only, OutputRole, OutputSpec, Runs, ValueType};

const NETWORK: Only = Only::is("part", &["network", "teacher"]);
const BACKBONE: Only = Only::is("part", &["backbone"]);

pub(super) const KIND: Kind = Kind {
    name: "checkpoint-import",
    revision: 2,
    summary: "Reads a published checkpoint into a network and says which tensors were loaded, skipped and missing, with \
              their shapes. What comes out has the names of the network's own tensors: of DeepLab-v2, SegFormer and DINOv2 those \
              of the released code, of `small` and `efficientnet-lite0` others.",
    keys: &[&[
        KeySpec::new("file", ValueType::Path, "a `.safetensors` file or one of `torch.save`"),
        KeySpec::new("model", ValueType::Model, "the network to load it into, a `[models.…]`; its `init` is not read"),
        KeySpec::new(
            "part",
            ValueType::Choice(&["network", "teacher", "backbone"]),
            "what to take from the file: a complete `network`, in a file of DAFormer or MIC the student; its `teacher`; or a \
             `backbone`, without heads, as for a model's `init`",
        )
        .or_text("network"),
    ]],
    exactly_one: &[],
    computes: false,
    revised: &[],
    classes: &[ClassFact::Count],
    outputs: &[
        OutputSpec::file("model", "model.safetensors", OutputRole::Weights).only(NETWORK),
        OutputSpec::file("backbone", "backbone.safetensors", OutputRole::Backbone).only(BACKBONE),
        OutputSpec::file("import", "import.json", OutputRole::ImportRecord),
    ],
    items: None,
    tensors: true,
    runs: Runs::Worker,
};
