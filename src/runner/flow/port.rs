//! How facts enter the flow: a queue with a sending end and a `Stream` end, for one thread.
//!
//! Knows neither the facts nor the flow. Deliberately not a tokio channel: polled inside a tokio task such a channel spends
//! the task's cooperative budget, then answers "pending" and wakes itself; the flow never returns to the scheduler, so the
//! two would spin forever.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use dfir_rs::futures::Stream;

/// The sending end.
pub(super) struct Port<T>(Rc<RefCell<VecDeque<T>>>);

/// The end that the flow reads: yields facts in order; "pending" if there are no more, never the end.
pub(super) struct Arrivals<T>(Rc<RefCell<VecDeque<T>>>);

/// Creates an empty queue.
pub(super) fn port<T>() -> (Port<T>, Arrivals<T>) {
    let queue = Rc::new(RefCell::new(VecDeque::new()));
    (Port(queue.clone()), Arrivals(queue))
}

impl<T> Port<T> {
    /// Queues one fact for the next tick.
    pub(super) fn send(&self, fact: T) {
        self.0.borrow_mut().push_back(fact);
    }
}

impl<T> Stream for Arrivals<T> {
    type Item = T;

    /// Registers no waker: nobody awaits the flow, each tick polls again.
    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.borrow_mut().pop_front().map_or(Poll::Pending, |fact| Poll::Ready(Some(fact)))
    }
}
