//! Opens a session from the command line.

use std::path::Path;

use super::place::Place;
use super::{Options, Refusal, Source, cache_folder, keyring, shared_caches};
use crate::event::full_disk;
use crate::graph;
use crate::pipeline::{Pipeline, Problem, Problems, StageId, nearest};
use crate::sched::session::{Access, Caches, Session};
use crate::store::Store;

impl Source {
    /// Reads the pipeline and opens its workspace.
    pub(super) fn open(&self, access: Access) -> Result<Session, Refusal> {
        self.opened(None, access)
    }

    /// The same for stages that run where the command line says.
    pub(super) fn open_for(&self, place: &Place, access: Access) -> Result<Session, Refusal> {
        self.opened(place.executor.as_deref(), access)
    }

    /// Opens it to show finished results: sources that are not here count as the cache last recorded them. [`tell_not_here`] says
    /// which do.
    pub(super) fn open_results(&self) -> Result<Session, Refusal> {
        let mut session = self.opened(None, Access::Look)?;
        session.recall();
        Ok(session)
    }

    fn opened(&self, executor: Option<&str>, access: Access) -> Result<Session, Refusal> {
        let Options { set, cache, shared_cache } = &self.options;
        let (pipeline, graph) = graph::load_for(&self.file, set, executor)?;
        let own = cache_folder(cache.as_ref());
        let shared = shared_caches(shared_cache, Some(&pipeline));
        outputs_beside(&pipeline, own.as_deref())?;
        let caches = Caches { own, shared, keyring: keyring::read(&pipeline)? };
        let opened = Session::open(pipeline, graph, caches, access);
        if let (Ok(session), Access::Look) = (&opened, access) {
            // A run tells them itself, in its own format.
            warn_of_shared_caches(&session.store);
        }
        opened.map_err(|error| {
            // A usage error: nothing was run, and the folder is wrong.
            let help = if error.is_refusal() {
                "\nhelp: `intrada-run doctor` checks the file system; --cache uses a folder on another one; `lsattr` shows \
                 whether a file is immutable"
                    .to_owned()
            } else {
                full_disk::help_line(&error)
            };
            Refusal::Usage(format!("{:#}{help}", anyhow::Error::new(error).context("failed to open the cache")))
        })
    }
}

/// Says which sources are not here and could not be compared.
pub(super) fn tell_not_here(session: &Session) {
    session.not_here().iter().for_each(|line| talk!("note: {line}"));
}

/// The warnings about shared caches that haven't been printed yet.
pub(super) fn warn_of_shared_caches(store: &Store) {
    store.complaints().iter().chain(&store.distrust()).for_each(|complaint| talk!("warning: {complaint}"));
}

/// Refuses outputs inside the cache, which would look like damage there, and outputs that contain it, which would move it away.
/// For the workspace's own `cache/` the parser checks this.
fn outputs_beside(pipeline: &Pipeline, cache: Option<&Path>) -> Result<(), Refusal> {
    let resolved = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok();
    let Some((cache, root)) = cache.and_then(resolved).zip(resolved(&pipeline.root)) else { return Ok(()) };
    let mut problems = Vec::new();
    for output in pipeline.stages.iter().flat_map(|stage| &stage.outputs) {
        let place = root.join(&output.path);
        let how = match (place.starts_with(&cache), cache.starts_with(&place)) {
            (true, _) => "is inside",
            (_, true) => "contains",
            _ => continue,
        };
        let title = format!("the output `{}` {how} the cache, `{}`", output.path.display(), cache.display());
        let help = "use another folder with --cache, or another path here";
        problems.push(Problem::error(title).at(output.span, "").help(help));
    }
    if problems.is_empty() { Ok(()) } else { Err(Problems::new(problems, pipeline.sources.clone()).into()) }
}

/// The stages of these names; a sweep's name means all members.
pub(super) fn stages(session: &Session, names: &[String]) -> Result<Vec<StageId>, Refusal> {
    let mut stages = Vec::new();
    for name in names {
        let meant = session.pipeline.select(name);
        if meant.is_empty() {
            return Err(unknown(session, name));
        }
        stages.extend(meant);
    }
    Ok(stages)
}

/// The one stage of this name.
pub(super) fn stage(session: &Session, name: &str) -> Result<StageId, Refusal> {
    match session.pipeline.select(name).as_slice() {
        [] => Err(unknown(session, name)),
        [stage] => Ok(*stage),
        [first, .., last] => {
            let name_of = |id: &StageId| &session.pipeline.stage(*id).name;
            let (first, last) = (name_of(first), name_of(last));
            Err(Refusal::Usage(format!("`{name}` is a sweep; name one member, from `{first}` to `{last}`")))
        }
    }
}

fn unknown(session: &Session, name: &str) -> Refusal {
    /// Number of names listed if none is near.
    const SHOWN: usize = 12;
    let stages = &session.pipeline.stages;
    let mut families: Vec<&str> = stages.iter().map(|stage| stage.family.as_str()).collect();
    families.dedup();
    let of_family = stages.iter().filter(|stage| name.split('[').next() == Some(&*stage.family));
    let mut known: Vec<&str> = of_family.map(|stage| stage.name.as_str()).collect();
    if known.is_empty() {
        known.clone_from(&families);
    }
    let all = families.iter().copied().chain(stages.iter().map(|stage| stage.name.as_str()));
    let (family, coordinates) = name.split_at(name.find('[').unwrap_or(name.len()));
    let near = nearest(name, all).map(str::to_owned).or_else(|| {
        let near = nearest(family, families).filter(|near| *near != family)?;
        Some(format!("{near}{coordinates}"))
    });
    let near = near.map(|near| format!("; did you mean `{near}`?"));
    let more = if known.len() > SHOWN { ", …" } else { "" };
    known.truncate(SHOWN);
    let known = near.unwrap_or_else(|| format!("; there are {}{more}", known.join(", ")));
    Refusal::Usage(format!("no stage of {} is called `{name}`{known}", session.pipeline.file.display()))
}
