//! Which priority a cluster has.

use std::collections::BTreeMap;

use crate::config::model::Order;

/// What is said of a cluster, text by text.
pub type Labels = BTreeMap<String, String>;

/// The priority of a cluster with these labels, seen from one with the labels `own`; 0 comes first. By groups: the first
/// that names it. By labels: their number less how many of them, from the first on, both clusters have alike. A label that
/// neither has is not alike: it says nothing of how near they are.
pub fn priority(order: &Order, cluster: &str, labels: &Labels, own: &Labels) -> usize {
    match order {
        Order::Groups(groups) => {
            let group = groups.iter().position(|group| group.iter().any(|name| name == cluster));
            group.unwrap_or(groups.len())
        }
        Order::Labels(names) => {
            let alike = |name: &&String| own.get(*name).is_some_and(|text| labels.get(*name) == Some(text));
            names.len() - names.iter().take_while(alike).count()
        }
    }
}
