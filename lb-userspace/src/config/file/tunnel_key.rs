//! Keys of tags: `clusterSet.tunnelKey`, and `node.tunnelKeys`.

use schemars::JsonSchema;

use crate::config::problem::{Place, Problems};
use crate::config::read::{List, Located, Read, Required, Section};
use crate::config::scalar::Integer;
use crate::config::tree::Node;

/// A key of the tags by which nodes know the packets of their gateways.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TunnelKey {
    /// What packets call it, 1 to 255: another number for each key.
    #[schemars(range(min = 1, max = 255))]
    pub(crate) epoch: Required<Integer>,
    /// File with the key: 32 hexadecimal digits, readable by its owner alone. Relative to this file.
    pub(crate) file: Required<String>,
}

impl Read for TunnelKey {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let key = Self { epoch: section.required("epoch"), file: section.required("file") };
        section.close(&[]);
        Some(key)
    }
}

/// The tags that a node looks at: one that is not made with one of these keys is wrong.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TunnelKeys {
    /// Whether a tunnel packet without a tag is dropped too.
    #[schemars(extend("default" = false))]
    pub(crate) required: Option<Located<bool>>,
    /// All that gateways may use: while they change to another key, the old and the new one.
    #[schemars(length(min = 1, max = 255))]
    pub(crate) keys: Required<List<TunnelKey>>,
}

impl Read for TunnelKeys {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let keys = Self { required: section.optional("required"), keys: section.required("keys") };
        section.close(&[]);
        Some(keys)
    }
}
