//! The one rule that depends on the machine: a VIP must not be one of its own addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::file::{File, elements};
use super::model::Config;
use super::problem::{Place, Problems};
use super::read::Located;

/// Where the VIPs of a configuration stand in its file.
#[derive(Debug, Clone)]
pub struct VipPlaces {
    file: String,
    /// By service, then by VIP, as in the configuration.
    places: Vec<Vec<Place>>,
}

impl VipPlaces {
    pub(super) fn of(file: &File, file_name: &str) -> Self {
        let of_service = |vips: &[Located<IpAddr>]| vips.iter().map(|vip| vip.place.clone()).collect();
        let services = elements(file.services.as_ref()).iter();
        let places =
            services.filter_map(|service| service.vips.as_ref()).map(|vips| of_service(vips)).collect();
        Self { file: file_name.to_owned(), places }
    }
}

/// Reports the VIPs that are among this machine's addresses, except of services with `allowLocal`.
/// The kernel would answer for such a VIP itself wherever the program does not take the packet first.
///
/// # Errors
/// One problem for each, in the file's order.
pub fn check_local(config: &Config, places: &VipPlaces, local: &BTreeSet<IpAddr>) -> Result<(), Problems> {
    let mut problems = Problems::new(&places.file);
    let guarded = config.services.iter().zip(&places.places).filter(|(service, _)| !service.allow_local);
    for (service, places) in guarded {
        for (vip, place) in service.vips.iter().zip(places).filter(|(vip, _)| local.contains(vip)) {
            let reason = format!("{vip} is an address of this machine");
            let mend = "remove the address from the machine, or set `allowLocal: true` on the service";
            problems.add(place, reason, mend);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.sorted()) }
}
