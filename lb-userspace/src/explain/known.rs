//! What is known beside the tables: what their numbers are called, and why they are what they are.

use crate::compile::Record;
use crate::observe::published::{Drained, Published};

/// The agent's record, and what it goes by.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What has which index, and how it stands.
    pub record: &'a Record,
    /// What an operator drains; `None`: a configuration alone is explained.
    pub drained: Option<&'a Drained>,
    /// The present in milliseconds of the kernel's monotonic clock.
    pub now: u64,
}

impl<'a> Known<'a> {
    /// What an agent published, looked at `now`.
    pub fn published(published: &'a Published, now: u64) -> Self {
        Self { record: &published.record, drained: Some(&published.drained), now }
    }

    /// A configuration's own record: no agent runs, so that nobody drained anything and nothing is held.
    pub fn configured(record: &'a Record) -> Self {
        Self { record, drained: None, now: 0 }
    }
}
