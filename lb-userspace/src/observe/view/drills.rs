use lb_ebpf::tables::Tables;
use serde::Serialize;
use time::OffsetDateTime;

use super::Seen;
use crate::milliseconds::milliseconds;
use crate::observe::published::Drills;
use crate::policy::drill::{Drill, End, Outcome};

/// The drill that runs or ran last, and those that are done again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrillsView {
    /// The one that runs, or ran last.
    pub last: Option<DrillView>,
    /// By name: when each was done last, or was first known, in seconds ago.
    pub scheduled: Vec<ScheduledView>,
}

/// A drill that is done again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledView {
    /// Its name.
    pub name: String,
    /// Seconds since it was done last or, until then, first known.
    pub since: u64,
}

/// A drill.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrillView {
    /// Its name; `None`: an operator said what is to be done.
    pub name: Option<String>,
    /// The cluster that is lost.
    pub cluster: String,
    /// In how much of the hash space.
    pub percent: u8,
    /// `running`, `done`, `aborted` or `stopped`.
    pub state: &'static str,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub began: OffsetDateTime,
    /// Seconds that it took, or has taken so far.
    pub seconds: u64,
    /// Seconds that it takes if nothing ends it.
    pub length: u64,
    /// When it is aborted.
    pub abort_if: String,
    /// The number that this asks for, of those who stand in; `None`: there is none.
    pub value: Option<f64>,
    /// Flows that it is made of.
    pub samples: u64,
    /// The services whose flows the cluster had.
    pub services: Vec<DrilledView>,
    /// All of this in words.
    pub says: String,
}

/// A service whose flows a cluster had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrilledView {
    /// Its name.
    pub name: String,
    /// Of its 4,096 rows those that others have meanwhile.
    pub rows: u32,
}

/// What is known of drills.
pub fn drills<T: Tables>(seen: &Seen<T>) -> DrillsView {
    let Drills { last, since } = &seen.published.drills;
    let scheduled = since.iter().map(|(name, since)| ScheduledView {
        name: name.clone(),
        since: seen.monotonic.saturating_sub(*since) / 1000,
    });
    DrillsView {
        last: last.as_ref().map(|drill| view(drill, seen.monotonic)),
        scheduled: scheduled.collect(),
    }
}

fn view(drill: &Drill, now: u64) -> DrillView {
    let terms = &drill.terms;
    let seconds = drill.end.as_ref().map_or(now, |end| end.at).saturating_sub(drill.began) / 1000;
    let began = i128::from(drill.began_unix) * 1_000_000;
    let services = drill.moved.iter().map(|(name, rows)| DrilledView { name: name.clone(), rows: *rows });
    DrillView {
        name: drill.name.clone(),
        cluster: terms.fail.clone(),
        percent: terms.percent,
        state: drill.end.as_ref().map_or("running", |end| end.outcome.name()),
        began: OffsetDateTime::from_unix_timestamp_nanos(began).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        seconds,
        length: milliseconds(terms.length) / 1000,
        abort_if: terms.abort_if.to_string(),
        value: drill.found.value,
        samples: drill.found.samples,
        services: services.collect(),
        says: says(drill, seconds),
    }
}

/// `drill weekly: aborted after 12 s: failed_handshake_ratio is 0.25 of 480 flows of the others`.
fn says(drill: &Drill, seconds: u64) -> String {
    let (terms, metric) = (&drill.terms, drill.terms.abort_if.metric.name());
    let found = format!("{metric} of the others {}", drill.found);
    match &drill.end {
        None => {
            let left = (milliseconds(terms.length) / 1000).saturating_sub(seconds);
            format!("{drill}: {} is out of {}%, {left} s more; {found}", terms.fail, terms.percent)
        }
        Some(End { outcome: Outcome::Done, .. }) => {
            format!("{drill}: {} was out of {}% for {seconds} s; {found}", terms.fail, terms.percent)
        }
        Some(End { outcome, reason, .. }) => {
            format!("{drill}: {} after {seconds} s: {reason}", outcome.name())
        }
    }
}
