//! The gateway's configuration file for the demo.

use std::fmt::Write as _;
use std::path::Path;

use super::plan::{Member, Site};
use super::stage::{LINES_PORT, vip_like};
use crate::lab::{HEALTH_PORT, TwoClusters, VIP_PORT};

/// The hash's secret: any 32 hexadecimal digits; a lab has nothing to hide.
pub(super) const SECRET: &str = "000102030405060708090a0b0c0d0e0f\n";
/// Its file, beside the configuration.
pub(super) const SECRET_FILE: &str = "hash.key";

/// A gateway's configuration as YAML; the first site is its own. An agent of this machine may have the usual socket.
pub(super) fn text(sites: &[Site], members: &[Member], pin_path: &Path, socket: &Path) -> String {
    let own = sites.first().map_or("", |site| site.name);
    let vip = vip_like(members);
    let interface = TwoClusters::GATEWAY_INTERFACE;
    format!(
        "apiVersion: spillway/v1
clusterSet: {{id: demo, self: {own}, secretFile: {SECRET_FILE}}}
gateway:
  interfaces: [{interface}]
  pinPath: {}
  listen: {{admin: \"unix://{}\"}}
clusters:
{}services:
- name: demo/web
  vips: [\"{vip}\"]
  ports: [{{name: http, protocol: TCP, port: {VIP_PORT}}}, {{name: lines, protocol: TCP, port: {LINES_PORT}}}]
  tracking: chain
  pools: [{}]
pools:
{}healthChecks:
- {{name: http, type: http, path: /healthz, port: {HEALTH_PORT}, interval: 250ms, timeout: 200ms, rise: 2, fall: 2, jitterPercent: 10}}
",
        pin_path.display(),
        socket.display(),
        each(sites, |site| format!("- {{name: {}, encap: {{kind: gue}}}}\n", site.name)),
        sites.iter().map(|site| format!("web-{}", site.name)).collect::<Vec<_>>().join(", "),
        each(sites, |site| pool(site, members)),
    )
}

fn pool(site: &Site, members: &[Member]) -> String {
    let mut text = format!(
        "- name: web-{0}\n  cluster: {0}\n  weight: {1}\n  health: http\n  endpoints:\n",
        site.name, site.weight
    );
    for member in members.iter().filter(|member| member.cluster == site.name) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  - {{address: \"{}\", weight: {}}}", member.address, member.weight);
    }
    text
}

fn each(sites: &[Site], piece: impl Fn(&Site) -> String) -> String {
    sites.iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::super::plan::{example_members, sites};
    use super::*;

    #[test]
    fn the_file_names_every_site_pool_and_node() {
        let text = text(&sites(), &example_members(), Path::new("/p/x"), Path::new("/p/s"));
        let expected = r#"apiVersion: spillway/v1
clusterSet: {id: demo, self: eu-1, secretFile: hash.key}
gateway:
  interfaces: [eth0]
  pinPath: /p/x
  listen: {admin: "unix:///p/s"}
clusters:
- {name: eu-1, encap: {kind: gue}}
- {name: us-1, encap: {kind: gue}}
services:
- name: demo/web
  vips: ["198.51.100.10"]
  ports: [{name: http, protocol: TCP, port: 80}, {name: lines, protocol: TCP, port: 7}]
  tracking: chain
  pools: [web-eu-1, web-us-1]
pools:
- name: web-eu-1
  cluster: eu-1
  weight: 70
  health: http
  endpoints:
  - {address: "10.1.1.2", weight: 1}
  - {address: "10.1.2.2", weight: 3}
- name: web-us-1
  cluster: us-1
  weight: 30
  health: http
  endpoints:
  - {address: "10.2.1.2", weight: 1}
healthChecks:
- {name: http, type: http, path: /healthz, port: 8080, interval: 250ms, timeout: 200ms, rise: 2, fall: 2, jitterPercent: 10}
"#;
        assert_eq!(text, expected);
    }
}
