//! `class-statistics`: the pixels of each class in every label, for trainings with rare class sampling.
//!
//! Works label by label: a label that an earlier stage has counted is reused, unless it comes from a pseudo-labelling stage.

use std::num::NonZeroUsize;

use intrada_data::class_counts::{self, Counts, Statistics};
use intrada_data::label::Encoding;
use intrada_data::source::{Sample, Source};
use intrada_runner::exec::job::Class;

use super::summary;
use crate::items::ItemWriter;
use crate::work::{Failure, Notes, Work};

pub(super) fn perform(work: &Work) -> Result<Notes, Failure> {
    let classes = work.class_count()?;
    if work.job.inputs.contains_key("labels") {
        let source = files(work)?;
        let all = (0..work.folder("labels")?.len()).collect();
        let mut counted = Vec::new();
        count(work, &source, all, |name, counts| {
            counted.push((name, counts));
            Ok(counted.len() as u64)
        })?;
        return write(work, Statistics::new(counted, classes), 0);
    }
    let mut items = ItemWriter::<Counts>::begin(work, "dataset", &[])?;
    let rest = items.lacking(|_| false);
    if !rest.is_empty() {
        count(work, &work.source("dataset")?, rest, |name, counts| {
            items.add(&name, &[], counts)?;
            Ok(items.handed_in())
        })?;
    }
    if items.is_shard() {
        return Ok(summary(format!("{} labels", items.handed_in())));
    }
    let known = items.known();
    write(work, Statistics::new(items.finish()?, classes), known)
}

/// The labels of another stage, as a data set of which only the labels are read.
fn files(work: &Work) -> Result<Source, Failure> {
    let file = |(name, path): (&String, &std::path::PathBuf)| Sample {
        name: name.clone(),
        image: path.clone().into(),
        label: Some(path.clone().into()),
    };
    Ok(Source::Files {
        samples: work.folder("labels")?.iter().map(file).collect(),
        size: None,
        label_map: None,
        encoding: Encoding::Index,
        orientation: Default::default(),
        scaling: Default::default(),
        margins: Default::default(),
        detail: Default::default(),
        keep: None,
    })
}

/// Counts these labels. `add` takes each, and says how many are kept if this is interrupted.
fn count(
    work: &Work,
    source: &Source,
    samples: Vec<usize>,
    mut add: impl FnMut(String, Counts) -> Result<u64, Failure>,
) -> Result<(), Failure> {
    let (classes, total) = (work.class_count()?, samples.len() as u64);
    let threads = NonZeroUsize::new(work.job.threads as usize).unwrap_or(NonZeroUsize::MIN);
    for (done, counted) in (1..).zip(class_counts::count(source, samples, classes, threads)?) {
        let (name, counts) = counted?;
        let kept = add(name, counts)?;
        work.progress(done, total, "images", Vec::new());
        if work.is_stopping() {
            return Err(Failure::Interrupted { at: kept });
        }
    }
    Ok(())
}

fn write(work: &Work, statistics: Statistics, known: usize) -> Result<Notes, Failure> {
    std::fs::write(work.output("class_counts.jsonl")?, statistics.text())?;
    let Statistics { total, images } = statistics;
    let (labelled, ignored) = (total.labelled(), total.ignored);
    let percent = |pixels: u64, of: u64| 100.0 * pixels as f64 / of.max(1) as f64;
    let reused = if known > 0 { format!(", {known} reused") } else { String::new() };
    let share = percent(labelled, labelled + ignored);
    let mut notes = summary(format!("{} labels{reused}, {share:.1} % of their pixels labelled", images.len()));
    let of_class = |(class, pixels): (&Class, &u64)| format!("{} {:.3} %", class.name, percent(*pixels, labelled));
    let shares = work.job.classes.iter().zip(&total.pixels).map(of_class);
    notes.insert("classes".to_owned(), shares.collect::<Vec<_>>().join(", "));
    Ok(notes)
}
