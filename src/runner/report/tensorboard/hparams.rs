//! What TensorBoard's HPARAMS tab compares: a row for each run that says which settings it had. The messages of that tab are the
//! content of a summary's metadata (tensorboard/plugins/hparams/plugin_data.proto, google/protobuf/struct.proto); its columns of
//! results are the last scalars of the run.
//!
//! Writes no list of all settings and metrics: that is optional, and only one run's would count. No times either: equal results
//! have equal events.

use super::record::{put_bytes, put_integer, put_tag};
use crate::pipeline::Value;

const PLUGIN: &[u8] = b"hparams";

/// Adds the settings to a summary.
pub(super) fn put_start(summary: &mut Vec<u8>, settings: &[(String, Value)]) {
    let mut start = Vec::new();
    for (name, value) in settings {
        let mut entry = Vec::new();
        put_bytes(&mut entry, 1, name.as_bytes());
        put_bytes(&mut entry, 2, &setting(value));
        put_bytes(&mut start, 1, &entry);
    }
    put_summary(summary, b"_hparams_/session_start_info", 3, &start);
}

/// Adds to a summary that the run succeeded.
pub(super) fn put_end(summary: &mut Vec<u8>) {
    const SUCCESS: u64 = 1;
    let mut end = Vec::new();
    put_integer(&mut end, 1, SUCCESS);
    put_summary(summary, b"_hparams_/session_end_info", 4, &end);
}

/// A `google.protobuf.Value`: it has one type of number, and lists are shown as text.
fn setting(value: &Value) -> Vec<u8> {
    let number = |number: f64| {
        let mut out = Vec::new();
        put_tag(&mut out, 2, 1);
        out.extend(number.to_le_bytes());
        out
    };
    let text = |text: &str| {
        let mut out = Vec::new();
        put_bytes(&mut out, 3, text.as_bytes());
        out
    };
    match value {
        Value::Flag(flag) => {
            let mut out = Vec::new();
            put_integer(&mut out, 4, u64::from(*flag));
            out
        }
        Value::Integer(integer) => number(*integer as f64),
        Value::Number(value) => number(*value),
        Value::Text(value) => text(value),
        Value::List(_) => text(&value.canonical()),
    }
}

/// A value of the plugin: `content` in field `field` of its data, and an empty tensor, as readers expect one.
fn put_summary(summary: &mut Vec<u8>, tag: &[u8], field: u32, content: &[u8]) {
    const FLOAT: u64 = 1;
    let mut data = Vec::new();
    put_bytes(&mut data, field, content);
    let mut plugin = Vec::new();
    put_bytes(&mut plugin, 1, PLUGIN);
    put_bytes(&mut plugin, 2, &data);
    let mut metadata = Vec::new();
    put_bytes(&mut metadata, 1, &plugin);
    let mut shape = Vec::new();
    // One dimension of size 0, which is not written.
    put_bytes(&mut shape, 2, b"");
    let mut tensor = Vec::new();
    put_integer(&mut tensor, 1, FLOAT);
    put_bytes(&mut tensor, 2, &shape);
    let mut value = Vec::new();
    put_bytes(&mut value, 1, tag);
    put_bytes(&mut value, 9, &metadata);
    put_bytes(&mut value, 8, &tensor);
    put_bytes(summary, 1, &value);
}
