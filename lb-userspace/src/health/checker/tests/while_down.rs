//! The interval of nodes that are down.

use super::*;

/// Times between the last probes of one node, of which none began before `from`.
fn gaps(script: &Scripted, from: Instant) -> Vec<Duration> {
    let starts: Vec<_> = script.see(|script| script.started.iter().map(|(_, at)| *at).collect());
    let starts: Vec<_> = starts.into_iter().filter(|at| *at >= from).collect();
    starts.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_down_is_asked_at_an_interval_of_its_own() {
    const WHILE_DOWN: Duration = Duration::from_secs(20);
    let (sender, mut events) = mpsc::channel(8);
    let script = Scripted::new(Node::Answers);
    let mut checker = Checker::start(script.clone(), Options::default(), sender);
    let mut slow = config(1);
    slow.health_checks[0].unhealthy_interval = WHILE_DOWN;
    checker.apply(&slow);
    let is = |gap: &Duration, of: Duration| gap.abs_diff(of) <= of / 10 + Duration::from_millis(1);

    assert_eq!(next(&mut events).await.verdict, Verdict::Up);
    script.set(Node::Refuses);
    assert_eq!(next(&mut events).await.verdict, Verdict::Down);
    let before = gaps(&script, Instant::now() - INTERVAL * 3);
    assert!(!before.is_empty() && before.iter().all(|gap| is(gap, INTERVAL)), "{before:?}");

    let down = Instant::now();
    sleep(WHILE_DOWN * 40).await;
    let while_down = gaps(&script, down);
    assert!(while_down.len() > 30 && while_down.iter().all(|gap| is(gap, WHILE_DOWN)), "{while_down:?}");
    let [least, most] = [while_down.iter().min(), while_down.iter().max()].map(|gap| gap.expect("some"));
    assert!(*most > *least + WHILE_DOWN / 20, "jitter: {least:?} to {most:?}");

    script.set(Node::Answers);
    assert_eq!(next(&mut events).await.verdict, Verdict::Up);
    let up = Instant::now();
    sleep(INTERVAL * 20).await;
    let while_up = gaps(&script, up);
    assert!(while_up.len() > 10 && while_up.iter().all(|gap| is(gap, INTERVAL)), "{while_up:?}");
}

#[tokio::test(start_paused = true)]
async fn another_interval_of_nodes_that_are_down_keeps_the_verdict_and_counts_from_now() {
    let (sender, mut events) = mpsc::channel(8);
    let script = Scripted::new(Node::Refuses);
    let mut checker = Checker::start(script.clone(), Options::default(), sender);
    let mut slow = config(1);
    slow.health_checks[0].unhealthy_interval = Duration::from_hours(1);
    checker.apply(&slow);
    assert_eq!(next(&mut events).await.verdict, Verdict::Down);
    quiet(&mut events, Duration::from_mins(1)).await;
    let before = script.count();
    script.set(Node::Answers);
    let changed = Instant::now();
    slow.health_checks[0].unhealthy_interval = Duration::from_secs(2);
    checker.apply(&slow);
    let event = next(&mut events).await;
    assert_eq!((event.verdict, event.reason.as_str()), (Verdict::Up, "2 probes in a row passed"));
    assert!(changed.elapsed() <= Duration::from_secs(5), "{:?}", changed.elapsed());
    assert_eq!(script.count() - before, 2);
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_a_node_that_is_down_asks_as_often_and_lets_it_in_as_late() {
    const WHILE_DOWN: Duration = Duration::from_secs(2);
    let (sender, mut events) = mpsc::channel(8);
    let script = Scripted::new(Node::Answers);
    let mut slow = config(1);
    slow.health_checks[0].interval = Duration::from_hours(1);
    slow.health_checks[0].unhealthy_interval = WHILE_DOWN;
    let target = Target { pool: slow.pools[0].name.clone(), address: slow.pools[0].endpoints[0].address };
    let checker = Checker::start(script.clone(), Options::default(), sender);
    let mut checker = checker.resuming([(target, Verdict::Down)].into());
    let begun = Instant::now();
    checker.apply(&slow);
    let event = next(&mut events).await;
    assert_eq!((event.verdict, event.reason.as_str()), (Verdict::Up, "2 probes in a row passed"));
    assert!(begun.elapsed() <= WHILE_DOWN * 3, "{:?}", begun.elapsed());
}
