//! A node's file: what the receiver on it is told.

use std::net::IpAddr;

use schemars::JsonSchema;

use super::ApiVersion;
use super::encap::{Gue, Mtu};
use super::gateway::Interface;
use super::report::NodeReport;
use super::tunnel_key::TunnelKeys;
use crate::config::model::Prefix;
use crate::config::problem::{Place, Problems};
use crate::config::read::{List, Located, Read, Required, Section};
use crate::config::scalar::{Choice, Integer, Size};
use crate::config::tree::Node as Tree;

/// A node's configuration.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename = "NodeConfiguration", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NodeFile {
    /// Format of this file.
    #[expect(dead_code, reason = "has one value: read so that it is checked")]
    pub(crate) api_version: Required<Choice<ApiVersion>>,
    /// What concerns this node.
    pub(crate) node: Required<Node>,
}

impl Read for NodeFile {
    fn read(node: &Tree, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let file = Self { api_version: section.required("apiVersion"), node: section.required("node") };
        section.close(&[]);
        Some(file)
    }
}

/// This node's own settings.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Node {
    /// Interfaces on which tunnel packets arrive; at least one.
    #[schemars(length(min = 1))]
    pub(crate) interfaces: Required<List<Interface>>,
    /// Prefixes of those who may send tunnel packets, and nobody else: the gateways, and under `tracking: chain` the
    /// other nodes.
    #[schemars(length(min = 1))]
    pub(crate) gateways: Required<List<Prefix>>,
    /// Addresses that tunnel packets are sent to; those of this machine's interfaces when left out.
    #[schemars(length(min = 1))]
    pub(crate) addresses: Option<Located<List<IpAddr>>>,
    /// The tunnels that are taken apart; all, on their usual ports, when left out.
    pub(crate) accept: Option<Located<Accept>>,
    /// The tags that packets are to carry; they are not looked at when left out.
    pub(crate) tunnel_keys: Option<Located<TunnelKeys>>,
    /// Path MTU from the gateways to this node, outer headers included; `auto`: the smallest of its interfaces. The MSS
    /// in answers to SYNs is clamped to it.
    #[schemars(extend("default" = "auto"))]
    pub(crate) mtu: Option<Located<Mtu>>,
    /// Whether the MSS in answers to SYNs, those of VIPs, is lowered to what fits the tunnels.
    #[schemars(extend("default" = true))]
    pub(crate) clamp_mss: Option<Located<bool>>,
    /// The flows that are remembered under `tracking: chain`.
    pub(crate) remember: Option<Located<Remember>>,
    /// What the gateways can ask this node; nothing when left out.
    pub(crate) report: Option<Located<NodeReport>>,
    /// Directory on a BPF file system below which the maps are pinned.
    #[schemars(extend("default" = "/sys/fs/bpf/spillway-node"))]
    pub(crate) pin_path: Option<Located<String>>,
}

impl Read for Node {
    fn read(node: &Tree, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let node = Self {
            interfaces: section.required("interfaces"),
            gateways: section.required("gateways"),
            addresses: section.optional("addresses"),
            accept: section.optional("accept"),
            tunnel_keys: section.optional("tunnelKeys"),
            mtu: section.optional("mtu"),
            clamp_mss: section.optional("clampMss"),
            remember: section.optional("remember"),
            report: section.optional("report"),
            pin_path: section.optional("pinPath"),
        };
        section.close(&[]);
        Some(node)
    }
}

/// The tunnels that are taken apart; what is left out is not.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Accept {
    /// IP in IP.
    #[schemars(extend("default" = false))]
    pub(crate) ipip: Option<Located<bool>>,
    /// Generic UDP Encapsulation.
    pub(crate) gue: Option<Located<Gue>>,
    /// VXLAN.
    pub(crate) vxlan: Option<Located<AcceptVxlan>>,
}

impl Read for Accept {
    fn read(node: &Tree, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let accept = Self {
            ipip: section.optional("ipip"),
            gue: section.optional("gue"),
            vxlan: section.optional("vxlan"),
        };
        section.close(&[]);
        Some(accept)
    }
}

/// VXLAN that is taken apart.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AcceptVxlan {
    /// Network identifier, 0 to 16,777,215.
    #[schemars(extend("default" = 100))]
    pub(crate) vni: Option<Located<Integer>>,
    /// UDP port, 1 to 65,535.
    #[schemars(extend("default" = 4789))]
    pub(crate) port: Option<Located<Integer>>,
}

impl Read for AcceptVxlan {
    fn read(node: &Tree, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let vxlan = Self { vni: section.optional("vni"), port: section.optional("port") };
        section.close(&[]);
        Some(vxlan)
    }
}

/// The flows that a receiver remembers, where no socket of the node tells that they are its own.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Remember {
    /// Flows of UDP.
    #[schemars(extend("default" = true))]
    pub(crate) udp: Option<Located<bool>>,
    /// TCP connections whose sockets are not the node's own, as behind a service proxy that translates the VIP to pods.
    #[schemars(extend("default" = false))]
    pub(crate) tcp: Option<Located<bool>>,
    /// Flows that can be remembered, 112 bytes each; fixed while the maps are pinned. At least twice as many as there
    /// are at once.
    #[schemars(extend("default" = "64Ki"))]
    pub(crate) flows: Option<Located<Size>>,
}

impl Read for Remember {
    fn read(node: &Tree, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let remember = Self {
            udp: section.optional("udp"),
            tcp: section.optional("tcp"),
            flows: section.optional("flows"),
        };
        section.close(&[]);
        Some(remember)
    }
}
