//! Health checks: probes (I/O) and what follows from them (pure).
//!
//! ```text
//! schedule (when) → probe (what happened) → judge (what it means) → HealthEvent
//! ```
//!
//! Everything here fails open: a node serves until its check has run and has failed `fall` times in a
//! row, and a probe that this machine could not carry out says nothing about the node.

mod checker;
mod fetch;
mod judge;
mod probe;
mod schedule;
mod tunnel;
mod worker;

pub use checker::{Checker, Options, Plan, Target};
pub use fetch::{Answer, Get, fetch};
pub use judge::{Judge, Outcome, Verdict};
pub use probe::{Code, Failure, Network, Phase, Prober, Serving};
pub use schedule::{first_delay, next_delay, seed};
pub use tunnel::{Way, Ways};
pub use worker::HealthEvent;
