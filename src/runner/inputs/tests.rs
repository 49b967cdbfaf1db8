//! Laws of the stat cache: no change is missed, and nothing unchanged is read.

use std::fs::{File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::store::{Store, Take};

/// Longer than a tick of the file system's clock.
const TICK: Duration = Duration::from_millis(30);

fn workspace() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    (dir, root)
}

fn inputs(root: &Path, records: Files) -> Inputs {
    Inputs::new(root, &root.join("cache"), records)
}

fn digest(content: &str) -> FileDigest {
    FileDigest(Digest::of(content.as_bytes()))
}

/// Records with wrong digests: they show up where a record is trusted instead of reading the file.
fn lying(root: &Path, path: &str) -> Files {
    let inputs = inputs(root, Default::default());
    inputs.artifact(Path::new(path)).unwrap();
    let mut records = inputs.records();
    Arc::make_mut(&mut records).values_mut().for_each(|record| record.digest = digest("a lie"));
    records
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let (_dir, root) = workspace();
    fs::write(root.join("file"), "one").unwrap();
    sleep(TICK);
    let records = lying(&root, "file");
    assert_eq!(inputs(&root, records).digest_file(Path::new("file")).unwrap(), digest("a lie"));
}

#[test]
fn a_file_read_within_a_tick_of_its_last_write_is_read_again() {
    let (_dir, root) = workspace();
    fs::write(root.join("file"), "one").unwrap();
    let records = lying(&root, "file");
    sleep(TICK);
    assert_eq!(inputs(&root, records).digest_file(Path::new("file")).unwrap(), digest("one"));
}

#[test]
fn a_touch_makes_nothing_dirty_and_old_times_make_nothing_clean() {
    let (_dir, root) = workspace();
    let (path, file) = (Path::new("file"), root.join("file"));
    fs::write(&file, "one").unwrap();
    sleep(TICK);
    let inputs = inputs(&root, Default::default());
    assert_eq!(inputs.digest_file(path).unwrap(), digest("one"));

    File::open(&file).unwrap().set_modified(SystemTime::now()).unwrap();
    assert_eq!(inputs.digest_file(path).unwrap(), digest("one"));

    sleep(TICK);
    assert_eq!(inputs.digest_file(path).unwrap(), digest("one"));
    let before = fs::metadata(&file).unwrap();
    fs::write(&file, "two").unwrap();
    let times = FileTimes::new().set_modified(before.modified().unwrap()).set_accessed(before.accessed().unwrap());
    File::open(&file).unwrap().set_times(times).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before.modified().unwrap());
    assert_eq!(inputs.digest_file(path).unwrap(), digest("two"));
}

#[test]
fn a_source_folder_equals_the_artifact_that_the_store_makes_of_it() {
    let (_dir, root) = workspace();
    fs::create_dir_all(root.join("data/deep/empty")).unwrap();
    // Enough files to be walked by several threads.
    for name in 0..100 {
        fs::write(root.join(format!("data/deep/{name}")), name.to_string()).unwrap();
    }
    fs::write(root.join("data/tool"), "run").unwrap();
    fs::set_permissions(root.join("data/tool"), Permissions::from_mode(0o755)).unwrap();
    // A resolvable link is kept in an output and followed in a source.
    symlink("nowhere", root.join("data/link")).unwrap();
    let store = Store::open(&root.join("cache")).unwrap();
    let stored = store.insert(&root.join("data"), Take::Copy).unwrap();
    let source = inputs(&root, Default::default()).artifact(Path::new("data")).unwrap();
    assert_eq!(source, stored);
    assert_eq!((source.files, source.size), (102, 190 + 3 + 7));

    fs::set_permissions(root.join("data/tool"), Permissions::from_mode(0o644)).unwrap();
    assert_ne!(inputs(&root, Default::default()).artifact(Path::new("data")).unwrap().digest(), stored.digest());
}

#[test]
fn the_cache_is_no_part_of_a_folder_that_holds_it() {
    let (_dir, root) = workspace();
    fs::write(root.join("file"), "one").unwrap();
    let before = inputs(&root, Default::default()).artifact(Path::new("")).unwrap();
    Store::open(&root.join("cache")).unwrap();
    assert_eq!(inputs(&root, Default::default()).artifact(Path::new("")).unwrap(), before);
}

#[test]
fn the_bytecode_of_python_is_no_part_of_a_folder_but_may_be_named() {
    let (_dir, root) = workspace();
    fs::create_dir_all(root.join("tools/deep")).unwrap();
    fs::write(root.join("tools/deep/split.py"), "pass").unwrap();
    let inputs = inputs(&root, Default::default());
    let before = inputs.artifact(Path::new("tools")).unwrap();
    fs::create_dir(root.join("tools/deep/__pycache__")).unwrap();
    fs::write(root.join("tools/deep/__pycache__/split.pyc"), "made of it").unwrap();
    assert_eq!(inputs.artifact(Path::new("tools")).unwrap(), before);
    let names = |path: &str| survey(&root.join(path), &root.join("cache")).unwrap().files();
    assert_eq!(names("tools"), [Path::new("deep/split.py")]);
    assert_eq!(names("tools/deep/__pycache__"), [Path::new("split.pyc")]);
    assert_eq!(inputs.artifact(Path::new("tools/deep/__pycache__")).unwrap().files, 1);
}

/// The digest of `data`, which has links in it.
fn linked(root: &Path) -> crate::digest::ArtifactDigest {
    inputs(root, Default::default()).artifact(Path::new("data")).unwrap().digest()
}

#[test]
fn what_lies_behind_a_link_counts_and_so_does_where_the_link_leads() {
    let (_dir, root) = workspace();
    let (_elsewhere, disk) = workspace();
    fs::create_dir_all(disk.join("city")).unwrap();
    fs::write(disk.join("city/image"), "one").unwrap();
    fs::write(disk.join("list"), "one").unwrap();
    fs::create_dir(root.join("data")).unwrap();
    symlink(disk.join("city"), root.join("data/city")).unwrap();
    symlink(disk.join("list"), root.join("data/list")).unwrap();
    let mut seen = vec![linked(&root)];
    let mut change = |change: &dyn Fn()| {
        change();
        let now = linked(&root);
        assert!(!seen.contains(&now), "change {}", seen.len());
        seen.push(now);
    };
    change(&|| fs::write(disk.join("list"), "two").unwrap());
    change(&|| fs::write(disk.join("city/image"), "two").unwrap());
    change(&|| fs::write(disk.join("city/added"), "").unwrap());
    change(&|| fs::create_dir(disk.join("city/empty")).unwrap());
    change(&|| fs::set_permissions(disk.join("list"), Permissions::from_mode(0o755)).unwrap());
    change(&|| {
        // The target has equal content, but a program can read the link's text.
        fs::copy(disk.join("list"), disk.join("copy")).unwrap();
        fs::remove_file(root.join("data/list")).unwrap();
        symlink(disk.join("copy"), root.join("data/list")).unwrap();
    });
    change(&|| fs::remove_file(disk.join("copy")).unwrap());
    change(&|| fs::remove_dir_all(disk.join("city")).unwrap());
    assert_eq!(linked(&root), *seen.last().unwrap());
}

#[test]
fn a_path_is_followed_through_links_above_it() {
    let (_dir, root) = workspace();
    let (_elsewhere, disk) = workspace();
    fs::write(disk.join("image"), "one").unwrap();
    symlink(disk.join("image"), disk.join("same")).unwrap();
    symlink(&disk, root.join("data")).unwrap();
    let inputs = inputs(&root, Default::default());
    assert_eq!(inputs.digest_file(Path::new("data/same")).unwrap(), digest("one"));
    let source = inputs.source(Path::new("data")).unwrap();
    assert_eq!(source.artifact.files, 2);
    let files: Vec<&Path> = source.seen.files.iter().map(|(path, _)| &**path).collect();
    assert_eq!(files, [Path::new("data/image"), Path::new("data/same")]);
}

#[test]
fn links_in_a_circle_end_and_are_told_and_the_cache_is_no_input_behind_a_link_either() {
    let (_dir, root) = workspace();
    let (_elsewhere, disk) = workspace();
    fs::create_dir_all(root.join("data/deep")).unwrap();
    fs::write(root.join("data/deep/file"), "one").unwrap();
    symlink("..", root.join("data/deep/up")).unwrap();
    symlink(&root, root.join("data/root")).unwrap();
    symlink("loop", root.join("data/loop")).unwrap();
    symlink("../x", root.join("data/deep/dangling")).unwrap();
    symlink(&disk, root.join("data/disk")).unwrap();
    symlink(&disk, disk.join("again")).unwrap();
    fs::create_dir(disk.join("cache")).unwrap();
    let look = || Inputs::new(&root, &disk.join("cache"), Default::default()).source(Path::new("data")).unwrap();
    let source = look();
    let dead: Vec<PathBuf> = source.seen.folder.as_ref().unwrap().dead_links().map(|(path, _)| path).collect();
    let names = ["deep/dangling", "deep/up", "disk/again", "loop", "root"];
    assert_eq!(dead, names.map(|name| Path::new("data").join(name)));
    fs::write(disk.join("cache/object"), "").unwrap();
    // The program's own files.
    fs::write(disk.join(".intrada-report-1"), "").unwrap();
    fs::create_dir(root.join("data/deep/.intrada")).unwrap();
    assert_eq!(look().artifact, source.artifact);
    fs::write(disk.join("new"), "").unwrap();
    assert_ne!(look().artifact, source.artifact);
}

#[test]
fn a_missing_path_is_answered_with_what_there_is() {
    let (_dir, root) = workspace();
    fs::create_dir_all(root.join("data/GTA5/images")).unwrap();
    fs::create_dir_all(root.join("data/GTA5/labels")).unwrap();
    fs::write(root.join("data/list"), "").unwrap();
    let inputs = inputs(&root, Default::default());
    let told = |path: &str| inputs.artifact(Path::new(path)).unwrap_err().to_string();
    let relative = format!("; paths are relative to the workspace root, `{}`", root.display());
    let message = |path: &str| told(path).strip_suffix(&relative).expect("the root is named").to_owned();
    assert_eq!(
        message("data/GTA5/imgs/1.png"),
        "`data/GTA5/imgs/1.png` does not exist; `data/GTA5` holds images, labels"
    );
    assert_eq!(message("date"), "`date` does not exist; `.` holds data; `data` may be meant");
    std::os::unix::fs::symlink("nowhere", root.join("data/link")).unwrap();
    for path in ["data/link", "data/link/1.png"] {
        let said = format!("`{path}` does not exist; `data/link` is a dangling symbolic link");
        assert_eq!(message(path), said);
    }
    assert_eq!(
        message("data/GTA5/images/1.png"),
        "`data/GTA5/images/1.png` does not exist; `data/GTA5/images` is empty"
    );
    assert_eq!(message("data/list/1.png"), "`data/list/1.png` does not exist; `data/list` is not a folder");
    for name in 0..12 {
        fs::write(root.join(format!("data/GTA5/images/{name:02}")), "").unwrap();
    }
    assert!(message("data/GTA5/images/x").ends_with("holds 00, 01, 02, 03, 04, 05, 06, 07 and 4 more"));
    assert!(!told("/no/such/place").contains("relative"), "an absolute path is relative to nothing");
}

#[test]
fn what_has_no_content_is_an_error_that_names_it() {
    let (_dir, root) = workspace();
    fs::create_dir(root.join("data")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("data/socket")).unwrap();
    let inputs = inputs(&root, Default::default());
    for path in ["data", "data/socket"] {
        let error = inputs.artifact(Path::new(path)).unwrap_err();
        assert!(matches!(&error, Error::Special { path } if path == Path::new("data/socket")), "{error}");
    }
    assert!(matches!(inputs.digest_file(Path::new("data")), Err(Error::IsAFolder { .. })));
}

#[test]
fn a_file_that_is_written_to_all_the_time_is_refused() {
    let (_dir, root) = workspace();
    let file = root.join("file");
    // Reading takes longer than a tick, in which the writer changes the times.
    File::create(&file).unwrap().set_len(256 << 20).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::options().write(true).open(&file).unwrap();
            let mut moment = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                moment += 1;
                file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(moment)).unwrap();
                sleep(Duration::from_millis(1));
            }
        });
        sleep(Duration::from_millis(5));
        let result = inputs(&root, Default::default()).digest_file(Path::new("file"));
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        result
    });
    assert!(matches!(result, Err(Error::Changing { .. })), "{result:?}");
}

#[test]
fn many_files_have_the_digests_that_each_one_has() {
    let (_dir, root) = workspace();
    let paths: Vec<PathBuf> = (0..200).map(|name| PathBuf::from(format!("{name}"))).collect();
    paths.iter().for_each(|path| fs::write(root.join(path), path.to_str().unwrap()).unwrap());
    let inputs = inputs(&root, Default::default());
    assert_eq!(inputs.meter.read(), Reading::default());
    let digests = inputs.digest_files(&paths).unwrap();
    let bytes = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert_eq!(inputs.meter.read(), Reading { files: [200; 2], bytes: [bytes; 2], labels: 0 });
    assert!(paths.iter().zip(&digests).all(|(path, found)| found.digest == digest(path.to_str().unwrap())));
    fs::remove_file(root.join("7")).unwrap();
    fs::remove_file(root.join("150")).unwrap();
    let error = inputs.digest_files(&paths).unwrap_err();
    assert!(matches!(&error, Error::Missing { path, .. } if path == Path::new("7")), "{error}");
}

#[test]
fn label_values_stay_with_the_content_they_were_found_in() {
    let (_dir, root) = workspace();
    let (path, file) = (Path::new("label.png"), root.join("label.png"));
    fs::write(&file, "one").unwrap();
    let inputs = inputs(&root, Default::default());
    let found = inputs.digest_file(path).unwrap();
    assert_eq!(inputs.label_values(path).unwrap(), None);
    let values = LabelValues { set: [0b111, 0, 0, 1 << 63], ..LabelValues::default() };
    inputs.note_label_values(path, digest("other content"), LabelValues::default());
    inputs.note_label_values(path, found, values);
    assert_eq!(inputs.label_values(path).unwrap(), Some(values));
    File::open(&file).unwrap().set_modified(SystemTime::now()).unwrap();
    assert_eq!(inputs.label_values(path).unwrap(), Some(values));
    fs::write(&file, "two!").unwrap();
    assert_eq!(inputs.label_values(path).unwrap(), None);
}
