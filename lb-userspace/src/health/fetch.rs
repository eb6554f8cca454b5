//! What a node answers to one GET, as a probe asks, with the body.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::{Bytes, Incoming};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::probe::{Deadline, Failure, Phase, ask, authority, request};

/// Asks once, for no longer than `timeout` altogether, and takes no more than `most` bytes of body. Redirects are not
/// followed.
///
/// # Errors
/// Why there is no answer; another status than 200 is none.
pub async fn fetch(
    address: SocketAddr,
    path: &str,
    timeout: Duration,
    most: usize,
) -> Result<Bytes, Failure> {
    let deadline = Deadline::after(timeout);
    let connect = async { TcpStream::connect(address).await.map_err(Failure::from_connect) };
    let stream = deadline.hold(Phase::Connecting, connect).await?;
    let request = request(path, &authority(None, None, address))?;
    let mut driver = JoinSet::new();
    let answer = deadline.hold(Phase::Answering, ask(stream, request, &mut driver)).await?;
    let status = answer.status();
    if status != StatusCode::OK {
        return Err(Failure::Status { status: status.as_u16(), expected: 200..=200 });
    }
    deadline.hold(Phase::Answering, body(answer.into_body(), most)).await
}

async fn body(body: Incoming, most: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLong { most }),
        Err(_) => Err(Failure::Closed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const SHORT: Duration = Duration::from_millis(200);

    /// Asks somebody who says this and then keeps the connection open.
    async fn fetched(says: &'static str, most: usize) -> Result<Bytes, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0, "a request");
            stream.write_all(says.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        fetch(address, "/x", SHORT, most).await
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_limit_and_in_time() {
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(fetched(whole, 4).await.unwrap(), "body");
        assert!(matches!(fetched(whole, 3).await, Err(Failure::TooLong { most: 3 })));
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo";
        assert!(matches!(fetched(half, 4).await, Err(Failure::TimedOut { phase: Phase::Answering, .. })));
        let endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        assert!(matches!(fetched(endless, 4).await, Err(Failure::TooLong { .. })));
        assert!(matches!(fetched("", 4).await, Err(Failure::TimedOut { .. })));
        let moved = "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
        assert!(matches!(fetched(moved, 4).await, Err(Failure::Status { status: 302, .. })));
        assert!(matches!(fetched("no HTTP\r\n\r\n", 4).await, Err(Failure::Malformed(_))));
    }
}
