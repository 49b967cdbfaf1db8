//! Renews the locks of this process in the background.
//!
//! One thread for all, which ends with the last lock. Without renewed locks there is none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::super::holder::Holder;
use super::disk::Disk;
use super::tenure::Tenure;

/// A renewed lock. Given back when dropped.
#[derive(Debug)]
pub(in crate::store) struct Held(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    /// None once it was given back.
    tenure: Mutex<Option<Tenure>>,
    disk: Disk,
}

/// The locks of this process.
struct Heart {
    kept: Vec<Weak<Kept>>,
    beats: bool,
}

static HEART: Mutex<Heart> = Mutex::new(Heart { kept: Vec::new(), beats: false });

impl Kept {
    fn tenure(&self) -> MutexGuard<'_, Option<Tenure>> {
        self.tenure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Renews it from now on.
    pub(super) fn new(tenure: Tenure, disk: Disk) -> Held {
        let interval = tenure.interval();
        let kept = Arc::new(Kept { tenure: Mutex::new(Some(tenure)), disk });
        let mut heart = HEART.lock().unwrap_or_else(PoisonError::into_inner);
        heart.kept.push(Arc::downgrade(&kept));
        if !heart.beats {
            // Without a thread the lock lasts for half its expiry, and whoever asks for it then renews it.
            heart.beats = std::thread::Builder::new().name("locks".to_owned()).spawn(move || beat(interval)).is_ok();
        }
        Held(kept)
    }

    /// The dead holder from whom it was taken.
    pub(in crate::store) fn left_by(&self) -> Option<Holder> {
        self.0.tenure().as_ref().and_then(|tenure| tenure.left_by().cloned())
    }

    /// Whether this process has had it without a gap until now. Asks the file system only if it wasn't renewed in time.
    pub(in crate::store) fn holds(&self) -> bool {
        self.0.tenure().as_mut().is_some_and(|tenure| tenure.holds(&self.0.disk))
    }

    /// The same, and nobody has deleted it.
    pub(in crate::store) fn is_there(&self) -> bool {
        self.0.tenure().as_mut().is_some_and(|tenure| tenure.is_there(&self.0.disk))
    }

    /// Gives it back, but leaves the dead holder's entry to others.
    pub(in crate::store) fn leave(self) {
        if let Some(tenure) = self.0.tenure().take() {
            tenure.leave(&self.0.disk);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Waits for a renewal in progress.
        if let Some(tenure) = self.0.tenure().take() {
            tenure.release(&self.0.disk);
        }
    }
}

fn beat(interval: Duration) {
    loop {
        std::thread::sleep(interval);
        let kept: Vec<Arc<Kept>> = {
            let mut heart = HEART.lock().unwrap_or_else(PoisonError::into_inner);
            heart.kept.retain(|kept| kept.strong_count() > 0);
            heart.beats = !heart.kept.is_empty();
            if !heart.beats {
                return;
            }
            heart.kept.iter().filter_map(Weak::upgrade).collect()
        };
        for kept in kept {
            if let Some(tenure) = kept.tenure().as_mut() {
                tenure.renew(&kept.disk);
            }
        }
    }
}
