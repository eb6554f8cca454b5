//! An agent (`spillway run` or `spillway node`) running inside a namespace.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Namespace;
use super::events::{Event, parse};

/// How long it may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);
/// Lines of its log that are kept for an error message.
const KEPT_LINES: usize = 20;

/// What the agent has said.
#[derive(Debug, Default)]
struct Heard {
    events: Vec<Event>,
    last_lines: Vec<String>,
}

/// The running agent; terminated when dropped, and by the kernel when this process dies.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    heard: Arc<Mutex<Heard>>,
    listener: Option<JoinHandle<()>>,
}

impl Agent {
    /// Starts `spillway run --config CONFIG --log-format json` in `namespace`, in a process group of
    /// its own so that Ctrl-C leaves its end to us. The calling thread must outlive the agent: the
    /// kernel ends it with that thread.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(namespace: &Namespace, spillway: &Path, config: &Path) -> Result<Self> {
        Self::start_with(namespace, spillway, config, &[])
    }

    /// The same with more options of `spillway run`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start_with(
        namespace: &Namespace,
        spillway: &Path,
        config: &Path,
        options: &[&str],
    ) -> Result<Self> {
        let mut command = namespace.command(spillway);
        command.args(["run", "--config"]).arg(config).args(options);
        Self::spawn(command)
    }

    /// Starts a command that runs an agent, with its log as JSON. The rest is as with [`Self::start`].
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(mut command: Command) -> Result<Self> {
        command.args(["--log-format", "json"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        // SAFETY: prctl(2) is a bare system call, async-signal-safe, and the closure has no captures.
        unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGTERM)?)) };
        let mut child =
            command.spawn().with_context(|| format!("start {}", command.get_program().display()))?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let listener = child.stderr.take().map(|log| {
            let heard = Arc::clone(&heard);
            thread::spawn(move || listen(log, &heard))
        });
        Ok(Self { child, heard, listener })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All events so far, in the order they were said.
    pub fn events(&self) -> Vec<Event> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).events.clone()
    }

    /// The last lines of its log.
    pub fn last_lines(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).last_lines.clone()
    }

    /// Fails with its status and last lines if it has ended.
    ///
    /// # Errors
    /// When it does not run any more.
    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("wait for the agent")? {
            // Let the listener read what was said last.
            thread::sleep(Duration::from_millis(50));
            bail!("the agent ended ({status}):\n  {}", self.last_lines().join("\n  "));
        }
        Ok(())
    }

    /// Ends it as nothing can prevent: it says and does nothing more.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        // Dropped, it is waited for.
        Ok(())
    }

    /// Ends it: SIGTERM, and SIGKILL when that does not help within five seconds.
    pub fn stop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let pid = Pid::from_raw(self.child.id().cast_signed());
            // It may end between the two calls; then there is nobody to signal.
            let _ = kill(pid, Signal::SIGTERM);
            if !self.ends_within(GRACE) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }

    fn ends_within(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}

fn listen(log: impl Read, heard: &Mutex<Heard>) {
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        let event = parse(&line, SystemTime::now());
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.events.extend(event);
        if heard.last_lines.len() == KEPT_LINES {
            heard.last_lines.remove(0);
        }
        heard.last_lines.push(line);
    }
}
