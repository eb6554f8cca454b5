//! Servers that are asked for the numbers of analyses: each question has a task of its own, so that nothing waits for it.

use std::collections::BTreeMap;
use std::future::pending;

use tokio::task::{AbortHandle, JoinSet};

use crate::config::model::Inquiry;
use crate::health::Get;
use crate::inquiry::number;

/// Bytes of an answer that are taken.
const MOST: usize = 1 << 20;

/// What came of a question.
#[derive(Debug)]
pub(super) struct Answered {
    /// For which rollout it was asked.
    pub(super) rollout: String,
    /// When that was due, in milliseconds of the kernel's monotonic clock.
    pub(super) due: u64,
    /// The question.
    pub(super) inquiry: Inquiry,
    /// The number, that there is none, or why nobody knows.
    pub(super) number: Result<Option<f64>, String>,
}

/// Who is asked at the moment. Dropped, nobody is.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    tasks: JoinSet<Answered>,
    /// By rollout: when its question was due.
    asked: BTreeMap<String, (u64, AbortHandle)>,
}

impl Inquiries {
    /// Asks for a rollout; what was asked for it before is not waited for any more.
    pub(super) fn ask(&mut self, rollout: &str, due: u64, inquiry: &Inquiry) {
        self.forget(rollout);
        let (name, inquiry) = (rollout.to_owned(), inquiry.clone());
        let task = self.tasks.spawn(async move {
            let number = ask(&inquiry).await;
            Answered { rollout: name, due, inquiry, number }
        });
        self.asked.insert(rollout.to_owned(), (due, task));
    }

    /// Whether what was due then is asked for, and not answered.
    pub(super) fn is_asked(&self, rollout: &str, due: u64) -> bool {
        self.asked.get(rollout).is_some_and(|(of, _)| *of == due)
    }

    /// Nobody waits for an answer for a rollout any more.
    pub(super) fn forget(&mut self, rollout: &str) {
        if let Some((_, task)) = self.asked.remove(rollout) {
            task.abort();
        }
    }

    /// Forgets all but these rollouts.
    pub(super) fn retain(&mut self, stays: impl Fn(&str) -> bool) {
        let gone: Vec<_> = self.asked.keys().filter(|rollout| !stays(rollout)).cloned().collect();
        gone.iter().for_each(|rollout| self.forget(rollout));
    }

    /// The next answer that somebody waits for. What is not polled to its end loses none.
    pub(super) async fn answered(&mut self) -> Answered {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(answered)) if self.is_asked(&answered.rollout, answered.due) => {
                    self.asked.remove(&answered.rollout);
                    return answered;
                }
                // It was forgotten.
                Some(_) => {}
                None => pending().await,
            }
        }
    }
}

async fn ask(inquiry: &Inquiry) -> Result<Option<f64>, String> {
    let Inquiry { host, port, tls, target, timeout, sought } = inquiry;
    let get = Get { host, port: *port, tls: tls.as_ref(), target, timeout: *timeout, most: MOST };
    let answer = get.answer().await.map_err(|failure| failure.to_string());
    let number =
        answer.and_then(|answer| number(sought, answer.status, answer.location.as_deref(), &answer.body));
    number.map_err(|reason| format!("{host} port {port}: {reason}"))
}

#[cfg(test)]
mod tests;
