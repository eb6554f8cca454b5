//! `spillway doctor`: why does a VIP not answer?
//!
//! ```text
//! netlink, procfs, ioctl, pins → gather → facts ┐
//!                                               ├→ gateway or node → findings
//!                                       file ───┘
//! ```
//!
//! `gateway`, `node`, `link` and `route` do no I/O: from what was seen they say what is wrong, how bad it is and
//! what to do. `gather` looks and judges nothing. Nothing here changes anything: no neighbour is asked for, no
//! program loaded. What could not be looked at is a finding too; only what was seen is ever called in order.

pub mod facts;
mod finding;
pub mod gateway;
pub mod gather;
mod link;
pub mod node;
mod route;

pub use finding::{Finding, Severity};
