//! The two netlink sockets: one listens, one asks. No decisions here.
//!
//! They are apart so that a flood of notifications that overruns the listening socket cannot swallow
//! the answer to a question.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use futures::channel::mpsc::UnboundedReceiver;
use futures::{Stream, StreamExt, pin_mut};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::RouteMessage;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::AsyncSocket;
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder};
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::decide::Answer;
use super::decode;
use super::view::{NeighbourKey, Notice, View};

/// The kernel answers netlink in the system call that asks; this long means that it never will.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of notifications the kernel may hold for us: some thousand changes.
const RECEIVE_BUFFER: libc::c_int = 4 << 20;

/// RFC 863: whoever receives it drops it, so sending to it has no effect but neighbour resolution.
const DISCARD_PORT: u16 = 9;

const GROUPS: [MulticastGroup; 8] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv6Rule,
];

/// Why next hops cannot be watched at all.
#[derive(Debug, Error)]
pub enum StartError {
    /// Called outside a tokio runtime.
    #[error("next hops are watched by a tokio task, and no tokio runtime is running")]
    NoRuntime,
    /// The netlink sockets could not be opened.
    #[error(
        "cannot open a netlink route socket: {0}; is AF_NETLINK allowed here (seccomp, container policy)?"
    )]
    Socket(#[from] io::Error),
}

/// What the sockets said is not complete any more: open them anew.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Lost(String);

/// Why a look came to nothing.
#[derive(Debug, Error)]
pub enum LookError {
    /// The kernel cannot be asked.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It did not answer.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// Why the kernel does not resolve a neighbour on demand.
#[derive(Debug, Error)]
pub(super) enum Refused {
    #[error("not permitted; grant CAP_NET_ADMIN")]
    NotPermitted,
    #[error("the neighbour table is full; raise net.ipv4.neigh.default.gc_thresh3 (or net.ipv6.…)")]
    TableFull,
    #[error("{0}")]
    Other(String),
}

/// Both sockets, bound to the network namespace of the thread that opened them.
pub(super) struct Netlink {
    handle: Handle,
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, rtnetlink::sys::SocketAddr)>,
    /// Drives the sockets; they close when this is dropped.
    _connections: JoinSet<()>,
}

impl Netlink {
    /// Opens both sockets; the listening one is subscribed before this returns, so that a dump read
    /// afterwards misses nothing.
    pub(super) fn open() -> Result<Self, StartError> {
        tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let (mut listening, _, messages) = rtnetlink::new_multicast_connection(&GROUPS)?;
        // Beyond net.core.rmem_max the kernel takes less, silently; an overrun is handled either way.
        listening.socket_mut().socket_mut().set_rx_buf_sz(RECEIVE_BUFFER)?;
        let (asking, handle, _) = rtnetlink::new_connection()?;
        let mut connections = JoinSet::new();
        connections.spawn(listening);
        connections.spawn(asking);
        Ok(Self { handle, messages, _connections: connections })
    }

    /// The next notice. Cancel safe.
    pub(super) async fn notice(&mut self) -> Result<Notice, Lost> {
        loop {
            let (message, _) =
                self.messages.next().await.ok_or_else(|| Lost("the listening socket closed".into()))?;
            let notice = match &message.payload {
                NetlinkPayload::InnerMessage(message) => decode::notice(message),
                // The kernel tells of the first loss only and stays silent about those that follow
                // until its queue is empty, so nothing read from this socket is complete any more.
                NetlinkPayload::Overrun(_) => {
                    return Err(Lost("notifications came faster than they were read".into()));
                }
                _ => None,
            };
            if let Some(notice) = notice {
                return Ok(notice);
            }
        }
    }

    /// All links and neighbours as they are now.
    pub(super) async fn dump(&self) -> Result<View, Lost> {
        self.dump_all().await.map(|(view, _)| view)
    }

    /// The same, with the neighbours as the kernel told them.
    pub(super) async fn dump_all(&self) -> Result<(View, Vec<NeighbourMessage>), Lost> {
        let links = collect(self.handle.link().get().execute()).await?;
        let neighbours = collect(self.handle.neighbours().get().execute()).await?;
        let usable = neighbours.iter().filter_map(|message| {
            let (key, neighbour) = decode::neighbour(message)?;
            Some((key, neighbour?))
        });
        Ok((View::from_dumps(links.iter().filter_map(decode::link), usable), neighbours))
    }

    /// Asks the kernel where a packet to `target` goes.
    pub(super) async fn route(&self, target: IpAddr) -> Result<Answer, Lost> {
        let answers = self.handle.route().get(question(target)).execute();
        pin_mut!(answers);
        match timeout(ANSWER_TIMEOUT, answers.next()).await {
            Ok(Some(Ok(message))) => Ok(decode::answer(&message)),
            Ok(Some(Err(rtnetlink::Error::NetlinkError(error)))) => {
                Ok(decode::refusal(error.raw_code().saturating_abs()))
            }
            Ok(Some(Err(rtnetlink::Error::RequestFailed)) | None) => {
                Err(Lost("the asking socket closed".into()))
            }
            Ok(Some(Err(error))) => Ok(Answer::Failed(error.to_string())),
            Err(_) => Ok(Answer::Failed("it did not answer in time".into())),
        }
    }

    /// Has the kernel resolve `neighbour`, or confirm it, as if a packet had been sent to it
    /// (`NTF_USE`). When the kernel refuses, really sends one to `target` and returns the refusal.
    pub(super) async fn provoke(&self, neighbour: NeighbourKey, target: IpAddr) -> Result<(), Refused> {
        let request = self.handle.neighbours().add(neighbour.link, neighbour.address);
        let request = request.state(NeighbourState::None).flags(NeighbourFlags::Use).replace();
        let refused = match timeout(ANSWER_TIMEOUT, request.execute()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(rtnetlink::Error::NetlinkError(error))) => match error.raw_code().saturating_abs() {
                libc::EPERM => Refused::NotPermitted,
                libc::ENOBUFS => Refused::TableFull,
                _ => Refused::Other(error.to_string()),
            },
            Ok(Err(error)) => Refused::Other(error.to_string()),
            Err(_) => Refused::Other("the kernel did not answer in time".into()),
        };
        send_discard(target);
        Err(refused)
    }
}

fn question(target: IpAddr) -> RouteMessage {
    let mut message = match target {
        IpAddr::V4(address) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(address, 32).build(),
        IpAddr::V6(address) => {
            RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(address, 128).build()
        }
    };
    // The builder's defaults describe a route to add; a question has none of them.
    message.header.table = 0;
    message
}

async fn collect<T>(stream: impl Stream<Item = Result<T, rtnetlink::Error>>) -> Result<Vec<T>, Lost> {
    let all = timeout(ANSWER_TIMEOUT, stream.collect::<Vec<_>>()).await;
    let all = all.map_err(|_| Lost("a dump did not end in time".into()))?;
    all.into_iter().collect::<Result<_, _>>().map_err(|error| Lost(error.to_string()))
}

/// Sends one empty datagram. Errors do not matter: the next attempt comes by itself.
fn send_discard(target: IpAddr) {
    let any: SocketAddr = match target {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let sent = UdpSocket::bind(any).and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(&[], (target, DISCARD_PORT))
    });
    if let Err(error) = sent {
        tracing::debug!(%target, %error, "could not send to the discard port");
    }
}
