//! An agent with files of its own: configuration, secret, pins, socket.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lb_common::abi::{TrackingCounters, map};
use lb_tests::lab::{Agent, EventKind, Namespace, WorkDir};
use lb_userspace::datapath::maps::KernelMaps;
use lb_userspace::datapath::pins::Pins;
use lb_userspace::reconcile::KernelView as _;
use serde_json::{Value, json};

/// For anything the agent should do in a second or two, on an emulated machine too.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// The secret of every configuration here.
pub(crate) const SECRET: &str = "000102030405060708090a0b0c0d0e0f";
/// Time between two looks at whether something has happened.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What holds services and nodes: all but the record of names and the counters.
const TABLES: [&str; 9] = [
    map::CONTROL,
    map::VIP_FILTER,
    map::VIPS,
    map::SERVICES,
    map::POOLS,
    map::TABLES,
    map::SLAB,
    map::BACKENDS,
    map::TUNNELS,
];

/// An agent and its files. The agent ends, and the files go, when it is dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    agent: Option<Agent>,
    spillway: PathBuf,
    work: WorkDir,
}

impl Gateway {
    /// The files, and no agent yet.
    pub(crate) fn new() -> Result<Self> {
        let spillway =
            env::var_os("SPILLWAY_BIN").context("SPILLWAY_BIN is not set: use `cargo xtask test`")?;
        let gateway = Self { agent: None, spillway: spillway.into(), work: WorkDir::new()? };
        gateway.work.write_key("hash.key", SECRET)?;
        Ok(gateway)
    }

    /// Writes the configuration: the gateway's own part, with what `rest` adds to it, and the lists of `rest`.
    pub(crate) fn configure(&self, interfaces: &[&str], rest: &Value) -> Result<()> {
        let admin = self.admin();
        let mut config = json!({
            "apiVersion": "spillway/v1",
            "clusterSet": {"id": "test", "secretFile": "hash.key"},
            "gateway": {
                "interfaces": interfaces,
                "pinPath": self.pin_path(),
                "limits": {"services": 64, "backends": 64, "rows": "512Ki"},
                "listen": {"admin": admin},
            },
        });
        let mut rest = rest.clone();
        let own = rest.as_object_mut().and_then(|rest| rest.remove("gateway"));
        if let (Some(gateway), Some(Value::Object(own))) = (config["gateway"].as_object_mut(), own) {
            gateway.extend(own);
        }
        if let (Some(config), Value::Object(rest)) = (config.as_object_mut(), rest) {
            config.extend(rest);
        }
        // What is JSON is YAML.
        self.write_config(&serde_json::to_string_pretty(&config)?)
    }

    /// Writes any text as the configuration.
    pub(crate) fn write_config(&self, text: &str) -> Result<()> {
        fs::write(self.config(), text).context("write the configuration")
    }

    fn admin(&self) -> String {
        format!("unix://{}", self.work.path().join("admin.sock").display())
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.work.path().join("spillway.yaml")
    }

    pub(crate) fn work(&self) -> &WorkDir {
        &self.work
    }

    pub(crate) fn spillway(&self) -> &PathBuf {
        &self.spillway
    }

    pub(crate) fn pin_path(&self) -> PathBuf {
        self.work.bpf().join("spillway")
    }

    /// Starts the agent and waits until it balances.
    pub(crate) fn start(&mut self, namespace: &Namespace) -> Result<()> {
        self.start_with(namespace, &[])
    }

    /// The same with more options of `spillway run`.
    pub(crate) fn start_with(&mut self, namespace: &Namespace, options: &[&str]) -> Result<()> {
        self.agent = Some(Agent::start_with(namespace, &self.spillway, &self.config(), options)?);
        self.until("balancing", |gateway| {
            let status = gateway.ask(&["status"]).ok()?;
            let own = status["agent"]["pid"].as_u64() == gateway.pid().map(u64::from);
            (own && status["interfaces"].as_array().is_some_and(|all| !all.is_empty())).then_some(())
        })
    }

    /// Ends the agent as nothing can prevent: it says and does nothing more.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.agent.take().context("no agent runs")?.kill()
    }

    fn pid(&self) -> Option<u32> {
        self.agent.as_ref().map(Agent::id)
    }

    /// What the agent has said.
    pub(crate) fn events(&self) -> Vec<lb_tests::lab::Event> {
        self.agent.as_ref().map(Agent::events).unwrap_or_default()
    }

    /// When the kernel's tables were last changed.
    pub(crate) fn applied(&self) -> Option<std::time::SystemTime> {
        let events = self.events();
        events.iter().filter(|event| event.kind == EventKind::Applied).map(|event| event.at).max()
    }

    /// Looks again and again until `ready` returns something.
    pub(crate) fn until<T>(&mut self, what: &str, mut ready: impl FnMut(&Self) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(agent) = &mut self.agent {
                agent.check_alive()?;
            }
            if let Some(result) = ready(self) {
                return Ok(result);
            }
            if Instant::now() > deadline {
                let said = self.agent.as_ref().map(Agent::last_lines).unwrap_or_default();
                bail!("{what} did not happen within {PATIENCE:?}; the agent said:\n  {}", said.join("\n  "));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Tells the agent something: `drain`, `undrain`, `failback` or `rollout`, and whom.
    pub(crate) fn tell(&self, words: &[&str]) -> Result<()> {
        self.spill(&[words, &["--admin", &self.admin()]].concat()).map(drop)
    }

    /// What a command answers about the pins, as JSON.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Value> {
        let pins = self.pin_path().display().to_string();
        let answer = self.spill(&[words, &["--output", "json", "--pin-path", &pins]].concat())?;
        serde_json::from_slice(&answer).context("the answer is no JSON")
    }

    /// What a command prints.
    fn spill(&self, words: &[&str]) -> Result<Vec<u8>> {
        let Output { status, stdout, stderr } =
            Command::new(&self.spillway).args(words).output().context("run spillway")?;
        if !status.success() {
            bail!("spillway {}: {status}: {}", words.join(" "), String::from_utf8_lossy(&stderr).trim());
        }
        Ok(stdout)
    }

    /// What the program counted on rows that are not clean.
    pub(crate) fn tracking(&self) -> Result<TrackingCounters> {
        Ok(KernelMaps::look(&Pins::new(&self.pin_path()))?.tracking_counters())
    }

    /// Packets that were not sent, by the reason's name.
    pub(crate) fn reasons(&self) -> Result<BTreeMap<String, u64>> {
        let status = self.ask(&["status"])?;
        let reasons = status["reasons"].as_array().context("no reasons")?;
        let one = |reason: &Value| Some((reason["name"].as_str()?.to_owned(), reason["packets"].as_u64()?));
        reasons.iter().map(|reason| one(reason).context("a reason without name or count")).collect()
    }

    /// Every word of the maps that hold services and nodes.
    pub(crate) fn tables(&self) -> Result<BTreeMap<&'static str, Vec<u64>>> {
        let maps = KernelMaps::look(&Pins::new(&self.pin_path()))?;
        let words = |name| (0..maps.words(name)).map(|word| maps.load(name, word)).collect();
        Ok(TABLES.into_iter().map(|name| (name, words(name))).collect())
    }
}
