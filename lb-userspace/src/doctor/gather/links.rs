//! Interfaces, addresses and default routes, by netlink.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::{Stream, TryStreamExt as _};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp, XdpAttached,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcMessage, TcOption};
use netlink_packet_route::{AddressFamily, route::RouteHeader};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::drivers::Drivers;
use crate::datapath::egress;
use crate::datapath::probe;
use crate::datapath::receiver::Leaving;
use crate::doctor::facts::{Link, LocalAddress, Place, Seen, Xdp};
use crate::doctor::node::DefaultRoute;

/// A netlink socket, of the network namespace of the thread that opened it. To be used inside a tokio runtime.
pub(super) struct Kernel {
    handle: Handle,
}

impl Kernel {
    pub(super) fn open() -> Seen<Self> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|error| format!("a netlink socket: {error}"))?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// All interfaces.
    pub(super) async fn links(&self) -> Seen<Vec<Link>> {
        let mut links: Vec<_> =
            all(self.handle.link().get().execute()).await?.iter().filter_map(link).collect();
        if let Some(drivers) = Drivers::open() {
            links.iter_mut().for_each(|link| link.driver = drivers.of(link.index));
        }
        for link in &mut links {
            link.clamps = self.clamps(link).await;
        }
        Ok(links)
    }

    /// By a link, or by a filter.
    async fn clamps(&self, link: &Link) -> Option<bool> {
        let linked = egress::has_link(&link.name, Leaving::Clamp.name());
        if linked == Some(true) {
            return linked;
        }
        let mut filters = self.handle.traffic_filter(link.index.cast_signed());
        let filters = all(filters.get().egress().execute()).await.ok()?;
        if filters.iter().any(is_clamp) { Some(true) } else { linked }
    }

    /// All addresses.
    pub(super) async fn addresses(&self, links: &[Link]) -> Seen<Vec<LocalAddress>> {
        let messages = all(self.handle.address().get().execute()).await?;
        Ok(messages.iter().filter_map(|message| address(message, links)).collect())
    }

    /// Default routes of both families in the main table, the preferred ones first.
    pub(super) async fn defaults(&self, links: &[Link]) -> Seen<Vec<DefaultRoute>> {
        let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
        let mut routes = all(self.handle.route().get(v4).execute()).await?;
        routes.extend(all(self.handle.route().get(v6).execute()).await?);
        routes.sort_by_key(priority);
        Ok(routes.iter().filter_map(|message| default(message, links)).collect())
    }
}

async fn all<T>(stream: impl Stream<Item = Result<T, rtnetlink::Error>>) -> Seen<Vec<T>> {
    stream.try_collect().await.map_err(|error| format!("netlink: {error}"))
}

/// The filter that the agent owns, with the program that clamps.
fn is_clamp(filter: &TcMessage) -> bool {
    let options = filter.attributes.iter().filter_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    let named = |option: &TcOption| matches!(option, TcOption::Bpf(TcFilterBpfOption::ProgName(name)) if *name == Leaving::Clamp.name());
    let handle = filter.header.handle;
    (handle.major, handle.minor) == (0, egress::LEAVING_HANDLE) && options.flatten().any(named)
}

fn link(message: &LinkMessage) -> Option<Link> {
    let header = &message.header;
    let mut link = Link {
        index: header.index,
        up: header.flags.contains(LinkFlags::Up),
        carrier: header.flags.contains(LinkFlags::LowerUp),
        ethernet: header.link_layer_type == LinkLayerType::Ether,
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Link(index) => link.parent = Some(*index),
            LinkAttribute::Xdp(attributes) => link.xdp = xdp(attributes),
            LinkAttribute::LinkInfo(infos) => (link.kind, link.vlan) = (kind(infos), vlan(infos)),
            _ => {}
        }
    }
    Some(link).filter(|link| !link.name.is_empty())
}

fn kind(infos: &[LinkInfo]) -> Option<String> {
    infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })
}

fn vlan(infos: &[LinkInfo]) -> Option<u16> {
    let details = infos.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vlan(details)) => Some(details),
        _ => None,
    })?;
    details.iter().find_map(|detail| if let InfoVlan::Id(id) = detail { Some(*id) } else { None })
}

fn xdp(attributes: &[LinkXdp]) -> Option<Xdp> {
    let place = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(XdpAttached::None) => None,
        LinkXdp::Attached(XdpAttached::Driver) => Some(Place::Native),
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(Place::Generic),
        LinkXdp::Attached(_) => Some(Place::Other),
        _ => None,
    })?;
    let id = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => {
            Some(*id)
        }
        _ => None,
    })?;
    Some(Xdp { id, place, name: probe::program_name(id) })
}

fn address(message: &AddressMessage, links: &[Link]) -> Option<LocalAddress> {
    let found = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    // Of a point-to-point interface `Address` is the other end's.
    let local = found(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        found(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    let interface = name(message.header.index, links)?;
    Some(LocalAddress { address, length: message.header.prefix_len, interface })
}

fn name(index: u32, links: &[Link]) -> Option<String> {
    links.iter().find(|link| link.index == index).map(|link| link.name.clone())
}

/// Smaller is preferred; a route without one has 0.
fn priority(message: &RouteMessage) -> u32 {
    let priority = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Priority(priority) => Some(*priority),
        _ => None,
    });
    priority.unwrap_or(0)
}

fn default(message: &RouteMessage, links: &[Link]) -> Option<DefaultRoute> {
    let header = &message.header;
    let usable = header.kind == RouteType::Unicast && header.table == RouteHeader::RT_TABLE_MAIN;
    if header.destination_prefix_length != 0 || !usable {
        return None;
    }
    let v6 = header.address_family == AddressFamily::Inet6;
    let mut route = DefaultRoute { v6, interface: String::new(), via: None, mtu: None, advmss: None };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => route.interface = name(*index, links)?,
            RouteAttribute::Gateway(RouteAddress::Inet(via)) => route.via = Some((*via).into()),
            RouteAttribute::Gateway(RouteAddress::Inet6(via)) | RouteAttribute::Via(RouteVia::Inet6(via)) => {
                route.via = Some((*via).into());
            }
            RouteAttribute::Metrics(metrics) => (route.mtu, route.advmss) = lengths(metrics),
            _ => {}
        }
    }
    Some(route)
}

fn lengths(metrics: &[RouteMetric]) -> (Option<u32>, Option<u32>) {
    let found =
        |wanted: fn(&RouteMetric) -> Option<u32>| metrics.iter().find_map(wanted).filter(|value| *value > 0);
    let mtu = found(|metric| if let RouteMetric::Mtu(mtu) = metric { Some(*mtu) } else { None });
    let advmss = found(|metric| if let RouteMetric::Advmss(mss) = metric { Some(*mss) } else { None });
    (mtu, advmss)
}
