//! `tests/fixtures/config`: every good file loads, every bad one gives exactly the report beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::world::{KEY, files, root, secrets};
use crate::config::model::{
    Admit, Affinity, Algorithm, Capacity, CheckKind, CircuitBreaker, Config, EncapKind, Failback,
    FailoverPolicy, GrpcCheck, HttpCheck, OnViolation, Order, ProbeVia, Program, QuicConfig, Resilience,
    ResilienceModel, Spill, Tls, Tracking, Via, XdpMode,
};
use crate::config::{Problems, check_text, features, load, load_with_places, parse};
use lb_common::abi::Features;
use rustls::pki_types::ServerName;

const GOOD: &str = "tests/fixtures/config/good";
const BAD: &str = "tests/fixtures/config/bad";

/// Set to write the reports of the bad files instead of comparing them; then read the difference.
const UPDATE: &str = "SPILLWAY_UPDATE_FIXTURES";

fn parse_file(path: &Path, base: &Path) -> Result<Config, Problems> {
    let name = path.file_name().expect("a file").to_string_lossy();
    parse(&fs::read_to_string(path).expect("readable"), &name, base)
}

fn good(name: &str) -> Config {
    parse_file(&root().join(GOOD).join(name), secrets().path())
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// A file of either kind.
fn check_file(path: &Path, base: &Path) -> Result<(), Problems> {
    let name = path.file_name().expect("a file").to_string_lossy();
    check_text(&fs::read_to_string(path).expect("readable"), &name, base)
}

#[test]
fn good_files_and_examples_load() {
    let secrets = secrets();
    let files = [files(GOOD), files("examples")].concat();
    assert!(files.len() >= 8, "found {files:?}");
    for file in files {
        if let Err(problems) = check_file(&file, secrets.path()) {
            panic!("{problems}");
        }
    }
}

#[test]
fn bad_files_give_their_report() {
    let secrets = secrets();
    let files = files(BAD);
    assert!(files.len() >= 30, "found {files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let report = match check_file(&file, secrets.path()) {
            Ok(()) => "loads\n".to_owned(),
            Err(problems) => format!("{problems}\n").replace(&*secrets.path().to_string_lossy(), "DIR"),
        };
        let expected_path = file.with_extension("txt");
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&expected_path, &report).expect("writable");
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if report != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- got\n{report}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_report_of_a_bad_file_says_that_it_loads() {
    for file in files(BAD) {
        let report = fs::read_to_string(file.with_extension("txt")).expect("a report beside each bad file");
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        assert!(report.starts_with(&name) && report.contains("\n  mend: "), "{name}: {report}");
    }
}

#[test]
fn defaults_are_what_the_file_with_all_of_them_says() {
    let [minimal, written] = ["minimal.yaml", "defaults-written.yaml"].map(good);
    assert_ne!(minimal.digest, written.digest, "the bytes differ");
    assert_eq!(minimal, Config { digest: minimal.digest.clone(), ..written });
}

#[test]
fn every_key_arrives_in_the_model() {
    let config = good("every-key.yaml");
    assert_eq!(config.cluster_set.secret.k0, 0x0706_0504_0302_0100);
    assert_eq!(config.cluster_set.self_cluster.as_deref(), Some("eu-1"));
    let modes: Vec<_> = config.gateway.interfaces.iter().map(|i| i.mode).collect();
    assert_eq!(modes, [XdpMode::Auto, XdpMode::Native, XdpMode::Generic]);
    assert_eq!(config.gateway.source_v6, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(config.gateway.limits.rows, 1 << 20);
    let others: Vec<_> =
        config.gateway.redirects.gateways.iter().map(|(prefix, _)| prefix.to_string()).collect();
    assert_eq!(others, ["203.0.113.0/28", "2001:db8:2::1/128"]);
    assert_eq!((config.gateway.redirects.port, config.clusters[5].via), (6082, Via::Gateway));
    assert_eq!(config.gateway.admin, Path::new("/run/blue.sock"));
    assert_eq!(config.clusters[0].encap.mtu, Some(1320));
    let asked: Vec<_> = config.clusters.iter().filter_map(|cluster| cluster.report).collect();
    let asked: Vec<_> = asked.iter().map(|report| (report.port, report.interval.as_secs())).collect();
    assert_eq!(asked, [(6082, 5), (6083, 10)]);
    assert_eq!(config.services[0].affinity, Affinity::ClientPrefix { v4: 20, v6: 48 });
    assert_eq!(config.services[2].affinity, Affinity::ClientPrefix { v4: 24, v6: 56 });
    assert_eq!(config.services[3].affinity, Affinity::ThreeTuple);
    assert_eq!(config.services[4].affinity, Affinity::ThreeTuple);
    assert_eq!(config.services[1].ports[1].port, 0);
    let access = |service: usize| config.services[service].access.as_deref();
    assert_eq!((access(0), access(1)), (Some("members"), None));
    assert_eq!(config.gateway.limits.access_prefixes, 4096);
    let [members, public] = config.access_policies.as_slice() else { panic!("two policies") };
    let prefixes: Vec<_> =
        members.prefixes.iter().map(|(prefix, admit)| (prefix.to_string(), admit)).collect();
    let known = ["192.0.2.0/24", "192.0.2.128/25", "203.0.113.7/32", "2001:db8::/32"];
    let verdicts = [Admit::Allow, Admit::Deny, Admit::Allow, Admit::Allow];
    assert_eq!(prefixes, known.map(str::to_owned).into_iter().zip(verdicts).collect::<Vec<_>>());
    assert_eq!((members.default, public.default), (Admit::Deny, Admit::Allow));
    assert_eq!((members.new_flows, public.new_flows), (100, 0));
    assert!(public.prefixes.is_empty());
    assert_eq!((config.pools[0].weight, config.pools[0].rows), (90, 4096));
    let breaker = CircuitBreaker {
        failed_handshake_percent: 40,
        min_volume: 200,
        interval: Duration::from_secs(5),
        open_for: Duration::from_mins(1),
        half_open_percent: 2,
    };
    let breakers: Vec<_> = config.pools[..2].iter().map(|pool| pool.circuit_breaker).collect();
    assert_eq!(breakers, [Some(breaker), None]);
    let slow: Vec<_> = config.pools[..2].iter().map(|pool| pool.slow_start.as_secs()).collect();
    assert_eq!(slow, [45, 0]);
    assert_eq!(config.services[6].tracking, Tracking::Chain);
    let algorithms = [Algorithm::Maglev, Algorithm::Hrw, Algorithm::Maglev];
    assert_eq!(config.pools[..3].iter().map(|pool| pool.algorithm).collect::<Vec<_>>(), algorithms);
    assert_eq!(config.pools[0].endpoints.iter().map(|e| e.weight).collect::<Vec<_>>(), [2, 1, 0]);
    let ids = config.pools[0].endpoints.iter().filter_map(|endpoint| Some(endpoint.server_id?.to_string()));
    assert_eq!(ids.collect::<Vec<_>>(), ["0a01", "0002", "ff03"]);
    let quic = |id, nonce_length| QuicConfig { id, server_id_length: 2, nonce_length };
    assert_eq!(config.services[0].quic, [quic(0, 4), quic(6, 17)]);
    assert!(config.services[1].quic.is_empty() && config.pools[2].endpoints.is_empty());
    let check = &config.health_checks[0];
    let (path, host) = ("/healthz?full=1".into(), Some("shop.example:8080".into()));
    assert_eq!(check.kind, CheckKind::Http(HttpCheck { path, host, expect: 200..=299, tls: None }));
    assert_eq!((check.interval, check.fall, check.jitter_percent), (Duration::from_millis(250), 5, 0));
    assert_eq!(config.health_checks[2].timeout, Duration::from_secs(1), "no longer than the interval");
    let ways = config.health_checks[..5].iter().map(|check| (check.via, check.port));
    let (direct, tunnel) = (ProbeVia::Direct, ProbeVia::Tunnel);
    let expected =
        [(direct, Some(8080)), (direct, Some(80)), (direct, Some(443)), (tunnel, None), (tunnel, Some(8080))];
    assert_eq!(ways.collect::<Vec<_>>(), expected);
}

#[test]
fn checks_of_every_type_arrive_in_the_model() {
    let config = good("every-key.yaml");
    let kinds: Vec<_> = config.health_checks[5..].iter().map(|check| &check.kind).collect();
    let [
        CheckKind::Http(verified),
        CheckKind::Http(any),
        CheckKind::Grpc(cart),
        CheckKind::Grpc(vip),
        icmp,
        lag,
        job,
    ] = kinds.as_slice()
    else {
        panic!("{kinds:?}");
    };
    let server = |name: &str| ServerName::try_from(name.to_owned()).ok();
    let tls = verified.tls.as_ref().expect("HTTPS");
    assert_eq!((verified.path.as_str(), tls.server_name.clone()), ("/ready", server("pay.example")));
    let authorities = tls.authorities.as_ref().expect("a file of them");
    assert!(authorities.file.ends_with("ca.pem") && authorities.roots.len() == 1);
    assert_eq!((any.host.as_deref(), &any.tls), (Some("pay.example"), &Some(Tls::default())));
    let (service, host) = ("shop.Cart".to_owned(), Some("cart.example".to_owned()));
    assert_eq!(*cart, GrpcCheck { service, host, tls: None });
    let tls = Some(Tls { server_name: server("192.0.2.1"), authorities: None });
    assert_eq!(*vip, GrpcCheck { service: String::new(), host: None, tls });
    assert_eq!(**icmp, CheckKind::Icmp);
    let program = |path: &str, arguments: &[&str]| {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        CheckKind::Exec(Program { path: path.into(), arguments })
    };
    let CheckKind::Exec(Program { path, arguments }) = lag else { panic!("{lag:?}") };
    assert!(path.is_absolute() && path.ends_with("checks/lag"), "below the file's directory: {path:?}");
    assert_eq!(*arguments, ["--most", "5s", ""]);
    assert_eq!(**job, program("/usr/local/bin/job-hz", &[]));
    let ports: Vec<_> = config.health_checks[9..].iter().map(|check| check.port).collect();
    assert_eq!(ports, [None, Some(5432), None]);
}

#[test]
fn a_program_without_a_slash_is_still_below_the_file() {
    let text = fs::read_to_string(root().join(GOOD).join("minimal.yaml")).expect("readable");
    let secrets = secrets();
    let text = text.replace("hash.key", &secrets.path().join("hash.key").display().to_string());
    let text = text.replace("type: tcp, port: 443", "type: exec, command: [check]");
    let config = parse(&text, "x.yaml", Path::new("")).unwrap_or_else(|problems| panic!("{problems}"));
    let program = Program { path: "./check".into(), arguments: vec![] };
    assert_eq!(config.health_checks[0].kind, CheckKind::Exec(program));
}

#[test]
fn the_interval_of_nodes_that_are_down_is_the_other_unless_it_is_written() {
    let config = good("every-key.yaml");
    let intervals = |check: usize| {
        let check = &config.health_checks[check];
        [check.interval, check.unhealthy_interval, check.timeout].map(|time| time.as_millis())
    };
    assert_eq!(intervals(0), [250, 1000, 250]);
    assert_eq!(intervals(1), [60_000, 60_000, 2000]);
    assert_eq!(intervals(11), [60_000, 1000, 1000], "no longer than the shorter one");
}

#[test]
fn files_of_authorities_are_followed_and_count() {
    let secrets = secrets();
    let path = secrets.path().join("gateway.yaml");
    fs::copy(root().join(GOOD).join("every-key.yaml"), &path).expect("copied");
    let loaded = load_with_places(&path).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.key_files.contains(&secrets.path().join("ca.pem")), "{:?}", loaded.key_files);
    let other = super::world::secrets();
    fs::copy(other.path().join("ca.pem"), secrets.path().join("ca.pem")).expect("copied");
    let changed = load(&path).unwrap_or_else(|problems| panic!("{problems}"));
    assert_ne!(changed.health_checks[5], loaded.config.health_checks[5]);
    assert_eq!(changed.health_checks[6..], loaded.config.health_checks[6..]);
}

#[test]
fn failover_policies_and_their_defaults_arrive_in_the_model() {
    let config = good("every-key.yaml");
    let clusters = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let near = FailoverPolicy {
        name: "near".into(),
        order: Order::Groups(vec![clusters(&["eu-1"]), clusters(&["us-1", "us-2"])]),
        overprovisioning: 200,
        panic_threshold: 0,
        min_healthy: 1,
        failback: Some(Failback::Auto { hold_down: Duration::from_secs(90), step: 30 }),
        resilience: Some(Resilience { model: ResilienceModel::NPlusTwo, on_violation: OnViolation::Refuse }),
        spill: None,
    };
    let labels = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];
    let by_labels = FailoverPolicy {
        name: "by-labels".into(),
        order: Order::Labels(clusters(&labels)),
        overprovisioning: 140,
        panic_threshold: 50,
        min_healthy: 0,
        failback: Some(Failback::Manual),
        resilience: Some(Resilience { model: ResilienceModel::NPlusOne, on_violation: OnViolation::Warn }),
        spill: Some(Spill { by_health: true, target: 65, hysteresis: 20 }),
    };
    assert_eq!(config.failover_policies, [near, by_labels]);
    let named: Vec<_> = config.services.iter().map(|service| service.failover_policy.as_deref()).collect();
    assert_eq!(named[..2], [Some("near"), None]);
    assert_eq!(config.clusters[0].labels[labels[1]], "a");
    let capacities: Vec<_> = config.clusters.iter().map(|cluster| cluster.capacity).collect();
    assert_eq!(capacities[..2], [Some(Capacity { new_connections: 20_000 }), None]);
}

#[test]
fn encapsulations_and_their_defaults_arrive_in_the_model() {
    let config = good("every-key.yaml");
    let kinds: Vec<_> = config.clusters.iter().map(|cluster| cluster.encap.kind).collect();
    let vxlan = EncapKind::Vxlan { port: 8472, vni: 16, mac: [2, 0, 0, 10, 11, 12] };
    assert_eq!(kinds[2..5], [EncapKind::Ipip, EncapKind::Gue { port: 6081, tag: true }, vxlan]);
    assert_eq!(features(&config), Features::ALL);
    let config = good("tunnel-defaults.yaml");
    let encap: Vec<_> = config.clusters.iter().map(|cluster| cluster.encap).collect();
    assert_eq!((encap[0], encap[2]), (encap[1], encap[3]));
    let mac = [0x02, 0x53, 0x50, 0x4c, 0x57, 0x02];
    assert_eq!(
        (encap[0].kind, encap[2].kind),
        (EncapKind::Gue { port: 6080, tag: false }, EncapKind::Vxlan { port: 4789, vni: 100, mac })
    );
    assert_eq!(features(&good("minimal.yaml")), Features::default());
}

#[test]
fn yaml_forms_mean_what_they_say() {
    let config = good("yaml-forms.yaml");
    assert_eq!(config.cluster_set.id, "no");
    assert_eq!(config.services[0].ports[0].port, 443);
    assert_eq!(config.services[1].vips, config.services[0].vips);
    assert_eq!(config.pools[0].endpoints, config.pools[1].endpoints);
}

#[test]
fn load_names_the_file_and_finds_the_secret_beside_it() {
    let secrets = secrets();
    let path = secrets.path().join("gateway.yaml");
    fs::copy(root().join(GOOD).join("minimal.yaml"), &path).expect("copied");
    let digest = load(&path).expect("good").digest;
    assert_eq!(digest.len(), 16);
    fs::write(secrets.path().join("hash.key"), KEY.replace('0', "1")).expect("writable");
    assert_ne!(load(&path).expect("good").digest, digest, "the secret counts");
    fs::set_permissions(secrets.path().join("hash.key"), fs::Permissions::from_mode(0o604)).expect("chmod");
    let report = load(&path).expect_err("open to others").to_string();
    assert!(report.starts_with(&format!("{}:3:36: clusterSet.secretFile: ", path.display())), "{report}");
}

#[test]
fn links_to_a_closed_secret_are_followed() {
    let secrets = secrets();
    let text = fs::read_to_string(root().join(GOOD).join("minimal.yaml")).expect("readable");
    let linked = text.replace("hash.key", "good-link.key");
    let config = parse(&linked, "x.yaml", secrets.path()).expect("good");
    assert_eq!(config.cluster_set.secret.k1, 0x0f0e_0d0c_0b0a_0908);
}

#[test]
fn what_is_no_text_file_is_one_problem() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.yaml");
    let report = || load(&path).expect_err("bad").to_string();
    assert!(report().contains("cannot be read: No such file"), "{}", report());
    fs::write(&path, b"a: \xff\n").expect("writable");
    assert!(report().contains("is not UTF-8 (byte 3)"), "{}", report());
    fs::File::create(&path).and_then(|file| file.set_len((16 << 20) + 1)).expect("sparse");
    assert!(report().contains("is larger than 16777216 bytes"), "{}", report());
}

#[test]
fn aliases_cannot_blow_up() {
    let level =
        |level: usize| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 8].join(", "));
    let text =
        (1..20).map(level).fold("a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(), |text, line| text + &line);
    let report = parse(&text, "x.yaml", Path::new("")).expect_err("too large").to_string();
    assert!(report.contains("too large or too deeply nested"), "{report}");
}

#[test]
fn a_table_of_bounded_hrw_has_a_cost() {
    let secrets = secrets();
    let text = fs::read_to_string(root().join(GOOD).join("minimal.yaml")).expect("readable");
    let pool = |endpoints: u32| {
        let address = |number| format!("{{address: 10.9.{}.{}}}", number / 250, 1 + number % 250);
        let endpoints = (0..endpoints).map(address).collect::<Vec<_>>().join(", ");
        let big =
            format!("- {{name: big, cluster: eu-1, rows: 1Mi, algorithm: hrw, endpoints: [{endpoints}]}}\n");
        text.replace("healthChecks:", &(big + "healthChecks:"))
    };
    assert!(parse(&pool(256), "x.yaml", secrets.path()).is_ok());
    let report = parse(&pool(257), "x.yaml", secrets.path()).expect_err("too many").to_string();
    assert!(
        report.contains("pools[1].algorithm: 1048576 rows and 257 endpoints are 269484032 scores"),
        "{report}"
    );
    assert!(report.contains("mend: use `maglev`, or fewer `rows`"), "{report}");
}

#[test]
fn json_has_the_places() {
    let problems = parse("apiVersion: spillway/v2\n", "x.yaml", Path::new("")).expect_err("bad");
    let json = serde_json::to_value(&problems).expect("JSON");
    assert_eq!(json[2]["file"], "x.yaml");
    assert_eq!((&json[2]["line"], &json[2]["column"]), (&1.into(), &13.into()));
    assert_eq!(json[2]["path"], "apiVersion");
    assert_eq!(json[2]["mend"], "did you mean `spillway/v1`?");
}
