use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::info;

use super::agent::Agent;
use super::start::{RunError, Sources};

/// Events that come this close together lead to one table.
const COALESCE: Duration = Duration::from_millis(5);
/// How often the tables are compared with the kernel's, whether or not anything happened.
const RESYNC: Duration = Duration::from_secs(30);

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }
}

/// Follows the world until told to end.
pub(super) async fn watch(mut agent: Agent, mut sources: Sources) -> Result<(), RunError> {
    let mut signals = Signals::new().map_err(RunError::Signals)?;
    let mut resync = interval(RESYNC);
    resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(event) = sources.health.recv() => agent.health(event),
            Some(event) = sources.next_hops.recv() => agent.next_hop(event),
            _ = resync.tick() => agent.refresh_addresses(),
            _ = signals.interrupt.recv() => break,
            _ = signals.terminate.recv() => break,
        }
        sleep(COALESCE).await;
        drain(&mut agent, &mut sources);
        agent.follow();
    }
    info!(event = "ended", "the agent ends; packets are forwarded by the tables as they are");
    Ok(())
}

fn drain(agent: &mut Agent, sources: &mut Sources) {
    while let Ok(event) = sources.health.try_recv() {
        agent.health(event);
    }
    while let Ok(event) = sources.next_hops.try_recv() {
        agent.next_hop(event);
    }
}
