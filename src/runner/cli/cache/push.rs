//! `cache push`: copies results to shared caches that weren't copied when they were made.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::super::{Answer, DONE, Refusal, STAGE_FAILED, keyring, show};
use super::Place;
use super::gc::needs;
use crate::measures::plural;
use crate::sched::session::Access;
use crate::signing::Keyring;
use crate::store::upstream::{Location, Shared};
use crate::store::{Signing, Store};

/// Copy results to shared caches that are not there yet
#[derive(Args)]
#[command(
    after_help = "A run notes what it could not copy: because a shared cache was away, because of Ctrl-C, or with \
                  --no-wait-upload. Each result goes where it was meant to go, with its signatures. Results that \
                  came from a shared cache are not signed by --sign.

Examples:
  intrada-run cache push                              all that is noted
  intrada-run cache push s3://bucket/folder --all     every result of ./cache, to a new bucket
  intrada-run cache push s3://bucket/folder --all --sign team.key"
)]
pub(in crate::cli) struct Push {
    /// Only to this shared cache
    #[arg(value_name = "URL")]
    url: Option<OsString>,
    /// All results of the cache, noted or not
    #[arg(long, requires = "url")]
    all: bool,
    /// Sign results with this private key that were computed here before `[cache] sign` was set
    #[arg(long, value_name = "FILE", requires = "url")]
    sign: Option<PathBuf>,
    /// The cache folder; also INTRADA_CACHE; default: ./cache
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl Push {
    pub(super) fn answer(self) -> Answer {
        let place = Place { file: None, cache: self.cache.clone() };
        let url = self.url.as_deref().map(Location::read);
        if let Some(Location::Folder(folder)) = &url {
            let text =
                format!("`{}` is a folder; results are copied to buckets, as in s3://bucket/folder", folder.display());
            return Err(Refusal::Usage(text));
        }
        let own = self.sign.as_deref().map(keyring::read_private).transpose()?;
        // Whoever signs here wants the result to be found, whatever is there that somebody else has made.
        let trusted = own.as_ref().map(|own| BTreeSet::from([own.public()]));
        let store = place.open_alone(Access::Run)?.with_keyring(Keyring { own, trusted });
        if let Some(url) = url.as_ref().filter(|_| self.all) {
            note_all(&store, &url.text().to_string_lossy())?;
        }
        let noted = store.unpushed().context("failed to read what is to be copied")?;
        let mut to = BTreeSet::from_iter(noted.iter().flat_map(|(_, unpushed)| unpushed.to.iter().cloned()));
        to.retain(|name| url.as_ref().is_none_or(|url| url.text().to_str() == Some(name)));
        if to.is_empty() {
            show("nothing is to be copied\n")?;
            return Ok(DONE);
        }
        let shared = |name: &String| Shared { push: true, ..Shared::to_read(Location::read(name.as_ref())) };
        let store = store.with_shared(&to.iter().map(shared).collect::<Vec<_>>());
        let mut left = 0;
        let wanted: Vec<_> = noted.iter().filter(|(_, unpushed)| !unpushed.to.is_disjoint(&to)).collect();
        let mut left_unsigned = 0;
        for (key, _) in &wanted {
            let signing = store.sign_computed(*key).context("failed to sign a result")?;
            left_unsigned += usize::from(signing == Signing::FromElsewhere);
            let first = store.push(*key, &mut |_| true).context("failed to read the cache")?;
            if let Some(from) = first.as_ref().and_then(|first| first.pulled_from()) {
                talk!("note: {from} already had another result of key {key}, and keeps it; this cache keeps its own");
            }
            store.complaints().iter().for_each(|complaint| talk!("warning: {complaint}"));
            let still = store.unpushed_of(*key).context("failed to read what is to be copied")?;
            left += usize::from(still.is_some_and(|still| !still.to.is_disjoint(&to)));
        }
        if left_unsigned > 0 {
            let what = plural(left_unsigned, "result");
            talk!("note: {what} not signed: this cache got them from shared caches and can't vouch for them");
        }
        let names = Vec::from_iter(to).join(", ");
        show(&format!("{} copied to {names}\n", plural(wanted.len() - left, "result")))?;
        if left == 0 {
            return Ok(DONE);
        }
        talk!("error: {} not copied; `intrada-run cache push` tries it again", plural(left, "result"));
        Ok(STAGE_FAILED)
    }
}

/// Notes all results of a cache as to be copied.
fn note_all(store: &Store, url: &str) -> Result<(), Refusal> {
    for key in store.keys().context("failed to list the results")? {
        if let Some(trace) = store.load(key).context("failed to read a record")? {
            store.push_also(key, url, needs(&trace).listings).context("failed to note a result")?;
        }
    }
    Ok(())
}
