//! All state of a run, on one thread.
//!
//! Does nothing by itself: `run` looks up and puts in place, `dispatch` starts jobs, `settle` hears how they came out, `live` takes in
//! what changes; each of them only calls those named after it here that stand before it: settle, dispatch, run, live.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::mpsc::Sender;
use std::time::Instant;

use crate::digest::Key;
use crate::event::{Advice, Outcome, Reporter, Totals};
use crate::flow::NodeId;

use super::Options;
use super::message::Message;
use super::planner::Planner;
use super::self_writes::SelfWrites;
use super::session::Session;
use super::slots::Slots;
use super::under_way::Jobs;

/// A run: the flow, what is under way, what is known.
pub(super) struct Run<'a> {
    pub session: &'a mut Session,
    pub options: &'a Options,
    pub reporter: &'a mut dyn Reporter,
    pub planner: Planner,
    pub slots: Slots,
    pub totals: Totals,
    pub jobs: Jobs,
    pub results: HashMap<NodeId, Known>,
    /// Stages whose cached outputs can't be put in place: to run them would end with the same.
    pub refused: HashSet<(NodeId, Key)>,
    pub self_writes: SelfWrites,
    /// Whether changed files are told from elsewhere, and what they mean is known at once.
    pub hears_of_changes: bool,
    pub send: Sender<Message>,
    /// Whether the index on disk is out of date. A run killed before it is written finds its results in the cache.
    pub changed: bool,
    /// When the index is written next.
    pub save_at: Instant,
    /// When the first interrupt came.
    pub interrupted: Option<Instant>,
    /// Whether the jobs have been told of it.
    pub told_interrupt: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        session: &'a mut Session,
        options: &'a Options,
        reporter: &'a mut dyn Reporter,
        planner: Planner,
        send: Sender<Message>,
    ) -> Run<'a> {
        let device = options.device.as_deref().unwrap_or(&session.pipeline.device);
        let slots = Slots::new(&session.pipeline, options.jobs, device, &*session.executor);
        Run {
            session,
            options,
            reporter,
            planner,
            slots,
            totals: Totals::default(),
            jobs: Jobs::default(),
            results: HashMap::new(),
            refused: HashSet::new(),
            self_writes: SelfWrites::default(),
            hears_of_changes: false,
            send,
            changed: false,
            save_at: Instant::now(),
            interrupted: None,
            told_interrupt: false,
        }
    }
}

/// How a node came out, kept until the flow has heard of it and says that it is settled.
#[derive(Default)]
pub(super) struct Known {
    pub(super) outcome: Option<Outcome>,
    pub(super) seconds: f64,
    pub(super) reason: String,
    pub(super) notes: BTreeMap<String, String>,
    pub(super) advice: Advice,
}
