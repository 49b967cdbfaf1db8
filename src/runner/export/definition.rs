//! The PyTorch network that fits exported weights, as described in `load.py`.
//!
//! Knows the networks of the tables and the released code of some of them. Must be correct: weights of one network may load into
//! another without an error and predict nonsense.

use super::subject::Network;
use crate::kind::model::{is_dinov2, is_segformer};
use crate::pipeline::Value;

/// A small program that uses the folder from PyTorch; the text about the network is inserted.
const LOAD: &str = include_str!("load.py");
/// The line to replace by it.
const PLACE: &str = "@NETWORK@";

/// `load.py`.
pub(super) fn program(network: &Network<'_>) -> String {
    let parameter = |name: &str| network.stage().parameter(name);
    let arch = parameter("model.arch").and_then(Value::as_text).unwrap_or_default();
    let branches = parameter("model.branches").and_then(Value::as_integer);
    let head = parameter("model.head").and_then(Value::as_text);
    LOAD.replacen(PLACE, &said(arch, branches, head), 1)
}

/// The text about a network of this architecture, with this number of summed branches per head, or with this head.
fn said(arch: &str, branches: Option<i64>, head: Option<&str>) -> String {
    if is_segformer(arch) {
        return of_segformer(arch, head.unwrap_or_default());
    }
    if is_dinov2(arch) {
        return of_dinov2(arch, head.unwrap_or_default());
    }
    match (arch, branches) {
        ("deeplabv2-resnet101", Some(4) | None) => "\
The tensors have the names of the released code of AdvEnt and IntraDA, so its network loads them directly:
    get_deeplab_v2(num_classes=config[\"num_labels\"], multi_level=config[\"multi_level\"]).load_state_dict(weights)
It returns the logits of the auxiliary and of the main head; use the latter."
            .to_owned(),
        ("deeplabv2-resnet50", Some(4) | None) => "\
The tensors have the names of the released code of AdvEnt and IntraDA, whose own network has twice the layers. Its class loads
them with the layers of ResNet-50:
    ResNetMulti(Bottleneck, [3, 4, 6, 3], config[\"num_labels\"], config[\"multi_level\"]).load_state_dict(weights)
It returns the logits of the auxiliary and of the main head; use the latter."
            .to_owned(),
        ("deeplabv2-resnet50" | "deeplabv2-resnet101", Some(branches)) => format!(
            "\
The tensors have the names of the released code of AdvEnt and IntraDA, but its network differs: it sums all four branches of a
head, while this one was trained with the first {branches} (`branches` in config.json). It would load these weights without an
error and predict wrongly. Sum the first {branches} of `conv2d_list` in both heads, as the network of AdaptSegNet's released code
does."
        ),
        (arch, _) => format!(
            "\
This is the network `{arch}` of intrada. No released code has it, and it has no Python definition: the names and shapes that this
program prints are intrada's own."
        ),
    }
}

/// The text about a SegFormer.
fn of_segformer(arch: &str, head: &str) -> String {
    let mit = arch.trim_start_matches("segformer-");
    let (code, class) = match head {
        "daformer" => ("DAFormer", "`DAFormerHead` (`daformer_sepaspp`)"),
        "segformer-mmseg" => return of_two_programs(mit),
        _ => ("NVIDIA's SegFormer", "`SegFormerHead`"),
    };
    format!(
        "\
The tensors have the names of the released code of {code}: an `EncoderDecoder` with the backbone `mit_{mit}` and
{class} loads them by load_state_dict(weights); where it has a `decode_head.conv_seg` that it doesn't use, with
strict=False. The logits are at a quarter of the picture's sides."
    )
}

/// The text about a DINOv2.
fn of_dinov2(arch: &str, head: &str) -> String {
    let model = arch.replace('-', "_");
    let (layers, seen) =
        if head == "linear-4" { (4, "last four layers, the earliest first") } else { (1, "last layer") };
    format!(
        "\
The tensors have the names of DINOv2's released code. Those of `backbone.` load into its model; what stands for masked patches,
`mask_token`, is not among them:
    backbone = torch.hub.load(\"facebookresearch/dinov2\", \"{model}\", pretrained=False)
    part = \"backbone.\"
    backbone.load_state_dict({{n[len(part):]: t for n, t in weights.items() if n.startswith(part)}}, strict=False)
Those of `decode_head.` are a batch normalisation `bn` and a 1×1 convolution `conv_seg` on the maps of the {seen}:
    backbone.get_intermediate_layers(picture, n={layers}, reshape=True)
Pad sides that are no multiples of 14 with zeros, alike on both sides, enlarge the logits to the padded size and cut the
padding off. Without registers the released code interpolates the positions a little otherwise (`interpolate_offset`): pass
interpolate_offset=0.0 to the model."
    )
}

/// The encoder under NVIDIA's names, the head under mmsegmentation's.
fn of_two_programs(mit: &str) -> String {
    format!(
        "\
No released code has the tensors under these names: those of `backbone.` have the names of NVIDIA's `mit_{mit}`, those of
`decode_head.` are those of mmsegmentation's `SegformerHead`. The logits are at a quarter of the picture's sides."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::model::ARCHS;

    #[test]
    fn released_code_is_recommended_only_for_the_network_that_it_has() {
        for arch in ARCHS.iter().map(|arch| arch.name) {
            for branches in [None, Some(2), Some(4)] {
                let text = said(arch, branches, None);
                let is_released = arch == "deeplabv2-resnet101" && branches != Some(2);
                assert_eq!(text.contains("get_deeplab_v2"), is_released, "{arch} {branches:?}: {text}");
                let is_deeplab = arch.starts_with("deeplab");
                assert_eq!(
                    text.contains("load_state_dict"),
                    is_segformer(arch) || is_dinov2(arch) || is_deeplab && branches != Some(2),
                    "{arch} {branches:?}: {text}"
                );
                assert_eq!(
                    text.contains("conv2d_list"),
                    is_deeplab && branches == Some(2),
                    "{arch} {branches:?}: {text}"
                );
            }
        }
        assert_eq!(LOAD.matches(PLACE).count(), 1);
        assert!(said("segformer-b5", None, Some("daformer")).contains("`DAFormerHead` (`daformer_sepaspp`) loads"));
        assert!(said("dinov2-vits14-reg", None, Some("linear-4")).contains("\"dinov2_vits14_reg\", pretrained"));
        assert!(said("segformer-b0", None, Some("segformer")).contains("`mit_b0` and\n`SegFormerHead` loads"));
    }
}
