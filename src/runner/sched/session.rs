//! A pipeline opened in its workspace: the file, its graph, the store, the index.
//!
//! Decides nothing. A session that only looks writes nothing: where there is no cache, it finds an empty one.

use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::history::{History, Settled};
use crate::event::{Event, Outcome, Reporter, full_disk};
use crate::exec::executor::Executor;
use crate::exec::local::{Local, orphans};
use crate::exec::with_causes;
use crate::graph::StageGraph;
use crate::inputs::{Inputs, Meter};
use crate::mark::Stands;
use crate::pipeline::{Pipeline, Stage};
use crate::store::index::{Index, StageRecord, record_name};
use crate::store::{Error, Holder, Store, Visit};

use super::put_aside_event;

/// Who waits longer is told why.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

/// Whether a session may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It makes the cache where there is none.
    Run,
    /// It leaves everything as it is.
    Look,
}

/// What in the index is this run's and isn't on disk yet. No clock says whose record is the newer one: clocks go back.
#[derive(Default)]
struct Unsaved {
    stages: HashSet<String>,
    files: HashSet<PathBuf>,
}

/// Whether two paths lead to one place, which needn't be there.
fn is_same(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    // `./x/../cache` is rarely typed, and only decides what a cache says of where it stands.
    resolved(one).is_ok_and(|one| resolved(other).is_ok_and(|other| one == other))
}

/// A pipeline opened in its workspace.
pub struct Session {
    /// The pipeline.
    pub pipeline: Rc<Pipeline>,
    /// Its graph.
    pub graph: Rc<StageGraph>,
    /// Of a run: tells gc that it is at work. None where there was no room for its entry: then a gc beside it may take what it
    /// has found, which is made again. Before the store, which goes with the last who is at work in it.
    pub(super) visit: Option<Arc<Visit>>,
    /// The cache.
    pub store: Arc<Store>,
    /// Where jobs run.
    pub executor: Arc<dyn Executor>,
    /// What the workspace's files were when they were last seen.
    pub index: Index,
    /// How much was read of them.
    pub meter: Arc<Meter>,
    unsaved: Unsaved,
    index_path: PathBuf,
    history: OnceCell<Rc<RefCell<History>>>,
}

impl Session {
    /// Opens the cache at `cache`, by default the workspace's `cache/`, with shared caches to read from.
    ///
    /// # Errors
    /// The cache can't be opened or made.
    pub fn open(
        pipeline: Pipeline,
        graph: StageGraph,
        cache: Option<&Path>,
        shared: &[PathBuf],
        access: Access,
    ) -> Result<Session, Error> {
        let place = cache.map_or_else(|| pipeline.root.join("cache"), Path::to_owned);
        let is_named = cache.is_some_and(|cache| !is_same(cache, &pipeline.root.join("cache")));
        let store = match access {
            Access::Run if is_named => Store::open_as(&place, Stands::Elsewhere)?,
            Access::Run => Store::open(&place)?,
            Access::Look => Store::look_at(&place)?,
        };
        let store = store.with_shared(shared);
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
            index,
            meter: Arc::default(),
            unsaved: Unsaved::default(),
            index_path,
            history: OnceCell::new(),
            visit: visit.map(Arc::new),
        })
    }

    /// Puts the workspace back in order where a run was killed in it; to be done before anything in it is looked at.
    pub(super) fn recover(&self, reporter: &mut dyn Reporter) {
        let mut waits = None;
        let mut end_orphans = |holder: &Holder| {
            if let Some(text) = ended_orphans(orphans::end_all(&self.store.locks(), self.store.workspace_root())) {
                reporter.tell(&Event::Warning(text));
            }
            let since = *waits.get_or_insert_with(|| Some(Instant::now()));
            if since.is_some_and(|since: Instant| since.elapsed() > WORTH_A_WORD) {
                waits = Some(None);
                let text = format!("waiting: what process {} had started, which was killed, still runs", holder.pid);
                reporter.tell(&Event::Warning(text));
            }
        };
        match self.store.recover(&mut end_orphans) {
            Ok(moved) => moved.iter().for_each(|(path, to)| reporter.tell(&self.moved(path, to))),
            Err(error) => {
                let help = full_disk::help_line(&error);
                let text =
                    format!("what a killed run has left can't be put back in order: {}{help}", with_causes(&error));
                reporter.tell(&Event::Warning(text));
            }
        }
    }

    /// What lay at `path`, where what a killed run had put aside was put back, is now somewhere else.
    fn moved(&self, path: &Path, to: &Path) -> Event {
        let output = path.strip_prefix(&self.pipeline.root).unwrap_or(path);
        let mut stages = self.pipeline.stages.iter();
        let stage = stages.find(|stage| stage.outputs.iter().any(|own| own.path == output));
        // Only what the killed run had left there, or a person since.
        put_aside_event(&self.pipeline.root, stage.map_or("", |stage| &stage.name), output, to, true)
    }

    /// What a stage is called in the index, which serves all pipelines of the workspace.
    pub fn record_name(&self, stage: &Stage) -> String {
        record_name(&self.pipeline.name, &stage.name)
    }

    /// Where the key of a stage's latest attempt is noted.
    pub(super) fn attempt_path(&self, stage: &Stage) -> PathBuf {
        let folder = self.index_path.with_file_name("attempts").join(&self.pipeline.name);
        folder.join(&stage.name)
    }

    /// How the pipeline's last runs came out, and the one that goes on as far as it has come; read when it is first asked for.
    pub fn history(&self) -> &Rc<RefCell<History>> {
        self.history.get_or_init(|| Rc::new(RefCell::new(History::load(&self.history_path()))))
    }

    /// How a stage failed, if that is what it did when it last took part in a run.
    pub(super) fn failure(&self, stage: &Stage) -> Option<Settled> {
        let history = self.history().borrow();
        history.stages.get(&stage.name).filter(|settled| settled.outcome == Outcome::Failed).cloned()
    }

    /// Where it is noted how the pipeline's last runs came out.
    pub fn history_path(&self) -> PathBuf {
        self.index_path.with_file_name("histories").join(format!("{}.json", self.pipeline.name))
    }

    /// Notes what a stage has left in place. Answers with the record that was there.
    pub(super) fn record(&mut self, name: String, record: StageRecord) -> Option<StageRecord> {
        self.unsaved.stages.insert(name.clone());
        self.index.stages.insert(name, record)
    }

    /// Takes over what is known of the source files, and which of that is new.
    pub(super) fn take_files(&mut self, inputs: &Inputs) {
        self.unsaved.files.extend(inputs.take_news());
        self.index.files = inputs.records();
    }

    /// Saves the index: what this run has found out since it last saved, and beside that what other runs in this workspace
    /// have. What these have is not taken over: the index of a session tells what this run has seen and made.
    ///
    /// # Errors
    /// It can't be written: the next run looks at more files than it had to, and nothing else.
    pub fn save(&mut self) -> Result<(), Error> {
        let Index { files, stages, .. } = Index::load(&self.index_path);
        let mut merged = self.index.clone();
        merged.stages.extend(stages.into_iter().filter(|(name, _)| !self.unsaved.stages.contains(name)));
        merged.files.extend(files.into_iter().filter(|(path, _)| !self.unsaved.files.contains(path)));
        merged.objects = self.store.verified().to_map();
        merged.save(&self.store, &self.index_path)?;
        self.unsaved = Unsaved::default();
        Ok(())
    }
}

/// That processes of a killed run were ended, if any were.
pub(super) fn ended_orphans(number: usize) -> Option<String> {
    match number {
        0 => None,
        1 => Some("a process that a killed run had started still ran, and was ended".to_owned()),
        _ => Some(format!("{number} processes that a killed run had started still ran, and were ended")),
    }
}
