//! Work done ahead by threads and returned in order.
//!
//! Doesn't know the work, only that item `i` is a function of `i`. Threads take the next free number; results wait in a map
//! until their turn. So the order of the items doesn't depend on the number of threads, unlike with a channel that is
//! filled as threads finish.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

/// Items of a range of numbers, in order, made ahead by threads. Dropping it ends the threads.
pub struct Prefetch<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    /// Notified whenever the queue changes.
    changed: Condvar,
}

struct Queue<T> {
    /// The next number a thread takes.
    take: u64,
    /// The next number that is handed out.
    give: u64,
    end: u64,
    /// How far `take` may be ahead of `give`: limits the memory.
    ahead: u64,
    /// Finished items not yet returned; a panic in place of an item that could not be made.
    ready: BTreeMap<u64, thread::Result<T>>,
    stopped: bool,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts `threads` threads that make the items of `range`, at most `ahead` of them before they are asked for.
    pub fn start(
        range: Range<u64>,
        threads: NonZeroUsize,
        ahead: NonZeroUsize,
        make: impl Fn(u64) -> T + Send + Sync + 'static,
    ) -> Self {
        let (take, end, ahead) = (range.start, range.end, ahead.get() as u64);
        let queue = Queue { take, give: take, end, ahead, ready: BTreeMap::new(), stopped: false };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), changed: Condvar::new() });
        let make = Arc::new(make);
        let threads = (0..threads.get())
            .map(|_| {
                let (shared, make) = (Arc::clone(&shared), Arc::clone(&make));
                thread::spawn(move || shared.work(&*make))
            })
            .collect();
        Self { shared, threads }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = T;

    /// Waits for the next item; none after the last.
    ///
    /// # Panics
    /// With the panic of the thread that was to make it.
    fn next(&mut self) -> Option<T> {
        let mut queue = self.shared.lock();
        if queue.give >= queue.end {
            return None;
        }
        let number = queue.give;
        let item = loop {
            match queue.ready.remove(&number) {
                Some(item) => break item,
                None => queue = self.shared.wait(queue),
            }
        };
        queue.give += 1;
        drop(queue);
        self.shared.changed.notify_all();
        Some(item.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            thread.join().expect("threads hand panics over instead of dying of them");
        }
    }
}

impl<T> Shared<T> {
    fn work(&self, make: &dyn Fn(u64) -> T) {
        while let Some(number) = self.take() {
            // Without this the consumer would wait forever for the item of a thread that died.
            let item = catch_unwind(AssertUnwindSafe(|| make(number)));
            self.lock().ready.insert(number, item);
            self.changed.notify_all();
        }
    }

    /// The next number to be made, once there is room for it; none when there is nothing more to do.
    fn take(&self) -> Option<u64> {
        let mut queue = self.lock();
        loop {
            if queue.stopped || queue.take >= queue.end {
                return None;
            }
            if queue.take < queue.give + queue.ahead {
                queue.take += 1;
                return Some(queue.take - 1);
            }
            queue = self.wait(queue);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().expect("no thread panics while it holds the queue")
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue<T>>) -> MutexGuard<'a, Queue<T>> {
        self.changed.wait(queue).expect("no thread panics while it holds the queue")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    fn number(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).unwrap()
    }

    #[test]
    fn items_come_in_order_whatever_takes_long() {
        for threads in [1, 2, 5] {
            let items = Prefetch::start(3..40, number(threads), number(4), |i| {
                thread::sleep(Duration::from_micros((i * 7919) % 500));
                i * i
            });
            assert_eq!(items.collect::<Vec<_>>(), (3..40).map(|i| i * i).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn no_more_than_asked_is_made_ahead() {
        let made = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&made);
        let mut items = Prefetch::start(0..100, number(3), number(5), move |i| {
            count.fetch_add(1, Ordering::SeqCst);
            i
        });
        items.next();
        thread::sleep(Duration::from_millis(30));
        assert!(made.load(Ordering::SeqCst) <= 6, "{made:?}");
    }

    #[test]
    fn dropping_ends_the_threads() {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let mut items = Prefetch::start(0..u64::MAX, number(4), number(8), move |i| {
            let _held = &held;
            i
        });
        assert_eq!(items.next(), Some(0));
        drop(items);
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    #[should_panic(expected = "item 2 is broken")]
    fn a_panic_in_a_thread_reaches_who_asks_for_its_item() {
        let items = Prefetch::start(0..9, number(2), number(3), |i| {
            assert!(i != 2, "item {i} is broken");
            i
        });
        items.count();
    }
}
