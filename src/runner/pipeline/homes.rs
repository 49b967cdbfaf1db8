//! Where a key belongs that was written into another table.
//!
//! Knows the tables of keys only, no file. A key of another variant of the same table is `sections`' to explain.

use super::words::{listed, stage_of};
use crate::kind::{self, Keys, Variant, all, cache, dataset, execution, executor, model, pipeline};

/// `` `threads` is a key of `[pipeline]` ``, if some table has a key of exactly this name.
pub(super) fn home(key: &str) -> Option<String> {
    let has = |keys: Keys| all(keys).any(|known| known.name == key);
    let sections: [(Keys, &str); 4] = [
        (&[pipeline::KEYS], "`[pipeline]`"),
        (&[execution::RESOURCES], "`[resources]`"),
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
    let homes: Vec<String> = sections.chain(tables.map(|(_, name)| name.to_owned())).chain(kinds).collect();
    (!homes.is_empty()).then(|| format!("`{key}` is a key of {}", listed(homes.into_iter(), "or")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_that_has_the_key_is_named() {
        assert_eq!(home("threads").unwrap(), "`threads` is a key of `[pipeline]`");
        assert_eq!(home("gpus").unwrap(), "`gpus` is a key of `[resources]`");
        assert_eq!(home("retries").unwrap(), "`retries` is a key of any stage");
        assert_eq!(home("lambda").unwrap(), "`lambda` is a key of a ranking stage");
        assert_eq!(home("output_stride").unwrap(), "`output_stride` is a key of a `[models.<name>]`");
        let scores = home("scores").unwrap();
        assert_eq!(scores, "`scores` is a key of a ranking stage");
        assert_eq!(home("treads"), None);
    }
}
