//! Results that come from another store on this machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::store::{Artifact, Placement, Trace, sample};

fn folder(path: &Path) -> Shared {
    Shared::to_read(Location::Folder(path.to_owned()))
}

struct Scene {
    dir: tempfile::TempDir,
    team: Store,
    artifact: Artifact,
    key: Key,
}

/// A shared cache with one result: a folder with two files.
fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let team = Store::open(&dir.path().join("team")).unwrap();
    let (artifact, Trace { key, .. }) = sample::publish(&team, dir.path());
    Scene { dir, team, artifact, key }
}

impl Scene {
    fn own(&self) -> Store {
        let own = Store::open(&self.dir.path().join("own")).unwrap();
        own.with_shared(&["own", "team"].map(|name| folder(&self.dir.path().join(name))))
    }

    /// Everything in the shared cache with its stat.
    fn state(&self) -> Vec<(PathBuf, super::super::stat::Stat)> {
        let (mut all, mut open) = (Vec::new(), vec![self.team.root().to_owned()]);
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            all.push((path.clone(), super::super::stat::Stat::of_itself(&path).unwrap()));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

#[test]
fn what_a_shared_cache_has_is_restored_and_our_own_from_then_on() {
    let scene = scene();
    let (own, before) = (scene.own(), scene.state());
    let looks = Store::look_at(own.root()).unwrap().with_shared(&[folder(scene.team.root())]);
    assert!(looks.could_restore(&scene.artifact).unwrap() && looks.load(scene.key).unwrap().is_some());
    assert_eq!(own.object_files().unwrap().len(), 0, "looking copies nothing");
    let recorded = own.look_up(scene.key).unwrap().unwrap();
    assert_eq!(recorded.pulled_from(), scene.team.root().to_str());
    own.restore(&scene.artifact, &scene.dir.path().join("out"), Placement::View).unwrap();
    own.keep_pulled(&own.look_up(scene.key).unwrap().unwrap()).unwrap();
    assert_eq!(fs::read(scene.dir.path().join("out/deep/one")).unwrap(), b"one");
    assert_eq!(scene.state(), before, "a shared cache is only read");
    let kept = own.look_up(scene.key).unwrap().unwrap();
    assert_eq!((kept.pulled_from(), own.complaints()), (None, Vec::new()));
    assert_eq!(fs::read(own.trace_path(scene.key)).unwrap(), fs::read(scene.team.trace_path(scene.key)).unwrap());

    fs::remove_dir_all(scene.team.root()).unwrap();
    let alone = scene.own();
    assert!(alone.could_restore(&scene.artifact).unwrap() && alone.load(scene.key).unwrap().is_some());
    let said = alone.complaints();
    assert!(said.len() == 1 && said[0].ends_with("is not used: there is no such folder"), "{said:?}");
}

#[test]
fn what_is_damaged_in_a_shared_cache_is_never_used_and_told_once() {
    let scene = scene();
    for file in scene.team.object_files().unwrap() {
        let path = scene.team.object_path(file.object);
        let bytes = fs::read(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, b"damaged").unwrap();
        let own = scene.own();
        assert!(!own.could_restore(&scene.artifact).unwrap());
        for _ in 0..2 {
            let restored = own.restore(&scene.artifact, &scene.dir.path().join("out"), Placement::View);
            assert!(restored.unwrap_err().is_miss());
        }
        assert!(!own.object_path(file.object).exists() && path.exists());
        let complaints = own.complaints();
        assert!(complaints.len() == 1 && complaints[0].contains(&*path.to_string_lossy()), "{complaints:?}");
        assert_eq!(own.complaints().len(), 0);
        fs::write(&path, bytes).unwrap();
        fs::remove_dir_all(own.root()).unwrap();
    }
    let path = scene.team.trace_path(scene.key);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, "{}").unwrap();
    let own = scene.own();
    assert_eq!(own.load(scene.key).unwrap(), None);
    assert!(path.exists() && own.complaints().len() == 1);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let own = scene.own();
    assert_eq!(own.load(scene.key).unwrap(), None);
    let other = Key(Digest::of(b"other"));
    fs::create_dir_all(scene.team.trace_path(other)).unwrap();
    assert_eq!(own.load(other).unwrap(), None);
    let complaints = own.complaints();
    assert!(complaints.len() == 1 && complaints[0].contains("can't be read: it is a folder"), "{complaints:?}");
}

#[test]
fn a_newer_shared_cache_is_left_out_and_our_own_works() {
    let scene = scene();
    fs::remove_file(scene.team.root().join("version")).unwrap();
    fs::write(scene.team.root().join("version"), "intrada store 2\n").unwrap();
    let own = scene.own();
    assert_eq!(own.load(scene.key).unwrap(), None);
    assert!(own.complaints()[0].contains("version 2"));
}

#[test]
fn what_our_own_lost_comes_back_from_a_shared_cache_when_it_is_verified() {
    let scene = scene();
    let own = scene.own();
    own.restore(&scene.artifact, &scene.dir.path().join("out"), Placement::View).unwrap();
    own.keep_pulled(&own.look_up(scene.key).unwrap().unwrap()).unwrap();
    for file in own.object_files().unwrap() {
        fs::remove_file(own.object_path(file.object)).unwrap();
    }
    assert!(own.verify(1.0, &|_| ()).unwrap().is_well());
    fs::remove_dir_all(scene.team.root()).unwrap();
    assert!(own.could_restore(&scene.artifact).unwrap());
}
