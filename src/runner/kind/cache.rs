//! The keys of `[cache]`: where results come from and go to, besides the cache folder.
//!
//! Knows no stage. None of it can change a result, so none of it is part of a key.

use super::{KeySpec, ValueType};

/// The key of `[cache]` that holds a list of tables.
pub const UPSTREAM: &str = "upstream";

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
];
