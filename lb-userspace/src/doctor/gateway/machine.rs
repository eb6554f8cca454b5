//! Kernel and privileges.

use super::GatewayFacts;
use crate::doctor::finding::{Finding, Topic};

/// The oldest kernel that the tests run on.
const OLDEST: (u32, u32) = (5, 10);
/// The first that does not count maps against `RLIMIT_MEMLOCK`.
const UNLIMITED: (u32, u32) = (5, 11);

/// What this process may do: the agent's own privileges may be others.
pub(super) fn privileges(facts: &GatewayFacts) -> Vec<Finding> {
    let topic = Topic::new("privileges", "this process");
    vec![match &facts.machine.lacking {
        Err(why) => topic.unseen(why),
        Ok(names) if names.is_empty() => topic.ok("may load and attach programs, as an agent must"),
        Ok(names) => topic.warning(
            format!("has no {}: some of what follows cannot be looked at, and an agent started like this would be refused", names.join(", ")),
            "run it as root; give the agent what deploy/spillway.service grants",
        ),
    }]
}

/// Whether the kernel is new enough, and has what the programs need.
pub(super) fn kernel(facts: &GatewayFacts) -> Vec<Finding> {
    let release = &facts.machine.release;
    let topic = Topic::new("kernel", release);
    let age = match version(release) {
        None => {
            topic.warning("its version cannot be read", "compare it with Linux 5.10, the oldest supported")
        }
        Some(version) if version < OLDEST => {
            topic.error("is older than Linux 5.10, the oldest supported", "install a newer kernel")
        }
        Some(version) if version < UNLIMITED => topic.hint(
            "counts maps against RLIMIT_MEMLOCK",
            "run the agent by the systemd unit, or after `ulimit -l unlimited`",
        ),
        Some(_) => topic.ok("is supported"),
    };
    vec![age, features(facts)]
}

fn features(facts: &GatewayFacts) -> Finding {
    let topic = Topic::new("kernel", "features");
    match &facts.machine.unsupported {
        Err(why) => topic.unseen(why),
        Ok(missing) if missing.is_empty() => topic.ok("XDP programs and every kind of map that is used"),
        Ok(missing) => topic.error(
            format!("this kernel has no {}", missing.join(", ")),
            "use a kernel with CONFIG_BPF_SYSCALL, CONFIG_BPF_JIT and CONFIG_NET, as distributions build it",
        ),
    }
}

/// `6.18.44-cloud` is 6.18.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether maps can be pinned where the file says.
pub(super) fn file_system(facts: &GatewayFacts) -> Vec<Finding> {
    let path = facts.machine.pin_path.display();
    let topic = Topic::new("bpf-fs", &path);
    vec![if facts.machine.on_bpf_file_system {
        topic.ok("is on a BPF file system")
    } else {
        topic.error(
            "is not on a BPF file system, so nothing can be pinned there",
            "mount one (`mount -t bpf bpf /sys/fs/bpf`), or set gateway.pinPath to a directory on one",
        )
    }]
}

#[cfg(test)]
mod tests {
    use super::super::stage::{gateway, severities};
    use super::*;
    use crate::doctor::finding::Severity::{Error, Hint, Ok as Fine, Warning};

    #[test]
    fn kernels_are_told_by_their_age() {
        let cases = [
            ("4.19.0", Error),
            ("5.9.16", Error),
            ("5.10.0-28-cloud-amd64", Hint),
            ("5.11.0", Fine),
            ("6.1.0-18", Fine),
            ("7.2.1", Fine),
            ("unknown", Warning),
        ];
        for (release, severity) in cases {
            let mut facts = gateway();
            facts.machine.release = release.into();
            assert_eq!(severities(&kernel(&facts)), [severity, Fine], "{release}");
        }
    }

    #[test]
    fn what_the_kernel_lacks_is_named() {
        let mut facts = gateway();
        facts.machine.unsupported = Ok(vec!["ringbuf maps", "lpm_trie maps"]);
        assert!(kernel(&facts)[1].says.ends_with("no ringbuf maps, lpm_trie maps"));
        facts.machine.unsupported = Err("not permitted".into());
        assert_eq!(severities(&kernel(&facts)), [Fine, Warning]);
    }

    #[test]
    fn without_privileges_it_says_so() {
        let mut facts = gateway();
        assert_eq!(severities(&privileges(&facts)), [Fine]);
        facts.machine.lacking = Ok(vec!["CAP_BPF"]);
        assert!(privileges(&facts)[0].says.starts_with("has no CAP_BPF: "));
    }

    #[test]
    fn pins_need_their_file_system() {
        let mut facts = gateway();
        assert_eq!(severities(&file_system(&facts)), [Fine]);
        facts.machine.on_bpf_file_system = false;
        assert_eq!(severities(&file_system(&facts)), [Error]);
    }
}
