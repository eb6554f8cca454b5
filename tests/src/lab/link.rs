//! A veth pair between two namespaces.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::Namespace;
use super::offload::disable_tx_checksum;

/// One end of a link.
#[derive(Debug, Clone)]
pub struct End<'a> {
    /// Where the interface stands.
    pub namespace: &'a Namespace,
    /// Its name, at most 15 bytes.
    pub interface: &'a str,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its addresses with prefix lengths, `10.0.0.1/24` or `fd00::1/64`.
    pub addresses: Vec<String>,
}

impl End<'_> {
    /// Brings the interface up with its addresses; again after it was down, when the kernel has
    /// forgotten the IPv6 ones.
    ///
    /// # Errors
    /// When `ip` refuses an address.
    pub fn up(&self) -> Result<()> {
        self.namespace.ip(&format!("link set {} up", self.interface))?;
        for address in &self.addresses {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            self.namespace.ip(&format!("address replace {address} dev {}{nodad}", self.interface))?;
        }
        Ok(())
    }
}

/// Connects two namespaces by a veth pair: fixed MACs, MTU in bytes (IP packet), real checksums in
/// both directions, addresses without duplicate detection. It goes with its namespaces.
///
/// # Errors
/// When an interface of that name exists, or `ip` refuses.
pub fn connect(a: &End, b: &End, mtu: u16) -> Result<()> {
    a.namespace.ip(&format!(
        "link add {} mtu {mtu} address {} type veth peer name {} mtu {mtu} address {} netns {}",
        a.interface,
        mac_text(a.mac),
        b.interface,
        mac_text(b.mac),
        b.namespace.path().display(),
    ))?;
    for end in [a, b] {
        end.namespace
            .enter(|| disable_tx_checksum(end.interface))
            .with_context(|| format!("in namespace {}", end.namespace.name()))?;
        end.up()?;
    }
    Ok(())
}

fn mac_text(mac: [u8; 6]) -> String {
    let mut text = String::new();
    for (position, byte) in mac.iter().enumerate() {
        let separator = if position == 0 { "" } else { ":" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::mac_text;

    #[test]
    fn a_mac_is_written_as_six_hexadecimal_pairs() {
        assert_eq!(mac_text([2, 0, 0, 10, 0xff, 1]), "02:00:00:0a:ff:01");
    }
}
