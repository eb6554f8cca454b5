//! What a node tells the gateways: connections that it refused, and how many it has, for each port of a VIP.
//!
//! ```text
//! node:     map of refusals + sockets + remembered flows → count → serve
//! gateway:  ask → read → policy::observed::NodeReport → of_pools
//! ```
//!
//! The text is that of `docs/contract.md`, section 13. `count`, the text and `of_pools` are pure.

mod ask;
mod count;
mod of_pools;
mod serve;
mod sockets;
mod text;

pub use ask::{Asker, Heard, nodes};
pub use count::{Counted, FLOW_IDLE, Socket, count};
pub use of_pools::{busy, growth, idle, of_pools};
pub use serve::{Clients, Source, listen, serve};
pub use sockets::sockets;
pub use text::{NotRead, Report, Service};

/// Where it is found.
pub const PATH: &str = "/v1/report";
/// Ports of VIPs in one report; where there are more, it says that it is not whole.
pub const MOST_SERVICES: usize = 4096;
/// The longest report that is read, in bytes: so many ports come to half of it.
pub const LONGEST: usize = 1 << 20;
