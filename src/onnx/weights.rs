//! The tensors of a safetensors file, by name, and which of them were taken.
//!
//! Knows no network. What nothing takes is told at the end: a tensor that no layer uses means that the graph isn't the network
//! of the file.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use safetensors::tensor::{Dtype, Metadata, SafeTensors};

use crate::Error;

/// A file's tensors.
pub(crate) struct Weights {
    file: Bytes,
    /// Where the data begin in it.
    begin: usize,
    header: Metadata,
    taken: RefCell<BTreeSet<String>>,
}

/// One of them, all numbers in single precision.
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    /// Little endian.
    pub(crate) bytes: Bytes,
}

impl Tensor {
    /// The numbers, row by row.
    pub(crate) fn values(&self) -> Vec<f32> {
        self.bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }
}

impl Weights {
    /// # Errors
    /// It is no safetensors file.
    pub(crate) fn new(file: Bytes) -> Result<Weights, Error> {
        let (length, header) =
            SafeTensors::read_metadata(&file).map_err(|error| Error::File { reason: error.to_string() })?;
        Ok(Weights { begin: size_of::<u64>() + length, header, file, taken: RefCell::default() })
    }

    /// A tensor of the file.
    ///
    /// # Errors
    /// There is none of this name, or its numbers are of another type.
    pub(crate) fn take(&self, name: &str) -> Result<Tensor, Error> {
        let info = self.header.info(name).ok_or_else(|| Error::Missing { name: name.to_owned() })?;
        if info.dtype != Dtype::F32 {
            return Err(Error::NotFloat { name: name.to_owned(), found: format!("{:?}", info.dtype) });
        }
        self.taken.borrow_mut().insert(name.to_owned());
        let (from, to) = info.data_offsets;
        Ok(Tensor { shape: info.shape.clone(), bytes: self.file.slice(self.begin + from..self.begin + to) })
    }

    /// The shape of a tensor, without taking it.
    ///
    /// # Errors
    /// There is none of this name.
    pub(crate) fn shape(&self, name: &str) -> Result<&[usize], Error> {
        let info = self.header.info(name).ok_or_else(|| Error::Missing { name: name.to_owned() })?;
        Ok(&info.shape)
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.header.info(name).is_some()
    }

    /// How many numbers from 0 on have a tensor below `prefix.NUMBER.`: the depth of a stack of layers.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        let numbers: BTreeSet<usize> = self.all().keys().filter_map(|name| number_below(name, prefix)).collect();
        (0..).take_while(|number| numbers.contains(number)).count()
    }

    /// Fails for tensors that nothing took, unless one of `left_out` begins their name, or they are counters.
    ///
    /// # Errors
    /// There are such.
    pub(crate) fn check_all_taken(&self, left_out: &[String]) -> Result<(), Error> {
        let taken = self.taken.borrow();
        let is_left = |name: &String| {
            !taken.contains(name)
                && !name.ends_with(".num_batches_tracked")
                && !left_out.iter().any(|prefix| name.starts_with(prefix.as_str()))
        };
        let left: Vec<String> = self.all().into_keys().filter(is_left).collect();
        let count = left.len();
        match left.into_iter().next() {
            None => Ok(()),
            Some(name) => Err(Error::Unused { name, count }),
        }
    }

    fn all(&self) -> BTreeMap<String, Vec<usize>> {
        self.header.tensors().into_iter().map(|(name, info)| (name, info.shape.clone())).collect()
    }
}

/// N of a name `prefix.N.…`.
fn number_below(name: &str, prefix: &str) -> Option<usize> {
    name.strip_prefix(prefix)?.strip_prefix('.')?.split('.').next()?.parse().ok()
}
