//! How many probes are under way at the same time.

use super::*;
use crate::config::model::Program;

#[tokio::test(start_paused = true)]
async fn no_more_probes_than_allowed_are_under_way() {
    let (sender, mut events) = mpsc::channel(1024);
    let script = Scripted::new(Node::Hangs);
    let mut checker =
        Checker::start(script.clone(), Options { concurrency: 4, programs: 40, salt: 9 }, sender);
    checker.apply(&config(40));
    let mut down: Vec<_> = collect(&mut events, 40).await.into_iter().map(|event| event.address).collect();
    down.sort();
    assert_eq!(down, (1..=40).map(address).collect::<Vec<_>>());
    assert_eq!(script.see(|script| script.most_under_way), 4);
}

#[tokio::test(start_paused = true)]
async fn programs_wait_for_programs_and_others_for_others() {
    let (sender, mut events) = mpsc::channel(1024);
    let script = Scripted::new(Node::Hangs);
    let options = Options { concurrency: 4, programs: 2, salt: 9 };
    let mut checker = Checker::start(script.clone(), options, sender);
    let mut both = config(40);
    let program = Program { path: "./check".into(), arguments: vec![] };
    let check =
        HealthCheck { name: "run".into(), kind: CheckKind::Exec(program), ..both.health_checks[0].clone() };
    both.health_checks.push(check);
    both.pools.push(Pool { name: "jobs".into(), health: Some("run".into()), ..both.pools[0].clone() });
    checker.apply(&both);
    let down = collect(&mut events, 80).await;
    assert_eq!(down.iter().filter(|event| event.pool == "jobs").count(), 40);
    assert_eq!(script.see(|script| script.most_under_way), 6);
}
