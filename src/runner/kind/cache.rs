//! The keys of `[cache]`: where results come from and go to, besides the cache folder.
//!
//! Knows no stage. None of it can change a result, so none of it is part of a key.

use super::{KeySpec, ValueType};

/// The key of `[cache]` that holds a list of tables.
pub const UPSTREAM: &str = "upstream";

/// The other keys of `[cache]`.
pub const KEYS: &[KeySpec] = &[
    KeySpec::new(
        "sign",
        ValueType::Text,
        "the file of a private key, relative to the workspace root, that signs each result that is computed here; \
         `intrada-run cache key new FILE` creates one",
    )
    .optional()
    .execution(),
    KeySpec::new(
        "trust",
        ValueType::Texts,
        "public keys (`ed25519:…`), or files with such keys: a shared cache then gives only results that one of them, or `sign`, \
         has signed",
    )
    .optional()
    .execution(),
];

/// One of `upstream`, a shared cache.
pub const UPSTREAM_KEYS: &[KeySpec] = &[
    KeySpec::new(
        "url",
        ValueType::Text,
        "a folder in a bucket, as in `s3://bucket/folder`, also `gs://` and `az://`; or the cache folder of another \
         workspace, relative to this one's root",
    )
    .execution(),
    KeySpec::new("push", ValueType::Flag, "whether results are also copied there; only to a bucket")
        .or_flag(false)
        .execution(),
    KeySpec::new("trusted", ValueType::Flag, "whether its results count though nobody in `trust` has signed them")
        .or_flag(false)
        .execution(),
];
