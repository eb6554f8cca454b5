//! `spillway doctor` at a gateway: nothing is wrong, then one thing.

use std::os::unix::process::CommandExt as _;
use std::thread;
use std::time::{Duration, Instant};

use lb_tests::lab::{Agent, Attached, Objects, VIP_V4, fetch};

use super::doctor_report::{Report, doctor, run};
use super::gateway_world::{World, binary};

/// Whatever else is said of a gateway of veths: they are, and nobody sends.
const ALWAYS: [&str; 2] = ["hint offloads eth0", "hint traffic test/web"];
/// What a kernel before Linux 6.3 does not tell.
const OLD: &str = "hint egress eth1";

/// A world whose links have room for the outer header of what comes in.
fn world() -> World {
    let world = World::new(1);
    world.gateway.ip("link set dev eth0 mtu 1500").unwrap();
    world.write(&world.config().yaml());
    world
}

fn running() -> (World, Agent) {
    let world = world();
    let agent = world.start(&world.config());
    (world, agent)
}

fn examine(world: &World) -> Report {
    let file = world.config_path().display().to_string();
    doctor(&world.gateway, &["--config", &file, "--watch", "0"])
}

/// The report has this finding, and nothing besides but what is always said and `also`.
fn only(report: &Report, finding: &str, also: &[&str]) {
    let said = report.said();
    let unexpected =
        |one: &&String| **one != finding && !ALWAYS.contains(&one.as_str()) && !also.contains(&one.as_str());
    let unexpected: Vec<_> = said.iter().filter(unexpected).collect();
    assert!(said.iter().any(|one| one == finding), "{finding}: {:#}", report.json);
    assert!(unexpected.is_empty(), "{unexpected:?}: {:#}", report.json);
}

#[test]
fn of_a_healthy_gateway_nothing_bad_is_said() {
    let (world, _agent) = running();
    let report = examine(&world);
    only(&report, ALWAYS[0], &[]);
    assert_eq!(report.code, Some(0));
    let json = &report.json;
    assert_eq!((json["side"].as_str(), json["errors"].as_u64()), (Some("gateway"), Some(0)));
    assert_eq!(json["hints"].as_u64(), Some(report.said().len() as u64));
    let findings = json["findings"].as_array().unwrap();
    for finding in findings {
        let keys: Vec<_> = finding.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["check", "mend", "says", "severity", "subject"], "{finding:#}");
        assert_eq!(finding["mend"].is_null(), finding["severity"] == "ok", "{finding:#}");
    }
    let [severity, says, _] = report.about("xdp", "eth0");
    assert_eq!([severity, says], ["ok", "Spillway's program runs natively"]);
    assert_eq!(report.about("next-hop", "endpoints")[1], "1 of 1 have a route and a neighbour");
    assert_eq!(report.about("pool", "web")[1], "1 of 1 endpoints serve");
}

#[test]
fn it_changes_nothing() {
    let (world, _agent) = running();
    let shown = || {
        let shows = ["link", "address", "route show table all", "neighbour"].map(|what| {
            let mut words = vec!["-details"];
            words.extend(what.split(' '));
            world.gateway.command("ip").args(words).output().unwrap().stdout
        });
        // A neighbour's state and a lifetime change by themselves.
        let text = String::from_utf8(shows.concat()).unwrap();
        let words =
            text.split_whitespace().filter(|word| !["REACHABLE", "STALE", "DELAY", "PROBE"].contains(word));
        words.collect::<Vec<_>>().join(" ")
    };
    let before = shown();
    examine(&world);
    assert_eq!(shown(), before);
}

#[test]
fn a_path_too_narrow_for_the_outer_header() {
    let (world, _agent) = running();
    world.gateway.ip("link set dev eth1 mtu 1500").unwrap();
    let report = examine(&world);
    only(&report, "warning mtu eu-1 by eth1", &[]);
    let [_, says, mend] = report.about("mtu", "eu-1 by eth1");
    assert_eq!(
        says,
        "packets longer than 1480 bytes do not fit: the path takes 1500, ipip adds 20, and up to 1500 come in"
    );
    assert!(mend.starts_with("raise the MTU of eth1, and of every link up to the nodes, to 1520;"), "{mend}");
    assert_eq!(report.code, Some(0), "a warning");
}

#[test]
fn an_egress_that_loses_what_is_redirected() {
    let (mut world, _agent) = running();
    world.nodes[0].end_receiver();
    let report = examine(&world);
    if report.said().iter().any(|one| one == OLD) {
        println!(
            "SKIP an_egress_that_loses_what_is_redirected: this kernel does not tell what drivers can do"
        );
        return;
    }
    only(&report, "error egress eth1", &[]);
    let mend = report.about("egress", "eth1")[2];
    assert!(mend.starts_with("a veth does so only if its other end has an XDP program"), "{mend}");
}

#[test]
fn an_interface_that_is_down() {
    let (world, _agent) = running();
    world.gateway.ip("link set dev eth0 down").unwrap();
    let report = examine(&world);
    only(&report, "error interface eth0", &[]);
    assert_eq!(report.about("interface", "eth0"), ["error", "is down", "`ip link set dev eth0 up`"]);
    assert_eq!(report.code, Some(1));
}

#[test]
fn an_endpoint_without_a_route() {
    let (world, mut agent) = running();
    world.gateway.ip("address flush dev eth1").unwrap();
    world.eventually("its next hop is given up", &mut agent, |_| {
        (!world.view()?.serves([10, 50, 1, 2].into())).then_some(())
    });
    let report = examine(&world);
    only(&report, "error next-hop 10.50.1.2", &["error pool web"]);
    let [_, says, mend] = report.about("next-hop", "10.50.1.2");
    assert_eq!(says, "no route leads to it");
    assert_eq!(mend, "`ip route add 10.50.1.2 via ROUTER`; compare `ip route get 10.50.1.2`");
    assert_eq!(report.about("pool", "web")[0], "error");
}

#[test]
fn a_neighbour_that_does_not_answer() {
    let world = world();
    world.gateway.ip("neighbour replace 10.50.1.2 dev eth1 nud failed").unwrap();
    let report = examine(&world);
    let [severity, says, mend] = report.about("next-hop", "10.50.1.2");
    assert_eq!(
        [severity, says],
        ["error", "10.50.1.2 on eth1 was asked for its MAC and did not answer (FAILED)"]
    );
    assert!(mend.contains("`ip neighbour show to 10.50.1.2 dev eth1`"), "{mend}");
    let [severity, says, _] = report.about("agent", &world.config().pin_path.display().to_string());
    assert_eq!(severity, "error");
    assert!(says.starts_with("nothing is pinned"), "{says}");
}

#[test]
fn a_program_that_is_anothers() {
    let world = world();
    let _other = Attached::pass(&Objects::from_env().unwrap(), &world.gateway, "eth0").unwrap();
    let report = examine(&world);
    let [severity, says, mend] = report.about("xdp", "eth0");
    assert_eq!(severity, "error");
    assert!(says.starts_with("another XDP program (") && says.contains(" pass) sits on it"), "{says}");
    assert!(mend.starts_with("detach it (`ip link set dev eth0 xdp off`"), "{mend}");
}

#[test]
fn a_vip_that_is_the_gateways_own() {
    let (world, _agent) = running();
    world.gateway.ip(&format!("address add {VIP_V4}/32 dev lo")).unwrap();
    let report = examine(&world);
    only(&report, &format!("error vip {VIP_V4}"), &[]);
    let mend = report.about("vip", &VIP_V4.to_string())[2];
    assert!(mend.starts_with(&format!("`ip address del {VIP_V4}/32 dev lo`")), "{mend}");
}

#[test]
fn an_agent_that_is_dead_and_a_file_that_changed_meanwhile() {
    let (world, mut agent) = running();
    agent.stop();
    let mut config = world.config();
    config.gateway = "\n  source: {v4: 192.0.2.77}".into();
    world.write(&config.yaml());
    let report = examine(&world);
    let dead = format!("error agent pid {}", agent.id());
    let config =
        report.said().into_iter().find(|one| one.starts_with("warning config ")).expect("another digest");
    only(&report, &dead, &[&config, "warning source 192.0.2.77"]);
    assert!(report.about("agent", &format!("pid {}", agent.id()))[2].starts_with("start it again"));
}

#[test]
fn counters_that_grow_are_explained() {
    let (world, _agent) = running();
    let file = world.config_path().display().to_string();
    let report = thread::scope(|scope| {
        let report = scope.spawn(|| doctor(&world.gateway, &["--config", &file, "--watch", "2"]));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !report.is_finished() && Instant::now() < deadline {
            fetch(&world.client, (VIP_V4, 80).into(), "/").unwrap();
            fetch(&world.client, (VIP_V4, 81).into(), "/").unwrap_err();
        }
        report.join().unwrap()
    });
    let [severity, says, mend] = report.about("reasons", "no-service");
    assert_eq!(severity, "warning", "{says}");
    assert!(mend.contains("services[].ports"), "{mend}");
    let [severity, says, _] = report.about("traffic", "test/web");
    assert_eq!(severity, "ok", "{says}");
    assert!(says.ends_with("packets sent in 2 s"), "{says}");
}

#[test]
fn without_privileges_it_sees_what_it_can() {
    let (world, _agent) = running();
    let file = world.config_path().display().to_string();
    // Some machines let anybody look at maps whose files he may open.
    std::os::unix::fs::chown(world.config().pin_path, Some(SOMEBODY_ELSE), None).unwrap();
    let mut command = world.gateway.command(binary());
    // SAFETY: prctl(2) is a bare system call, async-signal-safe, and the closure has no captures.
    unsafe {
        command.pre_exec(|| {
            give_up_capabilities();
            Ok(())
        })
    };
    let report = run(command, &["--config", &file, "--watch", "0"]);
    let path = world.config().pin_path.display().to_string();
    let expected = [
        "warning privileges this process",
        "warning kernel features",
        "warning xdp eth0",
        &format!("warning agent {path}"),
    ];
    for finding in expected {
        only(&report, finding, &expected);
    }
    assert_eq!(report.code, Some(0));
    assert_eq!(report.about("interface", "eth0")[0], "ok");
    assert!(
        report.about("privileges", "this process")[1]
            .starts_with("has no CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON:")
    );
}

/// A user who is not root.
const SOMEBODY_ELSE: u32 = 65534;

/// Root without capabilities, once another program is executed.
fn give_up_capabilities() {
    /// More than there are; those that are not refuse.
    const CAPABILITIES: libc::c_ulong = 64;
    for capability in 0..CAPABILITIES {
        // SAFETY: the call takes two integers and touches no memory of ours.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}
