//! Probes against real servers on the loopback: TCP and HTTP here, the others in files of their own.

mod exec;
mod grpc;
mod https;
mod tls_server;

use super::http::FIELD_LIMIT;
use super::*;
use crate::config::model::{HealthCheck, HttpCheck};
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes";

/// What a check of a node does once.
fn plan(kind: &CheckKind, to: SocketAddr, timeout: Duration) -> Plan {
    let check = HealthCheck {
        name: "check".into(),
        kind: kind.clone(),
        via: ProbeVia::Direct,
        port: Some(to.port()).filter(|port| *port != 0),
        interval: timeout,
        unhealthy_interval: timeout,
        timeout,
        rise: 1,
        fall: 1,
        jitter_percent: 0,
    };
    Plan { check: Arc::new(check), to }
}

async fn probe(kind: &CheckKind, to: SocketAddr, timeout: Duration) -> Result<(), Failure> {
    let target = Target { pool: "web".into(), address: to.ip() };
    Network::default().probe(&target, &plan(kind, to, timeout)).await
}

fn http(expect: RangeInclusive<u16>) -> CheckKind {
    CheckKind::Http(HttpCheck { path: "/healthz?deep=1".to_owned(), host: None, expect, tls: None })
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    (listener, address)
}

/// Accepts one connection and reads a request from it.
async fn accept(listener: TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().await.expect("accept");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.expect("request"));
    }
    (stream, String::from_utf8(request).expect("text"))
}

/// A server for one request: sends `answer`, then holds the connection until the client closes it.
async fn server(answer: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<String>) {
    let (listener, address) = listen().await;
    let answer = answer.into();
    let task = tokio::spawn(async move {
        let (mut stream, request) = accept(listener).await;
        // The client may hang up in the middle of an answer it does not like.
        let _ = stream.write_all(&answer).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
        request
    });
    (address, task)
}

async fn ask_for(answer: impl Into<Vec<u8>>, expect: RangeInclusive<u16>) -> Result<(), Failure> {
    let (address, _server) = server(answer).await;
    probe(&http(expect), address, LONG).await
}

#[tokio::test]
async fn tcp_passes_and_closes_in_order() {
    let (listener, address) = listen().await;
    probe(&CheckKind::Tcp, address, LONG).await.expect("passes");
    let (mut stream, _) = listener.accept().await.expect("accept");
    let end = stream.read(&mut [0; 1]).await.expect("an end of the stream, not a reset");
    assert_eq!(end, 0);
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let (listener, address) = listen().await;
    drop(listener);
    for kind in [CheckKind::Tcp, http(200..=399)] {
        let failure = probe(&kind, address, LONG).await.expect_err("refused");
        assert!(matches!(failure, Failure::Refused), "{failure:?}");
        assert_eq!(failure.to_string(), "connection refused");
    }
}

#[tokio::test]
async fn a_full_backlog_times_out_while_connecting() {
    let socket = TcpSocket::new_v4().expect("socket");
    socket.bind("127.0.0.1:0".parse().expect("address")).expect("bind");
    let listener = socket.listen(1).expect("listen");
    let address = listener.local_addr().expect("address");
    let mut queued = Vec::new();
    for _ in 0..16 {
        match tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
            Ok(stream) => queued.push(stream.expect("connect")),
            Err(_) => break,
        }
    }
    let failure = probe(&CheckKind::Tcp, address, SHORT).await.expect_err("no connection");
    assert_eq!(failure.to_string(), "timed out after 200ms while connecting");
}

#[tokio::test]
async fn http_passes_with_a_plain_get() {
    let (address, server) = server(OK).await;
    probe(&http(200..=399), address, LONG).await.expect("passes");
    let request = server.await.expect("server").to_ascii_lowercase();
    assert!(request.starts_with("get /healthz?deep=1 http/1.1\r\n"), "{request}");
    for line in [format!("host: {address}"), AGENT.to_owned(), "connection: close".to_owned()] {
        assert!(request.contains(&line), "{line} is missing in {request}");
    }
}

#[tokio::test]
async fn the_configured_host_is_sent() {
    let (address, server) = server(OK).await;
    let host = Some("web.example".to_owned());
    let kind = CheckKind::Http(HttpCheck { path: "/".to_owned(), host, expect: 200..=200, tls: None });
    probe(&kind, address, LONG).await.expect("passes");
    assert!(server.await.expect("server").to_ascii_lowercase().contains("\r\nhost: web.example\r\n"));
}

#[test]
fn the_authority_is_the_host_the_servers_name_or_the_address() {
    let named = |text: &str| authority(None, None, text.parse().expect("address"));
    assert_eq!(named("192.0.2.1:80"), "192.0.2.1");
    assert_eq!(named("192.0.2.1:8080"), "192.0.2.1:8080");
    assert_eq!(named("[2001:db8::1]:80"), "[2001:db8::1]");
    assert_eq!(named("[2001:db8::1]:8080"), "[2001:db8::1]:8080");

    let name = "shop.example".try_into().ok();
    let [named, nameless] = [name, None].map(|server_name| Tls { server_name, authorities: None });
    let over = |tls: &Tls, text: &str| authority(None, Some(tls), text.parse().expect("address"));
    assert_eq!(over(&nameless, "192.0.2.1:443"), "192.0.2.1");
    assert_eq!(over(&nameless, "192.0.2.1:80"), "192.0.2.1:80");
    assert_eq!(over(&named, "192.0.2.1:443"), "shop.example");
    assert_eq!(over(&named, "192.0.2.1:8443"), "shop.example:8443");
    let v6 = Tls { server_name: "2001:db8::2".try_into().ok(), authorities: None };
    assert_eq!(over(&v6, "192.0.2.1:8443"), "[2001:db8::2]:8443");
    let to = "192.0.2.1:443".parse().expect("address");
    assert_eq!(authority(Some("other.example"), Some(&named), to), "other.example");
}

#[tokio::test]
async fn an_unexpected_status_is_named() {
    let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let failure = ask_for(answer, 200..=399).await.expect_err("503");
    assert_eq!(failure.to_string(), "status 503, expected 200-399");
    ask_for(answer, 503..=503).await.expect("503 may be expected");
}

#[tokio::test]
async fn a_redirect_is_an_answer_of_its_own() {
    let answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    ask_for(answer, 200..=399).await.expect("in range");
    let failure = ask_for(answer, 200..=299).await.expect_err("out of range");
    assert_eq!(failure.to_string(), "status 302, expected 200-299");
}

#[tokio::test]
async fn an_interim_answer_is_not_the_answer() {
    let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    let failure = ask_for(answer, 100..=399).await.expect_err("503");
    assert!(matches!(failure, Failure::Status { status: 503, .. }), "{failure:?}");
}

#[tokio::test]
async fn a_listener_that_never_answers_times_out() {
    let (_listener, address) = listen().await;
    let failure = probe(&http(200..=399), address, SHORT).await.expect_err("silence");
    assert_eq!(failure.to_string(), "timed out after 200ms while waiting for an answer");
}

#[tokio::test]
async fn a_dripping_header_does_not_prolong_the_timeout() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = accept(listener).await;
        for byte in b"HTTP/1.1 200 OK\r\n".iter().chain(b"X-Slow: yes\r\n".iter().cycle().take(1000)) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let started = Instant::now();
    let failure = probe(&http(200..=399), address, SHORT).await.expect_err("too slow");
    assert!(matches!(failure, Failure::TimedOut { phase: Phase::Answering, .. }), "{failure:?}");
    assert!(started.elapsed() < SHORT * 10, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn garbage_is_malformed() {
    for garbage in [&b"SSH-2.0-OpenSSH_9.9\r\n\r\n"[..], b"HTTP/1.1 abc\r\n\r\n", &[0xFF; 300]] {
        let failure = ask_for(garbage, 200..=399).await.expect_err("garbage");
        assert!(matches!(failure, Failure::Malformed(_)), "{failure:?}");
        assert!(failure.to_string().starts_with("malformed answer: "), "{failure}");
    }
}

#[tokio::test]
async fn a_huge_header_is_refused() {
    let long_field = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
    let many_fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Many: 1\r\n".repeat(FIELD_LIMIT + 1));
    for answer in [long_field, many_fields] {
        let failure = ask_for(answer, 200..=399).await.expect_err("too large");
        assert!(matches!(failure, Failure::HeaderTooLarge), "{failure:?}");
    }
}

#[tokio::test]
async fn hanging_up_before_an_answer_fails() {
    for part in ["", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let (listener, address) = listen().await;
        tokio::spawn(async move {
            let (mut stream, _) = accept(listener).await;
            stream.write_all(part.as_bytes()).await.expect("part of an answer");
        });
        let failure = probe(&http(200..=399), address, LONG).await.expect_err("hung up");
        assert_eq!(failure.to_string(), "connection closed before an answer");
    }
}

#[tokio::test]
async fn the_body_is_bounded_in_bytes_and_time() {
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1 << 20));
    let started = Instant::now();
    ask_for(endless, 200..=200).await.expect("the status has decided");
    assert!(started.elapsed() < LONG / 2, "waited for the end of the body");

    let (address, _server) = server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    probe(&http(200..=200), address, SHORT).await.expect("the status has decided");
}

#[tokio::test]
async fn faults_of_this_machine_are_told_apart() {
    for number in [libc::EMFILE, libc::ENFILE, libc::EADDRNOTAVAIL, libc::EPERM] {
        assert!(Failure::from_connect(io::Error::from_raw_os_error(number)).is_local());
    }
    for number in [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ECONNRESET] {
        assert!(!Failure::from_connect(io::Error::from_raw_os_error(number)).is_local());
    }
    let (_listener, address) = listen().await;
    let host = Some("two\nlines".to_owned());
    let kind = CheckKind::Http(HttpCheck { path: "/".to_owned(), host, expect: 200..=399, tls: None });
    let failure = probe(&kind, address, LONG).await.expect_err("no request");
    assert!(matches!(failure, Failure::Request(_)) && failure.is_local(), "{failure:?}");
}
