//! Packets that were not sent, from the program's ring buffer into the log: one line each, or none at all.
//!
//! The program writes nothing unless its `AYA_LOG_LEVEL` lets it; at 0 the verifier removes what would. A
//! flood of packets costs the agent a bounded number of lines: past it the reader rests, the buffer fills
//! up, and the program's further lines are lost. The counters miss none.

mod budget;
mod line;

use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use std::{io, thread};

use aya::Ebpf;
use aya_log::{EbpfLogger, Level};
use log::{Log, Metadata, Record};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use thiserror::Error;
use tracing::{error, warn};

use budget::Budget;
use line::Line;

/// The ring buffer, as `aya-log-ebpf` names it. It is not pinned: each program has its own.
pub(super) const MAP: &str = "AYA_LOGS";

/// Whether packets that are not sent are logged one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PacketLog {
    /// They are counted; the program has no code to do more.
    #[default]
    Off,
    /// A line each, up to a number a second.
    On,
}

impl PacketLog {
    /// What `AYA_LOG_LEVEL` is set to.
    pub(super) const fn level(self) -> &'static u8 {
        match self {
            Self::Off => &0,
            Self::On => &(Level::Info as u8),
        }
    }

    /// Size of the ring buffer in bytes, rounded up to a page: room for about a second's lines.
    pub(super) const fn buffer(self) -> u32 {
        match self {
            Self::Off => 1,
            Self::On => 32 << 10,
        }
    }
}

/// Why packets are not logged.
#[derive(Debug, Error)]
pub enum PacketLogError {
    /// The ring buffer cannot be read.
    #[error("the program's log cannot be read: {0}")]
    Buffer(#[from] aya_log::Error),
    /// No thread to read it.
    #[error("no thread to read the program's log: {0}")]
    Thread(#[from] io::Error),
}

/// Reads a program's lines until it is dropped.
#[derive(Debug)]
pub(super) struct Reader(Arc<AtomicBool>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How often a reader looks whether it is still wanted, in milliseconds.
const LOOK: u16 = 1000;

/// Reads the program's lines on a thread of its own: under a flood reading never comes to an end, which the
/// agent's loop must not wait for.
pub(super) fn start(ebpf: &mut Ebpf) -> Result<Reader, PacketLogError> {
    let lines = EbpfLogger::init_with_logger(ebpf, Lines::default())?;
    let over = Arc::new(AtomicBool::new(false));
    let reader = Reader(over.clone());
    thread::Builder::new().name("packet-log".to_owned()).spawn(move || read(lines, &over))?;
    Ok(reader)
}

fn read(mut reader: EbpfLogger<Lines>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let waited = poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], PollTimeout::from(LOOK));
        match waited {
            Ok(_) => reader.flush(),
            Err(Errno::EINTR) => {}
            Err(reason) => return error!(event = "packet", %reason, "packets are logged no more"),
        }
    }
}

/// Takes the program's lines and says them.
#[derive(Debug, Default)]
struct Lines(Mutex<Budget>);

impl Lines {
    /// Rests if too much was said in this second.
    fn pace(&self) {
        let mut budget = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rest) = budget.spend(Instant::now()) {
            warn!(
                event = "packet",
                "more than {} packets a second are not sent: some are left out of the log; reason_stats counts all",
                budget::LINES
            );
            thread::sleep(rest);
        }
    }
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.pace();
        let text = record.args().to_string();
        match text.parse::<Line>() {
            Ok(line) => line.say(),
            Err(reason) => error!(event = "packet", text, %reason, "not understood"),
        }
    }

    fn flush(&self) {}
}
