//! What trainings found that differ from the exported one by their seeds alone.
//!
//! One network is handed on, and its numbers are those of one seed: how far they would go with another is told beside them,
//! as far as the pipeline has tried. What such a repetition is, `compare` knows.

use crate::pipeline::StageId;
use crate::results::compare::{Row, Wishes, compare, differ_by_seeds_alone};
use crate::sched::results;
use crate::sched::session::Session;

/// The results of a training and of its repetitions, a row an evaluation.
#[derive(Default)]
pub(super) struct Repeated {
    /// The seeds, as the file has them.
    pub(super) seeds: Vec<String>,
    /// Means and deviations.
    pub(super) rows: Vec<Row>,
}

/// Of a training that isn't repeated, and where the sources can't be read, nothing.
pub(super) fn repeated(session: &mut Session, training: StageId) -> Repeated {
    let evaluations = session.pipeline.evaluations().collect::<Vec<_>>();
    if evaluations.is_empty() {
        // No target would mean all stages.
        return Repeated::default();
    }
    let mut runs = results::entries(session, &evaluations, false).unwrap_or_default();
    let own = results::lineage(session, training);
    let stage = session.pipeline.stage(training);
    runs.retain(|run| run.weights == stage.family && differ_by_seeds_alone(&run.parameters, &own));
    let name = format!("{}.seed", stage.family);
    let measured = runs.iter().filter(|run| run.is_measured()).flat_map(|run| &run.parameters);
    let mut seeds: Vec<String> = Vec::new();
    for (_, seed) in measured.filter(|(parameter, _)| *parameter == name) {
        if !seeds.contains(seed) {
            seeds.push(seed.clone());
        }
    }
    let mut rows = compare(runs, &Wishes::default()).map(|compared| compared.rows).unwrap_or_default();
    rows.retain(|row| row.measured > 1);
    Repeated { seeds, rows }
}
