//! Files of weights in the forms in which others publish them. No weights travel: each value is a function of its name.
#![allow(dead_code, reason = "each test program uses its own part of it")]

#[path = "../../src/ml/golden/formula.rs"]
pub mod formula;

/// A file of these tensors with the formula's values; `before` begins the keys in the file, `hashed` those that the values
/// come from.
pub fn safetensors(tensors: &[(String, Vec<usize>)], before: &str, hashed: &str) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (key, shape) in tensors {
        let begin = data.len();
        data.extend(formula::values(&format!("{hashed}{key}"), shape).into_iter().flat_map(f32::to_le_bytes));
        let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()] });
        header.insert(format!("{before}{key}"), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// The same as PyTorch wrote it before 1.6: five pickles, then each tensor's number of elements and the elements.
pub fn torch_save(tensors: &[(String, Vec<usize>)], before: &str, hashed: &str) -> Vec<u8> {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let integer = |value: usize| [b"J", &(value as i32).to_le_bytes()[..]].concat();
    let tuple =
        |sizes: &[usize]| [b"(", &sizes.iter().flat_map(|&size| integer(size)).collect::<Vec<_>>()[..], b"t"].concat();
    let (mut object, mut keys, mut data) = (b"\x80\x02}".to_vec(), b"\x80\x02](".to_vec(), Vec::new());
    for (key, shape) in tensors {
        let count: usize = shape.iter().product();
        let strides: Vec<usize> = (1..=shape.len()).map(|side| shape[side..].iter().product()).collect();
        let storage =
            [&b"("[..], &text("storage"), b"ctorch\nFloatStorage\n", &text(key), &text("cpu"), &integer(count), b"tQ"];
        object.extend([&text(&format!("{before}{key}"))[..], b"ctorch._utils\n_rebuild_tensor_v2\n("].concat());
        object.extend([&storage.concat()[..], b"K\x00", &tuple(shape), &tuple(&strides), b"\x89}tRs"].concat());
        keys.extend(text(key));
        data.extend((count as u64).to_le_bytes());
        data.extend(formula::values(&format!("{hashed}{key}"), shape).into_iter().flat_map(f32::to_le_bytes));
    }
    let head = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    [&head[..], &object, b".", &keys, b"e.", &data].concat()
}
