//! What holds for all tables.

use crate::apportion::apportion;
use crate::compile::node::Member;
use crate::compile::rendezvous::{Contender, Rendezvous};
use crate::compile::vips::Keys;
use crate::compile::{CompileError, Resource, hrw, maglev};
use lb_common::abi::{VipFlags, VipKey};
use lb_common::flow::CLUSTER_ROWS;
use lb_common::net::{Family, NetworkU16};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ROWS: u32 = 65_536;

type Table = fn(&[Member], u32) -> Vec<u16>;
const ALGORITHMS: [Table; 2] = [maglev::table, hrw::table];

fn address(number: u16, v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, number]).into()
    } else {
        Ipv4Addr::from(0x0a00_0000 + u32::from(number)).into()
    }
}

fn members(count: u16) -> Vec<Member> {
    (0..count).map(|number| Member { address: address(number, false).into(), port: 0, weight: 1 }).collect()
}

/// Distinct members of random families and weights, in random order.
fn any_members() -> impl Strategy<Value = Vec<Member>> {
    prop::collection::btree_map(any::<(u16, bool)>(), 0_u32..1000, 1..60)
        .prop_map(|weights| {
            let member =
                |((number, v6), weight)| Member { address: address(number, v6).into(), port: 0, weight };
            weights.into_iter().map(member).collect::<Vec<_>>()
        })
        .prop_shuffle()
}

fn counts(owners: &[u16], members: usize) -> Vec<u32> {
    let mut counts = vec![0; members];
    for &owner in owners {
        counts[usize::from(owner)] += 1;
    }
    counts
}

fn moved(before: &[u16], after: &[u16]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before != after).count()
}

fn named(members: &[Member], owners: Vec<u16>) -> Vec<[u8; 16]> {
    owners.into_iter().map(|owner| members[usize::from(owner)].address.bytes()).collect()
}

proptest! {
    #[test]
    fn every_row_belongs_to_a_member_with_a_weight(members in any_members(), log2 in 8_u32..12) {
        for table in ALGORITHMS {
            let owners = table(&members, 1 << log2);
            prop_assert_eq!(owners.len(), 1 << log2);
            let weightless = members.iter().all(|member| member.weight == 0);
            for owner in owners {
                prop_assert!(weightless || members[usize::from(owner)].weight > 0);
            }
        }
    }

    #[test]
    fn a_members_rows_follow_its_weight(members in any_members()) {
        let total: u32 = members.iter().map(|member| member.weight).sum();
        prop_assume!(total > 0);
        let owners = maglev::table(&members, ROWS);
        // After r rounds a member has had ⌊r · weight / largest⌋ turns; the last round may be a part of one.
        let (rows, total, turns) = (f64::from(ROWS), f64::from(total), f64::from(u32::try_from(members.len()).unwrap()));
        for (member, count) in members.iter().zip(counts(&owners, members.len())) {
            let part = f64::from(member.weight) / total;
            let (share, slack) = (rows * part, 2.0 + turns * part);
            prop_assert!((f64::from(count) - share).abs() <= slack, "{count} rows for {share}");
        }
    }

    #[test]
    fn the_order_of_members_changes_nothing(members in any_members(), seed: usize) {
        let mut others = members.clone();
        others.rotate_left(seed % members.len());
        others.reverse();
        for table in ALGORITHMS {
            prop_assert_eq!(named(&members, table(&members, 1024)), named(&others, table(&others, 1024)));
        }
    }

    #[test]
    fn cluster_rows_are_apportioned_exactly(weights in prop::collection::btree_map("[a-z]{1,4}", any::<u16>(), 1..8)) {
        let contenders: Vec<_> = weights.iter().map(|(name, weight)| Contender { cluster: name, pool: name, weight: *weight }).collect();
        let mut rendezvous = Rendezvous::default();
        let owners = rendezvous.table(&contenders);
        let total: u64 = weights.values().map(|weight| u64::from(*weight)).sum();
        prop_assume!(total > 0);
        let counts = counts(&owners, contenders.len());
        prop_assert_eq!(&counts, &apportion(CLUSTER_ROWS, &contenders.iter().map(|contender| contender.weight).collect::<Vec<_>>()));
        prop_assert_eq!(counts.iter().sum::<u32>(), CLUSTER_ROWS);
        for (contender, count) in contenders.iter().zip(counts) {
            let quota = u64::from(contender.weight) * u64::from(CLUSTER_ROWS);
            prop_assert!(u64::from(count) >= quota / total && u64::from(count) <= quota.div_ceil(total));
        }
        let mut reversed = contenders.clone();
        reversed.reverse();
        let name = |contenders: &[Contender], owner: &u16| contenders[usize::from(*owner)].cluster.to_owned();
        let names: Vec<_> = owners.iter().map(|owner| name(&contenders, owner)).collect();
        let others: Vec<_> = rendezvous.table(&reversed).iter().map(|owner| name(&reversed, owner)).collect();
        prop_assert_eq!(names, others);
    }

    #[test]
    fn every_vip_key_is_found_and_no_other(ports in prop::collection::btree_map(any::<(u16, bool, bool)>(), any::<(u16, u32)>(), 1..300)) {
        let mut keys = Keys::default();
        let mut wanted = BTreeMap::new();
        for (&(number, v6, udp), &(port, service)) in &ports {
            let (address, protocol) = (address(number, v6), if udp { 17 } else { 6 });
            keys.address(address, number.is_multiple_of(2));
            keys.port(address, protocol, port, service);
            wanted.insert((address, protocol, port), service);
        }
        let (table, buckets) = keys.place(12).unwrap();
        let filter = keys.filter();
        let find = |key: VipKey, family| {
            let (first, second) = key.buckets(family, table);
            buckets[first as usize].find(&key).or_else(|| buckets[second as usize].find(&key)).copied()
        };
        for ((address, protocol, port), service) in wanted {
            let family = Family::of(address);
            let key = VipKey::new(family, address.into(), protocol, NetworkU16::new(port));
            prop_assert_eq!(find(key, family).map(|slot| slot.service), Some(service));
            let flags = find(VipKey::of_address(family, address.into()), family).unwrap().flags;
            let last = *address_bytes(address).last().unwrap();
            prop_assert_eq!(flags.has(VipFlags::LOCAL), last.is_multiple_of(2));
            prop_assert!(port != 0 || flags.has(VipFlags::ANY_PORT));
            let stranger = VipKey::new(family, address.into(), 1, NetworkU16::new(port));
            prop_assert!(find(stranger, family).is_none());
            let (word, bit) = VipKey::filter_bit(family, &address.into());
            prop_assert!(filter[word as usize] & bit != 0);
        }
        let used = buckets.iter().flat_map(|bucket| bucket.slots).filter(|slot| slot.key.family().is_some()).count();
        prop_assert!(used <= buckets.len(), "at most half of the slots");
    }
}

fn address_bytes(address: IpAddr) -> Vec<u8> {
    lb_common::net::Address::from(address).bytes().to_vec()
}

#[test]
fn a_hundred_equal_nodes_have_equal_shares() {
    let counts = counts(&maglev::table(&members(100), ROWS), 100);
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(*least >= 649 && *most <= 661, "within 1 % of 655.36: {least} to {most}");
}

#[test]
fn a_node_that_leaves_moves_its_rows_and_few_more() {
    let all = members(100);
    let before = maglev::table(&all, ROWS);
    let mut fewer = all.clone();
    fewer[40].weight = 0;
    let after = maglev::table(&fewer, ROWS);
    let own = counts(&before, 100)[40] as usize;
    let moved = moved(&before, &after);
    assert!(moved >= own && moved <= 2 * own, "{moved} rows moved for its {own}");
}

#[test]
fn bounded_hrw_moves_the_rows_of_a_node_that_leaves_and_hardly_any_other() {
    let all = members(100);
    let before = hrw::table(&all, ROWS);
    let (mut excess, mut total) = (0, 0);
    for leaver in [3, 40, 77] {
        let mut fewer = all.clone();
        fewer[leaver].weight = 0;
        let own = counts(&before, 100)[leaver] as usize;
        let moved = moved(&before, &hrw::table(&fewer, ROWS));
        assert!(moved >= own, "{moved} rows moved of its {own}");
        (excess, total) = (excess + moved - own, total + own);
    }
    assert!(excess * 20 < total, "{excess} rows moved beside {total}");
}

#[test]
fn members_without_weights_count_alike() {
    let mut none = members(10);
    for member in &mut none {
        member.weight = 0;
    }
    for table in ALGORITHMS {
        assert_eq!(table(&none, 1024), table(&members(10), 1024));
        assert!(table(&[], 1024).is_empty());
    }
}

#[test]
fn more_members_than_rows_is_no_harm() {
    for table in ALGORITHMS {
        let owners = table(&members(1000), 256);
        assert_eq!(counts(&owners, 1000).iter().filter(|count| **count == 1).count(), 256);
    }
}

#[test]
fn two_pools_of_one_cluster_share_exactly_too() {
    let contender = |pool, weight| Contender { cluster: "eu", pool, weight };
    let owners = Rendezvous::default().table(&[contender("canary", 1), contender("main", 99)]);
    assert_eq!(counts(&owners, 2), [41, 4055]);
}

#[test]
fn a_full_vip_table_is_filled_and_a_fuller_one_refused() {
    let keys = |count| {
        let mut keys = Keys::default();
        (0..count).for_each(|port| keys.port([198, 51, 100, 1].into(), 6, port + 1, 0));
        keys.place(12).map(|(table, _)| table.log2())
    };
    assert_eq!(keys(4096), Ok(12));
    assert!(matches!(keys(4097), Err(CompileError::Full { needed: 4097, limit: 4096, .. })));
}

#[test]
fn an_eighth_range_of_a_vip_and_protocol_is_refused() {
    let mut keys = Keys::default();
    let mut add = |protocol, first| keys.range([198, 51, 100, 1].into(), protocol, (first, first + 1), 0);
    (0..7).for_each(|number| add(6, 10 * number + 1));
    (0..8).for_each(|number| add(17, 10 * number + 1));
    let full = CompileError::Full { resource: Resource::PortRanges, needed: 8, limit: 7 };
    assert_eq!(keys.lines().unwrap_err(), full);
}

/// Rows that change their owners in all steps of the slow start of one among equal members, in percent of those that it gets.
fn moved_by_a_slow_start(table: Table, count: u16) -> usize {
    let table_of = |tenths: u32| {
        let mut members = members(count);
        members.iter_mut().for_each(|member| member.weight = 10);
        members[1].weight = tenths;
        table(&members, ROWS)
    };
    let tables: Vec<_> = (0..=10).map(table_of).collect();
    let gets = tables[10].iter().filter(|owner| **owner == 1).count();
    let steps = tables.windows(2).map(|pair| moved(&pair[0], &pair[1])).sum::<usize>();
    steps * 100 / gets
}

#[test]
fn a_slow_start_moves_little_more_than_it_must() {
    for (count, most) in [(4, [110, 105]), (20, [150, 105])] {
        for (table, most) in ALGORITHMS.into_iter().zip(most) {
            let percent = moved_by_a_slow_start(table, count);
            println!("{count} members: {percent} % of the least");
            assert!((100..=most).contains(&percent), "{count} members: {percent} % of the least");
        }
    }
}

#[test]
fn tables_are_those_of_the_weights_beside_each_other() {
    for table in ALGORITHMS {
        let scaled = |factor: u32| {
            let mut members = members(9);
            (1..).zip(&mut members).for_each(|(weight, member)| member.weight = weight * factor);
            table(&members, ROWS)
        };
        assert!(scaled(1) == scaled(10), "ten times all weights are the same table");
    }
}
