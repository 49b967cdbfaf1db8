//! Named points at which a test kills the process, to see what a crash leaves behind, or acts as another process would at
//! that moment.
//!
//! Outside tests a point does nothing.

/// Ends the process without unwinding, as a kill would, if a test asked for it at this point.
pub(super) fn point(_name: &str) {
    #[cfg(test)]
    tests::meanwhile(_name);
    #[cfg(test)]
    if std::env::var_os("INTRADA_CRASH_AT").is_some_and(|at| at == _name) {
        std::process::exit(tests::CRASHED);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use crate::digest::{Digest, Key};
    use crate::store::{Artifact, Durable, Health, Placement, Store, Take, Trace, TracedOutput};

    pub(super) const CRASHED: i32 = 86;

    /// A point, and the action there.
    type Planned = (&'static str, Box<dyn FnOnce()>);

    thread_local! {
        static MEANWHILE: RefCell<Option<Planned>> = const { RefCell::new(None) };
    }

    /// Runs `act` when this thread next reaches that point.
    pub(in crate::store) fn at(point: &'static str, act: impl FnOnce() + 'static) {
        MEANWHILE.set(Some((point, Box::new(act))));
    }

    pub(super) fn meanwhile(point: &str) {
        if let Some((_, act)) = MEANWHILE.with_borrow_mut(|planned| planned.take_if(|(at, _)| *at == point)) {
            act();
        }
    }

    /// In the order in which the child process below reaches them.
    const POINTS: [&str; 10] = [
        "objects staged",
        "objects synced",
        "objects renamed",
        "objects published",
        "staged",
        "synced",
        "renamed",
        "restore built",
        "restore put aside",
        "restore swapped",
    ];

    fn key() -> Key {
        Key(Digest::of(b"key"))
    }

    /// Writes a stage's output in a new folder.
    fn write_output(out: &Path) {
        fs::create_dir_all(out).unwrap();
        fs::write(out.join("model"), "weights").unwrap();
        fs::write(out.join("losses"), "0.1").unwrap();
    }

    fn publish(store: &Store, out: &Path, durable: Durable) -> Artifact {
        let artifact = store.insert_by(out, Take::Move, durable).unwrap();
        let mut trace = Trace::new(key(), "demo", "inter", "inter-training", serde_json::json!({"lambda": 0.5}));
        trace.outputs = vec![TracedOutput { name: "out".into(), path: "out".into(), artifact }];
        store.publish_by(&trace, &[], durable).unwrap();
        artifact
    }

    /// Does nothing unless the test below started it in a child process.
    #[test]
    fn child() {
        let Some(dir) = std::env::var_os("INTRADA_CRASH_DIR") else { return };
        let dir = Path::new(&dir);
        let store = Store::open(&dir.join("cache")).unwrap();
        let is_soon = std::env::var_os("INTRADA_CRASH_SOON").is_some();
        let artifact = publish(&store, &dir.join("out"), if is_soon { Durable::Soon } else { Durable::Now });
        store.restore(&artifact, &dir.join("view"), Placement::View).unwrap();
    }

    fn run_child_until(point: &str, dir: &Path, durable: Durable) {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "store::crash::tests::child", "--test-threads=1"]);
        if durable == Durable::Soon {
            child.env("INTRADA_CRASH_SOON", "1");
        }
        let status = child.env("INTRADA_CRASH_AT", point).env("INTRADA_CRASH_DIR", dir).output().unwrap().status;
        assert_eq!(status.code(), Some(CRASHED), "the point {point:?} was passed");
    }

    fn assert_all_objects_are_intact(store: &Store) {
        for folder in fs::read_dir(store.root().join("objects")).unwrap() {
            let folder = folder.unwrap();
            for file in fs::read_dir(folder.path()).unwrap() {
                let name = [folder.file_name(), file.unwrap().file_name()].map(|part| part.into_string().unwrap());
                assert!(matches!(store.check(name.concat().parse().unwrap()).unwrap(), Health::Intact(_)));
            }
        }
    }

    #[test]
    fn a_crash_between_any_two_steps_leaves_the_old_state_or_the_new() {
        for (point, durable) in
            POINTS.into_iter().flat_map(|point| [Durable::Now, Durable::Soon].map(|how| (point, how)))
        {
            let dir = tempfile::tempdir().unwrap();
            let dir = dir.path();
            let store = Store::open(&dir.join("cache")).unwrap();
            write_output(&dir.join("out"));
            fs::create_dir(dir.join("view")).unwrap();
            fs::write(dir.join("view/model"), "by hand").unwrap();
            run_child_until(point, dir, durable);

            assert_all_objects_are_intact(&store);
            if let Some(trace) = store.load(key()).unwrap() {
                store.restore(&trace.outputs[0].artifact, &dir.join("elsewhere"), Placement::View).unwrap();
            }
            let view = fs::read_to_string(dir.join("view/model")).ok();
            let mut orphans = fs::read_dir(store.root().join("orphans")).unwrap();
            let orphan = orphans.next().map(|folder| fs::read_to_string(folder.unwrap().path().join("model")).unwrap());
            match (view.as_deref(), orphan.as_deref()) {
                (Some("by hand"), None) | (Some("weights") | None, Some("by hand")) => {}
                other => panic!("after {point:?}, the view and what was put aside of it are {other:?}"),
            }

            // A second run needs no repair first.
            write_output(&dir.join("again"));
            let artifact = publish(&store, &dir.join("again"), durable);
            assert_eq!(store.load(key()).unwrap().unwrap().outputs[0].artifact, artifact);
            store.restore(&artifact, &dir.join("view"), Placement::View).unwrap();
            assert_eq!(fs::read_to_string(dir.join("view/model")).unwrap(), "weights");
        }
    }
}
