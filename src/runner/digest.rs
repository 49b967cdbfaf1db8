//! Digests and the canonical encoding: what is hashed, and its byte format.
//!
//! Knows nothing of stages, file locations or the cache. There is one newtype per purpose, so that the compiler tells a key
//! from an artifact: both are 32 bytes. The only room that names blake3.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::plain;

/// A BLAKE3-256 hash. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of a file's content and the number of bytes read.
    ///
    /// # Errors
    /// Errors of opening or reading the file; anything but a file is an error, and never blocks.
    pub fn of_file(path: &Path) -> io::Result<(Digest, u64)> {
        let file = plain::open(path)?;
        let size = file.metadata()?.len();
        Digest::of_whole_file(&file, size)
    }

    /// The same of an open file that has this size, to its end even if it has grown since.
    ///
    /// # Errors
    /// Errors of reading the file.
    pub fn of_whole_file(file: &File, size: u64) -> io::Result<(Digest, u64)> {
        let mut hasher = blake3::Hasher::new();
        if size >= WORTH_THREADS as u64 {
            hash_in_blocks(file, &mut hasher)?;
        } else {
            let mut bytes = Vec::with_capacity(size as usize);
            // Reading the file directly would query its size and position once more.
            file.take(u64::MAX).read_to_end(&mut bytes)?;
            hasher.update(&bytes);
        }
        Ok((Digest(*hasher.finalize().as_bytes()), hasher.count()))
    }

    /// The same of an open file, of which only this many bytes are read if it is small.
    ///
    /// # Errors
    /// Errors of reading the file.
    pub fn of_open_file(file: &File, size: u64) -> io::Result<(Digest, u64)> {
        if size >= WORTH_THREADS as u64 {
            let mut hasher = blake3::Hasher::new();
            hash_in_blocks(file, &mut hasher)?;
            return Ok((Digest(*hasher.finalize().as_bytes()), hasher.count()));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        // Not to its end: the caller looks whether it has grown.
        file.take(size).read_to_end(&mut bytes)?;
        Ok((Digest::of(&bytes), bytes.len() as u64))
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first six hexadecimal digits: enough to tell digests apart on a screen.
    pub fn short(&self) -> String {
        self.to_string()[..6].to_owned()
    }

    /// Calls this with its 64 hexadecimal digits.
    pub fn with_digits<T>(&self, take: impl FnOnce(&str) -> T) -> T {
        let mut text = [0; 64];
        for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(self.0) {
            *pair = PAIRS[usize::from(byte)];
        }
        take(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }
}

/// From about this size on, hashing in several threads is faster.
const WORTH_THREADS: usize = 1 << 20;

/// How many bytes are read and then hashed by several threads. A power of two, as whole subtrees hash fastest.
const BLOCK: u64 = 4 << 20;

/// Read instead of mapped: accessing the mapping of a file that was truncated meanwhile kills the process.
fn hash_in_blocks(mut file: &File, hasher: &mut blake3::Hasher) -> io::Result<()> {
    let mut block = Vec::with_capacity(BLOCK as usize);
    loop {
        block.clear();
        file.by_ref().take(BLOCK).read_to_end(&mut block)?;
        hasher.update_rayon(&block);
        if (block.len() as u64) < BLOCK {
            return Ok(());
        }
    }
}

/// Hashes content that arrives in pieces.
#[derive(Default)]
pub struct Pieces(blake3::Hasher);

impl Pieces {
    /// Adds the next piece. Large pieces are hashed by several threads.
    pub fn add(&mut self, piece: &[u8]) {
        if piece.len() >= WORTH_THREADS {
            self.0.update_rayon(piece);
        } else {
            self.0.update(piece);
        }
    }

    /// The digest of all pieces in order.
    pub fn digest(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

/// The two digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_digits(|digits| f.write_str(digits))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Digest, NotADigest> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(NotADigest);
        }
        // One digest has one text: a record in which a letter became a capital was altered.
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(NotADigest),
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Ok(Digest(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            <[u8; 32]>::deserialize(deserializer).map(Digest)
        }
    }
}

macro_rules! digest_of {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.short())
            }
        }

        impl FromStr for $name {
            type Err = NotADigest;

            fn from_str(text: &str) -> Result<$name, NotADigest> {
                text.parse().map($name)
            }
        }
    };
}

digest_of! {
    /// Names one computation: the hash of a stage's manifest, that is, of everything that determines its outputs.
    Key
}
digest_of! {
    /// Names one input or output as a stage sees it: a file with its executable bit, a folder, or a data set.
    ArtifactDigest
}
digest_of! {
    /// Names a file's content; also the name of the object that holds it in the store.
    FileDigest
}
digest_of! {
    /// Names one item of a data set by the content that a stage reads: its image, and its label if labels are read. Never
    /// by its name or position.
    Item
}
digest_of! {
    /// Names a setting for items: everything but the item that determines a stage's result for one.
    Setting
}

/// Builds the bytes to hash, so that different things never have the same encoding.
///
/// The encoding is: the domain (UTF-8) and a zero byte; then each field as the length of its name (u64, little endian), the
/// name, the length of its value (u64, little endian), the value. A list is a field that holds the number of its elements
/// (u64, little endian), followed by one field per element. For an absent optional value the caller omits the name too, so
/// that absence differs from emptiness. Changing any of this needs a new domain.
pub struct Encoder {
    /// What is hashed already.
    hashed: Option<Box<blake3::Hasher>>,
    /// Hashed at once: many small pieces take three times as long.
    bytes: Vec<u8>,
}

/// How many bytes an encoder gathers.
const GATHERED: usize = 64 << 10;

impl Encoder {
    /// Starts an encoding. `domain` names the kind of thing and the version of its layout, as in `intrada/manifest/1`.
    pub fn new(domain: &str) -> Encoder {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(domain.as_bytes());
        bytes.push(0);
        Encoder { hashed: None, bytes }
    }

    /// Appends one named value.
    pub fn field(&mut self, name: &str, value: &[u8]) -> &mut Encoder {
        self.field_of(&[name], value)
    }

    /// The same, with a name in parts.
    pub fn field_of(&mut self, name: &[&str], value: &[u8]) -> &mut Encoder {
        let length: usize = name.iter().map(|part| part.len()).sum();
        self.bytes.extend_from_slice(&(length as u64).to_le_bytes());
        name.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
        self.bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(value);
        if self.bytes.len() >= GATHERED {
            self.hashed.get_or_insert_default().update(&self.bytes);
            self.bytes.clear();
        }
        self
    }

    /// Starts a list of `count` elements; each follows as a field.
    pub fn list(&mut self, name: &str, count: usize) -> &mut Encoder {
        self.field(name, &(count as u64).to_le_bytes())
    }

    /// The digest of everything appended.
    pub fn finish(&self) -> Digest {
        match &self.hashed {
            None => Digest::of(&self.bytes),
            Some(hasher) => Digest(*hasher.clone().update(&self.bytes).finalize().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_what_it_wrote() {
        let digest = Digest::of(b"intrada");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("12".parse::<Digest>(), Err(NotADigest));
        assert_eq!("g".repeat(64).parse::<Digest>(), Err(NotADigest));
        assert_eq!(digest.to_string().to_uppercase().parse::<Digest>(), Err(NotADigest));
    }

    #[test]
    fn each_byte_has_its_two_digits() {
        for byte in 0..=u8::MAX {
            assert_eq!(Digest([byte; 32]).to_string(), format!("{byte:02x}").repeat(32));
        }
    }

    #[test]
    fn content_that_comes_in_pieces_has_the_digest_of_the_whole() {
        let whole: Vec<u8> = (0..3 * WORTH_THREADS).map(|place| (place % 251) as u8).collect();
        for piece in [1000, WORTH_THREADS, WORTH_THREADS + 1, whole.len()] {
            let mut pieces = Pieces::default();
            whole.chunks(piece).for_each(|piece| pieces.add(piece));
            assert_eq!(pieces.digest(), Digest::of(&whole), "{piece}");
        }
        assert_eq!(Pieces::default().digest(), Digest::of(b""));
    }

    #[test]
    fn moving_a_byte_between_name_and_value_changes_the_digest() {
        let digest = |name, value: &[u8]| Encoder::new("test/1").field(name, value).finish();
        assert_ne!(digest("ab", b"c"), digest("a", b"bc"));
        assert_ne!(digest("a", b""), Encoder::new("test/1").finish());
    }

    #[test]
    fn the_canonical_encoding_is_frozen() {
        let digest = Encoder::new("test/1").field("lambda", b"0.67").list("images", 0).finish();
        assert_eq!(digest, Digest::of(b"test/1\0\x06\0\0\0\0\0\0\0lambda\x04\0\0\0\0\0\0\x000.67\x06\0\0\0\0\0\0\0images\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_read_has_some_digest_and_kills_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    [16 << 20, 0].into_iter().for_each(|size| file.set_len(size).unwrap());
                }
            });
            for _ in 0..200 {
                Digest::of_file(&path).unwrap();
            }
            is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn a_file_has_the_digest_of_its_bytes_whatever_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let block = BLOCK as usize;
        for size in [0, 5, (1 << 20) - 1, 1 << 20, (1 << 20) + 3, block, block + 1, 2 * block, 2 * block + 5] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let path = dir.path().join("file");
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(Digest::of_file(&path).unwrap(), (Digest::of(&bytes), size as u64));
        }
    }
}
