//! Laws of the guard: every change of what a reader gets is detected, even if it was reverted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::inputs::Inputs;

/// A folder in the state in which it was digested.
fn scene() -> (tempfile::TempDir, PathBuf, Guard) {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    for name in ["edited", "touched", "removed"] {
        fs::create_dir_all(root.join("in/empty")).unwrap();
        fs::write(root.join("in").join(name), name).unwrap();
    }
    symlink("edited", root.join("in/link")).unwrap();
    fs::create_dir(root.join("in/cache")).unwrap();
    let inputs = Inputs::new(&root, &root.join("in/cache"), Default::default());
    let mut guard = Guard::new(&root);
    guard.source(&inputs.source(Path::new("in")).unwrap().seen);
    (dir, root.join("in"), guard)
}

fn names(paths: &[&str], top: &Path) -> BTreeSet<PathBuf> {
    paths.iter().map(|path| top.join(path)).collect()
}

#[test]
fn an_edited_file_and_an_added_one_are_named_and_a_touched_one_is_not() {
    let (_dir, top, guard) = scene();
    fs::write(top.join("cache/object"), "").unwrap();
    assert!(guard.changed().is_empty());
    assert_eq!(guard.grown().count(), 0);
    fs::create_dir(top.join("deep")).unwrap();
    fs::write(top.join("deep/added"), "").unwrap();
    assert_eq!(guard.grown().collect::<Vec<_>>(), [&*top]);
    fs::write(top.join("edited"), "other!").unwrap();
    fs::write(top.join("touched"), "touched").unwrap();
    fs::remove_file(top.join("removed")).unwrap();
    assert_eq!(guard.changed(), names(&["deep", "deep/added", "edited", "link", "removed"], &top));
    let Failure::Failed { message, .. } = guard.overtaken(&guard.changed()) else { panic!("it is a failure") };
    assert!(message.starts_with("`in/deep`, `in/deep/added`, `in/edited`"), "{message}");
}

#[test]
fn a_link_that_leads_elsewhere_and_an_empty_folder_are_changes() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("link", |top| {
            fs::remove_file(top.join("link")).unwrap();
            symlink("touched", top.join("link")).unwrap();
        }),
        ("new", |top| fs::create_dir(top.join("new")).unwrap()),
        ("empty", |top| fs::remove_dir(top.join("empty")).unwrap()),
        ("dead", |top| symlink("nowhere", top.join("dead")).unwrap()),
    ];
    for (name, change) in changes {
        let (_dir, top, mut guard) = scene();
        guard.set().unwrap();
        change(&top);
        let Since::Changed(changed) = guard.since() else { panic!("{name}") };
        assert!(changed.contains(&top.join(name)), "{name}: {changed:?}");
        assert!(guard.set().is_err(), "{name}");
    }
}

#[test]
fn an_edit_that_was_taken_back_is_no_longer_what_was_set() {
    let (_dir, top, mut guard) = scene();
    guard.set().unwrap();
    assert_eq!(guard.since(), Since::Untouched);
    fs::write(top.join("edited"), "other!").unwrap();
    fs::write(top.join("edited"), "edited").unwrap();
    // The link points to it.
    let files = names(&["edited", "link"], &top);
    assert_eq!(guard.since(), Since::Touched(Touched { files: files.clone(), unwritten: false }));

    guard.set().unwrap();
    assert_eq!(guard.since(), Since::Untouched);
    fs::rename(top.join("edited"), top.join("kept")).unwrap();
    fs::rename(top.join("kept"), top.join("edited")).unwrap();
    let with_folder = files.iter().cloned().chain([top.clone()]).collect();
    assert_eq!(guard.since(), Since::Touched(Touched { files: with_folder, unwritten: true }));

    guard.set().unwrap();
    fs::set_permissions(top.join("edited"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(guard.since(), Since::Touched(Touched { files: files.clone(), unwritten: true }));

    guard.set().unwrap();
    fs::set_permissions(top.join("edited"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(guard.since(), Since::Changed(files));
}

#[test]
fn what_was_edited_before_the_start_is_not_started_from() {
    let (_dir, top, mut guard) = scene();
    fs::write(top.join("edited"), "other!").unwrap();
    let Err(Failure::Failed { message, .. }) = guard.set() else { panic!("a file holds something else") };
    assert!(message.starts_with("`in/edited`, `in/link` changed since"), "{message}");
    fs::write(top.join("edited"), "edited").unwrap();
    guard.set().unwrap();
}

#[test]
fn what_came_and_went_in_a_folder_is_a_touch_and_what_is_no_part_of_it_is_none() {
    let touched = |guard: &Guard| match guard.since() {
        Since::Touched(Touched { files, unwritten: true }) => files,
        Since::Untouched => BTreeSet::new(),
        other => panic!("{other:?}"),
    };
    let (_dir, top, mut guard) = scene();
    fs::create_dir(top.join("__pycache__")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    guard.set().unwrap();
    fs::write(top.join("added"), "").unwrap();
    fs::remove_file(top.join("added")).unwrap();
    assert_eq!(touched(&guard), [top.clone()].into());

    let (_dir, top, mut guard) = scene();
    guard.set().unwrap();
    fs::create_dir(top.join("empty/__pycache__")).unwrap();
    fs::write(top.join("empty/__pycache__/tool.pyc"), "").unwrap();
    assert_eq!(touched(&guard), BTreeSet::new());
}

#[test]
fn a_link_that_led_elsewhere_for_a_moment_is_a_touch_wherever_it_lies_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    for version in ["v1", "v2"] {
        fs::create_dir(root.join(version)).unwrap();
        fs::write(root.join(version).join("file"), version).unwrap();
    }
    symlink("v1", root.join("current")).unwrap();
    symlink("v1/file", root.join("link")).unwrap();
    let inputs = Inputs::new(&root, &root.join("cache"), Default::default());
    let cases = [("current/file", "current", "v2"), ("current", "current", "v2"), ("link", "link", "v2/file")];
    for (input, link, other) in cases {
        let mut guard = Guard::new(&root);
        guard.source(&inputs.source(Path::new(input)).unwrap().seen);
        guard.set().unwrap();
        let before = fs::read_link(root.join(link)).unwrap();
        for target in [Path::new(other), &before] {
            fs::remove_file(root.join(link)).unwrap();
            symlink(target, root.join(link)).unwrap();
        }
        let Since::Touched(touched) = guard.since() else { panic!("{input}") };
        assert!(touched.files.contains(&root.join(link)), "{input}");
    }
}

#[test]
fn a_folder_on_the_way_that_was_another_for_a_moment_is_a_touch_and_a_file_made_beside_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    for folder in ["real/a/b", "other/a/b"] {
        fs::create_dir_all(root.join(folder)).unwrap();
        fs::write(root.join(folder).join("file"), "one").unwrap();
    }
    symlink("second", root.join("first")).unwrap();
    symlink("real", root.join("second")).unwrap();
    fs::create_dir(root.join("in")).unwrap();
    symlink("../first/a", root.join("in/link")).unwrap();
    symlink("../nowhere", root.join("in/dead")).unwrap();
    let inputs = Inputs::new(&root, &root.join("cache"), Default::default());
    type Change = fn(&Path);
    let exchange: Change = |root| {
        for (from, to) in [("real", "kept"), ("other", "real"), ("real", "other"), ("kept", "real")] {
            fs::rename(root.join(from), root.join(to)).unwrap();
        }
    };
    let relink: Change = |root| {
        for target in ["other", "real"] {
            fs::remove_file(root.join("second")).unwrap();
            symlink(target, root.join("second")).unwrap();
        }
    };
    let cases = [("real/a/b/file", exchange), ("first/a/b/file", relink), ("in", exchange), ("in", relink)];
    for (place, (input, change)) in cases.into_iter().enumerate() {
        let mut guard = Guard::new(&root);
        guard.source(&inputs.source(Path::new(input)).unwrap().seen);
        guard.set().unwrap();
        fs::write(root.join(format!("real/beside-{place}")), "").unwrap();
        assert_eq!(guard.since(), Since::Untouched, "{input}");
        change(&root);
        assert!(matches!(guard.since(), Since::Touched(_)), "{input}");
    }
}
