//! The tiers: what each runs and what it needs.

use std::fmt;

use crate::metadata::{Metadata, Target};

const PACKAGE: &str = "lb-tests";

/// A set of tests with the same needs, from the cheapest to the dearest.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub(crate) enum Tier {
    /// Units, properties, golden vectors, configurations; no privilege
    Host,
    /// Seeded simulation of the pipeline and the agent; no privilege
    Model,
    /// Every fixture through the loaded program
    Datapath,
    /// Real maps: reload, adopt, reconcile
    Control,
    /// Network namespaces and real traffic
    E2e,
    /// Debian's kernels from 5.10 on, emulated
    Kernels,
}

impl Tier {
    /// In the order they run.
    pub(super) const ALL: [Self; 6] =
        [Self::Host, Self::Model, Self::Datapath, Self::Control, Self::E2e, Self::Kernels];

    /// Whether it loads programs into a kernel, which takes the eBPF objects.
    pub(super) fn needs_programs(self) -> bool {
        !matches!(self, Self::Host | Self::Model)
    }

    /// Whether that kernel is this machine's.
    pub(super) fn needs_root(self) -> bool {
        self.needs_programs() && self != Self::Kernels
    }

    /// What selects its tests from the workspace, or `None` when there are none.
    pub(super) fn selection(self, metadata: &Metadata) -> Option<Vec<String>> {
        let targets = metadata.targets(PACKAGE, "test");
        let own = targets.iter().filter(|target| target.name.starts_with(self.name()));
        let mut words: Vec<String> = own.flat_map(arguments_of).collect();
        if self == Self::Host {
            words.extend(["--lib".to_owned(), "--bins".to_owned()]);
        }
        (!words.is_empty()).then_some(words)
    }

    /// Tests on the real kernel run one at a time: they time what they see.
    pub(super) fn harness_options(self) -> &'static [&'static str] {
        if self.needs_root() { &["--test-threads=1"] } else { &[] }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Model => "model",
            Self::Datapath => "datapath",
            Self::Control => "control",
            Self::E2e => "e2e",
            Self::Kernels => "kernels",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn arguments_of(target: &Target) -> Vec<String> {
    let features = target.required_features.iter();
    let features = features.flat_map(|feature| ["--features".to_owned(), format!("{PACKAGE}/{feature}")]);
    ["--test".to_owned(), target.name.clone()].into_iter().chain(features).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        let text = r#"{"target_directory": "/t", "packages": [{"name": "lb-tests", "targets": [
            {"name": "host_config", "kind": ["test"]},
            {"name": "e2e", "kind": ["test"], "required-features": ["root"]},
            {"name": "demo", "kind": ["bin"]}]}]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_tier_selects_its_targets_with_their_features() {
        let selected = |tier: Tier| tier.selection(&metadata()).map(|words| words.join(" "));
        assert_eq!(selected(Tier::Host).unwrap(), "--test host_config --lib --bins");
        assert_eq!(selected(Tier::E2e).unwrap(), "--test e2e --features lb-tests/root");
        assert_eq!(selected(Tier::Model), None);
    }

    #[test]
    fn the_names_on_the_command_line_are_the_names_of_targets() {
        use clap::ValueEnum;
        for tier in Tier::ALL {
            assert_eq!(tier.to_possible_value().unwrap().get_name(), tier.name());
        }
    }
}
