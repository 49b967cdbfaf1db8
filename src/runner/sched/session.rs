//! A pipeline opened in its workspace: the file, its graph, the store, the index.
//!
//! Decides nothing. A read-only session writes nothing: a missing cache counts as empty.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::by_name;
use crate::event::history::{History, Settled};
use crate::event::{Event, Outcome, Reporter, full_disk};
use crate::exec::Failure;
use crate::exec::batch::{self, Batch};
use crate::exec::executor::Executor;
use crate::exec::local::{Local, orphans};
use crate::exec::with_causes;
use crate::graph::StageGraph;
use crate::inputs::{Inputs, Meter};
use crate::mark::Stands;
use crate::pipeline::{Pipeline, Stage};
use crate::plan::away::Away;
use crate::signing::Keyring;
use crate::store::index::{Index, StageRecord, record_name};
use crate::store::upstream::Shared;
use crate::store::{Attempt, Error, Holder, Store, Visit};

use super::put_aside_event;
use super::recalled::{NotHere, Read, Recalled, Records};

/// After this long the reason for waiting is printed.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

/// Whether a session may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Yes; creates a missing cache.
    Run,
    /// No.
    Look,
}

/// Changes of this run to the index that aren't saved yet. Clocks don't decide which record is newer: they may be set back.
#[derive(Default)]
struct Unsaved {
    stages: HashSet<String>,
    files: by_name::Set,
}

/// Whether two paths are the same place, which needn't exist.
fn is_same(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    // `./x/../cache` is rarely typed, and only affects what a cache says about the workspace.
    resolved(one).is_ok_and(|one| resolved(other).is_ok_and(|other| one == other))
}

/// A pipeline opened in its workspace.
pub struct Session {
    /// The pipeline.
    pub pipeline: Rc<Pipeline>,
    /// Its graph.
    pub graph: Rc<StageGraph>,
    /// Of a run: tells gc that it is active. None if there was no room for its entry: then a concurrent gc may delete what
    /// it has found, which is then re-computed. Before the store, which must outlive it.
    pub(super) visit: Option<Arc<Visit>>,
    /// The cache.
    pub store: Arc<Store>,
    /// This machine.
    pub executor: Arc<dyn Executor>,
    /// The batch systems of the file by name, as they are used.
    batch: RefCell<BTreeMap<String, Arc<dyn Executor>>>,
    /// The workspace's files when they were last read.
    pub index: Index,
    /// How much of them was read.
    pub meter: Arc<Meter>,
    unsaved: Unsaved,
    index_path: PathBuf,
    history: OnceCell<Rc<RefCell<History>>>,
    /// Of a session that shows finished results, for sources that are not here.
    recalls: Option<Recalls>,
}

/// What stands for sources that are not here.
#[derive(Default)]
struct Recalls {
    read: Read,
    not_here: RefCell<NotHere>,
}

/// Where results come from and go to.
#[derive(Clone, Debug, Default)]
pub struct Caches {
    /// The own cache; `None`: `cache/` of the workspace.
    pub own: Option<PathBuf>,
    /// Shared caches, in the order in which they are asked.
    pub shared: Vec<Shared>,
    /// Who signs results, and whose count.
    pub keyring: Keyring,
}

impl Session {
    /// Opens the caches for a pipeline.
    ///
    /// # Errors
    /// The cache can't be opened or created.
    pub fn open(pipeline: Pipeline, graph: StageGraph, caches: Caches, access: Access) -> Result<Session, Error> {
        let usual = pipeline.root.join("cache");
        let is_named = caches.own.as_ref().is_some_and(|own| !is_same(own, &usual));
        let place = caches.own.unwrap_or(usual);
        let store = match access {
            Access::Run if is_named => Store::open_as(&place, Stands::Elsewhere)?,
            Access::Run => Store::open(&place)?,
            Access::Look => Store::look_at(&place)?,
        };
        let store = store.with_shared(&caches.shared).with_keyring(caches.keyring);
        let index_path = store.index_path(&pipeline.root)?;
        let visit = match (access == Access::Run).then(|| store.visit(&pipeline.root)).transpose() {
            Err(error) if error.is_lack_of_room() => None,
            visit => visit?,
        };
        let mut index = Index::load(&index_path);
        store.verified().extend(std::mem::take(&mut index.objects));
        Ok(Session {
            pipeline: Rc::new(pipeline),
            graph: Rc::new(graph),
            store: Arc::new(store),
            executor: Arc::new(Local),
            batch: RefCell::default(),
            index,
            meter: Arc::default(),
            unsaved: Unsaved::default(),
            index_path,
            history: OnceCell::new(),
            recalls: None,
            visit: visit.map(Arc::new),
        })
    }

    /// From now on, sources that are not here count as the cache last recorded them: only for showing finished results, and
    /// [`Session::not_here`] is to be shown with them.
    pub fn recall(&mut self) {
        self.recalls = Some(Recalls::default());
    }

    /// The cache's records of sources that are not here, if these count.
    pub(super) fn records(&self) -> Option<Records<'_>> {
        let read = &self.recalls.as_ref()?.read;
        Some(Records { pipeline: &self.pipeline, store: &self.store, own: &self.index, read })
    }

    /// Notes that a source isn't here, and what stands for it.
    pub(super) fn note_away(&self, away: Away, found: &Result<Recalled, String>) {
        if let Some(recalls) = &self.recalls {
            recalls.not_here.borrow_mut().note(away, found.clone());
        }
    }

    /// Whether the last recorded state of a source stands for it.
    pub fn recalls_any(&self) -> bool {
        self.recalls.as_ref().is_some_and(|recalls| recalls.not_here.borrow().is_any_known())
    }

    /// What is to be said of the sources that are not here, in lines.
    pub fn not_here(&self) -> Vec<String> {
        self.recalls.as_ref().map(|recalls| recalls.not_here.borrow().lines()).unwrap_or_default()
    }

    /// Where the jobs of a stage run.
    ///
    /// # Errors
    /// Its batch system can't be used.
    pub(super) fn executor_of(&self, stage: &Stage) -> Result<Arc<dyn Executor>, Failure> {
        let Some(described) = self.pipeline.executor_of(stage) else { return Ok(Arc::clone(&self.executor)) };
        if let Some(known) = self.batch.borrow().get(&described.name) {
            return Ok(Arc::clone(known));
        }
        let batch: Arc<dyn Executor> = Arc::new(Batch::open(described, &self.store.job_folders())?);
        self.batch.borrow_mut().insert(described.name.clone(), Arc::clone(&batch));
        Ok(batch)
    }

    /// Cleans up the workspace after a killed run; must precede any reading in it.
    pub(super) fn recover(&self, reporter: &mut dyn Reporter) {
        self.end_left_commands(reporter);
        let mut waits = None;
        let mut end_orphans = |holder: &Holder| {
            if let Some(text) = ended_orphans(orphans::end_all(&self.store.locks(), self.store.workspace_root())) {
                reporter.tell(&Event::Warning(text));
            }
            let since = *waits.get_or_insert_with(|| Some(Instant::now()));
            if since.is_some_and(|since: Instant| since.elapsed() > WORTH_A_WORD) {
                waits = Some(None);
                let text = format!("waiting for processes started by process {}, which was killed", holder.pid);
                reporter.tell(&Event::Warning(text));
            }
        };
        match self.store.recover(&mut end_orphans) {
            Ok(moved) => moved.iter().for_each(|(path, to)| reporter.tell(&self.moved(path, to))),
            Err(error) => {
                let help = full_disk::help_line(&error);
                let text = format!("failed to clean up after a killed run: {}{help}", with_causes(&error));
                reporter.tell(&Event::Warning(text));
            }
        }
    }

    /// Ends jobs of batch systems that write into the workspace and were left by a killed run, before their earlier outputs are
    /// put back.
    fn end_left_commands(&self, reporter: &mut dyn Reporter) {
        for (folder, name) in batch::submitted_commands(&self.store.job_folders()) {
            let key = folder.file_name().and_then(|name| name.to_str()?.parse().ok());
            // Another run follows it.
            let Some(Ok(Attempt::Held(_lease))) = key.map(|key| self.store.try_lease(key)) else { continue };
            let Some(executor) = self.pipeline.find_executor(&name) else { continue };
            let ended = Batch::open(executor, &self.store.job_folders()).and_then(|batch| batch.end(&folder));
            let text = match ended {
                Ok(()) => format!("ended a job that a killed run had left on `{name}`"),
                Err(Failure::Failed { message, .. }) => message,
                Err(Failure::Cancelled { .. } | Failure::Left(_)) => continue,
            };
            reporter.tell(&Event::Warning(text));
        }
    }

    /// A file at `path`, where a file put aside by a killed run was restored, was moved.
    fn moved(&self, path: &Path, to: &Path) -> Event {
        let output = path.strip_prefix(&self.pipeline.root).unwrap_or(path);
        let mut stages = self.pipeline.stages.iter();
        let stage = stages.find(|stage| stage.outputs.iter().any(|own| own.path == output));
        // Only the killed run can have left it there, or a person since.
        put_aside_event(&self.pipeline.root, stage.map_or("", |stage| &stage.name), output, to, true)
    }

    /// The name of a stage in the index, which serves all pipelines of the workspace.
    pub fn record_name(&self, stage: &Stage) -> String {
        record_name(&self.pipeline.name, &stage.name)
    }

    /// The path of the record of a stage's latest attempt.
    pub(super) fn attempt_path(&self, stage: &Stage) -> PathBuf {
        let folder = self.index_path.with_file_name("attempts").join(&self.pipeline.name);
        folder.join(&stage.name)
    }

    /// The outcomes of the pipeline's last runs, and of the current one so far; read on first use.
    pub fn history(&self) -> &Rc<RefCell<History>> {
        self.history.get_or_init(|| Rc::new(RefCell::new(History::load(&self.history_path()))))
    }

    /// How a stage failed, if it failed when it last took part in a run.
    pub(super) fn failure(&self, stage: &Stage) -> Option<Settled> {
        let history = self.history().borrow();
        history.stages.get(&stage.name).filter(|settled| settled.outcome == Outcome::Failed).cloned()
    }

    /// The path of the history of the pipeline's last runs.
    pub fn history_path(&self) -> PathBuf {
        self.index_path.with_file_name("histories").join(format!("{}.json", self.pipeline.name))
    }

    /// Records a stage's outputs in place. Returns the previous record.
    pub(super) fn record(&mut self, name: String, record: StageRecord) -> Option<StageRecord> {
        self.unsaved.stages.insert(name.clone());
        self.index.stages.insert(name, record)
    }

    /// Takes over the records of the source files, and which of them are new.
    pub(super) fn take_files(&mut self, inputs: &Inputs) {
        self.unsaved.files.extend(inputs.take_news());
        self.index.files = inputs.records();
    }

    /// Whether the index on disk lacks something that this session has read or made.
    pub(super) fn is_unsaved(&self) -> bool {
        !(self.unsaved.stages.is_empty() && self.unsaved.files.is_empty())
    }

    /// Signs off and closes the cache, in a program that ends: memory needn't be taken apart.
    pub fn end(self) {
        let Session { visit, store, pipeline, graph, index, history, .. } = self;
        drop(visit);
        drop(store);
        std::mem::forget((pipeline, graph, index, history));
    }

    /// Saves the index: this run's changes since the last save, merged with those that other runs in this workspace have
    /// saved. The latter are not loaded: a session's index has only what this run has read and made.
    ///
    /// # Errors
    /// It can't be written: the next run reads more files than necessary, nothing else.
    pub fn save(&mut self) -> Result<(), Error> {
        let Index { files, stages, .. } = Index::load(&self.index_path);
        let mut merged = self.index.clone();
        merged.stages.extend(stages.into_iter().filter(|(name, _)| !self.unsaved.stages.contains(name)));
        let others = Arc::unwrap_or_clone(files).into_iter().filter(|(path, _)| !self.unsaved.files.contains(path));
        Arc::make_mut(&mut merged.files).extend(others);
        merged.objects = self.store.verified().to_map();
        // The index says of these that they needn't be read again.
        self.store.settle()?;
        merged.save(&self.store, &self.index_path)?;
        self.unsaved = Unsaved::default();
        Ok(())
    }
}

/// Reports that processes of a killed run were ended, if any were.
pub(super) fn ended_orphans(number: usize) -> Option<String> {
    match number {
        0 => None,
        1 => Some("ended a process that a killed run had left running".to_owned()),
        _ => Some(format!("ended {number} processes that a killed run had left running")),
    }
}
