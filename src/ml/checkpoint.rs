//! Reads and writes named tensors: safetensors files, and PyTorch's (reading only).
//!
//! Knows names, shapes and element types, not their meaning. Equal tensors and equal metadata give equal bytes: the
//! artifact store compares digests, and a stage that reproduces its weights must be recognised as unchanged. Writing is
//! atomic: a reader sees either the old file or the complete new one, whenever the writer is killed.
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use intrada_data::input_file::InputFile;
use intrada_weights::beginning::{self, Form};
use safetensors::tensor::View;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use tch::{Device, Kind, Tensor};

use crate::pth::{self, Array, Contents};

mod error;
mod fit;
mod nearest;
mod wrapping;

pub use error::CheckpointError;
pub use fit::{Apart, Restored, Rule, copy_into, required, restore, restore_member};
pub use nearest::Nearest;
pub use wrapping::{Beside, Member, Wrapping};

/// The one metadata entry. The format's metadata is a map without a defined order, so more than one entry would make the
/// bytes vary; the entry's value is one JSON text.
const METADATA: &str = "intrada";

/// The contents of a file.
#[derive(Debug)]
pub struct Checkpoint {
    /// Tensors by name, on the CPU.
    pub tensors: HashMap<String, Tensor>,
    /// The JSON text with them, if the file is one of ours.
    pub metadata: Option<String>,
    /// All metadata in the header, from any program; empty for a file of `torch.save`.
    pub header: Header,
    /// Where in the file they were.
    pub wrapping: Wrapping,
}

/// The metadata of a safetensors file: text by name.
pub type Header = BTreeMap<String, String>;

/// The metadata of a file's header; empty if the file can't be read.
pub fn header(file: &InputFile) -> Header {
    let bytes = file.read().unwrap_or_default();
    match beginning::form(&bytes) {
        Form::Safetensors => {
            SafeTensors::read_metadata(&bytes).map_or_else(|_| Header::new(), |(_, read)| texts(&read))
        }
        Form::Pth | Form::Other(_) => Header::new(),
    }
}

fn texts(header: &safetensors::tensor::Metadata) -> Header {
    header.metadata().iter().flatten().map(|(name, text)| (name.clone(), text.clone())).collect()
}

/// Reads a complete file of safetensors or `torch.save`: the first bytes tell which, since its name may be the cache's.
/// Names in nested dictionaries are joined by dots.
///
/// # Errors
/// It can't be read, has neither format, or has an unsupported element type.
pub fn read(path: &Path) -> Result<Checkpoint, CheckpointError> {
    read_input(&InputFile::new(path))
}

/// Like [`read`], for a file whose content may be checked against a digest.
///
/// # Errors
/// Those of [`read`]; the content differs.
pub fn read_input(file: &InputFile) -> Result<Checkpoint, CheckpointError> {
    let (path, bytes) = (file.path(), file.read()?);
    let (contents, header) = contents(path, &bytes)?;
    taken(path, contents, header, Wrapping::default())
}

/// Reads the network whose names are one of the `wanted` lists, with any prefix.
///
/// # Errors
/// Those of [`read_input`]; the file doesn't contain it, or contains several that differ.
pub fn read_network(file: &InputFile, wanted: &[Vec<String>]) -> Result<Checkpoint, CheckpointError> {
    read_member(file, wanted, Member::Student)
}

/// The same from a file that may hold a student and a teacher.
///
/// # Errors
/// Those of [`read_network`]; the file has no teacher.
pub fn read_member(file: &InputFile, wanted: &[Vec<String>], member: Member) -> Result<Checkpoint, CheckpointError> {
    let (path, bytes) = (file.path(), file.read()?);
    let (mut contents, header) = contents(path, &bytes)?;
    let wrapping = wrapping::find_with_lists(path, &mut contents, wanted, member)?;
    taken(path, contents, header, wrapping)
}

/// The shapes of all that has a name, without reading it as tensors; empty if the file can't be read.
pub fn shapes(file: &InputFile) -> BTreeMap<String, Vec<i64>> {
    let Ok(bytes) = file.read() else { return BTreeMap::new() };
    let Ok((contents, _)) = contents(file.path(), &bytes) else { return BTreeMap::new() };
    let signed = |shape: &[usize]| shape.iter().map(|&side| side as i64).collect();
    contents.arrays.iter().map(|(name, array)| (name.clone(), signed(&array.shape))).collect()
}

/// Everything with a name, and the header's metadata.
fn contents<'a>(path: &Path, bytes: &'a [u8]) -> Result<(Contents<'a>, Header), CheckpointError> {
    match beginning::form(bytes) {
        Form::Pth => match pth::read(bytes) {
            Ok(contents) => Ok((contents, Header::new())),
            Err(source) => Err(CheckpointError::Pth { path: path.to_owned(), source }),
        },
        Form::Safetensors => {
            let format =
                |error: SafeTensorError| CheckpointError::Format { path: path.to_owned(), problem: error.to_string() };
            let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
            let mut arrays: Vec<(String, Array)> = SafeTensors::deserialize(bytes)
                .map_err(format)?
                .iter()
                .map(|(name, view)| {
                    let (dtype, shape, bytes) = (view.dtype(), view.shape().to_vec(), Cow::Borrowed(view.data()));
                    (name.to_owned(), Array { dtype, shape, bytes })
                })
                .collect();
            arrays.sort_by(|(one, _), (other, _)| one.cmp(other));
            Ok((Contents { arrays, ..Contents::default() }, texts(&header)))
        }
        Form::Other(what) => Err(CheckpointError::Foreign { path: path.to_owned(), what }),
    }
}

/// The part below [`Wrapping::below`] as tensors.
fn taken(path: &Path, contents: Contents, header: Header, wrapping: Wrapping) -> Result<Checkpoint, CheckpointError> {
    let mut tensors = HashMap::new();
    for (name, Array { dtype, shape, bytes }) in contents.arrays {
        let Some(key) = name.strip_prefix(&wrapping.below) else { continue };
        let (path, key) = (|| path.to_owned(), key.to_owned());
        let Some(kind) = kind_of(dtype) else {
            return Err(CheckpointError::Unsupported { path: path(), key: name, dtype: format!("{dtype:?}") });
        };
        let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        if tensors.insert(key, Tensor::from_data_size(&bytes, &shape, kind)).is_some() {
            return Err(CheckpointError::Twice { path: path(), key: name });
        }
    }
    let metadata = header.get(METADATA).cloned();
    Ok(Checkpoint { tensors, metadata, header, wrapping })
}

/// Writes tensors sorted by name with `metadata`, a JSON text, and replaces the file atomically.
///
/// # Errors
/// The file system returns an error, or the format doesn't support an element type. Then the old file is unchanged.
pub fn write(path: &Path, tensors: &[(String, Tensor)], metadata: Option<&str>) -> Result<(), CheckpointError> {
    let mut named = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let stored = Stored::new(tensor).map_err(|kind| CheckpointError::Unsupported {
            path: path.to_owned(),
            key: name.clone(),
            dtype: format!("{kind:?}"),
        })?;
        named.push((name.as_str(), stored));
    }
    named.sort_by_key(|(name, _)| *name);
    let metadata = metadata.map(|text| HashMap::from([(METADATA.to_owned(), text.to_owned())]));
    let bytes = safetensors::serialize(named, metadata)
        .map_err(|error| CheckpointError::Format { path: path.to_owned(), problem: error.to_string() })?;
    replace(path, &bytes).map_err(|source| io_error("write", path, source))
}

/// Writes a temporary file in the same folder, syncs it, renames it over the target, and syncs the folder: after a power
/// failure there is either the old file or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// A tensor's bytes in row-major order.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    /// The error is the unsupported element type.
    fn new(tensor: &Tensor) -> Result<Stored, Kind> {
        let kind = tensor.kind();
        let dtype = dtype_of(kind).ok_or(kind)?;
        let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        Ok(Stored { dtype, shape: tensor.size().iter().map(|&side| side as usize).collect(), bytes })
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

const KINDS: [(Kind, Dtype); 10] = [
    (Kind::Double, Dtype::F64),
    (Kind::Float, Dtype::F32),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Int16, Dtype::I16),
    (Kind::Int8, Dtype::I8),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
];

fn kind_of(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|(_, d)| *d == dtype).map(|(kind, _)| *kind)
}

fn dtype_of(kind: Kind) -> Option<Dtype> {
    KINDS.iter().find(|(k, _)| *k == kind).map(|(_, dtype)| *dtype)
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
