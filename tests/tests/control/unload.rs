//! The end of it: program and maps go, but not under a running agent.

use super::gateway_world::World;

#[test]
fn maps_are_not_taken_away_under_an_agent() {
    let world = World::new(1);
    let config = world.config();
    let mut agent = world.start(&config);
    let pin_path = config.pin_path.display().to_string();
    let unload = |more: &[&str]| {
        let output = world.spillway(&[&["unload", "--pin-path", &pin_path], more].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = unload(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("an agent runs on the maps at") && said.contains("end it first"), "{said}");
    assert!(world.has_program("eth0"));
    assert_eq!(world.answers(4), ["node-1"]);

    agent.stop();
    assert_eq!(unload(&[]), (Some(0), String::new()));
    assert!(!world.has_program("eth0") && !config.pin_path.join("v1").exists());
    assert_eq!(unload(&[]), (Some(0), String::new()), "nothing to remove");

    let _agent = world.start(&config);
    assert_eq!(unload(&["--force"]), (Some(0), String::new()));
    assert!(!world.has_program("eth0"));
}
