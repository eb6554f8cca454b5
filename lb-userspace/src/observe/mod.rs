//! What the agent lets be seen: its log, and what it publishes beside the maps.

pub mod logging;
pub mod published;
