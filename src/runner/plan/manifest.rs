//! The manifest: everything that determines a stage's outputs, as data, and the key, its hash.
//!
//! Knows neither the cache nor whether the stage has ever run. The trace stores it completely, not only its hash, because
//! `why` uses the same [`Manifest::fields`] as [`Manifest::key`]: explanation and hash can't diverge. Inputs are included
//! by the digests of what they *are*, not of what made them. That alone gives early cutoff: a stage that re-ran and wrote
//! the same bytes leaves its dependents' keys unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::{ArtifactDigest, Encoder, FileDigest, Key};

/// What determines a stage's outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The kind's name.
    pub kind: String,
    /// The kind's revision: a number that its author increments when the same inputs give other outputs.
    pub revision: u32,
    /// Parameters that affect the result, in canonical text. Never a device, a number of threads or a checkpoint interval.
    pub parameters: BTreeMap<String, String>,
    /// Inputs by role.
    pub inputs: BTreeMap<String, Box<Ingredient>>,
    /// Paths of a command's declared outputs, or the names of a built-in kind's. The location of a built-in kind's outputs
    /// in the workspace is not included, so renaming a stage or a pipeline costs nothing.
    pub outputs: Vec<String>,
    /// Declared environment variables; none for an unset one.
    pub environment: BTreeMap<String, Option<String>>,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingredient {
    /// What the stage sees. Only this enters the key.
    pub digest: ArtifactDigest,
    /// Its name for people: ``weights of `inter` ``, `data set cityscapes`.
    pub what: String,
    /// The object that lists its files, so that `why` can name them.
    pub listing: Option<FileDigest>,
    /// The parts of its description that enter its digest besides the files, so that `why` can name them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// For a data set of files: how the pipeline file named its place and its part. Enters no digest: once the files are away, it
    /// shows whether the file still means them. Absent in records of older programs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, String>,
}

/// One line of a manifest as it is hashed and explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// `parameters/lambda`, `inputs/weights`, …: the part before the slash is the group.
    pub name: String,
    /// Canonical text.
    pub value: String,
}

impl Manifest {
    /// Every field, in a fixed order: the source of both the key and `why`.
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::with_capacity(self.count());
        self.each(&mut |group, name, value| {
            fields.push(Field { name: format!("{group}/{name}"), value: value.to_owned() });
        });
        fields
    }

    /// The hash that names the computation.
    pub fn key(&self) -> Key {
        let mut encoder = Encoder::new("intrada/manifest/1");
        encoder.list("fields", self.count());
        self.each(&mut |group, name, value| {
            encoder.field_of(&[group, "/", name], value.as_bytes());
        });
        Key(encoder.finish())
    }

    /// The number of fields.
    fn count(&self) -> usize {
        2 + self.parameters.len() + self.inputs.len() + self.outputs.len() + self.environment.len()
    }

    /// Calls this with each field: its group, its name in it, its value.
    fn each(&self, take: &mut dyn FnMut(&str, &str, &str)) {
        take("kind", "name", &self.kind);
        take("kind", "revision", &self.revision.to_string());
        self.parameters.iter().for_each(|(name, value)| take("parameters", name, value));
        self.inputs.iter().for_each(|(role, input)| input.digest.0.with_digits(|digits| take("inputs", role, digits)));
        self.outputs.iter().for_each(|name| take("outputs", name, ""));
        let set = self.environment.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        set.for_each(|(name, value)| take("environment", name, value));
        // Declared but unset differs from declared and empty, and from not declared.
        let unset = self.environment.iter().filter(|(_, value)| value.is_none());
        unset.for_each(|(name, _)| take("unset", name, ""));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::digest::Digest;

    pub(in crate::plan) fn ranking() -> Manifest {
        Manifest {
            kind: "ranking".into(),
            revision: 1,
            parameters: [("lambda".into(), "0.67".into()), ("normalize".into(), "none".into())].into(),
            inputs: [("scores".into(), ingredient("scores of `entropy`", b"scores"))].into(),
            outputs: vec!["easy".into(), "hard".into()],
            environment: [("TZ".into(), None)].into(),
        }
    }

    pub(in crate::plan) fn ingredient(what: &str, content: &[u8]) -> Box<Ingredient> {
        Box::new(Ingredient {
            digest: ArtifactDigest(Digest::of(content)),
            what: what.into(),
            listing: None,
            options: BTreeMap::new(),
            named: BTreeMap::new(),
        })
    }

    #[test]
    fn keys_are_frozen_across_versions() {
        assert_eq!(ranking().key().to_string(), "7ddf56dca6fde0a8395764801695d79d159ddc2ba809eb2394b59e6c70464e6c");
    }

    #[test]
    fn every_field_enters_the_key() {
        let mut keys = vec![ranking().key()];
        let mut vary = |change: fn(&mut Manifest)| {
            let mut manifest = ranking();
            change(&mut manifest);
            keys.push(manifest.key());
        };
        vary(|m| m.kind = "rankings".into());
        vary(|m| m.revision = 2);
        vary(|m| drop(m.parameters.insert("lambda".into(), "0.6".into())));
        vary(|m| drop(m.parameters.remove("lambda")));
        vary(|m| drop(m.parameters.insert("normalise".into(), "none".into())));
        vary(|m| drop(m.inputs.insert("scores".into(), ingredient("scores of `entropy`", b"others"))));
        vary(|m| drop(m.inputs.remove("scores")));
        vary(|m| m.outputs.truncate(1));
        vary(|m| drop(m.environment.insert("TZ".into(), Some(String::new()))));
        vary(|m| drop(m.environment.insert("TZ".into(), Some("UTC".into()))));
        vary(|m| m.environment.clear());
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn what_a_person_calls_an_input_does_not_enter_the_key() {
        let mut renamed = ranking();
        renamed.inputs.insert("scores".into(), ingredient("scores of `stage-two`", b"scores"));
        assert_eq!(renamed.key(), ranking().key());
    }
}
