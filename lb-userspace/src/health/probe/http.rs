//! One GET over HTTP/1.1, on a connection of its own; redirects are not followed. The status decides as soon as the
//! header is in; up to [`DISCARD_LIMIT`] bytes of body are then read and thrown away within what is left of the timeout,
//! so that a node may finish its answer.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::deadline::Deadline;
use super::failure::{Failure, Phase};
use super::{AGENT, authority};
use crate::config::model::HttpCheck;

/// Most bytes an answer's header may have.
pub(super) const HEADER_LIMIT: usize = 16 << 10;
/// Most header fields an answer may have.
pub(super) const FIELD_LIMIT: usize = 100;
/// Bytes of body read before the connection is closed.
const DISCARD_LIMIT: usize = 16 << 10;

/// Asks over a connection to `address`.
pub(super) async fn probe(
    check: &HttpCheck,
    address: SocketAddr,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    deadline: &Deadline,
) -> Result<(), Failure> {
    let host = authority(check.host.as_deref(), check.tls.as_ref(), address);
    let request = request(&check.path, &host)?;
    let mut driver = JoinSet::new();
    let answer = deadline.hold(Phase::Answering, ask(stream, request, &mut driver)).await?;
    let status = answer.status().as_u16();
    // How the body ends does not matter: the status has decided.
    deadline.spend(discard(answer.into_body())).await;
    let unexpected = || Failure::Status { status, expected: check.expect.clone() };
    check.expect.contains(&status).then_some(()).ok_or_else(unexpected)
}

/// A GET of `path`, with this `Host`.
pub(crate) fn request(path: &str, host: &str) -> Result<Request<Empty<Bytes>>, Failure> {
    let request = Request::get(path).header(HOST, host).header(USER_AGENT, AGENT).header(CONNECTION, "close");
    Ok(request.body(Empty::new())?)
}

/// Sends the request and waits for the answer's header. Whoever holds `driver` keeps the connection open.
pub(crate) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
    driver: &mut JoinSet<hyper::Result<()>>,
) -> Result<Response<Incoming>, Failure> {
    let mut http = http1::Builder::new();
    http.max_buf_size(HEADER_LIMIT).max_headers(FIELD_LIMIT);
    let (mut sender, connection) =
        http.handshake(TokioIo::new(stream)).await.map_err(Failure::from_exchange)?;
    driver.spawn(connection);
    sender.send_request(request).await.map_err(Failure::from_exchange)
}

async fn discard(mut body: Incoming) {
    let mut left = DISCARD_LIMIT;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}
