//! Running other programs, so that a failure names the program and what to do about it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const POLL: Duration = Duration::from_millis(100);

/// The cargo that started this command.
pub(crate) fn cargo(directory: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(directory);
    command
}

/// Runs a program to its end; all it prints goes to standard error.
///
/// # Errors
/// When it cannot be started or fails; `mend` says what the reader can do.
pub(crate) fn run(command: &mut Command, mend: &str) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::from(io::stderr())).status();
    judge(command, status, mend)
}

/// Runs a program quietly for at most `limit`, then ends it.
///
/// # Errors
/// When it cannot be started, fails, or takes longer.
pub(crate) fn run_bounded(command: &mut Command, limit: Duration, mend: &str) -> Result<()> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let status = child.and_then(|child| wait(child, limit));
    judge(command, status, mend)
}

/// What a program prints on standard output.
///
/// # Errors
/// When it cannot be started, fails, or prints something that is not UTF-8.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start `{}`", name(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", name(command), said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", name(command)))
}

/// Whether a program of this name is on the path.
pub(crate) fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Whether this process has root's privileges: the kernel shows its effective user as the owner of its
/// own directory in `/proc`.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn wait(mut child: Child, limit: Duration) -> io::Result<ExitStatus> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(POLL);
    }
    child.kill()?;
    child.wait()?;
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("no end after {} s", limit.as_secs())))
}

fn judge(command: &Command, status: io::Result<ExitStatus>, mend: &str) -> Result<()> {
    let status = status.with_context(|| format!("cannot run `{}`; {mend}", name(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status}); {mend}", name(command));
    }
    Ok(())
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = program.file_name().into_iter().chain(command.get_args().take(2));
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_program_and_the_mend() {
        let error = run(&mut Command::new("false"), "try true").unwrap_err().to_string();
        assert!(error.contains("`false` failed") && error.ends_with("try true"), "{error}");
    }

    #[test]
    fn a_program_that_never_ends_is_ended() {
        let error = run_bounded(Command::new("sleep").arg("60"), Duration::from_millis(200), "wait less");
        assert!(format!("{:#}", error.unwrap_err()).contains("no end after"));
    }

    #[test]
    fn output_is_read_and_a_missing_program_is_an_error() {
        assert_eq!(read(Command::new("echo").arg("here")).unwrap(), "here\n");
        assert!(read(&mut Command::new("no-such-program-here")).is_err());
        assert!(on_path("sh") && !on_path("no-such-program-here"));
    }
}
