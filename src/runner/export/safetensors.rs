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
    let (mut header, data) = split(file)?;
    // The format allows only strings as metadata.
    let entries = metadata.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
    header.insert(METADATA.to_owned(), Value::Object(entries.collect()));
    // Fails only on map keys that aren't strings and on failing writers.
    let mut text = serde_json::to_vec(&header).expect("a JSON object can always be written");
    // The data are aligned to 8 bytes, so that they can be memory-mapped.
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok(([&(text.len() as u64).to_le_bytes()[..], &text].concat(), data))
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
    fn what_is_cut_or_something_else_is_refused() {
        for wrong in [&b"short"[..], &file("[]", b""), &file("{", b""), &u64::MAX.to_le_bytes(), b"PK\x03\x04zipzipzip"]
        {
            assert!(with_metadata(wrong, &[]).is_err(), "{wrong:?}");
        }
    }
}
