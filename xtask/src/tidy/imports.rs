//! Who may use what: the invariants of the two walks that show in a file's imports.

use super::source::{Source, Violation, has_phrase};

const AYA: [&str; 4] = ["aya", "aya_ebpf", "aya_obj", "aya_log"];
const IMPURE_IN_PIPELINE: [&str; 6] =
    ["aya", "aya_ebpf", "aya_log_ebpf", "alloc", "std::time", "bpf_ktime_get_ns"];
const IMPURE_IN_DECISIONS: [&str; 9] = [
    "tokio",
    "aya",
    "aya_obj",
    "Instant::now",
    "SystemTime",
    "rand",
    "thread_rng",
    "getrandom",
    "UtcDateTime::now",
];

/// In userspace, only `datapath` speaks to the kernel.
pub(super) fn aya_stays_in_datapath(source: &Source) -> Vec<Violation> {
    let path = source.path.strip_prefix("lb-userspace/src/");
    let elsewhere = path.is_some_and(|path| !path.starts_with("datapath/") && path != "datapath.rs");
    found(source, elsewhere, &AYA, "go through `datapath`")
}

/// The lib of `lb-ebpf` runs in the kernel, in tests and in `explain`: no maps, heap or clock of its own.
pub(super) fn pipeline_is_pure(source: &Source) -> Vec<Violation> {
    let path = source.path.strip_prefix("lb-ebpf/src/");
    let shell = ["bin/", "program/", "program.rs"];
    let pipeline = path.is_some_and(|path| !shell.iter().any(|part| path.starts_with(part)));
    found(source, pipeline, &IMPURE_IN_PIPELINE, "take it as an argument, or through `Frame` and `Tables`")
}

/// What every gateway must decide alike depends on its arguments alone.
pub(super) fn decisions_are_pure(source: &Source) -> Vec<Violation> {
    let path = source.path.strip_prefix("lb-userspace/src/").unwrap_or_default();
    let pure = [
        "policy/",
        "policy.rs",
        "compile/",
        "compile.rs",
        "plan/",
        "reconcile/plan.rs",
        "reconcile/plan/",
        "doctor/gateway/",
        "doctor/node/",
        "doctor/link.rs",
        "doctor/route.rs",
    ];
    let decides = pure.iter().any(|part| path.starts_with(part));
    found(source, decides, &IMPURE_IN_DECISIONS, "take time, seeds and state as arguments")
}

fn found(source: &Source, applies: bool, barred: &[&str], mend: &'static str) -> Vec<Violation> {
    if !applies || !source.is_rust() {
        return Vec::new();
    }
    let hits = source.code().filter_map(|(number, code)| {
        let phrase = barred.iter().find(|phrase| has_phrase(code, phrase))?;
        Some(source.violation(number, format!("`{phrase}` has no place here"), mend))
    });
    hits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn aya_is_for_the_datapath_alone() {
        let code = "//! Loads through aya.\nuse aya::Ebpf;\n";
        let violations = aya_stays_in_datapath(&source("lb-userspace/src/daemon.rs", code));
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].place, "lb-userspace/src/daemon.rs:2");
        assert!(aya_stays_in_datapath(&source("lb-userspace/src/datapath/load.rs", code)).is_empty());
        assert!(aya_stays_in_datapath(&source("tests/src/lib.rs", code)).is_empty());
    }

    #[test]
    fn the_pipeline_has_no_maps_heap_or_clock() {
        let code =
            "use aya_ebpf::maps::Array;\nuse alloc::vec::Vec;\nuse std::time::Duration;\nuse core::mem;\n";
        assert_eq!(pipeline_is_pure(&source("lb-ebpf/src/track.rs", code)).len(), 3);
        assert!(pipeline_is_pure(&source("lb-ebpf/src/program/maps.rs", code)).is_empty());
        assert!(pipeline_is_pure(&source("lb-ebpf/src/bin/gateway.rs", code)).is_empty());
    }

    #[test]
    fn decisions_read_no_clock() {
        let code = "let now = Instant::now();\nlet spread = rand::random();\nlet operand = 1;\n";
        assert_eq!(decisions_are_pure(&source("lb-userspace/src/compile/maglev.rs", code)).len(), 2);
        assert_eq!(decisions_are_pure(&source("lb-userspace/src/reconcile/plan.rs", code)).len(), 2);
        assert!(decisions_are_pure(&source("lb-userspace/src/reconcile/apply.rs", code)).is_empty());
    }
}
