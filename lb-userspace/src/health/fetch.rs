//! One GET, as a probe asks, with the body of the answer.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::LOCATION;
use hyper::{Response, StatusCode};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::probe::{Deadline, Failure, Phase, ask, begin, request, with_port};
use crate::config::model::Tls;

/// Who is asked, and for what. Redirects are not followed.
#[derive(Debug, Clone, Copy)]
pub struct Get<'g> {
    /// A name, which is looked up as this machine does, or an address, without brackets.
    pub host: &'g str,
    /// The port.
    pub port: u16,
    /// How TLS begins; `None`: there is none.
    pub tls: Option<&'g Tls>,
    /// Path and query.
    pub target: &'g str,
    /// How long it may take altogether.
    pub timeout: Duration,
    /// Bytes of body that are taken.
    pub most: usize,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Where a redirect leads to.
    pub location: Option<String>,
    /// All of the body.
    pub body: Bytes,
}

impl Get<'_> {
    /// Asks once.
    ///
    /// # Errors
    /// Why there is no answer; one of any status is one.
    pub async fn answer(&self) -> Result<Answer, Failure> {
        let (deadline, mut driver) = (Deadline::after(self.timeout), JoinSet::new());
        let answer = self.begin(&deadline, &mut driver).await?;
        let location = answer.headers().get(LOCATION);
        let location = location.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
        let status = answer.status().as_u16();
        let body = deadline.hold(Phase::Answering, body(answer.into_body(), self.most)).await?;
        Ok(Answer { status, location, body })
    }

    /// Up to the answer's header. Whoever holds `driver` keeps the connection open.
    async fn begin(
        &self,
        deadline: &Deadline,
        driver: &mut JoinSet<hyper::Result<()>>,
    ) -> Result<Response<Incoming>, Failure> {
        let to = (self.host, self.port);
        let connect = async { TcpStream::connect(to).await.map_err(Failure::from_connect) };
        let stream = deadline.hold(Phase::Connecting, connect).await?;
        let address = stream.peer_addr().map_err(Failure::Connect)?;
        let stream = begin(self.tls, b"http/1.1", address, stream, deadline).await?;
        let request = request(self.target, &with_port(self.host, self.port, self.tls.is_some()))?;
        deadline.hold(Phase::Answering, ask(stream, request, driver)).await
    }
}

/// What a node answers to one GET, for no longer than `timeout` altogether, with no more than `most` bytes of body.
///
/// # Errors
/// Why there is no answer; another status than 200 is none.
pub async fn fetch(
    address: SocketAddr,
    path: &str,
    timeout: Duration,
    most: usize,
) -> Result<Bytes, Failure> {
    let host = address.ip().to_string();
    let get = Get { host: &host, port: address.port(), tls: None, target: path, timeout, most };
    let (deadline, mut driver) = (Deadline::after(timeout), JoinSet::new());
    let answer = get.begin(&deadline, &mut driver).await?;
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

    #[tokio::test]
    async fn an_answer_of_any_status_is_one_and_the_server_is_asked_by_its_name() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let says = "HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 4\r\n\r\nbody";
            stream.write_all(says.as_bytes()).await.unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap().to_ascii_lowercase()
        });
        let get = Get { host: "localhost", port, tls: None, target: "/a?b=c", timeout: 10 * SHORT, most: 4 };
        let answer = get.answer().await.unwrap();
        assert_eq!((answer.status, answer.location.as_deref()), (302, Some("/else")));
        assert_eq!(answer.body, "body");
        let request = asked.await.unwrap();
        assert!(request.starts_with("get /a?b=c http/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("\r\nhost: localhost:{port}\r\n")), "{request}");
    }

    #[tokio::test]
    async fn a_name_that_is_none_is_no_connection() {
        let get = Get { host: "no.invalid", port: 1, tls: None, target: "/", timeout: 50 * SHORT, most: 4 };
        let failure = get.answer().await.unwrap_err();
        assert!(matches!(failure, Failure::Connect(_) | Failure::TimedOut { phase: Phase::Connecting, .. }));
    }
}
