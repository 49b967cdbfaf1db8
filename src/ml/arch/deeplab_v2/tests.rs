//! Laws of DeepLab-v2 without golden vectors: what it reads from a file, which weights count, and which are trained.

use std::collections::HashMap;

use super::*;

fn network(multi_level: bool, branches: Branches, seed: u64) -> DeepLabV2 {
    DeepLabV2::new(Depth::Fifty, 3, multi_level, branches, seed, Device::Cpu, Kind::Float)
}

fn tensors(network: &DeepLabV2) -> HashMap<String, Tensor> {
    network.state().into_iter().collect()
}

/// What a network reads from a file of these tensors; of a message the part after the file's name.
fn file(
    stored: HashMap<String, Tensor>,
    load: impl Fn(&InputFile) -> Result<Restored, CheckpointError>,
) -> Result<Restored, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.pth");
    checkpoint::write(&path, &stored.into_iter().collect::<Vec<_>>(), None).unwrap();
    load(&InputFile::new(&path)).map_err(|error| error.to_string().split_once("some.pth: ").unwrap().1.to_owned())
}

fn whole(network: &DeepLabV2, stored: HashMap<String, Tensor>) -> Result<Restored, String> {
    file(stored, |path| network.load_weights(path, Member::Student))
}

fn backbone(network: &DeepLabV2, stored: HashMap<String, Tensor>) -> Result<Restored, String> {
    file(stored, |path| network.load_pretrained(path, Member::Student))
}

/// With other keys if `rename` gives one.
fn renamed(stored: HashMap<String, Tensor>, rename: impl Fn(&str) -> Option<String>) -> HashMap<String, Tensor> {
    stored.into_iter().map(|(key, tensor)| (rename(&key).unwrap_or(key), tensor)).collect()
}

#[test]
fn a_whole_network_is_loaded_key_for_key_and_counters_may_be_missing() {
    let (from, to) = (tensors(&network(true, Branches::Four, 1)), network(true, Branches::Four, 2));
    let mut stored: HashMap<_, _> = from.iter().map(|(key, tensor)| (key.clone(), tensor.shallow_clone())).collect();
    stored.retain(|key, _| !key.ends_with("num_batches_tracked"));
    let restored = whole(&to, stored).unwrap();
    assert_eq!((restored.skipped.len(), restored.kept.len()), (0, 0));
    assert!(to.state().iter().all(|(key, tensor)| from[key] == *tensor));

    let mut cut = tensors(&network(true, Branches::Four, 3));
    cut.remove("layer5.conv2d_list.0.bias");
    let error = whole(&to, cut).unwrap_err();
    assert!(error.contains("only 280 of the 281 tensors of this network are in the file"), "{error}");
    assert!(error.contains("missing are `layer5.conv2d_list.0.bias`"), "{error}");

    let one_level = network(false, Branches::Four, 2);
    let restored = whole(&one_level, tensors(&network(true, Branches::Four, 1))).unwrap();
    assert_eq!((restored.skipped.len(), restored.kept.len()), (8, 0), "the auxiliary head is left aside");
}

#[test]
fn a_network_of_one_head_is_taken_whatever_its_head_is_called() {
    let one_level = network(false, Branches::Two, 2);
    let from = tensors(&network(false, Branches::Two, 1));
    let adaptsegnets = renamed(tensors(&network(false, Branches::Two, 1)), |key| {
        key.strip_prefix("layer6.").map(|rest| format!("layer5.{rest}"))
    });
    assert!(adaptsegnets.keys().all(|key| !key.starts_with("layer6.")));
    assert_eq!(whole(&one_level, adaptsegnets).unwrap().skipped.len(), 0);
    assert!(one_level.state().iter().all(|(key, tensor)| from[key] == *tensor));

    // A network of two heads has another `layer5`, and no head for a file without `layer6`.
    let error = whole(
        &network(true, Branches::Two, 2),
        renamed(from, |_| None).into_iter().filter(|(key, _)| !key.starts_with("layer6.")).collect(),
    );
    let error = error.unwrap_err();
    assert!(error.contains("missing are `layer5.conv2d_list.0.weight`"), "{error}");
}

#[test]
fn other_classes_than_the_networks_are_told_with_both_shapes() {
    let other = DeepLabV2::new(Depth::Fifty, 5, true, Branches::Four, 1, Device::Cpu, Kind::Float);
    let error = whole(&network(true, Branches::Four, 2), tensors(&other)).unwrap_err();
    let expected = "tensor `layer5.conv2d_list.0.weight` has shape [5, 1024, 3, 3], expected [3, 1024, 3, 3], and 15 more have \
                    another shape";
    assert_eq!(error, expected);
}

#[test]
fn a_backbone_in_caffes_manner_is_loaded_and_both_heads_stay_random() {
    let (from, to) = (tensors(&network(true, Branches::Four, 1)), network(true, Branches::Four, 2));
    let head = to.state().into_iter().find(|(key, _)| key == "layer5.conv2d_list.0.weight").unwrap().1.copy();
    let mut stored: HashMap<String, Tensor> = HashMap::new();
    for (key, tensor) in from.iter().filter(|(key, _)| !key.starts_with("layer5.") && !key.starts_with("layer6.")) {
        stored.insert(format!("Scale.{key}"), tensor.shallow_clone());
    }
    // The old head has the auxiliary one's names, and other channels and classes.
    let old = Tensor::ones([21, 2048, 3, 3], (Kind::Float, Device::Cpu));
    stored.insert("Scale.layer5.conv2d_list.0.weight".into(), old.shallow_clone());
    stored.insert("Scale.fc.weight".into(), old);
    let restored = backbone(&to, stored).unwrap();
    let skipped: Vec<_> = restored.skipped.iter().map(|apart| (apart.name.as_str(), apart.shape[0])).collect();
    assert_eq!(skipped, [("fc.weight", 21), ("layer5.conv2d_list.0.weight", 21)]);
    assert_eq!(restored.kept.len(), 16, "two heads of four branches of weight and bias");
    let now = tensors(&to);
    assert_eq!(now["layer5.conv2d_list.0.weight"], head);
    assert_eq!(now["layer4.2.conv3.weight"], from["layer4.2.conv3.weight"]);

    let mut cut: HashMap<_, _> = now.into_iter().filter(|(key, _)| !key.starts_with("layer6.")).collect();
    cut.remove("layer4.2.conv3.weight");
    let error = backbone(&to, cut).unwrap_err();
    assert!(error.contains("`layer4.2.conv3.weight`"), "{error}");
}

#[test]
fn with_two_branches_the_others_are_there_but_neither_seen_nor_moved() {
    let (two, four) = (network(true, Branches::Two, 1), network(true, Branches::Four, 1));
    let keys = |n: &DeepLabV2| n.state().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(&two), keys(&four));
    let x = Tensor::arange(3 * 64 * 64, (Kind::Float, Device::Cpu)).sin().view([1, 3, 64, 64]);
    let unseen = |key: &str| key.contains("conv2d_list.2.") || key.contains("conv2d_list.3.");
    let logits = two.forward(&x, Statistics::Running, None);
    assert_ne!(logits.main, four.forward(&x, Statistics::Running, None).main);
    tch::no_grad(|| {
        four.state().into_iter().filter(|(key, _)| unseen(key)).for_each(|(_, mut tensor)| drop(tensor.zero_()));
    });
    let same = four.forward(&x, Statistics::Running, None);
    assert!(logits.main.allclose(&same.main, 1e-5, 1e-6, false));
    assert!(logits.aux.as_ref().unwrap().allclose(same.aux.as_ref().unwrap(), 1e-5, 1e-6, false));

    (logits.main.square().sum(None) + logits.aux.unwrap().square().sum(None)).backward();
    for p in two.parameters() {
        assert_eq!(p.tensor.grad().defined(), !unseen(&p.name), "{}", p.name);
    }
}

#[test]
fn parameters_are_listed_as_often_as_the_released_code_does() {
    let parameters = network(true, Branches::Four, 1).parameters();
    let count = |repeats, group| parameters.iter().filter(|p| p.repeats == repeats && p.group == group).count();
    assert_eq!([1, 3, 4].map(|repeats| count(repeats, RateGroup::Body)), [1, 3 * 16, 4]);
    assert_eq!(count(1, RateGroup::Head), 16);
    assert_eq!(parameters.len(), 1 + 3 * 16 + 4 + 16, "none of batch normalisation");
}

#[test]
fn first_values_are_those_of_the_released_code() {
    let state = tensors(&network(true, Branches::Four, 1));
    for key in ["layer3.0.conv2.weight", "layer6.conv2d_list.3.weight"] {
        let deviation = state[key].std(false).double_value(&[]);
        assert!((deviation - 0.01).abs() < 2e-4, "{key}: {deviation}");
    }
    let bound = 1.0 / (9.0 * 1024f64).sqrt();
    let largest = (0..4).map(|i| state[&format!("layer5.conv2d_list.{i}.bias")].abs().max().double_value(&[]));
    assert!(largest.fold(0.0, f64::max) <= bound);
}

#[test]
fn the_grid_is_that_of_the_released_code() {
    let network = network(true, Branches::Four, 1);
    for (height, width, grid) in [(180, 240, [23, 31]), (61, 80, [8, 11])] {
        let x = Tensor::zeros([1, 3, height, width], (Kind::Float, Device::Cpu));
        let logits = tch::no_grad(|| network.forward(&x, Statistics::Running, None));
        assert_eq!((&logits.main.size()[2..], &logits.aux.unwrap().size()[2..]), (&grid[..], &grid[..]));
    }
}
