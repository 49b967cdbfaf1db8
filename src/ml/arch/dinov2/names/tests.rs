//! Files under every program's names: what is read from them, and what is said of those that don't fit.

use std::collections::HashMap;

use intrada_data::input_file::InputFile;
use intrada_weights::names::Stored::{As, Three};
use intrada_weights::names::dinov2::{ENCODERS, RELEASED};
use intrada_weights::names::{BACKBONE, Extent, HEAD, Stored};
use serde_json::Value;
use tch::{Device, Kind, Tensor, no_grad};

use super::*;
use crate::arch::dinov2::{Choice, DinoV2, HeadKind};
use crate::checkpoint::{self, CheckpointError, Member, Restored};
use crate::network::Network;

type Tensors = HashMap<String, Tensor>;

const SMALL: Form = Form { size: Size::S, registers: false };
const WITH_REGISTERS: Form = Form { size: Size::S, registers: true };

fn network(form: Form, head: HeadKind, seed: u64) -> DinoV2 {
    DinoV2::new(form, 3, Choice { head, ..Choice::default() }, seed, Device::Cpu, Kind::Float)
}

/// The network as a program of this convention saves it: the inverse of what is tested.
fn saved(convention: &Convention, network: &DinoV2, extent: Extent) -> Tensors {
    let mut file = Tensors::new();
    let width = network.state()[0].1.size()[2];
    for (key, tensor) in network.state() {
        let tensor = tensor.detach();
        match convention.stored(&key, extent) {
            None => assert_eq!(extent, Extent::Encoder, "{key} has no place"),
            Some(As(name)) => drop(file.insert(name, tensor)),
            Some(Three(query, key, value)) => {
                let thirds = tensor.chunk(3, 0).into_iter().map(|third| third.contiguous());
                file.extend([query, key, value].into_iter().zip(thirds));
            }
            Some(Stored::Both(..) | Stored::FirstThird(_) | Stored::LastThirds(_) | Stored::Reversed(_)) => {
                panic!("no table of these has it")
            }
        }
    }
    let mask = match (extent, convention.name) {
        (Extent::Whole, _) => "backbone.mask_token",
        (Extent::Encoder, "DINOv2's released code") => "mask_token",
        (Extent::Encoder, _) => "embeddings.mask_token",
    };
    file.insert(mask.to_owned(), Tensor::ones([1, width], (Kind::Float, Device::Cpu)));
    file
}

fn below(prefix: &str, tensors: Tensors) -> Tensors {
    tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
}

fn read(file: Tensors, load: impl Fn(&InputFile) -> Result<Restored, CheckpointError>) -> Result<Restored, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.pth");
    checkpoint::write(&path, &file.into_iter().collect::<Vec<_>>(), None).unwrap();
    load(&InputFile::new(&path)).map_err(|error| {
        let cure = error.cure().unwrap_or_default();
        format!("{} = {cure}", error.to_string().split_once("some.pth: ").unwrap().1)
    })
}

fn read_whole(network: &DinoV2, file: Tensors) -> Result<Restored, String> {
    read(file, |file| network.load_weights(file, Member::Student))
}

fn begun(network: &DinoV2, file: Tensors) -> Result<Restored, String> {
    read(file, |file| network.load_pretrained(file, Member::Student))
}

fn clear(network: &DinoV2) {
    no_grad(|| network.state().into_iter().for_each(|(_, mut tensor)| drop(tensor.zero_())));
}

#[track_caller]
fn equal(one: &DinoV2, other: &DinoV2, prefix: &str) {
    for ((key, ours), (_, theirs)) in one.state().into_iter().zip(other.state()) {
        assert!(!key.starts_with(prefix) || ours == theirs, "{key}");
    }
}

#[test]
fn a_file_of_a_whole_network_comes_back_key_for_key() {
    for (form, head) in [(SMALL, HeadKind::LinearFour), (WITH_REGISTERS, HeadKind::Linear)] {
        let [from, to] = [1, 2].map(|seed| network(form, head, seed));
        for (prefix, pretrained) in [("", false), ("state_dict.module.", true)] {
            clear(&to);
            let file = below(prefix, saved(&RELEASED, &from, Extent::Whole));
            let restored = if pretrained { begun(&to, file) } else { read_whole(&to, file) }.unwrap();
            assert_eq!(restored.loaded.len(), to.state().len());
            assert_eq!(restored.kept.len() + restored.counters.len(), 0);
            equal(&to, &from, "");
        }
    }
}

#[test]
fn every_program_s_file_of_a_transformer_leaves_the_head_as_it_is() {
    for form in [SMALL, WITH_REGISTERS] {
        let [from, to] = [1, 2].map(|seed| network(form, HeadKind::Linear, seed));
        for (program, prefix) in ENCODERS.iter().zip(["", "dinov2.", "model."]) {
            clear(&to);
            let mut file = below(prefix, saved(program, &from, Extent::Encoder));
            if prefix == "dinov2." {
                file.insert("classifier.weight".to_owned(), Tensor::ones([10, 768], (Kind::Float, Device::Cpu)));
            }
            let restored = begun(&to, file).unwrap_or_else(|error| panic!("{}: {error}", program.name));
            equal(&to, &from, BACKBONE);
            let is_zero = |(_, tensor): &(String, Tensor)| tensor.abs().max().double_value(&[]) == 0.0;
            assert!(to.state().iter().filter(|(key, _)| key.starts_with(HEAD)).all(is_zero));
            assert!(restored.loaded.iter().all(|name| name.starts_with(BACKBONE)));
            let apart = restored.kept.iter().chain(&restored.counters);
            assert!(apart.clone().all(|apart| apart.name.starts_with(HEAD)) && apart.count() == 7, "{restored:?}");
            let [skipped] = &restored.skipped[..] else { panic!("{:?}", restored.skipped) };
            assert!(skipped.name.ends_with("mask_token") && skipped.why.contains("masked patches"), "{skipped:?}");
        }
    }
}

#[test]
fn names_and_shapes_are_those_that_transformers_saves_and_has_in_memory() {
    let reference: Value = serde_json::from_str(include_str!("../../../tests_data/dinov2_reference.json")).unwrap();
    for (program, list) in ENCODERS[1..].iter().zip(["saved", "in_memory"]) {
        for (form, key) in [(SMALL, "without registers"), (WITH_REGISTERS, "with registers")] {
            let theirs: BTreeMap<String, Vec<i64>> = serde_json::from_value(reference[list][key].clone()).unwrap();
            let saved = saved(program, &network(form, HeadKind::Linear, 1), Extent::Encoder);
            let is_later = |name: &str| name.starts_with("encoder.layer.") && !name.starts_with("encoder.layer.0.");
            let ours = saved.into_iter().filter(|(name, _)| !is_later(name));
            let ours: BTreeMap<String, Vec<i64>> = ours.map(|(name, tensor)| (name, tensor.size())).collect();
            assert_eq!(ours, theirs, "{} {key}", program.name);
        }
    }
}

#[test]
fn a_file_of_another_transformer_or_head_or_part_is_told_by_it() {
    let small = network(SMALL, HeadKind::Linear, 1);
    for (program, extent) in [(&RELEASED, Extent::Encoder), (&ENCODERS[1], Extent::Encoder), (&RELEASED, Extent::Whole)]
    {
        let said = begun(&small, saved(program, &network(WITH_REGISTERS, HeadKind::Linear, 2), extent)).unwrap_err();
        let both = format!(
            "it holds a ViT-S/14 with registers under the names of {}, and the model is a ViT-S/14 without registers with \
             `head = \"linear\"`",
            program.name
        );
        assert!(said.contains(&both) && said.contains("a model of that `arch`"), "{said}");
    }
    let with_registers = network(WITH_REGISTERS, HeadKind::Linear, 1);
    let said = begun(&with_registers, saved(&RELEASED, &small, Extent::Encoder)).unwrap_err();
    assert!(said.contains("it holds a ViT-S/14 without registers under the names of DINOv2's released code"), "{said}");

    // Of another size only what tells it: the embedding and the first tensor of each block.
    let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
    let of = |width: i64, blocks: i64, patch: i64| -> Tensors {
        let norms = (0..blocks).map(|block| (format!("blocks.{block}.norm1.weight"), ones(&[width])));
        norms.chain([("patch_embed.proj.weight".to_owned(), ones(&[width, 3, patch, patch]))]).collect()
    };
    let said = begun(&small, of(1024, 24, 14)).unwrap_err();
    assert!(said.contains("it holds a ViT-L/14 without registers"), "{said}");
    for (other, told) in [
        (of(1536, 40, 14), "a vision transformer of 40 blocks, 1536 channels and patches of 14 pixels a side"),
        (of(384, 12, 16), "a vision transformer of 12 blocks, 384 channels and patches of 16 pixels a side"),
    ] {
        let said = begun(&small, other).unwrap_err();
        assert!(said.contains(told), "{said}");
    }

    let whole_of = |head| saved(&RELEASED, &network(SMALL, head, 2), Extent::Whole);
    let before: Vec<Tensor> = small.state().iter().map(|(_, tensor)| tensor.copy()).collect();
    for said in [begun(&small, whole_of(HeadKind::LinearFour)), read_whole(&small, whole_of(HeadKind::LinearFour))] {
        let said = said.unwrap_err();
        assert!(said.contains("it holds a whole network whose head isn't this model's"), "{said}");
        assert!(said.contains("give the model the `head` of the file"), "{said}");
    }
    let mut foreign = whole_of(HeadKind::Linear);
    foreign.retain(|name, _| !name.starts_with(HEAD));
    foreign.insert("decode_head.linear_pred.weight".to_owned(), ones(&[3, 256, 1, 1]));
    let said = begun(&small, foreign).unwrap_err();
    assert!(said.contains("it holds a whole network whose head isn't this model's"), "{said}");

    let said = read_whole(&small, saved(&RELEASED, &small, Extent::Encoder)).unwrap_err();
    assert!(said.contains("it holds a ViT-S/14 without registers without a head"), "{said}");
    assert!(said.contains("the `init` of a model takes a transformer alone"), "{said}");
    let mut head = whole_of(HeadKind::Linear);
    head.retain(|name, _| name.starts_with(HEAD));
    let said = begun(&small, below("state_dict.", head)).unwrap_err();
    assert!(said.contains("it holds a head without its transformer"), "{said}");

    let mut cut = saved(&RELEASED, &network(SMALL, HeadKind::Linear, 2), Extent::Encoder);
    cut.remove("blocks.3.mlp.fc2.bias");
    let said = begun(&small, cut).unwrap_err();
    assert!(said.contains("tensors of this network"), "{said}");
    assert!(small.state().iter().zip(before).all(|((_, now), before)| *now == before), "nothing was taken");

    let more = DinoV2::new(SMALL, 4, Choice::default(), 1, Device::Cpu, Kind::Float);
    let said = read_whole(&more, whole_of(HeadKind::Linear)).unwrap_err();
    assert!(said.contains("`decode_head.conv_seg.weight` has shape [3, 384, 1, 1], expected [4, 384, 1, 1]"), "{said}");
}
