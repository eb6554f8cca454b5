//! Rules of `services[].quic`, and of the server ids that it asks for.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::names::Names;
use super::{ports, within};
use crate::config::file::{self, File, elements};
use crate::config::model::{Protocol, QuicConfig, ServerId};
use crate::config::problem::{Place, Problems, quoted};
use crate::config::read::{List, Located};

/// Numbers of configurations; 7 says that no server can be told from an id.
const IDS: RangeInclusive<u8> = 0..=6;
/// Bytes of a server id, and of a nonce.
const SERVER_IDS: RangeInclusive<u8> = 1..=15;
const NONCES: RangeInclusive<u8> = 4..=18;
/// Bytes of both: QUIC's ids have 20, the first included (RFC 9000, section 17.2).
const MOST: u8 = 19;

/// The configurations of a service.
pub(super) fn configs(service: &Located<file::Service>, problems: &mut Problems) -> Vec<QuicConfig> {
    let Some(quic) = &service.quic else { return Vec::new() };
    if let Some(list) = service.ports.as_ref()
        && list.iter().all(|port| ports::protocol(port) != Protocol::Udp)
    {
        let mend = "add a port with `protocol: UDP`, or remove `quic`";
        problems.add(&quic.place, "QUIC is UDP, and the service has no UDP port", mend);
    }
    let Some(list) = quic.configs.as_ref() else { return Vec::new() };
    if list.is_empty() {
        problems.add(&list.place, "there is no configuration", "list at least one, or remove `quic`");
    }
    unlike(list, problems);
    list.iter().filter_map(|config| self::config(config, problems)).collect()
}

fn config(config: &Located<file::QuicConfig>, problems: &mut Problems) -> Option<QuicConfig> {
    let id = within(Some(config.id.as_ref()?), 0, &IDS, problems);
    let server_id_length = within(Some(config.server_id_length.as_ref()?), 1, &SERVER_IDS, problems);
    let nonce_length = within(Some(config.nonce_length.as_ref()?), *NONCES.start(), &NONCES, problems);
    if server_id_length + nonce_length > MOST {
        let reason =
            format!("a server id of {server_id_length} bytes and a nonce of {nonce_length} exceed {MOST}");
        problems.add(&config.place, reason, "shorten one of the two");
    }
    Some(QuicConfig { id, server_id_length, nonce_length })
}

/// Reports a number that is written twice, and lengths of server ids that differ: an endpoint has one server id.
fn unlike(list: &List<file::QuicConfig>, problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    for id in list.iter().filter_map(|config| config.id.as_ref()) {
        if let Some(line) = seen.insert(id.value.0, id.place.line) {
            let reason = format!("a configuration {} stands in line {line} already", id.value.0);
            problems.add(&id.place, reason, "give one of the two another id, from 0 to 6");
        }
    }
    let mut lengths = list.iter().filter_map(|config| config.server_id_length.as_ref());
    let Some(first) = lengths.next() else { return };
    for length in lengths.filter(|length| length.value.0 != first.value.0) {
        let (this, line, that) = (length.value.0, first.place.line, first.value.0);
        let reason =
            format!("{this} differs from the {that} of line {line}, and an endpoint has one server id");
        problems.add(&length.place, reason, "use one length in all configurations of a service");
    }
}

/// Reports endpoints of services with `quic` whose server id is missing, of another length, or another one's.
pub(super) fn servers_are_told_apart(file: &File, names: &Names<'_>, problems: &mut Problems) {
    for service in elements(file.services.as_ref()) {
        let Some(asks) = Asks::of(service) else { continue };
        let mut seen = BTreeMap::new();
        let pools = service.pools.as_ref().map_or(&[][..], |pools| &pools.value);
        let pools = pools.iter().filter_map(|name| names.pools.get(name.as_str())?.endpoints.as_ref());
        for endpoint in pools.flat_map(|endpoints| &endpoints.value) {
            asks.check(endpoint, &mut seen, problems);
        }
    }
}

/// A service that asks for server ids.
struct Asks<'f> {
    service: &'f str,
    /// Bytes of a server id; `None`: no configuration says it.
    length: Option<i128>,
}

impl<'f> Asks<'f> {
    fn of(service: &'f Located<file::Service>) -> Option<Self> {
        let configs = service.quic.as_ref()?.configs.as_ref()?;
        let length = configs.iter().find_map(|config| config.server_id_length.as_ref()).map(|at| at.value.0);
        Some(Self { service: service.name.as_ref().map_or("", |name| name.value.as_str()), length })
    }

    fn check<'e>(
        &self,
        endpoint: &'e Located<file::Endpoint>,
        seen: &mut BTreeMap<ServerId, &'e Place>,
        problems: &mut Problems,
    ) {
        let service = quoted(self.service);
        let Some(written) = &endpoint.server_id else {
            let reason = format!("`serverId` is missing, and {service} sends QUIC by it");
            return problems.add(
                &endpoint.place,
                reason,
                "add the one that the server's connection ids have",
            );
        };
        let (Some(id), place) = (written.value.0, &written.place) else { return };
        let is = id.bytes().len();
        if let Some(length) = self.length.filter(|length| *length != is as i128) {
            let reason = format!("{id} has a length of {is}, and those of {service} of {length} bytes");
            problems.add(place, reason, "use the `serverIdLength` of the service's `quic`");
        }
        if let Some(other) = seen.insert(id, place) {
            let reason = format!("{id} stands in line {} already, in {service} too", other.line);
            problems.add(place, reason, "give each endpoint of a service its own server id");
        }
    }
}
