//! Reads and replaces the header of a safetensors file.
//!
//! Knows the layout of the format and no tensor: eight bytes with the header's length, a JSON header with offsets relative to its
//! end, the data. The data don't depend on the header, so a new one can be written without libtorch.
//! (Source: huggingface/safetensors, README, "Format".)

use serde_json::{Map, Value};

/// The entry of the header that isn't a tensor.
pub const METADATA: &str = "__metadata__";

/// The header, and the data after it.
///
/// # Errors
/// Why `file` isn't a safetensors file.
pub fn split(file: &[u8]) -> Result<(Map<String, Value>, &[u8]), &'static str> {
    let (length, rest) = file.split_first_chunk::<8>().ok_or("it is shorter than its length field")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|length| *length <= rest.len());
    let (header, data) = rest.split_at(length.ok_or("its header is longer than the file")?);
    let header = serde_json::from_slice(header).map_err(|_| "its header is not a JSON object")?;
    Ok((header, data))
}

/// The length and header to write before the returned data, the end of `file`. `metadata` replaces the file's own.
///
/// # Errors
/// Why `file` isn't a safetensors file.
pub(super) fn with_metadata<'a>(
    file: &'a [u8],
    metadata: &[(&str, String)],
) -> Result<(Vec<u8>, &'a [u8]), &'static str> {
    let (header, data) = split(file)?;
    Ok((written(header, metadata), data))
}

/// The same with each tensor under other names: of several, the first is that of its first rows, and all have as many. As rows lie
/// one after the other, the data stay as they are.
///
/// # Errors
/// Why `file` isn't a safetensors file of tensors that `names` knows.
pub(super) fn renamed<'a>(
    file: &'a [u8],
    metadata: &[(&str, String)],
    names: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<(Vec<u8>, &'a [u8]), &'static str> {
    let (header, data) = split(file)?;
    let mut cut = Map::new();
    for (name, entry) in header.iter().filter(|(name, _)| *name != METADATA) {
        let names = names(name).ok_or("it has a tensor that its network lacks")?;
        cut.extend(names.clone().into_iter().zip(rows(entry, names.len()).ok_or("it has a tensor that can't be cut")?));
    }
    Ok((written(cut, metadata), data))
}

/// A tensor's entry, cut into those of this many tensors of as many rows each.
fn rows(entry: &Value, parts: usize) -> Option<Vec<Value>> {
    if parts == 1 {
        return Some(vec![entry.clone()]);
    }
    let parts = parts as u64;
    let place = |at: usize| entry["data_offsets"][at].as_u64();
    let (count, begin, end) = (entry["shape"][0].as_u64()?, place(0)?, place(1)?);
    let size = end.checked_sub(begin)? / parts;
    let one = |part: u64| {
        let mut entry = entry.clone();
        entry["shape"][0] = (count / parts).into();
        entry["data_offsets"] = [begin + part * size, begin + (part + 1) * size].as_slice().into();
        entry
    };
    (count % parts == 0).then(|| (0..parts).map(one).collect())
}

/// Length and header as bytes.
fn written(mut header: Map<String, Value>, metadata: &[(&str, String)]) -> Vec<u8> {
    // The format allows only strings as metadata.
    let entries = metadata.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
    header.insert(METADATA.to_owned(), Value::Object(entries.collect()));
    // Fails only on map keys that aren't strings and on failing writers.
    let mut text = serde_json::to_vec(&header).expect("a JSON object can always be written");
    // The data are aligned to 8 bytes, so that they can be memory-mapped.
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn tensors_keep_their_places_and_the_data_begin_aligned() {
        let old =
            file(r#"{"__metadata__":{"old":"x"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, b"\0\0\x80?");
        let (head, data) = with_metadata(&old, &[("format", "pt".into()), ("classes", "\"<é>\"\n".into())]).unwrap();
        assert_eq!(data, b"\0\0\x80?");
        assert_eq!(head.len() % 8, 0);
        assert_eq!(u64::from_le_bytes(head[..8].try_into().unwrap()), head.len() as u64 - 8);
        let header: Value = serde_json::from_slice(&head[8..]).unwrap();
        assert_eq!(header["w"]["data_offsets"], serde_json::json!([0, 4]));
        assert_eq!(header[METADATA], serde_json::json!({"format": "pt", "classes": "\"<é>\"\n"}));
        let again = with_metadata(
            &[head.clone(), data.to_vec()].concat(),
            &[("format", "pt".into()), ("classes", "\"<é>\"\n".into())],
        )
        .map(|(head, _)| head);
        assert_eq!(again.unwrap(), head, "the same metadata give the same bytes");
    }

    #[test]
    fn a_tensor_of_many_rows_becomes_several_on_the_same_data() {
        let [kv, q] = [("[4,1]", "[4,20]"), ("[]", "[0,4]")]
            .map(|(shape, place)| format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":{place}}}"#));
        let tensor = &format!(r#"{{"kv":{kv},"q":{q}}}"#);
        let bytes: Vec<u8> = (0..20).collect();
        let file = file(tensor, &bytes);
        let names = |name: &str| match name {
            "kv" => Some(vec!["k".to_owned(), "v".to_owned()]),
            "q" => Some(vec!["query".to_owned()]),
            _ => None,
        };
        let (head, data) = renamed(&file, &[("format", "pt".into())], names).unwrap();
        let header: Value = serde_json::from_slice(&head[8..]).unwrap();
        assert_eq!(data, bytes);
        assert_eq!(header["k"], serde_json::json!({"dtype": "F32", "shape": [2, 1], "data_offsets": [4, 12]}));
        assert_eq!(header["v"], serde_json::json!({"dtype": "F32", "shape": [2, 1], "data_offsets": [12, 20]}));
        assert_eq!(header["query"]["data_offsets"], serde_json::json!([0, 4]));
        assert_eq!((&header[METADATA]["format"], header.get("kv")), (&"pt".into(), None));

        assert_eq!(renamed(&file, &[], |_| None).unwrap_err(), "it has a tensor that its network lacks");
        let thirds = |name: &str| Some(["a", "b", "c"].map(|part| format!("{name}{part}")).into());
        assert_eq!(renamed(&file, &[], thirds).unwrap_err(), "it has a tensor that can't be cut");
    }

    #[test]
    fn what_is_cut_or_something_else_is_refused() {
        for wrong in [&b"short"[..], &file("[]", b""), &file("{", b""), &u64::MAX.to_le_bytes(), b"PK\x03\x04zipzipzip"]
        {
            assert!(with_metadata(wrong, &[]).is_err(), "{wrong:?}");
        }
    }
}
