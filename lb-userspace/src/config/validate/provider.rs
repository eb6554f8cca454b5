//! Rules of `analyses`: who is asked for the number. Keys of another provider would be without effect, so they are errors.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use hyper::http::uri::PathAndQuery;
use rustls::pki_types::ServerName;

use super::{time, trust};
use crate::config::file::{Analysis, ProviderType};
use crate::config::model::{Inquiry, Sought, Tls};
use crate::config::problem::{Place, Problems, quoted};
use crate::config::read::Located;
use crate::config::scalar::Word as _;
use crate::inquiry::url::Url;
use crate::inquiry::{pointer, prometheus};

const TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_mins(1);

// Providers that have the same keys; the first is the one to propose.
const DATAPLANE: &[ProviderType] = &[ProviderType::Dataplane];
const SERVERS: &[ProviderType] = &[ProviderType::Prometheus, ProviderType::Http];

/// Reports keys that the provider does not have.
pub(super) fn keys_belong(kind: ProviderType, analysis: &Analysis, problems: &mut Problems) {
    fn place<T>(value: Option<&Located<T>>) -> Option<&Place> {
        value.map(|at| &at.place)
    }
    let keys: [(_, _, &[ProviderType]); 7] = [
        ("metric", place(analysis.metric.as_ref()), DATAPLANE),
        ("minSamples", place(analysis.min_samples.as_ref()), DATAPLANE),
        ("url", place(analysis.url.as_ref()), SERVERS),
        ("query", place(analysis.query.as_ref()), &[ProviderType::Prometheus]),
        ("jsonPointer", place(analysis.json_pointer.as_ref()), &[ProviderType::Http]),
        ("tls", place(analysis.tls.as_ref()), SERVERS),
        ("timeout", place(analysis.timeout.as_ref()), SERVERS),
    ];
    for (key, place, providers) in keys {
        let Some(place) = place.filter(|_| !providers.contains(&kind)) else { continue };
        let other = providers.first().map_or("", |other| other.word());
        let reason = format!("`provider: {}` has no `{key}`", kind.word());
        problems.add(place, reason, format!("remove it, or use `provider: {other}`"));
    }
}

/// What is asked of a server. `None`: it was reported.
pub(super) fn inquiry(
    kind: ProviderType,
    analysis: &Analysis,
    base: &Path,
    problems: &mut Problems,
) -> Option<Inquiry> {
    let timeout = time(analysis.timeout.as_ref(), TIMEOUT, &TIMEOUTS, problems);
    let url = analysis.url.as_ref().and_then(|at| Some((at, url(at, problems)?)));
    let tls = url.as_ref().and_then(|(at, url)| tls(at, url, analysis, base, problems));
    let (target, sought) = match kind {
        ProviderType::Http => {
            let pointer = analysis.json_pointer.as_ref().map(|at| pointer(at, problems));
            (url.as_ref().map(|(_, url)| url.target()), Sought::At(pointer?))
        }
        _ => (query(url.as_ref(), analysis.query.as_ref(), problems), Sought::Sample),
    };
    let (_, Url { host, port, .. }) = url?;
    Some(Inquiry { host, port, tls, target: target?, timeout, sought })
}

fn url(at: &Located<String>, problems: &mut Problems) -> Option<Url> {
    let read = Url::read(at);
    if let Err((reason, mend)) = &read {
        // Nothing of it is shown: it may hold a password.
        problems.add(&at.place, format!("the URL {reason}"), *mend);
    }
    read.ok()
}

/// The server is verified, by the name in the URL if no other is given.
fn tls(
    at: &Located<String>,
    url: &Url,
    analysis: &Analysis,
    base: &Path,
    problems: &mut Problems,
) -> Option<Tls> {
    let written = analysis.tls.as_ref();
    if !url.secure {
        if let Some(tls) = written {
            problems.add(
                &tls.place,
                "the URL is one of `http`, without TLS",
                "remove it, or write `https://`",
            );
        }
        return None;
    }
    if written.is_none_or(|tls| tls.ca_file.is_none()) {
        let mend = "add `tls: {caFile: FILE}`, such as `/etc/ssl/certs/ca-certificates.crt`";
        let place = written.map_or(&at.place, |tls| &tls.place);
        problems.add(place, "nothing says who must have signed the server's certificate", mend);
    }
    let mut tls = written.map(|tls| trust::tls(tls, base, problems)).unwrap_or_default();
    if tls.server_name.is_none() && written.is_none_or(|tls| tls.server_name.is_none()) {
        tls.server_name = ServerName::try_from(url.host.clone()).ok();
        if tls.server_name.is_none() {
            let mend = "write the name that is in the server's certificate";
            problems.add(&at.place, format!("{} is no name of a server", quoted(&url.host)), mend);
        }
    }
    Some(tls)
}

fn query(
    url: Option<&(&Located<String>, Url)>,
    query: Option<&Located<String>>,
    problems: &mut Problems,
) -> Option<String> {
    let query = query?;
    if query.trim().is_empty() {
        problems.add(&query.place, "there is no query", "write PromQL with one number");
    }
    let (at, url) = url?;
    if url.query.is_some() {
        let mend =
            "write where the server is, such as `http://prometheus.monitoring:9090`, and PromQL in `query`";
        problems.add(&at.place, "the URL of a Prometheus has a query of its own", mend);
    }
    let target = prometheus::target(&url.path, query);
    if target.parse::<PathAndQuery>().is_err() {
        let reason = format!("the query is {} bytes with its encoding, too long for a request", target.len());
        problems.add(&query.place, reason, "make it shorter, as by a recording rule");
    }
    Some(target)
}

fn pointer(at: &Located<String>, problems: &mut Problems) -> String {
    if !pointer::is_valid(at) {
        let mend = "write it like `/data/ratio`; within a name `~0` is `~` and `~1` is `/`";
        problems.add(&at.place, format!("{} is no JSON Pointer", quoted(at)), mend);
    }
    at.value.clone()
}
