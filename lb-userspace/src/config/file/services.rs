//! `services`: VIPs with a policy.

use std::borrow::Cow;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::quic::Quic;
use crate::config::model::{OnNoBackend, Protocol, Tracking, UdpOnChange};
use crate::config::problem::{Place, Problems};
use crate::config::read::{List, Located, Read, Required, Section};
use crate::config::scalar::{Choice, Integer, Ports, Word};
use crate::config::tree::{Node, Value};

/// One or more VIPs with a policy.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Service {
    /// `namespace/name`, unique.
    pub(crate) name: Required<String>,
    /// Its addresses; at least one.
    #[schemars(length(min = 1))]
    pub(crate) vips: Required<List<IpAddr>>,
    /// Its ports; at least one.
    #[schemars(length(min = 1))]
    pub(crate) ports: Required<List<ServicePort>>,
    /// What of a packet decides its way.
    #[schemars(extend("default" = "flow"))]
    pub(crate) affinity: Option<Located<Affinity>>,
    /// What becomes of its connections when rows change.
    #[schemars(extend("default" = "transition"))]
    pub(crate) tracking: Option<Located<Choice<Tracking>>>,
    /// Where UDP without a record goes while its row is moving.
    #[schemars(extend("default" = "keep"))]
    pub(crate) udp_on_change: Option<Located<Choice<UdpOnChange>>>,
    /// Names of its pools, at most one in each cluster; at least one.
    #[schemars(length(min = 1))]
    pub(crate) pools: Required<List<String>>,
    /// Name of its failover policy; without one its pools have their weights while anybody is up in them.
    pub(crate) failover_policy: Option<Located<String>>,
    /// Name of its access policy; without one every source is admitted.
    pub(crate) access: Option<Located<String>>,
    /// What happens to a packet for which there is nothing to send to.
    #[schemars(extend("default" = "drop"))]
    pub(crate) on_no_backend: Option<Located<Choice<OnNoBackend>>>,
    /// How QUIC finds its server by connection id.
    pub(crate) quic: Option<Located<Quic>>,
    /// The VIP may be an address of this machine.
    #[schemars(extend("default" = false))]
    pub(crate) allow_local: Option<Located<bool>>,
}

impl Read for Service {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let service = Self {
            name: section.required("name"),
            vips: section.required("vips"),
            ports: section.required("ports"),
            affinity: section.optional("affinity"),
            tracking: section.optional("tracking"),
            udp_on_change: section.optional("udpOnChange"),
            pools: section.required("pools"),
            failover_policy: section.optional("failoverPolicy"),
            access: section.optional("access"),
            on_no_backend: section.optional("onNoBackend"),
            quic: section.optional("quic"),
            allow_local: section.optional("allowLocal"),
        };
        section.close(&[]);
        Some(service)
    }
}

/// One port of a service.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ServicePort {
    /// For people; unique in the service.
    pub(crate) name: Option<Located<String>>,
    /// The transport protocol.
    #[schemars(extend("default" = "TCP"))]
    pub(crate) protocol: Option<Located<Choice<Protocol>>>,
    /// Port number, or a range such as `8000-8999`; 0: any port.
    pub(crate) port: Required<Ports>,
}

impl Read for ServicePort {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let port = Self {
            name: section.optional("name"),
            protocol: section.optional("protocol"),
            port: section.required("port"),
        };
        section.close(&[]);
        Some(port)
    }
}

impl Word for Protocol {
    const KNOWN: &'static [(&'static str, Self)] = &[("TCP", Self::Tcp), ("UDP", Self::Udp)];
}

impl Word for OnNoBackend {
    const KNOWN: &'static [(&'static str, Self)] = &[("drop", Self::Drop)];
    const LATER: &'static [&'static str] = &["reset"];
}

impl Word for Tracking {
    const KNOWN: &'static [(&'static str, Self)] = &[
        ("transition", Self::Transition),
        ("chain", Self::Chain),
        ("full", Self::Full),
        ("none", Self::None),
    ];
}

impl Word for UdpOnChange {
    const KNOWN: &'static [(&'static str, Self)] = &[("keep", Self::Keep), ("move", Self::Move)];
}

/// The words of `affinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AffinityKind {
    /// The 5-tuple.
    Flow,
    /// The client's address.
    Client,
    /// The client's prefix.
    ClientPrefix,
    /// Addresses and protocol.
    ThreeTuple,
}

impl Word for AffinityKind {
    const KNOWN: &'static [(&'static str, Self)] = &[
        ("flow", Self::Flow),
        ("client", Self::Client),
        ("client-prefix", Self::ClientPrefix),
        ("three-tuple", Self::ThreeTuple),
    ];
}

/// What of a packet decides its way: one word, or a section with the prefixes' lengths.
#[derive(Debug, Clone)]
pub(crate) enum Affinity {
    /// The 5-tuple.
    Flow,
    /// The client's address.
    Client,
    /// The client's prefix.
    Prefix(AffinityPrefixes),
    /// Addresses and protocol.
    ThreeTuple,
}

/// Lengths of the client's prefix in bits.
#[derive(Debug, Clone, Default)]
pub(crate) struct AffinityPrefixes {
    /// Of an IPv4 client.
    pub(crate) v4: Option<Located<Integer>>,
    /// Of an IPv6 client.
    pub(crate) v6: Option<Located<Integer>>,
}

impl Read for Affinity {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            let Choice(kind) = Choice::read(node, place, problems)?;
            return Some(Self::of(kind, AffinityPrefixes::default()));
        }
        let mut section = Section::open(node, place, problems)?;
        let kind: Required<Choice<AffinityKind>> = section.required("kind");
        let kind = kind.0.map(|kind| kind.value.0);
        let prefixes = AffinityPrefixes { v4: section.optional("v4"), v6: section.optional("v6") };
        section.close(&[]);
        if let Some(AffinityKind::Flow | AffinityKind::Client | AffinityKind::ThreeTuple) = kind {
            for length in [&prefixes.v4, &prefixes.v6].into_iter().flatten() {
                let mend = "remove it, or use `kind: client-prefix`";
                problems.add(&length.place, "only `client-prefix` has a prefix length", mend);
            }
        }
        kind.map(|kind| Self::of(kind, prefixes))
    }
}

impl Affinity {
    fn of(kind: AffinityKind, prefixes: AffinityPrefixes) -> Self {
        match kind {
            AffinityKind::Flow => Self::Flow,
            AffinityKind::Client => Self::Client,
            AffinityKind::ClientPrefix => Self::Prefix(prefixes),
            AffinityKind::ThreeTuple => Self::ThreeTuple,
        }
    }
}

impl JsonSchema for Affinity {
    fn schema_name() -> Cow<'static, str> {
        "Affinity".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [Choice::<AffinityKind>::json_schema(generator), {
            "type": "object",
            "properties": {
                "kind": Choice::<AffinityKind>::json_schema(generator),
                "v4": {"type": "integer", "minimum": 1, "maximum": 32, "default": 24},
                "v6": {"type": "integer", "minimum": 1, "maximum": 128, "default": 56},
            },
            "required": ["kind"],
            "additionalProperties": false,
        }]})
    }
}
