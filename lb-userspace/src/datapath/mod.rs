//! The kernel's side of the agent: what it asks the kernel and what it writes there.
//!
//! Only this module knows aya. [`load`] puts the program and its maps into the kernel, [`attach`] puts it on
//! interfaces, [`egress`] another onto what these send, [`maps`] reads and writes what [`lb_common::abi`] defines, [`devices`] says what packets may
//! leave by, [`state`] keeps the agent's record there, [`lock`] keeps a second agent off, [`inventory`] says
//! what is pinned, [`nexthop`] asks for MACs, [`links`] tells when interfaces change, [`receiver`] is the node's
//! program, [`packet_log`] tells of packets, [`privilege`] says beforehand what is missing, [`probe`] what the kernel
//! lacks, [`test_run`] what the program that is loaded does with a packet.

pub mod attach;
mod batch;
pub mod clock;
pub mod connections;
pub mod devices;
pub mod egress;
pub mod events;
pub mod inventory;
pub mod links;
pub mod load;
pub mod lock;
pub mod mapping;
pub mod maps;
pub mod nexthop;
pub mod packet_log;
pub mod pins;
pub mod privilege;
pub mod probe;
pub mod probes;
mod quic_servers;
pub mod receiver;
pub mod sources;
pub mod state;
pub mod test_run;
mod trie;
