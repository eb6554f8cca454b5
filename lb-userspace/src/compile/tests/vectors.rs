//! Known answers of the independent oracle in `tests/oracle`.

use crate::apportion::apportion;
use crate::compile::members::select;
use crate::compile::node;
use crate::compile::rendezvous::{Contender, Rendezvous};
use crate::compile::{hrw, maglev};
use crate::policy::desired::{Member, MemberState, Reach, WHOLE};
use lb_common::flow::CLUSTER_ROWS;
use serde::Deserialize as _;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

const SMALL: &str = include_str!("../../../../tests/fixtures/vectors/maglev.json");
const LARGE: &str = include_str!("../../../../tests/fixtures/vectors/maglev_large.json");
const HRW: &str = include_str!("../../../../tests/fixtures/vectors/node_hrw.json");
const CLUSTER: &str = include_str!("../../../../tests/fixtures/vectors/cluster_rows.json");

fn cases(text: &str, key: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    let cases = file[key].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(value: &Value) -> T {
    value.as_u64().unwrap().try_into().unwrap()
}

fn address(value: &Value) -> IpAddr {
    value.as_str().unwrap().parse().unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

type Table = fn(&[node::Member], u32) -> Vec<u16>;

fn contender(value: &Value) -> node::Member {
    let (port, weight) = (number(&value["port"]), number(&value["weight"]));
    node::Member { address: address(&value["address"]).into(), port, weight }
}

fn endpoint(value: &Value) -> Member {
    Member {
        address: address(&value["address"]),
        weight: number(&value["weight"]),
        server_id: None,
        state: MemberState::deserialize(&value["state"]).unwrap(),
        reason: String::new(),
        tenths: WHOLE,
        changed_ms: 0,
        reach: Reach::Unresolved,
    }
}

fn small_tables_are(text: &str, table: Table) {
    for case in cases(text, "cases") {
        let endpoints = case["endpoints"].as_array().unwrap();
        let members: Vec<_> = endpoints.iter().map(endpoint).collect();
        let positions = select(&members, false).positions;
        let contenders: Vec<_> = positions.iter().map(|&position| contender(&endpoints[position])).collect();
        let owners = table(&contenders, number(&case["rows"]));
        let name = |value: &Value| (address(&value[0]), number::<u16>(&value[1]));
        let expected: Vec<_> = case["owners"]
            .as_array()
            .unwrap()
            .iter()
            .map(|owner| name(&case["members"][number::<usize>(owner)]))
            .collect();
        let actual: Vec<_> = owners
            .iter()
            .map(|&owner| &contenders[usize::from(owner)])
            .map(|member| (member.address.into(), member.port))
            .collect();
        assert_eq!(actual, expected, "{}", case["about"]);
    }
}

fn members(list: &Value) -> Vec<node::Member> {
    let member = |value: &Value| node::Member {
        address: address(&value[0]).into(),
        port: 0,
        weight: number(&value[1]),
    };
    list.as_array().unwrap().iter().map(member).collect()
}

fn large_tables_are(text: &str, key: &str, table: Table) {
    for case in cases(text, key) {
        let owners = table(&members(&case["members"]), number(&case["rows"]));
        let bytes: Vec<_> = owners.iter().flat_map(|owner| owner.to_le_bytes()).collect();
        assert_eq!(Sha256::digest(&bytes).to_vec(), unhex(&case["sha256"]), "{}", case["about"]);
    }
}

#[test]
fn node_tables_are_the_oracles() {
    small_tables_are(SMALL, maglev::table);
    small_tables_are(HRW, hrw::table);
}

#[test]
fn large_node_tables_have_the_oracles_digest() {
    large_tables_are(LARGE, "cases", maglev::table);
    large_tables_are(HRW, "large", hrw::table);
}

#[test]
fn a_change_moves_as_many_rows_of_bounded_hrw_as_the_oracle_says() {
    for change in cases(HRW, "disruption") {
        let owners = |list: &Value| -> Vec<_> {
            let members = members(list);
            hrw::table(&members, 4096)
                .into_iter()
                .map(|owner| members[usize::from(owner)].address.bytes())
                .collect()
        };
        let (before, after) = (owners(&change["before"]), owners(&change["after"]));
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert_eq!(moved, number::<usize>(&change["moved"]), "{}", change["change"]);
    }
}

fn cluster_rows(weights: &[(String, u16)]) -> Vec<u16> {
    let contenders: Vec<_> = weights
        .iter()
        .map(|(name, weight)| Contender { cluster: name, pool: name, weight: *weight })
        .collect();
    Rendezvous::default().table(&contenders)
}

#[test]
fn cluster_tables_are_the_oracles() {
    for case in cases(CLUSTER, "cases") {
        let pair = |value: &Value| (value[0].as_str().unwrap().to_owned(), number(&value[1]));
        let weights: Vec<_> = case["clusters"].as_array().unwrap().iter().map(pair).collect();
        let owners: String = cluster_rows(&weights).iter().map(u16::to_string).collect();
        assert_eq!(owners, case["owners"], "{}", case["clusters"]);
        let counts: Vec<u32> = case["counts"].as_array().unwrap().iter().map(number).collect();
        assert_eq!(apportion(CLUSTER_ROWS, &weights.iter().map(|pair| pair.1).collect::<Vec<_>>()), counts);
    }
}

#[test]
fn a_change_of_weights_moves_as_many_rows_as_documented() {
    for change in cases(CLUSTER, "disruption") {
        let rows = |value: &Value| {
            let weights: Vec<_> = value
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, weight)| (name.clone(), number(weight)))
                .collect();
            cluster_rows(&weights)
        };
        let (before, after) = (rows(&change["before"]), rows(&change["after"]));
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert_eq!(moved, number::<usize>(&change["moved"]), "{}", change["change"]);
    }
}
