//! `cache`: maintains the store. One file per subcommand.
//!
//! Each works on a whole store; a pipeline only selects the store or its results.

mod amounts;
mod check;
mod gc;
mod key;
mod pin;
mod push;
mod stats;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};

pub(super) use self::gc::needs;
use super::{Answer, Options, Refusal, Source, cache_folder, shared_caches};
use crate::mark::{self, Stands};
use crate::sched::session::Access;
use crate::store::Store;

/// Inspect and maintain the cache
#[derive(Subcommand)]
pub(super) enum Cache {
    Stats(stats::Stats),
    Verify(verify::Verify),
    Gc(gc::Gc),
    Pin(pin::Pin),
    Unpin(pin::Unpin),
    Push(push::Push),
    Check(check::Check),
    #[command(subcommand)]
    Key(key::Key),
}

impl Cache {
    pub(super) fn answer(self) -> Answer {
        match self {
            Cache::Stats(command) => command.answer(),
            Cache::Verify(command) => command.answer(),
            Cache::Gc(command) => command.answer(),
            Cache::Pin(command) => command.answer(),
            Cache::Unpin(command) => command.answer(),
            Cache::Push(command) => command.answer(),
            Cache::Check(command) => command.answer(),
            Cache::Key(command) => command.answer(),
        }
    }
}

/// Selects a cache.
#[derive(Args)]
struct Place {
    /// Use the cache of this pipeline's workspace; default: ./cache
    #[arg(value_name = "PIPELINE.toml")]
    file: Option<PathBuf>,
    /// The cache folder; also INTRADA_CACHE
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl Place {
    /// Opens the cache; fails if it is missing.
    fn open(&self, access: Access) -> Result<Arc<Store>, Refusal> {
        if let (None, Some(file)) = (cache_folder(self.cache.as_ref()), &self.file) {
            let source = Source { file: file.clone(), options: Options::default() };
            return Ok(source.open(access)?.store);
        }
        Ok(Arc::new(self.open_alone(access)?.with_shared(&shared_caches(&[], None))))
    }

    /// Opens the cache folder, without a pipeline and without shared caches; fails if it is missing.
    fn open_alone(&self, access: Access) -> Result<Store, Refusal> {
        let place = cache_folder(self.cache.as_ref()).unwrap_or_else(|| PathBuf::from("cache"));
        if !mark::is_ours(&place) {
            let text = if place.exists() {
                format!("{} is not a cache of intrada-run", place.display())
            } else {
                format!("there is no cache at {}", place.display())
            };
            return Err(Refusal::Usage(format!("{text}; name a pipeline file, or the folder with --cache")));
        }
        let store = match access {
            // The cache's tag says whether it belongs to a workspace; a lost tag is recreated as that only without --cache.
            Access::Run if self.cache.is_some() => Store::open_as(&place, Stands::Elsewhere),
            Access::Run => Store::open(&place),
            Access::Look => Store::look_at(&place),
        };
        store.map_err(|error| {
            Refusal::Usage(format!("{:#}", anyhow::Error::new(error).context("failed to open the cache")))
        })
    }
}
