//! A bucket as upstream: S3, or what speaks its protocol; also Google Cloud Storage and Azure.
//!
//! ```text
//! <prefix>/v1/objects/ab/<64 hex>                        content, named by its digest
//! <prefix>/v1/traces/ab/<64 hex of key>                  the first record of a key, never replaced
//! <prefix>/v1/traces/ab/<64 hex of key>.also/<digest>    other records of the key: the stage isn't deterministic
//! <prefix>/v1/signatures/ab/<64 hex of key>/<digest>     a signature, named by the record and the signer
//! ```
//!
//! Knows no stage, and nothing of the store's own folder. Objects need no condition, as the same name has the same bytes; the
//! record is the only conditional write, and the last. There is no copy, no rename and no lock in the bucket. Requests run on
//! a thread of their own ([`courier`]); callers wait for them.

mod address;
mod answer;
mod check;
mod courier;
mod records;
#[cfg(test)]
mod tests;
mod transfer;

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::io::{self, Read};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

pub(super) use self::check::check;

use self::address::Address;
use self::answer::if_there;
use self::records::Records;
use self::transfer::QUESTIONS_AT_ONCE;
use super::{Content, Put, Thing, Upstream, UpstreamWriter};
use crate::digest::{Digest, FileDigest, Key};
use crate::signing::PublicKey;

/// A folder of a bucket.
#[derive(Debug)]
pub(in crate::store) struct Bucket {
    client: Arc<dyn ObjectStore>,
    prefix: Path,
    url: String,
    takes_results: bool,
    records: Records,
}

impl Bucket {
    /// The bucket at a URL, with credentials from the environment. Asks nothing yet. `takes_results`: whether it is also written.
    ///
    /// # Errors
    /// It isn't the URL of a bucket, or the environment is contradictory.
    pub(in crate::store) fn open(
        url: &str,
        takes_results: bool,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> io::Result<Bucket> {
        let Address { client, prefix, url } = Address::read(url, environment)?;
        let records = Records::new(Arc::clone(&client), prefix.clone());
        Ok(Bucket { client, prefix, url, takes_results, records })
    }

    fn path(&self, thing: Thing) -> Path {
        match thing {
            Thing::Trace(key) => self.records.path(key),
            Thing::Object(object) => {
                let name = object.to_string();
                Path::from_iter(self.prefix.parts().chain(["objects", &name[..2], &name].map(Into::into)))
            }
        }
    }
}

impl Bucket {
    fn signature_path(&self, key: Key, record: Digest, signer: PublicKey) -> Path {
        let key = key.to_string();
        // One digest for both: there are servers whose names of objects are short.
        let name = Digest::of(format!("{record} {signer}").as_bytes()).to_string();
        Path::from_iter(self.prefix.parts().chain(["signatures", &key[..2], &key, &name].map(Into::into)))
    }
}

impl Upstream for Bucket {
    fn name(&self) -> String {
        self.url.clone()
    }

    fn name_of(&self, thing: Thing) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or_default();
        let bucket = rest.split('/').next().unwrap_or_default();
        format!("{scheme}://{bucket}/{}", self.path(thing))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn trace(&self, key: Key) -> io::Result<Option<Vec<u8>>> {
        Ok(self.records.first(key)?.map(Vec::from))
    }

    fn open(&self, object: FileDigest) -> io::Result<Option<Content>> {
        Ok(transfer::open(&self.client, self.path(Thing::Object(object)))?.map(Content::Stream))
    }

    fn has(&self, objects: &[FileDigest]) -> io::Result<HashSet<FileDigest>> {
        let named: Vec<(FileDigest, Path)> =
            objects.iter().map(|object| (*object, self.path(Thing::Object(*object)))).collect();
        let client = Arc::clone(&self.client);
        let ask = move |(object, path): (FileDigest, Path)| {
            let client = Arc::clone(&client);
            async move { (object, client.head(&path).await) }
        };
        let asked = stream::iter(named).map(ask).buffer_unordered(QUESTIONS_AT_ONCE);
        let answers = courier::wait(asked.collect::<Vec<_>>())?;
        let there = answers.into_iter().map(|(object, found)| Ok(if_there(found)?.map(|_| object)));
        Ok(there.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn signatures(&self, key: Key, record: Digest, signers: &BTreeSet<PublicKey>) -> io::Result<Vec<u8>> {
        let paths = signers.iter().map(|signer| self.signature_path(key, record, *signer)).collect();
        Ok(transfer::read_all(&self.client, paths)?.concat())
    }

    fn beside(&self, key: Key) -> io::Result<Vec<Vec<u8>>> {
        Ok(self.records.all_beside(key)?.into_iter().map(Vec::from).collect())
    }

    fn remark(&self) -> Option<String> {
        let text = || {
            format!(
                "the server of `{}` overwrites a record where it should refuse; so records are kept by their content, and of \
                 several for one key the one with the smallest digest counts",
                self.url
            )
        };
        self.records.is_by_value().then(text)
    }

    fn writer(&self) -> Option<&dyn UpstreamWriter> {
        self.takes_results.then_some(self)
    }
}

impl UpstreamWriter for Bucket {
    fn put_object(&self, object: FileDigest, content: &mut (dyn Read + Send), size: u64) -> io::Result<()> {
        transfer::put(&self.client, self.path(Thing::Object(object)), content, size)
    }

    fn put_trace_if_absent(&self, key: Key, record: &[u8]) -> io::Result<Put> {
        self.records.put_if_absent(key, record)
    }

    fn keep_beside(&self, key: Key, record: &[u8]) -> io::Result<()> {
        self.records.put_beside(key, record)
    }

    fn put_signature(&self, key: Key, record: Digest, signer: PublicKey, line: &[u8]) -> io::Result<()> {
        transfer::put(&self.client, self.signature_path(key, record, signer), &mut &*line, line.len() as u64)
    }
}
