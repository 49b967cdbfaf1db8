//! A result on its way to shared caches, and which outputs the run goes on with.
//!
//! Knows no upstream. The job's thread waits for the transfer; the scheduler frees the stage's resources at the first news of it.

use std::time::{Duration, Instant};

use crate::exec::Failure;
use crate::store::index::PlacedOutput;
use crate::store::{Recorded, Sent};

use super::{Context, Order};
use crate::sched::failure::failed;
use crate::sched::news::News;

/// Between two reports of progress.
const BREATH: Duration = Duration::from_millis(500);

impl Order {
    /// Copies the published result to shared caches and places the outputs: those of the key's first record, if another machine
    /// was first with other outputs, so that keys downstream agree on all machines; else its own.
    pub(super) fn push_and_place(
        &self,
        context: &Context<'_>,
        own: Recorded,
    ) -> Result<(Recorded, Vec<PlacedOutput>), Failure> {
        if let Some(first) = self.push(context)?
            && let Some(adopted) = self.adopt(context, &own, first)?
        {
            return Ok(adopted);
        }
        let placed = self.place(context.store, &own, context.control, context.tell)?;
        Ok((own, placed))
    }

    /// The first record, if it is another machine's with other outputs.
    fn push(&self, context: &Context<'_>) -> Result<Option<Recorded>, Failure> {
        let Context { store, control, tell, .. } = *context;
        if self.pushes_later || !store.pushes() {
            return Ok(None);
        }
        let mut told: Option<Instant> = None;
        let mut go_on = |sent: &Sent| {
            if told.is_none_or(|told| told.elapsed() > BREATH) {
                told = Some(Instant::now());
                tell(News::Pushing(sent.clone()));
            }
            !control.is_told_to_stop()
        };
        go_on(&Sent::default());
        store.push(self.key, &mut go_on).map_err(failed)
    }

    /// Places the outputs of another machine's record. `None`: they aren't all there.
    fn adopt(
        &self,
        context: &Context<'_>,
        own: &Recorded,
        mut first: Recorded,
    ) -> Result<Option<(Recorded, Vec<PlacedOutput>)>, Failure> {
        let Context { store, control, tell, .. } = *context;
        let _claims = self.claim_outputs(store, control, tell)?;
        let _hold = store.hold().map_err(failed)?;
        let from = first.pulled_from().unwrap_or_default().to_owned();
        let placed = self.place_if_whole(store, &first, tell)?;
        tell(News::Remark(match placed {
            Some(_) => format!(
                "has another result in the shared cache `{from}`, which was first; this run goes on with that one"
            ),
            None => format!(
                "has another result in the shared cache `{from}`, which was first but is incomplete; this run goes on with its own"
            ),
        }));
        // What it took here.
        first.trace.seconds = own.trace.seconds;
        Ok(placed.map(|placed| (first, placed)))
    }
}
