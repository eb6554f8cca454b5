//! The agents. The gateway's wires the stages and keeps the maps true.
//!
//! 1. privilege, configuration, kernel: anything wrong here ends the agent before it has changed anything;
//! 2. the pinned maps are adopted, or made;
//! 3. next hops are asked for, then the first tables are applied, and only then are interfaces attached;
//! 4. from then on every event leads to new tables, and a verdict of "down" to a mark at once. Events are
//!    verdicts, next hops, a changed configuration, and what an operator asks on the socket.
//!
//! [`node`] is the agent of a node, which has less to do.
//!
//! At its end the agent leaves program and maps as they are: packets are forwarded by the last good state.

mod admin;
mod adopt;
mod agent;
mod breakers;
mod demand;
mod drain;
mod drills;
mod file_watch;
mod inquiries;
mod interfaces;
mod machine;
mod news;
pub mod node;
mod outliers;
mod probes;
pub mod protocol;
mod reload;
mod reports;
mod rollouts;
mod start;
mod tracking;
mod trouble;
mod watch;

pub use admin::AdminError;
pub use reload::Origin;
pub use start::{RunError, run};
