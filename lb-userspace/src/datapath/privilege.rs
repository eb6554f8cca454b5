//! What the agent may do, asked before it tries: a refusal by the kernel would not say what is missing.

use std::fs;
use std::io;

use thiserror::Error;

/// What loading and attaching needs, by the kernel's numbers (`linux/capability.h`).
/// Without `CAP_PERFMON` the verifier refuses arithmetic on packet pointers that the compiler makes.
const NEEDED: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_BPF", 39), ("CAP_PERFMON", 38)];
/// Stands in for `CAP_BPF` and `CAP_PERFMON`, as before Linux 5.8.
const SYS_ADMIN: u32 = 21;

/// A privilege or kernel feature is missing.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    /// Capabilities are missing.
    #[error("{} missing; run as root, or grant {}", names.join(", "), if names.len() == 1 { "it" } else { "them" })]
    Missing {
        /// Names of the capabilities.
        names: Vec<&'static str>,
    },
    /// The process's own status cannot be read.
    #[error("/proc/self/status: {0}")]
    Unknown(#[from] io::Error),
}

/// Whether this process can load and attach XDP programs.
pub fn check() -> Result<(), PrivilegeError> {
    let names = lacking()?;
    if names.is_empty() { Ok(()) } else { Err(PrivilegeError::Missing { names }) }
}

/// Names of the capabilities that this process would need for it and does not have.
///
/// # Errors
/// If the process's own status cannot be read.
pub fn lacking() -> io::Result<Vec<&'static str>> {
    Ok(missing(effective(&fs::read_to_string("/proc/self/status")?)))
}

fn missing(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    let held = |name: &str, bit: u32| has(bit) || name != "CAP_NET_ADMIN" && has(SYS_ADMIN);
    NEEDED.iter().filter(|(name, bit)| !held(name, *bit)).map(|(name, _)| *name).collect()
}

fn effective(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status() {
        assert_eq!(effective("Name:\tx\nCapEff:\t000001ffffffffff\n"), 0x1ff_ffff_ffff);
        assert_eq!(effective("nothing"), 0);
    }

    #[test]
    fn names_what_is_missing() {
        assert_eq!(missing(0), ["CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing(1 << 12 | 1 << 39 | 1 << 38), [""; 0]);
        assert_eq!(missing(1 << 12 | 1 << SYS_ADMIN), [""; 0]);
        let error = PrivilegeError::Missing { names: missing(0) };
        assert_eq!(
            error.to_string(),
            "CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON missing; run as root, or grant them"
        );
    }
}
