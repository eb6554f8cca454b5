//! `clusters[].encap`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::problem::{Place, Problems};
use crate::config::read::{Located, Read, Section, expected};
use crate::config::scalar::{Choice, Integer, Mac, Word, narrow};
use crate::config::tree::{Node, Value};

/// Encapsulation toward a cluster's nodes.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Encap {
    /// The outer protocol.
    #[schemars(extend("default" = "ipip"))]
    pub(crate) kind: Option<Located<Choice<Kind>>>,
    /// Path MTU toward the nodes in bytes, outer headers included; `auto`: the egress interface's.
    #[schemars(extend("default" = "auto"))]
    pub(crate) mtu: Option<Located<Mtu>>,
    /// Whether packets carry a tag made with `clusterSet.tunnelKey`, by which nodes know them. Of `kind: gue`.
    #[schemars(extend("default" = false))]
    pub(crate) tag: Option<Located<bool>>,
    /// Of `kind: gue`.
    pub(crate) gue: Option<Located<Gue>>,
    /// Of `kind: vxlan`.
    pub(crate) vxlan: Option<Located<Vxlan>>,
}

impl Read for Encap {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let encap = Self {
            kind: section.optional("kind"),
            mtu: section.optional("mtu"),
            tag: section.optional("tag"),
            gue: section.optional("gue"),
            vxlan: section.optional("vxlan"),
        };
        section.close(&[]);
        Some(encap)
    }
}

/// The outer protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP Encapsulation.
    Gue,
    /// VXLAN.
    Vxlan,
}

impl Word for Kind {
    const KNOWN: &'static [(&'static str, Self)] =
        &[("ipip", Self::Ipip), ("gue", Self::Gue), ("vxlan", Self::Vxlan)];
}

/// Generic UDP Encapsulation.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Gue {
    /// UDP port of the nodes, 1 to 65,535.
    #[schemars(extend("default" = 6080))]
    pub(crate) port: Option<Located<Integer>>,
}

impl Read for Gue {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let gue = Self { port: section.optional("port") };
        section.close(&[]);
        Some(gue)
    }
}

/// VXLAN.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Vxlan {
    /// Network identifier, 0 to 16,777,215.
    #[schemars(extend("default" = 100))]
    pub(crate) vni: Option<Located<Integer>>,
    /// UDP port of the nodes, 1 to 65,535.
    #[schemars(extend("default" = 4789))]
    pub(crate) port: Option<Located<Integer>>,
    /// MAC of the nodes' VXLAN devices: the destination of the inner frame.
    #[schemars(extend("default" = "02:53:50:4c:57:02"))]
    pub(crate) mac: Option<Located<Mac>>,
}

impl Read for Vxlan {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let vxlan = Self {
            vni: section.optional("vni"),
            port: section.optional("port"),
            mac: section.optional("mac"),
        };
        section.close(&[]);
        Some(vxlan)
    }
}

/// An MTU in bytes; `None`: `auto`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mtu(pub(crate) Option<u16>);

impl Read for Mtu {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Text(text) if text == "auto" => Some(Self(None)),
            Value::Integer(mtu) => {
                narrow(*mtu, "use `auto`, or 596 to 65535", place, problems).map(|mtu| Self(Some(mtu)))
            }
            _ => {
                expected("`auto` or a number of bytes", node, place, problems);
                None
            }
        }
    }
}

impl JsonSchema for Mtu {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Mtu".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"enum": ["auto"]}, {"type": "integer", "minimum": 596, "maximum": 65535}]})
    }
}
