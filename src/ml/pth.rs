//! PyTorch's checkpoints (`torch.save`) without Python: named tensors out of a file, and nothing in it is ever called.
//!
//! Two formats: the zip archive of PyTorch since 1.6, and before it a row of pickles with the elements behind them, also as
//! Python 2 wrote them, which is how the ImageNet weights of DeepLab-v2 come. It knows no libtorch: an [`Array`] is an
//! element type, a shape and bytes. A file that is meant to do harm gets an error for it: work and memory are bounded by
//! the file's size and the limits below, and no value of a pickle is followed by recursion.
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Cursor;

use safetensors::Dtype;
use zip::{CompressionMethod, ZipArchive};

mod pickle;
mod strided;

use pickle::{Machine, Value};

/// Levels of dictionaries: a state dict in a checkpoint in a run's record is three.
const LEVELS_AT_MOST: usize = 16;
/// Entries of all dictionaries, each counted as often as it is reached.
const ENTRIES_AT_MOST: usize = 1 << 20;
/// All names together.
const NAME_BYTES_AT_MOST: usize = 1 << 26;
/// Elements of all tensors together, as a multiple of the file: more than 1 as tensors may share elements.
const SHARING_AT_MOST: usize = 8;

/// A tensor, row by row, little-endian.
#[derive(Debug, PartialEq)]
pub(crate) struct Array<'a> {
    /// Type of an element.
    pub(crate) dtype: Dtype,
    /// Sides, the outermost first.
    pub(crate) shape: Vec<usize>,
    /// The elements: a part of the file where they lie in it as they are.
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// Why a file is no checkpoint, or none that this reads.
#[derive(Debug, thiserror::Error)]
pub enum PthError {
    /// It is a pickle, but not PyTorch's.
    #[error("a pickle, but not one of torch.save")]
    NotTorch,
    /// The archive is damaged.
    #[error("damaged zip archive: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// An entry is packed, which torch.save doesn't do.
    #[error("entry `{0}` of the archive is compressed; torch.save leaves entries as they are")]
    Compressed(String),
    /// An entry that must be there isn't.
    #[error("the archive has no {0}; was it made by torch.jit.save?")]
    Entry(&'static str),
    /// The file ends in the middle of something.
    #[error("the file ends inside {0}")]
    Truncated(&'static str),
    /// An operation of the pickle that no state dict needs.
    #[error("operation {code:#04x} at byte {at} of a pickle has no business in a checkpoint")]
    Operation {
        /// The operation.
        code: u8,
        /// Where, from the beginning of its pickle.
        at: usize,
    },
    /// A function that would be called, if this were Python.
    #[error("it calls `{module}.{name}` where it is loaded with Python, which no network needs; nothing of it was run")]
    Call {
        /// The function's module.
        module: String,
        /// The function.
        name: String,
    },
    /// The pickle makes no sense.
    #[error("the pickle is broken: {0}")]
    Broken(&'static str),
    /// Made on a machine, or of elements, that are not supported.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// A tensor reaches beyond the elements that it is made from, or they are missing.
    #[error("tensor `{tensor}` reaches beyond its storage `{storage}`")]
    Outside {
        /// Its name.
        tensor: String,
        /// Where its elements should be.
        storage: String,
    },
    /// More than any checkpoint has.
    #[error("more than {limit} {what}: no checkpoint of a network")]
    Excessive {
        /// Of what.
        what: &'static str,
        /// The most.
        limit: usize,
    },
    /// A whole model object, perhaps.
    #[error("no tensors in it; what can be read is a state dict, as in torch.save(model.state_dict(), …)")]
    Empty,
}

/// Whether the first bytes are those of an archive or a pickle, and not those of a safetensors file, whose ninth is `{`.
pub(crate) fn is_pth(file: &[u8]) -> bool {
    file.starts_with(b"PK\x03\x04") || (file.first() == Some(&0x80) && file.get(8) != Some(&b'{'))
}

/// All tensors by name, in the file's order. Names of dictionaries in dictionaries are joined by dots, but what training
/// programs put around a network is taken off: of a file with a `state_dict`, `model_state_dict` or `model` only that is
/// read, and `module.`, where it begins every name, is dropped.
///
/// # Errors
/// [`PthError`].
pub(crate) fn read(file: &[u8]) -> Result<Vec<(String, Array<'_>)>, PthError> {
    let named = if file.starts_with(b"PK") { archive(file)? } else { row_of_pickles(file)? };
    if named.is_empty() {
        return Err(PthError::Empty);
    }
    Ok(unwrapped(named))
}

/// Entries, below a folder of any name: `data.pkl`, the elements as `data/0`, `data/1`, and perhaps `byteorder`.
fn archive(file: &[u8]) -> Result<Vec<(String, Array<'_>)>, PthError> {
    let mut archive = ZipArchive::new(Cursor::new(file))?;
    let mut entries: HashMap<String, &[u8]> = HashMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index)?;
        let full = entry.name()?.into_owned();
        let Some((_, name)) = full.split_once('/') else { continue };
        if entry.compression() != CompressionMethod::Stored {
            return Err(PthError::Compressed(name.to_owned()));
        }
        let bytes = entry.data_start().and_then(|start| part(file, start, entry.size()));
        entries.insert(name.to_owned(), bytes.ok_or(PthError::Truncated("an entry of the archive"))?);
    }
    if entries.get("byteorder").is_some_and(|order| *order != b"little") {
        return Err(PthError::Unsupported("a file of a big-endian machine".to_owned()));
    }
    let mut machine = Machine::default();
    let (root, _) = machine.run(entries.get("data.pkl").ok_or(PthError::Entry("data.pkl"))?)?;
    let storages = |key: &str| entries.get(format!("data/{key}").as_str()).copied();
    named(&machine, root, file.len(), storages)
}

fn part(file: &[u8], start: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    file.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

/// Five pickles: a magic number, the format's version, the machine, the object, the keys of the storages. Then each storage:
/// its number of elements, and they.
fn row_of_pickles(file: &[u8]) -> Result<Vec<(String, Array<'_>)>, PthError> {
    const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    const VERSION: i64 = 1001;
    if !file.iter().take(32).copied().collect::<Vec<_>>().windows(10).any(|bytes| bytes == MAGIC) {
        return Err(PthError::NotTorch);
    }
    let (mut machine, mut at) = (Machine::default(), 0);
    let mut next = || {
        let (value, length) = machine.run(&file[at..])?;
        at += length;
        Ok::<_, PthError>(value)
    };
    let [_, version, _, root, keys] = [next()?, next()?, next()?, next()?, next()?];
    if !matches!(version, Value::Int(VERSION)) {
        return Err(PthError::Unsupported("this version of the old format".to_owned()));
    }
    let mut storages: HashMap<&str, &[u8]> = HashMap::new();
    for key in machine.items(keys).ok_or(PthError::Broken("the storages are no list"))? {
        let Value::Text(key) = *key else { return Err(PthError::Broken("a storage's key is no text")) };
        let size = machine.element_size(key).ok_or(PthError::Broken("a storage that nothing is made from"))?;
        let count = file.get(at..).and_then(|rest| rest.first_chunk()).ok_or(PthError::Truncated("a storage"))?;
        at += count.len();
        let length = u64::from_le_bytes(*count).checked_mul(size as u64);
        let bytes = length.and_then(|length| part(file, at as u64, length)).ok_or(PthError::Truncated("a storage"))?;
        at += bytes.len();
        storages.insert(key, bytes);
    }
    named(&machine, root, file.len(), |key| storages.get(key).copied())
}

/// Every tensor that can be reached from `root` through dictionaries.
fn named<'a>(
    machine: &Machine<'a>,
    root: Value<'a>,
    file_bytes: usize,
    storage: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Vec<(String, Array<'a>)>, PthError> {
    let (mut entries, mut name_bytes, mut element_bytes) = (0, 0, 0usize);
    let mut found = Vec::new();
    let mut open = vec![(String::new(), root, 0)];
    while let Some((name, value, level)) = open.pop() {
        within(level, LEVELS_AT_MOST, "dictionaries in each other")?;
        if let Some(tensor) = machine.tensor(value) {
            let outside = || PthError::Outside { tensor: name.clone(), storage: tensor.storage.to_owned() };
            element_bytes = tensor.bytes().and_then(|n| n.checked_add(element_bytes)).ok_or_else(outside)?;
            within(element_bytes, file_bytes.saturating_mul(SHARING_AT_MOST), "bytes of elements")?;
            let array = storage(tensor.storage).and_then(|bytes| tensor.gather(bytes)).ok_or_else(outside)?;
            found.push((name, array));
            continue;
        }
        // What is on top comes next, so the last goes in first.
        for (key, value) in machine.entries(value).iter().rev() {
            let key = match key {
                Value::Text(key) => Cow::Borrowed(*key),
                Value::Int(key) => Cow::Owned(key.to_string()),
                _ => continue,
            };
            let name = if name.is_empty() { key.into_owned() } else { format!("{name}.{key}") };
            (entries, name_bytes) = (entries + 1, name_bytes + name.len());
            within(entries, ENTRIES_AT_MOST, "entries")?;
            within(name_bytes, NAME_BYTES_AT_MOST, "bytes of names")?;
            open.push((name, *value, level + 1));
        }
    }
    Ok(found)
}

fn within(count: usize, limit: usize, what: &'static str) -> Result<(), PthError> {
    if count <= limit { Ok(()) } else { Err(PthError::Excessive { what, limit }) }
}

fn unwrapped(mut named: Vec<(String, Array)>) -> Vec<(String, Array)> {
    let around = ["state_dict.", "model_state_dict.", "model."];
    if let Some(level) = around.into_iter().find(|level| named.iter().any(|(name, _)| name.starts_with(level))) {
        named.retain(|(name, _)| name.starts_with(level));
        named.iter_mut().for_each(|(name, _)| drop(name.drain(..level.len())));
    }
    const PARALLEL: &str = "module.";
    if named.iter().all(|(name, _)| name.starts_with(PARALLEL)) {
        named.iter_mut().for_each(|(name, _)| drop(name.drain(..PARALLEL.len())));
    }
    named
}

#[cfg(test)]
mod tests;
