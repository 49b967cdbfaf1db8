//! The images on which a training scores its snapshots without labels: there must be some.
//!
//! Which of its data sets they are, [`SCORED_ON`] says.

use super::problem::Problem;
use super::resolve::{Building, Resolver};
use super::{DatasetId, Pipeline, Stage};
use crate::kind::training::{ADAPTING, CANDIDATES, CANDIDATES_EVERY, SCORED_ON};

impl Resolver<'_> {
    /// Reports a training without images to choose a snapshot on.
    pub(super) fn check_candidates(&mut self, building: &Building<'_>) {
        let values = &building.table.values;
        let Some(every) = values.get(CANDIDATES_EVERY) else { return };
        // A target that is missing, and a name that is wrong, have been reported.
        let is_reported = values.has(CANDIDATES) || values.applies(Some(ADAPTING)) != Some(false);
        if is_reported || scored_on(&building.stage).is_some() {
            return;
        }
        let title = format!("`{CANDIDATES_EVERY}` needs images of the target, and this training has no target");
        let help = format!("name a data set of the target in `{CANDIDATES}`; its labels are not read");
        self.problems.push(Problem::error(title).at(every.span, "").help(help));
    }
}

impl Pipeline {
    /// The data set on which a training scores its snapshots without labels; `None` if it chooses none of them.
    pub fn scored_on(&self, stage: &Stage) -> Option<DatasetId> {
        stage.parameter(CANDIDATES_EVERY).and_then(|_| scored_on(stage))
    }
}

fn scored_on(stage: &Stage) -> Option<DatasetId> {
    SCORED_ON.iter().find_map(|role| stage.input(role))?.dataset()
}
