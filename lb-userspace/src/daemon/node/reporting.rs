//! Keeps the report served, where and to whom the file says. It is counted beside the agent's loop.

use std::io;
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info};

use crate::config::model::NodeConfig;
use crate::daemon::machine;
use crate::datapath::clock::monotonic;
use crate::datapath::mapping::Access;
use crate::datapath::pins::Pins;
use crate::datapath::receiver::{OwnedFlows, ReceiverMaps, Refusals};
use crate::report::{Clients, Counted, Report, Source, count, listen, serve, sockets};

/// The server, if there is to be one.
pub(super) struct Reporting {
    source: Source,
    served: Option<Served>,
    trouble: Option<String>,
}

/// Dropped, it serves no more.
struct Served {
    port: u16,
    clients: watch::Sender<Clients>,
    _server: JoinSet<()>,
}

impl Reporting {
    /// No server yet. `since`: when it was begun to count.
    pub(super) fn new(pins: &Pins, since: OffsetDateTime) -> Self {
        let pins = pins.clone();
        let source = move || made(&pins, since).map_err(|reason| reason.to_string());
        Self { source: Arc::new(source), served: None, trouble: None }
    }

    /// Serves as the configuration says. What fails is said, and tried again the next time.
    pub(super) fn follow(&mut self, config: &NodeConfig) {
        let Some(port) = config.report else {
            (self.served, self.trouble) = (None, None);
            return;
        };
        let clients = Clients(config.gateways.clone());
        if let Some(served) = self.served.as_ref().filter(|served| served.port == port) {
            served.clients.send_replace(clients);
            return;
        }
        match self.begin(port, clients) {
            Ok(served) => {
                info!(event = "report", port, "gateways are told what the node refuses and has");
                (self.served, self.trouble) = (Some(served), None);
            }
            Err(reason) => self.fail(port, &reason),
        }
    }

    fn begin(&self, port: u16, clients: Clients) -> io::Result<Served> {
        let listener = listen(port)?;
        let (clients, told) = watch::channel(clients);
        let mut server = JoinSet::new();
        server.spawn(serve(listener, told, self.source.clone()));
        Ok(Served { port, clients, _server: server })
    }

    fn fail(&mut self, port: u16, reason: &io::Error) {
        let trouble = format!(
            "the report cannot be served at port {port}: {reason}; name another in `node.report.port`, and in the gateways' files"
        );
        if self.trouble.as_ref() != Some(&trouble) {
            error!(event = "report", reason = trouble, "gateways are told nothing");
            self.trouble = Some(trouble);
        }
    }

    /// What is wrong.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }
}

fn made(pins: &Pins, since: OffsetDateTime) -> io::Result<Vec<u8>> {
    let report = Report::of(since, &count(&found(pins)?));
    serde_json::to_vec(&report).map_err(io::Error::other)
}

fn found(pins: &Pins) -> io::Result<Counted> {
    let mut own = machine::tunnel_ends()?;
    own.extend(ReceiverMaps::open(pins, Access::Read).map_err(io::Error::other)?.own()?);
    Ok(Counted {
        refused: Refusals::open(pins).map_err(io::Error::other)?.all()?,
        sockets: sockets()?,
        flows: OwnedFlows::open(pins).map_err(io::Error::other)?.all()?,
        own,
        clock: monotonic() * 1_000_000,
    })
}
