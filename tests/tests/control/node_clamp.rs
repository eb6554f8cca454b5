//! What `spillway node` does with what its interfaces send: answers to SYNs ask for no more than fits.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use lb_userspace::datapath::pins::Pins;
use serde_json::{Value, json};

use super::node_world::{ASKED, MTU, World, asked};

/// Bytes that IP in IP over IPv6 and the headers of the packet in it take.
const HEADERS: u16 = 40 + 40;

/// A file that accepts IP in IP alone, with more keys.
fn file(more: &[(&str, Value)]) -> Value {
    let mut file = World::file();
    file["accept"] = json!({"ipip": true});
    more.iter().for_each(|(key, value)| file[*key] = value.clone());
    file
}

/// Waits until `status` says that segments over IPv4 have so many bytes, and sees whether answers ask for them.
fn becomes(world: &mut World, segment: u16) -> Result<()> {
    world.agent.until("another limit", |agent| {
        (agent.status().ok()?["accepts"]["segments"]["v4"] == segment).then_some(())
    })?;
    assert_eq!(world.asked()?, segment);
    Ok(())
}

fn clamped(world: &World, what: &str) -> Result<Value> {
    Ok(world.agent.status()?["clamped"][what].clone())
}

#[test]
fn answers_ask_for_no_more_than_fits_and_the_file_says_how_much_that_is() -> Result<()> {
    let mut world = World::new()?;
    world.start(&file(&[]))?;
    becomes(&mut world, MTU - HEADERS)?;
    assert_eq!(clamped(&world, "answers")?, 1);
    assert_eq!(world.agent.ask(&["maps", "get", "clamp_stats", "0"])?["value"], json!({"answers": 1}));
    world.agent.configure(&file(&[("mtu", json!(1400))]))?;
    becomes(&mut world, 1400 - HEADERS)?;
    world.agent.configure(&file(&[("mtu", json!("auto"))]))?;
    becomes(&mut world, MTU - HEADERS)?;
    world.node.ip("link set eth0 mtu 1500")?;
    becomes(&mut world, 1500 - HEADERS)?;
    world.agent.configure(&file(&[("clampMss", json!(false))]))?;
    world.agent.until("it is off", |agent| {
        let status = agent.status().ok()?;
        (status["accepts"]["segments"].is_null() && status["clamped"]["interfaces"] == json!([]))
            .then_some(())
    })?;
    assert_eq!(world.asked()?, ASKED);
    world.agent.configure(&file(&[]))?;
    becomes(&mut world, 1500 - HEADERS)
}

#[test]
fn the_next_agent_exchanges_the_program_and_no_answer_goes_by_without() -> Result<()> {
    let mut world = World::new()?;
    world.start(&file(&[("mtu", json!(1400))]))?;
    assert_eq!(world.asked()?, 1400 - HEADERS);
    world.agent.stop();
    assert_eq!(world.asked()?, 1400 - HEADERS, "without an agent");
    world.agent.configure(&file(&[("mtu", json!(1300))]))?;
    let over = AtomicBool::new(false);
    let World { gateway, node, agent, .. } = &mut world;
    let sizes = thread::scope(|scope| {
        let sizes = scope.spawn(|| {
            let mut sizes = Vec::new();
            while !over.load(Ordering::Relaxed) {
                sizes.push(asked(gateway, node)?);
            }
            anyhow::Ok(sizes)
        });
        let started = agent.start(node);
        over.store(true, Ordering::Relaxed);
        started.and_then(|()| sizes.join().ok().context("the sender panicked")?)
    })?;
    ensure!(
        !sizes.is_empty() && sizes.iter().all(|size| [1400, 1300].contains(&(size + HEADERS))),
        "{sizes:?}"
    );
    becomes(&mut world, 1300 - HEADERS)?;
    let status = world.agent.status()?;
    assert_eq!(status["adopted"], true);
    assert!(status["clamped"]["answers"].as_u64() > Some(sizes.len() as u64), "{status}");
    Ok(())
}

#[test]
fn it_follows_the_interfaces() -> Result<()> {
    let mut world = World::new()?;
    world.start(&file(&[("interfaces", json!(["eth0", "eth1"]))]))?;
    assert_eq!(clamped(&world, "interfaces")?, json!(["eth0", "eth1"]));
    world.agent.configure(&file(&[]))?;
    world.agent.until("eth1 is left", |agent| {
        (agent.status().ok()?["clamped"]["interfaces"] == json!(["eth0"])).then_some(())
    })?;
    world.node.ip("link del eth0")?;
    world.agent.until("it is missed", |agent| {
        (agent.status().ok()?["clamped"]["interfaces"] == json!([])).then_some(())
    })?;
    world.link(0)?;
    world.agent.until("it is back", |agent| {
        (agent.status().ok()?["clamped"]["interfaces"] == json!(["eth0"])).then_some(())
    })?;
    becomes(&mut world, MTU - HEADERS)
}

/// Ends the agent, and unloads where it ran.
fn unload(world: &mut World) -> Result<()> {
    world.agent.stop();
    let mut unload = world.node.command(world.agent.spillway());
    let ended = unload.args(["unload", "--pin-path"]).arg(world.agent.pin_path()).output()?;
    ensure!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(world.asked()?, ASKED);
    assert!(!Pins::new(world.agent.pin_path()).directory().exists());
    Ok(())
}

#[test]
fn unload_takes_it_off() -> Result<()> {
    let mut world = World::new()?;
    world.start(&file(&[]))?;
    becomes(&mut world, MTU - HEADERS)?;
    unload(&mut world)
}

/// As on kernels without links for it: what has a filter keeps it, so an agent believes that there was one.
#[test]
fn so_it_does_with_a_filter() -> Result<()> {
    let mut world = World::new()?;
    let pins = Pins::new(world.agent.pin_path());
    pins.create()?;
    fs::create_dir(pins.egress("eth0"))?;
    world.start(&file(&[]))?;
    let refused = clamped(&world, "refused")?;
    if refused != json!([]) {
        let reason = refused[0]["reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("sch_ingress"), "{refused}");
        println!("SKIP: {reason}");
        return Ok(());
    }
    becomes(&mut world, MTU - HEADERS)?;
    world.agent.stop();
    world.start(&file(&[("mtu", json!(1400))]))?;
    becomes(&mut world, 1400 - HEADERS)?;
    let filters = world.node.command("tc").args(["filter", "show", "dev", "eth0", "egress"]).output()?;
    let filters = String::from_utf8_lossy(&filters.stdout).into_owned();
    assert_eq!(filters.matches("handle 0x5350 clamp").count(), 1, "{filters}");
    unload(&mut world)
}

#[test]
fn an_interface_that_refuses_it_is_told_of_once_and_serves() -> Result<()> {
    let mut world = World::new()?;
    world.start(&file(&[("interfaces", json!(["eth0", {"name": "lo", "xdpMode": "generic"}]))]))?;
    let status = world.agent.status()?;
    assert_eq!((&status["lastError"], &status["clamped"]["interfaces"]), (&Value::Null, &json!(["eth0"])));
    let refused = &status["clamped"]["refused"];
    let reason = refused[0]["reason"].as_str().context("a reason")?;
    assert!(refused[0]["interface"] == "lo" && reason.contains("no Ethernet"), "{refused}");
    assert!(reason.contains("`advmss`") && reason.contains("clampMss"), "{reason}");
    becomes(&mut world, MTU - HEADERS)?;
    world.hang_up()?;
    world.node.ip("link set eth0 mtu 1500")?;
    becomes(&mut world, 1500 - HEADERS)?;
    let said = world.agent.last_lines();
    assert_eq!(said.iter().filter(|line| line.contains("not clamped")).count(), 1, "{said:#?}");
    Ok(())
}
