//! The records of a ZIP archive written by torch.save, each checked against its checksum and its own header.
//!
//! Knows no pickle. torch.load checks no checksum; here a flipped byte is an error. Only a file that was saved without
//! checksums (`torch.serialization.set_crc32_options(False)`) is accepted unchecked.
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Cursor;

use zip::{CompressionMethod, ZipArchive};

use super::{PthError, part};
use intrada_weights::shown::some_of;

/// The signature of a record.
const LOCAL_HEADER: &[u8] = b"PK\x03\x04";

/// The records by name, without their common folder.
pub(super) fn records(file: &[u8]) -> Result<HashMap<String, &[u8]>, PthError> {
    let mut archive = ZipArchive::new(Cursor::new(file))?;
    what_it_is(&archive)?;
    let has_checksums = has_checksums(&mut archive)?;
    let mut records = HashMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index)?;
        let full = entry.name()?.into_owned();
        let damaged = |problem| PthError::Damaged { record: full.clone(), problem };
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return Err(PthError::Compressed(full));
        }
        if local_name(file, entry.header_start()) != Some(entry.name_raw()) {
            return Err(damaged("is not where the archive's list says"));
        }
        let bytes = entry.data_start().and_then(|start| part(file, start, entry.size()));
        let bytes = bytes.filter(|_| entry.size() == entry.compressed_size()).ok_or(damaged("is cut"))?;
        if has_checksums && crc32fast::hash(bytes) != entry.crc32() {
            return Err(damaged("has another checksum (CRC-32) than was written with it"));
        }
        if let Some((_, name)) = full.split_once('/') {
            records.insert(name.to_owned(), bytes);
        }
    }
    Ok(records)
}

/// Refuses an archive that torch.save didn't write, before reporting how it is packed.
fn what_it_is(archive: &ZipArchive<Cursor<&[u8]>>) -> Result<(), PthError> {
    let names: Vec<Cow<str>> = archive.file_names().collect::<Result<_, _>>()?;
    let has = |wanted: &str| names.iter().any(|name| name.split_once('/').is_some_and(|(_, rest)| rest == wanted));
    match (has("constants.pkl"), has("data.pkl")) {
        (true, _) => Err(PthError::Script),
        (false, true) => Ok(()),
        (false, false) if names.is_empty() => Err(PthError::Archive { records: "nothing".to_owned() }),
        (false, false) => Err(PthError::Archive { records: some_of(names.iter().map(|name| &**name)) }),
    }
}

/// Whether any record has one: an empty record's checksum is 0, too.
fn has_checksums(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Result<bool, PthError> {
    for index in 0..archive.len() {
        if archive.by_index_raw(index)?.crc32() != 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The name in a record's own header.
fn local_name(file: &[u8], at: u64) -> Option<&[u8]> {
    const LENGTH_AT: u64 = 26;
    const NAME_AT: u64 = 30;
    part(file, at, LOCAL_HEADER.len() as u64).filter(|begin| *begin == LOCAL_HEADER)?;
    let length: [u8; 2] = part(file, at.checked_add(LENGTH_AT)?, 2)?.try_into().ok()?;
    part(file, at.checked_add(NAME_AT)?, u16::from_le_bytes(length).into())
}
