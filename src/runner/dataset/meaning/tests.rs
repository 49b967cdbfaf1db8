//! Examples of common mistakes, and the laws of the advice.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::dataset::published;
use crate::kind::classes;

fn set(name: &str) -> Vec<&'static str> {
    classes::find(name).unwrap().classes.iter().map(|class| class.name).collect()
}

fn advice(values: &[u8], classes: &[&str], map: &[(u8, u8)]) -> Vec<String> {
    Labelling { values, classes, map }.readings().iter().map(Reading::advice).collect()
}

#[test]
fn a_mask_of_two_values_is_read_as_two_classes() {
    let classes = ["background", "lesion"];
    let mask = Labelling { values: &[0, 255], classes: &classes, map: &[] };
    assert_eq!((mask.absent(), mask.strangers()), (vec![1], vec![]));
    assert_eq!(advice(&[0, 255], &classes, &[]), ["if 255 is lesion: `map = { 255 = 1 }`"]);
    assert_eq!(advice(&[0, 128], &classes, &[]), ["if 128 is lesion: `map = { 128 = 1 }`"]);
    let three = advice(&[0, 128, 255], &classes, &[]);
    assert!(three.contains(&"if 128 is lesion: `map = { 128 = 1 }`".to_owned()), "{three:?}");
    let middle = "if 255 is lesion and 128 belongs to no class: `map = { 128 = 255, 255 = 1 }`".to_owned();
    assert!(three.contains(&middle), "{three:?}");
    let in_order = "if the values from 0 to 255 are the classes in their order: `map = { 128 = 1, 255 = 2 }`";
    assert_eq!(advice(&[0, 128, 255], &["a", "b", "c"], &[])[0], in_order);
}

#[test]
fn where_a_class_is_missing_255_is_not_taken_for_it() {
    let values: Vec<u8> = (0..11).filter(|value| *value != 8).chain([255]).collect();
    assert_eq!(advice(&values, &set("camvid-11"), &[]), Vec::<String>::new());
}

#[test]
fn classes_counted_from_one_are_read_with_0_as_unlabelled() {
    let classes = ["ground", "sky", "car"];
    let from_one = "if 0 means unlabelled and the first class is 1: `map = { 0 = 255, 1 = 0, 2 = 1, 3 = 2 }`";
    for values in [&[1, 2, 3][..], &[1, 2, 3, 255]] {
        assert_eq!(advice(values, &classes, &[]), [from_one], "{values:?}");
    }
    assert_eq!(advice(&[0, 1, 2, 3], &classes, &[]), ["if 3 means unlabelled: `map = { 3 = 255 }`", from_one]);
    assert_eq!(advice(&[1, 3], &classes, &[]), [from_one]);
    // Values that the map ignores already stay ignored.
    let with_34 = from_one.replace(" }", ", 34 = 255 }");
    assert_eq!(advice(&[1, 2, 3, 34], &classes, &[(34, 255)]), [with_34]);
}

#[test]
fn of_two_meanings_that_explain_as_much_the_one_that_shifts_nothing_comes_first_and_the_other_is_not_lost() {
    let names: Vec<String> = (0..11).map(|class| format!("class-{class}")).collect();
    let classes: Vec<&str> = names.iter().map(String::as_str).collect();
    for missing in [None, Some(1), Some(8)] {
        let values: Vec<u8> = (0..=11).filter(|value| Some(*value) != missing).collect();
        let settled = Labelling { values: &values, classes: &classes, map: &[] }.settled();
        let Settled::Likely(first, others) = settled else { panic!("{missing:?}: {settled:?}") };
        assert_eq!(first.map, [(11, 255)], "{missing:?}");
        let conditions: Vec<&str> = others.iter().map(|reading| &*reading.condition).collect();
        assert!(conditions.contains(&"if 0 means unlabelled and the first class is 1"), "{missing:?}: {conditions:?}");
    }
    // Two values of two classes, though one equals the number of classes.
    assert_eq!(advice(&[0, 2], &["ground", "lesion"], &[])[0], "if 2 is lesion: `map = { 2 = 1 }`");
}

#[test]
fn values_that_are_the_classes_need_no_advice_and_values_without_an_order_get_none() {
    assert_eq!(advice(&[0, 1, 2, 255], &["a", "b", "c"], &[]), [""; 0]);
    assert_eq!(advice(&[0, 1, 9, 40, 41, 77], &["a", "b", "c"], &[]), [""; 0]);
    assert_eq!(
        advice(&[0, 1, 2, 99], &["a", "b", "c"], &[]),
        ["if 99 means unlabelled, and the values from 0 to 2 are the classes in their order: `map = { 99 = 255 }`"]
    );
    assert_eq!(advice(&[0, 1], &["a", "b", "c"], &[]), [""; 0], "a class is absent, and nothing says where it is");
}

#[test]
fn ids_of_published_data_sets_are_read_by_the_names_of_the_classes() {
    let nineteen = set("cityscapes-19");
    let ids = advice(&[7, 23, 26], &nineteen, &[]);
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(ids[0].starts_with("if these are Cityscapes' label ids: `map = { 0 = 255, 1 = 255, "), "{ids:?}");
    assert!(ids[0].contains(", 7 = 0, 8 = 1, 9 = 255, ") && ids[0].contains(", 33 = 18, 34 = 255 }"), "{ids:?}");
    let train_ids: Vec<u8> = (0..=18).collect();
    let sixteen = advice(&train_ids, &set("cityscapes-16"), &[]);
    assert!(sixteen[0].starts_with("if these are Cityscapes' train ids: `map = { 9 = 255, 10 = 9, "), "{sixteen:?}");
    let synthia: Vec<u8> = (0..=22).collect();
    assert!(advice(&synthia, &set("cityscapes-16"), &[])[0].starts_with("if these are SYNTHIA's ids: "));
    let camvid: Vec<u8> = (0..=11).collect();
    assert_eq!(
        advice(&camvid, &set("camvid-11"), &[])[0],
        "if these are CamVid's, where 11 is unlabelled: `map = { 11 = 255 }`"
    );
    // Nineteen classes counted from one are in that range as well, and their number explains them better.
    let from_one: Vec<u8> = (1..=19).collect();
    assert!(advice(&from_one, &nineteen, &[])[0].starts_with("if 0 means unlabelled"));
}

/// What labels of a published format with these values may be, and their foreign values.
fn suspected(format: &str, classes: &str, values: &[u8]) -> Option<(Vec<&'static str>, Vec<u8>)> {
    let (layout, classes) = (published(format).unwrap(), set(classes));
    let suspicion = suspicion(Labelling { values, classes: &classes, map: &layout.map(&classes) }, layout)?;
    Some((suspicion.instead.iter().map(|instead| instead.called).collect(), suspicion.strange))
}

const TRAIN: &str = "Cityscapes' train ids";
const SYNTHIA: &str = "SYNTHIA's ids";
const IDS: &str = "Cityscapes' label ids";

#[test]
fn train_ids_are_told_by_what_label_ids_never_lack() {
    let train_ids: Vec<u8> = (0..=18).collect();
    for format in ["cityscapes", "gta5", "synscapes", "synthia"] {
        let suspected = |values: &[u8]| suspected(format, "cityscapes-19", values);
        assert_eq!(suspected(&train_ids), Some((vec![TRAIN], vec![])), "{format}");
        assert_eq!(suspected(&[0, 2, 8, 10, 255]), Some((vec![TRAIN], vec![])), "{format}: no label ids hold 255");
        assert_eq!(suspected(&[]), None);
        assert_eq!(suspected(&[255]), None);
        assert_eq!(suspected(&[0, 7, 8, 21, 255]), None, "{format}");
    }
}

#[test]
fn labels_that_are_right_are_not_suspected_however_few_of_their_values_are_there() {
    for values in [
        &[1, 3, 8][..],
        &[0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 13],
        &[3, 13, 14],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 19, 21, 22],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 17],
    ] {
        assert_eq!(suspected("synthia", "cityscapes-16", values), None, "{values:?}");
        assert_eq!(suspected("synthia", "cityscapes-19", values), None, "{values:?}");
    }
    for format in ["cityscapes", "gta5", "synscapes"] {
        for values in [
            (0..=33).collect::<Vec<u8>>(),
            (0..=34).collect(),
            vec![7, 11, 23],
            vec![1, 3, 4, 7, 8, 11, 17, 20, 21, 22, 23, 26],
            vec![1, 3, 4, 7, 8, 11, 17, 20, 21],
            vec![7],
        ] {
            assert_eq!(suspected(format, "cityscapes-19", &values), None, "{format}: {values:?}");
        }
    }
    for values in [&(0..=11).collect::<Vec<u8>>()[..], &[0, 3, 255]] {
        assert_eq!(suspected("camvid", "camvid-11", values), None);
    }
}

#[test]
fn the_numbers_of_another_data_set_are_told_in_every_format() {
    assert_eq!(suspected("synthia", "cityscapes-16", &[7, 23, 26]), Some((vec![IDS], vec![23, 26])));
    assert_eq!(suspected("synthia", "cityscapes-19", &(0..=33).collect::<Vec<_>>()).unwrap().0, [IDS]);
    let of_synthia = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 17, 19, 21, 22];
    for format in ["cityscapes", "gta5", "synscapes"] {
        assert_eq!(suspected(format, "cityscapes-16", &of_synthia), Some((vec![SYNTHIA], vec![])));
        assert_eq!(suspected(format, "cityscapes-16", &[1, 3, 8]).unwrap().0, [TRAIN, SYNTHIA]);
        assert_eq!(suspected(format, "cityscapes-19", &[7, 23, 180]), Some((vec![], vec![180])));
    }
    assert_eq!(suspected("camvid", "camvid-11", &(0..=18).collect::<Vec<_>>()).unwrap().0[..2], [IDS, TRAIN]);
    assert_eq!(suspected("camvid", "camvid-11", &[0, 128]), Some((vec![], vec![128])));
}

#[test]
fn what_is_suspected_comes_with_the_map_that_reads_it_where_the_classes_have_numbers_there() {
    let map = |classes: &[&str], values: &[u8]| {
        let layout = published("gta5").unwrap();
        let own = layout.map(classes);
        suspicion(Labelling { values, classes, map: &own }, layout).unwrap().instead[0].map.clone()
    };
    let train_ids: Vec<u8> = (0..=18).collect();
    assert_eq!(map(&set("cityscapes-19"), &train_ids), Some(vec![]));
    assert_eq!(map(&["road", "bicycle"], &train_ids).unwrap()[..2], [(1, 255), (2, 255)]);
}

proptest! {
    #[test]
    fn labels_of_a_data_set_are_never_called_those_of_another_where_they_show_what_it_alone_has(
        values in prop::collection::btree_set(0u8..=33, 0..20),
        of in prop::sample::select(vec!["cityscapes-19", "cityscapes-16", "cityscapes-13"]),
    ) {
        let mut ids: Vec<u8> = values.iter().copied().chain([23, 26]).collect::<BTreeSet<u8>>().into_iter().collect();
        prop_assert_eq!(suspected("cityscapes", of, &ids), None);
        let of_synthia = values.into_iter().filter(|id| *id <= 22 && ![16, 18, 20].contains(id));
        ids = of_synthia.chain([3]).collect::<BTreeSet<u8>>().into_iter().collect();
        prop_assert_eq!(suspected("synthia", of, &ids), None);
    }

    #[test]
    fn an_advised_map_is_accepted_loses_no_class_and_names_what_it_ignores(
        values in prop::collection::btree_set(prop_oneof![0u8..8, any::<u8>()], 1..9),
        count in 1usize..9,
        ignored in prop::collection::btree_set(any::<u8>(), 0..3),
    ) {
        let names: Vec<String> = (0..count).map(|class| format!("class-{class}")).collect();
        let classes: Vec<&str> = names.iter().map(String::as_str).collect();
        check(&values.into_iter().collect::<Vec<_>>(), &classes, &ignored.into_iter().map(|v| (v, 255)).collect::<Vec<_>>())?;
    }

    #[test]
    fn the_same_of_street_scenes(
        values in prop::collection::btree_set(prop_oneof![0u8..=34, Just(255)], 1..30),
        of in prop::sample::select(vec!["cityscapes-19", "cityscapes-16", "cityscapes-13", "camvid-11"]),
    ) {
        check(&values.into_iter().collect::<Vec<_>>(), &set(of), &[])?;
    }

    #[test]
    fn classes_that_are_only_shifted_or_spread_are_all_found_again(
        count in 2u8..40,
        step in 1u8..6,
        start in 0u8..20,
    ) {
        let names: Vec<String> = (0..count).map(|class| format!("class-{class}")).collect();
        let classes: Vec<&str> = names.iter().map(String::as_str).collect();
        let values: Vec<u8> = (0..count).map(|class| start + class * step).collect();
        prop_assume!((start, step) != (0, 1));
        let readings = Labelling { values: &values, classes: &classes, map: &[] }.readings();
        let found: Vec<u8> = values.iter().map(|value| mapped(&readings[0].map, *value)).collect();
        prop_assert_eq!(found, (0..count).collect::<Vec<_>>());
    }
}

fn check(values: &[u8], classes: &[&str], map: &[(u8, u8)]) -> Result<(), TestCaseError> {
    let before = Labelling { values, classes, map };
    let (meant, ids) = (classes.len() - before.absent().len(), "if these are");
    for reading in before.readings() {
        let after = Labelling { map: &reading.map, ..before };
        prop_assert_eq!(after.strangers(), Vec::<u8>::new(), "{}", reading.advice());
        prop_assert!(classes.len() - after.absent().len() >= meant, "{}", reading.advice());
        let of: BTreeSet<u8> = reading.map.iter().map(|(from, _)| *from).collect();
        prop_assert_eq!(of.len(), reading.map.len(), "no value has two meanings");
        let is_ignored = |value: &&u8| mapped(&reading.map, **value) == 255 && mapped(map, **value) != 255;
        for value in values.iter().filter(is_ignored) {
            let is_told = reading.condition.starts_with(ids)
                || reading.condition.contains(&format!("{value} means unlabelled"))
                || reading.condition.contains(&format!("{value} belongs to no class"));
            prop_assert!(is_told, "{} of {}", value, reading.advice());
        }
    }
    Ok(())
}
