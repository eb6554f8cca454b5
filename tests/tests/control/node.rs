//! `spillway node`: its file, its pins and the machine's addresses, against the real kernel.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use lb_tests::lab::{Attached, Objects, VIP_V4};
use lb_userspace::compile::ReceiverImage;
use lb_userspace::datapath::mapping::Access;
use lb_userspace::datapath::pins::Pins;
use lb_userspace::datapath::receiver::ReceiverMaps;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::node_world::{NODE, World};

/// What [`World::send`] says.
const TAKEN: [u64; 2] = [1, 0];
const DROPPED: [u64; 2] = [0, 1];
const PASSED: [u64; 2] = [0, 0];

/// Exit code and what was said.
fn ended(mut command: Command) -> Result<(Option<i32>, String)> {
    let output = command.output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn told(world: &World, words: &[&str]) -> Result<(Option<i32>, String)> {
    let output = world.agent.run(words)?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The file with another value under a key.
fn with(key: &str, value: Value) -> Value {
    let mut file = World::file();
    file[key] = value;
    file
}

#[test]
fn a_changed_file_is_followed() -> Result<()> {
    let mut world = World::new()?;
    world.start(&World::file())?;
    assert_eq!(world.send(NODE)?, TAKEN);
    let changes = [
        (with("gateways", json!(["203.0.113.0/24"])), DROPPED),
        (with("gateways", json!(["10.60.0.0/30", "203.0.113.0/24"])), TAKEN),
        (with("accept", json!({"gue": {}})), PASSED),
        (with("addresses", json!(["192.0.2.21"])), PASSED),
        (World::file(), TAKEN),
    ];
    let digest = |status: &Value| status["configDigest"].clone();
    for (file, becomes) in changes {
        let before = digest(&world.agent.status()?);
        world.agent.configure(&file)?;
        world
            .agent
            .until("the file is in force", |agent| (digest(&agent.status().ok()?) != before).then_some(()))?;
        assert_eq!(world.send(NODE)?, becomes, "{file}");
    }
    Ok(())
}

#[test]
fn a_bad_file_changes_nothing_and_is_told() -> Result<()> {
    let mut world = World::new()?;
    world.start(&World::file())?;
    let before = world.agent.status()?;
    let mut many = with("gateways", json!(["192.0.2.7/24"]));
    many["gatways"] = json!([]);
    let bad: [(Value, &[&str]); 3] = [
        (many, &["node.gateways[0]", "write `192.0.2.0/24`", "did you mean `gateways`?"]),
        (
            with("pinPath", json!("/sys/fs/bpf/elsewhere")),
            &["node.pinPath", "cannot move", "spillway unload"],
        ),
        (with("interfaces", json!(["eth1", "eth9"])), &["there is no interface eth9"]),
    ];
    for (file, parts) in bad {
        world.agent.configure(&file)?;
        let status = world.agent.until("it is refused", |agent| {
            let status = agent.status().ok()?;
            let error = status["lastError"].as_str()?.to_owned();
            parts.iter().all(|part| error.contains(part)).then_some(status)
        })?;
        assert!(status["lastError"].as_str().context("text")?.contains("stays in force"), "{status}");
        for key in ["configDigest", "gateways", "addresses", "accepts", "interfaces"] {
            assert_eq!(status[key], before[key], "{key}");
        }
        let log = world.agent.last_lines().join("\n");
        assert!(parts.iter().all(|part| log.contains(part)), "{log}");
        assert!(world.is_free("eth1")?);
        assert_eq!(world.send(NODE)?, TAKEN);
    }
    world.agent.configure(&World::file())?;
    world.agent.until("the error is gone with its cause", |agent| {
        agent.status().ok()?["lastError"].is_null().then_some(())
    })
}

#[test]
fn addresses_are_followed_but_for_those_that_vips_have() -> Result<()> {
    let mut world = World::new()?;
    world.start(&World::file())?;
    let late = Ipv4Addr::new(10, 60, 7, 2);
    assert_eq!(world.agent.status()?["addresses"], json!(["10.60.0.2", "10.60.1.2"]));
    assert_eq!(world.send(late)?, PASSED);
    assert_eq!(world.send(VIP_V4)?, PASSED);
    world.node.ip(&format!("address add {late}/24 dev eth0"))?;
    world.agent.until("the new address is known", |agent| {
        (agent.status().ok()?["addresses"].as_array()?.len() == 3).then_some(())
    })?;
    assert_eq!(world.send(late)?, TAKEN);
    world.node.ip(&format!("address del {late}/24 dev eth0"))?;
    world.agent.until("it is forgotten", |agent| {
        (agent.status().ok()?["addresses"].as_array()?.len() == 2).then_some(())
    })?;
    assert_eq!(world.send(late)?, PASSED);
    // As of a tunnel, or of `dummy0` with VIPs on it.
    world.node.ip("link set eth1 arp off")?;
    world.agent.until("an interface without neighbours does not count", |agent| {
        (agent.status().ok()?["addresses"] == json!([NODE])).then_some(())
    })
}

#[test]
fn an_agent_that_ends_leaves_everything_to_the_next() -> Result<()> {
    let mut world = World::new()?;
    world.start(&World::file())?;
    assert_eq!(world.send(NODE)?, TAKEN);
    let first = world.agent.status()?;
    assert_eq!((&first["adopted"], &first["agent"]["running"]), (&json!(false), &json!(true)));
    world.agent.stop();
    assert_eq!(world.agent.status()?["agent"]["running"], false);
    assert_eq!(world.send(NODE)?, TAKEN, "without an agent");

    world.start(&with("gateways", json!(["203.0.113.1"])))?;
    let second = world.agent.status()?;
    assert_eq!(second["adopted"], true);
    assert_eq!(second["taken"][0]["packets"], 2, "counters outlive the agent");
    assert_ne!(second["interfaces"][0]["programId"], first["interfaces"][0]["programId"]);
    assert_eq!(world.send(NODE)?, DROPPED, "what changed while no agent ran");
    Ok(())
}

#[test]
fn interfaces_come_and_go() -> Result<()> {
    let mut world = World::new()?;
    world.start(&with("interfaces", json!(["eth0", {"name": "eth1", "xdpMode": "generic"}])))?;
    assert_eq!(world.attached()?, ["eth0", "eth1"]);
    assert_eq!(world.agent.status()?["interfaces"][1]["mode"], "generic");
    world.agent.configure(&World::file())?;
    world.agent.until("eth1 is left", |agent| {
        (agent.status().ok()?["interfaces"].as_array()?.len() == 1).then_some(())
    })?;
    assert!(world.has_program("eth0")? && world.is_free("eth1")?);

    let before = world.index("eth0")?;
    world.node.ip("link del eth0")?;
    world.agent.until("it is missed", |agent| {
        agent.status().ok()?["lastError"].as_str()?.contains("interface eth0 is gone").then_some(())
    })?;
    world.link(0)?;
    assert_ne!(world.index("eth0")?, before);
    world.agent.until("it is back", |agent| {
        let status = agent.status().ok()?;
        (status["lastError"].is_null() && status["addresses"].as_array()?.len() == 2).then_some(())
    })?;
    assert_eq!(world.send(NODE)?, TAKEN);
    Ok(())
}

#[test]
fn the_maps_are_shown_and_unloaded_by_the_commands_of_gateways() -> Result<()> {
    let mut world = World::new()?;
    world.start(&World::file())?;
    world.send(NODE)?;
    let listed = world.agent.ask(&["maps", "list"])?;
    let names = listed.as_array().into_iter().flatten().map(|map| map["name"].as_str().unwrap_or_default());
    assert_eq!(names.collect::<Vec<_>>(), lb_common::abi::receiver_map::ALL);
    assert!(listed.as_array().into_iter().flatten().all(|map| map["purpose"] != ""), "{listed}");
    let peer = json!({"key": "10.60.0.1/32", "value": {"sources": "allow"}});
    assert_eq!(world.agent.ask(&["maps", "dump", "peers"])?, json!([peer]));
    assert_eq!(world.agent.ask(&["maps", "get", "peers", "10.60.0.1"])?, peer);
    assert_eq!(world.agent.ask(&["maps", "dump", "tunnel_stats"])?[0]["value"]["packets"], 1);
    for words in [
        &["services"][..],
        &["maps", "dump", "slab"],
        &["explain", "--protocol", "tcp", "--source", "192.0.2.1:1", "--destination", "192.0.2.2:2"],
    ] {
        let (code, said) = told(&world, words)?;
        assert!(code == Some(1) && said.contains("a node"), "{words:?}: {said}");
    }
    let (code, said) = told(&world, &["unload"])?;
    assert!(code == Some(1) && said.contains("an agent runs on the maps at"), "{said}");
    world.agent.stop();
    assert_eq!(told(&world, &["unload"])?, (Some(0), String::new()));
    assert!(world.is_free("eth0")?);
    assert_eq!(pinned(&world), 0);
    Ok(())
}

/// Versions of pins below the pin path.
fn pinned(world: &World) -> usize {
    fs::read_dir(world.agent.pin_path()).map_or(0, Iterator::count)
}

#[test]
fn a_start_that_fails_leaves_nothing() -> Result<()> {
    let mut world = World::new()?;
    let _other = Attached::pass(&Objects::from_env()?, &world.node, "eth1")?;
    let end = |world: &World, file: &Value| {
        world.agent.configure(file)?;
        ended(world.agent.command(&world.node))
    };
    for (file, code, part) in [
        (with("interfaces", json!(["eth0", "eth9"])), 1, "there is no interface eth9; this machine has lo, "),
        (with("interfaces", json!(["eth0", "eth1"])), 1, "another XDP program sits on eth1"),
        (with("gateways", json!([])), 3, "there is no gateway"),
        (with("pinPath", json!(world.work.path())), 4, "is not on a BPF file system"),
    ] {
        let (ended, said) = end(&world, &file)?;
        assert!(ended == Some(code) && said.contains(part), "{said}");
        assert!(world.is_free("eth0")? && pinned(&world) == 0);
    }
    world.start(&World::file())?;
    let (code, said) = end(&world, &World::file())?;
    assert!(code == Some(1) && said.contains("another agent runs on the maps at"), "{said}");
    let (code, said) = ended(gateway_at(&world, world.agent.pin_path())?)?;
    assert!(code == Some(1) && said.contains("are those of a node"), "{said}");
    assert_eq!(world.send(NODE)?, TAKEN);
    Ok(())
}

/// `spillway run` over the node's pins.
fn gateway_at(world: &World, pin_path: &Path) -> Result<Command> {
    let file = world.work.path().join("gateway.yaml");
    world.work.write_key("hash.key", "000102030405060708090a0b0c0d0e0f")?;
    let text =
        "apiVersion: spillway/v1\nclusterSet: {id: x, secretFile: hash.key}\ngateway: {interfaces: [eth1]}\n";
    fs::write(&file, text)?;
    let mut command = world.node.command(world.agent.spillway());
    command.args(["run", "--config"]).arg(file).arg("--pin-path").arg(pin_path);
    Ok(command)
}

#[test]
fn a_hangup_looks_again() -> Result<()> {
    let mut world = World::new()?;
    world.start(&World::file())?;
    world.agent.configure(&with("interfaces", json!(["eth0", "late0"])))?;
    world.agent.until("it is refused", |agent| {
        agent.status().ok()?["lastError"].as_str()?.contains("late0").then_some(())
    })?;
    world.node.ip("link add late0 type veth peer name late1")?;
    world.hang_up()?;
    world.agent.until("the late interface is taken", |agent| {
        let status = agent.status().ok()?;
        (status["interfaces"].as_array()?.len() == 2 && status["lastError"].is_null()).then_some(())
    })
}

#[test]
fn what_somebody_else_changes_in_the_maps_is_put_right() -> Result<()> {
    let mut world = World::new()?;
    world.start(&World::file())?;
    let mut maps = ReceiverMaps::open(&Pins::new(world.agent.pin_path()), Access::Write)?;
    let held = maps.image()?;
    let nobody = ReceiverImage { own: BTreeSet::new(), peers: BTreeSet::new(), ..held.clone() };
    // As long as it is halted, nothing that it hears of the machine makes it look.
    world.signal(Signal::SIGSTOP)?;
    maps.hold(&nobody)?;
    assert_eq!(world.send(NODE)?, PASSED);
    world.hang_up()?;
    world.signal(Signal::SIGCONT)?;
    world.agent.until("all is as before", |_| (maps.image().ok()? == held).then_some(()))?;
    assert_eq!(world.send(NODE)?, TAKEN);
    Ok(())
}

/// Capabilities by the kernel's numbers (`linux/capability.h`).
const CAPABILITIES: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];

/// Those that the systemd unit grants.
fn granted() -> Result<Vec<u32>> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/spillway-node.service");
    let unit = fs::read_to_string(unit)?;
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let number =
        |name: &str| CAPABILITIES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    line.context("no line")?
        .split_whitespace()
        .map(|name| number(name).with_context(|| name.to_owned()))
        .collect()
}

/// Root with these capabilities and no others.
fn confined(mut command: Command, kept: Vec<u32>) -> Command {
    const NONE: libc::c_ulong = 0;
    let drop_others = move || {
        for capability in (0..64).filter(|number| !kept.contains(number)) {
            // SAFETY: the command takes numbers. One that this kernel does not know is refused.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), NONE, NONE, NONE) };
        }
        Ok(())
    };
    // SAFETY: prctl(2) is a bare system call, async-signal-safe, and nothing is allocated.
    unsafe { command.pre_exec(drop_others) };
    command
}

#[test]
fn the_unit_grants_what_is_needed_and_no_more() -> Result<()> {
    let mut world = World::new()?;
    world.agent.configure(&World::file())?;
    let granted = granted()?;
    for lacking in &granted {
        let kept = granted.iter().copied().filter(|capability| capability != lacking).collect();
        let (code, said) = ended(confined(world.agent.command(&world.node), kept))?;
        assert!(code == Some(4) && said.contains("missing; run as root, or grant it"), "{said}");
    }
    world.agent.spawn(confined(world.agent.command(&world.node), granted))?;
    assert_eq!(world.send(NODE)?, TAKEN);
    let clamped = &world.agent.status()?["clamped"];
    assert_eq!((&clamped["interfaces"], &clamped["refused"]), (&json!(["eth0"]), &json!([])));
    world.agent.configure(&with("gateways", json!(["203.0.113.1"])))?;
    world.agent.until("a changed file is in force", |agent| {
        (agent.status().ok()?["gateways"] == json!(["203.0.113.1/32"])).then_some(())
    })?;
    assert_eq!(world.send(NODE)?, DROPPED);
    Ok(())
}
