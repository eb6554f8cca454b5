"""A world: what the gateway knows when a packet arrives, with every table built.

Read from JSON; `tests/oracle/README.md` describes the fields.
"""

import ipaddress
import json
from dataclasses import dataclass, field

from . import flowhash, hrw, maglev, nodehrw, quic
from .headers import BETWEEN, OVERHEAD, ethernet, hop_count, private_length
from .siphash13 import key_words

TABLES = {"maglev": maglev.table, "hrw": nodehrw.table}
PROTOCOLS = {"TCP": 6, "UDP": 17}
IPIP = {"kind": "ipip"}


@dataclass(slots=True)
class Backend:
    """One endpoint of a pool, ready to be sent to."""

    name: str
    """The address as text."""
    address: bytes
    source: bytes
    """Outer source of the backend's family."""
    serving: bool
    local: bool
    """It is this very node."""
    ethernet: bytes
    encap: dict
    """`kind`, and what that needs."""
    largest: int
    """The longest inner packet, in bytes, that still fits after encapsulation."""
    cluster: str
    chained: bool
    """Packets to it may carry the addresses of three others."""
    seal: tuple | None
    """Epoch and key of their tags; None: they have none."""


@dataclass(slots=True)
class Pool:
    """A service's nodes in one cluster."""

    name: str
    cluster: str
    weight: int
    rows: int
    table: list
    """The Backend of each row; empty if nobody takes part."""
    last_serving: Backend | None
    servers: dict
    """Backends by server id."""
    earlier: list
    """Of each row, up to two Backends that had it before, the newest first."""


@dataclass(slots=True)
class Access:
    """Which sources a service admits."""

    default: bool
    """Whether a source is admitted that no prefix holds."""
    prefixes: list
    """(network, admitted), the longest first."""

    def admits(self, source: bytes) -> bool:
        """The longest prefix that holds the source decides. A network holds no address of the other family."""
        address = ipaddress.ip_address(source)
        return next((admitted for network, admitted in self.prefixes if address in network), self.default)


@dataclass(slots=True)
class Service:
    """What a VIP leads to."""

    name: str
    affinity: str
    prefix: dict
    """Bits of `client-prefix`, by address length in bytes."""
    cluster_rows: list
    """The Pool of each of 4,096 rows; empty where `only` decides."""
    only: Pool | None
    quic: quic.Servers | None
    access: Access | None
    chain: bool
    """Its packets carry who had their rows before."""
    earlier: list
    """Of each cluster row, up to two Pools that had it before, the newest first."""
    local: Pool | None
    """The one in the gateway's own cluster."""


@dataclass(slots=True)
class Redirects:
    """What other clusters' gateways send here."""

    own: str | None
    """The gateway's cluster."""
    addresses: frozenset
    """Where they send it."""
    port: int
    gateways: list
    """Networks of theirs."""

    def knows(self, source: bytes) -> bool:
        """Whether it is one of theirs."""
        return any(ipaddress.ip_address(source) in network for network in self.gateways)


@dataclass(slots=True)
class World:
    """The whole: secret, addresses that are VIPs, and services."""

    key: tuple
    vips: frozenset
    services: dict
    """(address, protocol, port) to Service; port 0 is any."""
    ranges: dict
    """(address, protocol) to [(first port, last port, Service)]."""
    redirects: Redirects
    fragments: dict = field(default_factory=dict)
    """What first fragments told: (source, destination, protocol, identification) to (protocol, ports)."""

    def service(self, address: bytes, protocol: int, port: int):
        """The service of a port: its own, that of a range, that of any port; or None."""
        exact = self.services.get((address, protocol, port))
        if exact is not None:
            return exact
        for first, last, ranged in self.ranges.get((address, protocol), ()):
            if first <= port <= last:
                return ranged
        return self.services.get((address, protocol, 0))


def packed(address: str) -> bytes:
    """An address in network order, 4 or 16 bytes."""
    return ipaddress.ip_address(address).packed


def mac(text: str) -> bytes:
    """A MAC address from aa:bb:cc:dd:ee:ff."""
    return bytes.fromhex(text.replace(":", ""))


def backend(entry: dict, cluster: dict, sources: dict, failed_open: bool, chained: bool, seal: tuple | None) -> Backend:
    """A backend from its endpoint. One with no next hop that is not this node never serves."""
    address = packed(entry["address"])
    hop, local = entry.get("nextHop"), entry.get("local", False)
    alive = failed_open or entry.get("state", "up") != "down"
    serving = entry.get("serving", alive) and (local or hop is not None)
    header = b"" if hop is None else ethernet(mac(hop["mac"]), mac(hop["source"]), hop.get("vlan"), len(address) == 16)
    source = sources["v6" if len(address) == 16 else "v4"]
    encap = {**cluster.get("encap", IPIP), "via": cluster.get("via", "nodes")}
    largest = entry.get("mtu", cluster["mtu"]) - OVERHEAD[len(address)] - BETWEEN[encap["kind"]] - len(hop_count(encap))
    seal = seal if encap.get("tag") else None
    largest -= private_length(3 if chained else 0, address, seal is not None)
    name = cluster["name"]
    return Backend(entry["address"], address, packed(source), serving, local, header, encap, largest, name, chained, seal)


def member(entry: dict, encap: dict) -> maglev.Member:
    """An endpoint as the node table sees it (IPIP: port 0)."""
    return maglev.Member(entry["address"], encap.get("port", 0), entry.get("weight", 1), entry.get("state", "up"))


def owners(entry: dict, encap: dict) -> list:
    """The address of each row's owner."""
    members = maglev.members_of([member(e, encap) for e in entry["endpoints"]])
    return [members[o].address for o in TABLES[entry.get("algorithm", "maglev")](members, entry.get("rows", 65536))]


def pool(entry: dict, cluster: dict, sources: dict, past: list, chained: bool, seal: tuple | None) -> Pool:
    """A pool with its node table; `past`: what it was before, the newest first."""
    encap = cluster.get("encap", IPIP)
    members = maglev.members_of([member(e, encap) for e in entry["endpoints"]])
    failed_open = all(m.state == "down" for m in members)
    backends = {e["address"]: backend(e, cluster, sources, failed_open, chained, seal) for e in entry["endpoints"]}
    rows = owners(entry, encap)
    before = [owners(each, encap) for each in past] if chained else []
    earlier = [[backends[name] for name in names] for names in others(rows, before)]
    last = entry.get("lastServing")
    servers = {bytes.fromhex(e["serverId"]): backends[e["address"]] for e in entry["endpoints"] if "serverId" in e}
    table = [backends[name] for name in rows]
    weight = entry.get("weight", 100)
    return Pool(entry["name"], entry["cluster"], weight, len(table), table, last and backends[last], servers, earlier)


def others(now: list, before: list) -> list:
    """Of each row, the last two who had it before, the newest first, without who has it now."""
    found = [[] for _ in now]
    for owners in before:
        for row, owner in enumerate(owners):
            if owner != now[row] and owner not in found[row] and len(found[row]) < 2:
                found[row].append(owner)
    return found


def access(entry: dict) -> Access:
    """An access policy."""
    lists = (entry.get("allow", []), True), (entry.get("deny", []), False)
    prefixes = [(ipaddress.ip_network(text), admitted) for texts, admitted in lists for text in texts]
    prefixes.sort(key=lambda prefix: -prefix[0].prefixlen)
    return Access(entry.get("default", "allow") == "allow", prefixes)


def cluster_rows(weighted: dict) -> list:
    """Names of the pools of 4,096 rows; `weighted`: (cluster, weight) by name."""
    if len({cluster for cluster, _ in weighted.values()}) != len(weighted):
        raise ValueError(f"two of the pools {', '.join(weighted)} are in one cluster")
    if len(weighted) < 2:
        return list(weighted) * flowhash.CLUSTER_ROWS
    names = {cluster: name for name, (cluster, _) in weighted.items()}
    return [names[cluster] for cluster in hrw.cluster_rows(dict(weighted.values()))]


def service(entry: dict, pools: dict, policies: dict, past: list, own: str | None) -> Service:
    """A service with its cluster rows; one weighted pool needs none. `past`: weights before, the newest first."""
    weights = lambda of: {n: (pools[n].cluster, of.get(n, pools[n].weight)) for n in entry["pools"]}
    weighted = lambda of: {name: pair for name, pair in weights(of).items() if pair[1] > 0}
    names = cluster_rows(weighted({}))
    chain = entry.get("tracking") == "chain"
    before = [cluster_rows(weighted(each)) for each in past] if chain else []
    earlier = [[pools[name] for name in each] for each in others(names, before)]
    rows, only = [pools[name] for name in names], None
    if len(weighted({})) < 2:
        rows, only = [], rows[0] if rows else None
    bits = entry.get("clientPrefix", {})
    prefix = {4: bits.get("v4", 24), 16: bits.get("v6", 56)}
    servers = None
    if "quic" in entry:
        named = {id: backend for name in entry["pools"] for id, backend in pools[name].servers.items()}
        servers = quic.Servers(entry["quic"]["configs"], named)
    policy = policies[entry["access"]] if "access" in entry else None
    local = next((pools[name] for name in entry["pools"] if pools[name].cluster == own), None)
    return Service(entry["name"], entry.get("affinity", "flow"), prefix, rows, only, servers, policy, chain, earlier, local)


def as_before(entry: dict, before: dict) -> dict:
    """A pool as it was: some of its endpoints in other states."""
    states = before.get("states", {}).get(entry["name"], {})
    return {**entry, "endpoints": [{**e, "state": states.get(e["address"], e.get("state", "up"))} for e in entry["endpoints"]]}


def tunnel_key(entry: dict | None) -> tuple | None:
    """Epoch and key of tags."""
    return None if entry is None else (entry["epoch"], key_words(bytes.fromhex(entry["key"])))


def redirected(entry: dict) -> Redirects:
    """What other clusters' gateways send here; nothing, if the world does not say so."""
    addresses = frozenset(packed(address) for address in entry.get("addresses", []))
    networks = [ipaddress.ip_network(text) for text in entry.get("gateways", [])]
    return Redirects(entry.get("self"), addresses, entry.get("port", 0), networks)


def build(tree: dict) -> World:
    """A world from its JSON tree."""
    clusters = {c["name"]: c for c in tree["clusters"]}
    past = tree.get("before", [])[::-1]
    chained = {name for s in tree["services"] if s.get("tracking") == "chain" for name in s["pools"]}
    seal = tunnel_key(tree.get("tunnelKey"))
    pools = {
        p["name"]: pool(p, clusters[p["cluster"]], tree["outerSource"], [as_before(p, b) for b in past], p["name"] in chained, seal)
        for p in tree["pools"]
    }
    policies = {p["name"]: access(p) for p in tree.get("accessPolicies", [])}
    redirects, services, ranges = redirected(tree.get("redirects", {})), {}, {}
    for entry in tree["services"]:
        built = service(entry, pools, policies, [before.get("weights", {}) for before in past], redirects.own)
        for vip in entry["vips"]:
            for port in entry["ports"]:
                place = packed(vip), PROTOCOLS[port["protocol"]], port["port"]
                if isinstance(port["port"], str):
                    first, last = map(int, port["port"].split("-"))
                    ranges.setdefault(place[:2], []).append((first, last, built))
                    continue
                if services.setdefault(place, built) is not built:
                    raise ValueError(f"service {entry['name']}: {vip} {port} belongs to another service too")
    vips = frozenset([*(address for address, _, _ in services), *(address for address, _ in ranges)])
    return World(key_words(bytes.fromhex(tree["secret"])), vips, services, ranges, redirects)


def load(path) -> World:
    """A world from a JSON file."""
    with open(path, encoding="utf-8") as file:
        return build(json.load(file))
