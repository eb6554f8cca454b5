use super::*;

fn reading(begun: u64, completed: u64, retried: u64) -> Reading {
    let evidence = Evidence { begun, completed, retried, ..Evidence::default() };
    Reading { counters: BackendCounters { packets: begun * 10, bytes: begun * 1000 }, evidence }
}

fn span(reading: Reading, sampled: u32) -> Span {
    Span { reading, over: Duration::from_secs(2), sampled }
}

#[test]
fn rates_are_of_a_second_and_flows_are_as_many_as_the_sample_stands_for() {
    let span = span(reading(60, 50, 10) - reading(20, 20, 0), 65_536 / 16);
    assert_eq!((span.packets(), span.bytes()), (200.0, 20_000.0));
    assert_eq!(span.new_flows(), Some(320.0));
    let handshakes = Handshakes::of(&span.reading.evidence);
    assert_eq!((handshakes.volume(), handshakes.failed_percent()), (40, Some(25)));
}

#[test]
fn what_nobody_follows_is_not_known() {
    let span = span(reading(0, 0, 0), 0);
    assert_eq!((span.new_flows(), span.active_flows(), span.handshake_time(50)), (None, None, None));
    assert_eq!(Handshakes::default().failed_percent(), None);
}

#[test]
fn counts_that_began_anew_are_nothing() {
    assert_eq!((reading(1, 1, 0) - reading(5, 4, 2)).evidence.begun, 0);
}

#[test]
fn a_cluster_is_the_sum_of_its_backends() {
    let sum: Reading = [reading(1, 1, 0), reading(2, 1, 1)].into_iter().sum();
    assert_eq!((sum.evidence.begun, sum.evidence.retried, sum.counters.packets), (3, 1, 30));
}

#[test]
fn times_are_where_their_buckets_end() {
    let mut evidence = Evidence::default();
    evidence.times[2] = 98;
    evidence.times[12] = 1;
    evidence.times[15] = 1;
    let span = span(evidence.into(), 1);
    let times = [50, 98, 99, 100].map(|percent| span.handshake_time(percent));
    assert_eq!(times, [Some(1024), Some(1024), Some(1 << 20), None]);
}

#[test]
fn active_flows_are_those_of_an_interval() {
    // Each of 100 flows counts once in 8.6 s: in two seconds 23 do.
    let evidence = Evidence { active: 23, ..Evidence::default() };
    let flows = span(evidence.into(), 65_536).active_flows().unwrap();
    assert!((98.0..100.0).contains(&flows), "{flows}");
}

/// So many flows of a pool with one backend have begun.
fn begun(begun: u64) -> Moment {
    Moment::of(&record(), |_| reading(begun, 0, 0))
}

fn record() -> crate::compile::Record {
    let text = "apiVersion: spillway/v1\nclusterSet: {id: t, secretFile: hash.key}\ngateway: {interfaces: [eth0]}\n\
        clusters: [{name: eu}]\nservices: [{name: s/web, vips: [198.51.100.1], ports: [{port: 80}], pools: [web]}]\n\
        pools: [{name: web, cluster: eu, endpoints: [{address: 192.0.2.1}]}]\n";
    crate::explain::offline::imagine(&crate::config::tests::world::configured(text)).unwrap().1
}

#[test]
fn a_window_knows_nothing_before_it_is_full_and_forgets_what_is_older() {
    let mut window = Window::default();
    let one_in_four = Control::FLOWS / 4;
    for second in 0..10 {
        window.look(second * 1000, begun(second * 30));
        assert_eq!(window.begun(one_in_four), None);
    }
    window.look(10_000, begun(300));
    let rates = |window: &Window| window.begun(one_in_four).unwrap()["web"];
    assert_eq!(rates(&window), Begun { followed: 300, per_second: 120 });
    assert_eq!(window.begun(0), None, "nobody is followed");
    (11..=15).for_each(|second| window.look(second * 1000, begun(300)));
    assert_eq!(rates(&window), Begun { followed: 150, per_second: 60 });
    (16..=20).for_each(|second| window.look(second * 1000, begun(300)));
    assert_eq!(rates(&window).followed, 0);
}
