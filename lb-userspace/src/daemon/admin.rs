//! The agent's socket: what `spillway drain`, `undrain` and `failback` ask arrives here.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::protocol::{LONGEST, Reply, Request};

/// Requests that may wait for the agent; more are not read until it has answered.
const BACKLOG: usize = 16;
/// How long a client may take to say what it wants, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause after a connection could not be accepted, as when the process has no descriptors left.
const PAUSE: Duration = Duration::from_secs(1);
/// Tries to lock the socket's directory, and the pause between them.
const TRIES: u32 = 100;
const RETRY: Duration = Duration::from_millis(10);

/// Why the agent does not listen.
#[derive(Debug, Error)]
pub enum AdminError {
    /// Somebody answers there.
    #[error(
        "another agent answers at unix://{path}; end it, or give this one a `gateway.listen.admin` of its own"
    )]
    Taken {
        /// The socket.
        path: String,
    },
    /// There is a file of that name which is no socket.
    #[error("{path} is not a socket; remove it, or set `gateway.listen.admin`")]
    NoSocket {
        /// The file.
        path: String,
    },
    /// The socket cannot be made.
    #[error("the socket {path} cannot be made: {source}; set `gateway.listen.admin`")]
    Failed {
        /// The socket.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A request, and where its answer goes.
pub(super) struct Ask {
    pub(super) request: Request,
    pub(super) answer: oneshot::Sender<Reply>,
}

/// The socket; removed when dropped.
#[derive(Debug)]
pub(super) struct Admin {
    path: PathBuf,
}

impl Admin {
    /// Makes the socket, for its owner alone, and serves it on the current runtime.
    ///
    /// # Errors
    /// [`AdminError`]; a socket that nobody listens on any more is replaced.
    pub(super) fn listen(path: &Path) -> Result<(Self, mpsc::Receiver<Ask>), AdminError> {
        let listener = bind(path)?;
        let (asks, received) = mpsc::channel(BACKLOG);
        tokio::spawn(serve(listener, asks));
        Ok((Self { path: path.to_owned() }, received))
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Err(reason) = fs::remove_file(&self.path) {
            warn!(event = "admin", path = %self.path.display(), %reason, "the socket is left behind");
        }
    }
}

/// Of two agents that find the same abandoned socket only one may replace it, so they take turns.
fn bind(path: &Path) -> Result<UnixListener, AdminError> {
    let failed = |source| AdminError::Failed { path: path.display().to_string(), source };
    let _turn = turn(path).map_err(failed)?;
    remove_abandoned(path)?;
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    listener.map_err(failed)
}

fn turn(path: &Path) -> io::Result<File> {
    let directory = File::open(path.parent().unwrap_or(Path::new("/")))?;
    for _ in 1..TRIES {
        if directory.try_lock().is_ok() {
            return Ok(directory);
        }
        thread::sleep(RETRY);
    }
    directory.try_lock()?;
    Ok(directory)
}

fn remove_abandoned(path: &Path) -> Result<(), AdminError> {
    let name = path.display().to_string();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(AdminError::Failed { path: name, source }),
        Ok(found) if !found.file_type().is_socket() => return Err(AdminError::NoSocket { path: name }),
        Ok(_) => {}
    }
    match BlockingStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| AdminError::Failed { path: name, source })
        }
        // One that is too busy to accept answers as well.
        _ => Err(AdminError::Taken { path: name }),
    }
}

async fn serve(listener: UnixListener, asks: mpsc::Sender<Ask>) {
    while !asks.is_closed() {
        match listener.accept().await {
            Ok((stream, _)) => {
                let asks = asks.clone();
                // A client that goes away in the middle is nobody's trouble.
                tokio::spawn(async move { _ = converse(stream, &asks).await });
            }
            Err(reason) => {
                warn!(event = "admin", %reason, "no connection accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(mut stream: UnixStream, asks: &mpsc::Sender<Ask>) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    timeout(PATIENCE, BufReader::new(reader.take(LONGEST)).read_line(&mut line)).await??;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => answer(request, asks).await,
        Err(error) => Reply::Refused(format!("no request of this version: {error}")),
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    timeout(PATIENCE, writer.write_all(&text)).await?
}

async fn answer(request: Request, asks: &mpsc::Sender<Ask>) -> Reply {
    let (answer, answered) = oneshot::channel();
    let ends = || Reply::Refused("the agent ends".to_owned());
    if asks.send(Ask { request, answer }).await.is_err() {
        return ends();
    }
    answered.await.unwrap_or_else(|_| ends())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::protocol::ask;
    use crate::policy::subject::Subject;
    use std::os::unix::fs::PermissionsExt as _;

    fn request() -> Request {
        Request::Drain(Subject::Cluster("eu".into()))
    }

    #[tokio::test]
    async fn what_is_asked_is_answered_and_the_socket_goes_with_the_agent() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let (admin, mut asks) = Admin::listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let client = tokio::task::spawn_blocking({
            let path = path.clone();
            move || ask(&path, &request())
        });
        let asked = asks.recv().await.unwrap();
        assert_eq!(asked.request, request());
        asked.answer.send(Reply::Done("yes".into())).unwrap();
        assert_eq!(client.await.unwrap().unwrap(), Reply::Done("yes".into()));
        drop(admin);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn nonsense_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let _listening = Admin::listen(&path).unwrap();
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"drain everything\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(r#"{"refused":"no request"#), "{answer}");
    }

    #[tokio::test]
    async fn a_living_socket_is_not_replaced_and_an_abandoned_one_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let living = Admin::listen(&path).unwrap();
        assert!(matches!(Admin::listen(&path), Err(AdminError::Taken { .. })));
        drop(living);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "abandoned");
        let _again = Admin::listen(&path).unwrap();
        assert!(ask_soon(&path).await);
    }

    async fn ask_soon(path: &Path) -> bool {
        UnixStream::connect(path).await.is_ok()
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Admin::listen(&path), Err(AdminError::NoSocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert!(matches!(Admin::listen(&directory.path().join("no/a.sock")), Err(AdminError::Failed { .. })));
    }
}
