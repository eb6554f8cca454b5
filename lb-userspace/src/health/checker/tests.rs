//! The checker with scripted nodes and paused time.

mod at_once;
mod while_down;

use super::*;
use crate::config::model::{
    Algorithm, CheckKind, ClusterSet, Endpoint, Gateway, Limits, Pool, Replies, Secret,
};
use crate::health::{Failure, Phase, Verdict};
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, advance, sleep, timeout};

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
const JITTER: u8 = 10;
const RISE: u32 = 2;
const FALL: u32 = 3;

/// What a scripted node does to a probe.
#[derive(Clone, Copy, PartialEq)]
enum Node {
    Answers,
    Refuses,
    Hangs,
    /// The prober's own machine is out of descriptors.
    Unprobed,
}

/// What the script has seen.
struct Script {
    node: Node,
    started: Vec<(IpAddr, Instant)>,
    under_way: usize,
    most_under_way: usize,
}

#[derive(Clone)]
struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    fn new(node: Node) -> Self {
        Self(Arc::new(Mutex::new(Script { node, started: vec![], under_way: 0, most_under_way: 0 })))
    }

    fn see<T>(&self, look: impl FnOnce(&mut Script) -> T) -> T {
        look(&mut self.0.lock().expect("no test panicked"))
    }

    fn set(&self, node: Node) {
        self.see(|script| script.node = node);
    }

    fn count(&self) -> usize {
        self.see(|script| script.started.len())
    }
}

/// Counts a probe as under way until it ends or is given up.
struct UnderWay(Scripted);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.see(|script| script.under_way -= 1);
    }
}

impl Prober for Scripted {
    async fn probe(&self, _: &Target, plan: &Plan) -> Result<(), Failure> {
        let (node, after) = (plan.to, plan.check.timeout);
        let behaviour = self.see(|script| {
            script.started.push((node.ip(), Instant::now()));
            script.under_way += 1;
            script.most_under_way = script.most_under_way.max(script.under_way);
            script.node
        });
        let _under_way = UnderWay(self.clone());
        match behaviour {
            Node::Answers => Ok(()),
            Node::Refuses => Err(Failure::Refused),
            Node::Unprobed => Err(Failure::Local(std::io::Error::from_raw_os_error(libc::EMFILE))),
            Node::Hangs => {
                sleep(after).await;
                Err(Failure::TimedOut { after, phase: Phase::Connecting })
            }
        }
    }
}

fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))
}

fn config(hosts: u8) -> Config {
    let endpoint = |host| Endpoint { address: address(host), weight: 1, server_id: None };
    Config {
        access_policies: Vec::new(),
        rollouts: Vec::new(),
        analyses: Vec::new(),
        drills: Vec::new(),
        failover_policies: Vec::new(),
        digest: String::new(),
        cluster_set: ClusterSet {
            id: "test".into(),
            self_cluster: None,
            secret: Secret { k0: 0, k1: 0 },
            tunnel_key: None,
            change_window: Duration::from_mins(5),
            roll_delay: Duration::ZERO,
        },
        gateway: Gateway {
            interfaces: vec![],
            pin_path: "/nowhere".into(),
            source_v4: None,
            source_v6: None,
            limits: Limits::default(),
            admin: "/nowhere.sock".into(),
            replies: Replies::default(),
            evidence: None,
            redirects: crate::config::model::Redirects::default(),
        },
        clusters: vec![],
        services: vec![],
        pools: vec![Pool {
            name: "web".into(),
            cluster: "eu-1".into(),
            weight: 1,
            rows: 256,
            algorithm: Algorithm::Maglev,
            endpoints: (1..=hosts).map(endpoint).collect(),
            health: Some("web-hz".into()),
            outlier: None,
            circuit_breaker: None,
            slow_start: Duration::ZERO,
        }],
        health_checks: vec![HealthCheck {
            name: "web-hz".into(),
            kind: CheckKind::Tcp,
            via: ProbeVia::Direct,
            port: Some(8080),
            interval: INTERVAL,
            unhealthy_interval: INTERVAL,
            timeout: TIMEOUT,
            rise: RISE,
            fall: FALL,
            jitter_percent: JITTER,
        }],
    }
}

fn start(node: Node, hosts: u8) -> (Checker<Scripted>, Scripted, mpsc::Receiver<HealthEvent>) {
    let (sender, receiver) = mpsc::channel(1024);
    let script = Scripted::new(node);
    let mut checker = Checker::start(script.clone(), Options::default(), sender);
    assert_eq!(checker.apply(&config(hosts)), []);
    (checker, script, receiver)
}

async fn collect(events: &mut mpsc::Receiver<HealthEvent>, count: usize) -> Vec<HealthEvent> {
    let mut collected = Vec::new();
    while collected.len() < count {
        let next = timeout(Duration::from_mins(10), events.recv()).await.expect("an event in time");
        collected.push(next.expect("the checker lives"));
    }
    collected
}

async fn next(events: &mut mpsc::Receiver<HealthEvent>) -> HealthEvent {
    collect(events, 1).await.remove(0)
}

async fn quiet(events: &mut mpsc::Receiver<HealthEvent>, time: Duration) {
    if let Ok(event) = timeout(time, events.recv()).await {
        panic!("unexpected: {event:?}");
    }
}

/// `probes` intervals, each as long as jitter makes it.
fn at_most(probes: u32) -> Duration {
    INTERVAL * probes * u32::from(100 + JITTER) / 100
}

#[tokio::test(start_paused = true)]
async fn first_verdicts_come_within_a_second() {
    let (_checker, _, mut events) = start(Node::Answers, 50);
    let started = Instant::now();
    let firsts = collect(&mut events, 50).await;
    assert!(started.elapsed() <= Duration::from_millis(1001), "{:?}", started.elapsed());
    assert!(firsts.iter().all(|e| e.verdict == Verdict::Up && e.reason == "probe passed" && e.pool == "web"));
    let nodes: std::collections::HashSet<_> = firsts.iter().map(|e| e.address).collect();
    assert_eq!(nodes.len(), 50);
    quiet(&mut events, Duration::from_mins(1)).await;
}

#[tokio::test(start_paused = true)]
async fn faults_are_detected_within_the_promised_time() {
    let (_checker, script, mut events) = start(Node::Answers, 50);
    collect(&mut events, 50).await;
    for (node, words) in [(Node::Refuses, "connection refused"), (Node::Hangs, "timed out after 2s")] {
        advance(Duration::from_millis(12_345)).await;
        let fault = Instant::now();
        script.set(node);
        for event in collect(&mut events, 50).await {
            assert_eq!(event.verdict, Verdict::Down);
            assert!(event.reason.starts_with("3 probes in a row failed, the last: "), "{}", event.reason);
            assert!(event.reason.contains(words), "{}", event.reason);
        }
        assert!(fault.elapsed() <= at_most(FALL) + TIMEOUT, "{:?}", fault.elapsed());

        let mended = Instant::now();
        script.set(Node::Answers);
        for event in collect(&mut events, 50).await {
            assert_eq!((event.verdict, event.reason.as_str()), (Verdict::Up, "2 probes in a row passed"));
        }
        // A probe that hangs when the node is mended still has to fail.
        assert!(mended.elapsed() <= TIMEOUT + at_most(RISE), "{:?}", mended.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn probes_keep_their_interval_even_when_they_hang() {
    let (_checker, script, _events) = start(Node::Hangs, 1);
    sleep(Duration::from_mins(10)).await;
    let starts = script.see(|script| script.started.clone());
    assert!(starts.len() > 100, "{}", starts.len());
    for pair in starts.windows(2) {
        let gap = pair[1].1 - pair[0].1;
        assert!(gap.abs_diff(INTERVAL) <= INTERVAL / 10 + Duration::from_millis(1), "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_down_before_fall_probes_have_failed() {
    let (_checker, script, mut events) = start(Node::Refuses, 1);
    assert_eq!(next(&mut events).await.verdict, Verdict::Down);
    assert_eq!(script.count(), FALL as usize);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_verdict() {
    let (mut checker, script, mut events) = start(Node::Refuses, 2);
    collect(&mut events, 2).await;

    let mut same = config(2);
    same.digest = "another file".into();
    assert_eq!(checker.apply(&same), []);
    quiet(&mut events, Duration::from_mins(1)).await;

    let mut slower = config(2);
    slower.health_checks[0].interval = Duration::from_secs(7);
    slower.health_checks[0].rise = 4;
    assert_eq!(checker.apply(&slower), []);
    quiet(&mut events, Duration::from_mins(1)).await;

    script.set(Node::Answers);
    for event in collect(&mut events, 2).await {
        assert_eq!((event.verdict, event.reason.as_str()), (Verdict::Up, "4 probes in a row passed"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_without_changes_does_not_disturb_the_schedule() {
    let (mut checker, script, _events) = start(Node::Answers, 1);
    for _ in 0..600 {
        sleep(Duration::from_millis(100)).await;
        checker.apply(&config(1));
    }
    assert!((11..=14).contains(&script.count()), "{}", script.count());
}

#[tokio::test(start_paused = true)]
async fn another_question_makes_a_node_unknown_again() {
    let (mut checker, _, mut events) = start(Node::Refuses, 1);
    assert_eq!(next(&mut events).await.verdict, Verdict::Down);
    let mut other = config(1);
    other.health_checks[0].port = Some(9090);
    assert_eq!(checker.apply(&other), []);
    let event = next(&mut events).await;
    assert_eq!((event.verdict, event.reason.as_str()), (Verdict::Unknown, "the check changed"));
    assert_eq!(next(&mut events).await.verdict, Verdict::Down);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_interval_counts_from_now() {
    let (sender, mut events) = mpsc::channel(8);
    let script = Scripted::new(Node::Answers);
    let mut checker = Checker::start(script.clone(), Options::default(), sender);
    let mut slow = config(1);
    slow.health_checks[0].interval = Duration::from_hours(1);
    checker.apply(&slow);
    next(&mut events).await;
    script.set(Node::Refuses);
    let changed = Instant::now();
    checker.apply(&config(1));
    assert_eq!(next(&mut events).await.verdict, Verdict::Down);
    assert!(changed.elapsed() <= at_most(FALL), "{:?}", changed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_removed_endpoint_is_probed_no_more() {
    let (mut checker, script, mut events) = start(Node::Answers, 3);
    collect(&mut events, 3).await;
    let gone = |host| Target { pool: "web".into(), address: address(host) };
    assert_eq!(checker.apply(&config(1)), [gone(2), gone(3)]);
    assert_eq!(checker.targets().collect::<Vec<_>>(), [&gone(1)]);
    let before = script.count();
    sleep(Duration::from_mins(1)).await;
    let after: Vec<_> = script.see(|script| script.started.split_off(before));
    assert!(after.len() >= 10 && after.iter().all(|(node, _)| *node == address(1)));

    checker.apply(&config(2));
    let back = next(&mut events).await;
    assert_eq!((back.address, back.verdict), (address(2), Verdict::Up));
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_a_check_is_left_alone() {
    let (mut checker, script, mut events) = start(Node::Answers, 2);
    collect(&mut events, 2).await;
    let before = script.count();
    let mut unchecked = config(2);
    unchecked.pools[0].health = None;
    assert_eq!(checker.apply(&unchecked).len(), 2);
    quiet(&mut events, Duration::from_mins(1)).await;
    assert_eq!(script.count(), before);
}

#[tokio::test(start_paused = true)]
async fn a_node_of_two_pools_has_two_verdicts() {
    let (mut checker, _, mut events) = start(Node::Answers, 1);
    let mut two = config(1);
    two.pools.push(Pool { name: "api".into(), ..two.pools[0].clone() });
    checker.apply(&two);
    let mut pools: Vec<_> = collect(&mut events, 2).await.into_iter().map(|event| event.pool).collect();
    pools.sort();
    assert_eq!(pools, ["api", "web"]);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_checker_ends_all_probes() {
    let (checker, script, mut events) = start(Node::Hangs, 20);
    sleep(Duration::from_millis(1500)).await;
    assert!(script.see(|script| script.under_way) > 0);
    drop(checker);
    let end = timeout(Duration::from_secs(1), events.recv()).await.expect("the tasks end at once");
    assert_eq!(end, None);
    assert_eq!(script.see(|script| script.under_way), 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_this_machine_could_not_make_counts_for_nothing() {
    let (_checker, script, mut events) = start(Node::Unprobed, 1);
    quiet(&mut events, Duration::from_mins(2)).await;
    assert!(script.count() > 20);
    script.set(Node::Answers);
    assert_eq!(next(&mut events).await.verdict, Verdict::Up);
    script.set(Node::Unprobed);
    quiet(&mut events, Duration::from_mins(2)).await;
}

#[tokio::test(start_paused = true)]
async fn probing_ends_when_nobody_listens() {
    let (_checker, script, events) = start(Node::Answers, 3);
    drop(events);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(script.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_check_without_a_port_probes_the_node() {
    let (sender, mut events) = mpsc::channel(8);
    let script = Scripted::new(Node::Answers);
    let mut checker = Checker::start(script.clone(), Options::default(), sender);
    let mut echo = config(1);
    (echo.health_checks[0].kind, echo.health_checks[0].port) = (CheckKind::Icmp, None);
    checker.apply(&echo);
    assert_eq!(next(&mut events).await.verdict, Verdict::Up);
    assert_eq!(script.see(|script| script.started[0].0), address(1));
}
