//! The thread that talks to servers: one asynchronous runtime for all buckets, started by the first request.
//!
//! Knows no bucket: callers hand over a future and wait for its answer. A run that asks no bucket starts neither thread nor
//! runtime. The thread ends with the process; a request that is under way then is lost, as after a kill.

use std::future::{Future, pending};
use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};

use tokio::runtime::{Builder, Handle};

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// Starts the future and returns where its answer arrives.
pub(super) fn start<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> io::Result<Receiver<T>> {
    let (send, receive) = mpsc::sync_channel(1);
    runtime()?.spawn(async move {
        // Whoever no longer waits needs no answer.
        let _ = send.send(future.await);
    });
    Ok(receive)
}

/// Waits for the answer of a started future.
pub(super) fn answer<T>(started: &Receiver<T>) -> io::Result<T> {
    started.recv().map_err(|_| io::Error::other("the request was given up"))
}

/// Starts the future and waits for its answer.
pub(super) fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
    answer(&start(future)?)
}

fn runtime() -> io::Result<Handle> {
    let mut runtime = RUNTIME.lock().expect("no code panics while it holds this lock");
    if let Some(handle) = &*runtime {
        return Ok(handle.clone());
    }
    let new = Builder::new_current_thread().enable_all().build()?;
    let handle = new.handle().clone();
    let serve = move || new.block_on(pending::<()>());
    std::thread::Builder::new().name("buckets".to_owned()).spawn(serve)?;
    Ok(runtime.insert(handle).clone())
}
