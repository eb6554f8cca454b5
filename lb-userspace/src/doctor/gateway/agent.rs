//! The agent, and whether it serves what the file says.

use super::GatewayFacts;
use super::facts::Installed;
use crate::doctor::finding::{Finding, Topic};

/// Whether anything is pinned, and somebody keeps it true.
pub(super) fn agent(facts: &GatewayFacts) -> Vec<Finding> {
    let path = facts.machine.pin_path.display();
    let topic = Topic::new("agent", path);
    match &facts.installed {
        Err(why) => vec![topic.unseen(why)],
        Ok(None) => vec![topic.error(
            "nothing is pinned: no agent of this version runs or has run with this gateway.pinPath",
            "start it: `spillway run --config FILE`, or the systemd unit",
        )],
        Ok(Some(installed)) => {
            vec![
                alive(&Topic::new("agent", format!("pid {}", installed.pid)), installed),
                links(&topic, installed, facts),
            ]
        }
    }
}

fn alive(topic: &Topic, installed: &Installed) -> Finding {
    let Installed { version, generation, age, .. } = installed;
    let tables = format!("tables of generation {generation}, last changed {age} s ago");
    if installed.running {
        topic.ok(format!("version {version} runs; {tables}"))
    } else {
        topic.error(
            format!("does not run: health and next hops are followed no more; packets go by {tables}"),
            "start it again, which loses no packet; why it ended is in its log",
        )
    }
}

/// Whether a link is pinned for each interface of the file.
fn links(topic: &Topic, installed: &Installed, facts: &GatewayFacts) -> Finding {
    let names = facts.config.gateway.interfaces.iter().map(|interface| &interface.name);
    let missing: Vec<_> = names.filter(|name| !installed.linked.contains(name)).cloned().collect();
    if missing.is_empty() {
        topic.ok("a link is pinned for each interface")
    } else {
        topic.error(
            format!("no link is pinned for {}", missing.join(", ")),
            "see `lastError` of `spillway status`, and the agent's log",
        )
    }
}

/// Whether the file is what is in force.
pub(super) fn configuration(facts: &GatewayFacts) -> Vec<Finding> {
    let Ok(Some(installed)) = &facts.installed else { return Vec::new() };
    let topic = Topic::new("config", &facts.config.digest);
    let force = if installed.digest == facts.config.digest {
        topic.ok("this file is in force")
    } else {
        topic.warning(
            format!(
                "another configuration is in force ({}): a change was refused, or another file is meant",
                installed.digest
            ),
            "compare the agent's --config; send it SIGHUP, and read `lastError`",
        )
    };
    let trouble = installed.last_error.as_ref().map(|error| {
        Topic::new("config", "last error").error(error, "mend what it says; the agent tries again by itself")
    });
    [force].into_iter().chain(trouble).collect()
}

#[cfg(test)]
mod tests {
    use super::super::stage::{gateway, held, severities};
    use super::*;
    use crate::doctor::finding::Severity::{Error, Ok as Fine, Warning};

    #[test]
    fn an_agent_keeps_the_tables_true() {
        let mut facts = gateway();
        assert_eq!(severities(&agent(&facts)), [Fine, Fine]);
        held(&mut facts).running = false;
        assert_eq!(severities(&agent(&facts)), [Error, Fine]);
        held(&mut facts).linked.clear();
        assert!(agent(&facts)[1].says.ends_with("for eth0"));
        facts.installed = Ok(None);
        assert_eq!(severities(&agent(&facts)), [Error]);
        facts.installed = Err("denied".into());
        assert_eq!(severities(&agent(&facts)), [Warning]);
    }

    #[test]
    fn the_file_is_what_is_in_force() {
        let mut facts = gateway();
        assert_eq!(severities(&configuration(&facts)), [Fine]);
        held(&mut facts).digest = "d0".into();
        held(&mut facts).last_error = Some("eth9 is not there".into());
        assert_eq!(severities(&configuration(&facts)), [Warning, Error]);
    }
}
