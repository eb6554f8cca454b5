//! Rules of `healthChecks`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::names::label;
use super::{time, within};
use crate::config::file::{self, CheckType};
use crate::config::model::{CheckKind, HealthCheck};
use crate::config::problem::{Problems, quoted};
use crate::config::read::Located;
use crate::config::scalar::Time;

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bounds of interval and timeout: below, probes would be the load; above, they say nothing.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);

const RISE: u32 = 2;
const FALL: u32 = 3;
/// Bounds of rise and fall.
const COUNTS: RangeInclusive<u32> = 1..=1000;

const JITTER_PERCENT: u8 = 10;

/// Statuses that pass unless the file says otherwise, and all that HTTP has.
const EXPECT: RangeInclusive<u16> = 200..=399;
const STATUSES: RangeInclusive<u16> = 100..=599;

pub(super) fn check(check: &Located<file::HealthCheck>, problems: &mut Problems) -> Option<HealthCheck> {
    if let Some(name) = check.name.as_ref() {
        label(name, problems);
    }
    let port = check.port.as_ref().map(|port| within(Some(port), 1, &(1..=u16::MAX), problems));
    let kind = check.kind.as_ref().map(|kind| match kind.value.0 {
        CheckType::Tcp => tcp(check, problems),
        CheckType::Http => http(check, problems),
    });
    let interval = time(check.interval.as_ref(), INTERVAL, &TIMES, problems);
    let timeout = timeout(check, interval, problems);
    Some(HealthCheck {
        rise: within(check.rise.as_ref(), RISE, &COUNTS, problems),
        fall: within(check.fall.as_ref(), FALL, &COUNTS, problems),
        jitter_percent: within(check.jitter_percent.as_ref(), JITTER_PERCENT, &(0..=100), problems),
        name: check.name.as_ref()?.value.clone(),
        kind: kind?,
        via: check.via.as_ref().map(|choice| choice.value.0).unwrap_or_default(),
        port,
        interval,
        timeout,
    })
}

/// The timeout; left out, it is the default or the interval if that is shorter.
fn timeout(check: &file::HealthCheck, interval: Duration, problems: &mut Problems) -> Duration {
    let timeout = time(check.timeout.as_ref(), TIMEOUT.min(interval), &TIMES, problems);
    if let Some(at) = check.timeout.as_ref().filter(|_| timeout > interval) {
        let interval = Time(interval);
        let reason = format!("the timeout, {}, is longer than the interval, {interval}", at.value);
        problems.add(&at.place, reason, format!("use at most `{interval}`, or a longer interval"));
    }
    timeout
}

/// A TCP check has nothing but its port: other keys would be without effect.
fn tcp(check: &file::HealthCheck, problems: &mut Problems) -> CheckKind {
    let path = check.path.as_ref().map(|at| ("path", &at.place));
    let host = check.host.as_ref().map(|at| ("host", &at.place));
    let expect = check.expect.as_ref().map(|at| ("expect", &at.place));
    for (key, place) in [path, host, expect].into_iter().flatten() {
        problems.add(place, format!("a `tcp` check has no `{key}`"), "remove it, or use `type: http`");
    }
    CheckKind::Tcp
}

fn http(check: &file::HealthCheck, problems: &mut Problems) -> CheckKind {
    CheckKind::Http {
        path: path(check.path.as_ref(), problems),
        host: check.host.as_ref().map(|host| self::host(host, problems)),
        expect: expect(check, problems),
    }
}

fn path(path: Option<&Located<String>>, problems: &mut Problems) -> String {
    let Some(path) = path else { return "/".into() };
    let printable = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !path.starts_with('/') || !printable {
        let mend = "start it with `/`, and write spaces, `#` and non-ASCII characters as `%` and two digits";
        problems.add(&path.place, format!("{} is no path of a request", quoted(path)), mend);
    }
    path.value.clone()
}

fn host(host: &Located<String>, problems: &mut Problems) -> String {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(fit) {
        let mend = "write a host name, with `:port` if need be";
        problems.add(&host.place, format!("{} is no host", quoted(host)), mend);
    }
    host.value.clone()
}

fn expect(check: &file::HealthCheck, problems: &mut Problems) -> RangeInclusive<u16> {
    let Some(expect) = &check.expect else { return EXPECT };
    let range = &expect.value.0;
    if range.is_empty() {
        let mend = format!("write `{}-{}`", range.end(), range.start());
        problems.add(&expect.place, "the range ends before it starts", mend);
    } else if !STATUSES.contains(range.start()) || !STATUSES.contains(range.end()) {
        let reason = format!("{}-{} is out of range", range.start(), range.end());
        problems.add(&expect.place, reason, "use statuses from 100 to 599");
    }
    range.clone()
}
