//! What nodes say that they refuse.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::GatewayFacts;
use crate::doctor::finding::{Finding, Topic, few};
use crate::observe::published::{Refusing, Reports};

const MEND: &str = "nothing listens on the VIP there: start the service on that node, let it listen on the VIP or on all addresses, or mend the service proxy's rules for it";
const SILENT: &str = "`node.report` in the node's file, with this port; this gateway's address in its `node.gateways`; and what stands between (`curl http://NODE:PORT/v1/report`)";

/// Whether each node that is asked answers, and refuses nothing.
pub(super) fn refused(facts: &GatewayFacts) -> Vec<Finding> {
    let Ok(Some(installed)) = &facts.installed else { return Vec::new() };
    let Some(reports) = &installed.reports else { return Vec::new() };
    let mut nodes: BTreeMap<IpAddr, Vec<&Refusing>> = BTreeMap::new();
    for refusing in &reports.refusing {
        nodes.entry(refusing.node).or_default().push(refusing);
    }
    let mut findings: Vec<_> = nodes.iter().map(|(node, ports)| refuses(*node, ports)).collect();
    findings.extend(silent(reports));
    if findings.is_empty() {
        let Reports { asked, reporting, .. } = reports;
        let says = format!(
            "{reporting} of {asked} nodes report; none refused anything between its last two reports"
        );
        findings.push(Topic::new("refused", "nodes").ok(says));
    }
    findings
}

fn refuses(node: IpAddr, ports: &[&Refusing]) -> Finding {
    let told: Vec<_> = ports.iter().map(|one| format!("{} to {}", one.refused, one.port)).collect();
    let says = format!("refused connections between its last two reports: {}", few(&told));
    Topic::new("refused", node).warning(says, MEND)
}

fn silent(reports: &Reports) -> Option<Finding> {
    let told: Vec<_> = reports.silent.iter().map(|(node, reason)| format!("{node} ({reason})")).collect();
    let says =
        || format!("{} of {} nodes report; no answer from {}", reports.reporting, reports.asked, few(&told));
    (!told.is_empty()).then(|| Topic::new("refused", "nodes").warning(says(), SILENT))
}

#[cfg(test)]
mod tests {
    use super::super::stage::{ENDPOINT, gateway, held, severities};
    use super::*;
    use crate::doctor::finding::Severity::{Ok as Fine, Warning};

    #[test]
    fn a_node_that_refuses_is_told_with_the_port() {
        let mut facts = gateway();
        assert_eq!(severities(&refused(&facts)), [Fine]);
        let reports = held(&mut facts).reports.as_mut().unwrap();
        let port = "198.51.100.10:443/tcp".to_owned();
        reports.refusing.push(Refusing { node: ENDPOINT, port, refused: 5 });
        let findings = refused(&facts);
        assert_eq!(severities(&findings), [Warning]);
        assert!(
            findings[0].subject == ENDPOINT.to_string()
                && findings[0].says.ends_with("5 to 198.51.100.10:443/tcp")
        );
        assert!(findings[0].mend.as_ref().unwrap().contains("start the service"));
    }

    #[test]
    fn a_node_that_does_not_report_is_told_with_the_reason() {
        let mut facts = gateway();
        held(&mut facts).reports.as_mut().unwrap().silent.insert(ENDPOINT, "timed out".into());
        let findings = refused(&facts);
        assert_eq!(severities(&findings), [Warning]);
        assert!(findings[0].says.contains("(timed out)"), "{}", findings[0].says);
        held(&mut facts).reports = None;
        assert!(refused(&facts).is_empty(), "nobody is asked");
    }
}
