//! Pulling: copies what the store lacks from its upstreams.
//!
//! Knows upstreams only by their interface. Everything is hashed before it is used or kept; after a damaged item, the next
//! upstream is asked.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::PathBuf;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::error::Error;
use super::objects::{Failed, Staged};
use super::trace::{Found, decode};
use super::upstream::{Content, Folder, Thing, Upstream};
use super::{Recorded, Store};
use crate::digest::{Digest, FileDigest, Key};

impl Store {
    /// Adds these stores as upstreams, in this order. A store that doesn't exist or has a newer version is left out with a
    /// warning.
    #[must_use]
    pub fn with_shared(mut self, folders: &[PathBuf]) -> Store {
        let mut roots = HashSet::from([self.root.clone()]);
        for folder in folders {
            match Folder::open(folder) {
                Ok(opened) if !roots.insert(opened.root().to_owned()) => {}
                Ok(opened) => self = self.with_upstream(Box::new(opened)),
                Err(error) => {
                    let name = folder.display().to_string();
                    let text = format!("the shared cache `{name}` is not used: {}", why_unusable(&error));
                    self.upstreams.warn(name, text);
                }
            }
        }
        self
    }

    /// Adds an upstream, to be asked after the existing ones.
    #[must_use]
    pub fn with_upstream(mut self, upstream: Box<dyn Upstream>) -> Store {
        self.upstreams.add(upstream);
        self
    }

    /// The warnings about upstreams since the last call. Each problem is reported once.
    pub fn complaints(&self) -> Vec<String> {
        self.upstreams.take_complaints()
    }

    /// Adds a record that came from an upstream to this store, so that the result is found without the upstream and is subject
    /// to this store's limits. Its objects must have been restored before. Does nothing for a record of this store.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn keep_pulled(&self, recorded: &Recorded) -> Result<(), Error> {
        match &recorded.pulled {
            Some(pulled) => self.publish_file(self.stage_bytes(&pulled.bytes)?, &self.trace_path(recorded.trace.key)),
            None => Ok(()),
        }
    }

    /// The record of a key from the first upstream that has one.
    pub(super) fn pull_trace(&self, key: Key) -> Option<Recorded> {
        let thing = Thing::Trace(key);
        self.upstreams.iter().find_map(|asked| {
            let bytes = self.upstreams.ask(asked, thing, |upstream| upstream.trace(key))?;
            match decode(&bytes, key) {
                Found::Trace(trace) => Some(Recorded::pulled(*trace, asked.name(), bytes)),
                Found::OtherFormat => None,
                Found::Damaged => {
                    self.upstreams.complain_of(asked, thing, "is damaged");
                    None
                }
            }
        })
    }

    /// The verified content of a small object.
    pub(super) fn pull_bytes(&self, object: FileDigest) -> Option<Vec<u8>> {
        let thing = Thing::Object(object);
        self.upstreams.iter().find_map(|asked| {
            let read = |upstream: &dyn Upstream| upstream.open(object)?.map(read_whole).transpose();
            let bytes = self.upstreams.ask(asked, thing, read)?;
            let is_intact = FileDigest(Digest::of(&bytes)) == object;
            if !is_intact {
                self.upstreams.complain_of(asked, thing, "is damaged");
            }
            is_intact.then_some(bytes)
        })
    }

    /// Whether the upstreams together have all these objects, as far as they can tell.
    pub(super) fn could_pull(&self, mut objects: Vec<FileDigest>) -> bool {
        for asked in self.upstreams.iter() {
            // An error names the first of them.
            let Some(first) = objects.first() else { break };
            let has = |upstream: &dyn Upstream| upstream.has(&objects).map(Some);
            if let Some(has) = self.upstreams.ask(asked, Thing::Object(*first), has) {
                objects.retain(|object| !has.contains(object));
            }
        }
        objects.is_empty()
    }

    /// Copies objects from the upstreams, leaving out those that none has intact. Returns the number copied.
    pub(super) fn pull(&self, objects: &[FileDigest]) -> Result<usize, Error> {
        if self.upstreams.are_none() || objects.is_empty() {
            return Ok(0);
        }
        let staged: Vec<Result<Option<Staged>, Error>> =
            objects.par_iter().map(|object| self.stage_pulled(*object)).collect();
        let staged: Vec<Staged> = staged.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let count = staged.len();
        self.publish_objects(staged)?;
        Ok(count)
    }

    /// Stages an object from the first upstream that has it intact.
    fn stage_pulled(&self, object: FileDigest) -> Result<Option<Staged>, Error> {
        for asked in self.upstreams.iter() {
            let staged = self.upstreams.ask(asked, Thing::Object(object), |upstream| {
                let Some(content) = upstream.open(object)? else { return Ok(None) };
                match Staged::of_content(self, object, content) {
                    Err(Failed::Source(error)) => Err(error),
                    Err(Failed::Store(error)) => Ok(Some(Err(error))),
                    Ok(staged) => Ok(Some(Ok(staged))),
                }
            });
            match staged.transpose()? {
                Some(Some(staged)) => return Ok(Some(staged)),
                Some(None) => self.upstreams.complain_of(asked, Thing::Object(object), "is damaged"),
                None => {}
            }
        }
        Ok(None)
    }
}

/// Why the folder of a shared cache can't be opened.
fn why_unusable(error: &Error) -> String {
    match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => "there is no such folder".to_owned(),
        _ => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        }
    }
}

fn read_whole(content: Content) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match content {
        Content::File(mut file) => file.read_to_end(&mut bytes)?,
        Content::Stream(mut stream) => stream.read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

#[cfg(test)]
mod tests;
