//! Rules of nftables inside a namespace.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Namespace;

/// What `nft` says when the kernel refuses.
const REFUSED: &str = "Could not process rule";

/// Why this machine cannot have these rules, if it cannot: it lacks the `nft` tool, or its kernel what they ask for.
///
/// # Errors
/// When the rules are wrong; without `CAP_SYS_ADMIN`, or without the `ip` tool.
pub fn obstacle(rules: &str) -> Result<Option<String>> {
    if Command::new("nft").arg("--version").output().is_err() {
        return Ok(Some("`nft` is not installed (`apt-get install nftables`)".to_owned()));
    }
    match load(&Namespace::new("firewall")?, rules).map_err(|error| error.to_string()) {
        Ok(()) => Ok(None),
        Err(said) if said.contains(REFUSED) => Ok(Some(said)),
        Err(said) => bail!(said),
    }
}

/// Loads rules in a namespace, beside those that are there.
///
/// # Errors
/// When `nft` refuses, or is not installed.
pub fn load(namespace: &Namespace, rules: &str) -> Result<()> {
    let mut nft = namespace.command("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = nft.spawn().context("run `nft`: install it with `apt-get install nftables`")?;
    child.stdin.take().context("no way to `nft`")?.write_all(rules.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("in namespace {}: `nft`: {}", namespace.name(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
