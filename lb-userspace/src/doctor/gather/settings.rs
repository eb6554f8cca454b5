//! Settings below `/proc/sys/net/ipv4/conf`, which are those of the reader's network namespace.

use std::fs;
use std::path::Path;

use crate::doctor::facts::Seen;
use crate::doctor::node::Settings;

const DIRECTORY: &str = "/proc/sys/net/ipv4/conf";

/// Those of an interface, or of `all`.
pub(super) fn of(interface: &str) -> Seen<Settings> {
    Ok(Settings {
        rp_filter: read(interface, "rp_filter")?,
        arp_ignore: read(interface, "arp_ignore")?,
        arp_announce: read(interface, "arp_announce")?,
    })
}

fn read(interface: &str, setting: &str) -> Seen<u8> {
    let path = Path::new(DIRECTORY).join(interface).join(setting);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.trim().parse().map_err(|_| format!("{} holds {}", path.display(), text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_has_them() {
        assert!(of("all").is_ok() && of("lo").is_ok());
        assert!(of("nonesuch0").unwrap_err().contains("/conf/nonesuch0/rp_filter: No such file"));
    }
}
