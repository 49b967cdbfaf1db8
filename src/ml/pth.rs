//! Reads PyTorch's checkpoints (`torch.save`) without Python: named tensors from a file, without ever calling code in it.
//!
//! Two formats: the ZIP archive of PyTorch since 1.6, and before it a sequence of pickles followed by the elements, also as
//! written by Python 2, like the ImageNet weights of DeepLab-v2. Knows no libtorch: an [`Array`] is an element type, a
//! shape and bytes. Doesn't know which part of a file is a network. A malicious file gives an error: work and memory are
//! limited by the file's size and the limits below, and values of a pickle are never followed recursively.
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use intrada_weights::beginning::MAGIC_AS_TEXT;
use safetensors::Dtype;

mod archive;
mod error;
mod pickle;
mod strided;

pub use error::PthError;
pub(crate) use pickle::Odd;

use pickle::{Machine, Value};
use strided::Strided;

/// Levels of nested dictionaries: a state dict in a checkpoint in a training's record has three.
const LEVELS_AT_MOST: usize = 16;
/// Entries of all dictionaries, counted each time they are reached.
const ENTRIES_AT_MOST: usize = 1 << 20;
/// The length of all names together.
const NAME_BYTES_AT_MOST: usize = 1 << 26;
/// Elements of a list that are searched: programs save a handful of networks in one.
const LISTED_AT_MOST: usize = 64;
/// Elements of all tensors together, as a multiple of the file size: more than 1 as tensors may share elements.
const SHARING_AT_MOST: usize = 8;

/// A tensor, row by row, little-endian.
#[derive(Debug, PartialEq)]
pub(crate) struct Array<'a> {
    /// Type of an element.
    pub(crate) dtype: Dtype,
    /// Sizes of the dimensions, the outermost first.
    pub(crate) shape: Vec<usize>,
    /// The elements: borrowed from the file if they are contiguous there.
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Contents<'a> {
    /// Tensors by name, in the file's order. Names in nested dictionaries are joined by dots.
    pub(crate) arrays: Vec<(String, Array<'a>)>,
    /// Named values that are not tensors with elements of their own.
    pub(crate) odd: Vec<(String, Odd<'a>)>,
    /// Tensors of dictionaries in lists and tuples, whose names contain their index: `0.conv.weight`. Separate, as a
    /// program that saves its network under a name may have lists of others.
    pub(crate) in_lists: Vec<(String, Array<'a>)>,
}

/// All named values.
///
/// # Errors
/// [`PthError`].
pub(crate) fn read(file: &[u8]) -> Result<Contents<'_>, PthError> {
    if file.starts_with(b"PK") { archive(file) } else { row_of_pickles(file) }
}

/// Records, below a folder of any name: `data.pkl`, the elements as `data/0`, `data/1`, and optionally `byteorder`.
fn archive(file: &[u8]) -> Result<Contents<'_>, PthError> {
    let records = archive::records(file)?;
    if records.get("byteorder").is_some_and(|order| *order != b"little") {
        return Err(PthError::Unsupported("a file of a big-endian machine".to_owned()));
    }
    let mut machine = Machine::default();
    let (root, _) = machine.run(records.get("data.pkl").expect("an archive without it is refused"))?;
    let storages = |key: &str| records.get(format!("data/{key}").as_str()).copied();
    named(&machine, root, file.len(), storages)
}

fn part(file: &[u8], start: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    file.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

/// Five pickles: a magic number, the format's version, the machine, the object, the keys of the storages. Then each
/// storage: its number of elements, and the elements.
fn row_of_pickles(file: &[u8]) -> Result<Contents<'_>, PthError> {
    const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    const VERSION: i64 = 1001;
    let begin = &file[..file.len().min(32)];
    if !file.starts_with(MAGIC_AS_TEXT) && !begin.windows(10).any(|bytes| bytes == MAGIC) {
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
    for key in machine.items(keys).ok_or(PthError::Broken("the storages are not a list"))? {
        let Value::Text(key) = *key else { return Err(PthError::Broken("a storage's key is not text")) };
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

/// A value reached from the root of a file.
struct Reached<'a> {
    name: String,
    value: Value<'a>,
    level: usize,
    is_in_list: bool,
}

/// Everything that can be reached from `root` through dictionaries, and the dictionaries in lists.
fn named<'a>(
    machine: &Machine<'a>,
    root: Value<'a>,
    file_bytes: usize,
    storage: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Contents<'a>, PthError> {
    if machine.tensor(root).is_some() {
        return Err(PthError::Single);
    }
    let element_bytes_at_most = file_bytes.saturating_mul(SHARING_AT_MOST);
    let mut search = Search { element_bytes_at_most, ..Search::default() };
    search.open.push(Reached { name: String::new(), value: root, level: 0, is_in_list: false });
    while let Some(reached) = search.open.pop() {
        if reached.is_in_list && reached.level > LEVELS_AT_MOST {
            continue;
        }
        within(reached.level, LEVELS_AT_MOST, "dictionaries in each other")?;
        match machine.tensor(reached.value) {
            Some(tensor) if reached.is_in_list => search.tensor_of_list(reached.name, tensor, &storage),
            Some(tensor) => search.tensor(reached.name, tensor, &storage)?,
            None => {
                if let Some(odd) = machine.odd(reached.value).filter(|_| !reached.is_in_list) {
                    search.found.odd.push((reached.name.clone(), odd));
                }
                search.list(&reached, machine)?;
                search.dictionary(&reached, machine)?;
            }
        }
    }
    let Search { found, unnamed, .. } = search;
    match (found.arrays.is_empty() && found.odd.is_empty() && found.in_lists.is_empty(), unnamed) {
        (true, 0) => Err(PthError::Empty),
        (true, unnamed) => Err(PthError::Unnamed(unnamed)),
        _ => Ok(found),
    }
}

/// A search through a file's objects. What it may cost is counted, as a small file can describe endless ones.
#[derive(Default)]
struct Search<'a> {
    found: Contents<'a>,
    /// The values to search next, the last first.
    open: Vec<Reached<'a>>,
    /// The searched lists: each is searched once, however often it is reached.
    lists: HashSet<*const Value<'a>>,
    /// Tensors without a name.
    unnamed: usize,
    entries: usize,
    name_bytes: usize,
    element_bytes: usize,
    element_bytes_at_most: usize,
}

impl<'a> Search<'a> {
    /// A tensor below a list. One that is too large or damaged is left out: nobody may need it.
    fn tensor_of_list(&mut self, name: String, tensor: &Strided<'a>, storage: &dyn Fn(&str) -> Option<&'a [u8]>) {
        let bytes = tensor.bytes().and_then(|bytes| bytes.checked_add(self.element_bytes));
        let bytes = bytes.filter(|bytes| *bytes <= self.element_bytes_at_most);
        if let Some((bytes, array)) = bytes.zip(storage(tensor.storage).and_then(|bytes| tensor.gather(bytes))) {
            self.element_bytes = bytes;
            self.found.in_lists.push((name, array));
        }
    }

    fn tensor(
        &mut self,
        name: String,
        tensor: &Strided<'a>,
        storage: &dyn Fn(&str) -> Option<&'a [u8]>,
    ) -> Result<(), PthError> {
        let outside = || PthError::Outside { tensor: name.clone(), storage: tensor.storage.to_owned() };
        self.element_bytes =
            tensor.bytes().and_then(|bytes| bytes.checked_add(self.element_bytes)).ok_or_else(outside)?;
        within(self.element_bytes, self.element_bytes_at_most, "bytes of elements")?;
        let array = storage(tensor.storage).and_then(|bytes| tensor.gather(bytes)).ok_or_else(outside)?;
        self.found.arrays.push((name, array));
        Ok(())
    }

    /// Opens the first elements of a list. Its own tensors have no names.
    fn list(&mut self, reached: &Reached<'a>, machine: &Machine<'a>) -> Result<(), PthError> {
        let Some(items) = machine.items(reached.value).filter(|items| self.lists.insert(items.as_ptr())) else {
            return Ok(());
        };
        self.unnamed += items.iter().filter(|value| is_tensor(value)).count();
        let looked_into = &items[..items.len().min(LISTED_AT_MOST)];
        for (place, value) in looked_into.iter().enumerate().rev().filter(|(_, value)| !is_tensor(value)) {
            self.reach(reached, &place.to_string(), *value, true)?;
        }
        Ok(())
    }

    /// Opens the entries of a dictionary. What is on top comes next, so the last goes in first.
    fn dictionary(&mut self, reached: &Reached<'a>, machine: &Machine<'a>) -> Result<(), PthError> {
        for (key, value) in last_of_each(machine.entries(reached.value)).into_iter().rev() {
            self.entries += 1;
            within(self.entries, ENTRIES_AT_MOST, "entries")?;
            let key = match key {
                Value::Text(key) => Cow::Borrowed(key),
                Value::Int(key) => Cow::Owned(key.to_string()),
                _ => {
                    self.unnamed += usize::from(is_tensor(&value));
                    continue;
                }
            };
            self.reach(reached, &key, value, reached.is_in_list)?;
        }
        Ok(())
    }

    fn reach(&mut self, from: &Reached<'_>, key: &str, value: Value<'a>, is_in_list: bool) -> Result<(), PthError> {
        let name = joined(&from.name, key);
        self.name_bytes += name.len();
        within(self.name_bytes, NAME_BYTES_AT_MOST, "bytes of names")?;
        self.open.push(Reached { name, value, level: from.level + 1, is_in_list });
        Ok(())
    }
}

fn is_tensor(value: &Value<'_>) -> bool {
    matches!(value, Value::Tensor(_))
}

fn joined(name: &str, key: &str) -> String {
    if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") }
}

/// As in Python: a repeated key has the later value, in the earlier position.
fn last_of_each<'a>(entries: &[(Value<'a>, Value<'a>)]) -> Vec<(Value<'a>, Value<'a>)> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut kept: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
    for &(key, value) in entries {
        let place = if let Value::Text(text) = key { *places.entry(text).or_insert(kept.len()) } else { kept.len() };
        match kept.get_mut(place) {
            Some(entry) => entry.1 = value,
            None => kept.push((key, value)),
        }
    }
    kept
}

fn within(count: usize, limit: usize, what: &'static str) -> Result<(), PthError> {
    if count <= limit { Ok(()) } else { Err(PthError::Excessive { what, limit }) }
}

#[cfg(test)]
mod tests;
