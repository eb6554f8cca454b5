//! The agent's parts against the real kernel: namespaces made and removed here, root needed.
//!
//! `cargo test -p lb-tests --features root --test control`

mod nexthop;
mod nexthop_world;
