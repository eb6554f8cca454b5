//! One flow's way, by the code that the kernel runs: [`lb_ebpf::pipeline::choose`] over the maps as they are,
//! or over those that a configuration would come to.
//!
//! 1. [`query`]: the flow that is asked about;
//! 2. [`way`]: the rows it meets and who takes it;
//! 3. [`answer`]: the same with names, as it is printed;
//! 4. [`offline`]: the maps of a configuration, without a kernel.

pub mod answer;
pub mod offline;
pub mod query;
#[cfg(test)]
mod tests;
mod way;

pub use answer::{Explanation, access_policy, connection, explain};
pub use query::Query;
