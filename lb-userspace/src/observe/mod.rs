//! What the agent lets be seen: its log, and what it publishes beside the maps; and what a command reads
//! from the pins, with the agent dead or alive.

pub mod contents;
pub mod event;
pub mod logging;
pub mod names;
pub mod next_hop;
pub mod node;
pub mod published;
pub mod view;
