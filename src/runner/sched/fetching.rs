//! Copying results from shared caches, on threads of its own: a large one keeps neither other stages nor an interrupt waiting.
//!
//! Knows keys and the store; not what they are results of. A look-up that finds nothing in the own cache waits here until the
//! shared caches were asked. A thread that nobody waits for any more goes on: what it copies is of use to a later run.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use crate::digest::Key;
use crate::flow::NodeId;
use crate::store::Store;

use super::message::{Fetched, Message};

/// How many results are copied at once. Of each, several files are.
const AT_ONCE: usize = 4;

/// A look-up.
type LookUp = (NodeId, Key);

/// The look-ups that wait for shared caches, and those that did.
#[derive(Default)]
pub(super) struct Fetching {
    running: HashSet<LookUp>,
    waiting: VecDeque<LookUp>,
    done: HashMap<LookUp, Fetched>,
}

impl Fetching {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    pub(super) fn has(&self, node: NodeId) -> bool {
        self.running.iter().chain(&self.waiting).any(|(fetched, _)| *fetched == node)
    }

    /// Whether somebody still waits for an answer.
    pub(super) fn waits(&self, look_up: LookUp) -> bool {
        self.running.contains(&look_up)
    }

    /// Forgets a look-up that isn't wanted any more.
    pub(super) fn cancel(&mut self, look_up: LookUp) {
        self.running.remove(&look_up);
        self.waiting.retain(|waiting| *waiting != look_up);
        self.done.remove(&look_up);
    }

    /// What came of a look-up, once.
    pub(super) fn take(&mut self, look_up: LookUp) -> Option<Fetched> {
        self.done.remove(&look_up)
    }

    /// Asks the shared caches; [`Message::Fetched`] comes when they have answered.
    pub(super) fn ask(&mut self, look_up: LookUp, store: &Arc<Store>, send: &Sender<Message>) {
        self.waiting.push_back(look_up);
        self.start(store, send);
    }

    /// The shared caches have answered. Returns whether anybody still waits for it.
    pub(super) fn came(
        &mut self,
        look_up: LookUp,
        fetched: Fetched,
        store: &Arc<Store>,
        send: &Sender<Message>,
    ) -> bool {
        let is_wanted = self.running.remove(&look_up);
        if is_wanted {
            self.done.insert(look_up, fetched);
        }
        self.start(store, send);
        is_wanted
    }

    fn start(&mut self, store: &Arc<Store>, send: &Sender<Message>) {
        while self.running.len() < AT_ONCE
            && let Some(look_up) = self.waiting.pop_front()
        {
            self.running.insert(look_up);
            let (store, send) = (Arc::clone(store), send.clone());
            std::thread::spawn(move || {
                let (node, key) = look_up;
                let fetched = match store.fetch(key, || drop(send.send(Message::Fetching(node, key)))) {
                    Ok(Some(from)) => Fetched::From(from),
                    Ok(None) => Fetched::Nowhere,
                    Err(_) => Fetched::Failed,
                };
                // The run may be over.
                let _ = send.send(Message::Fetched(node, key, fetched));
            });
        }
    }
}
