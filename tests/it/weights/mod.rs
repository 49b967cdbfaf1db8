//! Files of weights in the forms in which others publish them. No weights travel: each value is a function of its name.
#![allow(dead_code, reason = "each test program uses its own part of it")]

#[path = "../../../src/ml/golden/formula.rs"]
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

/// Header and data of a safetensors file.
pub fn parts(file: &[u8]) -> (serde_json::Map<String, serde_json::Value>, &[u8]) {
    let (length, rest) = file.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    (serde_json::from_slice(header).unwrap(), data)
}

/// The same as PyTorch wrote it before 1.6: five pickles, then each tensor's number of elements and the elements.
pub fn torch_save(tensors: &[(String, Vec<usize>)], before: &str, hashed: &str) -> Vec<u8> {
    let (mut keys, mut data) = (b"\x80\x02](".to_vec(), Vec::new());
    for (key, shape) in tensors {
        keys.extend(text(key));
        data.extend((shape.iter().product::<usize>() as u64).to_le_bytes());
        data.extend(elements(key, shape, hashed));
    }
    let head = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    [&head[..], &state_dict(tensors, before), &keys, b"e.", &data].concat()
}

/// The same as PyTorch writes it since: a zip archive.
pub fn torch_zip(tensors: &[(String, Vec<usize>)], before: &str, hashed: &str) -> Vec<u8> {
    let mut records = vec![("w/data.pkl".to_owned(), state_dict(tensors, before))];
    records.push(("w/version".to_owned(), b"3\n".to_vec()));
    records.extend(tensors.iter().map(|(key, shape)| (format!("w/data/{key}"), elements(key, shape, hashed))));
    zipped(&records)
}

/// A zip archive of these records, none of them compressed.
pub fn zipped(records: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut archive, mut list) = (Vec::new(), Vec::new());
    for (name, bytes) in records {
        let (begins, size, length) = (archive.len() as u32, bytes.len() as u32, name.len() as u16);
        let sizes = [crc32(bytes).to_le_bytes(), size.to_le_bytes(), size.to_le_bytes()].concat();
        let facts = [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &sizes, &length.to_le_bytes(), &[0; 2]].concat();
        archive.extend([b"PK\x03\x04", &facts[..], name.as_bytes(), bytes].concat());
        list.extend([b"PK\x01\x02\x14\0", &facts[..], &[0; 10], &begins.to_le_bytes(), name.as_bytes()].concat());
    }
    let (begins, count) = (archive.len() as u32, (records.len() as u16).to_le_bytes());
    let end = [b"PK\x05\x06\0\0\0\0", &count[..], &count, &(list.len() as u32).to_le_bytes(), &begins.to_le_bytes()];
    [archive, list, end.concat(), vec![0; 2]].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

fn elements(key: &str, shape: &[usize], hashed: &str) -> Vec<u8> {
    formula::values(&format!("{hashed}{key}"), shape).into_iter().flat_map(f32::to_le_bytes).collect()
}

/// A pickle: a dictionary of tensors, each in a storage that is called as it is.
fn state_dict(tensors: &[(String, Vec<usize>)], before: &str) -> Vec<u8> {
    let integer = |value: usize| [b"J", &(value as i32).to_le_bytes()[..]].concat();
    let tuple =
        |sizes: &[usize]| [b"(", &sizes.iter().flat_map(|&size| integer(size)).collect::<Vec<_>>()[..], b"t"].concat();
    let mut object = b"\x80\x02}".to_vec();
    for (key, shape) in tensors {
        let count: usize = shape.iter().product();
        let strides: Vec<usize> = (1..=shape.len()).map(|side| shape[side..].iter().product()).collect();
        let storage =
            [&b"("[..], &text("storage"), b"ctorch\nFloatStorage\n", &text(key), &text("cpu"), &integer(count), b"tQ"];
        object.extend([&text(&format!("{before}{key}"))[..], b"ctorch._utils\n_rebuild_tensor_v2\n("].concat());
        object.extend([&storage.concat()[..], b"K\x00", &tuple(shape), &tuple(&strides), b"\x89}tRs"].concat());
    }
    object.push(b'.');
    object
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}
