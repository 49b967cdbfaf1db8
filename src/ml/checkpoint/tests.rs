//! Files that are read back as written, and files that don't fit, each reported with the reason.

use super::*;

fn named(name: &str, tensor: Tensor) -> (String, Tensor) {
    (name.to_owned(), tensor)
}

#[test]
fn tensors_of_every_kind_and_layout_come_back_and_equal_contents_give_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.safetensors");
    let values = Tensor::from_slice(&[0.5f64, 1.0, 2.0, 3.0, 4.0, 5.25]).view([2, 3]);
    let mut all: Vec<_> = KINDS
        .iter()
        .map(|(kind, _)| named(&format!("{kind:?}"), values.to_kind(*kind).transpose(0, 1)))
        .chain([named("scalar", Tensor::from(7.5)), named("empty", Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)))])
        .collect();
    write(&path, &all, Some("{}")).unwrap();
    let first = fs::read(&path).unwrap();
    let read = read(&path).unwrap();
    assert_eq!((read.tensors.len(), read.metadata.as_deref()), (all.len(), Some("{}")));
    for (name, tensor) in &all {
        assert_eq!((&read.tensors[name], read.tensors[name].kind()), (tensor, tensor.kind()), "{name}");
    }
    all.reverse();
    write(&path, &all, Some("{}")).unwrap();
    assert_eq!(first, fs::read(&path).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary file is gone");
}

#[test]
fn restoring_names_the_first_difference_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
    write(&path, &[named("a", ones(&[2])), named("b", ones(&[2, 3])), named("extra", ones(&[1]))], None).unwrap();
    let live = |b: &[i64], kind| [named("a", ones(&[2]) * 0.0), named("b", ones(b).to_kind(kind) * 0.0)];
    let skip = Rule { skip: &[("ext", "spare")], ..Rule::RESUME };

    let wrong_shape = live(&[3, 2], Kind::Float);
    let message = restore(&InputFile::new(&path), &wrong_shape, skip).unwrap_err().to_string();
    assert!(message.ends_with("tensor `b` has shape [2, 3], expected [3, 2]"), "{message}");
    assert_eq!(wrong_shape[0].1.sum(Kind::Float).double_value(&[]), 0.0, "`a` was not touched either");

    let wide = live(&[2, 3], Kind::Double);
    let message = restore(&InputFile::new(&path), &wide, skip).unwrap_err().to_string();
    assert!(message.ends_with("tensor `b` has elements of kind Float, expected Double"), "{message}");

    let message = restore(&InputFile::new(&path), &live(&[2, 3], Kind::Float), Rule::RESUME).unwrap_err().to_string();
    assert!(message.ends_with("tensor `extra` [1] has no place in this network"), "{message}");

    let mut more = live(&[2, 3], Kind::Float).into_iter().collect::<Vec<_>>();
    more.push(named("head", ones(&[4])));
    let message = restore(&InputFile::new(&path), &more, skip).unwrap_err().to_string();
    assert!(message.ends_with("tensor `head` [4] is missing"), "{message}");

    let restored = restore(&InputFile::new(&path), &more, Rule { keep: &[("head", "new")], ..skip }).unwrap();
    let apart = |name: &str, side, why| vec![Apart { name: name.into(), shape: vec![side], why }];
    let (skipped, kept) = (apart("extra", 1, "spare"), apart("head", 4, "new"));
    assert_eq!(restored, Restored { loaded: vec!["a".into(), "b".into()], skipped, kept, ..Restored::default() });
    assert_eq!(more[1].1, ones(&[2, 3]));
}

#[test]
fn a_damaged_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.safetensors");
    write(&path, &[named("a", Tensor::from_slice(&[1f32; 100]))], None).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("cut.safetensors is not a whole safetensors file"), "{message}");
}

fn of(values: &[(&str, f32)]) -> Vec<(String, Tensor)> {
    values.iter().map(|(name, value)| named(name, Tensor::from_slice(&[*value]))).collect()
}

/// `live` after reading a file of these tensors, or the message.
fn taken_from(file: &[(String, Tensor)]) -> Result<(Vec<f64>, Restored), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    write(&path, file, None).unwrap();
    let live = of(&[("conv.weight", 0.0), ("conv.bias", 0.0)]);
    let restored = restore(&InputFile::new(&path), &live, Rule::WEIGHTS).map_err(|error| error.to_string())?;
    Ok((live.iter().map(|(_, tensor)| tensor.double_value(&[0])).collect(), restored))
}

fn together<const N: usize>(parts: [Vec<(String, Tensor)>; N]) -> Vec<(String, Tensor)> {
    parts.into_iter().flatten().collect()
}

/// The network under a prefix, with values that identify it.
fn network(below: &str, value: f32) -> Vec<(String, Tensor)> {
    of(&[(&format!("{below}conv.weight"), value), (&format!("{below}conv.bias"), value + 1.0)])
}

#[test]
fn a_network_is_found_below_whatever_is_before_its_names() {
    for below in [
        "",
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "module.module.",
        "model_state.",
        "model_state_dict.",
        "state_dict.",
        "state_dict.model.",
        "model.state_dict.",
        "net.",
        "backbone.",
        "student.",
        "ema.module.",
        "state_dict_ema.",
        "runs.0.best.weights.",
    ] {
        let (values, restored) = taken_from(&network(below, 3.0)).unwrap();
        assert_eq!((values, restored.wrapping.below.as_str()), (vec![3.0, 4.0], below));
        let others = of(&[("optimizer.state.0.momentum", 1.0), ("optimizer.state.1.momentum", 1.0), ("epoch", 3.0)]);
        if !below.is_empty() {
            let (values, restored) = taken_from(&together([network(below, 3.0), others])).unwrap();
            let said = restored.wrapping.to_string();
            assert_eq!(values, [3.0, 4.0]);
            let beside = "; beside it and not read: `epoch` (1 tensors), `optimizer` (2 tensors)";
            assert_eq!(said, format!("; read below `{below}`{beside}"));
        }
    }
}

#[test]
fn of_several_networks_the_one_that_is_meant_has_to_be_clear() {
    let (student, teacher) = (network("student.", 1.0), network("teacher.", 5.0));
    let said = taken_from(&together([student, teacher])).unwrap_err();
    assert!(
        said.contains("it holds this network 2 times, and their values differ: below `student.` and `teacher.`"),
        "{said}"
    );
    // One network under two attributes.
    let (values, restored) = taken_from(&together([network("model.net.", 1.0), network("model.alias.", 1.0)])).unwrap();
    assert_eq!((values, restored.wrapping.also_below), (vec![1.0, 2.0], vec!["model.alias.".to_owned()]));
    // Known names of the network in released programs have priority over other tensors, with a remark.
    for (usual, other) in
        [("state_dict.", "state_dict_ema."), ("model.", "ema."), ("state_dict.module.", "ema.module.")]
    {
        let (values, restored) = taken_from(&together([network(usual, 1.0), network(other, 5.0)])).unwrap();
        assert_eq!((values, restored.wrapping.below.as_str()), (vec![1.0, 2.0], usual));
        let said = restored.wrapping.to_string();
        assert!(said.ends_with(&format!("a whole network is also below `{other}` and was not taken")), "{said}");
    }
}

#[test]
fn names_that_do_not_fit_are_shown_beside_those_that_are_wanted() {
    let said = taken_from(&of(&[("decode_head.weight", 1.0), ("backbone.\u{1b}[2J", 1.0)])).unwrap_err();
    let none = "none of the 2 tensors of this network is in the file; wanted are `conv.weight`, `conv.bias`";
    assert!(said.contains(none), "{said}");
    assert!(said.contains("doesn't know `backbone.\\u{1b}[2J`, `decode_head.weight`"), "{said}");
    let said = taken_from(&of(&[("model.conv.weight", 1.0), ("model.head.weight", 1.0), ("epoch", 1.0)])).unwrap_err();
    let some = "only 1 of the 2 tensors of this network are in the file, below `model.`; missing are `conv.bias`. Of the \
                file's 3 tensors the network doesn't know `epoch`, `model.head.weight`";
    assert!(said.ends_with(some), "{said}");
    let said = taken_from(&together([network("", 1.0), of(&[("a", 1.0), ("b", 1.0)])])).unwrap_err();
    assert!(said.ends_with("tensor `a` [1] has no place in this network, and 1 more have none"), "{said}");
}

#[test]
fn the_file_of_a_discriminator_is_called_one_and_no_other_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.safetensors");
    let cure = |names: &[String]| {
        write(&path, &names.iter().map(|name| named(name, Tensor::from_slice(&[1f32]))).collect::<Vec<_>>(), None)
            .unwrap();
        let live = of(&[("encoder.0.conv.weight", 0.0), ("encoder.0.conv.bias", 0.0)]);
        restore(&InputFile::new(&path), &live, Rule::WEIGHTS).unwrap_err().cure().unwrap()
    };
    let layers = |layers: [&str; 5], before: &str| -> Vec<String> {
        layers.iter().flat_map(|layer| ["weight", "bias"].map(|part| format!("{before}{layer}.{part}"))).collect()
    };
    let (numbered, named) = (["0", "2", "4", "6", "8"], ["conv1", "conv2", "conv3", "conv4", "classifier"]);
    let both = [layers(numbered, "aux."), layers(numbered, "main.")].concat();
    for names in [layers(numbered, ""), layers(named, "module."), both] {
        assert!(cure(&names).contains("those of a discriminator, which `discriminator_init`"), "{names:?}");
    }
    let more = [layers(named, ""), vec!["fc.weight".to_owned()]].concat();
    assert!(cure(&more).starts_with("name a file of such a network"));
}

#[test]
fn a_file_that_serves_no_discriminator_is_told_by_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.safetensors");
    let layers = |before: &str| -> Vec<String> {
        let layer = |layer: &str| ["weight", "bias"].map(|part| format!("{before}{layer}.{part}"));
        ["0", "2", "4", "6", "8"].iter().flat_map(|number| layer(number)).collect()
    };
    let both: Vec<_> = [layers("aux."), layers("main.")].concat();
    let live: Vec<_> = both.iter().map(|name| named(name, Tensor::from_slice(&[0f32]))).collect();
    let cure = |names: &[String]| {
        write(&path, &names.iter().map(|name| named(name, Tensor::from_slice(&[1f32]))).collect::<Vec<_>>(), None)
            .unwrap();
        restore(&InputFile::new(&path), &live, Rule::WEIGHTS).unwrap_err().cure().unwrap()
    };
    for of_network in ["encoder.0.conv.weight", "bn1.running_mean", "layer6.conv2d_list.0.weight"] {
        let said = cure(&["x.weight", of_network].map(str::to_owned));
        assert!(said.contains("those of a segmentation network, which `weights`"), "{of_network}: {said}");
    }
    for one in [layers("main."), layers("")] {
        assert!(cure(&one).contains("`discriminator_init_main` or `discriminator_init_aux` takes"), "{one:?}");
    }
    assert!(cure(&["fc.weight".to_owned()]).starts_with("name a file of a discriminator"));
}

#[test]
fn weights_that_are_no_numbers_are_told_with_tensor_and_count_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let live = [named("a", Tensor::from_slice(&[1f32, 1.0, 1.0])), named("b", Tensor::from_slice(&[1f32]))];
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        let file = [named("a", Tensor::from_slice(&[0.0, value, value])), named("b", Tensor::from_slice(&[value]))];
        write(&path, &file, None).unwrap();
        let said = restore(&InputFile::new(&path), &live, Rule::WEIGHTS).unwrap_err().to_string();
        let told =
            "tensor `a` is not finite: 2 of its 3 elements are NaN or infinite, and 1 more tensors are not finite";
        assert!(said.contains(told), "{value}: {said}");
        assert!(live.iter().all(|(_, tensor)| tensor.min().double_value(&[]) == 1.0), "nothing was copied");
    }
    let large = Tensor::from_slice(&[1e300f64]);
    write(&path, &[named("b", large)], None).unwrap();
    let wide = [named("b", Tensor::from_slice(&[1f64]))];
    assert!(restore(&InputFile::new(&path), &wide, Rule::WEIGHTS).is_ok(), "a number of the network's own type");
}

#[test]
fn a_page_in_the_place_of_a_file_is_called_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    fs::write(&path, "<!DOCTYPE html>").unwrap();
    let said = read(&path).unwrap_err().to_string();
    assert!(said.contains("w.pth is not a checkpoint: it is a web page"), "{said}");
    fs::write(&path, "").unwrap();
    assert!(read(&path).unwrap_err().to_string().contains("it is empty"));
}
