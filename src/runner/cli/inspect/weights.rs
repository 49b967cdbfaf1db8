//! `inspect --tensors`: lists the tensors of a safetensors file from its header.
//!
//! Knows nothing of networks and loads no tensor: the runner never links libtorch.

use serde::Deserialize;

use crate::export::safetensors::{METADATA, split};
use crate::measures::{count, size};
use crate::shown;

/// A tensor's entry in the header.
#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// One line per tensor in file order, then the totals; `None` if the bytes are not a safetensors file.
pub(super) fn tensors(file: &[u8]) -> Option<Vec<String>> {
    let (mut header, _) = split(file).ok()?;
    header.remove(METADATA);
    let read = |(name, value): (String, serde_json::Value)| Some((name, serde_json::from_value::<Tensor>(value).ok()?));
    let mut tensors: Vec<(String, Tensor)> = header.into_iter().map(read).collect::<Option<_>>()?;
    tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    /// Maximum width of a name: the file may come from anywhere.
    const NAME: usize = 100;
    let width = tensors.iter().map(|(name, _)| shown::width(&shown::cut(name, NAME))).max().unwrap_or(0);
    let numbers: u64 = tensors.iter().map(|(_, tensor)| tensor.shape.iter().product::<u64>()).sum();
    let bytes: u64 =
        tensors.iter().map(|(_, tensor)| tensor.data_offsets[1].saturating_sub(tensor.data_offsets[0])).sum();
    let line = |(name, tensor): &(String, Tensor)| {
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        format!(
            "{}  {:<4}  {}",
            shown::left(name, width),
            shown::cut(&tensor.dtype, 16),
            if shape.is_empty() { "scalar".to_owned() } else { shape.join(" × ") }
        )
    };
    let sum = format!("{} tensors, {} numbers, {}", count(tensors.len() as u64), count(numbers), size(bytes));
    Some(tensors.iter().map(line).chain([sum]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_listed_in_the_order_of_the_file_and_anything_else_is_none() {
        let header = br#"{"b":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},
                          "a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"__metadata__":{"arch":"x"}}"#;
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        let expected = ["a  I64   scalar", "b  F32   2 × 3", "2 tensors, 7 numbers, 32 bytes"];
        assert_eq!(tensors(&file).unwrap(), expected);
        for broken in [&b""[..], b"PK\x03\x04", &file[..20], &u64::MAX.to_le_bytes()] {
            assert_eq!(tensors(broken), None);
        }
    }
}
