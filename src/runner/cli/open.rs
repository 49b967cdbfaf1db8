//! From a command line to an open session.

use super::{Refusal, Source, cache_folder};
use crate::graph;
use crate::sched::session::{Access, Session};
use crate::spec::StageId;

impl Source {
    /// Reads the pipeline and opens its workspace.
    pub(super) fn open(&self, access: Access) -> Result<Session, Refusal> {
        let (pipeline, graph) = graph::load(&self.file, &self.set)?;
        let cache = cache_folder(self.cache.as_ref());
        Session::open(pipeline, graph, cache.as_deref(), access).map_err(|error| {
            // Nothing was run, and it is the folder that was named or found that is wrong.
            Refusal::Usage(format!("{:#}", anyhow::Error::new(error).context("failed to open the cache")))
        })
    }
}

/// The stages of these names.
pub(super) fn stages(session: &Session, names: &[String]) -> Result<Vec<StageId>, Refusal> {
    names.iter().map(|name| stage(session, name)).collect()
}

/// The stage of this name.
pub(super) fn stage(session: &Session, name: &str) -> Result<StageId, Refusal> {
    session.pipeline.find(name).ok_or_else(|| {
        let all = session.pipeline.stages.iter().map(|stage| stage.name.as_str());
        let near = crate::spec::nearest(name, all.clone()).map(|near| format!("; did you mean `{near}`?"));
        let known: Vec<&str> = all.collect();
        let known = near.unwrap_or_else(|| format!("; there are {}", known.join(", ")));
        Refusal::Usage(format!("no stage of {} is called `{name}`{known}", session.pipeline.file.display()))
    })
}
