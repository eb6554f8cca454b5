//! A network namespace that lives as long as its value.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns, unshare};

/// Values that make a fresh namespace predictable: it would inherit some from the machine.
const SYSCTLS: [(&str, &str); 8] = [
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv6/conf/all/disable_ipv6", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/all/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
];

/// A network namespace held by a descriptor: closed, it is gone with its interfaces, routes and
/// attached programs, whatever way the process ends.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: Arc<File>,
}

impl Namespace {
    /// Makes a namespace with `lo` up; `name` is for messages only.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`, or without the `ip` tool.
    pub fn new(name: &str) -> Result<Self> {
        let handle = on_fresh_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .context("make a network namespace (that needs root: use sudo)")?;
            File::open("/proc/thread-self/ns/net").context("open the new namespace")
        })?;
        let namespace = Self { name: name.to_owned(), handle: Arc::new(handle) };
        for (key, value) in SYSCTLS {
            namespace.sysctl(key, value)?;
        }
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The name given at creation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A path that other processes can open while this one lives (`nsenter --net=PATH`).
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.handle.as_raw_fd()))
    }

    /// Runs `work` on a fresh thread inside; sockets and threads it makes are born there.
    ///
    /// # Errors
    /// Those of `work`, or of entering. A panic in `work` goes on in the caller.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        on_fresh_thread(|| {
            setns(&*self.handle, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("enter namespace {}", self.name))?;
            work()
        })
    }

    /// A command that will run inside. The file system stays the machine's (`ip netns exec` would
    /// hide `/sys/fs/bpf`).
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let handle = Arc::clone(&self.handle);
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; setns(2) is a bare
        // system call, and the closure neither allocates nor locks.
        unsafe { command.pre_exec(move || Ok(setns(&*handle, CloneFlags::CLONE_NEWNET)?)) };
        command
    }

    /// Runs `ip` with these words inside.
    ///
    /// # Errors
    /// With what `ip` printed, or a hint when it is not installed.
    pub fn ip(&self, words: &str) -> Result<()> {
        let output = self
            .command("ip")
            .args(words.split_whitespace())
            .output()
            .context("run `ip`: install it with `apt-get install iproute2`")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("in namespace {}: `ip {words}`: {}", self.name, said.trim());
        }
        Ok(())
    }

    /// Sets a value below `/proc/sys`; only `net/…`, which is the namespace's own.
    ///
    /// # Errors
    /// For another key, or one this kernel does not have.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        if !key.starts_with("net/") {
            bail!("{key} is not a namespace's own setting: only net/… may be set");
        }
        let path = Path::new("/proc/sys").join(key);
        self.enter(|| std::fs::write(&path, value).with_context(|| format!("write {}", path.display())))
    }
}

/// Runs `work` on a thread of its own, whose namespace may be changed freely.
fn on_fresh_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| resume_unwind(panic)))
}
