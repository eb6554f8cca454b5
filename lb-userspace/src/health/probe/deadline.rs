//! The time that a probe has for all of its steps.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::failure::{Failure, Phase};

/// When a probe has failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// Counted from now.
    pub(crate) fn after(timeout: Duration) -> Self {
        Self { at: Instant::now() + timeout, timeout }
    }

    /// What comes of a step, if it ends in time.
    pub(crate) async fn hold<T>(
        &self,
        phase: Phase,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let late = |_| Failure::TimedOut { after: self.timeout, phase };
        timeout_at(self.at, step).await.map_err(late)?
    }

    /// Lets a step that decides nothing go on in what is left of the time.
    pub(super) async fn spend(&self, step: impl Future) {
        let _ = timeout_at(self.at, step).await;
    }
}
