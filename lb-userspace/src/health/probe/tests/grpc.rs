//! gRPC, against servers of HTTP/2.

use super::tls_server::{Authority, NAME, accept, listen, unverified};
use super::{LONG, OK, SHORT, probe};
use crate::config::model::{CheckKind, GrpcCheck, Tls};
use crate::health::{Failure, Phase};
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Response};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinHandle;

const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
const NOT_SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 2];

/// What a server answers: status of HTTP, whether everything stands in the header, message, status and message of gRPC.
#[derive(Clone, Copy)]
struct Answer {
    http: u16,
    at_once: bool,
    message: &'static [u8],
    code: Option<&'static str>,
    says: Option<&'static str>,
}

const WELL: Answer = Answer { http: 200, at_once: false, message: SERVING, code: Some("0"), says: None };

fn fields(answer: Answer) -> HeaderMap {
    let named = [("grpc-status", answer.code), ("grpc-message", answer.says)];
    let value = |(name, value): (&'static str, Option<&'static str>)| {
        value.map(|value| (name.parse().unwrap(), HeaderValue::from_static(value)))
    };
    named.into_iter().filter_map(value).collect()
}

/// Answers the first call on a connection; with its request as text, and its message.
async fn answer_call(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answer: Answer,
) -> (String, Vec<u8>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (request, mut respond) = connection.accept().await.unwrap().unwrap();
    assert_eq!(request.method(), Method::POST);
    let asked = format!("{} {:?}", request.uri(), request.headers());
    let mut body = request.into_body();
    let rest = tokio::spawn(async move { while connection.accept().await.is_some() {} });
    let message = body.data().await.unwrap().unwrap().to_vec();
    let mut head = Response::builder().status(answer.http).header("content-type", "application/grpc");
    if answer.at_once {
        head.headers_mut().unwrap().extend(fields(answer));
    }
    let mut send = respond.send_response(head.body(()).unwrap(), answer.at_once).unwrap();
    if !answer.at_once {
        send.send_data(Bytes::from_static(answer.message), false).unwrap();
        send.send_trailers(fields(answer)).unwrap();
    }
    // The client ends the connection, with a good-bye.
    rest.await.unwrap();
    (asked, message)
}

async fn server(answer: Answer) -> (SocketAddr, JoinHandle<(String, Vec<u8>)>) {
    let (listener, address) = listen().await;
    let task = tokio::spawn(async move { answer_call(listener.accept().await.unwrap().0, answer).await });
    (address, task)
}

fn grpc(service: &str, tls: Option<Tls>) -> CheckKind {
    CheckKind::Grpc(GrpcCheck { service: service.into(), host: None, tls })
}

async fn asked(answer: Answer) -> Result<(), Failure> {
    let (address, _server) = server(answer).await;
    probe(&grpc("", None), address, LONG).await
}

#[tokio::test]
async fn a_serving_service_passes_and_the_connection_ends_in_order() {
    let (address, server) = server(WELL).await;
    probe(&grpc("shop.Cart", None), address, LONG).await.expect("passes");
    let (request, message) = server.await.expect("no error of the connection");
    assert!(request.starts_with(&format!("http://{address}/grpc.health.v1.Health/Check ")), "{request}");
    assert!(request.contains("application/grpc") && request.contains("trailers"), "{request}");
    assert_eq!(message, b"\0\0\0\0\x0b\x0a\x09shop.Cart");
}

#[tokio::test]
async fn other_answers_are_named() {
    let not = |message: &'static [u8]| Answer { message, ..WELL };
    let code = |code, says| Answer { message: b"", code: Some(code), says, ..WELL };
    let cases = [
        (not(NOT_SERVING), "NOT_SERVING, expected SERVING"),
        (not(b"\0\0\0\0\0"), "UNKNOWN, expected SERVING"),
        (not(b"\0\0\0\0\x02\x08\x03"), "SERVICE_UNKNOWN, expected SERVING"),
        (not(b"\0\0\0\0"), "malformed answer of gRPC: no HealthCheckResponse"),
        (not(&[0; 5000]), "answer is over 4096 bytes"),
        (code("5", Some("unknown service")), "gRPC status 5 (NOT_FOUND): unknown service"),
        (code("12", None), "gRPC status 12 (UNIMPLEMENTED)"),
        (code("99", None), "gRPC status 99 (not one of gRPC's)"),
        (code("well", None), "malformed answer of gRPC: a status that is no number"),
        (Answer { at_once: true, ..code("14", Some("later")) }, "gRPC status 14 (UNAVAILABLE): later"),
        (Answer { code: None, ..WELL }, "malformed answer of gRPC: no status"),
        (Answer { http: 404, ..WELL }, "status 404, expected 200-200"),
    ];
    for (answer, words) in cases {
        let failure = asked(answer).await.expect_err(words);
        assert_eq!(failure.to_string(), words);
        assert!(!failure.is_local());
    }
}

#[tokio::test]
async fn over_tls_it_is_the_same() {
    let authority = Authority::new();
    for tls in [authority.known(Some(NAME)), unverified(None)] {
        let (listener, address) = listen().await;
        let acceptor = authority.acceptor(2100, "h2");
        let server =
            tokio::spawn(
                async move { answer_call(accept(&listener, &acceptor).await.expect("TLS"), WELL).await },
            );
        let named = if tls.server_name.is_some() { NAME } else { "127.0.0.1" };
        probe(&grpc("", Some(tls)), address, LONG).await.expect("passes");
        let (request, message) = server.await.expect("server");
        assert!(request.starts_with(&format!("https://{named}:{}/", address.port())), "{request}");
        assert_eq!(message, [0; 5]);
    }
    let (listener, address) = listen().await;
    let acceptor = authority.acceptor(2100, "h2");
    tokio::spawn(async move { accept(&listener, &acceptor).await });
    let failure = probe(&grpc("", Some(Authority::new().known(Some(NAME)))), address, LONG).await;
    assert!(matches!(failure, Err(Failure::Tls(_))), "{failure:?}");
}

#[tokio::test]
async fn a_server_of_something_else_does_not_pass() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(OK).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let failure = probe(&grpc("", None), address, LONG).await.expect_err("HTTP/1.1");
    assert!(failure.to_string().starts_with("no answer over HTTP/2: "), "{failure}");

    let (listener, address) = listen().await;
    tokio::spawn(async move { drop(listener.accept().await) });
    let failure = probe(&grpc("", None), address, LONG).await.expect_err("hung up");
    assert!(matches!(failure, Failure::Closed | Failure::Http2(_)), "{failure:?}");
}

#[tokio::test]
async fn one_that_does_not_answer_times_out_and_is_left() {
    let (listener, address) = listen().await;
    let failure = probe(&grpc("", None), address, SHORT).await.expect_err("silence");
    assert!(matches!(failure, Failure::TimedOut { phase: Phase::Answering, .. }), "{failure:?}");
    let (mut stream, _) = listener.accept().await.unwrap();
    let ended = tokio::time::timeout(LONG, stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "the connection is closed");
}
