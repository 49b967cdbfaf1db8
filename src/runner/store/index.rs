//! The index of one workspace: the state of its files when they were last read, so that an up-to-date run reads none.
//!
//! Knows stages only by name, and holds nothing that can't be recomputed: losing the index costs time, never a result. So
//! it is one file, read at once and replaced by rename, and any invalid file (another version, truncated or altered) is
//! silently discarded.
//!
//! Format: `intrada index 4
//! `, the three tables in postcard's encoding, the BLAKE3 digest of all bytes before it. Index 3 has the same format but
//! was written without decoding PNG pixels: those files are checked again.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use intrada_picture::{Facts, Format};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::artifact::Artifact;
use super::error::Error;
use super::stat::Stat;
use super::{Store, Verified};
use crate::by_name::{self, Hashing};
use crate::digest::{Digest, FileDigest, Key};
use crate::kind::dataset::Encoding;
use crate::plain;

const TAG: &[u8] = b"intrada index 4\n";

/// The tag of an index whose PNGs must be checked again.
const TAG_BEFORE: &[u8] = b"intrada index 3\n";

/// The records of source files, by their path relative to the workspace's root.
pub type Files = Arc<by_name::Map<FileRecord>>;

/// The state of a workspace's files when they were last read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    /// Source files, by their path relative to the workspace's root.
    pub files: Files,
    /// Each stage's outputs, by `pipeline/stage`.
    pub stages: HashMap<String, StageRecord, Hashing>,
    /// Objects of the store that were found intact.
    pub objects: HashMap<FileDigest, Stat, Hashing>,
}

/// A file's content, with its stat at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its stat.
    pub stat: Stat,
    /// When the stat was taken, in nanoseconds since the Unix epoch: before the file was opened.
    pub taken_at_ns: i64,
    /// Its content.
    pub digest: FileDigest,
    /// For a label image: its index values. Filled in when the label is read.
    pub label_values: Option<LabelValues>,
    /// For a photograph: its properties. Filled in when the whole file is read.
    pub photograph: Option<Facts>,
}

/// The 8-bit values of a label image in one encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelValues {
    /// The encoding.
    pub encoding: Encoding,
    /// Value `v` is bit `v % 64` of word `v / 64`.
    pub set: [u64; 4],
}

/// The outputs that a stage left in the workspace when it was last up to date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Its key.
    pub key: Key,
    /// Its outputs, in declared order.
    pub outputs: Vec<PlacedOutput>,
    /// When it finished, in seconds since the Unix epoch.
    pub finished: f64,
    /// How long its job took, in seconds; for a resumed training, over all its attempts.
    pub seconds: f64,
}

/// An output as it was placed in the workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacedOutput {
    /// Its path relative to the workspace's root.
    #[serde(with = "path_bytes")]
    pub path: PathBuf,
    /// The artifact.
    pub artifact: Artifact,
    /// Every file, link and folder of it, including itself.
    pub entries: Vec<PlacedEntry>,
}

/// One file, link or folder of an output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacedEntry {
    /// Its path relative to the output; empty for the output itself.
    #[serde(with = "path_bytes")]
    pub path: PathBuf,
    /// Content, listing or link target.
    pub object: FileDigest,
    /// Its stat after placing.
    pub stat: Stat,
}

/// The name of a stage in the index, which serves all pipelines of the workspace.
pub fn record_name(pipeline: &str, stage: &str) -> String {
    // Of each stage, several times: `format!` takes several times as long.
    [pipeline, "/", stage].concat()
}

impl StageRecord {
    /// Whether all outputs are in place and unchanged.
    ///
    /// True if every stat is unchanged, and no folder has gained a name. A changed change time alone is accepted if the object is known
    /// to be intact, or else if the file still has its content: making and deleting other hard links to it changes that time too.
    pub fn is_in_place(&self, root: &Path, verified: &Verified) -> bool {
        self.outputs.iter().all(|output| output.is_in_place(root, verified))
    }

    /// Whether its outputs have been placed in the workspace: a command that only shows results also takes those of the cache.
    pub fn has_been_placed(&self) -> bool {
        self.outputs.iter().all(|output| !output.entries.is_empty())
    }
}

impl PlacedOutput {
    /// Whether it is in place and unchanged. See [`StageRecord::is_in_place`].
    pub fn is_in_place(&self, root: &Path, verified: &Verified) -> bool {
        let top = by_name::join(root, &self.path);
        let mut names: HashMap<&Path, usize> = HashMap::new();
        let has_folders = self.entries.iter().any(|entry| entry.stat.is_folder());
        for parent in self.entries.iter().filter(|_| has_folders).filter_map(|entry| entry.path.parent()) {
            *names.entry(parent).or_default() += 1;
        }
        !self.entries.is_empty()
            && self.entries.iter().all(|entry| {
                let inside = (!entry.path.as_os_str().is_empty()).then(|| by_name::join(&top, &entry.path));
                let path = inside.as_ref().unwrap_or(&top);
                if entry.stat.is_folder() {
                    // A folder's times tell nothing: a program may have created and removed a file. Each recorded name is
                    // checked anyway, so counting finds additions.
                    return has_names(path, names.get(&*entry.path).copied().unwrap_or(0));
                }
                match Stat::of_itself(path) {
                    Ok(stat) => {
                        stat == entry.stat
                            || verified.confirms(entry.object, &stat)
                            || verified.confirms_by_reading(entry.object, path, &entry.stat)
                    }
                    Err(_) => false,
                }
            })
    }

    /// Whether it is a file or a link that nobody has touched since it was placed, and that nobody can touch from now on without this
    /// becoming false: also by putting something else there for a moment. Of folders it isn't known.
    pub fn is_untouched(&self, root: &Path, now_ns: i64) -> bool {
        let [entry] = &self.entries[..] else { return false };
        let is_same = |stat: Stat| stat == entry.stat && stat.is_settled(now_ns);
        !entry.stat.is_folder() && Stat::of_itself(&by_name::join(root, &self.path)).is_ok_and(is_same)
    }
}

/// Whether `path` is a folder, not a link to one, with this many names in it.
fn has_names(path: &Path, count: usize) -> bool {
    Stat::of_itself(path).is_ok_and(|stat| stat.is_folder())
        && fs::read_dir(path).is_ok_and(|names| names.count() == count)
}

impl Index {
    /// Reads the index at `path`; an empty one if it is missing or invalid.
    pub fn load(path: &Path) -> Index {
        plain::read(path).ok().and_then(|bytes| Index::decode(&bytes)).unwrap_or_default()
    }

    /// Writes the index to `path`, which is in `store`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, store: &Store, path: &Path) -> Result<(), Error> {
        store.publish_file(store.stage_bytes(&self.encode())?, path)
    }

    fn encode(&self) -> Vec<u8> {
        let files = self.files.iter().map(|(path, record)| (Bytes(path.as_bytes()), *record));
        let tables = (Vec::from_iter(files), &self.stages, &self.objects);
        // Fails on sequences of unknown length and on full buffers; neither occurs here.
        let mut bytes = postcard::to_extend(&tables, TAG.to_vec()).expect("an index can always be encoded");
        bytes.extend_from_slice(Digest::of(&bytes).as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Index> {
        type Tables = (FileTable, HashMap<String, StageRecord, Hashing>, HashMap<FileDigest, Stat, Hashing>);
        let (body, digest) = bytes.split_last_chunk::<32>()?;
        let (tables, is_current) = match body.strip_prefix(TAG) {
            Some(tables) => (tables, true),
            None => (body.strip_prefix(TAG_BEFORE)?, false),
        };
        if Digest::of(body).as_bytes() != digest {
            return None;
        }
        let (FileTable(mut files), stages, objects): Tables = postcard::from_bytes(tables).ok()?;
        if !is_current {
            let still_holds = |facts: &Facts| facts.format != Format::Png;
            files.values_mut().for_each(|record| record.photograph = record.photograph.filter(still_holds));
        }
        Some(Index { files: Arc::new(files), stages, objects })
    }
}

/// The table of source files, read without a list in between, which would take as much memory again.
struct FileTable(by_name::Map<FileRecord>);

impl<'de> Deserialize<'de> for FileTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FileTable, D::Error> {
        struct Rows;

        impl<'de> Visitor<'de> for Rows {
            type Value = FileTable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("paths with their records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<FileTable, A::Error> {
                /// A number that isn't true must not take all memory.
                const MOST_AT_ONCE: usize = 1 << 20;
                let count = rows.size_hint().unwrap_or(0).min(MOST_AT_ONCE);
                let mut table = by_name::Map::with_capacity_and_hasher(count, Hashing::default());
                while let Some((Bytes(path), record)) = rows.next_element::<(Bytes<'de>, FileRecord)>()? {
                    table.insert(OsStr::from_bytes(path).to_owned(), record);
                }
                Ok(FileTable(table))
            }
        }

        deserializer.deserialize_seq(Rows)
    }
}

/// A path as its bytes: serde's own encoding accepts only UTF-8 paths.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes<'a>, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Bytes)
    }
}

mod path_bytes {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Bytes;

    pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes(path.as_os_str().as_bytes()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Bytes::deserialize(deserializer).map(|Bytes(path)| PathBuf::from(OsStr::from_bytes(path)))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::{Kind, Placement, Take};

    fn index() -> Index {
        let stat = Stat { dev: 1, ino: 2, size: 3, mtime_ns: -4, ctime_ns: 5, mode: 0o100_644 };
        let object = FileDigest(Digest::of(b"one"));
        let record = FileRecord {
            stat,
            taken_at_ns: 6,
            digest: object,
            label_values: Some(LabelValues { set: [7, 0, 0, 1 << 63], ..LabelValues::default() }),
            photograph: None,
        };
        let path = PathBuf::from(OsString::from_vec(b"lists/\xff".to_vec()));
        let artifact = Artifact { kind: Kind::File { executable: false }, object, size: 3, files: 1 };
        let entry = PlacedEntry { path: PathBuf::new(), object, stat };
        let outputs = vec![PlacedOutput { path: path.clone(), artifact, entries: vec![entry] }];
        let stage = StageRecord { key: Key(Digest::of(b"key")), outputs, finished: 1.5, seconds: 0.25 };
        Index {
            files: Arc::new(by_name::Map::from_iter([(path.into_os_string(), record)])),
            stages: HashMap::from_iter([("demo/rank".to_owned(), stage)]),
            objects: HashMap::from_iter([(object, stat)]),
        }
    }

    #[test]
    fn an_index_reads_back_what_it_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let path = store.index_path(dir.path()).unwrap();
        assert_eq!(Index::load(&path), Index::default());
        index().save(&store, &path).unwrap();
        assert_eq!(Index::load(&path), index());
    }

    #[test]
    fn an_index_cut_or_altered_anywhere_is_an_empty_index() {
        let bytes = index().encode();
        for length in 0..bytes.len() {
            assert_eq!(Index::decode(&bytes[..length]), None, "cut to {length}");
            let mut altered = bytes.clone();
            altered[length] ^= 1;
            assert_eq!(Index::decode(&altered), None, "altered at {length}");
        }
    }

    #[test]
    fn an_index_of_the_time_before_pixels_were_looked_at_serves_but_for_what_its_pngs_are() {
        let of = |format| {
            let mut index = index();
            let facts =
                Facts { format, size: [4, 3], orientation: Default::default(), brightest: None, see_through: false };
            Arc::make_mut(&mut index.files).values_mut().for_each(|record| record.photograph = Some(facts));
            let mut body = [TAG_BEFORE, &index.encode()[TAG.len()..]].concat();
            body.truncate(body.len() - 32);
            let digest = Digest::of(&body);
            body.extend_from_slice(digest.as_bytes());
            (index, Index::decode(&body).unwrap())
        };
        let (written, read) = of(Format::Jpeg);
        assert_eq!(read, written);
        let (mut written, read) = of(Format::Png);
        Arc::make_mut(&mut written.files).values_mut().for_each(|record| record.photograph = None);
        assert_eq!(read, written);
    }

    #[test]
    fn the_formats_of_photographs_keep_their_places() {
        let places = [Format::Png, Format::Jpeg, Format::WebP, Format::Tiff, Format::Bmp]
            .map(|format| postcard::to_allocvec(&format).unwrap());
        assert_eq!(places, [0, 1, 2, 3, 4].map(|place| vec![place]));
    }

    struct Scene {
        _dir: tempfile::TempDir,
        store: Store,
        root: PathBuf,
        record: StageRecord,
    }

    /// A folder with a file, an empty folder and a link, restored to `out`.
    fn scene(placement: Placement) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        let store = Store::open(&root.join("cache")).unwrap();
        fs::create_dir_all(root.join("from/empty")).unwrap();
        fs::write(root.join("from/file"), "one").unwrap();
        std::os::unix::fs::symlink("file", root.join("from/link")).unwrap();
        let artifact = store.insert(&root.join("from"), Take::Copy).unwrap();
        let entries = store.restore(&artifact, &root.join("out"), placement).unwrap().entries;
        let outputs = vec![PlacedOutput { path: "out".into(), artifact, entries }];
        let record = StageRecord { key: Key(Digest::of(b"key")), outputs, finished: 0.0, seconds: 0.0 };
        Scene { _dir: dir, store, root, record }
    }

    #[test]
    fn what_was_restored_is_in_place_until_somebody_touches_it() {
        type Edit = fn(&Path);
        let edits: [Edit; 6] = [
            |out| fs::write(out.join("added"), "").unwrap(),
            |out| fs::write(out.join("empty/added"), "").unwrap(),
            |out| fs::remove_file(out.join("link")).unwrap(),
            |out| fs::remove_dir(out.join("empty")).unwrap(),
            |out| fs::remove_dir_all(out).unwrap(),
            // Same size, immediately, within the clock tick in which it was placed.
            |out| fs::write(out.join("file"), "two").unwrap(),
        ];
        for edit in edits {
            let Scene { store, root, record, .. } = &scene(Placement::Writable);
            assert!(record.is_in_place(root, store.verified()));
            edit(&root.join("out"));
            assert!(!record.is_in_place(root, store.verified()));
        }
    }

    #[test]
    fn a_file_is_untouched_unless_another_was_there_for_a_moment_or_it_is_too_young_to_tell() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let store = Store::open(&root.join("cache")).unwrap();
        fs::write(root.join("from"), "one").unwrap();
        let artifact = store.insert(&root.join("from"), Take::Copy).unwrap();
        let entries = store.restore(&artifact, &root.join("out"), Placement::View).unwrap().entries;
        let output = PlacedOutput { path: "out".into(), artifact, entries };
        let placed = output.entries[0].stat.ctime_ns.max(output.entries[0].stat.mtime_ns);
        let (at_once, later) = (placed, placed + 10_000_000_000);
        assert!(output.is_untouched(root, later));
        assert!(!output.is_untouched(root, at_once), "a change in the same tick would not be seen");
        // Until the file system's clock has gone on: a rename in the tick in which it was placed leaves its times as they are.
        let clock = root.join("clock");
        while {
            fs::write(&clock, "").unwrap();
            Stat::of(&clock).unwrap().mtime_ns <= placed
        } {}
        fs::rename(root.join("out"), root.join("aside")).unwrap();
        assert!(!output.is_untouched(root, later));
        fs::write(root.join("out"), "two").unwrap();
        assert!(!output.is_untouched(root, later));
        fs::rename(root.join("aside"), root.join("out")).unwrap();
        assert!(!output.is_untouched(root, later), "it is the same file, and was away");
    }

    #[test]
    fn of_a_folder_it_is_not_known_whether_it_was_touched() {
        let Scene { root, record, .. } = &scene(Placement::View);
        assert!(!record.outputs[0].is_untouched(root, i64::MAX));
    }

    #[test]
    fn a_visitor_that_leaves_nothing_behind_disturbs_nothing() {
        let Scene { store, root, record, .. } = &scene(Placement::View);
        fs::write(root.join("out/.lock"), "").unwrap();
        fs::remove_file(root.join("out/.lock")).unwrap();
        assert!(record.is_in_place(root, store.verified()));
    }

    #[test]
    fn placing_the_same_object_elsewhere_disturbs_nothing() {
        let Scene { store, root, record, .. } = &scene(Placement::View);
        std::thread::sleep(std::time::Duration::from_millis(15));
        store.restore(&record.outputs[0].artifact, &root.join("second"), Placement::View).unwrap();
        assert!(record.is_in_place(root, store.verified()));
    }

    #[test]
    fn a_person_who_deletes_a_second_place_disturbs_nothing_and_an_edit_with_the_old_times_is_seen() {
        let Scene { store, root, record, .. } = &scene(Placement::View);
        let second = root.join("second");
        store.restore(&record.outputs[0].artifact, &second, Placement::View).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(15));
        fs::remove_dir_all(&second).unwrap();
        assert!(record.is_in_place(root, store.verified()));
        // Another program knows nothing of what this one has verified.
        assert!(record.is_in_place(root, &Verified::default()));

        let file = root.join("out/file");
        let before = file.metadata().unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&file, "two").unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(before.modified().unwrap()).unwrap();
        fs::set_permissions(&file, before.permissions()).unwrap();
        assert!(!record.is_in_place(root, &Verified::default()));
    }

    #[test]
    fn taking_the_same_object_away_elsewhere_disturbs_nothing() {
        let Scene { store, root, record, .. } = &scene(Placement::View);
        let second = root.join("second");
        store.restore(&record.outputs[0].artifact, &second, Placement::View).unwrap();
        fs::create_dir(root.join("other")).unwrap();
        fs::write(root.join("other/file"), "two").unwrap();
        let other = store.insert(&root.join("other"), Take::Copy).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(15));
        store.restore(&other, &second, Placement::View).unwrap();
        assert!(record.is_in_place(root, store.verified()));
    }
}
