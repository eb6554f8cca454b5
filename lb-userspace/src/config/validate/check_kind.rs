//! Rules of `healthChecks`: what nodes are asked. Keys of another type would be without effect, so they are errors.

use std::ops::RangeInclusive;
use std::path::Path;

use hyper::http::uri::{Authority, PathAndQuery};

use super::trust;
use crate::config::file::{CheckType, HealthCheck};
use crate::config::model::{CheckKind, GrpcCheck, HttpCheck, ProbeVia, Program};
use crate::config::problem::{Place, Problems, quoted};
use crate::config::read::{List, Located};
use crate::config::scalar::Word as _;

/// Statuses that pass unless the file says otherwise, and all that HTTP has.
const EXPECT: RangeInclusive<u16> = 200..=399;
const STATUSES: RangeInclusive<u16> = 100..=599;

// Types that have the same keys; the first is the one to propose.
const GET: &[CheckType] = &[CheckType::Http, CheckType::Https];
const HOST: &[CheckType] = &[CheckType::Http, CheckType::Https, CheckType::Grpc];
const TLS: &[CheckType] = &[CheckType::Https, CheckType::Grpc];
const PORT: &[CheckType] =
    &[CheckType::Tcp, CheckType::Http, CheckType::Https, CheckType::Grpc, CheckType::Exec];

/// What a check of type `kind` asks. `None`: it was reported.
pub(super) fn kind(
    kind: CheckType,
    check: &HealthCheck,
    base: &Path,
    problems: &mut Problems,
) -> Option<CheckKind> {
    keys_belong(kind, check, problems);
    goes_that_way(kind, check, problems);
    let host = check.host.as_ref().filter(|_| HOST.contains(&kind)).map(|at| host(at, problems));
    let tls = check.tls.as_ref().filter(|_| TLS.contains(&kind)).map(|tls| trust::tls(tls, base, problems));
    match kind {
        CheckType::Tcp => Some(CheckKind::Tcp),
        CheckType::Http | CheckType::Https => Some(CheckKind::Http(HttpCheck {
            path: path(check.path.as_ref(), problems),
            host,
            expect: expect(check, problems),
            tls: (kind == CheckType::Https).then(|| tls.unwrap_or_default()),
        })),
        CheckType::Grpc => {
            let service = check.service.as_ref().map(|service| service.value.clone()).unwrap_or_default();
            Some(CheckKind::Grpc(GrpcCheck { service, host, tls }))
        }
        CheckType::Icmp => Some(CheckKind::Icmp),
        CheckType::Exec => program(check.command.as_ref()?, base, problems).map(CheckKind::Exec),
    }
}

/// Keys that are written, and the types that have them.
fn keys(check: &HealthCheck) -> impl Iterator<Item = (&'static str, &Place, &'static [CheckType])> {
    fn written<'c, T>(
        key: &'static str,
        value: Option<&'c Located<T>>,
        types: &'static [CheckType],
    ) -> Option<(&'static str, &'c Place, &'static [CheckType])> {
        value.map(|at| (key, &at.place, types))
    }
    let keys = [
        written("port", check.port.as_ref(), PORT),
        written("path", check.path.as_ref(), GET),
        written("host", check.host.as_ref(), HOST),
        written("expect", check.expect.as_ref(), GET),
        written("tls", check.tls.as_ref(), TLS),
        written("service", check.service.as_ref(), &[CheckType::Grpc]),
        written("command", check.command.as_ref(), &[CheckType::Exec]),
    ];
    keys.into_iter().flatten()
}

fn keys_belong(kind: CheckType, check: &HealthCheck, problems: &mut Problems) {
    for (key, place, types) in keys(check).filter(|(.., types)| !types.contains(&kind)) {
        let mend =
            types.first().map_or_else(String::new, |other| format!(", or use `type: {}`", other.word()));
        problems.add(place, format!("{} check has no `{key}`", named(kind)), format!("remove it{mend}"));
    }
}

/// What goes through the tunnel is a connection to a VIP.
fn goes_that_way(kind: CheckType, check: &HealthCheck, problems: &mut Problems) {
    let through = check.via.as_ref().filter(|via| via.value.0 == ProbeVia::Tunnel);
    let why = match kind {
        CheckType::Icmp => "the gateways answer echo requests to a VIP themselves",
        CheckType::Exec => "what a program sends is its own",
        _ => return,
    };
    if let Some(at) = through {
        let reason = format!("{} check cannot go through the tunnel: {why}", named(kind));
        problems.add(&at.place, reason, "remove `via`, or use `type: tcp`");
    }
}

/// "a `tcp`", "an `icmp`".
fn named(kind: CheckType) -> String {
    let article = if matches!(kind, CheckType::Tcp | CheckType::Grpc) { "a" } else { "an" };
    format!("{article} `{}`", kind.word())
}

fn path(path: Option<&Located<String>>, problems: &mut Problems) -> String {
    let Some(path) = path else { return "/".into() };
    let printable = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !path.starts_with('/') || !printable || path.parse::<PathAndQuery>().is_err() {
        let mend = "start it with `/`, and write spaces, `#`, `<`, `>` and the like as `%` and two digits";
        problems.add(&path.place, format!("{} is no path of a request", quoted(path)), mend);
    }
    path.value.clone()
}

fn host(host: &Located<String>, problems: &mut Problems) -> String {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(fit) || host.parse::<Authority>().is_err() {
        let mend = "write a host name, with `:port` if need be";
        problems.add(&host.place, format!("{} is no host", quoted(host)), mend);
    }
    host.value.clone()
}

fn expect(check: &HealthCheck, problems: &mut Problems) -> RangeInclusive<u16> {
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

/// The program, below `base` unless its path is absolute.
fn program(command: &Located<List<String>>, base: &Path, problems: &mut Problems) -> Option<Program> {
    let Some((program, arguments)) = command.split_first().filter(|(program, _)| !program.is_empty()) else {
        problems.add(&command.place, "there is no program", "write its path, and its arguments behind it");
        return None;
    };
    for word in command.iter().filter(|word| word.contains('\0')) {
        problems.add(&word.place, "no argument can hold a zero byte", "remove it");
    }
    // With a `/` in any case: a bare name would be looked for elsewhere.
    let path = Path::new(".").join(base).join(&program.value);
    Some(Program { path, arguments: arguments.iter().map(|argument| argument.value.clone()).collect() })
}
