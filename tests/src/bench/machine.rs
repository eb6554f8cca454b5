//! The machine, so that a figure can be read: never its name.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::thread;

use serde::Serialize;

/// What a figure depends on beside the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The processor's model.
    pub cpu: String,
    /// Processors that this process could use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Whether programs are compiled to machine code.
    pub jit: bool,
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, kernel, jit } = self;
        write!(f, "{cpu}, {cores} cores, Linux {kernel}, JIT {}", if *jit { "on" } else { "off" })
    }
}

/// This machine; what cannot be read is "unknown".
pub(crate) fn describe() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
    Machine {
        cpu: model(&read("/proc/cpuinfo")),
        cores: thread::available_parallelism().map_or(1, usize::from),
        kernel: if kernel.is_empty() { "unknown".to_owned() } else { kernel },
        jit: !matches!(read("/proc/sys/net/core/bpf_jit_enable").trim(), "" | "0"),
    }
}

fn model(cpuinfo: &str) -> String {
    let field = |name| {
        let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    let Some(name) = field("model name") else { return "unknown".to_owned() };
    match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_read_from_the_first_processor() {
        let cpuinfo =
            "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\n";
        assert_eq!(model(cpuinfo), "AMD EPYC (family 25, model 17)");
        assert_eq!(model(""), "unknown");
    }
}
