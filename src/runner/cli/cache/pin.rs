//! `cache pin`, `cache unpin`: results that gc never deletes.

use anyhow::Context;
use clap::Args;

use super::super::{Answer, DONE, Refusal, Source, open, show};
use crate::measures::{now, plural};
use crate::pipeline::StageId;
use crate::sched::session::Access;
use crate::store;

/// Protect a pipeline's current results from gc
#[derive(Args)]
#[command(
    after_help = "Also protects all results that they were made from. A pin protects one result, not the stage: after \
                  an edit the stage has another result.

Examples:
  intrada-run cache pin p.toml             all results of a pipeline
  intrada-run cache pin p.toml intra       one of them"
)]
pub(in crate::cli) struct Pin {
    #[command(flatten)]
    source: Source,
    /// Only these stages; default: all
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
}

impl Pin {
    pub(super) fn answer(self) -> Answer {
        let session = self.source.open(Access::Run)?;
        let chosen = open::stages(&session, &self.stages)?;
        let chosen: Vec<StageId> = if chosen.is_empty() { session.graph.order().to_vec() } else { chosen };
        let since = now();
        let (mut pins, mut without) = (Vec::new(), Vec::new());
        for stage in chosen.iter().map(|id| session.pipeline.stage(*id)) {
            let record = session.index.stages.get(&session.record_name(stage));
            match record.map(|record| record.key).filter(|key| matches!(session.store.load(*key), Ok(Some(_)))) {
                None => without.push(stage.name.as_str()),
                Some(key) => {
                    let (pipeline, stage) = (session.pipeline.name.clone(), stage.name.clone());
                    pins.push(store::Pin { key, pipeline, stage, since });
                }
            }
        }
        if !without.is_empty() {
            let text = format!("nothing was pinned: the cache has no result of {}; run it first", without.join(", "));
            return Err(Refusal::Usage(text));
        }
        for pin in &pins {
            session.store.pin(pin).context("failed to pin a result")?;
        }
        show(&format!("{} pinned\n", plural(pins.len(), "result")))?;
        Ok(DONE)
    }
}

/// Remove pins
#[derive(Args)]
#[command(after_help = "Examples:
  intrada-run cache unpin p.toml           all results of a pipeline
  intrada-run cache unpin p.toml intra     one of them")]
pub(in crate::cli) struct Unpin {
    #[command(flatten)]
    source: Source,
    /// Only these stages; default: all, including stages no longer in the file
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
}

impl Unpin {
    pub(super) fn answer(self) -> Answer {
        let session = self.source.open(Access::Run)?;
        let of = |pin: &store::Pin| {
            pin.pipeline == session.pipeline.name && (self.stages.is_empty() || self.stages.contains(&pin.stage))
        };
        let pins = session.store.pins().context("failed to read the pins")?;
        // A stage no longer in the file may still have a pin; a name unknown to both is a typing error.
        for name in &self.stages {
            let is_pinned = pins.iter().any(|pin| pin.pipeline == session.pipeline.name && pin.stage == *name);
            if !is_pinned {
                open::stages(&session, std::slice::from_ref(name))?;
            }
        }
        let mut count = 0;
        for pin in pins.iter().filter(|pin| of(pin)) {
            count += usize::from(session.store.unpin(pin.key).context("failed to remove a pin")?);
        }
        show(&format!("{} unpinned\n", plural(count, "result")))?;
        Ok(DONE)
    }
}
