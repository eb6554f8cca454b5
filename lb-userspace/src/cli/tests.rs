//! What the parser takes, and what it refuses.

use super::*;

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

#[test]
fn the_parser_is_consistent() {
    use clap::CommandFactory as _;
    Arguments::command().debug_assert();
}

#[test]
fn documented_commands_are_understood() {
    for line in [
        "spillway status",
        "spillway failback cluster eu-1 --admin unix:///run/x.sock",
        "spillway rollout start web-to-us --admin unix:///run/x.sock",
        "spillway rollout promote web-to-us --full",
        "spillway rollout pause web-to-us",
        "spillway rollout resume web-to-us",
        "spillway rollout abort web-to-us",
        "spillway rollout rollback web-to-us",
        "spillway rollout status",
        "spillway rollout status web-to-us --output json",
        "spillway drill run weekly --force --wait --admin unix:///run/x.sock",
        "spillway drill run --fail us-1 --slice 5 --for 10m --abort-if client_reset_ratio>0.1 --min-samples 50",
        "spillway drill stop",
        "spillway drill status --output json",
        "spillway run --config x.yaml --log-packets --log-format json",
        "spillway node --config x.yaml --log-format json",
        "spillway services --output json",
        "spillway clusters --output table --pin-path /sys/fs/bpf/other",
        "spillway backends --pin-path /sys/fs/bpf/other --output json",
        "spillway maps list --output json",
        "spillway maps dump slab --limit 10",
        "spillway maps get vips 198.51.100.10:443/tcp --output json",
        "spillway maps get backends 3 --pin-path /sys/fs/bpf/other",
        "spillway explain --protocol tcp --source 192.0.2.7:40000 --destination 198.51.100.10:443",
        "spillway explain --protocol UDP --source [2001:db8::7]:40000 --destination [2001:db8::10]:443 --config x.yaml",
        "spillway explain --protocol tcp --source 192.0.2.7:1 --destination 192.0.2.8:2 --new --live --interface eth0",
        "spillway check a.yaml b.yaml --output json",
        "spillway plan --config x.yaml",
        "spillway plan --config x.yaml --fail us-1 --fail web-eu/192.0.2.21 --drain web-eu/2001:db8::21 --output json",
        "spillway plan --config old.yaml --to new.yaml --set web-eu.weight=20 --set web-eu/192.0.2.21.weight=0",
        "spillway plan --config x.yaml --demand shop/web=20000 --demand shop/api=0",
        "spillway drain --force cluster us-1",
        "spillway drain backend web-eu/192.0.2.21 --force --admin unix:///run/other.sock",
        "spillway check --schema",
        "spillway check --schema=node",
        "spillway doctor --config x.yaml --watch 5 --output json",
        "spillway doctor --config node.yaml --vip 198.51.100.10",
        "spillway doctor --node --vip 198.51.100.10 --vip 2001:db8:1::10 --gateway 192.0.2.1",
        "spillway doctor --node --vip 198.51.100.10 --gateway 192.0.2.1 --interface eth0 --encap gue --port 6081 \
         --client 203.0.113.7 --service-proxy",
    ] {
        assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
    }
}

#[test]
fn nonsense_is_refused_with_code_2() {
    for (line, hint) in [
        ("spillway maps dump slabs", "slab"),
        ("spillway maps dump", "NAME"),
        ("spillway maps get vips", "KEY"),
        ("spillway status --output yaml", "json"),
        ("spillway explain --protocol sctp --source 192.0.2.7:1 --destination 192.0.2.8:2", "tcp"),
        ("spillway explain --protocol tcp --source 192.0.2.7 --destination 192.0.2.8:2", "ADDRESS:PORT"),
        (
            "spillway explain --protocol tcp --source 2001:db8::1:1 --destination 192.0.2.8:2",
            "[2001:db8::1]:443",
        ),
        ("spillway explain --protocol tcp --destination 192.0.2.8:2", "--source"),
        (
            "spillway explain --protocol tcp --source 192.0.2.7:1 --destination 192.0.2.8:2 --config x --pin-path y",
            "--pin-path",
        ),
        (
            "spillway explain --protocol tcp --source 192.0.2.7:1 --destination 192.0.2.8:2 --live --redirected",
            "--redirected",
        ),
        (
            "spillway explain --protocol tcp --source 192.0.2.7:1 --destination 192.0.2.8:2 --interface eth0",
            "--live",
        ),
        ("spillway check", "FILE"),
        ("spillway plan --fail us-1", "--config"),
        ("spillway plan --config x.yaml --set weight=20", "POOL.weight=N"),
        ("spillway plan --config x.yaml --set web.weight=65536", "0 to 65535"),
        ("spillway plan --config x.yaml --fail web/us-1", "no IP address"),
        ("spillway plan --config x.yaml --demand shop/web", "SERVICE=NEW_CONN_PER_SEC"),
        ("spillway plan --config x.yaml --demand shop/web=-1", "integer"),
        ("spillway undrain --force cluster us-1", "--force"),
        ("spillway node", "--config"),
        ("spillway check --schema x.yaml", "FILE"),
        ("spillway doctor", "--config"),
        ("spillway doctor --node", "--vip"),
        ("spillway doctor --node --vip 198.51.100.10", "--gateway"),
        ("spillway doctor --config x.yaml --node --vip 198.51.100.10 --gateway 192.0.2.1", "--node"),
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(hint), "{line}: {error}");
    }
}

fn failure(line: &str) -> Failure {
    let arguments = parse(line).expect(line);
    act(&arguments.verb).expect_err(line)
}

#[test]
fn families_that_mix_are_a_usage_error() {
    let failure =
        failure("spillway explain --protocol tcp --source 192.0.2.7:1 --destination [2001:db8::1]:2");
    assert_eq!(failure.code(), 2);
}

#[test]
fn without_pins_the_mend_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let pins = directory.path().display();
    for verb in
        ["status", "services", "clusters", "backends", "maps list", "maps dump slab", "maps get control 0"]
    {
        let failure = failure(&format!("spillway {verb} --pin-path {pins}"));
        assert_eq!(failure.code(), 1);
        let told = format!("{:#}", failure.error);
        assert!(told.contains(&format!("nothing is pinned at {pins}/v6")), "{told}");
        assert!(told.contains("--pin-path"), "{told}");
    }
}

#[test]
fn a_configuration_that_is_not_there_is_an_invalid_one() {
    let flow = "--protocol tcp --source 192.0.2.7:1 --destination 192.0.2.8:2";
    assert_eq!(failure(&format!("spillway explain {flow} --config /does/not/exist.yaml")).code(), 3);
    assert_eq!(failure("spillway check /does/not/exist.yaml --output json").code(), 3);
    assert_eq!(failure("spillway plan --config /does/not/exist.yaml").code(), 3);
    assert_eq!(failure("spillway doctor --config /does/not/exist.yaml").code(), 3);
}

#[test]
fn a_refusal_by_the_kernel_is_a_missing_privilege() {
    use std::io::{Error, ErrorKind};
    let refused = |kind| Failure::of_kernel(anyhow::Error::from(Error::from(kind)).context("map slab"));
    assert_eq!(refused(ErrorKind::PermissionDenied).code(), 4);
    assert_eq!(refused(ErrorKind::NotFound).code(), 1);
}
