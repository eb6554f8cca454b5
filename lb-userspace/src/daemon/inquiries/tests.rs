use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::Inquiries;
use crate::config::model::{Inquiry, Sought};

const LONG: Duration = Duration::from_secs(10);

/// Somebody who answers every request with this body; with an empty one nobody gets an answer.
async fn server(body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Who asks may be gone.
            let _ = stream.read(&mut [0; 1024]).await;
            if !body.is_empty() {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            open.push(stream);
        }
    });
    port
}

fn inquiry(port: u16) -> Inquiry {
    let sought = Sought::At("/ratio".into());
    Inquiry { host: "127.0.0.1".into(), port, tls: None, target: "/".into(), timeout: LONG, sought }
}

#[tokio::test]
async fn a_number_comes_back_with_what_it_was_asked_for() {
    let inquiry = inquiry(server(r#"{"ratio": 0.25}"#).await);
    let mut inquiries = Inquiries::default();
    inquiries.ask("web", 7, &inquiry);
    assert!(inquiries.is_asked("web", 7) && !inquiries.is_asked("web", 8) && !inquiries.is_asked("x", 7));
    let answered = inquiries.answered().await;
    assert_eq!((answered.rollout.as_str(), answered.due), ("web", 7));
    assert_eq!((answered.inquiry, answered.number), (inquiry, Ok(Some(0.25))));
    assert!(!inquiries.is_asked("web", 7), "it is answered");
}

#[tokio::test]
async fn who_does_not_answer_is_an_error_that_names_it() {
    let port = server("").await;
    let mut inquiries = Inquiries::default();
    let hasty = Inquiry { timeout: Duration::from_millis(50), ..inquiry(port) };
    inquiries.ask("web", 7, &hasty);
    let reason = inquiries.answered().await.number.unwrap_err();
    assert_eq!(reason, format!("127.0.0.1 port {port}: timed out after 50ms while waiting for an answer"));
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    inquiries.ask("web", 8, &inquiry(gone));
    let reason = inquiries.answered().await.number.unwrap_err();
    assert_eq!(reason, format!("127.0.0.1 port {gone}: connection refused"));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_none() {
    let large: &'static str = " ".repeat(super::MOST + 1).leak();
    let mut inquiries = Inquiries::default();
    inquiries.ask("web", 7, &inquiry(server(large).await));
    let reason = inquiries.answered().await.number.unwrap_err();
    assert!(reason.ends_with("answer is over 1048576 bytes"), "{reason}");
}

#[tokio::test]
async fn one_that_hangs_is_not_waited_for_once_another_is_asked_or_nobody_cares() {
    let (silent, there) = (server("").await, server(r#"{"ratio": "0.5"}"#).await);
    let mut inquiries = Inquiries::default();
    inquiries.ask("web", 7, &inquiry(silent));
    inquiries.ask("other", 7, &inquiry(there));
    assert_eq!(inquiries.answered().await.rollout, "other", "one does not hold up another");
    inquiries.ask("web", 8, &inquiry(there));
    let answered = inquiries.answered().await;
    assert_eq!((answered.due, answered.number), (8, Ok(Some(0.5))));
    inquiries.ask("web", 9, &inquiry(there));
    inquiries.retain(|rollout| rollout != "web");
    let nothing = timeout(Duration::from_millis(200), inquiries.answered()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}
