//! Losses between the iteration that computes them and the log.
//!
//! Reading a number waits until a GPU has done all that it was told to, and then it stands still until the next step has begun. So
//! losses stay where they are, and those of several iterations are read in one copy. When that is due is the loop's; which losses
//! there are is not known here. Bytes of the log don't depend on when they are read.
use super::error::AdaptError;
use super::losses::{LossRow, Unread};
use super::slot::Slot;

/// So many iterations wait at most. A loss that is no number is noticed that much later, and a kill takes that many lines of the log
/// that a checkpoint doesn't count on anyway.
const MOST: usize = 10;

/// The losses of a run, on their way.
#[derive(Default)]
pub(super) struct Readings {
    unread: Vec<Unread>,
    /// Read, and in the log, since the observer was last told.
    untold: Vec<LossRow>,
    /// The last one that was read.
    last: Option<LossRow>,
}

impl Readings {
    /// Takes those of the next iteration.
    pub(super) fn take(&mut self, losses: Unread) {
        self.unread.push(losses);
    }

    /// Whether no more may wait.
    pub(super) fn are_many(&self) -> bool {
        self.unread.len() >= MOST
    }

    /// Reads what waits and appends it to the log.
    ///
    /// # Errors
    /// The first loss that is infinite or not a number. What comes before it is in the log, and nothing from it on.
    pub(super) fn read(&mut self, slot: &mut Slot) -> Result<(), AdaptError> {
        for row in Unread::read(std::mem::take(&mut self.unread)) {
            if let Some((loss, value)) = row.not_finite() {
                let before = self.last.take().map(Box::new);
                return Err(AdaptError::LossNotFinite {
                    iteration: row.iteration,
                    loss,
                    value,
                    before,
                    kept: slot.kept(),
                });
            }
            slot.append(&row)?;
            self.untold.push(row.clone());
            self.last = Some(row);
        }
        Ok(())
    }

    /// What was read and not yet told. From here on it is.
    pub(super) fn tell(&mut self) -> Vec<LossRow> {
        std::mem::take(&mut self.untold)
    }
}
