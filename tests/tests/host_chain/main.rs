//! Random configurations and random histories of what is observed, through the whole pure chain: text, configuration, policy,
//! tables, plan, maps, and what a packet finds in them.

mod agent;
mod text;

use anyhow::{Result, ensure};
use lb_tests::fixture::{Chance, Effort};
use tempfile::TempDir;

use agent::Agent;

/// Histories that are tried.
const USUAL: usize = 100;
/// Changes of each.
const CHANGES: usize = 12;

#[test]
fn whatever_is_configured_and_observed_what_is_served_follows() -> Result<()> {
    let effort = Effort::histories_from_env(USUAL)?;
    let mut chance = Chance::new(effort.seed);
    let secrets = secrets()?;
    let (mut agents, mut refused, mut sent) = (0, 0, 0);
    for _ in 0..effort.frames {
        let text = text::configuration(&mut chance);
        let Ok(config) = lb_userspace::config::parse(&text, "random.yaml", secrets.path()) else {
            refused += 1;
            continue;
        };
        agents += 1;
        let mut agent = Agent::new(config);
        for _ in 0..CHANGES {
            agent.change(&mut chance);
            sent += agent.follow(&mut chance).map_err(|error| error.context(text.clone()))?;
        }
        agent.settle().map_err(|error| error.context(text.clone()))?;
    }
    println!("{agents} agents, {refused} configurations refused, {sent} flows sent");
    ensure!(agents > refused, "{refused} configurations were refused, and {agents} were not");
    ensure!(sent > agents * CHANGES, "only {sent} flows were sent by {agents} agents");
    Ok(())
}

/// A directory with the key that the configurations name.
fn secrets() -> Result<TempDir> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir()?;
    let key = directory.path().join("hash.key");
    std::fs::write(&key, "000102030405060708090a0b0c0d0e0f\n")?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
    Ok(directory)
}
