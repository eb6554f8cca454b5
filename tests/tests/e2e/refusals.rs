//! What `spillway run` refuses, it refuses at once, in words, with the documented exit code, and without a
//! trace.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lb_tests::lab::{Attached, Objects, is_root};

use crate::gateway::{Gateway, PATIENCE};
use crate::wire::{self, Wire};

const NOBODY: u32 = 65_534;

/// A wire, and a gateway configured for `interface`; `None`: the test cannot run.
fn stage(interface: &str) -> Result<Option<(Wire, Gateway)>> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(None);
    }
    let (wire, gateway) = (Wire::new()?, Gateway::new()?);
    gateway.configure(&[interface], &wire::config(&wire::world())?)?;
    Ok(Some((wire, gateway)))
}

/// The exit code, and what it said on standard error.
fn ended(command: &mut Command) -> Result<(Option<i32>, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("it did not end by itself");
        }
        thread::sleep(Duration::from_millis(10));
    }
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    Ok((status.code(), String::from_utf8_lossy(&stderr).into_owned()))
}

fn run(wire: &Wire, gateway: &Gateway, config: &Path) -> Result<(Option<i32>, String)> {
    ended(wire.gateway.command(gateway.spillway()).args(["run", "--config"]).arg(config))
}

fn refused(wire: &Wire, gateway: &Gateway, code: i32, words: &[&str]) -> Result<()> {
    let (ended, said) = run(wire, gateway, &gateway.config())?;
    assert_eq!(ended, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    let left = fs::read_dir(gateway.pin_path()).map_or(0, Iterator::count);
    assert_eq!(left, 0, "pins are left behind");
    Ok(())
}

#[test]
fn an_interface_that_is_not_there() -> Result<()> {
    let Some((wire, gateway)) = stage("eth9")? else { return Ok(()) };
    refused(&wire, &gateway, 1, &["there is no interface eth9", "eth0"])
}

#[test]
fn an_interface_with_another_program_which_stays() -> Result<()> {
    let Some((wire, gateway)) = stage("eth0")? else { return Ok(()) };
    let _other = Attached::pass(&Objects::from_env()?, &wire.gateway, "eth0")?;
    let look = || -> Result<String> {
        let shown = wire.gateway.command("ip").args(["-details", "link", "show", "eth0"]).output()?;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        Ok(shown.lines().find(|line| line.contains("prog/xdp")).unwrap_or_default().to_owned())
    };
    let before = look()?;
    assert!(before.contains("id"), "{before:?}");
    refused(&wire, &gateway, 1, &["another XDP program", "eth0"])?;
    assert_eq!(look()?, before);
    Ok(())
}

#[test]
fn a_configuration_with_errors() -> Result<()> {
    let Some((wire, gateway)) = stage("eth0")? else { return Ok(()) };
    let text = fs::read_to_string(gateway.config())?;
    gateway.write_config(&text.replace("\"rows\": 4096", "\"rows\": 4000").replace("shop/dns", "dns"))?;
    refused(&wire, &gateway, 3, &["spillway.yaml:", "4000", "mend:", "dns"])?;
    fs::remove_file(gateway.config())?;
    refused(&wire, &gateway, 3, &["spillway.yaml"])
}

#[test]
fn pins_that_are_not_on_a_bpf_file_system() -> Result<()> {
    let Some((wire, gateway)) = stage("eth0")? else { return Ok(()) };
    let elsewhere = gateway.work().path().join("ordinary");
    let text = fs::read_to_string(gateway.config())?;
    let pins = gateway.pin_path().display().to_string();
    gateway.write_config(&text.replace(&pins, &elsewhere.display().to_string()))?;
    refused(&wire, &gateway, 4, &["is not on a BPF file system", "mount -t bpf"])?;
    assert!(!elsewhere.exists());
    Ok(())
}

#[test]
fn a_second_agent_on_the_same_pins() -> Result<()> {
    let Some((wire, mut gateway)) = stage("eth0")? else { return Ok(()) };
    gateway.start(&wire.gateway)?;
    let before = gateway.ask(&["status"])?;
    let (code, said) = run(&wire, &gateway, &gateway.config())?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another agent"), "{said}");
    assert_eq!(gateway.ask(&["status"])?["interfaces"], before["interfaces"]);
    Ok(())
}

#[test]
fn a_user_without_privileges() -> Result<()> {
    let Some((wire, gateway)) = stage("eth0")? else { return Ok(()) };
    // Nobody may look into the directories where the program and the configuration lie.
    let open = tempfile::tempdir()?;
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o755))?;
    let program = open.path().join("spillway");
    fs::copy(gateway.spillway(), &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let mut command = wire.gateway.command(&program);
    // The namespace is entered first, as root; then the privileges are laid down for good.
    // SAFETY: between fork and exec; these are bare system calls that neither allocate nor lock.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setgid(NOBODY.into())?;
            Ok(nix::unistd::setuid(NOBODY.into())?)
        });
    }
    let (code, said) = ended(command.args(["run", "--config"]).arg(gateway.config()))?;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("CAP_NET_ADMIN") && said.contains("run as root"), "{said}");
    Ok(())
}

#[test]
fn a_command_line_without_sense() -> Result<()> {
    let Some((wire, gateway)) = stage("eth0")? else { return Ok(()) };
    let (code, said) = ended(wire.gateway.command(gateway.spillway()).arg("run"))?;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--config"), "{said}");
    Ok(())
}
