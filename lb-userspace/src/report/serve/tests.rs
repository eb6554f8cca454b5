use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A server for these prefixes beside loopback, how often it made a report, and where it listens.
fn served(
    source: impl Fn() -> Result<Vec<u8>, String> + Send + Sync + 'static,
) -> (Arc<AtomicUsize>, SocketAddr) {
    let made = Arc::new(AtomicUsize::new(0));
    let (count, listener) = (made.clone(), listen(0).unwrap());
    let port = listener.local_addr().unwrap().port();
    let source = move || {
        count.fetch_add(1, Ordering::Relaxed);
        source()
    };
    let (_, clients) = watch::channel(Clients(Vec::new()));
    tokio::spawn(serve(listener, clients, Arc::new(source)));
    (made, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
}

async fn asked(server: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n")
}

#[test]
fn gateways_and_this_machine_are_clients() {
    let prefixes = ["192.0.2.0/28", "2001:db8::1"].map(|text| Prefix::parse(text).unwrap());
    let clients = Clients(prefixes.into());
    for (client, may) in [
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.16", false),
        ("::ffff:192.0.2.16", false),
        ("2001:db8::1", true),
        ("2001:db8::2", false),
        ("127.0.0.1", true),
        ("::ffff:127.0.0.1", true),
        ("::1", true),
        ("0.0.0.0", false),
    ] {
        assert_eq!(clients.has(client.parse().unwrap()), may, "{client}");
    }
}

#[tokio::test]
async fn a_report_is_got_and_nothing_else() {
    let (made, server) = served(|| Ok(b"{}".to_vec()));
    let answer = asked(server, &get(PATH)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n{}"), "{answer}");
    assert!(answer.contains("content-type: application/json"), "{answer}");
    for (request, status) in [
        (get("/"), 404),
        (get("/v1/report/"), 404),
        (get("/v1/report").replace("GET", "DELETE"), 405),
        (get("/v1/report").replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\n{}"), 400),
        (get("/v1/report").replace("HTTP/1.1", "HTTP/9"), 400),
        (format!("GET /v1/report HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(HEAD)), 431),
    ] {
        let answer = asked(server, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_goes_wrong_is_said() {
    let (_, server) = served(|| Err("no map".to_owned()));
    let answer = asked(server, &get(PATH)).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("no map\n"), "{answer}");
}

#[tokio::test]
async fn all_who_ask_at_once_get_the_same_report() {
    let (made, server) = served(|| {
        std::thread::sleep(Duration::from_millis(50));
        Ok(b"{}".to_vec())
    });
    let asks: JoinSet<_> = (0..8).map(|_| async move { asked(server, &get(PATH)).await }).collect();
    assert!(asks.join_all().await.iter().all(|answer| answer.ends_with("{}")));
    assert_eq!(made.load(Ordering::Relaxed), 1);
    sleep(FRESH).await;
    asked(server, &get(PATH)).await;
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn one_that_takes_too_long_is_not_made_twice() {
    let (made, server) = served(|| {
        std::thread::sleep(MAKING * 2);
        Ok(b"{}".to_vec())
    });
    let answer = asked(server, &get(PATH)).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("too long"), "{answer}");
    sleep(MAKING).await;
    let answer = asked(server, &get(PATH)).await;
    assert!(answer.ends_with("{}"), "{answer}");
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_too_slow_is_closed() {
    let (made, server) = served(|| Ok(b"{}".to_vec()));
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(b"GET /v1/re").await.unwrap();
    let begun = Instant::now();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "");
    assert!(begun.elapsed() >= PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(made.load(Ordering::Relaxed), 0);
}
