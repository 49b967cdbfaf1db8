//! Asks a bucket's server once what it can do: `cache check`.
//!
//! Each question is asked, whatever the others' answers. What is written has a name that no cache uses, and is deleted.

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::super::Checked;
use super::address::Address;
use super::answer::{failed, if_there};
use super::courier;

/// Requests whose median is the latency.
const REQUESTS: usize = 5;
/// The object that is sent and fetched to measure throughput.
const BYTES: usize = 8 << 20;

/// Asks the bucket at a URL, with credentials from the environment.
///
/// # Errors
/// It isn't the URL of a bucket.
pub(in crate::store::upstream) fn check(
    url: &str,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> io::Result<Checked> {
    let Address { client, prefix, .. } = Address::read(url, environment)?;
    // Nobody else's name, so that two checks don't meet.
    let name = RandomState::new().build_hasher().finish();
    let folder = prefix.join("check").join(format!("{name:016x}"));
    courier::wait(async move { ask(&client, &folder).await })
}

async fn ask(client: &Arc<dyn ObjectStore>, folder: &Path) -> Checked {
    let small = folder.clone().join("small");
    let write = create(client, &small).await;
    let refuses_to_overwrite = match write {
        Ok(()) => Some(matches!(create(client, &small).await, Err(object_store::Error::AlreadyExists { .. }))),
        Err(_) => None,
    };
    let read = read(client, &small, write.is_ok()).await;
    let latency = latency(client, folder).await;
    let throughput = if write.is_ok() && read.is_ok() { throughput(client, folder).await.ok() } else { None };
    let list = client.list(Some(folder)).try_collect::<Vec<_>>().await.map(drop);
    let delete = match write {
        Ok(()) => delete(client, folder).await,
        Err(_) => Ok(()),
    };
    // A server doesn't say that about a folder, which exists as soon as something is in it.
    let has_no_bucket =
        [&write, &list].iter().any(|answer| matches!(answer, Err(object_store::Error::NotFound { .. })));
    let [write, mut read, list, delete] = [write, read, list, delete].map(in_words);
    if has_no_bucket && read.is_ok() {
        read = Err("there is no such bucket".to_owned());
    }
    Checked { write, refuses_to_overwrite, read, list, delete, latency, throughput }
}

const SMALL: &[u8] = b"intrada-run cache check\n";

async fn create(client: &Arc<dyn ObjectStore>, path: &Path) -> object_store::Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    client.put_opts(path, Bytes::from_static(SMALL).into(), options).await.map(drop)
}

/// Where nothing could be written, an answer that there is nothing will do.
async fn read(client: &Arc<dyn ObjectStore>, path: &Path, is_there: bool) -> object_store::Result<()> {
    let found = match client.get(path).await {
        Err(object_store::Error::NotFound { .. }) if !is_there => return Ok(()),
        found => found?.bytes().await?,
    };
    if found == SMALL {
        return Ok(());
    }
    Err(object_store::Error::Generic { store: "S3", source: "other bytes came back than were written".into() })
}

async fn latency(client: &Arc<dyn ObjectStore>, folder: &Path) -> Option<Duration> {
    let mut times = Vec::with_capacity(REQUESTS);
    for number in 0..REQUESTS {
        let begin = Instant::now();
        if_there(client.head(&folder.clone().join(format!("nothing-{number}"))).await).ok()?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times.get(REQUESTS / 2).copied()
}

async fn throughput(client: &Arc<dyn ObjectStore>, folder: &Path) -> object_store::Result<(f64, f64)> {
    let path = folder.clone().join("large");
    // A server or a proxy may compress zeros.
    let bytes: Bytes = (0..BYTES as u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let begin = Instant::now();
    client.put(&path, bytes.into()).await?;
    let there = begin.elapsed();
    let begin = Instant::now();
    client.get(&path).await?.bytes().await?;
    let rate = |time: Duration| BYTES as f64 / time.as_secs_f64();
    Ok((rate(there), rate(begin.elapsed())))
}

async fn delete(client: &Arc<dyn ObjectStore>, folder: &Path) -> object_store::Result<()> {
    for name in ["small", "large"] {
        match client.delete(&folder.clone().join(name)).await {
            Err(object_store::Error::NotFound { .. }) => {}
            deleted => deleted?,
        }
    }
    Ok(())
}

fn in_words(answer: object_store::Result<()>) -> Result<(), String> {
    answer.map_err(|error| failed(error).to_string())
}
