//! What `init` writes: a commented pipeline that runs as it stands.
//!
//! It is the quickstart itself with another head, so that there is one such text, which is run and tested as a file of
//! its own.

use std::sync::LazyLock;

const QUICKSTART: &str = include_str!("../../../pipelines/quickstart.toml");

const HEAD: &str = "\
#:schema ./pipeline.schema.json
#
# A pipeline to start from: intra-domain adaptation on road scenes that the program draws itself. It runs as it stands.
# For your own pictures, put data sets such as this in the place of the scenes, and list your classes as [[classes]]:
#
#     [datasets.target]
#     format = \"folder\"
#     root = \"data/mine\"  # holds images/ and, for a source or an evaluation, labels/: 8-bit class-index PNGs
#
# Editors that know TOML schemas complete keys and show what they mean, out of the file that the first line names.
";

/// The text of a new pipeline.
pub static TEMPLATE: LazyLock<String> = LazyLock::new(|| {
    let start = QUICKSTART.find("format = 1").expect("the quickstart is a pipeline file");
    HEAD.to_owned() + &QUICKSTART[start..].replacen("name = \"quickstart\"", "name = \"mine\"", 1)
});
