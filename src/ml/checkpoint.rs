//! Named tensors from and to safetensors files, and from PyTorch's.
//!
//! It knows names, shapes and element types, not what they mean. Equal tensors and equal metadata give equal bytes: the
//! artifact store compares digests, and a stage that reproduces its weights must be recognised as unchanged. And a reader
//! sees either the old file or the new one, whole, whenever the writer is killed.
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::View;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::Serialize;
use tch::{Device, Kind, Tensor, no_grad};

use crate::pth::{self, PthError};

/// The one metadata entry. The format's metadata is a map whose order no writer promises, so more than one entry would
/// make the bytes vary; what belongs there is one JSON text.
const METADATA: &str = "intrada";

/// What a file holds.
#[derive(Debug)]
pub struct Checkpoint {
    /// Tensors by name, on the CPU.
    pub tensors: HashMap<String, Tensor>,
    /// The JSON text beside them, if the file is one of ours.
    pub metadata: Option<String>,
}

/// Why a file could not be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system said no.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Not a safetensors file, or a damaged one.
    #[error("{} is not a whole safetensors file: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SafeTensorError,
    },
    /// A file of PyTorch that can't be read.
    #[error("{}: {source}", path.display())]
    Pth {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: PthError,
    },
    /// An element type that libtorch lacks, or this crate has no use for.
    #[error("{}: tensor `{key}` has elements of type {dtype}, which is not supported", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// Its element type.
        dtype: String,
    },
    /// The network has a tensor that the file lacks.
    #[error("{}: tensor `{key}` {expected:?} is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// The shape it should have.
        expected: Vec<i64>,
    },
    /// The file has a tensor that the network lacks.
    #[error("{}: tensor `{key}` {found:?} has no place in this network", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// Its shape.
        found: Vec<i64>,
    },
    /// Same name, other shape.
    #[error("{}: tensor `{key}` has shape {found:?}, expected {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// The network's shape.
        expected: Vec<i64>,
        /// The file's shape.
        found: Vec<i64>,
    },
    /// Same name, other element type.
    #[error("{}: tensor `{key}` has elements of kind {found:?}, expected {expected:?}", path.display())]
    ElementKind {
        /// The file.
        path: PathBuf,
        /// The tensor.
        key: String,
        /// The network's.
        expected: Kind,
        /// The file's.
        found: Kind,
    },
}

/// Which differences between a file and a network are none.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// Prefixes of keys that the file may have and the network lacks, each with the reason.
    pub skip: &'a [(&'a str, &'static str)],
    /// Prefixes of keys that the network has and the file may lack, each with the reason: these tensors keep their values.
    pub keep: &'a [(&'a str, &'static str)],
    /// Whether floating-point elements may be converted, as when a network trained in double precision predicts in single.
    pub convert: bool,
}

impl Rule<'_> {
    /// Exactly the network's keys, shapes and element types: nothing less continues a run to the bit.
    pub const RESUME: Rule<'static> = Rule { skip: &[], keep: &[], convert: false };
    /// Exactly the network's keys and shapes, in any precision; but for `num_batches_tracked`, which no network reads and
    /// PyTorch before 0.4.1 didn't write.
    pub const WEIGHTS: Rule<'static> = Rule { skip: &[], keep: &[], convert: true };
}

/// What [`restore`] did, each list sorted by key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Keys of the tensors that were copied.
    pub loaded: Vec<String>,
    /// Tensors of the file that were left aside.
    pub skipped: Vec<Apart>,
    /// Tensors of the network that kept their values.
    pub kept: Vec<Apart>,
}

/// A tensor that only one side has, file or network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Apart {
    /// Its key.
    pub name: String,
    /// Its sides.
    pub shape: Vec<i64>,
    /// Why that is as it should be.
    pub why: &'static str,
}

impl Apart {
    /// `tensor`, called `name`.
    pub fn new(name: &str, tensor: &Tensor, why: &'static str) -> Apart {
        Apart { name: name.to_owned(), shape: tensor.size(), why }
    }
}

/// Reads a whole file, safetensors or of `torch.save`: its first bytes tell which, since its name may be the cache's.
///
/// # Errors
/// When it can't be read, is neither, or has elements of a kind without use here.
pub fn read(path: &Path) -> Result<Checkpoint, CheckpointError> {
    // Read, not mapped: a mapped file that somebody truncates kills the process instead of failing.
    let bytes = fs::read(path).map_err(|source| io_error("read", path, source))?;
    let mut tensors = HashMap::new();
    let mut add = |name: String, dtype: Dtype, shape: &[usize], bytes: &[u8]| {
        let Some(kind) = kind_of(dtype) else {
            let (path, dtype) = (path.to_owned(), format!("{dtype:?}"));
            return Err(CheckpointError::Unsupported { path, key: name, dtype });
        };
        let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        tensors.insert(name, Tensor::from_data_size(bytes, &shape, kind));
        Ok(())
    };
    if pth::is_pth(&bytes) {
        let arrays = pth::read(&bytes).map_err(|source| CheckpointError::Pth { path: path.to_owned(), source })?;
        arrays.into_iter().try_for_each(|(name, array)| add(name, array.dtype, &array.shape, &array.bytes))?;
        return Ok(Checkpoint { tensors, metadata: None });
    }
    let format = |source| CheckpointError::Format { path: path.to_owned(), source };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(format)?;
    let metadata = header.metadata().as_ref().and_then(|entries| entries.get(METADATA).cloned());
    for (name, view) in SafeTensors::deserialize(&bytes).map_err(format)?.iter() {
        add(name.to_owned(), view.dtype(), view.shape(), view.data())?;
    }
    Ok(Checkpoint { tensors, metadata })
}

/// Writes tensors sorted by name with `metadata`, a JSON text, beside them, and replaces the file at once.
///
/// # Errors
/// When the file system refuses, or an element kind is unknown to the format. The old file is then still there.
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
        .map_err(|source| CheckpointError::Format { path: path.to_owned(), source })?;
    replace(path, &bytes).map_err(|source| io_error("write", path, source))
}

/// Copies a file's tensors into live ones by name, in place, after checking all of them: on an error none has changed.
///
/// # Errors
/// When the file can't be read, or differs from the live tensors in a way that `rule` doesn't allow.
pub fn restore(path: &Path, live: &[(String, Tensor)], rule: Rule) -> Result<Restored, CheckpointError> {
    copy_into(path, &read(path)?.tensors, live, rule)
}

/// The second half of [`restore`], for tensors that are read already; `path` is for messages.
///
/// # Errors
/// As [`restore`].
pub fn copy_into(
    path: &Path,
    stored: &HashMap<String, Tensor>,
    live: &[(String, Tensor)],
    rule: Rule,
) -> Result<Restored, CheckpointError> {
    let why = |key: &str, prefixes: &[(&str, &'static str)]| {
        prefixes.iter().find(|(prefix, _)| key.starts_with(prefix)).map(|(_, why)| *why)
    };
    let is_counter = |key: &str| rule.convert && key.ends_with(".num_batches_tracked");
    let mut restored = Restored::default();
    let mut pairs = Vec::new();
    for (key, to) in live {
        match stored.get(key) {
            Some(from) => {
                check(path, key, from, to, rule)?;
                pairs.push((from, to));
                restored.loaded.push(key.clone());
            }
            None if is_counter(key) => {}
            None => match why(key, rule.keep) {
                Some(why) => restored.kept.push(Apart::new(key, to, why)),
                None => {
                    let (path, key) = (path.to_owned(), key.clone());
                    return Err(CheckpointError::Missing { path, key, expected: to.size() });
                }
            },
        }
    }
    let known: HashSet<&str> = live.iter().map(|(key, _)| key.as_str()).collect();
    let mut unknown: Vec<(&String, &Tensor)> = stored.iter().filter(|(key, _)| !known.contains(key.as_str())).collect();
    unknown.sort_by_key(|(key, _)| *key);
    for (key, tensor) in unknown.into_iter().filter(|(key, _)| !is_counter(key)) {
        let Some(why) = why(key, rule.skip) else {
            let (path, key) = (path.to_owned(), key.clone());
            return Err(CheckpointError::Unexpected { path, key, found: tensor.size() });
        };
        restored.skipped.push(Apart::new(key, tensor, why));
    }
    restored.loaded.sort();
    restored.kept.sort();
    no_grad(|| pairs.into_iter().for_each(|(from, to)| to.shallow_clone().copy_(from)));
    Ok(restored)
}

fn check(path: &Path, key: &str, from: &Tensor, to: &Tensor, rule: Rule) -> Result<(), CheckpointError> {
    let (path, key) = (path.to_owned(), key.to_owned());
    if from.size() != to.size() {
        return Err(CheckpointError::Shape { path, key, expected: to.size(), found: from.size() });
    }
    let convertible = rule.convert && is_floating(from.kind()) && is_floating(to.kind());
    if from.kind() != to.kind() && !convertible {
        return Err(CheckpointError::ElementKind { path, key, expected: to.kind(), found: from.kind() });
    }
    Ok(())
}

fn is_floating(kind: Kind) -> bool {
    matches!(kind, Kind::Double | Kind::Float | Kind::Half | Kind::BFloat16)
}

/// Temporary file beside the target, synced, renamed over it, and the folder synced: after a power cut too there is
/// either the old file or the new one.
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
    /// The kind that the format lacks is the error.
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
mod tests {
    use super::*;

    fn named(name: &str, tensor: Tensor) -> (String, Tensor) {
        (name.to_owned(), tensor)
    }

    #[test]
    fn tensors_of_every_kind_and_layout_come_back_and_equal_contents_give_equal_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.safetensors");
        let values = Tensor::from_slice(&[0.5f64, 1.0, 2.0, 3.0, 4.0, 5.25]).view([2, 3]);
        let mut all: Vec<_> = KINDS
            .iter()
            .map(|(kind, _)| named(&format!("{kind:?}"), values.to_kind(*kind).transpose(0, 1)))
            .chain([
                named("scalar", Tensor::from(7.5)),
                named("empty", Tensor::zeros([0, 3], (Kind::Float, Device::Cpu))),
            ])
            .collect();
        write(&path, &all, Some("{}")).unwrap();
        let first = fs::read(&path).unwrap();
        let read = read(&path).unwrap();
        assert_eq!((read.tensors.len(), read.metadata.as_deref()), (all.len(), Some("{}")));
        for (name, tensor) in &all {
            assert_eq!((&read.tensors[name], read.tensors[name].kind()), (tensor, tensor.kind()), "{name}");
        }
        all.reverse();
        write(&path, &all, Some("{}")).unwrap();
        assert_eq!(first, fs::read(&path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary file is gone");
    }

    #[test]
    fn restoring_names_the_first_difference_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
        write(&path, &[named("a", ones(&[2])), named("b", ones(&[2, 3])), named("extra", ones(&[1]))], None).unwrap();
        let live = |b: &[i64], kind| [named("a", ones(&[2]) * 0.0), named("b", ones(b).to_kind(kind) * 0.0)];
        let skip = Rule { skip: &[("ext", "spare")], ..Rule::RESUME };

        let wrong_shape = live(&[3, 2], Kind::Float);
        let message = restore(&path, &wrong_shape, skip).unwrap_err().to_string();
        assert!(message.ends_with("tensor `b` has shape [2, 3], expected [3, 2]"), "{message}");
        assert_eq!(wrong_shape[0].1.sum(Kind::Float).double_value(&[]), 0.0, "`a` was not touched either");

        let wide = live(&[2, 3], Kind::Double);
        let message = restore(&path, &wide, skip).unwrap_err().to_string();
        assert!(message.ends_with("tensor `b` has elements of kind Float, expected Double"), "{message}");

        let message = restore(&path, &live(&[2, 3], Kind::Float), Rule::RESUME).unwrap_err().to_string();
        assert!(message.ends_with("tensor `extra` [1] has no place in this network"), "{message}");

        let mut more = live(&[2, 3], Kind::Float).into_iter().collect::<Vec<_>>();
        more.push(named("head", ones(&[4])));
        let message = restore(&path, &more, skip).unwrap_err().to_string();
        assert!(message.ends_with("tensor `head` [4] is missing"), "{message}");

        let restored = restore(&path, &more, Rule { keep: &[("head", "new")], ..skip }).unwrap();
        let apart = |name: &str, side, why| vec![Apart { name: name.into(), shape: vec![side], why }];
        let (skipped, kept) = (apart("extra", 1, "spare"), apart("head", 4, "new"));
        assert_eq!(restored, Restored { loaded: vec!["a".into(), "b".into()], skipped, kept });
        assert_eq!(more[1].1, ones(&[2, 3]));
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.safetensors");
        write(&path, &[named("a", Tensor::from_slice(&[1f32; 100]))], None).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("cut.safetensors is not a whole safetensors file"), "{message}");
    }
}
