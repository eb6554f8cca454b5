//! The agent's parts against the real kernel: namespaces made and removed here, root needed.
//!
//! `cargo test -p lb-tests --features root --test control`

mod admission;
mod doctor;
mod doctor_node;
mod doctor_report;
mod drain;
mod follow;
mod gateway_view;
mod gateway_world;
mod interfaces;
mod nexthop;
mod nexthop_world;
mod node;
mod node_clamp;
mod node_hops;
mod node_report;
mod node_world;
mod reload;
mod unload;
