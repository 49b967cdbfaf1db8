//! Stages that are split: what each job is asked, what is kept of it, and what is said.

use std::sync::Barrier;

use super::*;
use crate::digest::{FileDigest, Item};
use crate::exec::Visible;
use crate::exec::job::{Dataset, Items, Part, Sample, Source};
use crate::finding::Finding;
use crate::kind::dataset::{Encoding, Orientation};
use crate::pipeline::Shards;
use crate::sched::items::{KnownItems, shard_slot};

fn content(image: usize) -> FileDigest {
    FileDigest(Digest::of(&image.to_le_bytes()))
}

fn images(number: usize) -> Dataset {
    let sample = |image| Sample {
        name: format!("{image}.png"),
        image: Source { path: format!("/{image}.png").into(), content: content(image) },
        label: None,
    };
    Dataset::Files {
        samples: (0..number).map(sample).collect(),
        size: None,
        map: vec![],
        encoding: Encoding::Index,
        palette: Default::default(),
        orientation: Orientation::Ignore,
        jpeg: None,
        webp: None,
        margins: Default::default(),
        scaling: Default::default(),
        decode: Default::default(),
        cache: false,
    }
}

impl Scene {
    /// A worker's stage over so many images, split so, of which so many run at the same time.
    fn split(&self, number: usize, into: Shards, places: usize) -> Order {
        let order = self.worker();
        let items = KnownItems::new(&order.manifest, "images", &images(number));
        let split = Split { into, places: vec![Visible::All; places] };
        Order { items: Some(items), split: Some(split), ..order }
    }

    fn items(&self, number: usize) -> Vec<Item> {
        let items = self.split(number, Shards::Jobs(1), 1).items.unwrap().for_job(&self.store, true).unwrap();
        items.samples.unwrap().into_values().collect()
    }

    /// Hands in findings of these items, as one of `of` shards.
    fn finds(&self, shard: usize, of: usize, items: &[Item]) -> impl FnOnce() + Send + use<> {
        let findings = Items::findings(&shard_slot(self.store.slot(self.key).path(), shard, of));
        let finding =
            Finding { files: [].into(), values: 1.into(), made_on: job::made_on(true, 1, None), partial: false };
        let text: String = items.iter().map(|item| finding.clone().line(*item)).collect();
        move || {
            std::fs::create_dir_all(findings.parent().unwrap()).unwrap();
            std::fs::write(findings, text).unwrap();
        }
    }
}

fn ends() -> Script {
    Script::ending(WELL).says(finished())
}

fn writes() -> Script {
    Script::ending(WELL).writes(MADE, "a").says(finished())
}

/// What the jobs were told of the items, in the order in which they started.
fn told_of_items(executor: &Scripted) -> Vec<Items> {
    let items = |work: &Work| match work {
        Work::Worker(job, _) => job.items.clone().unwrap(),
        Work::Command(_) => panic!("it is a worker"),
    };
    executor.started().iter().map(|started| items(&started.work)).collect()
}

#[test]
fn each_shard_is_asked_for_its_part_and_the_last_job_for_none_as_it_knows_what_they_found() {
    let scene = Scene::new();
    let items = scene.items(3);
    let executor = Scripted::playing([
        ends().does(scene.finds(0, 2, &items[..2])),
        ends().does(scene.finds(1, 2, &items[2..])),
        writes(),
    ]);
    let done = scene.perform(scene.split(3, Shards::Items(2), 1), &executor).unwrap();
    let key = scene.key.to_string();
    let names: Vec<String> = executor.started().into_iter().map(|started| started.name).collect();
    assert_eq!(names, [format!("{key}.1-of-2"), format!("{key}.2-of-2"), key]);
    let told = told_of_items(&executor);
    let parts = told.iter().map(|items| items.part);
    assert!(parts.eq([Some(Part { index: 0, of: 2 }), Some(Part { index: 1, of: 2 }), None]));
    assert!(told[1].known.is_empty(), "what shards are told doesn't depend on when they start");
    assert!(told[2].known.len() == 3 && told[2].known.values().all(|known| known.fresh));
    assert_eq!((done.trace.note["shards"].as_str(), scene.placed().as_deref()), ("2", Some("a")));
    assert!(!scene.store.slot(scene.key).exists());
}

#[test]
fn there_are_as_many_shards_as_items_at_most_and_for_one_item_none() {
    for (number, jobs) in [(5, 4), (2, 3), (1, 1)] {
        let scene = Scene::new();
        let scripts = (0..jobs - 1).map(|_| ends()).chain([writes()]);
        let executor = Scripted::playing(scripts);
        scene.perform(scene.split(number, Shards::Jobs(3), 1), &executor).unwrap();
        assert_eq!(executor.started().len(), jobs, "{number} items");
    }
}

#[test]
fn what_a_failed_attempt_has_found_is_not_asked_for_again_however_the_next_one_is_split() {
    let scene = Scene::new();
    let items = scene.items(9);
    let found = |shard: usize| scene.finds(shard, 3, &items[3 * shard..][..3]);
    let killed = Script::ending(How::Signal(9)).says(progress(1)).does(scene.finds(1, 3, &items[3..4]));
    let executor = Scripted::playing([ends().does(found(0)), killed, ends().does(found(2))]);
    let failure = scene.perform(scene.split(9, Shards::Jobs(3), 1), &executor).err();
    assert_eq!(failure, Some(Failure::new("shard 2 of 3: the worker was killed by signal 9 (SIGKILL)")));
    assert_eq!(executor.started().len(), 3, "the others went on, and nothing was written");

    // Also where nothing but the slot is left of it.
    std::fs::remove_dir_all(scene.store.root().join("items")).unwrap();
    let executor = Scripted::playing([ends(), ends(), writes()]);
    scene.perform(scene.split(9, Shards::Jobs(8), 1), &executor).unwrap();
    let told = told_of_items(&executor);
    assert!(told.iter().all(|items| items.known.len() == 7), "two shards for two items, and none was found");
    assert!(told[2].known.values().all(|known| !known.fresh));
}

#[test]
fn all_is_found_again_where_that_is_asked_for() {
    let scene = Scene::new();
    let items = scene.items(2);
    let killed = Script::ending(How::Signal(9)).does(scene.finds(0, 2, &items));
    let disturbed = scene.perform(scene.split(2, Shards::Jobs(2), 1), &Scripted::playing([killed]));
    assert!(disturbed.is_err());
    let executor = Scripted::playing([ends(), ends().does(scene.finds(1, 2, &items[1..])), writes()]);
    let order = Order { forced: true, ..scene.split(2, Shards::Jobs(2), 1) };
    scene.perform(order, &executor).unwrap();
    let known: Vec<Vec<Item>> =
        told_of_items(&executor).into_iter().map(|items| items.known.into_keys().collect()).collect();
    assert_eq!(known, [vec![], vec![], vec![items[1]]]);
}

#[test]
fn a_shard_that_fails_before_it_has_found_anything_keeps_others_from_starting_and_that_is_said() {
    let scene = Scene::new();
    let executor = Scripted::playing([Script::ending(How::Status(1)).says(failed_with("no network"))]);
    let failure = scene.perform(scene.split(9, Shards::Jobs(4), 1), &executor).err();
    let expected = Failure::new("shard 1 of 4: no network")
        .with_help("mend it")
        .with_help("3 more shards did not start, as this one found nothing");
    assert_eq!((failure, executor.started().len()), (Some(expected), 1));
}

#[test]
fn of_several_shards_that_fail_the_first_is_told_and_the_others_are_counted() {
    let scene = Scene::new();
    let fails = || Script::ending(How::Status(1)).says(progress(1)).says(failed_with("a bad image"));
    let executor = Scripted::playing([ends(), fails(), ends(), fails()]);
    let failure = scene.perform(scene.split(9, Shards::Jobs(4), 1), &executor).err();
    let expected = Failure::new("shard 2 of 4: a bad image").with_help("mend it").with_help("1 more shard failed, too");
    assert_eq!(failure, Some(expected));
}

#[test]
fn a_request_to_stop_reaches_all_shards_that_run_and_those_that_wait_do_not_start() {
    let scene = Scene::new();
    let both = Arc::new(Barrier::new(2));
    let running = |control: Option<Arc<Control>>| {
        let both = Arc::clone(&both);
        let meet = move || {
            both.wait();
            control.iter().for_each(|control| control.stop());
        };
        Script::ending(WELL).does(meet).until_stopped().says(Event::Interrupted { at: 2 })
    };
    let executor = Scripted::playing([running(None), running(Some(Arc::clone(&scene.control)))]);
    let failure = scene.perform(scene.split(9, Shards::Jobs(4), 2), &executor).err();
    assert_eq!((failure, executor.started().len()), (Some(Failure::Cancelled { at: Some(4) }), 2));
}

#[test]
fn a_later_run_goes_on_with_the_pass_of_which_a_batch_system_has_got_a_part() {
    let scene = Scene::new();
    let items = scene.items(9);
    let name = |shard: usize| format!("{}.{shard}-of-3", scene.key);
    let submit = |shard: usize| {
        let folder = scene.store.job_folder(&name(shard));
        let file = folder.path().join("submission.json");
        move || std::fs::write(file, "").unwrap()
    };
    let first = ends().does(scene.finds(0, 3, &items[..3]));
    let half = ends().does(submit(2)).does(scene.finds(1, 3, &items[3..5])).left();
    let executor = Scripted::playing([first, half, ends().left()]).in_batches();
    let left = scene.perform(scene.split(9, Shards::Jobs(3), 1), &executor).err();
    assert_eq!(left, Some(Failure::Left("it runs".to_owned())));

    // Whatever the file says now, and though there would be a shard less to do.
    let executor = Scripted::playing([ends(), ends().does(scene.finds(2, 3, &items[6..])), writes()]).in_batches();
    scene.perform(scene.split(9, Shards::Jobs(7), 1), &executor).unwrap();
    let names: Vec<String> = executor.started().into_iter().map(|started| started.name).collect();
    assert_eq!(names, [name(2), name(3), scene.key.to_string()]);
    let told = told_of_items(&executor);
    assert!(told[..2].iter().all(|items| items.known.len() == 5 && items.known.values().all(|known| known.fresh)));
    assert_eq!(told[2].known.len(), 8);
    assert_eq!(std::fs::read_dir(scene.store.job_folders()).unwrap().count(), 0, "nothing is left of its jobs");
}

#[test]
fn the_progress_of_a_split_stage_is_that_of_all_its_shards() {
    let scene = Scene::new();
    let executor = Scripted::playing([ends_after(&[1, 10]), ends_after(&[4, 10]), writes()]);
    scene.perform(scene.split(9, Shards::Jobs(2), 1), &executor).unwrap();
    let told: Vec<String> = scene.told().into_iter().filter(|told| told.starts_with("progress")).collect();
    assert_eq!(told, ["progress 1", "progress 10", "progress 14", "progress 20"]);
}

fn ends_after(done: &[u64]) -> Script {
    done.iter().fold(Script::ending(WELL), |script, done| script.says(progress(*done))).says(finished())
}
