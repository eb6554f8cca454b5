//! A packet's way through the gateway, one module per stage:
//!
//! 1. [`parse`]: link, network and transport headers;
//! 2. [`classify`]: is the destination ours, and which service is it;
//! 3. [`admit`]: may the source use it;
//! 4. [`quic`]: which server a connection id names, where a service asks for that;
//! 5. [`select`]: flow hash, cluster row, pool, node row;
//! 6. [`track`]: which of a row's owners takes the packet;
//! 7. [`evidence`]: of a flow that is sampled, what the packet says about its backend;
//! 8. [`encapsulate`]: the outer header;
//! 9. [`transmit`]: out of which interface.
//!
//! What another cluster's gateway sent is looked into first ([`redirect`]).
//!
//! [`pipeline::usual`] calls them in this order and does nothing else. A stage may end the packet with
//! a [`verdict::End`]. What has no ports to go by, or does not fit the path, goes through
//! [`pipeline::unusual`], where its flow is found otherwise ([`fragment`], [`icmp`]) or its sender answered.
//!
//! The stages are generic over the packet's bytes ([`frame::Frame`]) and the lookups
//! ([`tables::Tables`]): the same code runs in the kernel, in tests and in `spillway explain`. It has no
//! clock, no allocation and no panic.

#![no_std]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

#[cfg(test)]
extern crate std;

pub mod admit;
pub mod chain;
pub mod clamp;
pub mod classify;
pub mod encapsulate;
pub mod evidence;
pub mod fragment;
pub mod frame;
pub mod icmp;
pub mod leave;
pub mod parse;
pub mod pipeline;
pub mod probe;
pub mod quic;
pub mod receive;
pub mod redirect;
pub mod refuse;
pub mod seal;
pub mod select;
pub mod tables;
pub mod track;
pub mod transmit;
pub mod verdict;
pub mod wire;

#[cfg(target_arch = "bpf")]
pub mod program;
