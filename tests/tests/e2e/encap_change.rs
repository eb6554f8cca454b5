//! A cluster's encapsulation changes in the file while packets come: each leaves in the headers of the one or the
//! other, and the program has no more in it than the file in force needs.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::programs::loaded_programs;
use etherparse::PacketBuilder;
use lb_tests::lab::{FrameSocket, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::wire::Wire;

const PATIENCE: Duration = Duration::from_secs(2);
/// Where the outer header has the protocol, and what follows it the UDP destination port.
const PROTOCOL: usize = 14 + 9;
const PORT: std::ops::Range<usize> = 14 + 20 + 2..14 + 20 + 4;

/// One node of one cluster.
fn config(encap: &Value) -> Value {
    json!({
        "clusters": [{"name": "near", "encap": encap}],
        "services": [{"name": "shop/web", "vips": ["198.51.100.10"], "ports": [{"port": 443}], "pools": ["near"]}],
        "pools": [{"name": "near", "cluster": "near", "rows": 256, "endpoints": [{"address": "10.0.0.11"}]}],
    })
}

/// What a packet leaves in: the outer header's protocol, and the port if it is UDP.
fn sent(wire: &Wire) -> Result<Option<(u8, Option<u16>)>> {
    let socket = FrameSocket::open(&wire.peer, "eth0")?;
    let mut frame = Vec::new();
    let packet = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([203, 0, 113, 7], [198, 51, 100, 10], 64);
    packet.tcp(40_000, 443, 7, 64_000).syn().write(&mut frame, &[])?;
    socket.send(&frame)?;
    let came = socket.receive(PATIENCE, |came| came.get(30..34) == Some(&[10, 0, 0, 11]))?;
    Ok(came.map(|came| {
        let port =
            (came[PROTOCOL] == 17).then(|| u16::from_be_bytes([came[PORT.start], came[PORT.start + 1]]));
        (came[PROTOCOL], port)
    }))
}

/// Bytes of the program on the interface, as the kernel holds it.
fn size(gateway: &Gateway) -> Result<u32> {
    let status = gateway.ask(&["status"])?;
    let id = status["interfaces"][0]["programId"].as_u64().context("no program")?;
    let mut programs = loaded_programs().filter_map(Result::ok);
    let info = programs.find(|program| u64::from(program.id()) == id).context("it is not in the kernel")?;
    info.size_translated().context("this kernel does not tell the size")
}

#[test]
fn headers_and_program_follow_the_file_and_return() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (wire, mut gateway) = (Wire::new()?, Gateway::new()?);
    let ipip = json!({"kind": "ipip"});
    gateway.configure(&["eth0"], &config(&ipip))?;
    gateway.start(&wire.gateway)?;
    assert_eq!(sent(&wire)?, Some((4, None)));
    let least = size(&gateway)?;
    let steps = [
        (json!({"kind": "gue", "gue": {"port": 6081}}), (17, Some(6081))),
        (json!({"kind": "vxlan"}), (17, Some(4789))),
        (ipip, (4, None)),
    ];
    for (encap, wanted) in steps {
        gateway.configure(&["eth0"], &config(&encap))?;
        gateway.until("headers of another kind", |_| {
            let headers = sent(&wire).ok()?;
            assert!(headers.is_some(), "a packet was lost on the way to {encap}");
            (headers == Some(wanted)).then_some(())
        })?;
        // The tables come before a program that is without what they do not need.
        let bare = wanted.1.is_none();
        gateway.until("the program that this needs", |gateway| {
            let size = size(gateway).ok()?;
            (if bare { size == least } else { size > least }).then_some(())
        })?;
    }
    Ok(())
}
