//! Processes a data set item by item: known items are reused, and each new finding is handed in at once.
//!
//! Knows the contract on items and no kind: files are bytes here, and values have the kind's own type. Outputs don't depend
//! on which items were reused, nor on how they were shared out over jobs, since a kind that works item by item computes each
//! from that item alone.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use intrada_data::{encode, source};
use intrada_runner::digest::{Digest, FileDigest};
use intrada_runner::exec::job::{self, Known};
use intrada_runner::finding::Finding;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::work::{Failure, Work};

/// An output that has one file per item.
pub struct Output {
    /// The folder.
    pub name: Cow<'static, str>,
    /// The extension of its files.
    pub ending: &'static str,
}

impl Output {
    /// The file of an item, relative to the folder of all outputs.
    fn file(&self, place: &Path) -> PathBuf {
        Path::new(&*self.name).join(place.with_extension(self.ending))
    }
}

/// The items of one job. `T` holds the values found for an item besides its files.
pub struct ItemWriter<'a, T> {
    work: &'a Work,
    outputs: &'a [Output],
    samples: Vec<Sample<T>>,
    by_name: HashMap<String, usize>,
    known: usize,
    handed_in: u64,
    /// The file of findings, once there is one.
    findings: Option<File>,
}

struct Sample<T> {
    name: String,
    /// Its file in each output, with that output's extension.
    place: PathBuf,
    /// The files that were found so far, by output: those of a part of it, or of all.
    files: BTreeMap<String, FileDigest>,
    found: Option<T>,
    state: State,
}

/// What is to be done about a sample.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// All of it is known.
    Whole,
    /// The same, since the items were divided into parts.
    Since,
    /// This job finds what isn't.
    Ours,
    /// Another job does.
    Theirs,
}

impl<'a, T: Serialize + DeserializeOwned> ItemWriter<'a, T> {
    /// Begins work on the data set of this role; reuses known items.
    ///
    /// # Errors
    /// The job names no such data set, or two samples would have the same files.
    pub fn begin(work: &'a Work, role: &str, outputs: &'a [Output]) -> Result<ItemWriter<'a, T>, Failure> {
        let names = work.sample_names(role)?;
        let places = if outputs.is_empty() {
            vec![PathBuf::new(); names.len()]
        } else {
            source::map_files(names.iter().map(String::as_str))?
        };
        let mut known = 0;
        let sample = |(name, place): (String, PathBuf)| {
            let (mut found, mut state, mut files) = (None, State::Ours, BTreeMap::new());
            if let Some(finding) = usable(work, &name) {
                found = serde_json::from_value(finding.values.clone()).ok();
                if finding.partial && found.is_some() {
                    match taken_over(work, finding, outputs, &place) {
                        Some(taken) => files = taken,
                        None => found = None,
                    }
                }
                let is_there = || is_shard(work) || found.is_some() && copied(work, finding, outputs, &place);
                if !finding.partial && is_there() {
                    state = if finding.fresh && is_shard(work) { State::Since } else { State::Whole };
                    known += usize::from(!finding.fresh);
                }
            }
            Sample { name, place, files, found, state }
        };
        let mut samples: Vec<Sample<T>> = names.into_iter().zip(places).map(sample).collect();
        leave_to_others(work, &mut samples);
        let by_name = samples.iter().enumerate().map(|(index, sample)| (sample.name.clone(), index)).collect();
        Ok(ItemWriter { work, outputs, samples, by_name, known, handed_in: 0, findings: None })
    }

    /// Whether the job only hands in what it finds, and writes no outputs.
    pub fn is_shard(&self) -> bool {
        is_shard(self.work)
    }

    /// The names of the samples still to compute.
    pub fn rest(&self) -> Vec<String> {
        self.samples.iter().filter(|sample| sample.state == State::Ours).map(|sample| sample.name.clone()).collect()
    }

    /// The places in the data set of the samples still to compute of which this isn't known.
    pub fn lacking(&self, is_known: impl Fn(&T) -> bool) -> Vec<usize> {
        let is_lacking =
            |sample: &Sample<T>| sample.state == State::Ours && !sample.found.as_ref().is_some_and(&is_known);
        (0..self.samples.len()).filter(|place| is_lacking(&self.samples[*place])).collect()
    }

    /// The number of samples.
    pub fn count(&self) -> usize {
        self.samples.len()
    }

    /// How many items were reused.
    pub fn known(&self) -> usize {
        self.known
    }

    /// How many items, or parts of one, this job has found.
    pub fn handed_in(&self) -> u64 {
        self.handed_in
    }

    /// Records the result of a sample: a file for each output, in order, and values.
    ///
    /// # Errors
    /// A file can't be written, or there is no such sample.
    pub fn add(&mut self, name: &str, files: &[Vec<u8>], values: T) -> Result<(), Failure> {
        let index = *self.by_name.get(name).ok_or_else(|| unasked(name))?;
        let all: &'a [Output] = self.outputs;
        let outputs = all.iter().map(|output| &*output.name);
        self.lay_down(index, &outputs.zip(files).collect::<Vec<_>>())?;
        self.hand_in(index, &values, false)?;
        self.samples[index].found = Some(values);
        self.samples[index].state = State::Whole;
        Ok(())
    }

    /// Records a part of the result of the sample at this place: files for some of the outputs, by name, and values, which `add`
    /// puts to what is known, and says whether that is all.
    ///
    /// # Errors
    /// The finding or a file can't be written.
    pub fn add_part(
        &mut self,
        index: usize,
        files: &[(&str, Vec<u8>)],
        add: impl FnOnce(&mut T) -> bool,
    ) -> Result<(), Failure>
    where
        T: Default,
    {
        self.lay_down(index, &files.iter().map(|(output, bytes)| (*output, bytes)).collect::<Vec<_>>())?;
        let mut values = self.samples[index].found.take().unwrap_or_default();
        let is_whole = add(&mut values);
        self.hand_in(index, &values, !is_whole)?;
        self.samples[index].found = Some(values);
        if is_whole {
            self.samples[index].state = State::Whole;
        }
        Ok(())
    }

    /// Moves the files into place. Returns the values of all samples, in order.
    ///
    /// # Errors
    /// A file can't be moved, or a sample has no result.
    pub fn finish(self) -> Result<Vec<(String, T)>, Failure> {
        if let Some(sample) = self.samples.iter().find(|sample| sample.state != State::Whole) {
            return Err(unasked(&sample.name));
        }
        for output in self.outputs {
            self.work.output_folder(&output.name)?;
            for Sample { place, .. } in &self.samples {
                let (waiting, place) =
                    (waiting(self.work, output, place), self.work.job.staging.join(output.file(place)));
                if waiting.exists() {
                    make_parent(&place)?;
                    fs::rename(waiting, place)?;
                }
            }
        }
        Ok(self.samples.into_iter().filter_map(|sample| Some((sample.name, sample.found?))).collect())
    }

    /// Writes files of a sample, by output.
    fn lay_down(&mut self, index: usize, files: &[(&str, &Vec<u8>)]) -> Result<(), Failure> {
        let outputs: &'a [Output] = self.outputs;
        for (name, bytes) in files {
            let output = outputs.iter().find(|output| output.name == **name).ok_or_else(|| unasked(name))?;
            let sample = &mut self.samples[index];
            encode::write(&waiting(self.work, output, &sample.place), bytes)?;
            sample.files.insert((*name).to_owned(), FileDigest(Digest::of(bytes)));
        }
        Ok(())
    }

    /// Hands the finding to the runner. It holds for the item's digest: a file whose bytes differ from the key's is never
    /// decoded.
    fn hand_in(&mut self, index: usize, values: &T, partial: bool) -> Result<(), Failure> {
        let (work, sample) = (self.work, &self.samples[index]);
        let Some(item) = work.job.items.as_ref().and_then(|items| items.item(&sample.name)) else { return Ok(()) };
        let file = match &mut self.findings {
            Some(file) => file,
            unopened => unopened.insert(open_findings(&job::Items::findings(&work.job.slot))?),
        };
        let finding = Finding {
            files: sample.files.clone(),
            values: serde_json::to_value(values)?,
            made_on: work.made_on.clone(),
            partial,
        };
        file.write_all(finding.line(item).as_bytes())?;
        self.handed_in += 1;
        Ok(())
    }
}

fn is_shard(work: &Work) -> bool {
    work.job.items.as_ref().is_some_and(|items| items.part.is_some())
}

/// Leaves to the other shards what isn't in the part of this one. Of samples with equal content it computes one: who writes the
/// outputs finds the others known.
fn leave_to_others<T>(work: &Work, samples: &mut [Sample<T>]) {
    let Some((items, part)) = work.job.items.as_ref().and_then(|items| Some((items, items.part?))) else { return };
    let mut seen = HashSet::new();
    for sample in samples.iter_mut().filter(|sample| sample.state != State::Whole) {
        let place = seen.len();
        let is_first = items.item(&sample.name).is_none_or(|item| seen.insert(item));
        if sample.state == State::Ours && !(is_first && part.has(place)) {
            sample.state = State::Theirs;
        }
    }
}

/// A finding of an earlier job, made on a device that gives the same results.
fn usable<'a>(work: &'a Work, name: &str) -> Option<&'a Known> {
    let items = work.job.items.as_ref()?;
    items.known.get(&items.item(name)?).filter(|known| known.made_on == work.made_on)
}

/// Files are collected in the resume slot, so that a killed pass keeps its work.
fn waiting(work: &Work, output: &Output, place: &Path) -> PathBuf {
    job::Items::files(&work.job.slot).join(output.file(place))
}

/// The files of a part that an earlier job has found, as if this one had. None if one of them can't be read or written: then the
/// item is computed again.
fn taken_over(work: &Work, known: &Known, outputs: &[Output], place: &Path) -> Option<BTreeMap<String, FileDigest>> {
    let one = |(name, object): (&String, &PathBuf)| {
        let output = outputs.iter().find(|output| output.name == **name)?;
        let bytes = fs::read(object).ok()?;
        encode::write(&waiting(work, output, place), &bytes).ok()?;
        Some((name.clone(), FileDigest(Digest::of(&bytes))))
    };
    known.files.iter().map(one).collect()
}

/// Puts its files in place. `false` if that fails: then it is computed again.
fn copied(work: &Work, known: &Known, outputs: &[Output], place: &Path) -> bool {
    outputs.iter().all(|output| {
        let to = work.job.staging.join(output.file(place));
        let Some(from) = known.files.get(&*output.name) else { return false };
        // Not hard-linked: a link would change the object's change time, which shows that it is intact.
        make_parent(&to).and_then(|()| fs::copy(from, to)).is_ok()
    })
}

/// Keeps what an earlier attempt wrote. Its last line may be incomplete and must not corrupt ours.
fn open_findings(path: &Path) -> std::io::Result<File> {
    make_parent(path)?;
    let mut file = File::options().create(true).append(true).open(path)?;
    file.write_all(b"\n").map(|()| file)
}

fn make_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn unasked(name: &str) -> Failure {
    Failure::advised(
        format!("`{name}` is in the data set or was looked at, but not both"),
        "this is a mistake in the kind",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use intrada_runner::digest::Item;
    use intrada_runner::exec::job::{Dataset, Job};
    use intrada_runner::finding::read;
    use intrada_runner::kind::dataset::{Encoding, Orientation};

    use super::*;
    use crate::work::tests::empty_job;

    /// Two images, `a` and `b`.
    fn job(folder: &Path) -> Job {
        let source =
            |name: &str| job::Source { path: folder.join(name), content: FileDigest(Digest::of(name.as_bytes())) };
        let sample = |name: &str| job::Sample { name: name.into(), image: source(name), label: None };
        let samples = vec![sample("a"), sample("b")];
        for name in ["staging", "slot"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let named = Some(["a", "b"].map(|name| (name.to_owned(), item(name))).into());
        let items = job::Items { samples: named, ..job::Items::default() };
        Job {
            stage: "entropy".into(),
            kind: "entropy-inference".into(),
            datasets: [(
                "images".to_owned(),
                Dataset::Files {
                    samples,
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
                },
            )]
            .into(),
            items: Some(items),
            ..empty_job(folder)
        }
    }

    fn item(name: &str) -> Item {
        Item(Digest::of(name.as_bytes()))
    }

    fn work(job: Job) -> Work {
        let made_on = job::made_on(true, job.threads, None);
        Work::new(job, made_on, Arc::default())
    }

    fn begin(work: &Work) -> ItemWriter<'_, f32> {
        ItemWriter::begin(work, "images", &[Output { name: Cow::Borrowed("maps"), ending: "png" }]).unwrap()
    }

    /// The names of the findings.
    fn handed_in(work: &Work) -> Vec<&'static str> {
        let found = read(&fs::read(job::Items::findings(&work.job.slot)).unwrap_or_default());
        ["a", "b"].into_iter().filter(|name| found.contains_key(&item(name))).collect()
    }

    #[test]
    fn what_one_job_hands_in_the_next_takes_over_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let first = work(job(folder.path()));
        let mut items = begin(&first);
        assert_eq!(items.rest(), ["a", "b"]);
        items.add("a", &[b"map of a".to_vec()], 0.1).unwrap();
        assert_eq!((handed_in(&first), items.handed_in()), (vec!["a"], 1));
        assert!(items.finish().is_err(), "nothing was found of b");

        let findings = read(&fs::read(job::Items::findings(&first.job.slot)).unwrap());
        let Finding { values, made_on, files, partial } = findings[&item("a")].clone();
        assert_eq!(files["maps"].0, Digest::of(b"map of a"));
        let file = job::Items::files(&first.job.slot).join("maps/a.png");
        let files = [("maps".to_owned(), file.clone())].into();
        let known = Known { files, values, made_on, partial, fresh: false };
        let folder = tempfile::tempdir().unwrap();
        let mut next = job(folder.path());
        next.items.as_mut().unwrap().known.insert(item("a"), known);
        let second = work(next.clone());
        let mut items = begin(&second);
        assert_eq!((items.rest(), items.known()), (vec!["b".to_owned()], 1));
        items.add("b", &[b"map of b".to_vec()], 0.2).unwrap();
        assert_eq!(items.finish().unwrap(), [("a".to_owned(), 0.1), ("b".to_owned(), 0.2)]);
        for name in ["a", "b"] {
            let map = fs::read(second.job.staging.join("maps").join(format!("{name}.png"))).unwrap();
            assert_eq!(map, format!("map of {name}").into_bytes());
        }

        next.threads = 2;
        assert_eq!(begin(&work(next.clone())).known(), 0, "sums come out otherwise");
        next.threads = 1;
        fs::remove_file(file).unwrap();
        assert_eq!(begin(&work(next)).known(), 0, "its file is gone");
    }

    #[test]
    fn shards_share_out_what_is_not_known_and_one_finds_what_is_there_twice() {
        let folder = tempfile::tempdir().unwrap();
        let job = job(folder.path());
        let rest = |index, change: fn(&mut job::Items)| {
            let mut job = job.clone();
            let items = job.items.as_mut().unwrap();
            items.part = Some(job::Part { index, of: 2 });
            change(items);
            let work = work(job);
            let items = begin(&work);
            assert!(items.is_shard());
            items.rest()
        };
        let both = |change| [0, 1].map(|index| rest(index, change));
        assert_eq!(both(|_| ()), [["a"], ["b"]]);
        let same = |items: &mut job::Items| {
            items.samples.as_mut().unwrap().insert("b".to_owned(), item("a"));
        };
        assert_eq!(both(same), [vec!["a"], vec![]]);
        // As a shard is told: without what was found.
        let known = |items: &mut job::Items| {
            let made_on = job::made_on(true, 1, None);
            let known =
                Known { files: [].into(), values: serde_json::Value::Null, made_on, partial: false, fresh: false };
            items.known.insert(item("a"), known);
        };
        assert_eq!(both(known), [vec!["b"], vec![]]);
        let since = |items: &mut job::Items| {
            let made_on = job::made_on(true, 1, None);
            let known =
                Known { files: [].into(), values: serde_json::Value::Null, made_on, partial: false, fresh: true };
            items.known.insert(item("a"), known);
        };
        assert_eq!(both(since), [vec![], vec!["b"]]);
    }

    #[test]
    fn an_item_of_which_a_part_is_known_is_completed_and_then_known() {
        let folder = tempfile::tempdir().unwrap();
        let first = work(job(folder.path()));
        let begin = |work| ItemWriter::<Vec<u8>>::begin(work, "images", &[]).unwrap();
        let add = |items: &mut ItemWriter<Vec<u8>>, index, number| {
            let add = |found: &mut Vec<u8>| {
                found.push(number);
                found.len() == 2
            };
            items.add_part(index, &[], add).unwrap();
        };
        let mut items = begin(&first);
        add(&mut items, 0, 1);
        add(&mut items, 0, 2);
        add(&mut items, 1, 3);
        assert_eq!((items.rest(), items.handed_in()), (vec!["b".to_owned()], 3));

        let mut next = first.job.clone();
        for (item, finding) in read(&fs::read(job::Items::findings(&first.job.slot)).unwrap()) {
            let Finding { values, made_on, partial, .. } = finding;
            let known = Known { files: [].into(), values, made_on, partial, fresh: false };
            next.items.as_mut().unwrap().known.insert(item, known);
        }
        let second = work(next);
        let mut items = begin(&second);
        assert_eq!((items.known(), items.lacking(|found| found.contains(&3))), (1, vec![]));
        assert_eq!(items.lacking(|found| found.contains(&4)), [1]);
        add(&mut items, 1, 4);
        assert_eq!(items.finish().unwrap(), [("a".to_owned(), vec![1, 2]), ("b".to_owned(), vec![3, 4])]);
    }
    #[test]
    fn the_files_of_a_part_go_with_it_to_whoever_completes_it() {
        let outputs = ["one", "other"].map(|name| Output { name: Cow::Borrowed(name), ending: "png" });
        let folder = tempfile::tempdir().unwrap();
        let first = work(job(folder.path()));
        let mut items = ItemWriter::<u8>::begin(&first, "images", &outputs).unwrap();
        let add = |items: &mut ItemWriter<u8>, index: usize, output: &str| {
            let file = format!("{output} of {index}").into_bytes();
            let add = |found: &mut u8| {
                *found += 1;
                *found == 2
            };
            items.add_part(index, &[(output, file)], add).unwrap();
        };
        for (index, output) in [(0, "one"), (0, "other"), (1, "one")] {
            add(&mut items, index, output);
        }

        let slot = job::Items::files(&first.job.slot);
        let known = |(item, finding): (Item, Finding)| {
            let name = |item: Item| if item == self::item("a") { "a" } else { "b" };
            let file = |output: &String| (output.clone(), slot.join(output).join(format!("{}.png", name(item))));
            let files = finding.files.keys().map(file).collect();
            let Finding { values, made_on, partial, .. } = finding;
            (item, Known { files, values, made_on, partial, fresh: false })
        };
        let folder = tempfile::tempdir().unwrap();
        let mut next = job(folder.path());
        let findings = read(&fs::read(job::Items::findings(&first.job.slot)).unwrap());
        next.items.as_mut().unwrap().known = findings.into_iter().map(known).collect();
        let second = work(next.clone());
        let mut items = ItemWriter::<u8>::begin(&second, "images", &outputs).unwrap();
        assert_eq!((items.known(), items.rest()), (1, vec!["b".to_owned()]));
        add(&mut items, 1, "other");
        let findings = read(&fs::read(job::Items::findings(&second.job.slot)).unwrap());
        assert_eq!(findings[&item("b")].files.keys().collect::<Vec<_>>(), ["one", "other"]);
        items.finish().unwrap();
        for (index, name, output) in [(0, "a", "one"), (0, "a", "other"), (1, "b", "one"), (1, "b", "other")] {
            let file = fs::read(second.job.staging.join(output).join(format!("{name}.png"))).unwrap();
            assert_eq!(file, format!("{output} of {index}").into_bytes());
        }

        // A part whose file is gone is found anew.
        fs::remove_file(slot.join("one/b.png")).unwrap();
        next.slot = tempfile::tempdir().unwrap().keep();
        let items = work(next);
        let items = ItemWriter::<u8>::begin(&items, "images", &outputs).unwrap();
        assert_eq!(items.lacking(|_| true), [1]);
    }
}
