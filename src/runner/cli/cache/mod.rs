//! `cache`: looks after the store. One command of it a file.
//!
//! Each is about a whole store, so a pipeline is named only to say which one is meant, or which results.

mod amounts;
mod gc;
mod pin;
mod stats;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::{Answer, Refusal, Source, cache_folder, shared_caches};
use crate::mark::{self, Stands};
use crate::sched::session::Access;
use crate::store::Store;

/// Look after the cache
#[derive(Subcommand)]
pub(super) enum Cache {
    Stats(stats::Stats),
    Verify(verify::Verify),
    Gc(gc::Gc),
    Pin(pin::Pin),
    Unpin(pin::Unpin),
}

impl Cache {
    pub(super) fn answer(self) -> Answer {
        match self {
            Cache::Stats(command) => command.answer(),
            Cache::Verify(command) => command.answer(),
            Cache::Gc(command) => command.answer(),
            Cache::Pin(command) => command.answer(),
            Cache::Unpin(command) => command.answer(),
        }
    }
}

/// Which cache is meant.
#[derive(Args)]
struct Place {
    /// A pipeline file, whose workspace's cache is meant; default: ./cache
    #[arg(value_name = "PIPELINE.toml")]
    file: Option<PathBuf>,
    /// The cache folder; also INTRADA_CACHE
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl Place {
    /// Opens it; one that isn't there is not made.
    fn open(&self, access: Access) -> Result<Arc<Store>, Refusal> {
        if let (None, Some(file)) = (cache_folder(self.cache.as_ref()), &self.file) {
            let source = Source { file: file.clone(), set: Vec::new(), cache: None, shared_cache: Vec::new() };
            return Ok(source.open(access)?.store);
        }
        let place = cache_folder(self.cache.as_ref()).unwrap_or_else(|| PathBuf::from("cache"));
        if !mark::is_ours(&place) {
            let text = if place.exists() {
                format!("{} is no cache of intrada-run", place.display())
            } else {
                format!("{} is no cache of intrada-run: there is nothing", place.display())
            };
            return Err(Refusal::Usage(format!("{text}; name a pipeline file, or the folder with --cache")));
        }
        let store = match access {
            // Where it stands, its own tag says; a tag that is gone is made again as that of a workspace only where it lies.
            Access::Run if self.cache.is_some() => Store::open_as(&place, Stands::Elsewhere),
            Access::Run => Store::open(&place),
            Access::Look => Store::look_at(&place),
        };
        store.map(|store| Arc::new(store.with_shared(&shared_caches(&[])))).map_err(|error| {
            Refusal::Usage(format!("{:#}", anyhow::Error::new(error).context("failed to open the cache")))
        })
    }
}
