//! Who is there, and what share of the requests each should get.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::lab::{ClusterSpec, Node};

/// A cluster of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// Its name.
    pub(super) name: &'static str,
    /// Its share among the sites.
    pub(super) weight: u16,
    /// Its nodes' shares within it.
    pub(super) nodes: Vec<u16>,
}

/// The demo's clusters: unequal, so that the shares say something.
pub(super) fn sites() -> Vec<Site> {
    vec![
        Site { name: "eu-1", weight: 70, nodes: vec![1, 1] },
        Site { name: "us-1", weight: 30, nodes: vec![1, 1] },
    ]
}

impl Site {
    /// What the lab builds for it.
    pub(super) fn spec(&self) -> ClusterSpec {
        ClusterSpec { name: self.name, nodes: self.nodes.clone() }
    }
}

/// A node as the configuration and the report see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its name, which its server answers.
    pub(super) name: String,
    /// Its cluster.
    pub(super) cluster: String,
    /// Its own address.
    pub(super) address: IpAddr,
    /// Its share within the cluster.
    pub(super) weight: u16,
}

/// The members for a lab's nodes, with addresses of the family of `like`.
pub(super) fn members(nodes: &[Node], like: IpAddr) -> Vec<Member> {
    let member = |node: &Node| Member {
        name: node.name.clone(),
        cluster: node.cluster.clone(),
        address: node.address(like),
        weight: node.weight,
    };
    nodes.iter().map(member).collect()
}

/// Each cluster's share, 0 to 1.
pub(super) fn cluster_shares(sites: &[Site]) -> BTreeMap<String, f64> {
    let total = f64::from(total_weight(sites));
    sites.iter().map(|site| (site.name.to_owned(), f64::from(site.weight) / total)).collect()
}

/// Each node's share of all requests, 0 to 1.
pub(super) fn node_shares(sites: &[Site], members: &[Member]) -> BTreeMap<String, f64> {
    let mut shares = BTreeMap::new();
    for site in sites {
        let nodes = || members.iter().filter(|member| member.cluster == site.name);
        let in_site: u32 = nodes().map(|member| u32::from(member.weight)).sum();
        for node in nodes() {
            let part = u32::from(site.weight) * u32::from(node.weight);
            shares.insert(node.name.clone(), f64::from(part) / f64::from(total_weight(sites) * in_site));
        }
    }
    shares
}

fn total_weight(sites: &[Site]) -> u32 {
    sites.iter().map(|site| u32::from(site.weight)).sum()
}

#[cfg(test)]
pub(super) fn example_members() -> Vec<Member> {
    let member = |name: &str, cluster: &str, address: &str, weight| Member {
        name: name.to_owned(),
        cluster: cluster.to_owned(),
        address: address.parse().unwrap(),
        weight,
    };
    vec![
        member("eu-1-a", "eu-1", "10.1.1.2", 1),
        member("eu-1-b", "eu-1", "10.1.2.2", 3),
        member("us-1-a", "us-1", "10.2.1.2", 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_the_weights_of_both_tiers() {
        let clusters = cluster_shares(&sites());
        assert!((clusters["eu-1"] - 0.7).abs() < 1e-12);
        let nodes = node_shares(&sites(), &example_members());
        assert!((nodes["eu-1-a"] - 0.175).abs() < 1e-12);
        assert!((nodes["eu-1-b"] - 0.525).abs() < 1e-12);
        assert!((nodes["us-1-a"] - 0.3).abs() < 1e-12);
        assert!((nodes.values().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
