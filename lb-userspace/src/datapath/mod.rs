//! The kernel's side of the agent: what it asks the kernel and what it writes there.

pub mod nexthop;
