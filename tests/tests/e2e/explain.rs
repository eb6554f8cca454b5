//! `spillway explain --live`: what is explained is what the loaded program does, and where it is not, that is said.

use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use lb_common::abi::{BackendEntry, BackendFlags, map};
use lb_tests::lab::{TwoClusters, VIP_PORT, VIP_V4, VIP_V6, is_root};
use lb_userspace::compile::Sizes;
use lb_userspace::config;
use lb_userspace::datapath::mapping::Access;
use lb_userspace::datapath::maps::KernelMaps;
use lb_userspace::datapath::pins::Pins;
use lb_userspace::reconcile::{KernelView as _, Maps as _};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::balanced;

/// Flows of each kind that are asked about.
const FLOWS: u16 = 24;

/// The lab, whose nodes of us-1 are reached over GUE, and which serves UDP as well.
fn stage() -> Result<(TwoClusters, Gateway)> {
    balanced(|file| {
        file["clusters"][1]["encap"] = json!({"kind": "gue"});
        file["services"][0]["ports"] = json!([{"port": VIP_PORT}, {"port": 53, "protocol": "UDP"}]);
    })
}

/// Runs `spillway explain --live` in the gateway's namespace.
fn live(lab: &TwoClusters, gateway: &Gateway, words: &[&str]) -> Result<Output> {
    let pins = gateway.pin_path().display().to_string();
    let mut command = lab.gateway.command(gateway.spillway());
    command.args(["explain", "--live", "--output", "json", "--pin-path", &pins]).args(words);
    command.output().context("run spillway")
}

/// The flows that are asked about: of both protocols and families, first packets and later ones.
fn questions() -> Vec<Vec<String>> {
    let flow = |number: u16| {
        let (protocol, port) = if number.is_multiple_of(2) { ("tcp", VIP_PORT) } else { ("udp", 53) };
        let (source, vip) = if number % 4 < 2 {
            (format!("10.9.8.7:{}", 40_000 + number), format!("{VIP_V4}:{port}"))
        } else {
            (format!("[2001:db8:9::7]:{}", 40_000 + number), format!("[{VIP_V6}]:{port}"))
        };
        let words = ["--protocol", protocol, "--source", &source, "--destination", &vip];
        let first = if number % 8 < 4 { &["--new"][..] } else { &[] };
        words.iter().chain(first).map(|word| (*word).to_owned()).collect()
    };
    (0..FLOWS).map(flow).collect()
}

fn ask(lab: &TwoClusters, gateway: &Gateway, question: &[String]) -> Result<(Option<i32>, Value)> {
    let words: Vec<_> = question.iter().map(String::as_str).collect();
    let output = live(lab, gateway, &words)?;
    let told = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((output.status.code(), told))
}

/// How many packets were sent for the service, and how many connections are recorded.
fn left_behind(gateway: &Gateway) -> Result<(u64, u64)> {
    let packets = gateway.ask(&["services"])?[0]["packets"].as_u64().context("packets")?;
    Ok((packets, gateway.ask(&["status"])?["tracked"]["entries"].as_u64().context("entries")?))
}

#[test]
fn the_loaded_program_does_what_is_explained() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, gateway) = stage()?;
    let (mut kinds, before) = (std::collections::BTreeSet::new(), left_behind(&gateway)?);
    for question in questions() {
        let (code, told) = ask(&lab, &gateway, &question)?;
        let live = &told["live"];
        ensure!(code == Some(0) && live["equal"] == true, "{question:?}: {code:?} {live}");
        assert_eq!(live["differences"], json!([]));
        assert_eq!(live["verdict"], "transmitted");
        assert_eq!(live["outer"]["destination"], told["node"]["backend"], "{question:?}");
        assert_eq!(live["outer"]["source"], told["outer"]["source"], "{question:?}");
        assert_eq!(live["outer"]["mac"], told["nextHop"]["mac"], "{question:?}");
        assert!(told["why"].as_array().is_some_and(|why| why.len() > 8), "{told}");
        kinds.insert((told["outer"]["kind"].to_string(), live["outer"]["destinationPort"].to_string()));
    }
    assert_eq!(kinds.len(), 2, "both encapsulations: {kinds:?}");
    let after = left_behind(&gateway)?;
    assert_eq!(
        after,
        (before.0 + u64::from(FLOWS), before.1),
        "each counts as one packet, and none is recorded"
    );
    Ok(())
}

/// What is changed in the kernel behind the agent's back so that the program cannot do what the tables say: they say GUE, and
/// there is none in a program for clusters that are reached over IP in IP.
#[test]
fn a_program_that_does_something_else_is_found_out() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, mut gateway) = balanced(|_| {})?;
    let question = &questions()[0];
    let (code, told) = ask(&lab, &gateway, question)?;
    assert_eq!((code, &told["live"]["equal"]), (Some(0), &json!(true)));
    let config = config::load(&gateway.config()).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    // As long as no agent runs, nobody puts it right.
    gateway.kill()?;
    let pins = Pins::new(&gateway.pin_path());
    let mut maps = KernelMaps::open(&pins, &Sizes::of(&config.gateway.limits), Access::Write)?;
    for index in 0..config.gateway.limits.backends as usize {
        let word = index * (size_of::<BackendEntry>() / size_of::<u64>());
        let flags = maps.load(map::BACKENDS, word);
        if flags & u64::from(BackendFlags::SERVES.of(BackendFlags::SERVES)) != 0 {
            let gue = BackendFlags::GUE.of(BackendFlags::GUE);
            maps.store(map::BACKENDS, word, flags | u64::from(gue));
        }
    }
    let (code, told) = ask(&lab, &gateway, question)?;
    let live = &told["live"];
    assert_eq!((code, &live["equal"], &live["outer"]["kind"]), (Some(5), &json!(false), &json!("ipip")));
    assert_eq!(live["differences"][0]["what"], "outer", "{live}");
    assert_eq!(told["outer"]["kind"], "gue", "as the tables have it");
    Ok(())
}

#[test]
fn an_interface_that_is_not_balanced_is_refused_with_those_that_are() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, gateway) = balanced(|_| {})?;
    let question = &questions()[0];
    let words: Vec<_> = question.iter().map(String::as_str).chain(["--interface", "lo"]).collect();
    let output = live(&lab, &gateway, &words)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = format!("lo is not balanced; those that are: {}", TwoClusters::GATEWAY_INTERFACE);
    assert!(output.status.code() == Some(1) && said.contains(&expected), "{said}");
    Ok(())
}
