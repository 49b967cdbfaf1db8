//! Event files for TensorBoard: a training's own files in TensorBoard's format.
//!
//! Made from `losses.jsonl`, `evaluations.jsonl`, `candidates.jsonl` and pictures; adds nothing to those. So events are views, not outputs of a
//! stage: they are part of no key, and deleting them loses nothing. During a training events are written in pieces, which
//! together are the same bytes as the whole. Writes no file.

mod hparams;
mod record;

use std::collections::BTreeMap;
use std::iter::Peekable;

use serde_json::Value;

use crate::exec::job::Candidate;
use crate::kind::choosing::Score;
use crate::kind::losses::LEARNING_RATE;
use crate::pipeline::Value as Parameter;
use hparams::{put_end, put_start};
use record::{What, put_event, put_image, put_scalar};

/// Increment when the same files give other events.
pub const REVISION: u32 = 4;

/// Pictures of a training: by iteration, tags with PNG or JPEG files.
pub type Pictures = BTreeMap<u64, Vec<(String, Vec<u8>)>>;

/// Events, as bytes of an event file.
#[derive(Default)]
pub struct Events(Vec<u8>);

impl Events {
    /// The beginning of every file: a reader drops what it has read in earlier files, so that no step shows twice.
    pub fn beginning() -> Events {
        let mut events = Events::default();
        put_event(&mut events.0, 0, &What::Version);
        put_event(&mut events.0, 0, &What::Start);
        events
    }

    /// Adds a PNG or JPEG. Ignores other files.
    pub fn picture(&mut self, step: u64, tag: &str, file: &[u8]) {
        let mut summary = Vec::new();
        put_image(&mut summary, tag, file);
        self.summary(step, &summary);
    }

    /// Adds the settings that the HPARAMS tab compares, by name; nothing if there are none.
    pub fn settings(&mut self, settings: &[(String, Parameter)]) {
        if !settings.is_empty() {
            let mut summary = Vec::new();
            put_start(&mut summary, settings);
            self.summary(0, &summary);
        }
    }

    /// Adds that the results are complete, for the HPARAMS tab.
    pub fn success(&mut self, step: u64) {
        let mut summary = Vec::new();
        put_end(&mut summary);
        self.summary(step, &summary);
    }

    /// Adds the mIoU of an evaluation's networks as `miou/<network>`, from 0 to 1.
    pub fn measured<'a>(&mut self, networks: impl Iterator<Item = (&'a str, f64)>) {
        self.scalars(0, networks.map(|(network, miou)| (format!("miou/{network}"), miou)));
    }

    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A line of a `losses.jsonl` as `loss/<name>` and `lr`. Older ones have `null` for losses that there are none of.
    fn losses(&mut self, step: u64, row: &BTreeMap<String, Value>) {
        let columns = row.iter().filter(|(name, _)| *name != "iteration");
        let tag = |name: &str| if name == LEARNING_RATE { name.to_owned() } else { format!("loss/{name}") };
        self.scalars(step, columns.filter_map(|(name, value)| Some((tag(name), value.as_f64()?))));
    }

    /// A line of an `evaluations.jsonl` as `miou/target` and `iou/<class>`, from 0 to 1.
    fn evaluation(&mut self, step: u64, row: &Value) {
        let classes = row["iou"].as_object().into_iter().flatten();
        let classes = classes.filter_map(|(class, iou)| Some((format!("iou/{class}"), iou.as_f64()?)));
        let mean = row["miou"].as_f64().map(|miou| ("miou/target".to_owned(), miou));
        self.scalars(step, mean.into_iter().chain(classes));
    }

    /// A line of a `candidates.jsonl` as `candidates/<score>`.
    fn candidate(&mut self, step: u64, row: &Value) {
        let Ok(candidate) = serde_json::from_value::<Candidate>(row.clone()) else { return };
        let scores = Score::ALL.into_iter();
        self.scalars(
            step,
            scores.filter_map(|score| Some((format!("candidates/{}", score.name()), candidate.score(score)?))),
        );
    }

    fn scalars(&mut self, step: u64, scalars: impl Iterator<Item = (String, f64)>) {
        let mut summary = Vec::new();
        scalars.for_each(|(tag, scalar)| put_scalar(&mut summary, &tag, scalar));
        self.summary(step, &summary);
    }

    fn summary(&mut self, step: u64, summary: &[u8]) {
        if !summary.is_empty() {
            put_event(&mut self.0, step, &What::Summary(summary));
        }
    }
}

/// What a training found when it looked at its network, a line each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looks<'a> {
    /// The whole `evaluations.jsonl`.
    pub evaluations: &'a str,
    /// The whole `candidates.jsonl`.
    pub candidates: &'a str,
}

/// How much of a training's files has been converted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Bytes of `losses.jsonl`.
    pub losses: u64,
    /// Iterations in those.
    pub iterations: u64,
    /// Lines of `evaluations.jsonl`.
    evaluations: usize,
    /// Lines of `candidates.jsonl`.
    candidates: usize,
    /// The iteration of the last pictures.
    pub pictures: u64,
}

impl Progress {
    /// Adds new data: `losses` is the content of `losses.jsonl` after [`Progress::losses`], possibly ending in half a line,
    /// `looks` those of all iterations and `pictures` those after [`Progress::pictures`], both read after it.
    /// Ignores invalid lines.
    ///
    /// A look comes after the losses of its iterations and before those of the next one, and so do pictures. Both are
    /// written before the next iteration's losses, so the order doesn't depend on the pieces. Until then pictures may
    /// be incomplete, so they wait for those losses, or for [`Progress::end`].
    pub fn follow(&mut self, losses: &[u8], looks: Looks, pictures: &Pictures, events: &mut Events) {
        let whole = losses.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.losses += whole as u64;
        let mut evaluations = pending(looks.evaluations, self.evaluations);
        let mut candidates = pending(looks.candidates, self.candidates);
        let rows = losses[..whole].split(|byte| *byte == b'\n');
        for row in rows.filter_map(|line| serde_json::from_slice::<BTreeMap<String, Value>>(line).ok()) {
            let iteration = row.get("iteration").and_then(Value::as_u64).unwrap_or(0);
            self.looked(iteration, &mut evaluations, &mut candidates, events);
            self.pictured(iteration, pictures, events);
            events.losses(iteration, &row);
            self.iterations = iteration + 1;
        }
        self.looked(self.iterations, &mut evaluations, &mut candidates, events);
    }

    /// Adds the remaining pictures of a finished training.
    pub fn end(&mut self, pictures: &Pictures, events: &mut Events) {
        self.pictured(u64::MAX, pictures, events);
    }

    /// Adds the pictures up to this iteration.
    fn pictured(&mut self, iterations: u64, pictures: &Pictures, events: &mut Events) {
        let upto = pictures.range(..=iterations);
        for (iteration, pictures) in upto.clone().filter(|(iteration, _)| **iteration > self.pictures) {
            pictures.iter().for_each(|(tag, file)| events.picture(*iteration, tag, file));
        }
        self.pictures = upto.last().map_or(0, |(iteration, _)| *iteration).max(self.pictures);
    }

    /// Adds the looks up to this iteration.
    fn looked(
        &mut self,
        iterations: u64,
        evaluations: &mut Peekable<impl Iterator<Item = (usize, Value)>>,
        candidates: &mut Peekable<impl Iterator<Item = (usize, Value)>>,
        events: &mut Events,
    ) {
        let done = |row: &Value| row["iteration"].as_u64().unwrap_or(0);
        while let Some((line, row)) = evaluations.next_if(|(_, row)| done(row) <= iterations) {
            events.evaluation(done(&row), &row);
            self.evaluations = line + 1;
        }
        while let Some((line, row)) = candidates.next_if(|(_, row)| done(row) <= iterations) {
            events.candidate(done(&row), &row);
            self.candidates = line + 1;
        }
    }
}

/// The valid lines after the first ones, with their numbers.
fn pending(text: &str, first: usize) -> Peekable<impl Iterator<Item = (usize, Value)>> {
    let lines = text.lines().enumerate().skip(first);
    lines.filter_map(|(line, text)| Some((line, serde_json::from_str(text).ok()?))).peekable()
}

#[cfg(test)]
mod tests;
