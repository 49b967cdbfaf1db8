//! Objects on their way: down as a stream, up whole or in parts.
//!
//! Knows names and bytes. Nothing is in memory as a whole that is larger than [`WHOLE`].

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, stream};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};

use super::answer::{failed, if_there};
use super::courier;

/// Larger objects are sent in parts.
const WHOLE: u64 = 16 << 20;
/// S3 wants at least 5 MiB.
const PART: u64 = 8 << 20;
/// S3 takes so many parts.
const PARTS: u64 = 10_000;
/// Parts on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// Pieces that are read ahead of the writing.
const AHEAD: usize = 8;
/// Questions for small objects that are under way at once.
pub(super) const QUESTIONS_AT_ONCE: usize = 32;

type Client = Arc<dyn ObjectStore>;

/// A small object as a whole; `None` if there is none.
pub(super) fn read(client: &Client, path: Path) -> io::Result<Option<Bytes>> {
    let client = Arc::clone(client);
    if_there(courier::wait(async move { client.get(&path).await?.bytes().await })?)
}

/// Small objects, in this order; those that aren't there are left out. So are those that may not be read: a server that lets nobody
/// list refuses to say that there is none.
pub(super) fn read_all(client: &Client, paths: Vec<Path>) -> io::Result<Vec<Bytes>> {
    let client = Arc::clone(client);
    let read = move |path: Path| {
        let client = Arc::clone(&client);
        async move { client.get(&path).await?.bytes().await }
    };
    let answers = courier::wait(stream::iter(paths).map(read).buffered(QUESTIONS_AT_ONCE).collect::<Vec<_>>())?;
    let found = answers.into_iter().map(|answer| unless_denied(if_there(answer)));
    Ok(found.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// `None` where access is denied.
pub(super) fn unless_denied<T>(found: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        found => found,
    }
}

/// An object as a stream; `None` if there is none.
pub(super) fn open(client: &Client, path: Path) -> io::Result<Option<Box<dyn Read + Send>>> {
    let client = Arc::clone(client);
    let Some(found) = if_there(courier::wait(async move { client.get(&path).await })?)? else { return Ok(None) };
    let (send, pieces) = tokio::sync::mpsc::channel(AHEAD);
    courier::start(async move {
        let mut stream = found.into_stream();
        while let Some(piece) = stream.next().await {
            if send.send(piece.map_err(failed)).await.is_err() {
                break;
            }
        }
    })?;
    Ok(Some(Box::new(Down { pieces, piece: Bytes::new() })))
}

struct Down {
    pieces: tokio::sync::mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Down {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() && self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Stores an object, replacing what is there. Readers see all of it or nothing.
pub(super) fn put(client: &Client, path: Path, content: &mut (dyn Read + Send), size: u64) -> io::Result<()> {
    if size > WHOLE {
        return put_in_parts(client, path, content, size);
    }
    let bytes = next(content, size)?;
    let client = Arc::clone(client);
    courier::wait(async move { client.put(&path, bytes.into()).await })?.map(drop).map_err(failed)
}

fn put_in_parts(client: &Client, path: Path, content: &mut (dyn Read + Send), size: u64) -> io::Result<()> {
    let client = Arc::clone(client);
    let mut upload = courier::wait(async move { client.put_multipart(&path).await })?.map_err(failed)?;
    let sent = send_parts(&mut *upload, content, size);
    courier::wait(async move {
        match sent {
            Ok(()) => upload.complete().await.map(drop).map_err(failed),
            Err(error) => {
                // Parts that stay cost money; the bucket's own rule for unfinished uploads removes those of a killed process.
                let _ = upload.abort().await;
                Err(error)
            }
        }
    })?
}

fn send_parts(upload: &mut dyn MultipartUpload, content: &mut (dyn Read + Send), size: u64) -> io::Result<()> {
    let part = PART.max(size.div_ceil(PARTS));
    let mut under_way: VecDeque<Receiver<object_store::Result<()>>> = VecDeque::new();
    let mut left = size;
    while left > 0 {
        let bytes = next(content, left.min(part))?;
        left -= bytes.len() as u64;
        if under_way.len() >= PARTS_AT_ONCE
            && let Some(oldest) = under_way.pop_front()
        {
            courier::answer(&oldest)?.map_err(failed)?;
        }
        under_way.push_back(courier::start(upload.put_part(bytes.into()))?);
    }
    under_way.iter().try_for_each(|part| courier::answer(part)?.map_err(failed))
}

/// The next bytes of a file, which must have them.
fn next(content: &mut (dyn Read + Send), size: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    content.take(size).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == size { Ok(bytes.into()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}
