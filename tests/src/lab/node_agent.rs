//! The agent of a node (`spillway node`) with files of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Agent, Namespace, WorkDir};

/// For anything the agent should do in a second or two.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The agent, if it runs, and its files. It ends when this is dropped.
#[derive(Debug)]
pub struct NodeAgent {
    agent: Option<Agent>,
    spillway: PathBuf,
    file: PathBuf,
    pin_path: PathBuf,
}

impl NodeAgent {
    /// Files in `work` by the name of the node, and no agent yet.
    ///
    /// # Errors
    /// When the environment does not name the program under test.
    pub fn new(work: &WorkDir, name: &str) -> Result<Self> {
        let spillway =
            env::var_os("SPILLWAY_BIN").context("SPILLWAY_BIN is not set: use `cargo xtask test`")?;
        Ok(Self::with(spillway.as_ref(), work, name))
    }

    /// The same, of this program.
    pub fn with(spillway: &Path, work: &WorkDir, name: &str) -> Self {
        let (file, pin_path) = (work.path().join(format!("{name}.yaml")), work.bpf().join(name));
        Self { agent: None, spillway: spillway.to_path_buf(), file, pin_path }
    }

    /// The program under test.
    pub fn spillway(&self) -> &Path {
        &self.spillway
    }

    /// Where the maps are pinned.
    pub fn pin_path(&self) -> &Path {
        &self.pin_path
    }

    /// Writes the file, in one step: the section `node`, whose `pinPath` is added.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, node: &Value) -> Result<()> {
        let mut node = node.clone();
        if node.get("pinPath").is_none() {
            node["pinPath"] = json!(self.pin_path);
        }
        // What is JSON is YAML.
        self.write(&serde_json::to_string_pretty(&json!({"apiVersion": "spillway/v1", "node": node}))?)
    }

    /// Writes any text as the file, in one step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, text: &str) -> Result<()> {
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, text)?;
        fs::rename(&fresh, &self.file).context("replace the file")
    }

    /// `spillway node --config FILE` in a namespace.
    pub fn command(&self, namespace: &Namespace) -> Command {
        let mut command = namespace.command(&self.spillway);
        command.args(["node", "--config"]).arg(&self.file);
        command
    }

    /// Starts the agent and waits until it is on its interfaces.
    ///
    /// # Errors
    /// When it ends instead.
    pub fn start(&mut self, namespace: &Namespace) -> Result<()> {
        self.spawn(self.command(namespace))
    }

    /// The same, of a command that was changed.
    ///
    /// # Errors
    /// When it ends instead.
    pub fn spawn(&mut self, command: Command) -> Result<()> {
        self.agent = Some(Agent::spawn(command)?);
        self.until("taking tunnels apart", |node| {
            let pid = node.agent.as_ref().map(Agent::id);
            (node.status().ok()?["agent"]["pid"].as_u64() == pid.map(u64::from)).then_some(())
        })
    }

    /// Ends the agent as nothing can prevent.
    ///
    /// # Errors
    /// When none runs.
    pub fn kill(&mut self) -> Result<()> {
        self.agent.take().context("no agent runs")?.kill()
    }

    /// Ends the agent as an operator does.
    pub fn stop(&mut self) {
        self.agent = None;
    }

    /// Its process.
    pub fn id(&self) -> Option<u32> {
        self.agent.as_ref().map(Agent::id)
    }

    /// The last lines of its log.
    pub fn last_lines(&self) -> Vec<String> {
        self.agent.as_ref().map(Agent::last_lines).unwrap_or_default()
    }

    /// Looks again and again until `ready` returns something.
    ///
    /// # Errors
    /// When the agent ends, or it takes too long; with its last words.
    pub fn until<T>(&mut self, what: &str, ready: impl Fn(&Self) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(agent) = &mut self.agent {
                agent.check_alive()?;
            }
            if let Some(result) = ready(self) {
                return Ok(result);
            }
            let said = || self.last_lines().join("\n  ");
            ensure!(Instant::now() < deadline, "{what} did not happen within {PATIENCE:?}:\n  {}", said());
            thread::sleep(LOOK_EVERY);
        }
    }

    /// `spillway status` of the node.
    ///
    /// # Errors
    /// What it said instead.
    pub fn status(&self) -> Result<Value> {
        self.ask(&["status"])
    }

    /// What a command answers about the pins, as JSON.
    ///
    /// # Errors
    /// What it said instead.
    pub fn ask(&self, words: &[&str]) -> Result<Value> {
        let Output { status, stdout, stderr } = self.run(&[words, &["--output", "json"]].concat())?;
        if !status.success() {
            bail!("spillway {}: {status}: {}", words.join(" "), String::from_utf8_lossy(&stderr).trim());
        }
        serde_json::from_slice(&stdout).context("the answer is no JSON")
    }

    /// A command about the pins, to its end.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn run(&self, words: &[&str]) -> Result<Output> {
        Command::new(&self.spillway)
            .args(words)
            .arg("--pin-path")
            .arg(&self.pin_path)
            .output()
            .context("run spillway")
    }

    /// Packets that were taken out of tunnels of a kind, and those dropped for a reason; 0 if there are none.
    ///
    /// # Errors
    /// What `spillway status` said instead.
    pub fn counted(&self, kind: &str, reason: &str) -> Result<[u64; 2]> {
        let status = self.status()?;
        let packets = |list: &str, key: &str, name: &str| {
            let mut all = status[list].as_array().into_iter().flatten();
            all.find(|one| one[key] == name).and_then(|one| one["packets"].as_u64()).unwrap_or(0)
        };
        Ok([packets("taken", "kind", kind), packets("reasons", "name", reason)])
    }
}
