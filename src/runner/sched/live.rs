//! `watch`: a run that doesn't end. It waits until files change, and then re-runs what changed.
//!
//! Three things can change. A source: it is read again, and the flow, which is kept, determines what follows; nothing else
//! is read, and jobs continue unless their key changes. The pipeline file: it is opened as a new session, which takes over
//! jobs that are still wanted. An output: it was edited if it differs from the index, and then everything is read again; so
//! a run's own writes start nothing. Content decides everywhere: a reported path is only a reason to check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use crate::digest::ArtifactDigest;
use crate::event::{Event, Outcome, Reporter, Totals};
use crate::flow::{Command, NodeId};
use crate::inputs::survey;
use crate::inputs::way::Way;
use crate::own::is_own;
use crate::pipeline::{InputSource, Pipeline, Problems, Span, StageId};
use crate::plan::sources::{self, Origin};
use crate::store::Store;
use crate::store::tree::{Behind, Shape};
use crate::watch::{Change, Depth, Error, Watcher};

use super::message::Message;
use super::planner::Planner;
use super::run::{self, Interrupt};
use super::session::Session;
use super::state::Run;
use super::under_way::Jobs;
use super::wiring::Node;
use super::{Ended, Options, warning};

/// A pipeline file that was read.
pub struct Opened {
    /// The session, which may change things.
    pub session: Session,
    /// The options of the command line.
    pub options: Options,
    /// Receives the events.
    pub reporter: Box<dyn Reporter>,
}

/// The interface between the watch and the user.
pub trait Front {
    /// Reads the pipeline file again. `None`: it has errors, which were reported.
    fn open(&mut self) -> Option<Opened>;
    /// Reports problems of the data.
    fn refuse(&mut self, problems: &Problems);
    /// Everything is settled for now.
    fn rest(&mut self, session: &mut Session, options: &Options, ended: &Ended);
}

/// Brings everything up to date, again after each change, until interrupted. `file` is the pipeline file.
///
/// # Errors
/// The system can't watch so many folders.
pub fn watch(file: &Path, front: &mut dyn Front, interrupt: &Interrupt) -> Result<(), Error> {
    let (send, receive) = mpsc::channel();
    interrupt.listen(Some(send.clone()));
    let changed = send.clone();
    let watcher = Watcher::new(move |change| drop(changed.send(Message::Changed(change))));
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut watch = Watch { file, front, watcher, broken: None };
    let Some(mut planned) = watch.first(&receive)? else { return Ok(()) };
    let mut jobs = Jobs::default();
    loop {
        let Planned { opened: Opened { session, options, reporter }, planner, commands } = &mut planned;
        let planner = planner.take().expect("it was just made");
        for problem in sources::once_each(planner.keys.warnings()) {
            reporter.tell(&warning(session, &problem));
        }
        let mut run = Run::new(session, options, reporter.as_mut(), planner, send.clone());
        run.hears_of_changes = true;
        run.take_over(jobs);
        run.carry_out(std::mem::take(commands));
        run.warn_of_the_machine();
        run.warn_of_weights();
        let begun = Instant::now();
        let Some(next) = watch.follow(&mut run, &receive)? else { return Ok(()) };
        // Only if the file changed before all was settled.
        run.record_end(&Totals { seconds: begun.elapsed().as_secs_f64(), ..Totals::default() }, true);
        jobs = run.jobs.hand_over();
        planned = next;
    }
}

struct Watch<'a> {
    /// The pipeline file, absolute.
    file: PathBuf,
    front: &'a mut dyn Front,
    watcher: Watcher,
    /// The problems found when the pipeline file was last read, until they are fixed.
    broken: Option<Broken>,
}

/// What may fix a pipeline that can't run. Reacting to any other change would only repeat the same messages, endlessly if
/// these are written to a watched file.
struct Broken {
    /// The pipeline file as it was read; none if that failed.
    text: Option<Vec<u8>>,
    /// The inputs and the output paths, if they were checked.
    inputs: Vec<PathBuf>,
}

/// A pipeline that is about to run.
struct Planned {
    opened: Opened,
    /// None once it runs.
    planner: Option<Planner>,
    commands: Vec<Command>,
}

/// What a change means for the run.
enum Seen {
    Nothing,
    /// Sources have these digests now.
    Sources(Vec<(NodeId, ArtifactDigest)>),
    /// More than sources changed.
    All,
}

impl Watch<'_> {
    /// Waits until there is a pipeline that can run. `None`: interrupted.
    fn first(&mut self, receive: &Receiver<Message>) -> Result<Option<Planned>, Error> {
        self.watcher.watch(&BTreeMap::from([(folder_of(&self.file), Depth::Names)]))?;
        loop {
            if let Some(planned) = self.plan()? {
                return Ok(Some(planned));
            }
            loop {
                match (receive.recv(), &self.broken) {
                    (Ok(Message::Changed(change)), Some(broken)) if broken.may_be_mended_by(&change, &self.file) => {
                        break;
                    }
                    (Ok(Message::Changed(_) | Message::Fetching(..) | Message::Fetched(..)), _) => {}
                    _ => return Ok(None),
                }
            }
        }
    }

    /// Reads the pipeline file and all sources. `None`: there are errors, which were reported.
    fn plan(&mut self) -> Result<Option<Planned>, Error> {
        let text = crate::plain::read(&self.file).ok();
        let Some(mut opened) = self.front.open() else {
            self.broken = Some(Broken { text, inputs: Vec::new() });
            return Ok(None);
        };
        opened.session.recover(opened.reporter.as_mut());
        // First of all, so that no change is missed.
        self.watch_all(&opened.session)?;
        match run::plan(&mut opened.session, &opened.options) {
            Ok((planner, commands)) => {
                self.broken = None;
                Ok(Some(Planned { opened, planner: Some(planner), commands }))
            }
            Err(problems) => {
                let _ = opened.session.save();
                let pipeline = &opened.session.pipeline;
                let outputs = pipeline.stages.iter().flat_map(|stage| &stage.outputs).map(|output| output.path.clone());
                let inputs = inputs(pipeline).into_iter().chain(outputs);
                let places = |path: PathBuf| {
                    let links = links_on_the_way(&pipeline.root.join(&path));
                    forms(&pipeline.root, &path).into_iter().chain(links)
                };
                let inputs = inputs.flat_map(places).collect();
                self.broken = Some(Broken { text, inputs });
                self.front.refuse(&problems);
                Ok(None)
            }
        }
    }

    /// Runs, waits, and handles changes, until another pipeline has to run. `None`: interrupted.
    fn follow(&mut self, run: &mut Run<'_>, receive: &Receiver<Message>) -> Result<Option<Planned>, Error> {
        let (mut begun, mut has_news) = (Instant::now(), true);
        loop {
            let change = match run.listen(receive) {
                Some(change) => change,
                None => {
                    if run.interrupted.is_some() {
                        run.give_up_the_rest();
                    }
                    if std::mem::take(&mut has_news) {
                        self.rest(run, begun);
                    }
                    let Some(change) = self.wait_for_change(run, receive)? else { return Ok(None) };
                    change
                }
            };
            if run.interrupted.is_some() {
                continue;
            }
            let was_deleted = run.session.store.was_deleted();
            let seen = match &self.broken {
                _ if was_deleted => Seen::All,
                Some(broken) if broken.may_be_mended_by(&change, &self.file) => Seen::All,
                Some(_) => Seen::Nothing,
                None => run.take_in(&change, &self.file),
            };
            if !matches!(seen, Seen::Nothing) {
                run.reporter.tell(&Event::Changed { paths: names(run.session, &change) });
            }
            match seen {
                Seen::Nothing => {}
                Seen::Sources(digests) => {
                    (begun, has_news) = (Instant::now(), true);
                    let commands = run.planner.engine.sources(&digests);
                    run.carry_out(commands);
                }
                Seen::All => {
                    if was_deleted {
                        // Recreated at the same place, as it also marks the root; records are no longer valid. If it can't
                        // be created, reading everything again reports why.
                        let _ = Store::open(run.session.store.root());
                    } else {
                        run.save();
                    }
                    if let Some(planned) = self.plan()? {
                        return Ok(Some(planned));
                    }
                }
            }
        }
    }

    /// Nothing runs: waits until something changes. `None`: interrupted.
    fn wait_for_change(&mut self, run: &Run<'_>, receive: &Receiver<Message>) -> Result<Option<Change>, Error> {
        if run.interrupted.is_some() {
            return Ok(None);
        }
        let new = self.watch_all(run.session)?;
        if !new.is_empty() {
            // Nobody reported what changed in them before they were watched.
            return Ok(Some(Change::Paths(new)));
        }
        loop {
            return match receive.recv() {
                Ok(Message::Changed(change)) => Ok(Some(change)),
                // Only a single run can be left.
                Ok(Message::Interrupt | Message::Leave) | Err(_) => Ok(None),
                // Nobody waits for it any more.
                Ok(Message::Fetching(..) | Message::Fetched(..)) => continue,
                Ok(Message::News(..) | Message::Ended(..)) => unreachable!("nothing runs"),
            };
        }
    }

    /// Everything is settled: reports the results.
    fn rest(&mut self, run: &mut Run<'_>, begun: Instant) {
        let seconds = begun.elapsed().as_secs_f64();
        let totals = Totals { seconds, ..std::mem::take(&mut run.totals) };
        run.close(totals);
        let ended = Ended {
            totals,
            interrupted: run.interrupted.is_some(),
            has_left: false,
            artifacts: run.artifacts(),
            _planner: None,
        };
        self.front.rest(run.session, run.options, &ended);
    }

    /// Watches everything that matters. Returns the folders that weren't watched before.
    fn watch_all(&mut self, session: &Session) -> Result<BTreeSet<PathBuf>, Error> {
        let mut folders = BTreeMap::from([(folder_of(&self.file), Depth::Names)]);
        let root = &session.pipeline.root;
        let outputs = session.pipeline.stages.iter().flat_map(|stage| &stage.outputs).map(|output| output.path.clone());
        let inputs = inputs(&session.pipeline);
        for path in inputs.iter().cloned().chain(outputs) {
            forms(root, &path).iter().for_each(|path| add(&mut folders, path));
            for link in links_on_the_way(&root.join(&path)) {
                folders.entry(folder_of(&link)).or_insert(Depth::Names);
            }
        }
        for path in inputs.iter().flat_map(|path| behind_links(root, path, session.store.root())) {
            add(&mut folders, &path);
        }
        self.watcher.watch(&folders)
    }
}

impl Broken {
    fn may_be_mended_by(&self, change: &Change, file: &Path) -> bool {
        let Change::Paths(paths) = change else { return true };
        let paths: BTreeSet<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let is_new = || crate::plain::read(file).ok() != self.text;
        (paths.contains(file) && is_new()) || self.inputs.iter().any(|own| touches(&paths, own))
    }
}

impl Run<'_> {
    /// What a change means for the run.
    fn take_in(&mut self, change: &Change, file: &Path) -> Seen {
        let Change::Paths(paths) = change else { return Seen::All };
        let store = self.session.store.root();
        let is_the_program_s = |path: &Path| path.ancestors().any(|part| is_own(part, store));
        let (now, is_running) = (Instant::now(), |node| self.jobs.has(node));
        let is_news = |path: &&Path| {
            *path == file || (!is_the_program_s(path) && !self.self_writes.is_own(path, now, is_running))
        };
        let paths: BTreeSet<&Path> = paths.iter().map(PathBuf::as_path).filter(is_news).collect();
        if paths.contains(file) && !self.is_as_read(file) {
            return Seen::All;
        }
        let mut digests = Vec::new();
        let wiring = Rc::clone(&self.planner.wiring);
        for (node, what) in wiring.iter() {
            match what {
                Node::Stage(stage) if self.is_edited(node, *stage, &paths) => return Seen::All,
                Node::Source { source, producers } if self.concerns(source, &paths) => {
                    let is_quiet = |stage: StageId| self.is_in_place(wiring.of_stage(stage));
                    if !producers.iter().all(|output| is_quiet(output.stage)) {
                        continue;
                    }
                    match self.look_again(node) {
                        Some(_) if !producers.is_empty() => return Seen::All,
                        digest => digests.extend(digest.map(|digest| (node, digest))),
                    }
                }
                _ => {}
            }
        }
        if digests.is_empty() { Seen::Nothing } else { Seen::Sources(digests) }
    }

    fn is_as_read(&self, file: &Path) -> bool {
        let text = &self.session.pipeline.sources.of(Span::FILE).text;
        std::fs::read(file).is_ok_and(|bytes| bytes == text.as_bytes())
    }

    fn concerns(&self, source: &Origin, paths: &BTreeSet<&Path>) -> bool {
        let pipeline = &self.session.pipeline;
        let own = match source {
            Origin::Path(path) => vec![path.clone()],
            Origin::Dataset { dataset, .. } => pipeline.dataset(*dataset).paths(),
        };
        let (root, cache) = (&pipeline.root, self.session.store.root());
        own.iter().flat_map(|own| forms(root, own)).any(|own| touches(paths, &own))
            || own.iter().flat_map(|own| behind_links(root, own, cache)).any(|own| touches(paths, &own))
            || own.iter().flat_map(|own| links_on_the_way(&root.join(own))).any(|link| paths.contains(&*link))
    }

    /// The digest of a source, if it changed. For a source with problems the old one stays.
    fn look_again(&mut self, node: NodeId) -> Option<ArtifactDigest> {
        let before = self.planner.keys.found(node).map(|found| found.ingredient.digest);
        match self.planner.look(self.session, node) {
            Ok(digest) => Some(digest).filter(|digest| before != Some(*digest)),
            Err(found) => {
                for problem in &found {
                    self.reporter.tell(&warning(self.session, problem));
                }
                None
            }
        }
    }

    /// Whether an output differs from what the stage placed there, and is not being replaced.
    fn is_edited(&self, node: NodeId, stage: StageId, paths: &BTreeSet<&Path>) -> bool {
        let (root, stage) = (&self.session.pipeline.root, self.session.pipeline.stage(stage));
        stage.outputs.iter().any(|output| touches(paths, &root.join(&output.path)))
            && self.is_in_place(node)
            && self
                .session
                .index
                .stages
                .get(&self.session.record_name(stage))
                .is_some_and(|record| !record.is_in_place(root, self.session.store.verified()))
    }

    /// Whether a stage has its outputs, and isn't re-computing them.
    fn is_in_place(&self, node: NodeId) -> bool {
        let outcome = self.planner.outcome(node);
        matches!(outcome, Some(Outcome::Ran | Outcome::Hit | Outcome::UpToDate)) && !self.jobs.has(node)
    }
}

/// The files, folders and data sets that stages read.
fn inputs(pipeline: &Pipeline) -> BTreeSet<PathBuf> {
    let inputs = pipeline.stages.iter().flat_map(|stage| &stage.inputs);
    let paths = inputs.flat_map(|input| match &input.from {
        InputSource::Path { path, .. } => vec![path.clone()],
        InputSource::Dataset { dataset, .. } => pipeline.dataset(*dataset).paths(),
        InputSource::Output { .. } => Vec::new(),
    });
    paths.collect()
}

/// A path as named and, if it has links, as resolved: the system may report either.
fn forms(root: &Path, path: &Path) -> Vec<PathBuf> {
    let named = root.join(path);
    let real = std::fs::canonicalize(&named).ok().filter(|real| *real != named);
    [named].into_iter().chain(real).collect()
}

/// The links on an absolute path, including links to links: their locations.
fn links_on_the_way(path: &Path) -> BTreeSet<PathBuf> {
    Way::to(Path::new("/"), [path]).links
}

/// The targets of links below a folder: its readers read those, too.
fn behind_links(root: &Path, path: &Path, cache: &Path) -> Vec<PathBuf> {
    let top = root.join(path);
    let Ok(tree) = survey(&top, cache) else { return Vec::new() };
    let leads_somewhere = |shape: &Shape| matches!(shape, Shape::Link { behind: Behind::File | Behind::Folder, .. });
    let links = tree.shapes().filter(|(_, shape)| leads_somewhere(shape));
    links.filter_map(|(name, _)| std::fs::canonicalize(top.join(name)).ok()).collect()
}

/// Whether one of `paths` is `own`, is inside it, or contains it.
fn touches(paths: &BTreeSet<&Path>, own: &Path) -> bool {
    paths.iter().any(|path| path.starts_with(own) || own.starts_with(path))
}

/// What has to be watched for changes of `path`: the folder itself, and the nearest existing parent.
fn add(folders: &mut BTreeMap<PathBuf, Depth>, path: &Path) {
    if path.is_dir() {
        folders.insert(path.to_owned(), Depth::All);
    }
    folders.entry(folder_of(path)).or_insert(Depth::Names);
}

/// The nearest existing parent folder.
fn folder_of(path: &Path) -> PathBuf {
    path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// Changed paths for a message.
fn names(session: &Session, change: &Change) -> Vec<String> {
    let Change::Paths(paths) = change else {
        return vec!["the system lost change events, so everything is checked".to_owned()];
    };
    let is_the_program_s = |path: &&PathBuf| path.ancestors().any(|part| is_own(part, session.store.root()));
    let others = paths.iter().filter(|path| !is_the_program_s(path));
    others.map(|path| path.strip_prefix(&session.pipeline.root).unwrap_or(path).display().to_string()).collect()
}
