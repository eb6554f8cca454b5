//! What is known beside the tables: what their numbers are called, and why they are what they are.

use crate::compile::Record;
use crate::observe::published::{Drained, Published, Rollouts};

/// The agent's record, and what it goes by.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What has which index, and how it stands.
    pub record: &'a Record,
    /// What an operator drains; `None`: a configuration alone is explained.
    pub drained: Option<&'a Drained>,
    /// How far rollouts are; `None`: a configuration alone is explained.
    pub rollouts: Option<&'a Rollouts>,
    /// The present in milliseconds of the kernel's monotonic clock.
    pub now: u64,
}

impl<'a> Known<'a> {
    /// What an agent published, looked at `now`.
    pub fn published(published: &'a Published, now: u64) -> Self {
        let Published { record, drained, rollouts, .. } = published;
        Self { record, drained: Some(drained), rollouts: Some(rollouts), now }
    }

    /// A configuration's own record: no agent runs, so that nobody drained or started anything and nothing is held.
    pub fn configured(record: &'a Record) -> Self {
        Self { record, drained: None, rollouts: None, now: 0 }
    }
}
