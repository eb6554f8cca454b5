//! When this machine's interfaces or their addresses may have changed. What changed is for others to look at.

use std::io;

use futures::StreamExt as _;
use futures::channel::mpsc::UnboundedReceiver;
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkMessage;
use tokio::task::JoinSet;

const GROUPS: [MulticastGroup; 3] =
    [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];

/// Listens to the kernel, in the network namespace of the thread that opened it.
pub struct LinkWatch {
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, rtnetlink::sys::SocketAddr)>,
    /// Drives the socket, which closes when this is dropped.
    _connection: JoinSet<()>,
}

impl LinkWatch {
    /// Listens from now on; to be called in a tokio runtime.
    ///
    /// # Errors
    /// When there is no such socket to be had.
    pub fn open() -> io::Result<Self> {
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&GROUPS)?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Self { messages, _connection: driver })
    }

    /// Returns when something has changed. Also when messages were lost, for then something has. Cancel safe.
    pub async fn changed(&mut self) {
        if self.messages.next().await.is_none() {
            // The socket is gone; a regular look has to do.
            std::future::pending::<()>().await;
        }
        // One look sees all that was told so far.
        while self.messages.try_recv().is_ok() {}
    }
}
