//! Results of trainings that differ from the exported one only in seed.
//!
//! The exported network's numbers are those of a single seed; the card shows the spread over other seeds beside them, if the
//! pipeline has run some. `compare` defines such repetitions.

use crate::pipeline::StageId;
use crate::results::compare::{Row, Wishes, compare, differ_by_seeds_alone};
use crate::sched::results;
use crate::sched::session::Session;

/// The results of a training and of its repetitions, a row per evaluation.
#[derive(Default)]
pub(super) struct Repeated {
    /// The seeds, as in the file.
    pub(super) seeds: Vec<String>,
    /// Means and deviations.
    pub(super) rows: Vec<Row>,
}

/// Empty for a training without repetitions, and if the sources can't be read.
pub(super) fn repeated(session: &mut Session, training: StageId) -> Repeated {
    let evaluations = session.pipeline.evaluations().collect::<Vec<_>>();
    if evaluations.is_empty() {
        // An empty list would mean all stages.
        return Repeated::default();
    }
    let mut runs = results::entries(session, &evaluations).unwrap_or_default();
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
