//! Access policies: what a source meets while they change.

use super::histories::{flows, world};
use super::observer::resolve;
use super::*;
use crate::config::model::{AccessList, AccessPolicy, Admit, Prefix};
use lb_common::abi::{AccessFlags, AccessKey, Redirected};
use lb_common::flow::Flow;
use lb_common::reason::Reason;
use lb_ebpf::track::Segment;
use lb_ebpf::verdict::End;
use lb_ebpf::{classify, pipeline};
use std::net::IpAddr;

const CLIENTS: &str = "192.0.2.0/24";

fn policy(default: Admit, prefixes: &[(&str, Admit)]) -> AccessPolicy {
    let entry = |(text, admit): &(&str, Admit)| (Prefix::parse(text).unwrap(), *admit);
    let prefixes = AccessList::new(prefixes.iter().map(entry).collect());
    AccessPolicy { name: "members".into(), default, prefixes: prefixes.into(), new_flows: 0 }
}

/// The world with this policy on its first service.
fn guarded(policy: AccessPolicy) -> Desired {
    let mut desired = Desired { access: vec![policy], ..world() };
    desired.services[0].access = Some("members".into());
    desired
}

/// Flows to the first service, whose clients are in [`CLIENTS`].
fn to_guarded() -> impl Iterator<Item = Flow> {
    let vip = world().services[0].vips[0].address;
    flows().filter(move |flow| IpAddr::from(flow.destination) == vip)
}

fn denied(flow: &Flow, maps: &MemoryMaps) -> bool {
    resolve(flow, maps).is_err_and(|end| end.reason() == Reason::Denied as u32)
}

/// Everything that `reconcile` does, with `look` after each change.
fn follow(agent: &mut Agent, desired: &Desired, look: impl Fn(&MemoryMaps)) {
    let image = agent.compile(desired);
    let before = agent.maps.prefixes.clone();
    let unwanted = grant(&image, &mut agent.maps, false).unwrap();
    assert!(
        before.iter().all(|(key, flags)| agent.maps.prefixes.get(key) == Some(flags)),
        "changed in place"
    );
    look(&agent.maps);
    for op in &plan(&image, &agent.maps) {
        perform(op, &mut agent.maps);
        look(&agent.maps);
    }
    for key in &unwanted {
        revoke(std::slice::from_ref(key), &mut agent.maps).unwrap();
        look(&agent.maps);
    }
    agent.ledger.release_tables(image.generation);
    agent.ledger.release_access(image.generation);
}

#[test]
fn a_source_that_is_denied_before_and_after_a_change_is_never_let_in() {
    let mut agent = Agent::new();
    let lists: [&[(&str, Admit)]; 4] = [
        &[(CLIENTS, Admit::Deny)],
        &[("192.0.0.0/16", Admit::Deny), ("10.0.0.0/8", Admit::Allow)],
        &[],
        &[("192.0.2.0/25", Admit::Deny), ("0.0.0.0/0", Admit::Deny)],
    ];
    agent.follow(&guarded(policy(Admit::Allow, lists[0])));
    assert!(to_guarded().count() > 10);
    for (list, default) in lists.into_iter().skip(1).zip([Admit::Allow, Admit::Deny, Admit::Allow]) {
        follow(&mut agent, &guarded(policy(default, list)), |maps| {
            assert!(to_guarded().all(|flow| denied(&flow, maps)));
        });
        assert_eq!(agent.maps.prefixes.len(), list.len(), "nothing is left behind");
        assert_eq!(agent.ledger.record().access.len(), 1);
    }
    let other = flows().find(|flow| to_guarded().all(|guarded| guarded.destination != flow.destination));
    assert!(resolve(&other.unwrap(), &agent.maps).is_ok(), "other services admit");
}

#[test]
fn a_source_that_is_admitted_before_and_after_a_change_is_never_turned_away() {
    let mut agent = Agent::new();
    let open = |maps: &MemoryMaps| assert!(to_guarded().all(|flow| resolve(&flow, maps).is_ok()));
    agent.follow(&world());
    follow(&mut agent, &guarded(policy(Admit::Deny, &[(CLIENTS, Admit::Allow)])), open);
    follow(&mut agent, &guarded(policy(Admit::Deny, &[("192.0.2.0/23", Admit::Allow)])), open);
    follow(&mut agent, &guarded(policy(Admit::Allow, &[("192.0.2.0/23", Admit::Allow)])), open);
    follow(&mut agent, &world(), open);
    assert!(agent.maps.prefixes.is_empty());
    assert!(agent.maps.access.iter().all(|policy| *policy == lb_common::abi::AccessPolicy::default()));
}

#[test]
fn a_source_begins_as_many_flows_in_a_second_as_the_policy_says() {
    let mut agent = Agent::new();
    agent.follow(&guarded(AccessPolicy { new_flows: 4, ..policy(Admit::Allow, &[]) }));
    let flow = to_guarded().next().unwrap();
    let from = |source: [u8; 4]| Flow { source: IpAddr::from(source).into(), ..flow };
    let send = |agent: &Agent, flow: &Flow, segment: Segment| -> Result<(), u32> {
        let control = agent.maps.control.first().unwrap();
        let service = classify::service(flow, control.vips, &agent.maps).unwrap();
        pipeline::choose(flow, || None, service, control, &agent.maps, (Redirected::NO, || segment))
            .map(drop)
            .map_err(End::reason)
    };
    let limited = Err(Reason::RateLimited as u32);
    for _ in 0..4 {
        assert_eq!(send(&agent, &from([9, 9, 9, 9]), Segment::Opening), Ok(()));
    }
    assert_eq!(send(&agent, &from([9, 9, 9, 9]), Segment::Opening), limited);
    assert_eq!(send(&agent, &from([9, 9, 9, 9]), Segment::Middle), Ok(()), "a flow that is there goes on");
    assert_eq!(send(&agent, &from([9, 9, 9, 8]), Segment::Opening), Ok(()), "others have their own");
    agent.maps.clock.set(250_000_000);
    assert_eq!(send(&agent, &from([9, 9, 9, 9]), Segment::Opening), Ok(()));
    assert_eq!(send(&agent, &from([9, 9, 9, 9]), Segment::Opening), limited);
    agent.follow(&guarded(policy(Admit::Allow, &[])));
    assert_eq!(send(&agent, &from([9, 9, 9, 9]), Segment::Opening), Ok(()), "no longer limited");
}

#[test]
fn what_the_trie_should_hold_is_compared_when_there_is_doubt() {
    let mut agent = Agent::new();
    let desired = guarded(policy(Admit::Allow, &[(CLIENTS, Admit::Deny)]));
    agent.follow(&desired);
    let held = agent.maps.prefixes.clone();
    let stray = AccessKey::of_source(9, lb_common::net::Family::V4, IpAddr::from([10, 0, 0, 1]).into());
    agent.maps.prefixes = [(stray, AccessFlags::DENY)].into();
    let image = agent.compile(&desired);
    assert_eq!(grant(&image, &mut agent.maps, false).unwrap(), [], "the seal is trusted");
    assert_eq!(grant(&image, &mut agent.maps, true).unwrap(), [stray]);
    revoke(&[stray], &mut agent.maps).unwrap();
    assert_eq!(agent.maps.prefixes, held);
}

#[test]
fn a_policy_keeps_its_index_until_its_prefixes_change() {
    let mut agent = Agent::new();
    let index = |agent: &Agent| *agent.ledger.record().access.keys().next().unwrap();
    agent.follow(&guarded(policy(Admit::Allow, &[(CLIENTS, Admit::Deny)])));
    let first = index(&agent);
    agent.restart();
    agent.follow(&guarded(policy(Admit::Deny, &[(CLIENTS, Admit::Deny)])));
    assert_eq!(index(&agent), first, "another default is a store");
    agent.follow(&guarded(policy(Admit::Deny, &[(CLIENTS, Admit::Allow)])));
    agent.ledger.release_access(agent.ledger.record().generation);
    assert_ne!(index(&agent), first);
}
