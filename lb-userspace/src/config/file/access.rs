//! `accessPolicies`: which sources may use a service.

use schemars::JsonSchema;

use crate::config::model::{Admit, Prefix};
use crate::config::problem::{Place, Problems};
use crate::config::read::{List, Located, Read, Required, Section};
use crate::config::scalar::{Choice, Integer, Word};
use crate::config::tree::Node;

/// Which sources may use a service. The longest prefix that holds the source decides.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AccessPolicy {
    /// A DNS label, unique.
    pub(crate) name: Required<String>,
    /// What becomes of a source that no prefix holds.
    #[schemars(extend("default" = "allow"))]
    pub(crate) default: Option<Located<Choice<Admit>>>,
    /// Prefixes of sources that are admitted: `192.0.2.0/24`, or an address.
    pub(crate) allow: Option<Located<List<Prefix>>>,
    /// Prefixes of sources that are not.
    pub(crate) deny: Option<Located<List<Prefix>>>,
    /// Connections (TCP, and QUIC of services with `quic`) that a source, of IPv6 a /64, may begin in a second; 0: any number.
    #[schemars(range(min = 0, max = 1_000_000), extend("default" = 0))]
    pub(crate) new_flows_per_source_per_sec: Option<Located<Integer>>,
}

impl Read for AccessPolicy {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let policy = Self {
            name: section.required("name"),
            default: section.optional("default"),
            allow: section.optional("allow"),
            deny: section.optional("deny"),
            new_flows_per_source_per_sec: section.optional("newFlowsPerSourcePerSec"),
        };
        section.close(&[]);
        Some(policy)
    }
}

impl AccessPolicy {
    /// Prefixes of both lists.
    pub(crate) fn count(&self) -> usize {
        [&self.allow, &self.deny].into_iter().flatten().map(|list| list.len()).sum()
    }
}

impl Word for Admit {
    const KNOWN: &'static [(&'static str, Self)] = &[("allow", Self::Allow), ("deny", Self::Deny)];
}
