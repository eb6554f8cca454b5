//! One run of a program of this machine, which is told whom it is about. It is started as it is, never by a shell.

use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::task::consume_budget;

use super::deadline::Deadline;
use super::failure::{Failure, Phase};
use crate::config::model::Program;
use crate::health::checker::{Plan, Target};
use crate::quotable::quotable;

/// Bytes of its output that are kept; the others are read, so that it need not wait, and thrown away.
const KEPT: usize = 1 << 10;

/// Runs it and waits for its end.
pub(super) async fn probe(
    program: &Program,
    target: &Target,
    plan: &Plan,
    deadline: &Deadline,
) -> Result<(), Failure> {
    let began = begin(program, target, plan);
    let (mut group, output) =
        began.map_err(|error| Failure::Program { program: program.path.clone(), error })?;
    let ended = async { group.end(&output).await.map_err(Failure::Local) };
    match deadline.hold(Phase::Running, ended).await? {
        (status, _) if status.success() => Ok(()),
        (status, output) => Err(Failure::Exit { status, line: quotable(&String::from_utf8_lossy(&output)) }),
    }
}

fn begin(program: &Program, target: &Target, plan: &Plan) -> io::Result<(Group, Receiver)> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .env("SPILLWAY_POOL", &target.pool)
        .env("SPILLWAY_ADDRESS", target.address.to_string())
        .envs(plan.check.port.map(|port| ("SPILLWAY_PORT", port.to_string())))
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let group = Group(command.spawn()?);
    Ok((group, Receiver::from_owned_fd(OwnedFd::from(reader))?))
}

/// A program and what it has started. Dropped before its end, all of them are killed.
struct Group(Child);

impl Group {
    /// How it ended, and the beginning of what it wrote until then. What it leaves behind finds the pipe closed.
    async fn end(&mut self, output: &Receiver) -> io::Result<(ExitStatus, Vec<u8>)> {
        let mut kept = Vec::new();
        let status = tokio::select! {
            status = self.0.wait() => status?,
            error = keep(output, &mut kept) => return Err(error),
        };
        // What was written last may not have been read yet; what it left behind may write without end.
        while kept.len() < KEPT && read(output, &mut kept).is_ok_and(|length| length > 0) {}
        Ok((status, kept))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // As long as it has not been waited for, nobody else can have the number.
        if let Some(leader) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            // It may have ended by itself.
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

/// Reads until the pipe breaks; once all have closed it, there is nothing to do but wait for the program.
async fn keep(output: &Receiver, kept: &mut Vec<u8>) -> io::Error {
    loop {
        if let Err(error) = output.readable().await {
            return error;
        }
        match read(output, kept) {
            Ok(0) => std::future::pending().await,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return error,
            _ => {}
        }
        // One that writes without pause would keep the agent's thread from all else, its own deadline included.
        consume_budget().await;
    }
}

fn read(output: &Receiver, kept: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0; KEPT];
    let length = output.try_read(&mut buffer)?;
    let room = KEPT - kept.len();
    kept.extend_from_slice(buffer.get(..length.min(room)).unwrap_or_default());
    Ok(length)
}
