//! Access policies through the loaded program.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use etherparse::PacketBuilder;
use lb_common::abi::{EventKind, Features};
use lb_common::reason::Reason;
use lb_ebpf::verdict::Action;
use lb_tests::fixture::{INTERFACE, World};
use lb_tests::lab::{WorkDir, is_root};
use lb_userspace::compile::{Cache, Ledger, Sizes, compile};
use lb_userspace::config::model::{AccessList, AccessPolicy, Admit, Limits, Prefix};
use lb_userspace::datapath::events::Events;
use lb_userspace::datapath::load::Loaded;
use lb_userspace::datapath::packet_log::PacketLog;
use lb_userspace::datapath::pins::Pins;
use lb_userspace::policy::desired::Desired;
use lb_userspace::reconcile::{self, grant, plan, revoke};

use crate::program::test_run;

/// Prefixes of the policy: /28s one beside another, so that a packet of any of them walks a deep trie.
const PREFIXES: u32 = 100_000;
/// The first of them.
const FIRST: Ipv4Addr = Ipv4Addr::new(20, 0, 0, 0);

/// The `number`th /28.
fn prefix(number: u32) -> Prefix {
    Prefix { address: Ipv4Addr::from_bits(FIRST.to_bits() + number * 16).into(), length: 28 }
}

/// Every other prefix is denied, and the first address of each denied one admitted by itself.
fn policy() -> AccessPolicy {
    let verdict = |number| if number % 2 == 0 { Admit::Allow } else { Admit::Deny };
    let mut prefixes: BTreeMap<_, _> =
        (0..PREFIXES * 2 / 3).map(|number| (prefix(number), verdict(number))).collect();
    let alone = (0..PREFIXES * 2 / 3).filter(|number| number % 2 == 1);
    prefixes.extend(alone.map(|number| (Prefix { length: 32, ..prefix(number) }, Admit::Allow)));
    let prefixes = AccessList::new(prefixes).into();
    AccessPolicy { name: "members".into(), default: Admit::Deny, prefixes, new_flows: 0 }
}

fn guarded(policy: AccessPolicy) -> Result<Desired> {
    let mut desired = World::load()?.desired(INTERFACE)?;
    let service = desired.services.iter_mut().find(|service| service.name == "shop/members");
    ensure!(service.is_some_and(|service| service.access.as_deref() == Some("members")), "another world");
    desired.access.retain(|other| other.name != policy.name);
    desired.access.push(policy);
    Ok(desired)
}

/// A SYN of this client to the service, or a later packet.
fn frame(source: Ipv4Addr, syn: bool) -> Vec<u8> {
    let packet = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source.octets(), [198, 51, 100, 92], 64);
    let mut frame = Vec::new();
    let packet = packet.tcp(40_000, 443, 1, 1024);
    let packet = if syn { packet.syn() } else { packet.ack(1) };
    packet.write(&mut frame, &[]).expect("a vector takes it");
    frame
}

#[test]
fn a_hundred_thousand_prefixes_are_loaded_and_found() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let work = WorkDir::new()?;
    let sizes = Sizes::of(&Limits { services: 64, backends: 64, rows: 1 << 19, ..Limits::default() });
    let mut loaded = Loaded::load(&Pins::new(&work.bpf()), &sizes, PacketLog::Off, Features::ALL)?;
    let mut ledger = Ledger::new(sizes);
    let mut apply = |loaded: &mut Loaded, desired: &Desired| -> Result<()> {
        let image = compile(desired, &mut ledger, &mut Cache::default(), 0)?;
        let start = Instant::now();
        let unwanted = grant(&image, &mut loaded.maps, false)?;
        let granted = start.elapsed();
        plan(&image, &loaded.maps).iter().for_each(|op| reconcile::perform(op, &mut loaded.maps));
        let applied = start.elapsed();
        revoke(&unwanted, &mut loaded.maps)?;
        println!(
            "added in {granted:?}, in force after {applied:?}, {} removed after {:?}",
            unwanted.len(),
            start.elapsed()
        );
        Ok(())
    };
    apply(&mut loaded, &guarded(policy())?)?;
    let verdict = |loaded: &mut Loaded, number: u32, host: u32| -> Result<Action> {
        let Prefix { address: std::net::IpAddr::V4(first), .. } = prefix(number) else {
            unreachable!("IPv4")
        };
        Ok(test_run(loaded, &frame(Ipv4Addr::from_bits(first.to_bits() + host), true))?.0)
    };
    for number in (0..PREFIXES * 2 / 3).step_by(997) {
        let inside = if number % 2 == 0 { Action::Transmit } else { Action::Drop };
        assert_eq!(verdict(&mut loaded, number, 15)?, inside, "prefix {number}");
        assert_eq!(verdict(&mut loaded, number, 0)?, Action::Transmit, "first of prefix {number}");
    }
    assert_eq!(verdict(&mut loaded, PREFIXES, 0)?, Action::Drop, "the default");
    assert!(loaded.maps.reason_count(Reason::Denied) > 30);
    // Another list: the same prefixes once more under another index, then the old ones go.
    let mut other = policy();
    let entries = other.prefixes.iter().map(|(prefix, admit)| (*prefix, admit));
    other.prefixes = AccessList::new(entries.skip(1).collect()).into();
    apply(&mut loaded, &guarded(other)?)?;
    assert_eq!(verdict(&mut loaded, 0, 0)?, Action::Drop, "it was skipped");
    assert_eq!(verdict(&mut loaded, 2, 0)?, Action::Transmit);
    Ok(())
}

/// Flows that a source may begin in a second: few, so that a slow machine does not fill a bucket between two packets.
const RATE: u32 = 2;

#[test]
fn a_source_begins_so_many_flows_and_no_more() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let work = WorkDir::new()?;
    let sizes = World::sizes();
    let pins = Pins::new(&work.bpf());
    let mut loaded = Loaded::load(&pins, &sizes, PacketLog::Off, Features::ADMISSION)?;
    let mut events = Events::open(&pins)?;
    let policy = AccessPolicy { default: Admit::Allow, new_flows: RATE, ..policy() };
    let policy = AccessPolicy { prefixes: AccessList::new(BTreeMap::new()).into(), ..policy };
    let image = compile(&guarded(policy)?, &mut Ledger::new(sizes), &mut Cache::default(), 0)?;
    reconcile::reconcile(&image, &mut loaded.maps)?;
    let [one, other] = [Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(9, 9, 9, 8)];
    let mut send = |source, syn| Ok::<_, anyhow::Error>(test_run(&mut loaded, &frame(source, syn))?.0);
    let start = Instant::now();
    let (mut begun, mut refused) = (0, 0);
    while begun + refused < 40 {
        match send(one, true)? {
            Action::Transmit => begun += 1,
            _ => refused += 1,
        }
    }
    // What was in the bucket, and what came in meanwhile.
    let most = RATE + u32::try_from(start.elapsed().as_millis())? * RATE / 1000 + 1;
    assert!((RATE..=most).contains(&begun), "{begun} begun, at most {most}");
    assert_eq!(send(one, false)?, Action::Transmit, "a packet of a flow that is there");
    assert_eq!(send(other, true)?, Action::Transmit, "another source");
    thread::sleep(Duration::from_millis(1000 / u64::from(RATE) + 1));
    assert_eq!(send(one, true)?, Action::Transmit, "a while later");
    let counted = loaded.maps.reason_count(Reason::RateLimited);
    assert_eq!(counted, u64::from(refused));
    // Of forty packets within a second or two, one event for each.
    let told: Vec<_> = std::iter::from_fn(|| events.take()).collect();
    assert!((1..=start.elapsed().as_secs() + 2).contains(&(told.len() as u64)), "{told:?}");
    assert_eq!(
        (told[0].kind, IpAddr::from(told[0].source)),
        (EventKind::RateLimited as u32, IpAddr::from(one))
    );
    Ok(())
}
