//! The kernel's own tunnel devices at the nodes: what they take apart is in order, header by header.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_tests::lab::{Objects, TunnelDevices, TwoClusters, fetch_within, is_root};

use crate::gateway::Gateway;
use crate::http::{address, config, found, targets};

/// Requests to each VIP: that one of two equal nodes is never chosen has odds of 1 in 8 million.
const REQUESTS: usize = 24;
/// Bytes of a request that fills packets to the client's MTU.
const LONG: usize = 4000;
/// An emulated machine is slow, which is no fault.
const PATIENCE: Duration = Duration::from_secs(5);

/// VIPs of both families, to nodes over both: all four kinds of tunnel.
#[test]
fn every_request_is_answered_by_nodes_without_a_program_of_ours() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    if !TunnelDevices::exist()? {
        println!("SKIP: this kernel lacks a tunnel device: ipip, sit or ip6tnl");
        return Ok(());
    }
    let lab = TwoClusters::with_tunnel_devices(&Objects::from_env()?)?;
    let mut gateway = Gateway::new()?;
    let mut config = config(&lab);
    config["healthChecks"][0]["interval"] = "2s".into();
    config["healthChecks"][0]["timeout"] = "1900ms".into();
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config)?;
    gateway.start(&lab.gateway)?;
    let nodes: Vec<IpAddr> = lab.nodes.iter().map(address).collect();
    gateway.until("finding all nodes up", |gateway| found(gateway, &nodes, true))?;
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
