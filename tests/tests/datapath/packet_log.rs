use anyhow::{Context as _, Result};
use lb_common::abi::Features;
use lb_tests::fixture::{INTERFACE, World};
use lb_tests::lab::is_root;
use lb_userspace::datapath::packet_log::PacketLog;

use crate::program::Program;

/// Bytes of the code that logs, at the least.
const LOGGING: u32 = 4096;

/// Instructions verified, and bytes of the program as the kernel holds it; `None` before Linux 5.16, which
/// does not count.
fn size(log: PacketLog) -> Result<Option<(u32, u32)>> {
    let info = Program::load_with(&World::load()?, INTERFACE, log, Features::default())?.info()?;
    let size = info.size_translated().context("this kernel does not tell the size; 4.13 does")?;
    Ok(info.verified_instruction_count().map(|verified| (verified, size)))
}

#[test]
fn what_does_not_log_has_no_code_that_could() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let (Some(off), Some(on)) = (size(PacketLog::Off)?, size(PacketLog::On)?) else {
        println!("SKIP: this kernel does not count the instructions it verifies; Linux 5.16 does");
        return Ok(());
    };
    println!("off: {} instructions verified, {} bytes; on: {}, {}", off.0, off.1, on.0, on.1);
    assert!(off.0 * 3 / 2 < on.0 && off.1 + LOGGING < on.1, "off {off:?}, on {on:?}");
    Ok(())
}
