//! Laws of restoring: the result equals what was stored, whatever was there before.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};
use tempfile::TempDir;

use super::*;
use crate::store::{Health, Take};

/// A file tree as a value.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    File { content: Vec<u8>, executable: bool },
    Link(Vec<u8>),
    Folder(BTreeMap<Vec<u8>, Tree>),
}

impl Tree {
    fn write(&self, path: &Path) {
        match self {
            Tree::File { content, executable } => {
                fs::write(path, content).unwrap();
                let mode = if *executable { 0o755 } else { 0o644 };
                fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            }
            Tree::Link(target) => symlink(OsString::from_vec(target.clone()), path).unwrap(),
            Tree::Folder(entries) => {
                fs::create_dir(path).unwrap();
                entries.iter().for_each(|(name, tree)| tree.write(&path.join(OsString::from_vec(name.clone()))));
            }
        }
    }

    fn read(path: &Path) -> Tree {
        let metadata = fs::symlink_metadata(path).unwrap();
        if metadata.is_symlink() {
            Tree::Link(fs::read_link(path).unwrap().into_os_string().into_vec())
        } else if metadata.is_file() {
            Tree::File { content: fs::read(path).unwrap(), executable: metadata.mode() & 0o100 != 0 }
        } else {
            let entry = |entry: io::Result<fs::DirEntry>| {
                let entry = entry.unwrap();
                (entry.file_name().into_vec(), Tree::read(&entry.path()))
            };
            Tree::Folder(fs::read_dir(path).unwrap().map(entry).collect())
        }
    }
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-c]{1,2}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 1..4).prop_filter("a name", |name| {
            !name.contains(&b'/') && !name.contains(&0) && !name.iter().all(|&byte| byte == b'.')
        }),
    ]
}

/// Few different contents, so that files share objects.
fn files() -> impl Strategy<Value = Tree> {
    let content = prop_oneof![Just(vec![]), Just(b"one".to_vec()), proptest::collection::vec(any::<u8>(), 0..40)];
    (content, any::<bool>()).prop_map(|(content, executable)| Tree::File { content, executable })
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![4 => files(), 1 => names().prop_map(Tree::Link)];
    let folder = |inner| proptest::collection::btree_map(names(), inner, 0..4).prop_map(Tree::Folder);
    // A link at the top is followed when it is stored, so it has no tree of its own.
    prop_oneof![1 => files(), 4 => folder(leaf.prop_recursive(3, 12, 4, folder).boxed())]
}

fn placements() -> impl Strategy<Value = Placement> {
    prop_oneof![Just(Placement::View), Just(Placement::Writable)]
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    (dir, store)
}

fn orphans(store: &Store) -> Vec<PathBuf> {
    fs::read_dir(store.root().join("orphans")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn any_tree_restored_equals_what_was_stored_whatever_lay_there(
        tree in trees(), before in proptest::option::of(trees()), placement in placements(), moved in any::<bool>(),
    ) {
        let (dir, store) = store();
        let [from, to] = ["from", "deep/to"].map(|name| dir.path().join(name));
        tree.write(&from);
        let artifact = store.insert(&from, if moved { Take::Move } else { Take::Copy }).unwrap();
        if let Some(before) = &before {
            fs::create_dir(to.parent().unwrap()).unwrap();
            before.write(&to);
        }
        let restored = store.restore(&artifact, &to, placement).unwrap();
        prop_assert_eq!(&Tree::read(&to), &tree);
        prop_assert!(restored.entries.iter().all(|entry| Stat::of_itself(&join(&to, &entry.path)).unwrap() == entry.stat));
        prop_assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);

        // Again: nothing is touched, and storing the restored tree gives the same artifact.
        prop_assert_eq!(&store.restore(&artifact, &to, placement).unwrap().entries, &restored.entries);
        prop_assert_eq!(store.insert(&to, Take::Copy).unwrap(), artifact);
    }
}

#[test]
fn writing_to_a_writable_output_leaves_the_store_alone_even_where_a_view_had_been() {
    let (dir, store) = store();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    fs::write(&from, "one").unwrap();
    let artifact = store.insert(&from, Take::Copy).unwrap();
    store.restore(&artifact, &to, Placement::View).unwrap();
    assert_eq!(fs::metadata(&to).unwrap().mode() & 0o777, 0o444);
    store.restore(&artifact, &to, Placement::Writable).unwrap();
    fs::write(&to, "two").unwrap();
    assert!(matches!(store.check(artifact.object).unwrap(), Health::Intact(_)));
    assert_eq!(fs::read(store.object_path(artifact.object)).unwrap(), b"one");
}

#[test]
fn an_edited_output_is_put_aside_and_an_older_output_is_not() {
    let (dir, store) = store();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    fs::create_dir(&from).unwrap();
    fs::write(from.join("file"), "one").unwrap();
    fs::write(from.join("other"), "same").unwrap();
    let older = store.insert(&from, Take::Copy).unwrap();
    fs::write(from.join("file"), "two").unwrap();
    let newer = store.insert(&from, Take::Copy).unwrap();

    store.restore(&older, &to, Placement::Writable).unwrap();
    assert_eq!(store.restore(&newer, &to, Placement::Writable).unwrap().set_aside, None);
    assert!(orphans(&store).is_empty());

    fs::write(to.join("file"), "by hand").unwrap();
    let aside = store.restore(&newer, &to, Placement::Writable).unwrap().set_aside.unwrap();
    assert_eq!(Tree::read(&aside), {
        let content = b"by hand".to_vec();
        Tree::Folder(BTreeMap::from([(b"file".to_vec(), Tree::File { content, executable: false })]))
    });
    assert_eq!(fs::read(to.join("file")).unwrap(), b"two");
}

#[test]
fn an_artifact_with_a_bad_object_is_a_miss_and_the_destination_stays_as_it_was() {
    let (dir, store) = store();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    fs::create_dir(&from).unwrap();
    fs::write(from.join("file"), "one").unwrap();
    let artifact = store.insert(&from, Take::Copy).unwrap();
    fs::write(from.join("file"), "before").unwrap();
    let before = store.insert(&from, Take::Copy).unwrap();
    store.restore(&before, &to, Placement::View).unwrap();
    assert!(store.could_restore(&artifact).unwrap());

    let object = FileDigest(crate::digest::Digest::of(b"one"));
    fs::remove_file(store.object_path(object)).unwrap();
    fs::write(store.object_path(object), "0ne").unwrap();
    let error = store.restore(&artifact, &to, Placement::View).unwrap_err();
    assert!(matches!(&error, Error::Damaged { object: found, .. } if *found == object), "{error}");
    let error = store.restore(&artifact, &to, Placement::View).unwrap_err();
    assert!(error.is_miss() && error.to_string().contains(&object.to_string()), "{error}");
    assert!(!store.could_restore(&artifact).unwrap());
    assert_eq!(fs::read(to.join("file")).unwrap(), b"before");
}

#[test]
fn a_view_takes_no_space_of_its_own() {
    let (dir, store) = store();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    fs::write(&from, "one").unwrap();
    let artifact = store.insert(&from, Take::Copy).unwrap();
    store.restore(&artifact, &to, Placement::View).unwrap();
    let is_linked = fs::metadata(&to).unwrap().ino() == fs::metadata(store.object_path(artifact.object)).unwrap().ino();
    assert_eq!(is_linked, !store.can_clone());
}

#[test]
fn what_somebody_writes_just_then_is_not_recorded_as_what_was_placed() {
    let (dir, store) = store();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "made").unwrap();
    symlink("made", source.join("link")).unwrap();
    let artifact = store.insert(&source, Take::Copy).unwrap();
    let destination = dir.path().join("out");
    // First at an empty destination, then where it is already right.
    for _ in 0..2 {
        let (file, link) = (destination.join("file"), destination.join("link"));
        crash::tests::at("restore right", move || {
            fs::write(file, "hand").unwrap();
            fs::remove_file(&link).unwrap();
            symlink("hand", link).unwrap();
        });
        let entries = store.restore(&artifact, &destination, Placement::Writable).unwrap().entries;
        let differs = |name: &str| {
            let entry = entries.iter().find(|entry| entry.path == Path::new(name)).unwrap();
            entry.stat != Stat::of_itself(&destination.join(name)).unwrap()
        };
        assert!(differs("file") && differs("link"));
        // No change meanwhile: it is restored again, and the record is right.
        let entries = store.restore(&artifact, &destination, Placement::Writable).unwrap().entries;
        let fits = |entry: &PlacedEntry| entry.stat == Stat::of_itself(&join(&destination, &entry.path)).unwrap();
        assert!(entries.iter().all(fits));
    }
}

#[test]
fn two_runs_that_put_different_folders_in_one_place_do_not_meet_halfway() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let folder = |name: &str| {
        let file = || Tree::File { content: name.into(), executable: false };
        let entries = (0..40).map(|i| (format!("{name}{i}").into_bytes(), file()));
        Tree::Folder(entries.collect()).write(&dir.path().join(name));
        store.insert(&dir.path().join(name), Take::Copy).unwrap()
    };
    let artifacts = ["one", "two"].map(folder);
    let place = dir.path().join("place");
    std::thread::scope(|scope| {
        for artifact in &artifacts {
            let (place, store) = (&place, Store::open(&dir.path().join("cache")).unwrap());
            scope.spawn(move || {
                for _ in 0..30 {
                    store.restore(artifact, place, Placement::View).unwrap();
                }
            });
        }
    });
    let now = store.insert(&place, Take::Copy).unwrap();
    assert!(artifacts.contains(&now), "the one or the other, whole");
}
