//! What a job reads on the node's disk: copies that are what their names say, or the originals.

use std::collections::BTreeMap;

use super::super::super::job::{Items, Known, Part, Sample, Source};
use super::*;
use crate::digest::{FileDigest, Item};

struct Node {
    dir: tempfile::TempDir,
}

impl Node {
    fn new() -> Node {
        let node = Node { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(node.dir.path().join("disk")).unwrap();
        node
    }

    fn scratch(&self) -> Scratch {
        Scratch::open(self.dir.path().join("disk").to_str().unwrap()).unwrap()
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn source(&self, name: &str) -> Source {
        Source { path: self.file(name, name), content: FileDigest(Digest::of(name.as_bytes())) }
    }

    /// A job that reads images of these names, an object and a folder of objects.
    fn job(&self, images: &[&str]) -> Job {
        let sample = |name: &&str| Sample { name: name.to_string(), image: self.source(name), label: None };
        let images = Dataset::Files {
            samples: images.iter().map(sample).collect(),
            size: None,
            map: Vec::new(),
            encoding: Default::default(),
            palette: Default::default(),
            orientation: Default::default(),
            jpeg: None,
            webp: None,
            margins: Default::default(),
            scaling: Default::default(),
            decode: Default::default(),
            cache: false,
        };
        let maps = [("a.png".to_owned(), self.file("object-2", "map"))];
        Job {
            datasets: [("images".to_owned(), images)].into(),
            inputs: [
                ("weights".to_owned(), Input::File(self.file("object-1", "weights"))),
                ("maps".to_owned(), Input::Folder(maps.into())),
            ]
            .into(),
            ..job()
        }
    }
}

fn job() -> Job {
    serde_json::from_str(
        r#"{"format": 4, "stage": "s", "kind": "k", "parameters": {}, "classes": [], "datasets": {}, "dataset_names": {},
            "inputs": {}, "items": null, "staging": "/", "slot": "/", "device": "cpu", "threads": 1, "instruction_set": null}"#,
    )
    .unwrap()
}

/// What the job reads: the path and the content of each file.
fn read(job: &mut Job) -> Vec<(PathBuf, String)> {
    let mut read = Vec::new();
    visit(job, |path, _| read.push((path.clone(), fs::read_to_string(path).unwrap())));
    read
}

#[test]
fn a_job_reads_copies_with_the_contents_of_the_originals_and_the_next_one_uses_them_again() {
    let node = Node::new();
    let mut plain = node.job(&["one", "two"]);
    let expected: Vec<String> = read(&mut plain).into_iter().map(|(_, content)| content).collect();
    for (copied, found) in [(4, 0), (0, 4)] {
        let mut job = node.job(&["one", "two"]);
        let copies = node.scratch().bring(&mut job, || false);
        assert_eq!((copies.copied, copies.copies.len() - copies.copied, copies.left), (copied, found, 0));
        let read = read(&mut job);
        assert!(read.iter().all(|(path, _)| path.starts_with(node.dir.path().join("disk"))), "{read:?}");
        assert!(read.into_iter().map(|(_, content)| content).eq(expected.clone()));
    }
}

#[test]
fn a_copy_that_was_altered_is_made_again() {
    let node = Node::new();
    let mut job = node.job(&["one"]);
    node.scratch().bring(&mut job, || false);
    for (path, _) in read(&mut job) {
        fs::write(path, "altered").unwrap();
    }
    let mut job = node.job(&["one"]);
    assert_eq!(node.scratch().bring(&mut job, || false).copied, 3);
    assert!(read(&mut job).iter().all(|(_, content)| content != "altered"));
}

#[test]
fn what_cannot_be_copied_is_read_where_it_is_and_counted() {
    let node = Node::new();
    let mut job = node.job(&["one", "two"]);
    node.file("two", "edited since");
    let copies = node.scratch().bring(&mut job, || false);
    assert_eq!((copies.copied, copies.left), (3, 1));
    assert!(copies.words().contains("1 file read on the shared file system: "), "{}", copies.words());
    assert!(read(&mut job).contains(&(node.dir.path().join("two"), "edited since".to_owned())));

    let mut job = node.job(&["three"]);
    let copies = node.scratch().bring(&mut job, || true);
    assert_eq!((copies.copied, copies.left), (0, 3), "it is asked to end");
}

#[test]
fn only_what_the_job_will_find_is_copied() {
    let node = Node::new();
    let names = ["a", "b", "c", "d", "e"];
    let item = |name: &str| Item(Digest::of(name.as_bytes()));
    let known = |fresh| Known {
        files: BTreeMap::new(),
        values: serde_json::Value::Null,
        made_on: String::new(),
        partial: false,
        fresh,
    };
    let mut job = node.job(&names);
    job.items = Some(Items {
        samples: Some(names.map(|name| (name.to_owned(), item(name))).into()),
        // The second was found by another job of this attempt, so it takes a place among the parts.
        known: [(item("a"), known(false)), (item("b"), known(true))].into(),
        part: Some(Part { index: 1, of: 2 }),
    });
    node.scratch().bring(&mut job, || false);
    let Dataset::Files { samples, .. } = &job.datasets["images"] else { unreachable!() };
    let is_copy = |sample: &&Sample| sample.image.path.starts_with(node.dir.path().join("disk"));
    let copied: Vec<&str> = samples.iter().filter(is_copy).map(|sample| &*sample.name).collect();
    assert_eq!(copied, ["c", "e"]);
}

#[test]
fn messages_name_the_original_of_a_copy() {
    let node = Node::new();
    let mut job = node.job(&["one"]);
    let copies = node.scratch().bring(&mut job, || false);
    let read = read(&mut job);
    let message = format!("{} and {} differ", read[0].0.display(), copies.folder.join("ab/other").display());
    let help = vec![format!("look at {}", read[1].0.display())];
    let expected = format!("{} and {}/ab/other differ", node.dir.path().join("one").display(), copies.folder.display());
    let Event::Failed { message, help } = copies.name_originals(Event::Failed { message, help }) else {
        unreachable!()
    };
    assert_eq!(message, expected);
    let originals = [node.dir.path().join("object-1"), node.dir.path().join("object-2")];
    assert!(originals.iter().any(|original| help[0] == format!("look at {}", original.display())), "{help:?}");
}

#[test]
fn copies_are_deleted_for_room_only_while_no_other_job_uses_any() {
    let node = Node::new();
    let first = node.scratch();
    first.bring(&mut node.job(&["one"]), || false);
    let all = || node.scratch().copies().unwrap().len();
    assert_eq!(all(), 3);
    // A file with a hole: larger than any disk, and of no weight.
    let huge = node.dir.path().join("huge");
    File::create(&huge).unwrap().set_len(1 << 43).unwrap();
    let wanted = [Wanted { path: huge, content: None }];
    node.scratch().make_room(&wanted).unwrap();
    assert_eq!(all(), 3, "the first job still runs");
    drop(first);
    node.scratch().make_room(&wanted).unwrap();
    assert_eq!(all(), 0);
    let copies = node.scratch().copy(wanted.to_vec(), || false);
    assert_eq!((copies.copied, copies.left), (0, 1), "{:?}", copies.why);
}

#[test]
fn no_copy_is_deleted_that_the_job_itself_reads() {
    let node = Node::new();
    node.scratch().bring(&mut node.job(&["one"]), || false);
    let mut job = node.job(&["two"]);
    let mut wanted = wanted(&mut job);
    let huge = node.dir.path().join("huge");
    File::create(&huge).unwrap().set_len(1 << 43).unwrap();
    wanted.push(Wanted { path: huge, content: None });
    let scratch = node.scratch();
    scratch.make_room(&wanted).unwrap();
    // `one` is gone; the weights and the map of both jobs are not.
    assert_eq!(scratch.copies().unwrap().len(), 2);
    let copies = scratch.copy(wanted, || false);
    assert_eq!((copies.copied, copies.copies.len(), copies.left), (1, 3, 1));
}

#[test]
fn a_place_is_that_of_the_node_or_it_is_said_why_there_is_none() {
    let value = |name: &str| (name == "TMPDIR").then(|| "/tmp/job.7".to_owned());
    assert_eq!(expand("$TMPDIR/deep", value), Ok("/tmp/job.7/deep".into()));
    assert_eq!(expand("${TMPDIR}", value), Ok("/tmp/job.7".into()));
    assert_eq!(expand("/scratch", value), Ok("/scratch".into()));
    assert_eq!(expand("$SCRATCH", value), Err("the variable SCRATCH is not set on this node".to_owned()));
    assert_eq!(expand("scratch", value), Err("scratch is not an absolute path".to_owned()));
    assert!(Scratch::open("/no/such/folder").is_err_and(|why| why.contains("/no/such/folder")));
}

#[test]
fn a_folder_that_others_can_change_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::new();
    let folder = node.scratch().folder;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Scratch::open(node.dir.path().join("disk").to_str().unwrap()).map(|_| ());
    assert!(refused.is_err_and(|why| why.contains("can be changed by others")));
}
