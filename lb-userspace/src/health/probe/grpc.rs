//! One call of `grpc.health.v1.Health/Check` (gRPC over HTTP/2, as the health checking protocol of gRPC says). Both messages
//! have one field; they are written and read here.

use std::net::SocketAddr;

use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use hyper::{Request, StatusCode};
use tokio::task::JoinSet;

use super::deadline::Deadline;
use super::failure::{Failure, Phase};
use super::http::HEADER_LIMIT;
use super::tls::Stream;
use super::{AGENT, authority};
use crate::config::model::GrpcCheck;
use crate::quotable::quotable;

mod message;

pub use message::Serving;

/// Bytes of an answer that are taken; one that says all there is to say has seven.
const MOST: usize = 4 << 10;

/// Calls over a connection to `address`.
pub(super) async fn probe(
    check: &GrpcCheck,
    address: SocketAddr,
    stream: Box<dyn Stream>,
    deadline: &Deadline,
) -> Result<(), Failure> {
    let host = authority(check.host.as_deref(), check.tls.as_ref(), address);
    let scheme = if check.tls.is_some() { "https" } else { "http" };
    let request = Request::post(format!("{scheme}://{host}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        .body(())?;
    let mut driver = JoinSet::new();
    let question = message::question(&check.service).into();
    let called = deadline.hold(Phase::Answering, call(stream, request, question, &mut driver)).await;
    // Nothing refers to the connection any more, so it says good-bye.
    deadline.spend(driver.join_next()).await;
    match called? {
        Serving::SERVING => Ok(()),
        other => Err(Failure::NotServing(other)),
    }
}

async fn call(
    stream: Box<dyn Stream>,
    request: Request<()>,
    question: Bytes,
    driver: &mut JoinSet<Result<(), h2::Error>>,
) -> Result<Serving, Failure> {
    let mut http = Builder::new();
    http.enable_push(false).max_header_list_size(u32::try_from(HEADER_LIMIT).unwrap_or(u32::MAX));
    let (sender, connection) = http.handshake(stream).await.map_err(Failure::from_http2)?;
    driver.spawn(connection);
    exchange(sender, request, question).await
}

async fn exchange(
    sender: SendRequest<Bytes>,
    request: Request<()>,
    question: Bytes,
) -> Result<Serving, Failure> {
    let mut sender = sender.ready().await.map_err(Failure::from_http2)?;
    let (answer, mut body) = sender.send_request(request, false).map_err(Failure::from_http2)?;
    body.send_data(question, true).map_err(Failure::from_http2)?;
    let (head, body) = answer.await.map_err(Failure::from_http2)?.into_parts();
    if head.status != StatusCode::OK {
        return Err(Failure::Status { status: head.status.as_u16(), expected: 200..=200 });
    }
    // A call that fails at once says so in the header and has nothing behind it.
    if let Some(code) = Code::of(&head.headers) {
        passed(code?, &head.headers)?;
    }
    let (answer, trailers) = read(body).await?;
    let code = Code::of(&trailers).unwrap_or(Err(Failure::NotGrpc("no status")))?;
    passed(code, &trailers)?;
    message::answer(&answer).ok_or(Failure::NotGrpc("no HealthCheckResponse"))
}

async fn read(mut body: RecvStream) -> Result<(Vec<u8>, HeaderMap), Failure> {
    let mut answer = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(Failure::from_http2)?;
        if answer.len() + data.len() > MOST {
            return Err(Failure::TooLong { most: MOST });
        }
        answer.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.map_err(Failure::from_http2)?;
    Ok((answer, trailers.unwrap_or_default()))
}

fn passed(code: Code, fields: &HeaderMap) -> Result<(), Failure> {
    if code == Code::OK {
        return Ok(());
    }
    let message = fields.get("grpc-message").and_then(|message| message.to_str().ok()).map(quotable);
    Err(Failure::Grpc { code, message: message.unwrap_or_default() })
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// It did not fail.
    const OK: Self = Self(0);

    /// The names of gRPC's status codes, from 0.
    const NAMES: [&'static str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];

    /// What header or trailers say, if they do.
    fn of(fields: &HeaderMap) -> Option<Result<Self, Failure>> {
        let code = fields.get("grpc-status")?.to_str().ok().and_then(|code| code.parse().ok());
        Some(code.map(Self).ok_or(Failure::NotGrpc("a status that is no number")))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = usize::try_from(self.0).ok().and_then(|code| Self::NAMES.get(code));
        write!(f, "{} ({})", self.0, name.unwrap_or(&"not one of gRPC's"))
    }
}
