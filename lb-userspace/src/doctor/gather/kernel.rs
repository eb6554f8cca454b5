//! The kernel, and what this process may ask of it.

use std::path::Path;

use nix::sys::utsname::uname;

use crate::datapath::pins::Pins;
use crate::datapath::{privilege, probe};
use crate::doctor::facts::Seen;
use crate::doctor::gateway::Machine;

/// Of a gateway that pins its maps there.
pub(super) fn machine(pin_path: &Path) -> Machine {
    let lacking = privilege::lacking().map_err(|error| format!("/proc/self/status: {error}"));
    Machine {
        release: release(),
        unsupported: unsupported(&lacking),
        lacking,
        pin_path: pin_path.to_owned(),
        on_bpf_file_system: Pins::new(pin_path).on_bpf_file_system(),
    }
}

/// Empty if the kernel does not say.
fn release() -> String {
    uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// Asked for without the privileges, the kernel would seem to have nothing.
fn unsupported(lacking: &Seen<Vec<&'static str>>) -> Seen<Vec<&'static str>> {
    match lacking {
        Ok(names) if names.is_empty() => probe::unsupported(),
        _ => Err("the kernel answers only to whom may load programs".to_owned()),
    }
}
