//! One flow's way, by the code that the kernel runs: [`lb_ebpf::pipeline::choose`] over the maps as they are,
//! or over those that a configuration would come to.
//!
//! 1. [`query`]: the flow that is asked about;
//! 2. [`way`]: the rows it meets and who takes it;
//! 3. [`answer`]: the same with names, as it is printed;
//! 4. [`why`]: why it is so, stage by stage, in words, by what is [`known`] beside the tables;
//! 5. [`offline`]: the maps of a configuration, without a kernel.
//!
//! And whether the kernel does what is said here: [`frame`] is the packet that is asked about, [`live`] compares what the
//! loaded program made of it with what the pipeline makes of it here.

pub mod answer;
pub mod frame;
pub mod known;
pub mod live;
pub mod offline;
pub mod query;
#[cfg(test)]
mod tests;
mod way;
pub mod why;

pub use answer::{Explanation, access_policy, connection, explain};
pub use known::Known;
pub use live::{Live, Outcome};
pub use query::Query;
