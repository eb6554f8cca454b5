//! VIPs that are addresses of the machine.

use std::fs;

use super::world::{root, secrets};
use crate::config::{check_local, parse_with_places};

#[test]
fn a_vip_of_this_machine_is_refused_unless_allowed() {
    let text = fs::read_to_string(root().join("examples/dual-stack.yaml")).expect("readable");
    let secrets = secrets();
    let local = ["192.0.2.1", "2001:db8:1::53"].map(|address| address.parse().unwrap());
    let check = |text: &str| {
        let loaded = parse_with_places(text, "x.yaml", secrets.path()).expect("good");
        check_local(&loaded.config, &loaded.places, &local.into())
    };
    let problems: Vec<_> = check(&text).expect_err("one").iter().cloned().collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let line = text.lines().position(|line| line.contains("2001:db8:1::53")).expect("there") + 1;
    assert_eq!((problems[0].line as usize, problems[0].column), (line, 27));
    assert_eq!(problems[0].path, "services[1].vips[1]");
    assert_eq!(check(&text.replace("pools: [dns]", "pools: [dns]\n  allowLocal: true")), Ok(()));
}
