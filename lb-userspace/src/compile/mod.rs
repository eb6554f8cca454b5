//! Compile: from what should be served to what the maps should hold. Pure: data in, data out.
//!
//! 1. [`ledger`]: every service, pool and backend keeps its index or gets a free one;
//! 2. [`maglev`] or [`hrw`]: a node table for each pool whose members have changed;
//! 3. [`rendezvous`]: a cluster table for each new list of pools and weights;
//! 4. [`history`] and [`earlier`]: what a table's rows have been through goes over to its successor;
//! 5. [`vips`]: the two-choice table of addresses and ports, and the filter before it;
//! 6. [`quic`]: which server ids lead to which backends;
//! 7. [`image`]: all of it laid out as the maps' content.
//!
//! [`probes`] says which of it probes through tunnels go by; [`receiver`] does the same for a node's receiver, which needs less.
//!
//! What an earlier generation named and this one does not stays in quarantine until it is released, so
//! that no packet under way, and no recorded connection, ever meets an index that means something else.

pub mod access;
mod assemble;
pub mod earlier;
mod entries;
mod error;
pub mod history;
pub mod hrw;
mod identity;
pub mod image;
pub mod ledger;
mod lookup;
pub mod maglev;
pub mod members;
pub mod node;
mod probes;
mod quic;
mod receiver;
pub mod record;
pub mod rendezvous;
mod rows;
mod sizes;
mod slab;
mod tables;
#[cfg(test)]
mod tests;
pub mod vips;

pub use assemble::compile;
pub(crate) use entries::sampled;
pub use error::{AdoptError, CompileError, Resource};
pub use image::MapImage;
pub use ledger::{Held, Ledger};
pub use probes::{Obstacle, Probe, ProbeWay, VipWays, probed_vips, probes};
pub use receiver::ReceiverImage;
pub use record::Record;
pub use sizes::Sizes;
pub use tables::Cache;
