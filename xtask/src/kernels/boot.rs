//! One kernel, booted: what its second serial port says, until it ends or its time is over.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::emulator::Emulator;
use super::kernel::Kernel;

/// For booting and all tests; five minutes are usual.
const LIMIT: Duration = Duration::from_mins(20);
/// No KVM: it runs wherever this does. Two processors, or nothing would run at the same time.
const MACHINE: [&str; 17] = [
    "-machine",
    "q35",
    "-accel",
    "tcg,thread=multi",
    "-cpu",
    "max,la57=off",
    "-m",
    "1536",
    "-smp",
    "2",
    "-display",
    "none",
    "-monitor",
    "none",
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
];
/// A kernel that panics ends the machine.
const COMMAND_LINE: &str = "console=ttyS0 panic=-1 quiet mitigations=off nokaslr";

/// What a machine said.
#[derive(Default)]
pub(super) struct Said {
    /// Line by line.
    pub(super) lines: Vec<String>,
    /// When each came, from the start on.
    pub(super) times: Vec<Duration>,
    /// How long it ran.
    pub(super) took: Duration,
}

/// Boots a kernel with a file system; its own messages go to the file `console`.
///
/// # Errors
/// When qemu cannot be started.
pub(super) fn boot(emulator: &Emulator, kernel: &Kernel, files: &Path, console: &Path) -> Result<Said> {
    let start = Instant::now();
    let mut child = start_machine(emulator, kernel, files, console)?;
    let lines = lines_of(&mut child)?;
    let mut said = Said::default();
    while let Ok(line) = lines.recv_timeout(LIMIT.saturating_sub(start.elapsed())) {
        said.times.push(start.elapsed());
        said.lines.push(line);
    }
    if start.elapsed() >= LIMIT {
        said.times.push(start.elapsed());
        said.lines.push(format!("no end after {} s", LIMIT.as_secs()));
    }
    // It has ended by itself, or has to.
    let _ = child.kill();
    child.wait()?;
    said.took = start.elapsed();
    Ok(said)
}

impl Said {
    /// Every line with the second it came in.
    pub(super) fn log(&self) -> String {
        let line = |(time, line): (&Duration, &String)| format!("{:6.1} {line}\n", time.as_secs_f64());
        self.times.iter().zip(&self.lines).map(line).collect::<Vec<_>>().concat()
    }
}

fn start_machine(emulator: &Emulator, kernel: &Kernel, files: &Path, console: &Path) -> Result<Child> {
    let mut command: Command = emulator.qemu();
    command.args(MACHINE).arg("-kernel").arg(kernel.image()).arg("-initrd").arg(files);
    command.args(["-append", COMMAND_LINE, "-serial"]).arg(format!("file:{}", console.display()));
    command.args(["-serial", "stdio"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().context("cannot run qemu")
}

/// Lines as they come, until the machine ends.
fn lines_of(child: &mut Child) -> Result<Receiver<String>> {
    let output = child.stdout.take().context("qemu has no output")?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
