//! Files under every program's names: what is read from them, and what is said of those that don't fit.

use std::collections::HashMap;

use intrada_data::input_file::InputFile;
use intrada_weights::names::Stored::{As, Both, FirstThird, LastThirds, Reversed, Three};
use intrada_weights::names::segformer::{ALL, RELEASED};
use intrada_weights::names::{BACKBONE, Extent, HEAD};
use serde_json::Value;
use tch::{Device, Kind, Tensor, no_grad};

use super::*;
use crate::arch::segformer::{Choice, HeadKind, SegFormer};
use crate::checkpoint::{self, CheckpointError, Member, Restored};
use crate::network::Network;

type Tensors = HashMap<String, Tensor>;

fn network(size: Size, head: HeadKind, seed: u64) -> SegFormer {
    SegFormer::new(size, 3, Choice { head, ..Choice::default() }, seed, Device::Cpu, Kind::Float)
}

fn convention(name: &str) -> &'static Convention {
    ALL.iter().find(|convention| convention.name == name).unwrap()
}

/// The network as a program of this convention saves it: the inverse of what is tested.
fn saved(convention: &Convention, network: &SegFormer, extent: Extent) -> Tensors {
    let (mut file, mut thirds): (Tensors, HashMap<String, [Option<Tensor>; 2]>) = Default::default();
    for (key, tensor) in network.state() {
        let tensor = tensor.detach();
        let is_pointwise = convention.name == "mmsegmentation" && key.contains(".mlp.fc") && key.ends_with("weight");
        let tensor = if is_pointwise { tensor.unsqueeze(-1).unsqueeze(-1) } else { tensor };
        match convention.stored(&key, extent) {
            None => assert_eq!(extent, Extent::Encoder, "{key} has no place"),
            Some(As(name)) => drop(file.insert(name, tensor)),
            Some(Both(first, second)) => {
                let halves = tensor.chunk(2, 0);
                file.insert(first, halves[0].contiguous());
                file.insert(second, halves[1].contiguous());
            }
            Some(Three(..)) => panic!("no SegFormer has three"),
            Some(FirstThird(name)) => thirds.entry(name).or_default()[0] = Some(tensor),
            Some(LastThirds(name)) => thirds.entry(name).or_default()[1] = Some(tensor),
            Some(Reversed(name)) => {
                let mut parts = tensor.chunk(4, 1);
                parts.reverse();
                file.insert(name, Tensor::cat(&parts, 1));
            }
        }
    }
    for (name, parts) in thirds {
        let parts = parts.map(|part| part.expect("query, key and value are together"));
        file.insert(name, Tensor::cat(&parts, 0));
    }
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

fn read_whole(network: &SegFormer, file: Tensors) -> Result<Restored, String> {
    read(file, |file| network.load_weights(file, Member::Student))
}

fn begun(network: &SegFormer, file: Tensors, member: Member) -> Result<Restored, String> {
    read(file, |file| network.load_pretrained(file, member))
}

#[track_caller]
fn equal(one: &SegFormer, other: &SegFormer, prefix: &str) {
    for ((key, ours), (_, theirs)) in one.state().into_iter().zip(other.state()) {
        assert!(!key.starts_with(prefix) || ours == theirs, "{key}");
    }
}

#[test]
fn every_program_s_file_of_a_whole_network_comes_back_key_for_key() {
    let programs_of = |head: HeadKind| match head {
        HeadKind::SegFormer => &ALL[..4],
        HeadKind::DaFormer => &ALL[..1],
        HeadKind::Mmseg => &ALL[..],
    };
    for head in [HeadKind::SegFormer, HeadKind::DaFormer, HeadKind::Mmseg] {
        let [from, to] = [1, 2].map(|seed| network(Size::B0, head, seed));
        let is_meant = |program: &&Convention| head != HeadKind::Mmseg || program.head.is_empty();
        for program in programs_of(head).iter().filter(is_meant) {
            for (prefix, pretrained) in [("", false), ("state_dict.module.", true)] {
                no_grad(|| to.state().into_iter().for_each(|(_, mut tensor)| drop(tensor.zero_())));
                let file = below(prefix, saved(program, &from, Extent::Whole));
                let restored = if pretrained { begun(&to, file, Member::Student) } else { read_whole(&to, file) };
                let restored = restored.unwrap_or_else(|error| panic!("{} {head:?}: {error}", program.name));
                assert_eq!((restored.loaded.len(), restored.skipped.len()), (to.state().len(), 0), "{}", program.name);
                assert_eq!(restored.kept.len() + restored.counters.len(), 0);
                equal(&to, &from, "");
            }
        }
    }
}

#[test]
fn every_program_s_file_of_an_encoder_leaves_the_head_as_it_is() {
    let [from, to, untouched] = [1, 2, 2].map(|seed| network(Size::B0, HeadKind::SegFormer, seed));
    for (program, prefix) in ALL.iter().zip(["", "model.", "segformer.encoder.", "", "backbone."]) {
        let file = below(prefix, saved(program, &from, Extent::Encoder));
        let restored = begun(&to, file, Member::Student).unwrap_or_else(|error| panic!("{}: {error}", program.name));
        equal(&to, &from, BACKBONE);
        equal(&to, &untouched, HEAD);
        assert!(restored.kept.iter().all(|apart| apart.name.starts_with(HEAD) && apart.why.contains("backbone lacks")));
        assert!(restored.loaded.iter().all(|name| name.starts_with(BACKBONE)));
        no_grad(|| {
            to.state().into_iter().filter(|(key, _)| key.starts_with(BACKBONE)).for_each(|(_, mut t)| drop(t.zero_()))
        });
    }
}

#[test]
fn names_and_shapes_are_those_that_transformers_saves_and_has_in_memory() {
    let reference: Value = serde_json::from_str(include_str!("../../../tests_data/segformer_reference.json")).unwrap();
    let ours = |name: &str| {
        let network = SegFormer::new(Size::B0, 5, Choice::default(), 1, Device::Cpu, Kind::Float);
        let saved = saved(convention(name), &network, Extent::Whole);
        saved.into_iter().map(|(name, tensor)| (name, tensor.size())).collect::<BTreeMap<String, Vec<i64>>>()
    };
    for (name, list) in [("transformers", "saved"), ("transformers 5 in memory", "in_memory")] {
        let theirs: BTreeMap<String, Vec<i64>> = serde_json::from_value(reference[list].clone()).unwrap();
        assert_eq!(ours(name), theirs, "{name}");
    }
    let theirs: BTreeMap<String, Vec<i64>> = serde_json::from_value(reference["mmsegmentation"].clone()).unwrap();
    let network =
        SegFormer::new(Size::B0, 5, Choice { head: HeadKind::Mmseg, ..Choice::default() }, 1, Device::Cpu, Kind::Float);
    let saved = saved(convention("mmsegmentation"), &network, Extent::Whole);
    let ours: BTreeMap<String, Vec<i64>> = saved.into_iter().map(|(name, tensor)| (name, tensor.size())).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn what_published_files_have_besides_is_skipped_with_the_reason() {
    let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
    let (from, to) = (network(Size::B0, HeadKind::SegFormer, 1), network(Size::B0, HeadKind::SegFormer, 2));
    let mut file = saved(&RELEASED, &from, Extent::Encoder);
    file.insert("head.weight".to_owned(), ones(&[1000, 256]));
    let restored = begun(&to, file, Member::Student).unwrap();
    let apart: Vec<_> = restored.skipped.iter().map(|apart| (apart.name.as_str(), apart.why)).collect();
    assert_eq!(apart, [("head.weight", "ImageNet's classifier")]);

    let mut file = saved(&RELEASED, &from, Extent::Whole);
    file.insert("decode_head.conv_seg.weight".to_owned(), ones(&[3, 128, 1, 1]));
    file.retain(|name, _| !name.ends_with("num_batches_tracked"));
    let restored = read_whole(&to, file).unwrap();
    assert_eq!((restored.skipped.len(), restored.counters.len()), (1, 1));
    equal(&to, &from, BACKBONE);
}

#[test]
fn of_a_file_of_self_training_the_student_is_taken_or_the_teacher() {
    let [student, teacher, imagenet] = [1, 2, 3].map(|seed| network(Size::B0, HeadKind::DaFormer, seed));
    let part = |prefix: &str, network| below(prefix, saved(&RELEASED, network, Extent::Whole));
    let to = network(Size::B0, HeadKind::DaFormer, 4);
    for record in ["", "state_dict."] {
        let file = || -> Tensors {
            let parts = [("model.", &student), ("ema_model.", &teacher), ("imnet_model.", &imagenet)];
            let parts = parts.map(|(name, network)| part(&format!("{record}{name}"), network));
            parts.into_iter().flatten().collect()
        };
        for (member, wanted) in [(Member::Student, &student), (Member::Teacher, &teacher)] {
            let restored = begun(&to, file(), member).unwrap();
            equal(&to, wanted, "");
            assert_eq!(restored.wrapping.also_below.len(), 2, "the others are named");
            no_grad(|| to.state().into_iter().for_each(|(_, mut tensor)| drop(tensor.zero_())));
            let restored = read(file(), |file| to.load_weights(file, member)).unwrap();
            equal(&to, wanted, "");
            assert!(restored.wrapping.to_string().contains("was not taken"));
        }
        let said = begun(&to, part(&format!("{record}model."), &student), Member::Teacher).unwrap_err();
        assert!(said.contains("the teacher of its network (below `ema_model.`) is not in it"), "{said}");
    }
}

#[test]
fn a_file_of_another_size_or_head_or_extent_is_told_by_it() {
    let b0 = network(Size::B0, HeadKind::SegFormer, 1);
    for (program, size) in [(&RELEASED, Size::B1), (convention("transformers"), Size::B2)] {
        for extent in [Extent::Encoder, Extent::Whole] {
            let file = saved(program, &network(size, HeadKind::SegFormer, 2), extent);
            let said = begun(&b0, file, Member::Student).unwrap_err();
            let name = program.name;
            let both = format!(
                "it holds a MiT-{size:?} under the names of {name}, and the model is a MiT-B0 with `head = \"segformer\"`"
            );
            assert!(said.contains(&both) && said.contains("a model of that `arch`"), "{said}");
        }
    }
    let of_daformer = || saved(&RELEASED, &network(Size::B0, HeadKind::DaFormer, 2), Extent::Whole);
    let said = begun(&b0, of_daformer(), Member::Student).unwrap_err();
    assert!(said.contains("it holds a whole network whose head isn't this model's"), "{said}");
    assert!(said.contains("give the model the `head` of the file"), "{said}");
    let said = read_whole(&b0, of_daformer()).unwrap_err();
    assert!(said.contains("tensors of this network are in the file"), "{said}");
    let said = read_whole(&b0, saved(&RELEASED, &b0, Extent::Encoder)).unwrap_err();
    assert!(said.contains("it holds the encoder of a MiT-B0 alone"), "{said}");
    assert!(said.contains("name it as the `init` of the model"), "{said}");

    let mut cut = saved(&RELEASED, &network(Size::B0, HeadKind::SegFormer, 2), Extent::Encoder);
    cut.remove("block3.1.mlp.fc2.bias");
    let before = b0.state().iter().map(|(_, tensor)| tensor.copy()).collect::<Vec<_>>();
    let said = begun(&b0, cut, Member::Student).unwrap_err();
    assert!(said.contains("tensors of this network"), "{said}");
    assert!(b0.state().iter().zip(before).all(|((_, now), before)| *now == before), "nothing was taken");

    let mut odd = saved(convention("transformers"), &network(Size::B0, HeadKind::SegFormer, 2), Extent::Whole);
    let name = "segformer.encoder.block.0.0.attention.self.value.weight";
    odd.insert(name.to_owned(), Tensor::ones([7, 5], (Kind::Float, Device::Cpu)));
    let said = read_whole(&b0, odd).unwrap_err();
    assert!(said.contains("`backbone.block1.0.attn.kv.weight` has shape [32, 32], expected [64, 32]"), "{said}");
}
