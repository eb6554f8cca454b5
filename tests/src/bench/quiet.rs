//! A processor of our own, as far as the kernel gives one, and a way to notice that it did not.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// A spin that is slower than the best by more than this did not have the processor to itself.
const TOLERANCE: f64 = 1.1;
const SPIN_STEPS: u64 = 200_000;
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
/// The kernel gives real-time threads 95 % of each second; resting leaves others more than the rest.
const REST: Duration = Duration::from_millis(2);
/// Rests before a sample at most.
const WAITS: u32 = 10;
const PRIORITY: i32 = 50;

/// Where and how this thread runs.
pub(crate) struct Pinned {
    /// For people.
    pub(crate) note: String,
}

/// Pins this thread to the last processor it may use, with real-time priority if it is given.
pub(crate) fn claim_processor() -> Result<Pinned> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).context("cannot ask for the processors")?;
    let last = (0..CpuSet::count()).rev().find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let last = last.context("this thread may use no processor")?;
    let mut only = CpuSet::new();
    only.set(last)?;
    sched_setaffinity(this, &only).context("cannot stay on one processor")?;
    let how = match real_time() {
        Ok(()) => "with real-time priority".to_owned(),
        Err(error) => format!("without real-time priority ({error}); expect noise"),
    };
    Ok(Pinned { note: format!("on processor {last} {how}") })
}

fn real_time() -> std::io::Result<()> {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: the kernel reads the structure during the call; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// The best spin so far.
pub(crate) struct Calibration {
    best: f64,
}

impl Calibration {
    /// Knows nothing yet.
    pub(crate) fn new() -> Self {
        Self { best: f64::INFINITY }
    }

    /// Rests, until the processor seems to be free or for as long as is sensible; whether it is free.
    pub(crate) fn wait(&mut self) -> bool {
        (0..WAITS).any(|_| {
            std::thread::sleep(REST);
            undisturbed(self.spin(), self.best)
        })
    }

    /// The time of one spin, in seconds.
    pub(crate) fn spin(&mut self) -> f64 {
        let seconds = spin();
        self.best = self.best.min(seconds);
        seconds
    }
}

/// A fixed amount of arithmetic, as much at a time as a core can do: a neighbour on the core's other thread
/// shows as well as one on the same thread.
fn spin() -> f64 {
    let start = Instant::now();
    let mut values = black_box([1_u64, 3, 5, 7, 9, 11]);
    for step in 0..SPIN_STEPS {
        values = values.map(|value| (value.rotate_left(13) ^ FACTOR).wrapping_add(step));
    }
    black_box(values);
    start.elapsed().as_secs_f64()
}

/// Whether a spin says that nothing else ran.
pub(crate) fn undisturbed(spin: f64, best: f64) -> bool {
    spin <= best * TOLERANCE
}
