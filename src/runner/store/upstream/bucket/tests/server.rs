//! An S3 server in the process of a test: a folder served on a port that the kernel chooses, with faults on request.
//!
//! s3s-fs looks whether an object exists and writes it later, so that several writers may each believe to be the first; a real
//! server lets one win. So a conditional request is alone here.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::sync::oneshot;

/// What the server was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    /// Below the bucket.
    pub path: String,
    pub is_conditional: bool,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// This status instead of an answer, and nothing is done.
    Status(u16),
    /// It is done, and the connection breaks before the answer.
    AnswerLost,
    /// There is no answer, and the connection stays open.
    Silent,
    /// Half of the body arrives.
    Cut,
    /// One bit of the body is wrong.
    Flipped,
    /// The condition of the request is ignored.
    Unconditional,
}

type Faults = Box<dyn FnMut(&Asked) -> Fault + Send>;

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    faults: Option<Faults>,
    delay: Duration,
}

/// A running server. It ends with the value.
pub struct Server {
    address: SocketAddr,
    root: PathBuf,
    state: Arc<Mutex<State>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// The name of the bucket.
pub const BUCKET: &str = "cache";

impl Server {
    /// Serves a new folder of a bucket in `root`.
    pub fn start(root: &Path) -> Server {
        std::fs::create_dir_all(root.join(BUCKET)).unwrap();
        Server::on(root, SocketAddr::from(([127, 0, 0, 1], 0)), Arc::default())
    }

    fn on(root: &Path, address: SocketAddr, state: Arc<Mutex<State>>) -> Server {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let (folder, shared) = (root.to_owned(), Arc::clone(&state));
        let thread = std::thread::spawn(move || serve(listener, &folder, &shared, ended));
        Server { address, root: root.to_owned(), state, end: Some(end), thread: Some(thread) }
    }

    /// Stops answering: the port refuses connections.
    pub fn stop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// Answers again, on the same port.
    pub fn restart(&mut self) {
        self.stop();
        *self = Server::on(&self.root.clone(), self.address, Arc::clone(&self.state));
    }

    /// The environment of a client.
    pub fn environment(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        let pairs = [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "testtest"),
            ("AWS_REGION", "us-east-1"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// Decides for each request what happens to it.
    pub fn fault(&self, faults: impl FnMut(&Asked) -> Fault + Send + 'static) {
        self.state().faults = Some(Box::new(faults));
    }

    /// The next requests that `concerns` meets get these faults, one each; all others none.
    pub fn faults_in_turn(&self, concerns: fn(&Asked) -> bool, faults: impl IntoIterator<Item = Fault>) {
        let mut faults = VecDeque::from_iter(faults);
        self.fault(move |asked| if concerns(asked) { faults.pop_front().unwrap_or(Fault::None) } else { Fault::None });
    }

    pub fn no_faults(&self) {
        self.state().faults = None;
    }

    /// Answers each request this much later.
    pub fn delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// The requests since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }

    /// The file of an object of the bucket.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(BUCKET).join(path)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn serve(listener: std::net::TcpListener, root: &Path, state: &Arc<Mutex<State>>, mut ended: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut builder = s3s::service::S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    builder.set_auth(s3s::auth::SimpleAuth::from_single("test", "testtest"));
    let (s3, alone) = (builder.build(), Arc::new(tokio::sync::Mutex::new(())));
    let root: Arc<Path> = Arc::from(root);
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        loop {
            let socket = tokio::select! {
                accepted = listener.accept() => match accepted { Ok((socket, _)) => socket, Err(_) => continue },
                _ = &mut ended => break,
            };
            let (s3, alone, state, root) = (s3.clone(), Arc::clone(&alone), Arc::clone(state), Arc::clone(&root));
            let answer = service_fn(move |request| {
                answer(s3.clone(), Arc::clone(&alone), Arc::clone(&state), Arc::clone(&root), request)
            });
            tokio::spawn(async move {
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
            });
        }
    });
}

type Answer = Result<Response<s3s::Body>, Box<dyn std::error::Error + Send + Sync>>;

async fn answer(
    s3: s3s::service::S3Service,
    alone: Arc<tokio::sync::Mutex<()>>,
    state: Arc<Mutex<State>>,
    root: Arc<Path>,
    request: Request<Incoming>,
) -> Answer {
    let is_conditional = is_conditional(request.headers());
    let path = request.uri().path().trim_start_matches('/');
    let path = path.strip_prefix(BUCKET).unwrap_or(path).trim_start_matches('/').to_owned();
    let asked = Asked { method: request.method().to_string(), path, is_conditional };
    let (fault, delay) = {
        let mut state = state.lock().unwrap();
        state.asked.push(asked.clone());
        (state.faults.as_mut().map_or(Fault::None, |faults| faults(&asked)), state.delay)
    };
    tokio::time::sleep(delay).await;
    if fault == Fault::Silent {
        std::future::pending::<()>().await;
    }
    if let Fault::Status(status) = fault {
        return Ok(Response::builder().status(status).body(s3s::Body::from(String::new()))?);
    }
    let _alone = if is_conditional { Some(alone.lock().await) } else { None };
    if fault == Fault::Unconditional {
        // The request is signed with its condition. Without the object, the condition holds.
        let _ = std::fs::remove_file(root.join(BUCKET).join(&asked.path));
    }
    let answered = Service::call(&s3, request).await;
    let response = answered.map_err(|error| format!("{error:?}"))?;
    match fault {
        Fault::AnswerLost => Err("the answer is lost".into()),
        Fault::Cut | Fault::Flipped => {
            let (parts, body) = response.into_parts();
            let mut bytes = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes().to_vec();
            if fault == Fault::Cut {
                bytes.truncate(bytes.len() / 2);
            } else if let Some(byte) = bytes.first_mut() {
                *byte ^= 1;
            }
            Ok(Response::from_parts(parts, s3s::Body::from(hyper::body::Bytes::from(bytes))))
        }
        _ => Ok(response),
    }
}

fn is_conditional(headers: &HeaderMap) -> bool {
    ["if-none-match", "if-match"].iter().any(|name| headers.contains_key(*name))
}
