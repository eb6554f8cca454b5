use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use lb_common::siphash::{Key, State};

/// The fingerprint's key, which is public.
const KEY: &[u8; 16] = b"spillway.access1";

/// Which sources may use a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPolicy {
    /// DNS label, unique.
    pub name: String,
    /// What becomes of a source that no prefix holds.
    pub default: Admit,
    /// What becomes of others; shared, for there may be many.
    pub prefixes: Arc<AccessList>,
    /// Flows that a source may begin in a second; 0: any number.
    pub new_flows: u32,
}

/// What becomes of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Admit {
    /// Its packets are taken.
    #[default]
    Allow,
    /// They are dropped.
    Deny,
}

/// Prefixes and what becomes of the sources in them; the longest that holds a source decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessList {
    verdicts: BTreeMap<Prefix, Admit>,
    fingerprint: u64,
}

impl Default for AccessList {
    /// No prefix.
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl AccessList {
    /// Of these prefixes.
    pub fn new(verdicts: BTreeMap<Prefix, Admit>) -> Self {
        let word = |state: State, (prefix, admit): (&Prefix, &Admit)| {
            let address = prefix.mapped().to_bits();
            let rest = u64::from(prefix.length) | u64::from(prefix.address.is_ipv4()) << 8;
            #[expect(clippy::cast_possible_truncation, reason = "both halves are taken in")]
            let (high, low) = ((address >> 64) as u64, address as u64);
            state.word(high).word(low).word(rest | u64::from(*admit == Admit::Deny) << 9)
        };
        let state = verdicts.iter().fold(State::new(Key::from_bytes(KEY)), word);
        Self { fingerprint: state.word(verdicts.len() as u64).finish(0), verdicts }
    }

    /// Names the content.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
    }

    /// The prefixes in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Prefix, Admit)> {
        self.verdicts.iter().map(|(prefix, admit)| (prefix, *admit))
    }
}

/// A prefix of addresses of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// Its first address.
    pub address: IpAddr,
    /// Bits that count: up to 32 for IPv4, 128 for IPv6.
    pub length: u8,
}

impl Prefix {
    /// From `ADDRESS/LENGTH`, or an address alone: a prefix of all its bits. Bits behind the prefix may be set.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').map_or((text, None), |(one, two)| (one, Some(two)));
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|length| *length <= longest)?
            }
            Some(_) => return None,
        };
        Some(Self { address, length })
    }

    /// The same with the bits behind the prefix cleared.
    #[must_use]
    pub fn cut(self) -> Self {
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        };
        Self { address, ..self }
    }

    /// Whether an address is in it.
    pub fn holds(self, address: IpAddr) -> bool {
        let same_family = address.is_ipv4() == self.address.is_ipv4();
        same_family && Self { address, ..self }.cut().address == self.cut().address
    }

    fn mapped(&self) -> Ipv6Addr {
        match self.address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_an_address_and_a_length_or_an_address() {
        for (text, shown, cut) in [
            ("192.0.2.0/24", "192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7/32", "192.0.2.7/32"),
            ("192.0.2.7/24", "192.0.2.7/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1", "2001:db8::1/128", "2001:db8::1/128"),
            ("2001:db8::1/32", "2001:db8::1/32", "2001:db8::/32"),
            ("::1/0", "::1/0", "::/0"),
        ] {
            let prefix = Prefix::parse(text).unwrap();
            assert_eq!((prefix.to_string(), prefix.cut().to_string()), (shown.to_owned(), cut.to_owned()));
        }
        for bad in ["", "/", "192.0.2.0/", "192.0.2.0/33", "192.0.2/24", "::/129", "::/+1", "1.2.3.4/ 8"] {
            assert_eq!(Prefix::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_fingerprint_tells_prefixes_and_verdicts_apart() {
        let list = |entries: &[(&str, Admit)]| {
            let entry = |(text, admit): &(&str, Admit)| (Prefix::parse(text).unwrap(), *admit);
            AccessList::new(entries.iter().map(entry).collect()).fingerprint()
        };
        let prints = [
            list(&[]),
            list(&[("192.0.2.0/24", Admit::Allow)]),
            list(&[("192.0.2.0/24", Admit::Deny)]),
            list(&[("192.0.2.0/25", Admit::Deny)]),
            list(&[("::ffff:192.0.2.0/24", Admit::Deny)]),
            list(&[("192.0.2.0/24", Admit::Deny), ("::/0", Admit::Allow)]),
        ];
        let distinct: std::collections::BTreeSet<_> = prints.iter().collect();
        assert_eq!(distinct.len(), prints.len());
    }
}
