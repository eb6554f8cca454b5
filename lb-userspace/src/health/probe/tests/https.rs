//! HTTPS: whose certificates are taken, and what else goes wrong.

use super::tls_server::{Authority, NAME, accept, listen, unverified};
use super::{LONG, OK, SHORT, http, probe};
use crate::config::model::{CheckKind, HttpCheck, Tls};
use crate::health::{Failure, Phase};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

fn https(tls: Tls) -> CheckKind {
    CheckKind::Http(HttpCheck { path: "/healthz".into(), host: None, expect: 200..=299, tls: Some(tls) })
}

/// A server that answers one request; with the name that it was asked by (SNI) and the request.
async fn server(
    authority: &Authority,
    year: i32,
    answer: &'static [u8],
) -> (SocketAddr, JoinHandle<(Option<String>, String)>) {
    let (listener, address) = listen().await;
    let acceptor = authority.acceptor(year, "http/1.1");
    let task = tokio::spawn(async move {
        let Some(mut stream) = accept(&listener, &acceptor).await else { return (None, String::new()) };
        let name = stream.get_ref().1.server_name().map(str::to_owned);
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        request.truncate(length);
        stream.write_all(answer).await.unwrap();
        (name, String::from_utf8(request).unwrap().to_ascii_lowercase())
    });
    (address, task)
}

/// What a check with this `tls` says of a server whose certificate `authority` signed.
async fn asked(authority: &Authority, year: i32, tls: Tls) -> Result<(), Failure> {
    let (address, _server) = server(authority, year, OK).await;
    probe(&https(tls), address, LONG).await
}

#[tokio::test]
async fn a_verified_server_passes_by_its_name() {
    let authority = Authority::new();
    let (address, server) = server(&authority, 2100, OK).await;
    probe(&https(authority.known(Some(NAME))), address, LONG).await.expect("passes");
    let (name, request) = server.await.expect("server");
    assert_eq!(name.as_deref(), Some(NAME));
    assert!(request.starts_with("get /healthz http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: {NAME}:{}\r\n", address.port())), "{request}");
}

#[tokio::test]
async fn without_a_name_the_certificate_must_be_by_the_address() {
    let authority = Authority::new();
    let (address, server) = server(&authority, 2100, OK).await;
    probe(&https(authority.known(None)), address, LONG).await.expect("passes");
    let (name, request) = server.await.expect("server");
    assert_eq!(name, None, "an address is no name");
    assert!(request.contains(&format!("\r\nhost: {address}\r\n")), "{request}");
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_is_told_why() {
    let (authority, other) = (Authority::new(), Authority::new());
    let cases = [
        (asked(&authority, 2100, other.known(Some(NAME))).await, "UnknownIssuer"),
        (asked(&authority, 2100, authority.known(Some("other.example"))).await, "not valid for name"),
        (asked(&authority, 2001, authority.known(Some(NAME))).await, "expired"),
    ];
    for (result, words) in cases {
        let failure = result.expect_err(words);
        assert!(matches!(failure, Failure::Tls(_)) && !failure.is_local(), "{failure:?}");
        let text = failure.to_string();
        assert!(text.starts_with("no TLS: invalid peer certificate: ") && text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn without_authorities_any_certificate_is_taken() {
    let authority = Authority::new();
    for (year, name) in [(2100, Some("other.example")), (2001, Some(NAME)), (2001, None)] {
        asked(&authority, year, unverified(name)).await.expect("passes");
    }
}

#[tokio::test]
async fn the_status_decides_as_over_http() {
    let answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    let (address, _server) = server(&Authority::new(), 2100, answer).await;
    let failure = probe(&https(unverified(None)), address, LONG).await.expect_err("503");
    assert_eq!(failure.to_string(), "status 503, expected 200-299");
}

#[tokio::test]
async fn a_server_without_tls_does_not_pass_nor_one_that_says_nothing() {
    let (address, _server) = super::server("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    // It reads on until the end of a request, so it says nothing either.
    let failure = probe(&https(unverified(None)), address, SHORT).await.expect_err("no TLS");
    assert!(matches!(failure, Failure::TimedOut { phase: Phase::Handshaking, .. }), "{failure:?}");
    assert_eq!(failure.to_string(), "timed out after 200ms while TLS was to begin");

    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let failure = probe(&https(unverified(None)), address, LONG).await.expect_err("no TLS");
    assert!(matches!(failure, Failure::Tls(_)), "{failure:?}");

    // The other way round.
    let (listener, address) = listen().await;
    let acceptor = Authority::new().acceptor(2100, "http/1.1");
    tokio::spawn(async move { accept(&listener, &acceptor).await });
    assert!(probe(&http(200..=399), address, SHORT).await.is_err());
}
