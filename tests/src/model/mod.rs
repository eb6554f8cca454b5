//! Random histories of change, and flows that must not notice.
//!
//! A history is a few dozen events to an agent: verdicts, drains, weights, endpoints that join and leave, next
//! hops lost and found, tables of another size, sweeps early and late, restarts also in the middle of a plan.
//! The agent is made of the real parts (policy, compile, reconcile, sweep); its packets go through the real
//! pipeline, over maps in memory or in the kernel. Between any two stores flows send packets.
//!
//! **The property.** An established TCP connection (its owner has seen the SYN and the client's ACK) never
//! changes its backend while that backend serves, given that it sends a packet in each window. The same for a
//! UDP flow that keeps its backend, from its first packet on.

mod agent;
pub mod chain;
mod flows;
mod history;
mod plane;
mod world;

pub use history::{Break, Outcome, Rules, run};
pub use plane::Plane;
pub use world::sizes;
