//! A folder's object: the canonical bytes that list its contents.
//!
//! Knows names, kinds and objects, no paths. A sub-folder is represented by the digest of its own listing, so a change
//! affects only the listings above it, and folders with equal content have equal digests. The complete format:
//!
//! ```text
//! "intrada listing 1\n"
//! then an entry each, ascending by the bytes of its name:
//!     1 byte    'f' file, 'x' executable file, 'd' folder, 'l' symbolic link
//!     32 bytes  the object: content, listing, or the link's target text
//!     4 bytes   length of the name, little endian
//!     …         the name: any bytes but '/' and NUL; not empty, not "." or ".."
//! ```

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::digest::{Digest, FileDigest};

const TAG: &[u8] = b"intrada listing 1\n";
const HEAD: usize = 1 + 32 + 4;

/// What a name in a folder refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file, possibly executable by its owner.
    File {
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A sub-folder; its object is a listing.
    Folder,
    /// A symbolic link; its object is the text of its target.
    Link,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name within the folder.
    pub name: OsString,
    /// Its type.
    pub kind: EntryKind,
    /// Its content.
    pub object: FileDigest,
}

/// The entries of one folder, ascending by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing(Vec<Entry>);

/// The bytes are not a canonical listing of a known version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a canonical folder listing")]
pub struct NotAListing;

impl Listing {
    /// Sorts the entries of a folder. Their names must differ, as in any folder.
    pub fn new(mut entries: Vec<Entry>) -> Listing {
        // Those of a walk are sorted but for the folders among them, which this sort makes use of.
        entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Listing(entries)
    }

    /// The entries, ascending by the bytes of their names.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let names: usize = self.0.iter().map(|entry| entry.name.len()).sum();
        let mut bytes = Vec::with_capacity(TAG.len() + HEAD * self.0.len() + names);
        bytes.extend_from_slice(TAG);
        for Entry { name, kind, object } in &self.0 {
            bytes.push(match kind {
                EntryKind::File { executable: false } => b'f',
                EntryKind::File { executable: true } => b'x',
                EntryKind::Folder => b'd',
                EntryKind::Link => b'l',
            });
            bytes.extend_from_slice(object.0.as_bytes());
            bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes
    }

    /// Parses canonical bytes.
    ///
    /// # Errors
    /// For anything that [`Listing::encode`] wouldn't write, including names that lead out of the folder.
    pub fn decode(bytes: &[u8]) -> Result<Listing, NotAListing> {
        let mut rest = bytes.strip_prefix(TAG).ok_or(NotAListing)?;
        let mut entries: Vec<Entry> = Vec::new();
        while !rest.is_empty() {
            let (entry, after) = decode_entry(rest)?;
            if entries.last().is_some_and(|last| last.name.as_bytes() >= entry.name.as_bytes()) {
                return Err(NotAListing);
            }
            entries.push(entry);
            rest = after;
        }
        Ok(Listing(entries))
    }
}

fn decode_entry(bytes: &[u8]) -> Result<(Entry, &[u8]), NotAListing> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(NotAListing)?;
    let kind = match head[0] {
        b'f' => EntryKind::File { executable: false },
        b'x' => EntryKind::File { executable: true },
        b'd' => EntryKind::Folder,
        b'l' => EntryKind::Link,
        _ => return Err(NotAListing),
    };
    let (object, length) = head[1..].split_first_chunk::<32>().ok_or(NotAListing)?;
    let length = u32::from_le_bytes(length.try_into().map_err(|_| NotAListing)?);
    let (name, rest) = rest.split_at_checked(length as usize).ok_or(NotAListing)?;
    let leads_elsewhere = name.contains(&b'/') || name.contains(&0) || matches!(name, b"" | b"." | b"..");
    if leads_elsewhere {
        return Err(NotAListing);
    }
    let name = OsString::from_vec(name.to_vec());
    Ok((Entry { name, kind, object: FileDigest(Digest::from(*object)) }, rest))
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::{Just, Strategy, any, prop_oneof};
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    /// Like every name that a file system returns.
    fn is_a_name(bytes: &[u8]) -> bool {
        !bytes.contains(&b'/') && !bytes.contains(&0) && !matches!(bytes, b"" | b"." | b"..")
    }

    fn kinds() -> impl Strategy<Value = EntryKind> {
        prop_oneof![
            any::<bool>().prop_map(|executable| EntryKind::File { executable }),
            Just(EntryKind::Folder),
            Just(EntryKind::Link),
        ]
    }

    fn listings() -> impl Strategy<Value = Listing> {
        let names = vec(any::<u8>(), 1..6).prop_filter("a name", |name| is_a_name(name)).prop_map(OsString::from_vec);
        btree_map(names, (kinds(), any::<[u8; 32]>()), 0..6).prop_map(|entries| {
            let entry =
                |(name, (kind, object)): (_, (_, [u8; 32]))| Entry { name, kind, object: FileDigest(object.into()) };
            Listing::new(entries.into_iter().rev().map(entry).collect())
        })
    }

    proptest! {
        #[test]
        fn a_listing_reads_back_what_it_wrote(listing in listings()) {
            prop_assert_eq!(Listing::decode(&listing.encode()), Ok(listing));
        }

        #[test]
        fn whatever_can_be_read_is_canonical(listing in listings(), at in any::<proptest::sample::Index>(), flip in 1u8..) {
            let mut bytes = listing.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(other) = Listing::decode(&bytes) {
                prop_assert!(other != listing);
                prop_assert_eq!(other.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_refused() {
        for name in ["..", ".", "a/b", ""] {
            let entry = Entry { name: name.into(), kind: EntryKind::Folder, object: FileDigest(Digest::of(b"")) };
            assert_eq!(Listing::decode(&Listing(vec![entry]).encode()), Err(NotAListing), "{name:?}");
        }
    }
}
