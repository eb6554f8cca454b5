//! The gateway agent: wires the stages and keeps the maps true.
//!
//! 1. privilege, configuration, kernel: anything wrong here ends the agent before it has changed anything;
//! 2. the pinned maps are adopted, or made;
//! 3. next hops are asked for, then the first tables are applied, and only then are interfaces attached;
//! 4. from then on every event leads to new tables, and a verdict of "down" to a mark at once.
//!
//! At its end the agent leaves program and maps as they are: packets are forwarded by the last good state.

mod agent;
mod start;
mod watch;

pub use start::{RunError, run};
