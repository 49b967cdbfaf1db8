//! The batches of an iteration, of both sides, with their tensors where the networks are.
//!
//! With a step ahead, the batches of the next iteration are fetched and their copies begun before those of this one are used; a GPU
//! then finds them when it gets there. Their memory is pinned, without which a copy occupies the host. What is in the batches
//! doesn't depend on it. It knows no network and no loss.
use intrada_data::DataError;
use tch::{Device, Tensor};

use crate::data::{Batch, Batches};
use crate::device::{onto, pinned_onto};

/// A batch, and its tensors on the device of the networks.
pub(super) struct Fed {
    /// As it was read, on the host.
    pub batch: Batch,
    pub images: Tensor,
    pub labels: Option<Tensor>,
    pub inside: Option<Tensor>,
}

impl Fed {
    /// Copies it by `copy`.
    pub(super) fn new(batch: Batch, copy: impl Fn(&Tensor) -> Tensor) -> Fed {
        let copied = |tensor: &Option<Tensor>| tensor.as_ref().map(&copy);
        Fed { images: copy(&batch.images), labels: copied(&batch.labels), inside: copied(&batch.inside), batch }
    }
}

/// Those of an iteration: the labelled side's, and the other side's where a term looks at it.
pub(super) type Pair = (Fed, Option<Fed>);

/// Streams of both sides.
pub(super) struct Feed {
    source: Box<dyn Batches>,
    target: Option<Box<dyn Batches>>,
    device: Device,
    /// How many further iterations there are to fetch; none: those of an iteration are fetched when it begins.
    ahead: Option<u64>,
    next: Option<Result<Pair, DataError>>,
}

impl Feed {
    /// Both streams begin at the same iteration, of which so many are `left`.
    pub(super) fn new(
        source: Box<dyn Batches>,
        target: Option<Box<dyn Batches>>,
        device: Device,
        is_ahead: bool,
        left: u64,
    ) -> Feed {
        Feed { source, target, device, ahead: is_ahead.then_some(left), next: None }
    }

    /// Those of the next iteration. What is wrong with the one after it is said when it is its turn.
    ///
    /// # Errors
    /// As [`Batches::next_batch`].
    pub(super) fn next(&mut self) -> Result<Pair, DataError> {
        if self.ahead.is_none() {
            return self.fetch(onto);
        }
        let pair = match self.next.take() {
            Some(fetched) => fetched,
            None => self.fetch_ahead(),
        }?;
        if self.ahead > Some(0) {
            self.next = Some(self.fetch_ahead());
        }
        Ok(pair)
    }

    fn fetch_ahead(&mut self) -> Result<Pair, DataError> {
        self.ahead = self.ahead.map(|left| left.saturating_sub(1));
        self.fetch(pinned_onto)
    }

    fn fetch(&mut self, copy: impl Fn(&Tensor, Device) -> Tensor) -> Result<Pair, DataError> {
        let source = self.source.next_batch()?;
        let target = self.target.as_mut().map(|target| target.next_batch()).transpose()?;
        let fed = |batch| Fed::new(batch, |tensor| copy(tensor, self.device));
        Ok((fed(source), target.map(fed)))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// Batches with their iteration as a name, up to an end; it notes which were fetched.
    struct Numbered {
        next: u64,
        end: u64,
        fetched: Rc<RefCell<Vec<u64>>>,
    }

    impl Batches for Numbered {
        fn next_batch(&mut self) -> Result<Batch, DataError> {
            if self.next == self.end {
                return Err(DataError::Exhausted { iterations: self.end });
            }
            self.fetched.borrow_mut().push(self.next);
            self.next += 1;
            let images = Tensor::from_slice(&[self.next as f32]).view([1, 1, 1, 1]);
            Ok(Batch { images, labels: None, inside: None, names: vec![(self.next - 1).to_string()] })
        }
    }

    /// A feed of iterations 2 to 4, of which the images of those from `end` on can't be had; and what it fetches.
    fn feed(is_ahead: bool, end: u64) -> (Feed, Rc<RefCell<Vec<u64>>>) {
        let fetched = Rc::new(RefCell::new(Vec::new()));
        let numbered = || Box::new(Numbered { next: 2, end, fetched: fetched.clone() });
        (Feed::new(numbered(), Some(numbered()), Device::Cpu, is_ahead, 3), fetched)
    }

    #[test]
    fn a_step_ahead_gives_the_same_batches_and_fetches_none_beyond_the_last() {
        for is_ahead in [false, true] {
            let (mut feed, fetched) = feed(is_ahead, 100);
            for iteration in 2..5 {
                let (source, target) = feed.next().unwrap();
                assert_eq!(source.batch.names, [iteration.to_string()]);
                assert_eq!(target.unwrap().batch.names, source.batch.names);
                assert_eq!(source.images, source.batch.images);
                let ahead = if is_ahead && iteration < 4 { 1 } else { 0 };
                assert_eq!(fetched.borrow().len() as u64, 2 * (iteration - 1 + ahead));
            }
        }
    }

    #[test]
    fn what_cannot_be_had_is_said_at_its_own_iteration() {
        for is_ahead in [false, true] {
            let (mut feed, _) = feed(is_ahead, 3);
            assert!(feed.next().is_ok(), "the trouble is in the next one");
            assert!(matches!(feed.next(), Err(DataError::Exhausted { iterations: 3 })));
        }
    }
}
