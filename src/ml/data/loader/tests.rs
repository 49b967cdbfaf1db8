//! Laws of the loader: the same batches for any number of threads and from any iteration on.

use std::path::Path;

use intrada_data::class_counts::{self, Counts};
use intrada_data::encode;
use intrada_data::input_file::{Changed, InputFile};
use intrada_data::margins::Margins;
use intrada_data::rare;
use intrada_data::raster::{Index, Rgb};
use intrada_data::scenes::Style;
use intrada_data::source::Sample;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

use super::*;
use crate::network::ChannelOrder;

const PLAIN: Normalization = Normalization { channels: ChannelOrder::Rgb, mean: [0.0; 3], scale: [1.0; 3] };

/// The file with its current content as the expected one.
fn as_it_is(path: &Path) -> InputFile {
    /// Good enough to distinguish the contents of tests.
    fn sum(bytes: &[u8]) -> [u8; 32] {
        std::array::from_fn(|place| {
            bytes.iter().skip(place).step_by(32).fold(bytes.len() as u8, |a, b| a.wrapping_mul(31) ^ b)
        })
    }
    InputFile::holding(path, sum(&std::fs::read(path).unwrap()), sum)
}

fn number(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn settings(batch: usize, seed: u64, range: std::ops::Range<u64>, threads: usize) -> Settings {
    Settings {
        order: Order::Shuffle,
        batch: number(batch),
        seed,
        start_iteration: range.start,
        iterations: range.end,
        augment: Augment { flip: true, crop: Some([32, 16]), jitter: 0.3, max_share: None },
        normalization: PLAIN,
        labels: LabelUse::Required { classes: 8 },
        threads: number(threads),
    }
}

fn scenes(count: u64) -> Source {
    let margins = Margins::default();
    Source::Scenes { style: Style::Source, seed: 1, first: 0, count, only: None, labels: None, size: None, margins }
}

/// All batches of a loader, as plain numbers.
fn batches(source: &Source, settings: Settings) -> Vec<(Vec<f32>, Vec<i64>, Vec<String>)> {
    let mut loader = Loader::open(source, settings.clone()).unwrap();
    (settings.start_iteration..settings.iterations)
        .map(|_| {
            let batch = loader.next_batch().unwrap();
            let numbers = |tensor: Tensor| tensor.reshape(-1);
            let images = Vec::<f32>::try_from(numbers(batch.images)).unwrap();
            let labels = batch.labels.map(|labels| Vec::<i64>::try_from(numbers(labels)).unwrap());
            (images, labels.unwrap_or_default(), batch.names)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_loader_opened_at_k_gives_what_an_uninterrupted_one_gives_from_k(
        seed in any::<u64>(), batch in 1usize..4, k in 0u64..8, threads in 1usize..4,
    ) {
        let whole = batches(&scenes(5), settings(batch, seed, 0..8, 1));
        let rest = batches(&scenes(5), settings(batch, seed, k..8, threads));
        prop_assert_eq!(&whole[k as usize..], &rest[..]);
    }

    #[test]
    fn the_stream_does_not_depend_on_the_number_of_threads(seed in any::<u64>(), threads in 2usize..6) {
        let alone = batches(&scenes(4), settings(2, seed, 0..9, 1));
        prop_assert_eq!(alone, batches(&scenes(4), settings(2, seed, 0..9, threads)));
    }
}

#[test]
fn the_memory_changes_nothing_but_the_number_of_reads() {
    let example = |byte| Example { image: Rgb::filled(2, 1, [byte; 3]), label: None, inside: None };
    let memory = Memory::new(6);
    assert_eq!(*memory.get((0, 0), || Ok(example(1))).unwrap(), example(1));
    assert_eq!(*memory.get((0, 0), || panic!("kept samples are not read again")).unwrap(), example(1));
    assert_eq!(*memory.get((0, 1), || Ok(example(2))).unwrap(), example(2));
    assert_eq!(*memory.get((0, 1), || Ok(example(3))).unwrap(), example(3), "there was no room to keep it");
}

#[test]
fn batches_have_the_shapes_and_kinds_of_the_contract() {
    let mut loader = Loader::open(&scenes(3), settings(2, 0, 0..1, 1)).unwrap();
    let batch = loader.next_batch().unwrap();
    assert_eq!((batch.images.size(), batch.images.kind()), (vec![2, 3, 16, 32], Kind::Float));
    let labels = batch.labels.unwrap();
    assert_eq!((labels.size(), labels.kind()), (vec![2, 16, 32], Kind::Int64));
    assert_eq!(batch.names.len(), 2);
    assert!(matches!(loader.next_batch(), Err(DataError::Exhausted { iterations: 1 })));
}

/// Scenes of 8×4 pixels with these margins.
fn with_margins(margins: Margins) -> Source {
    let (style, size) = (Style::Target, Some([8, 4]));
    Source::Scenes { style, seed: 1, first: 0, count: 3, only: None, labels: None, size, margins }
}

#[test]
fn batches_tell_what_is_inside_the_margins_if_the_data_set_has_any() {
    let open = |margins| {
        let settings = Settings { augment: Augment::default(), ..settings(2, 0, 0..1, 1) };
        Loader::open(&with_margins(margins), settings).unwrap().next_batch()
    };
    assert!(open(Margins::default()).unwrap().inside.is_none());
    let inside = open(Margins { top: 1, left: 6, ..Margins::default() }).unwrap().inside.unwrap();
    assert_eq!((inside.size(), inside.kind()), (vec![2, 4, 8], Kind::Bool));
    let row: [i64; 8] = [0, 0, 0, 0, 0, 0, 1, 1];
    let expected = Tensor::from_slice(&[[0; 8], row, row, row].concat()).view([1, 4, 8]).expand([2, 4, 8], false);
    assert_eq!(inside.to_kind(Kind::Int64), expected);
    let error = open(Margins { top: 3, bottom: 1, ..Margins::default() }).unwrap_err().to_string();
    assert!(error.contains("leave no pixel of image scene-") && error.contains("8x4: 3 at the top, 1 at"), "{error}");
}

/// Samples of one grey level each, in files.
fn files(folder: &Path, sizes: &[[usize; 2]]) -> Vec<Sample> {
    let sample = |(i, &[width, height]): (usize, &[usize; 2])| {
        let (image, label) = (folder.join(format!("{i}.png")), folder.join(format!("{i}-label.png")));
        encode::write(&image, &encode::rgb_png(&Rgb::filled(width, height, [i as u8; 3]))).unwrap();
        encode::write(&label, &encode::grey_png(&Index::filled(width, height, [i as u8]))).unwrap();
        Sample { name: format!("{i}.png"), image: image.into(), label: Some(label.into()) }
    };
    sizes.iter().enumerate().map(sample).collect()
}

fn source(samples: Vec<Sample>, size: Option<[usize; 2]>) -> Source {
    let (encoding, orientation, scaling, margins, detail) = Default::default();
    Source::Files { samples, size, scaling, label_map: None, encoding, orientation, margins, detail, keep: None }
}

fn in_order(batch: usize, range: std::ops::Range<u64>) -> Settings {
    Settings { order: Order::Sequential, augment: Augment::default(), ..settings(batch, 0, range, 2) }
}

#[test]
fn images_of_different_sizes_in_a_batch_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let samples = files(folder.path(), &[[4, 2], [6, 2]]);
    let error = Loader::open(&source(samples.clone(), None), in_order(2, 0..1)).unwrap().next_batch().unwrap_err();
    assert!(error.to_string().contains("0.png is 4x2, 1.png is 6x2"), "{error}");
    let images = &batches(&source(samples, Some([2, 1])), in_order(2, 0..1))[0].0;
    assert_eq!(images, &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
}

#[test]
fn a_damaged_file_is_an_error_of_its_iteration_and_no_hang() {
    let folder = tempfile::tempdir().unwrap();
    let samples = files(folder.path(), &[[4, 2]; 4]);
    std::fs::write(samples[2].image.path(), b"\x89PNG\r\n\x1a\nnonsense").unwrap();
    let mut loader = Loader::open(&source(samples, None), in_order(1, 0..4)).unwrap();
    assert!(loader.next_batch().is_ok() && loader.next_batch().is_ok());
    let error = loader.next_batch().unwrap_err().to_string();
    assert!(error.contains("cannot decode") && error.contains("2.png"), "{error}");
    assert_eq!(loader.next_batch().unwrap().names, ["3.png"]);
}

#[test]
fn a_file_that_changed_is_an_error_of_its_iteration_and_what_was_put_back_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut samples = files(folder.path(), &[[4, 2]; 3]);
    for sample in &mut samples {
        sample.image = as_it_is(sample.image.path());
        sample.label = sample.label.as_ref().map(|label| as_it_is(label.path()));
    }
    let image = samples[1].image.path().to_owned();
    let label = samples[2].label.as_ref().unwrap().path().to_owned();
    let kept = [&image, &label].map(|path| std::fs::read(path).unwrap());
    std::fs::copy(samples[0].image.path(), &image).unwrap();
    std::fs::copy(samples[0].label.as_ref().unwrap().path(), &label).unwrap();
    let open = || Loader::open(&source(samples.clone(), None), in_order(1, 0..3)).unwrap();
    let mut loader = open();
    assert_eq!(loader.next_batch().unwrap().names, ["0.png"]);
    let changed = |batch: Result<Batch, DataError>| match batch {
        Err(DataError::Changed(Changed { path })) => path,
        other => panic!("{other:?}"),
    };
    assert_eq!([changed(loader.next_batch()), changed(loader.next_batch())], [image.clone(), label.clone()]);
    std::fs::write(image, &kept[0]).unwrap();
    std::fs::write(label, &kept[1]).unwrap();
    let mut loader = open();
    let names: Vec<String> = (0..3).flat_map(|_| loader.next_batch().unwrap().names).collect();
    assert_eq!(names, ["0.png", "1.png", "2.png"]);
}

#[test]
fn labels_that_are_ignored_are_not_even_opened() {
    let folder = tempfile::tempdir().unwrap();
    let samples = files(folder.path(), &[[4, 2]]);
    std::fs::remove_file(samples[0].label.as_ref().unwrap().path()).unwrap();
    let ignored = Settings { labels: LabelUse::Ignored, ..in_order(1, 0..1) };
    assert!(Loader::open(&source(samples, None), ignored).unwrap().next_batch().unwrap().labels.is_none());
}

#[test]
fn a_loader_with_nothing_to_do_says_so() {
    let mut loader = Loader::open(&scenes(1), settings(1, 0, 5..5, 1)).unwrap();
    assert!(matches!(loader.next_batch(), Err(DataError::Exhausted { iterations: 5 })));
}

/// The first by rare classes, the second in its order.
fn parts<'a>(sources: &'a [Source; 2], min_pixels: u64) -> Vec<Part<'a>> {
    let settings = rare::Settings { temperature: 0.1, min_pixels, crop_share: 0.5, tries: 5 };
    let counts = |source| -> Vec<Counts> {
        let all = class_counts::count(source, (0..Reader::new(source).unwrap().len()).collect(), 8, number(2)).unwrap();
        all.map(|counted| counted.unwrap().1).collect()
    };
    let rare = Arc::new(RareClasses::new(&counts(&sources[0]), settings).unwrap());
    vec![Part { source: &sources[0], share: 0.6, rare: Some(rare) }, Part { share: 0.4, ..Part::whole(&sources[1]) }]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn parts_and_rare_classes_go_on_at_k_as_if_uninterrupted(
        seed in any::<u64>(), batch in 1usize..4, k in 0u64..8, threads in 1usize..4,
    ) {
        let sources = [scenes(4), scenes(3)];
        let batches = |range: std::ops::Range<u64>, threads| {
            let settings = settings(batch, seed, range.clone(), threads);
            let augment = Augment { max_share: Some(0.5), ..settings.augment };
            let mut loader = Loader::open_parts(&parts(&sources, 0), Settings { augment, ..settings }).unwrap();
            range.map(|_| loader.next_batch().unwrap()).map(|batch| {
                (batch.names, Vec::<f32>::try_from(batch.images.reshape(-1)).unwrap())
            }).collect::<Vec<_>>()
        };
        prop_assert_eq!(&batches(0..8, 1)[k as usize..], &batches(k..8, threads)[..]);
    }
}

#[test]
fn each_data_set_is_read_in_its_own_order_and_by_its_share() {
    let folder = tempfile::tempdir().unwrap();
    let samples = files(folder.path(), &[[4, 2]; 7]);
    let sources = [source(samples[..3].to_vec(), None), source(samples[3..].to_vec(), None)];
    let parts = [Part { share: 0.3, ..Part::whole(&sources[0]) }, Part { share: 0.7, ..Part::whole(&sources[1]) }];
    let mut loader = Loader::open_parts(&parts, in_order(4, 0..100)).unwrap();
    let names: Vec<String> = (0..100).flat_map(|_| loader.next_batch().unwrap().names).collect();
    let numbers: Vec<usize> = names.iter().map(|name| name[..1].parse().unwrap()).collect();
    let (first, second): (Vec<usize>, Vec<usize>) = numbers.iter().partition(|number| **number < 3);
    assert!((90..150).contains(&first.len()), "{}", first.len());
    assert!(first.iter().enumerate().all(|(nth, number)| *number == nth % 3));
    assert!(second.iter().enumerate().all(|(nth, number)| *number == 3 + nth % 4));
}

#[test]
fn counts_of_another_number_of_images_are_refused() {
    let sources = [scenes(4), scenes(3)];
    let [rare, other] = [0, 1].map(|part| parts(&sources, 0).swap_remove(part));
    let wrong = Part { rare: rare.rare, ..other };
    let error = Loader::open_parts(&[wrong], in_order(1, 0..1)).err().unwrap();
    assert_eq!(error.to_string(), "class counts of 4 images for 3");
}
