//! Orders carried out with a scripted executor: what becomes of events, endings and requests, without a process.

mod shards;

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Mutex;

use tempfile::TempDir;

use super::*;
use crate::digest::Digest;
use crate::exec::executor::How;
use crate::exec::job::Event;
use crate::exec::{Script, Scripted, Visible};

/// A workspace with a cache, and a stage `s` in it with one output.
struct Scene {
    dir: TempDir,
    store: Arc<Store>,
    key: Key,
    control: Arc<Control>,
    /// What was told on the way.
    told: Mutex<Vec<String>>,
}

const WELL: How = How::Status(0);

/// Where a worker leaves the output, and where a command does.
const MADE: &str = "list.txt";
const PLACED: &str = "given.txt";

impl Scene {
    fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&dir.path().join("cache")).unwrap());
        let key = Key(Digest::of(b"s"));
        Scene { dir, store, key, control: Arc::default(), told: Mutex::default() }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn worker(&self) -> Order {
        let job = Job {
            format: job::FORMAT,
            stage: "s".into(),
            kind: "ranking".into(),
            parameters: [].into(),
            classes: vec![],
            datasets: [].into(),
            dataset_names: [].into(),
            inputs: [].into(),
            input_names: [].into(),
            items: None,
            staging: PathBuf::new(),
            slot: PathBuf::new(),
            samples: None,
            device: "cpu".into(),
            threads: 1,
            attempt: None,
            instruction_set: None,
        };
        self.order(Work::Worker(Box::new(job), Visible::All), MADE)
    }

    fn command(&self) -> Order {
        let program = Program {
            arguments: Program::shell("make-it"),
            folder: self.root().to_owned(),
            environment: [].into(),
            slot: PathBuf::new(),
            gpus: Visible::All,
        };
        self.order(Work::Command(program), PLACED)
    }

    fn order(&self, work: Work, made_at: &str) -> Order {
        let manifest = Manifest {
            kind: "ranking".into(),
            revision: 1,
            parameters: [].into(),
            inputs: [].into(),
            outputs: vec!["list".into()],
            environment: [].into(),
        };
        Order {
            pipeline: "p".into(),
            stage: "s".into(),
            kind: "ranking".into(),
            key: self.key,
            manifest,
            listings: vec![],
            after: vec![],
            outputs: vec![Destination { name: "list".into(), made_at: made_at.into(), path: PLACED.into() }],
            in_place: vec![],
            unfinished: BTreeSet::new(),
            work,
            items: None,
            split: None,
            root: self.root().to_owned(),
            guard: Guard::new(self.root()),
            visit: None,
            reads: Reads::default(),
            run_info: Arc::new(RunInfo::known()),
            forced: false,
            retries: 0,
            request: Request::default(),
            pushes_later: false,
        }
    }

    /// What comes of an order whose jobs play these scripts.
    fn perform(&self, order: Order, executor: &Scripted) -> Result<Performed, Failure> {
        let tell = |news: News| self.told.lock().unwrap().push(in_words(&news));
        order.perform(&Context { store: &self.store, executor, control: &self.control, tell: &tell })
    }

    fn fails(&self, order: Order, script: Script) -> (String, Vec<String>) {
        match self.perform(order, &Scripted::playing([script])) {
            Err(Failure::Failed { message, help }) => (message, help),
            Err(cancelled) => panic!("{cancelled:?}"),
            Ok(_) => panic!("it came to a result"),
        }
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    /// Asks the job to stop, once a script gets there.
    fn stop(&self) -> impl FnOnce() + Send + use<> {
        let control = Arc::clone(&self.control);
        move || control.stop()
    }

    /// Leaves something in the slot.
    fn save(&self) -> impl FnOnce() + Send + use<> {
        let checkpoint = self.store.slot(self.key).path().join("checkpoint");
        move || std::fs::write(checkpoint, "7").unwrap()
    }

    fn placed(&self) -> Option<String> {
        std::fs::read_to_string(self.root().join(PLACED)).ok()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.store.log_path(self.key)).unwrap()
    }
}

fn in_words(news: &News) -> String {
    match news {
        News::Event(event) => match event {
            Event::Progress { done, .. } => format!("progress {done}"),
            Event::Resumed { at } => format!("resumed at {at}"),
            Event::Finished { .. } => "finished".to_owned(),
            Event::Interrupted { .. } => "interrupted".to_owned(),
            Event::Failed { .. } => "failed".to_owned(),
        },
        News::Storing => "storing".to_owned(),
        News::Pushing(_) => "pushing".to_owned(),
        News::Retrying(at) => format!("attempt {} of {} after: {}", at.attempt, at.of, at.reason),
        News::Remark(text) | News::Standing(text) => text.clone(),
        News::Waiting(_) => "waiting".to_owned(),
        News::PutAside { output, .. } => format!("{} put aside", output.display()),
        News::Orphans(_) | News::Overtaken(_) => panic!("there are no such things here"),
    }
}

fn limited(timeout: Duration) -> Request {
    Request { timeout: Some(timeout), ..Request::default() }
}

fn progress(done: u64) -> Event {
    Event::Progress { done, total: 10, unit: "images".into(), values: vec![] }
}

fn finished() -> Event {
    Event::Finished { notes: [("summary".to_owned(), "two".to_owned())].into() }
}

fn failed_with(message: &str) -> Event {
    Event::Failed { message: message.into(), help: vec!["mend it".into()] }
}

#[test]
fn a_worker_s_outputs_are_published_and_put_in_place_and_its_notes_go_into_the_trace() {
    let scene = Scene::new();
    let script = Script::ending(WELL).says(Event::Resumed { at: 3 }).says(progress(4)).writes(MADE, "a b");
    let done = scene.perform(scene.worker(), &Scripted::playing([script.says(finished())])).unwrap();
    let trace = scene.store.load(scene.key).unwrap().unwrap();
    assert_eq!((trace.note["summary"].as_str(), trace.resumed_from), ("two", Some(3)));
    assert_eq!((done.trace.outputs, done.fresh), (trace.outputs, true));
    assert_eq!((scene.placed().as_deref(), done.placed[0].path.as_path()), (Some("a b"), Path::new(PLACED)));
    assert_eq!(scene.told(), ["resumed at 3", "progress 4", "finished", "storing"]);
    assert!(!scene.store.slot(scene.key).exists());
}

#[test]
fn a_command_s_outputs_are_taken_from_the_workspace() {
    let scene = Scene::new();
    let executor = Scripted::playing([Script::ending(WELL).writes(PLACED, "a b")]);
    let done = scene.perform(scene.command(), &executor).unwrap();
    assert_eq!(scene.store.load(scene.key).unwrap().unwrap().outputs, done.trace.outputs);
    assert_eq!((scene.placed().as_deref(), scene.told()), (Some("a b"), vec!["storing".to_owned()]));
    let [started] = &executor.started()[..] else { panic!("one job was started") };
    let Work::Command(program) = &started.work else { panic!("it is a command") };
    assert_eq!(program.slot, scene.store.slot(scene.key).path());
}

#[test]
fn a_failed_attempt_is_repeated_as_often_as_retries_say_and_the_log_tells() {
    let scene = Scene::new();
    let fails = |message| Script::ending(How::Status(1)).says(failed_with(message));
    let works = Script::ending(WELL).writes(MADE, "a").says(finished());
    let order = Order { retries: 2, ..scene.worker() };
    scene.perform(order, &Scripted::playing([fails("no"), fails("not yet"), works])).unwrap();
    let retried: Vec<String> = scene.told().into_iter().filter(|told| told.starts_with("attempt")).collect();
    assert_eq!(retried, ["attempt 2 of 3 after: no", "attempt 3 of 3 after: not yet"]);
    assert!(scene.log().contains("attempt 2 of 3, as the one before failed: no\n"), "{}", scene.log());

    let other = Scene::new();
    let executor = Scripted::playing([fails("no"), fails("still no")]);
    let failure = other.perform(Order { retries: 1, ..other.worker() }, &executor).err();
    assert_eq!(failure, Some(Failure::new("still no").with_help("mend it")));
    assert_eq!((executor.started().len(), other.placed()), (2, None));
    assert!(other.store.load(other.key).unwrap().is_none());
}

#[test]
fn a_job_that_is_asked_to_stop_says_where_it_will_go_on_and_keeps_its_slot() {
    let scene = Scene::new();
    let script = Script::ending(WELL).does(scene.save()).does(scene.stop()).until_stopped();
    let executor = Scripted::playing([script.says(Event::Interrupted { at: 7 })]);
    let failure = scene.perform(Order { retries: 5, ..scene.worker() }, &executor).err();
    assert_eq!((failure, executor.started().len()), (Some(Failure::Cancelled { at: Some(7) }), 1));
    assert!(scene.store.slot(scene.key).exists());
}

#[test]
fn a_job_that_is_killed_is_cancelled_whatever_it_was_doing() {
    for order in [Scene::worker, Scene::command] {
        let scene = Scene::new();
        let control = Arc::clone(&scene.control);
        let script = Script::ending(How::Signal(9)).does(move || control.kill()).until_killed();
        let failure = scene.perform(order(&scene), &Scripted::playing([script])).err();
        assert_eq!(failure, Some(Failure::Cancelled { at: None }));
    }
}

#[test]
fn a_command_that_was_asked_to_stop_and_ended_well_has_no_result() {
    let scene = Scene::new();
    let script = Script::ending(WELL).writes(PLACED, "half").does(scene.stop()).until_stopped();
    assert_eq!(
        scene.perform(scene.command(), &Scripted::playing([script])).err(),
        Some(Failure::Cancelled { at: None })
    );
    assert!(scene.store.load(scene.key).unwrap().is_none());
}

#[test]
fn what_was_told_to_stop_before_it_started_never_starts() {
    let scene = Scene::new();
    scene.control.stop();
    let executor = Scripted::playing([Script::ending(WELL)]);
    assert_eq!(scene.perform(scene.worker(), &executor).err(), Some(Failure::Cancelled { at: None }));
    assert!(executor.started().is_empty());
}

#[test]
fn a_job_that_takes_longer_than_its_timeout_fails_with_the_limit_and_where_it_will_go_on() {
    let mut limit = Duration::from_millis(1);
    let (failure, scene) = loop {
        let scene = Scene::new();
        let script = Script::ending(WELL).does(scene.save()).until_stopped().says(Event::Interrupted { at: 7 });
        let executor = Scripted::playing([script]);
        let failure = scene.perform(Order { request: limited(limit), ..scene.worker() }, &executor).err();
        // On a busy machine the time may be up before the job starts.
        if !executor.started().is_empty() {
            break (failure, scene);
        }
        limit *= 2;
    };
    let Some(Failure::Failed { message, help }) = failure else { panic!("{failure:?}") };
    assert!(message.starts_with("it took longer than its `timeout`, "), "{message}");
    assert!(message.ends_with(" and was stopped; it resumes from 7 when it is run again"), "{message}");
    assert_eq!(help, ["a longer `timeout` gives it more time; `retries` repeats a failed stage"]);
    assert!(scene.store.slot(scene.key).exists());
}

#[test]
fn an_attempt_that_took_too_long_is_one_that_failed() {
    let scene = Scene::new();
    let order = Order { request: limited(Duration::from_millis(1)), retries: 1, ..scene.command() };
    let too_long = || Script::ending(WELL).until_stopped();
    let title = "it took longer than its `timeout`, 0.001 s, and was stopped";
    let failure = scene.perform(order, &Scripted::playing([too_long(), too_long()])).err();
    assert!(matches!(failure, Some(Failure::Failed { message, .. }) if message == title));
    assert_eq!(scene.told(), [format!("attempt 2 of 2 after: {title}")]);
}

#[test]
fn a_job_holds_the_lock_of_its_key_and_is_known_by_it() {
    let scene = Scene::new();
    let (store, key, lock) = (Arc::clone(&scene.store), scene.key, scene.store.lock_path(scene.key));
    let inode = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&inode);
    let look = move || {
        assert!(matches!(store.try_lease(key).unwrap(), Attempt::Busy(_)));
        let metadata = std::fs::metadata(store.lock_path(key)).unwrap();
        *seen.lock().unwrap() = Some((metadata.dev(), metadata.ino()));
    };
    let executor = Scripted::playing([Script::ending(WELL).does(look).writes(MADE, "a").says(finished())]);
    scene.perform(scene.worker(), &executor).unwrap();
    let [started] = &executor.started()[..] else { panic!("one job was started") };
    assert_eq!((&started.name, &started.lock), (&scene.key.to_string(), &lock));
    assert!(started.leases.contains(&inode.lock().unwrap().unwrap()), "{:?}", started.leases);
    assert!(matches!(scene.store.try_lease(scene.key).unwrap(), Attempt::Held(_)));
}

#[test]
fn a_job_that_ends_well_without_an_output_fails_and_names_it() {
    let scene = Scene::new();
    let (message, _) = scene.fails(scene.worker(), Script::ending(WELL).says(finished()));
    assert_eq!(message, "it ended well, but did not write list.txt");
    let (message, _) = scene.fails(scene.command(), Script::ending(WELL));
    assert_eq!(message, "it ended well, but did not write given.txt");
}

#[test]
fn a_worker_that_is_killed_without_a_word_fails_with_what_is_known_of_memory() {
    let killed = |known| {
        let scene = Scene::new();
        scene.fails(scene.worker(), Script::ending(How::Signal(9)).out_of_memory(known))
    };
    let title = "the worker was killed by signal 9 (SIGKILL)";
    let (message, help) = killed(Some(true));
    assert!(message == title && help.len() == 1 && help[0].starts_with("memory ran out"), "{message} {help:?}");
    let (message, help) = killed(Some(false));
    assert!(message == title && help.len() == 1 && help[0].contains("memory did not run out"), "{message} {help:?}");
    assert_eq!(killed(None), (title.to_owned(), vec![]));
}

#[test]
fn how_a_job_ended_is_said_in_words_also_in_those_of_another_system() {
    let scene = Scene::new();
    let fails = |how| scene.fails(scene.worker(), Script::ending(how)).0;
    assert_eq!(fails(How::Status(3)), "the worker ended with exit status 3");
    assert_eq!(fails(How::Other("NODE_FAIL".into())), "the worker ended in a way that the system calls NODE_FAIL");
    let failed = scene.fails(scene.command(), Script::ending(How::Signal(11))).0;
    assert_eq!(failed, "`make-it` was killed by signal 11 (segmentation fault)");
}

#[test]
fn a_worker_that_never_began_fails_with_what_its_place_says_of_it() {
    let scene = Scene::new();
    assert_eq!(scene.fails(scene.worker(), Script::ending(How::Status(127))).0, "the worker lacks a library");
    let began = Script::ending(How::Status(127)).says(Event::Resumed { at: 2 });
    assert_eq!(scene.fails(scene.worker(), began).0, "the worker ended with exit status 127");
}

#[test]
fn a_key_that_somebody_else_has_published_meanwhile_starts_no_job() {
    let scene = Scene::new();
    let works = || Script::ending(WELL).writes(MADE, "a").says(finished());
    scene.perform(scene.worker(), &Scripted::playing([works()])).unwrap();
    let executor = Scripted::playing([works(), works()]);
    let done = scene.perform(scene.worker(), &executor).unwrap();
    assert!(!done.fresh && executor.started().is_empty());
    let forced = scene.perform(Order { forced: true, ..scene.worker() }, &executor).unwrap();
    assert!(forced.fresh && executor.started().len() == 1);
}
