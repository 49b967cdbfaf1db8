//! Laws of the adaptation loop: the numbers of PyTorch, resuming to the bit, stopping on what is not a number.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use tch::{Device, Kind, no_grad};

use crate::data::Batch;
use crate::equations::Gan;
use crate::network::{ChannelOrder, Logits, Parameter, RateGroup, Statistics};
use crate::optim::{DecoupledDecay, Repeats};

use super::*;
use crate::arch::mit::Size;
use crate::arch::segformer::{Choice, HeadKind, SegFormer};
use crate::arch::small::Small;

const CLASSES: i64 = 5;
const SIZE: [i64; 2] = [32, 48];
const NORMALIZATION: Normalization = Normalization { channels: ChannelOrder::Rgb, mean: [127.0; 3], scale: [64.0; 3] };

/// ((k·i) mod 101 − 50) / 50, as in tests_data/adapt_reference.py.
fn pattern(shape: &[i64], k: i64) -> Tensor {
    let count: i64 = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|i| ((i * k) % 101 - 50) as f64 / 50.0).collect();
    Tensor::from_slice(&values).view(shape)
}

/// Batches that are a function of the iteration. They fail, or are poisoned, where told to.
#[derive(Clone, Copy)]
struct Patterns {
    k: i64,
    iteration: u64,
    end: Option<u64>,
    poison: Option<u64>,
}

impl Patterns {
    fn new(k: i64) -> Patterns {
        Patterns { k, iteration: 0, end: None, poison: None }
    }

    fn open(self) -> impl Fn(u64) -> Result<Box<dyn Batches>, DataError> {
        move |iteration| Ok(Box::new(Patterns { iteration, ..self }))
    }
}

impl Batches for Patterns {
    fn next_batch(&mut self) -> Result<Batch, DataError> {
        if let Some(iterations) = self.end.filter(|&end| self.iteration >= end) {
            return Err(DataError::Exhausted { iterations });
        }
        let i = self.iteration as i64;
        let [height, width] = SIZE;
        let mut images = pattern(&[2, 3, height, width], self.k + i);
        if self.poison == Some(self.iteration) {
            images *= f64::NAN;
        }
        let labels: Vec<i64> = (0..2 * height * width).map(|pixel| pixel * (7 + i) % 6).collect();
        let labels: Vec<i64> = labels.into_iter().map(|y| if y == 5 { 255 } else { y }).collect();
        let labels = Some(Tensor::from_slice(&labels).view([2, height, width]));
        self.iteration += 1;
        Ok(Batch { images, labels, inside: None, names: vec!["a".into(), "b".into()] })
    }
}

/// A method's terms with rates and weights that are large enough to move everything in three iterations.
fn terms(method: Method) -> Terms {
    let Terms { entropy, adversary, teacher, masked, feature_distance, augmentation } = method.terms();
    let adversary = adversary.map(|adversary| Adversary {
        weights: LevelWeights { main: 0.5, aux: 0.2 },
        rate: 0.01,
        width: 4,
        ..adversary
    });
    let entropy = entropy.map(|_| LevelWeights { main: 0.3, aux: 0.15 });
    // So that pixels are sure of untrained networks, and patches and cells fit the images.
    let teacher = teacher.map(|teacher| Teacher { alpha: 0.6, threshold: 0.25, ..teacher });
    let masked = masked.map(|masked| Masked { block: 8, ..masked });
    let feature_distance = feature_distance.map(|_| FeatureDistance { weight: 0.5, least: 0.2, things: vec![1, 3] });
    Terms { entropy, adversary, teacher, masked, feature_distance, augmentation }
}

/// MinEnt's term and AdvEnt's, which no method has together.
fn entropy_and_adversary() -> Terms {
    Terms { entropy: terms(Method::MinEnt).entropy, ..terms(Method::Advent) }
}

/// Terms by the names that adapt_reference.py has for them.
fn all_terms() -> Vec<(&'static str, Terms)> {
    let adaptsegnet = terms(Method::AdaptSegNet);
    let least_squares = adaptsegnet.adversary.map(|adversary| Adversary { gan: Gan::Ls, ..adversary });
    vec![
        ("source-only", terms(Method::SourceOnly)),
        ("minent", terms(Method::MinEnt)),
        ("advent", terms(Method::Advent)),
        ("adaptsegnet", adaptsegnet.clone()),
        ("adaptsegnet, least squares", Terms { adversary: least_squares, ..adaptsegnet }),
        ("minent and advent", entropy_and_adversary()),
    ]
}

/// The same, and those of self-training, whose numbers tests_data has not: the golden vectors have them.
fn terms_of_every_kind() -> Vec<(&'static str, Terms)> {
    let masked_source = terms(Method::Mic).masked.map(|masked| Masked { images: MaskedImages::Source, ..masked });
    let mut all = all_terms();
    all.extend([
        ("dacs", terms(Method::Dacs)),
        ("daformer", terms(Method::DaFormer)),
        ("mic", terms(Method::Mic)),
        ("advent and mic", Terms { adversary: terms(Method::Advent).adversary, ..terms(Method::Mic) }),
        ("source-only, masked", Terms { masked: masked_source, ..terms(Method::SourceOnly) }),
        ("minent with a teacher", Terms { teacher: Some(Teacher::default()), ..terms(Method::MinEnt) }),
    ]);
    all
}

fn settings(method: Method, iterations: u64) -> Settings {
    Settings {
        terms: terms(method),
        iterations,
        schedule_iterations: 10,
        generator_rate: 0.05,
        checkpoint_every: Some(2),
        ..Settings::default()
    }
}

/// A line of losses.jsonl.
type Row = BTreeMap<String, f64>;

/// A slot and a staging folder, and runs of the small network in them.
struct Bench {
    slot: tempfile::TempDir,
    staging: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        tch::set_num_threads(1);
        Bench { slot: tempfile::tempdir().unwrap(), staging: tempfile::tempdir().unwrap() }
    }

    /// Each call is a process of its own as far as the loop can tell: a new network, everything else from the slot.
    fn run(&self, settings: &Settings, source: Patterns, stop_after: Option<u64>) -> Result<Outcome, AdaptError> {
        let network = Small::new(CLASSES, true, 1, Device::Cpu, settings.precision.kind());
        let mut observer = |progress: &Progress| match stop_after {
            Some(done) if progress.done >= done => Control::Stop,
            _ => Control::Continue,
        };
        self.train(&network, settings, source, &mut observer)
    }

    fn observed(&self, settings: &Settings, source: Patterns, by: &mut dyn Observer) -> Result<Outcome, AdaptError> {
        let network = Small::new(CLASSES, true, 1, Device::Cpu, settings.precision.kind());
        self.train(&network, settings, source, by)
    }

    fn train(
        &self,
        network: &dyn Network,
        settings: &Settings,
        source: Patterns,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, AdaptError> {
        let (source, target) = (source.open(), Patterns::new(43).open());
        // Where a term needs none they are not looked at.
        let companions = [7, 8].map(|seed| Small::new(CLASSES, true, seed, Device::Cpu, settings.precision.kind()));
        let run = Run {
            network,
            companions: Companions { teacher: Some(&companions[0]), reference: Some(&companions[1]) },
            normalization: NORMALIZATION,
            given: None,
            source: &source,
            target: Some(&target),
            discriminator_init: None,
            slot: self.slot.path(),
            staging: self.staging.path(),
        };
        adapt(&run, settings, observer)
    }

    /// Every result file with its bytes.
    fn results(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.staging.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }

    fn rows(&self) -> Vec<Row> {
        let text = fs::read_to_string(self.staging.path().join("losses.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// First values that a Python program can compute too.
fn formula(name: &str, shape: &[i64]) -> Tensor {
    let u = pattern(shape, 37 + name.len() as i64);
    match shape {
        [_, i, h, w] => u / ((i * h * w) as f64).sqrt(),
        _ if name.ends_with("norm.weight") => u * 0.1 + 1.0,
        _ => u * 0.1,
    }
}

#[test]
fn three_iterations_with_any_terms_give_pytorchs_losses_and_weights() {
    let text = include_str!("../tests_data/adapt_reference.json");
    let reference: serde_json::Value = serde_json::from_str(text).unwrap();
    for (name, terms) in all_terms() {
        let theirs = &reference[name];
        let has_discriminator = terms.adversary.is_some();
        let settings = Settings { precision: Precision::Float64, terms, ..settings(Method::SourceOnly, 3) };
        let bench = Bench::new();
        let network = Small::new(CLASSES, true, 1, Device::Cpu, Kind::Double);
        // Discriminators can only be given their weights through a checkpoint, which says: nothing done yet.
        let players = Players::new(&network, Companions::default(), &settings);
        begin_by_formula(&network, &players);
        Slot::open(bench.slot.path(), &players.state()).unwrap().save(0, &players.state()).unwrap();
        bench.run(&settings, Patterns::new(29), None).unwrap();

        let their_losses = theirs["losses"].as_array().unwrap();
        let their_losses = their_losses.iter().map(|row| serde_json::from_value::<Row>(row.clone()).unwrap());
        for (mut ours, theirs) in bench.rows().into_iter().zip(their_losses) {
            ours.retain(|loss, _| !["iteration", "lr"].contains(&loss.as_str()));
            assert!(ours.keys().eq(theirs.keys()), "{name}: {ours:?} instead of {theirs:?}");
            for (loss, theirs) in theirs {
                let ours = ours[&loss];
                assert!((ours - theirs).abs() < 1e-10 * theirs, "{name} {loss}: {ours} instead of {theirs}");
            }
        }
        let mut ours = checkpoint::read(&bench.staging.path().join("model.safetensors")).unwrap().tensors;
        let discriminators = bench.staging.path().join("discriminator.safetensors");
        assert_eq!(discriminators.exists(), has_discriminator, "{name}");
        if discriminators.exists() {
            ours.extend(checkpoint::read(&discriminators).unwrap().tensors);
        }
        let sums = theirs["sum_of_absolutes"].as_object().unwrap();
        assert_eq!(ours.len(), sums.len());
        for (key, theirs) in sums {
            let (ours, theirs) = (ours[key].abs().sum(Kind::Double).double_value(&[]), theirs.as_f64().unwrap());
            assert!((ours - theirs).abs() < 1e-9 * theirs, "{name} {key}: {ours} instead of {theirs}");
        }
    }
}

fn begin_by_formula(network: &dyn Network, players: &Players) {
    for (name, tensor) in network.state().iter().chain(&players.discriminator_weights()) {
        no_grad(|| tensor.shallow_clone().copy_(&formula(name, &tensor.size())));
    }
}

/// The gradients of one iteration by parameter, the discriminators' as well.
fn gradients_with(terms: Terms) -> BTreeMap<String, Tensor> {
    let network = Small::new(CLASSES, true, 1, Device::Cpu, Kind::Double);
    let settings = Settings { precision: Precision::Float64, terms, ..settings(Method::SourceOnly, 1) };
    let mut players = Players::new(&network, Companions::default(), &settings);
    begin_by_formula(&network, &players);
    let batch = |k| Fed::new(Patterns::new(k).next_batch().unwrap(), Tensor::shallow_clone);
    let by = Iteration { number: 0, settings: &settings, normalization: &NORMALIZATION, given: None };
    gradients(&mut players, &by, &batch(29), Some(&batch(43))).unwrap();
    let all = network.state().into_iter().chain(players.discriminator_weights());
    all.map(|(name, tensor)| (name, tensor.grad())).collect()
}

#[test]
fn gradients_of_terms_add_up_and_discriminators_learn_as_with_the_adversary_alone() {
    let [source, entropy, adversary] =
        [Method::SourceOnly, Method::MinEnt, Method::Advent].map(terms).map(gradients_with);
    let both = gradients_with(entropy_and_adversary());
    assert!(both.keys().eq(adversary.keys()));
    for (name, both) in both {
        let Some(source) = source.get(&name) else {
            assert_eq!(both, adversary[&name], "{name}");
            continue;
        };
        let shares = [&entropy, &adversary].map(|with| &with[&name] - source);
        let largest = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
        assert!(shares.iter().all(|share| largest(share) > 1e-6), "{name}: each term has a share");
        let away = largest(&(&both - (source + &shares[0] + &shares[1])));
        assert!(away < 1e-14 * largest(&both).max(1.0), "{name}: {away} away from the sum");
    }
}

#[test]
fn with_bfloat16_losses_are_near_those_of_float32_and_weights_stay_float32() {
    // Squared distances are near 0 here, where a share of a loss says nothing.
    for (name, terms) in all_terms().into_iter().filter(|(name, _)| !name.ends_with("least squares")) {
        let [single, half] = [Precision::Float32, Precision::BFloat16].map(|precision| {
            let bench = Bench::new();
            let settings = Settings { precision, terms: terms.clone(), ..settings(Method::SourceOnly, 3) };
            bench.run(&settings, Patterns::new(29), None).unwrap();
            bench
        });
        for (single, half) in single.rows().iter().zip(half.rows()) {
            for (loss, single) in single {
                let half = half[loss];
                assert!((half - single).abs() <= 0.05 * single, "{name} {loss}: {half} instead of {single}");
            }
        }
        assert_ne!(single.rows(), half.rows(), "{name}: bfloat16 was not used");
        let weights = checkpoint::read(&half.staging.path().join("model.safetensors")).unwrap().tensors;
        assert!(weights.values().all(|tensor| tensor.kind() == Kind::Float));
    }
}

#[test]
fn discriminators_start_from_the_file_that_is_given_for_them() {
    let first = Bench::new();
    first.run(&settings(Method::Advent, 2), Patterns::new(29), None).unwrap();
    let file = first.staging.path().join("discriminator.safetensors");
    let given = checkpoint::read(&file).unwrap().tensors;
    let only = first.staging.path().join("main.safetensors");
    let of_main = given.iter().filter_map(|(key, t)| Some((key.strip_prefix("main.")?.to_owned(), t.shallow_clone())));
    checkpoint::write(&only, &of_main.collect::<Vec<_>>(), None).unwrap();
    // A rate of 0 moves nothing, so what comes out is what went in. The file has a discriminator more than is needed.
    let mut still = Settings { seed: 5, ..settings(Method::Advent, 1) };
    let adversary = still.terms.adversary.as_mut().unwrap();
    (adversary.rate, adversary.weights.aux) = (0.0, 0.0);
    let network = Small::new(CLASSES, true, 1, Device::Cpu, Kind::Float);
    let (source, target) = (Patterns::new(29).open(), Patterns::new(43).open());
    for init in [
        DiscriminatorInit::Together((&file).into()),
        DiscriminatorInit::Apart { aux: None, main: Some((&only).into()) },
    ] {
        let second = Bench::new();
        let run = Run {
            network: &network,
            companions: Companions::default(),
            normalization: NORMALIZATION,
            given: None,
            source: &source,
            target: Some(&target),
            discriminator_init: Some(init),
            slot: second.slot.path(),
            staging: second.staging.path(),
        };
        adapt(&run, &still, &mut |_: &Progress| Control::Continue).unwrap();
        let left = checkpoint::read(&second.staging.path().join("discriminator.safetensors")).unwrap().tensors;
        assert_eq!(left.len(), 10, "five layers of the main discriminator");
        assert!(left.iter().all(|(name, tensor)| given[name] == *tensor));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]
    #[test]
    fn a_run_stopped_or_killed_anywhere_and_resumed_ends_with_the_same_bytes(
        (name, terms) in prop::sample::select(terms_of_every_kind()),
        optimizer in 0..3,
        precision in prop::sample::select(vec![Precision::Float32, Precision::BFloat16]),
        stops in prop::collection::btree_set(1u64..6, 0..3),
        kill in 0u64..6,
        copies_ahead: bool,
    ) {
        let mut settings = Settings { precision, terms, ..settings(Method::SourceOnly, 6) };
        let betas = (0.9, 0.99);
        match optimizer {
            0 => {}
            1 => settings.generator = GeneratorOptimizer::Adam { betas },
            _ => {
                let decay = DecoupledDecay { decay: 0.1, exempt: vec!["norm".to_owned()] };
                settings.generator = GeneratorOptimizer::AdamW { betas, decay };
                (settings.warmup, settings.clip) = (Warmup { iterations: 3, ratio: 0.1 }, Some(0.5));
            }
        }
        let whole = Bench::new();
        prop_assert_eq!(whole.run(&settings, Patterns::new(29), None).unwrap(), Outcome::Finished);

        settings.copies_ahead = copies_ahead;
        let cut = Bench::new();
        for stop in stops {
            cut.run(&settings, Patterns::new(29), Some(stop)).unwrap();
        }
        let failing = Patterns { end: Some(kill), ..Patterns::new(29) };
        prop_assert!(cut.run(&settings, failing, None).is_err());
        // Abandoned, nothing is saved, so to the slot it is a kill. And a kill may come while it writes.
        let network = Small::new(CLASSES, true, 1, Device::Cpu, settings.precision.kind());
        let killed = cut.train(&network, &settings, Patterns::new(29), &mut |_: &Progress| Control::Abandon);
        prop_assert!(killed.is_ok_and(|outcome| outcome != Outcome::Finished));
        fs::write(cut.slot.path().join("checkpoint.partial"), "half a file").unwrap();
        prop_assert_eq!(cut.run(&settings, Patterns::new(29), None).unwrap(), Outcome::Finished);
        prop_assert!(whole.results() == cut.results(), "{}", name);
    }
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_the_checkpoint_before_it_stays() {
    let bench = Bench::new();
    let settings = settings(Method::Advent, 6);
    let poisoned = Patterns { poison: Some(3), ..Patterns::new(29) };
    let error = bench.run(&settings, poisoned, None).unwrap_err();
    let AdaptError::LossNotFinite { before: Some(before), .. } = &error else { panic!("{error}") };
    assert_eq!((before.iteration, before.not_finite()), (2, None));
    let expected = "iteration 3: loss seg_aux is NaN, after seg_aux ";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert!(error.to_string().ends_with(" in iteration 2; the checkpoint after 2 iterations is kept"), "{error}");
    assert!(bench.results().is_empty());
    // With the trouble gone, the run goes on from there as if nothing had been.
    assert_eq!(bench.run(&settings, Patterns::new(29), None).unwrap(), Outcome::Finished);
    let whole = Bench::new();
    whole.run(&settings, Patterns::new(29), None).unwrap();
    assert!(whole.results() == bench.results());
}

/// Tells when losses are needed, and notes what it hears.
struct Asking {
    needs: fn(u64) -> bool,
    answer: fn(u64) -> Control,
    heard: Vec<(u64, Vec<u64>)>,
}

impl Asking {
    fn new(needs: fn(u64) -> bool) -> Asking {
        Asking { needs, answer: |_| Control::Continue, heard: Vec::new() }
    }
}

impl Observer for Asking {
    fn needs_losses(&mut self, progress: &Progress) -> bool {
        (self.needs)(progress.done)
    }

    fn hear(&mut self, progress: &Progress) -> Control {
        self.heard.push((progress.done, progress.losses.iter().map(|row| row.iteration).collect()));
        (self.answer)(progress.done)
    }
}

/// 25 iterations, with no checkpoint between.
fn long() -> Settings {
    Settings { schedule_iterations: 100, checkpoint_every: Some(1000), ..settings(Method::SourceOnly, 25) }
}

#[test]
fn losses_are_told_in_order_and_once_when_they_are_needed_and_in_tens_otherwise() {
    let numbers = |from: u64, to: u64| (from..to).collect::<Vec<u64>>();
    let mut asking = Asking::new(|done| done == 3 || done == 4);
    let bench = Bench::new();
    bench.observed(&long(), Patterns::new(29), &mut asking).unwrap();
    let told: Vec<_> = asking.heard.iter().filter(|(_, rows)| !rows.is_empty()).cloned().collect();
    let expected = [(3, numbers(0, 3)), (4, vec![3]), (14, numbers(4, 14)), (24, numbers(14, 24)), (25, vec![24])];
    assert_eq!(told, expected);
    assert_eq!(asking.heard.len(), 25, "it hears of every iteration");
}

#[test]
fn when_losses_are_read_changes_no_byte_of_the_results() {
    let all = [|_| false, |_| true, |done: u64| done.is_multiple_of(3)].map(|needs| {
        let bench = Bench::new();
        bench.observed(&long(), Patterns::new(29), &mut Asking::new(needs)).unwrap();
        bench.results()
    });
    assert!(all.iter().all(|results| *results == all[0]));
}

#[test]
fn a_loss_that_is_no_number_is_named_by_its_iteration_however_late_it_is_read_and_nothing_of_it_is_kept() {
    let never: fn(u64) -> bool = |_| false;
    let save: fn(u64) -> Control = |done| if done == 6 { Control::Save } else { Control::Continue };
    let stop: fn(u64) -> Control = |done| if done == 6 { Control::Stop } else { Control::Continue };
    for (needs, answer, heard) in [
        (never, (|_| Control::Continue) as fn(u64) -> Control, 9),
        (never, save, 6),
        (never, stop, 6),
        (|done| done == 5, stop, 4),
    ] {
        let bench = Bench::new();
        let mut asking = Asking { answer, ..Asking::new(needs) };
        let poisoned = Patterns { poison: Some(3), ..Patterns::new(29) };
        let error = bench.observed(&long(), poisoned, &mut asking).unwrap_err();
        let AdaptError::LossNotFinite { iteration: 3, before: Some(before), kept: None, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((before.iteration, before.not_finite()), (2, None));
        assert_eq!(asking.heard.len(), heard);
        assert!(bench.results().is_empty() && !bench.slot.path().join("checkpoint.safetensors").exists());
        let lines = fs::read_to_string(bench.slot.path().join("losses.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), 3, "those before it are in the log");
    }
}

#[test]
fn the_operations_of_a_step_are_those_of_its_passes_with_what_has_gradients() {
    let of = |method| {
        let mut operations = Vec::new();
        let network = Small::new(CLASSES, true, 1, Device::Cpu, Kind::Float);
        let mut observer = |progress: &Progress| {
            operations.push(progress.operations);
            Control::Continue
        };
        Bench::new().train(&network, &settings(method, 2), Patterns::new(29), &mut observer).unwrap();
        assert_eq!(operations[0], operations[1]);
        operations[0]
    };
    let network = Small::new(CLASSES, true, 1, Device::Cpu, Kind::Float);
    let [height, width] = SIZE;
    let images = Tensor::zeros([2, 3, height, width], (Kind::Float, Device::Cpu));
    let forward = operations::counted(|| no_grad(|| network.forward(&images, Statistics::Batch, None))).1;
    // Images have no gradient: the first convolution has one for its weights alone.
    let first = (2 * 2 * 16 * (height / 2) * (width / 2) * 3 * 9) as u64;
    let pass = 3 * forward - first;
    assert_eq!(of(Method::SourceOnly), pass);
    assert_eq!(of(Method::MinEnt), 2 * pass);
    assert_eq!(of(Method::Dacs), 2 * pass + forward, "a teacher's pass has no gradients");
    assert!(of(Method::Advent) > 2 * pass);
}

#[test]
fn images_that_cannot_be_had_end_the_run_and_all_that_was_done_before_is_kept() {
    let (bench, settings) = (Bench::new(), settings(Method::Advent, 6));
    for done in [3, 5] {
        let failing = Patterns { end: Some(done), ..Patterns::new(29) };
        let error = bench.run(&settings, failing, None).unwrap_err().to_string();
        let expected = format!("iteration {done}: no batch after the last of {done} iterations; the checkpoint after");
        assert_eq!(error, format!("{expected} {done} iterations is kept"));
    }
    assert_eq!(bench.run(&settings, Patterns::new(29), None).unwrap(), Outcome::Finished);
    let whole = Bench::new();
    whole.run(&settings, Patterns::new(29), None).unwrap();
    assert!(whole.results() == bench.results());
}

#[test]
fn a_slot_of_a_longer_run_is_refused() {
    let bench = Bench::new();
    bench.run(&settings(Method::SourceOnly, 4), Patterns::new(29), Some(3)).unwrap();
    let error = bench.run(&settings(Method::SourceOnly, 2), Patterns::new(29), None).unwrap_err();
    assert_eq!(error.to_string(), "the resume slot has 3 iterations behind it, more than the 2 of this run");
}

#[test]
fn weights_that_are_no_numbers_are_not_saved() {
    let bench = Bench::new();
    let mut settings = Settings { generator_rate: 1e30, ..settings(Method::SourceOnly, 1) };
    settings.segmentation.main = 1e12; // so that the loss is fine and the step it leads to isn't
    let error = bench.run(&settings, Patterns::new(29), None).unwrap_err().to_string();
    assert!(error.starts_with("iteration 0: an element of generator."), "{error}");
    assert!(error.ends_with("became infinite or not a number; no checkpoint had been taken"), "{error}");
    assert!(!bench.slot.path().join("checkpoint.safetensors").exists() && bench.results().is_empty(), "{error}");
}

#[test]
fn supervised_training_lowers_the_loss() {
    let bench = Bench::new();
    let generator = GeneratorOptimizer::Adam { betas: (0.9, 0.99) };
    let settings =
        Settings { generator, generator_rate: 5e-3, schedule_iterations: 100, ..settings(Method::SourceOnly, 30) };
    // Bright up to a column that wanders, and the label says where it is bright.
    struct Bright(u64);
    impl Batches for Bright {
        fn next_batch(&mut self) -> Result<Batch, DataError> {
            let edge = 8 + (self.0 * 5 % 16) as i64;
            self.0 += 1;
            let bright = Tensor::arange(32, (Kind::Int64, Device::Cpu)).lt(edge).expand([1, 32, 32], false);
            let images = bright.to_kind(Kind::Float).unsqueeze(1).expand([1, 3, 32, 32], false) * 2.0 - 1.0;
            Ok(Batch { images, labels: Some(bright.to_kind(Kind::Int64)), inside: None, names: vec![] })
        }
    }
    let network = Small::new(2, true, 1, Device::Cpu, Kind::Float);
    let run = Run {
        network: &network,
        companions: Companions::default(),
        normalization: NORMALIZATION,
        given: None,
        source: &|iteration| Ok(Box::new(Bright(iteration))),
        target: None,
        discriminator_init: None,
        slot: bench.slot.path(),
        staging: bench.staging.path(),
    };
    let mut losses = Vec::new();
    let mut observer = |progress: &Progress| {
        let all = progress.losses.iter().flat_map(LossRow::iter);
        losses.extend(all.filter(|(loss, _)| *loss == Loss::SegMain).map(|(_, value)| value));
        Control::Continue
    };
    adapt(&run, &settings, &mut observer).unwrap();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&losses[25..]) < 0.6 * mean(&losses[..5]), "{losses:?}");
}

#[test]
fn a_stopped_training_of_a_network_that_drops_goes_on_with_the_draws_of_its_iterations() {
    let settings =
        Settings { generator: GeneratorOptimizer::Adam { betas: (0.9, 0.99) }, ..settings(Method::Advent, 3) };
    let trained = |bench: &Bench, settings: &Settings, stop_after: u64| {
        let choice = Choice { head: HeadKind::DaFormer, drop_path: 0.5, dropout: 0.5 };
        let network = SegFormer::new(Size::B0, CLASSES, choice, 1, Device::Cpu, Kind::Float);
        let mut observer =
            |progress: &Progress| if progress.done >= stop_after { Control::Stop } else { Control::Continue };
        bench.train(&network, settings, Patterns::new(29), &mut observer).unwrap()
    };
    let [whole, cut, other] = [(); 3].map(|()| Bench::new());
    assert_eq!(trained(&whole, &settings, 9), Outcome::Finished);
    for stop in [1, 2] {
        assert_eq!(trained(&cut, &settings, stop), Outcome::Interrupted { iteration: stop });
    }
    assert_eq!(trained(&cut, &settings, 9), Outcome::Finished);
    assert!(whole.results() == cut.results());
    trained(&other, &Settings { seed: settings.seed + 1, ..settings.clone() }, 9);
    assert!(whole.rows()[0]["seg_main"] != other.rows()[0]["seg_main"], "another seed drops otherwise");
}

/// Scores that are the same everywhere: the sum of two vectors, of which one learns as a body and one as a head.
struct TwoRates {
    body: Tensor,
    head: Tensor,
}

impl Network for TwoRates {
    fn forward(&self, x: &Tensor, _: Statistics, _: Option<Draw>) -> Logits {
        let scores = (&self.body + &self.head).view([1, CLASSES, 1, 1]);
        let main = scores.expand([x.size()[0], CLASSES, 2, 2], false);
        Logits { aux: None, features: main.shallow_clone(), main }
    }
    fn feature_stride(&self) -> i64 {
        1
    }
    fn classes(&self) -> i64 {
        CLASSES
    }
    fn multi_level(&self) -> bool {
        false
    }
    fn parameters(&self) -> Vec<Parameter> {
        let parameter = |name: &str, tensor: &Tensor, group| Parameter {
            name: name.to_owned(),
            tensor: tensor.shallow_clone(),
            group,
            repeats: 1,
        };
        vec![parameter("body", &self.body, RateGroup::Body), parameter("head", &self.head, RateGroup::Head)]
    }
    fn state(&self) -> Vec<(String, Tensor)> {
        self.parameters().into_iter().map(|p| (p.name, p.tensor)).collect()
    }
}

#[test]
fn heads_learn_faster_than_the_body_by_the_given_factor() {
    let zeros = || Tensor::zeros([CLASSES], (Kind::Double, Device::Cpu)).set_requires_grad(true);
    let network = TwoRates { body: zeros(), head: zeros() };
    let generator = GeneratorOptimizer::Sgd { momentum: 0.9, weight_decay: 0.0, repeats: Repeats::Once };
    let precision = Precision::Float64;
    let settings = Settings { generator, precision, head_factor: 8.0, ..settings(Method::MinEnt, 3) };
    Bench::new().train(&network, &settings, Patterns::new(29), &mut |_: &Progress| Control::Continue).unwrap();
    assert_eq!(network.head, &network.body * 8.0);
    assert!(network.body.abs().min().double_value(&[]) > 0.0);
}

#[test]
fn a_level_whose_adversarial_weight_is_zero_has_no_discriminator() {
    let bench = Bench::new();
    let mut settings = settings(Method::Advent, 1);
    settings.terms.adversary.as_mut().unwrap().weights.aux = 0.0;
    bench.run(&settings, Patterns::new(29), None).unwrap();
    let losses: Vec<String> = bench.rows().remove(0).into_keys().collect();
    assert_eq!(losses, ["adv_main", "d_main_s", "d_main_t", "iteration", "lr", "seg_aux", "seg_main"]);
    let keys = checkpoint::read(&bench.staging.path().join("discriminator.safetensors")).unwrap().tensors;
    assert!(keys.keys().all(|key| key.starts_with("main.")));
}

#[test]
fn what_a_run_cannot_work_with_is_said_before_or_at_its_first_iteration() {
    let bench = Bench::new();
    let network = Small::new(CLASSES, false, 1, Device::Cpu, Kind::Float);
    let unlabelled = |_: u64| -> Result<Box<dyn Batches>, DataError> {
        struct Unlabelled;
        impl Batches for Unlabelled {
            fn next_batch(&mut self) -> Result<Batch, DataError> {
                Ok(Batch {
                    images: pattern(&[1, 3, 32, 32], 7),
                    labels: None,
                    inside: None,
                    names: vec!["street".into()],
                })
            }
        }
        Ok(Box::new(Unlabelled))
    };
    let small = |_: u64| -> Result<Box<dyn Batches>, DataError> {
        struct Tiny;
        impl Batches for Tiny {
            fn next_batch(&mut self) -> Result<Batch, DataError> {
                let labels = Some(Tensor::zeros([1, 31, 40], (Kind::Int64, Device::Cpu)));
                Ok(Batch { images: pattern(&[1, 3, 31, 40], 7), labels, inside: None, names: vec!["lane".into()] })
            }
        }
        Ok(Box::new(Tiny))
    };
    let fail = |source: Open, target: Option<Open>| {
        let (slot, staging) = (bench.slot.path(), bench.staging.path());
        let companions = Companions::default();
        let (normalization, given) = (NORMALIZATION, None);
        let run = Run {
            network: &network,
            companions,
            normalization,
            given,
            source,
            target,
            discriminator_init: None,
            slot,
            staging,
        };
        adapt(&run, &settings(Method::Advent, 1), &mut |_: &Progress| Control::Continue).unwrap_err().to_string()
    };
    assert_eq!(fail(&small, None), "adaptation needs target images, and none were given");
    assert_eq!(
        fail(&unlabelled, Some(&small)),
        "iteration 0: image `street` has no label, but the source side of training needs one"
    );
    assert_eq!(
        fail(&small, Some(&small)),
        "iteration 0: image `lane`: the discriminator needs maps of at least 32 pixels a side, got 40×31"
    );
}

#[test]
fn weights_of_one_run_start_another() {
    let bench = Bench::new();
    bench.run(&settings(Method::SourceOnly, 1), Patterns::new(29), None).unwrap();
    let path = bench.staging.path().join("model.safetensors");
    let other = Small::new(CLASSES, true, 2, Device::Cpu, Kind::Double);
    let restored = Init::Weights((&path).into()).load(&other).unwrap();
    assert_eq!(restored.loaded.len(), other.state().len());
    let stored = checkpoint::read(&path).unwrap().tensors;
    for (name, tensor) in other.state() {
        assert_eq!(tensor, stored[&name].to_kind(Kind::Double), "{name}");
    }
    let single_level = Small::new(CLASSES, false, 2, Device::Cpu, Kind::Float);
    let error = Init::Weights(path.into()).load(&single_level).unwrap_err().to_string();
    assert!(error.contains("tensor `aux.bias` [5] has no place in this network"), "{error}");
}
