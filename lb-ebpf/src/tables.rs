//! What a stage may look up and count.

use crate::evidence::Found;
use lb_common::abi::{
    AccessFlags, AccessKey, AccessPolicy, BackendEntry, Connection, Control, EventKind, Features,
    FragmentEntry, Insert, PoolEntry, PortRanges, QuicKey, QuicServer, Reply, SampledFlow, ServiceEntry,
    SourceKey, TableEntry, TunnelEntry, VipBucket,
};
use lb_common::flow::Flow;

/// The maps of [`lb_common::abi`]. A look-up gives `None` where there is no such entry.
pub trait Tables {
    /// What the program was loaded for. In the kernel a constant, which prunes what is not wanted; elsewhere all.
    #[inline(always)]
    fn features(&self) -> Features {
        Features::ALL
    }

    /// The VIP table in force and the flow hash's secret.
    fn control(&self) -> Option<&Control>;

    /// A word of the filter over VIP addresses.
    fn filter(&self, word: u32) -> Option<u64>;

    /// A bucket of the VIP table.
    fn bucket(&self, index: u32) -> Option<&VipBucket>;

    /// A line of port ranges. Maps without ranges have none.
    fn port_ranges(&self, _index: u32) -> Option<&PortRanges> {
        None
    }

    /// A service.
    fn service(&self, index: u32) -> Option<&ServiceEntry>;

    /// A pool.
    fn pool(&self, index: u32) -> Option<PoolEntry>;

    /// A selection table's place.
    fn table(&self, index: u32) -> Option<&TableEntry>;

    /// Four rows.
    fn slab(&self, word: u32) -> Option<u64>;

    /// A backend.
    fn backend(&self, index: u32) -> Option<&BackendEntry>;

    /// What headers toward the nodes of a pool need, if they are reached over VXLAN.
    fn tunnel(&self, pool: u32) -> Option<&TunnelEntry>;

    /// The server that a connection id names. Maps without such servers have none.
    fn quic_server(&self, _key: &QuicKey) -> Option<QuicServer> {
        None
    }

    /// An access policy. Maps without admission have none.
    fn access_policy(&self, _index: u32) -> Option<&AccessPolicy> {
        None
    }

    /// What the longest prefix says that holds the key; `None`: none does.
    fn access(&self, _source: &AccessKey) -> Option<AccessFlags> {
        None
    }

    /// Takes a new flow out of the bucket of a source, which gets one every `interval` nanoseconds; false: it is
    /// empty. Maps without buckets never are.
    fn take(&self, _source: &SourceKey, _interval: u32) -> bool {
        true
    }

    /// The backend that the connection under this key is recorded with, and whether its end was seen before.
    /// A packet of it is here: it is alive, and `closing` if this packet ends it. Maps without connections
    /// have none.
    fn connection(&self, _key: u64, _closing: bool) -> Option<(u16, bool)> {
        None
    }

    /// Records a connection, seen now, in place of one that the key may have, if the budget of `insert`
    /// allows. Maps without connections record none.
    fn record(&self, _flow: &Flow, _key: u64, _connection: &Connection, _insert: Insert) {}

    /// Tells of a packet of a service, unless the like was told within this second. Maps that nobody reads tell
    /// nothing.
    fn tell(&self, _kind: EventKind, _service: u32, _flow: &Flow) {}

    /// What the first fragment told of the packet under this key. Maps without fragments know none.
    fn fragment(&self, _key: u64) -> Option<FragmentEntry> {
        None
    }

    /// Keeps what the first fragment of the packet under this key tells.
    fn remember_fragment(&self, _key: u64, _entry: &FragmentEntry) {}

    /// Changes the sampled flow of a slot, with the kernel's monotonic clock in nanoseconds, and counts what that tells. Maps
    /// without evidence follow no flow.
    fn sampled(&self, _slot: u32, _change: impl FnOnce(&mut SampledFlow, u64) -> Found) {}

    /// Whether the gateway may send such a packet by itself now: takes it from its budget. Maps without a clock
    /// have no limit.
    fn may_reply(&self, _reply: Reply) -> bool {
        true
    }

    /// The same word. In the kernel the verifier knows nothing of it, so that it need not try what follows once for
    /// each way that led to it: it goes by a map. For ways that few packets take.
    #[inline(always)]
    fn forgotten(&self, word: u64) -> u64 {
        word
    }

    /// A packet of `bytes` bytes went to a backend of a service.
    fn count_sent(&self, service: u32, backend: u32, bytes: u64);

    /// A packet of a service was dropped.
    fn count_dropped(&self, service: u32);

    /// A packet ended for the [`Reason`](lb_common::reason::Reason) with this number.
    fn count_reason(&self, reason: u32);
}
