//! Real HTTP through each encapsulation, of both families over both. The kernel's own tunnel devices at the nodes
//! take it apart, header by header, so that all of it is in order; the receiver takes apart what this kernel may not
//! know.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_tests::lab::{ClusterSpec, Objects, TunnelDevices, TwoClusters, fetch_within, is_root};

use crate::gateway::Gateway;
use crate::http::{address, config, found, targets};

/// Requests to each VIP: that one of two equal nodes is never chosen has odds of 1 in 8 million.
const REQUESTS: usize = 24;
/// Bytes of a request that fills packets to the client's MTU.
const LONG: usize = 4000;
/// An emulated machine is slow, which is no fault.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn ipip_is_answered_by_nodes_without_a_program_of_ours() -> Result<()> {
    by_devices(TunnelDevices::Ipip, "ipip", "ipip, sit or ip6tnl")
}

#[test]
fn gue_is_answered_by_nodes_without_a_program_of_ours() -> Result<()> {
    by_devices(TunnelDevices::Gue, "gue", "fou, ipip, sit or ip6tnl")
}

#[test]
fn vxlan_is_answered_by_nodes_without_a_program_of_ours() -> Result<()> {
    by_devices(TunnelDevices::Vxlan, "vxlan", "vxlan")
}

#[test]
fn gue_is_answered_by_nodes_with_the_receiver() -> Result<()> {
    by_receiver("gue")
}

#[test]
fn vxlan_is_answered_by_nodes_with_the_receiver() -> Result<()> {
    by_receiver("vxlan")
}

fn by_receiver(kind: &str) -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let clusters = ["eu-1", "us-1"].map(|name| ClusterSpec { name, nodes: vec![1] });
    every_request_is_answered(&TwoClusters::with_clusters(&Objects::from_env()?, &clusters)?, kind)
}

fn by_devices(devices: TunnelDevices, kind: &str, what: &str) -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    if !devices.exist()? {
        println!("SKIP: this kernel lacks a tunnel device: {what}");
        return Ok(());
    }
    every_request_is_answered(&TwoClusters::with_tunnel_devices(&Objects::from_env()?, devices)?, kind)
}

/// VIPs of both families, to nodes over both.
fn every_request_is_answered(lab: &TwoClusters, kind: &str) -> Result<()> {
    let mut gateway = Gateway::new()?;
    let mut config = config(lab);
    config["healthChecks"][0]["interval"] = "2s".into();
    config["healthChecks"][0]["timeout"] = "1900ms".into();
    config["clusters"].as_array_mut().context("no clusters")?.iter_mut().for_each(|cluster| {
        cluster["encap"]["kind"] = kind.into();
    });
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config)?;
    gateway.start(&lab.gateway)?;
    let nodes: Vec<IpAddr> = lab.nodes.iter().map(address).collect();
    gateway.until("finding all nodes up", |gateway| found(gateway, &nodes, true))?;
    let encaps: BTreeSet<_> = gateway
        .ask(&["backends"])?
        .as_array()
        .context("no backends")?
        .iter()
        .map(|backend| backend["encap"].to_string())
        .collect();
    assert_eq!(encaps, [format!("\"{kind}\"")].into());
    for target in targets() {
        gateway.until("an answer", |_| fetch_within(PATIENCE, &lab.client, target, "/").ok())?;
        let long = format!("/{}", "x".repeat(LONG));
        let path = |request: usize| if request.is_multiple_of(4) { long.as_str() } else { "/" };
        let answers = (0..REQUESTS).map(|request| {
            let answer = fetch_within(PATIENCE, &lab.client, target, path(request));
            answer.with_context(|| format!("request {request} to {target}"))
        });
        let names = answers.collect::<Result<BTreeSet<String>>>()?;
        assert_eq!(names.len(), lab.nodes.len(), "of {target} answered {names:?}");
    }
    Ok(())
}
