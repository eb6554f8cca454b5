//! The wall between the kernel program and userspace: what crosses it is defined here, once.
//!
//! - [`abi`]: the maps, their keys and values, byte for byte;
//! - [`net`]: addresses and ports in network order;
//! - [`siphash`], [`flow`]: the flow hash and what is read off it;
//! - [`row`]: the two-byte rows of the selection tables;
//! - [`checksum`]: the Internet checksum of the outer header;
//! - [`segment`]: how long segments may be that come in a tunnel;
//! - [`reason`]: why a packet was dropped or passed;
//! - [`bench`]: the benchmark's wrapper program.

#![no_std]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

#[cfg(test)]
extern crate std;

pub mod abi;
pub mod bench;
pub mod checksum;
pub mod flow;
pub mod net;
pub mod reason;
pub mod row;
pub mod segment;
pub mod siphash;
pub mod tag;
