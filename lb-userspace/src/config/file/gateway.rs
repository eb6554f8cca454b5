//! `gateway`: what concerns this gateway alone.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::encap::Gue;
use crate::config::model::{Prefix, XdpMode};
use crate::config::problem::{Place, Problems};
use crate::config::read::{List, Located, Read, Refused, Required, Section};
use crate::config::scalar::{Choice, Integer, Size, Word};
use crate::config::tree::{Node, Value};

/// This gateway's own settings.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Gateway {
    /// Interfaces whose packets are balanced; at least one.
    #[schemars(length(min = 1))]
    pub(crate) interfaces: Required<List<Interface>>,
    /// Directory on a BPF file system below which the maps are pinned.
    #[schemars(extend("default" = "/sys/fs/bpf/spillway"))]
    pub(crate) pin_path: Option<Located<String>>,
    /// Sources of the outer headers; what the route to the node prefers when left out.
    pub(crate) source: Option<Located<Source>>,
    /// Sizes of the maps.
    pub(crate) limits: Option<Located<Limits>>,
    /// Where the agent answers.
    pub(crate) listen: Option<Located<Listen>>,
    /// What the gateway sends by itself.
    pub(crate) icmp: Option<Located<Icmp>>,
    /// Following flows, for what they say about the backends; none when left out.
    pub(crate) evidence: Option<Located<Evidence>>,
    /// Prefixes of other clusters' gateways, which may send packets here for this cluster's nodes; nobody when left out.
    #[schemars(length(min = 1))]
    pub(crate) gateways: Option<Located<List<Prefix>>>,
    /// Where they send them.
    pub(crate) gue: Option<Located<Gue>>,
}

impl Read for Gateway {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let gateway = Self {
            interfaces: section.required("interfaces"),
            pin_path: section.optional("pinPath"),
            source: section.optional("source"),
            limits: section.optional("limits"),
            listen: section.optional("listen"),
            icmp: section.optional("icmp"),
            evidence: section.optional("evidence"),
            gateways: section.optional("gateways"),
            gue: section.optional("gue"),
        };
        section.close(&[]);
        Some(gateway)
    }
}

/// An interface: its name alone, or a section with `name` and `xdpMode`.
#[derive(Debug, Clone)]
pub(crate) struct Interface {
    /// Kernel name.
    pub(crate) name: Required<String>,
    /// How to attach.
    pub(crate) xdp_mode: Option<Located<Choice<XdpMode>>>,
}

impl Read for Interface {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            let name = Located::read(node, place, problems)?;
            return Some(Self { name: Required(Some(name)), xdp_mode: None });
        }
        let mut section = Section::open(node, place, problems)?;
        let interface = Self { name: section.required("name"), xdp_mode: section.optional("xdpMode") };
        section.close(&[]);
        Some(interface)
    }
}

impl JsonSchema for Interface {
    fn schema_name() -> Cow<'static, str> {
        "Interface".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut mode = Choice::<XdpMode>::json_schema(generator);
        mode.insert("default".into(), "auto".into());
        let name = json_schema!({"type": "string", "minLength": 1, "maxLength": 15});
        json_schema!({
            "description": "An interface: its name, or a section.",
            "anyOf": [name.clone(), {
                "type": "object",
                "properties": {"name": name, "xdpMode": mode},
                "required": ["name"],
                "additionalProperties": false,
            }],
        })
    }
}

impl Word for XdpMode {
    const KNOWN: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("native", Self::Native), ("generic", Self::Generic)];
}

/// Sources of the outer headers.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Source {
    /// Toward IPv4 nodes.
    pub(crate) v4: Option<Located<Ipv4Addr>>,
    /// Toward IPv6 nodes.
    pub(crate) v6: Option<Located<Ipv6Addr>>,
}

impl Read for Source {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let source = Self { v4: section.optional("v4"), v6: section.optional("v6") };
        section.close(&[]);
        Some(source)
    }
}

/// Sizes of the maps, fixed while they are pinned.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Limits {
    /// Services; each pair of VIP and port counts.
    #[schemars(extend("default" = 16384))]
    pub(crate) services: Option<Located<Size>>,
    /// Endpoints of all pools; at most 16,384.
    #[schemars(extend("default" = 16384))]
    pub(crate) backends: Option<Located<Size>>,
    /// Rows of all tables, two bytes each.
    #[schemars(extend("default" = "16Mi"))]
    pub(crate) rows: Option<Located<Size>>,
    /// Connections that can be recorded, 96 bytes each. At least 2.5 times as many as are recorded at
    /// once.
    #[schemars(extend("default" = "1Mi"))]
    pub(crate) tracked_connections: Option<Located<Size>>,
    /// Prefixes of all access policies.
    #[schemars(extend("default" = "128Ki"))]
    pub(crate) access_prefixes: Option<Located<Size>>,
}

impl Read for Limits {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let limits = Self {
            services: section.optional("services"),
            backends: section.optional("backends"),
            rows: section.optional("rows"),
            tracked_connections: section.optional("trackedConnections"),
            access_prefixes: section.optional("accessPrefixes"),
        };
        section.close(&[]);
        Some(limits)
    }
}

/// Where the agent answers.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Listen {
    /// Socket on which `spillway drain` and `undrain` reach the agent: `unix://` and an absolute path.
    #[schemars(extend("default" = "unix:///run/spillway.sock"))]
    pub(crate) admin: Option<Located<String>>,
}

const REFUSED: &[Refused] =
    &[("metrics", "remove it; counters are shown by `spillway services` and `backends`")];

impl Read for Listen {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let listen = Self { admin: section.optional("admin") };
        section.close(REFUSED);
        Some(listen)
    }
}

/// Packets that the gateway sends by itself, at most so many a second.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Icmp {
    /// Answers to echo requests; 0: none.
    #[schemars(range(min = 0, max = 1_000_000), extend("default" = 1000))]
    pub(crate) echo_per_sec: Option<Located<Integer>>,
    /// Messages that a packet does not fit the path; 0: none.
    #[schemars(range(min = 0, max = 1_000_000), extend("default" = 1000))]
    pub(crate) too_big_per_sec: Option<Located<Integer>>,
}

impl Read for Icmp {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let icmp = Self {
            echo_per_sec: section.optional("echoPerSec"),
            too_big_per_sec: section.optional("tooBigPerSec"),
        };
        section.close(&[]);
        Some(icmp)
    }
}

/// Which flows are followed.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Evidence {
    /// One in so many.
    #[schemars(range(min = 1, max = 65_536), extend("default" = 16))]
    pub(crate) one_in: Option<Located<Integer>>,
}

impl Read for Evidence {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let evidence = Self { one_in: section.optional("oneIn") };
        section.close(&[]);
        Some(evidence)
    }
}
