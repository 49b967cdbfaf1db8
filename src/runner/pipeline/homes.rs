//! Where a key belongs that was written into another table.
//!
//! Knows the tables of keys only, no file. A key of another variant of the same table is `sections`' to explain.

use super::words::{listed, stage_of};
use crate::kind::execution::TIME;
use crate::kind::{self, Keys, Variant, all, cache, dataset, execution, executor, model, pipeline};

/// What other programs call our keys.
const ELSEWHERE: [(&str, &str); 12] = [
    ("amp", "precision"),
    ("arch", "model"),
    ("batch_size", "batch"),
    ("crop_size", "crop"),
    ("epochs", "iterations"),
    ("gpu", "gpus"),
    ("cpus", "cpu"),
    ("lr", "learning_rate"),
    ("max_iters", "iterations"),
    ("mem", "memory"),
    ("retry", "retries"),
    ("wd", "weight_decay"),
];

/// The key that another program calls by this name.
pub(super) fn known_as(name: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(other, _)| *other == name).map(|(_, ours)| *ours)
}

/// `` `threads` is a key of `[pipeline]` ``, if some table has a key of exactly this name or of what other programs call so.
pub(super) fn home(key: &str) -> Option<String> {
    match (home_of(key), known_as(key)) {
        (Some(home), _) => Some(home),
        (None, Some(ours)) => home_of(ours).map(|home| format!("`{key}` is called `{ours}` here: {home}")),
        (None, None) => None,
    }
}

fn home_of(key: &str) -> Option<String> {
    let has = |keys: Keys| all(keys).any(|known| known.name == key);
    let sections: [(Keys, &str); 4] = [
        (
            &[execution::RESOURCES],
            "a stage's `resources = { … }`, for what it needs, and of `[resources]`, for what there is",
        ),
        (&[pipeline::KEYS], "`[pipeline]`"),
        (&[cache::KEYS], "`[cache]`"),
        (&[execution::KEYS], "any stage"),
    ];
    let tables: [(&[Variant], &str); 3] = [
        (dataset::FORMATS, "a `[datasets.<name>]`"),
        (model::ARCHS, "a `[models.<name>]`"),
        (executor::SYSTEMS, "an `[executors.<name>]`"),
    ];
    let sections = sections.into_iter().filter(|(keys, _)| has(keys)).map(|(_, name)| name.to_owned());
    let tables = tables.into_iter().filter(|(variants, _)| variants.iter().any(|variant| has(variant.keys)));
    let kinds = kind::ALL.iter().filter(|kind| has(kind.keys)).map(|kind| stage_of(kind));
    let time = (key == TIME).then(|| "a stage's `resources = { … }`".to_owned());
    let homes: Vec<String> =
        time.into_iter().chain(sections).chain(tables.map(|(_, name)| name.to_owned())).chain(kinds).collect();
    (!homes.is_empty()).then(|| format!("`{key}` is a key of {}", listed(homes.into_iter(), "or")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_that_has_the_key_is_named() {
        assert_eq!(home("threads").unwrap(), "`threads` is a key of `[pipeline]`");
        let gpus = "a stage's `resources = { … }`, for what it needs, and of `[resources]`, for what there is";
        assert_eq!(home("gpus").unwrap(), format!("`gpus` is a key of {gpus}"));
        assert_eq!(home("gpu").unwrap(), format!("`gpu` is called `gpus` here: `gpus` is a key of {gpus}"));
        assert!(home("time").unwrap().starts_with("`time` is a key of a stage's `resources = { … }`"));
        assert_eq!(home("retries").unwrap(), "`retries` is a key of any stage");
        assert_eq!(home("lambda").unwrap(), "`lambda` is a key of a ranking stage");
        assert_eq!(home("output_stride").unwrap(), "`output_stride` is a key of a `[models.<name>]`");
        let scores = home("scores").unwrap();
        assert_eq!(scores, "`scores` is a key of a ranking stage");
        assert_eq!(home("treads"), None);
    }

    #[test]
    fn every_name_of_another_program_leads_to_a_key_and_is_none_itself() {
        for (other, ours) in ELSEWHERE {
            assert!(home_of(ours).is_some(), "{ours}");
            assert!(other == "arch" || home_of(other).is_none(), "{other}");
        }
    }
}
