//! The intention's way: what should be served becomes what the kernel's maps hold.
//!
//! ```text
//! config + membership + health → desired → policy → compile → reconcile → maps
//! ```
//!
//! One module per stage. `policy`, `compile`, `reconcile::plan` and the pure halves of `health` do no
//! I/O, read no clock and draw no random numbers: a fixed input gives the same bytes on every gateway.

pub mod apportion;
pub mod cli;
pub mod compile;
pub mod config;
pub mod daemon;
pub mod datapath;
pub mod doctor;
pub mod evidence;
pub mod explain;
pub mod health;
pub mod inquiry;
pub mod milliseconds;
pub mod observe;
pub mod plan;
pub mod policy;
pub mod quotable;
pub mod reconcile;
pub mod report;
pub mod sweep;
