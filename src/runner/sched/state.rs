//! All state of a run, on one thread.
//!
//! Does nothing by itself: `run` looks up and restores, `dispatch` starts jobs, `settle` handles their results, `live`
//! handles changes; in the order settle, dispatch, run, live, each calls only earlier ones.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::mpsc::Sender;
use std::time::Instant;

use crate::by_name::Hashing;
use crate::digest::Key;
use crate::event::runs::Journal;
use crate::event::{Advice, Outcome, Reporter, Totals};
use crate::flow::NodeId;

use super::Options;
use super::message::Message;
use super::planner::Planner;
use super::self_writes::SelfWrites;
use super::session::Session;
use super::slots::Slots;
use super::under_way::Jobs;

/// A run: the flow, jobs in progress, results.
pub(super) struct Run<'a> {
    pub session: &'a mut Session,
    pub options: &'a Options,
    pub reporter: &'a mut dyn Reporter,
    pub planner: Planner,
    pub slots: Slots,
    pub totals: Totals,
    pub jobs: Jobs,
    pub results: HashMap<NodeId, Known, Hashing>,
    /// Stages whose cached outputs can't be placed: running them would fail in the same way.
    pub refused: HashSet<(NodeId, Key)>,
    pub self_writes: SelfWrites,
    /// The record of this run, for the history.
    pub journal: Journal,
    /// The nodes that are in it since it began.
    pub recorded: HashSet<NodeId, Hashing>,
    /// Those that were in place before anything happened.
    pub unrecorded: Vec<NodeId>,
    /// Whether file changes are reported, so that their consequences are known at once.
    pub hears_of_changes: bool,
    pub send: Sender<Message>,
    /// Whether the index on disk is out of date. A run killed before it is written finds its results in the cache.
    pub changed: bool,
    /// When the index is next written.
    pub save_at: Instant,
    /// Time of the first interrupt.
    pub interrupted: Option<Instant>,
    /// Whether the jobs were told of it.
    pub told_interrupt: bool,
    /// Whether the jobs that run were left to batch systems.
    pub has_left: bool,
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
            journal: Journal::new(session.runs()),
            recorded: HashSet::default(),
            unrecorded: Vec::new(),
            session,
            options,
            reporter,
            planner,
            slots,
            totals: Totals::default(),
            jobs: Jobs::default(),
            results: HashMap::default(),
            refused: HashSet::new(),
            self_writes: SelfWrites::default(),
            hears_of_changes: false,
            send,
            changed: false,
            save_at: Instant::now(),
            interrupted: None,
            told_interrupt: false,
            has_left: false,
        }
    }
}

/// The result of a node, kept until the flow settles it.
#[derive(Default)]
pub(super) struct Known {
    pub(super) outcome: Option<Outcome>,
    pub(super) seconds: f64,
    pub(super) reason: String,
    pub(super) notes: BTreeMap<String, String>,
    pub(super) advice: Advice,
}
