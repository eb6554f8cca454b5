//! Programs that say how a node is.

use super::{LONG, SHORT, probe};
use crate::config::model::{CheckKind, Program};
use crate::health::{Failure, Phase};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Tests may use what a check must not need.
fn shell(script: &str) -> CheckKind {
    let arguments = ["-c", script].map(str::to_owned).to_vec();
    CheckKind::Exec(Program { path: "/bin/sh".into(), arguments })
}

fn program(path: &str) -> CheckKind {
    CheckKind::Exec(Program { path: path.into(), arguments: vec![] })
}

fn node(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], port))
}

async fn fails(script: &str, timeout: Duration) -> Failure {
    probe(&shell(script), node(0), timeout).await.expect_err(script)
}

#[tokio::test]
async fn the_exit_code_decides() {
    probe(&program("/bin/true"), node(0), LONG).await.expect("passes");
    let failure = probe(&program("/bin/false"), node(0), LONG).await.expect_err("fails");
    assert_eq!(failure.to_string(), "exit status: 1");
    assert!(!failure.is_local());
    assert_eq!(fails("kill -9 $$", LONG).await.to_string(), "signal: 9 (SIGKILL)");
}

#[tokio::test]
async fn the_first_line_of_what_it_writes_is_why() {
    let cases = [
        ("echo lag of 7 s; echo more; exit 3", "exit status: 3: lag of 7 s"),
        ("echo on stderr >&2; exit 1", "exit status: 1: on stderr"),
        ("printf '\\n  \\n late\\n'; exit 1", "exit status: 1: late"),
        ("printf 'a\\033[31mb'; exit 1", "exit status: 1: a\u{fffd}[31mb"),
        // More than a pipe holds: it must be read, or the program would wait for ever.
        ("echo much; head -c 1000000 /dev/zero; exit 1", "exit status: 1: much"),
    ];
    for (script, words) in cases {
        assert_eq!(fails(script, LONG).await.to_string(), words);
    }
    probe(&shell("echo well"), node(0), LONG).await.expect("what it writes does not matter then");
}

#[tokio::test]
async fn it_is_told_whom_it_is_about_and_little_else() {
    let told = r#"[ "$SPILLWAY_POOL $SPILLWAY_ADDRESS $SPILLWAY_PORT" = "web 192.0.2.7 8080" ]"#;
    probe(&shell(told), node(8080), LONG).await.expect("so it is");
    probe(&shell(r#"[ -z "${SPILLWAY_PORT+x}" ]"#), node(0), LONG).await.expect("no port");
    probe(&shell(r#"[ -z "$CARGO_MANIFEST_DIR" ]"#), node(0), LONG)
        .await
        .expect("not the agent's environment");
    probe(&shell("! read line"), node(0), LONG).await.expect("nothing to read");
}

#[tokio::test]
async fn arguments_are_handed_on_as_they_are() {
    let arguments = ["-c", r#"[ "$1" = '$(false) *' ]"#, "sh", "$(false) *"].map(str::to_owned).to_vec();
    let kind = CheckKind::Exec(Program { path: "/bin/sh".into(), arguments });
    probe(&kind, node(0), LONG).await.expect("passes");
}

#[tokio::test]
async fn one_that_cannot_be_started_says_nothing_about_the_node() {
    for (path, words) in [("/no/such/check", "No such file"), ("/etc/passwd", "Permission denied")] {
        let failure = probe(&program(path), node(0), LONG).await.expect_err(path);
        assert!(failure.is_local(), "{failure:?}");
        let text = failure.to_string();
        assert!(text.starts_with(&format!("cannot run {path}: ")) && text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn at_the_timeout_it_is_killed_with_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pids");
    let script = format!("sleep 1000 & echo $! $$ > {}; wait", file.display());
    let timeout = SHORT * 5;
    let failure = fails(&script, timeout).await;
    assert!(matches!(failure, Failure::TimedOut { phase: Phase::Running, .. }), "{failure:?}");
    assert_eq!(failure.to_string(), "timed out after 1s while the program ran");
    let pids = std::fs::read_to_string(&file).expect("it ran");
    let lives = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let started = Instant::now();
    while pids.split_whitespace().any(lives) {
        assert!(started.elapsed() < LONG, "{pids} live");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn one_that_writes_without_pause_keeps_nobody_waiting() {
    let started = Instant::now();
    let failure = fails("yes", SHORT).await;
    assert!(matches!(failure, Failure::TimedOut { phase: Phase::Running, .. }), "{failure:?}");
    // Nor does what it leaves behind.
    let failure = fails("yes & exit 1", LONG).await;
    assert!(failure.to_string().starts_with("exit status: 1"), "{failure}");
    assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_it_leaves_behind_does_not_prolong_it() {
    let started = Instant::now();
    // It holds the pipe.
    let failure = fails("sleep 30 & echo gone; exit 1", LONG).await;
    assert_eq!(failure.to_string(), "exit status: 1: gone");
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
}
