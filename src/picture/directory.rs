//! Reads the directories of a TIFF file: which tags it has, and their numbers (TIFF 6.0, section 2; BigTIFF).
//!
//! Knows no image: `tiff` says which tags mean what, and `exif` reads one of a block of Exif data, which has the same form.
//! Positions in the file are checked, never trusted.

const SHORT: u64 = 3;

/// A file with a valid header.
#[derive(Clone, Copy)]
pub(crate) struct Tiff<'a> {
    bytes: &'a [u8],
    is_big_endian: bool,
    /// A BigTIFF, whose positions take eight bytes.
    pub(crate) is_large: bool,
}

/// The file ends before what was to be read, or a position leads out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outside;

impl<'a> Tiff<'a> {
    /// `None` if the file doesn't begin as a TIFF does.
    pub(crate) fn open(bytes: &'a [u8]) -> Option<Tiff<'a>> {
        let (is_big_endian, is_large) = match bytes.get(..4)? {
            b"II*\0" => (false, false),
            b"MM\0*" => (true, false),
            b"II+\0" => (false, true),
            b"MM\0+" => (true, true),
            _ => return None,
        };
        Some(Tiff { bytes, is_big_endian, is_large })
    }

    /// The first directory.
    pub(crate) fn first(self) -> Result<Directory<'a>, Outside> {
        let (at, width) = if self.is_large { (8, 8) } else { (4, 4) };
        self.directory(self.number(at, width)?)
    }

    /// The directory at this position.
    pub(crate) fn directory(self, at: u64) -> Result<Directory<'a>, Outside> {
        let width = if self.is_large { 8 } else { 2 };
        Ok(Directory { tiff: self, entries: at.checked_add(width).ok_or(Outside)?, count: self.number(at, width)? })
    }

    /// An unsigned number of this many bytes.
    fn number(self, at: u64, width: u64) -> Result<u64, Outside> {
        let end = at.checked_add(width).ok_or(Outside)?;
        let range = usize::try_from(at).map_err(|_| Outside)?..usize::try_from(end).map_err(|_| Outside)?;
        let bytes = self.bytes.get(range).ok_or(Outside)?;
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(if self.is_big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    }
}

/// A directory: tags with their numbers, of one page.
#[derive(Clone, Copy)]
pub(crate) struct Directory<'a> {
    tiff: Tiff<'a>,
    entries: u64,
    count: u64,
}

/// Where a tag's numbers are.
struct Entry {
    kind: u64,
    count: u64,
    /// The field that holds the numbers or, if they don't fit, their position.
    field: u64,
}

impl<'a> Directory<'a> {
    /// The bytes of an entry, and of a position or a count in it.
    fn widths(self) -> (u64, u64) {
        if self.tiff.is_large { (20, 8) } else { (12, 4) }
    }

    /// The entry of a tag, if the directory has it; entries that the file no longer holds are none.
    fn entry(self, tag: u16) -> Option<Entry> {
        let (width, wide) = self.widths();
        let at = (0..self.count)
            .map_while(|place| self.entries.checked_add(width.checked_mul(place)?))
            .take_while(|at| self.tiff.number(*at, 2).is_ok())
            .find(|at| self.tiff.number(*at, 2) == Ok(u64::from(tag)))?;
        let (kind, count) = (self.tiff.number(at + 2, 2).ok()?, self.tiff.number(at + 4, wide).ok()?);
        Some(Entry { kind, count, field: at + 4 + wide })
    }

    /// The position of the first number of a tag with at most two bytes of numbers.
    pub(crate) fn place_of_short(self, tag: u16) -> Option<usize> {
        let entry = self.entry(tag).filter(|entry| entry.kind == SHORT && entry.count == 1)?;
        usize::try_from(entry.field).ok()
    }

    /// The first number of a tag, if it is stored as a 16-bit number beside the tag.
    pub(crate) fn short(self, tag: u16) -> Option<u16> {
        let entry = self.entry(tag).filter(|entry| entry.kind == SHORT)?;
        self.tiff.number(entry.field, 2).ok().and_then(|number| u16::try_from(number).ok())
    }

    /// The numbers of a tag. Empty if it is missing or holds no unsigned numbers.
    pub(crate) fn numbers(self, tag: u16) -> Result<Vec<u64>, Outside> {
        let Some(Entry { kind, count, field }) = self.entry(tag) else { return Ok(Vec::new()) };
        // Bytes, 16, 32 and 64 bits; directories' positions.
        let width = match kind {
            1 => 1,
            SHORT => 2,
            4 | 13 => 4,
            16 | 18 => 8,
            _ => return Ok(Vec::new()),
        };
        let length = count.checked_mul(width).ok_or(Outside)?;
        let (_, wide) = self.widths();
        let at = if length <= wide { field } else { self.tiff.number(field, wide)? };
        let end = at.checked_add(length).ok_or(Outside)?;
        // A count that the file can't hold must not take memory.
        if end > self.tiff.bytes.len() as u64 {
            return Err(Outside);
        }
        (0..count).map(|place| self.tiff.number(at + place * width, width)).collect()
    }

    /// The next directory, if there is one.
    pub(crate) fn next(self) -> Result<Option<Directory<'a>>, Outside> {
        let (width, wide) = self.widths();
        let end = width.checked_mul(self.count).and_then(|length| self.entries.checked_add(length)).ok_or(Outside)?;
        match self.tiff.number(end, wide)? {
            0 => Ok(None),
            at => self.tiff.directory(at).map(Some),
        }
    }
}
