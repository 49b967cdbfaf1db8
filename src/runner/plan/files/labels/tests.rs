//! The advice about labels is correct when followed literally.

use proptest::prelude::*;

use super::*;

/// The map in an advice, if any.
fn advised(advice: &str) -> Option<Vec<(u8, u8)>> {
    if advice.contains("leave `map` out") {
        return Some(Vec::new());
    }
    let map = advice.split("`map = { ").nth(1)?.split(" }`").next()?;
    let number = |text: &str| text.parse::<u8>().unwrap_or_else(|error| panic!("{advice}: {error}"));
    let pair = |pair: &str| pair.split_once(" = ").map(|(from, to)| (number(from), number(to)));
    Some(map.split(", ").map(|text| pair(text).unwrap_or_else(|| panic!("{advice}"))).collect())
}

fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![4 => 0u8..8, 1 => 215u8..230, 1 => Just(255), 1 => any::<u8>()]
}

proptest! {
    #[test]
    fn an_advice_that_is_followed_leaves_a_class_and_no_value_without_a_meaning(
        values in prop::collection::btree_set(byte(), 1..9),
        count in 1usize..6,
        typed in prop::collection::btree_map(byte(), prop_oneof![0u8..6, Just(255)], 0..5),
    ) {
        let names: Vec<String> = (0..count).map(|class| format!("class-{class}")).collect();
        let classes: Vec<&str> = names.iter().map(String::as_str).collect();
        let (values, typed): (Vec<u8>, Vec<(u8, u8)>) = (values.into_iter().collect(), typed.into_iter().collect());
        let labelling = Labelling { values: &values, classes: &classes, map: &typed };
        let help = mending(labelling, &typed);
        for advice in &help {
            let Some(map) = advised(advice) else { continue };
            let then = Labelling { map: &map, ..labelling };
            prop_assert_eq!(then.strangers(), Vec::<u8>::new(), "{}", advice);
            prop_assert!(then.absent().len() < count, "nothing would be learnt: {}", advice);
            prop_assert!(!map.is_empty() || !typed.is_empty(), "there is no map to leave out: {}", advice);
            prop_assert!(map != typed, "it is there already: {}", advice);
        }
        let is_refused = !labelling.strangers().is_empty() || labelling.absent().len() == count;
        prop_assert!(!is_refused || !help.is_empty(), "a refusal without a way out");
    }
}
