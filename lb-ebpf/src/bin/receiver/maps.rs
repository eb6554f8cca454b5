//! The receiver's maps (`lb_common::abi::receiver_map`), and the stages' view of them.

use aya_ebpf::bindings::{BPF_F_MMAPABLE, xdp_md};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, LruPerCpuHashMap, PerCpuArray};
use lb_common::abi::{
    Accepted, AccessFlags, AccessKey, EPOCHS, KnownKey, NodeHop, OWNED_FLOWS, Owned, OwnedKey, PEERS,
    RECEIVER_STATE_WORDS, REFUSALS, RefusedKey, TunnelCounters, TunnelKind, WANTED_HOPS,
};
use lb_common::flow::Flow;
use lb_common::net::{Address, Family};
use lb_common::reason::ReceiverReason;
use lb_ebpf::clamp::Limits;
use lb_ebpf::frame::Frame;
use lb_ebpf::leave::Sender;
use lb_ebpf::program::{by_way_of, now, trie_key};
use lb_ebpf::receive::Node;
use lb_ebpf::refuse::Refusals;

use crate::sockets;

#[map(name = "accepted")]
static ACCEPTED: Array<Accepted> = Array::with_max_entries(1, 0);
#[map(name = "own_addresses")]
static OWN_ADDRESSES: HashMap<Address, u32> = HashMap::with_max_entries(PEERS, 0);
/// The key is an [`AccessKey`], of which the trie wants its first word by itself.
#[map(name = "peers")]
static PEER_PREFIXES: LpmTrie<[u8; 20], AccessFlags> = LpmTrie::with_max_entries(PEERS, 0);
#[map(name = "tunnel_stats")]
static TUNNEL_STATS: PerCpuArray<TunnelCounters> =
    PerCpuArray::with_max_entries(TunnelKind::ALL.len() as u32, 0);
#[map(name = "receiver_stats")]
static RECEIVER_STATS: PerCpuArray<u64> = PerCpuArray::with_max_entries(ReceiverReason::ALL.len() as u32, 0);
/// Kept for the agent; no packet reads it.
#[map(name = "state")]
static STATE: Array<u64> = Array::with_max_entries(RECEIVER_STATE_WORDS, BPF_F_MMAPABLE);

#[map(name = "owned_flows")]
static OWNED: LruHashMap<OwnedKey, Owned> = LruHashMap::with_max_entries(OWNED_FLOWS, 0);
#[map(name = "node_hops")]
static HOPS: HashMap<Address, NodeHop> = HashMap::with_max_entries(PEERS, 0);
/// Nodes to which the way is not known but by a hop for all: the agent looks for theirs.
#[map(name = "wanted_hops")]
static WANTED: LruHashMap<Address, u32> = LruHashMap::with_max_entries(WANTED_HOPS, 0);
/// By the epoch that a tag claims.
#[map(name = "tunnel_keys")]
static TUNNEL_KEYS: Array<KnownKey> = Array::with_max_entries(EPOCHS, 0);
/// Answers to SYNs that say less than they did, by CPU.
#[map(name = "clamp_stats")]
static CLAMP_STATS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
/// Connections that were refused, by CPU.
#[map(name = "refusals")]
static REFUSED: LruPerCpuHashMap<RefusedKey, u64> = LruPerCpuHashMap::with_max_entries(REFUSALS, 0);
/// A word that the verifier is to forget.
#[map(name = "scratch")]
static SCRATCH: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// The maps, as what is sent asks them.
pub(crate) struct BpfSender;

/// The maps, and the packet's context, which the kernel wants to know when it is asked for a socket.
pub(crate) struct BpfNode {
    pub(crate) context: *mut xdp_md,
}

impl Node for BpfNode {
    #[inline(always)]
    fn accepted(&self) -> Option<&Accepted> {
        ACCEPTED.get(0)
    }

    #[inline(always)]
    fn is_own(&self, address: &Address) -> bool {
        is_own(address)
    }

    #[inline(always)]
    fn is_peer(&self, source: &AccessKey) -> bool {
        PEER_PREFIXES.get(trie_key(source)).is_some_and(|flags| !flags.has(AccessFlags::DENY))
    }

    #[inline(always)]
    fn has_socket<F: Frame>(&self, frame: &F, flow: &Flow, ip: usize, tcp: usize) -> bool {
        sockets::has(self.context, frame, flow, ip, tcp)
    }

    #[inline(always)]
    fn owns(&self, flow: &Flow, sequence: u32) -> bool {
        // SAFETY: an entry is one word, which is read as one whatever another CPU does to it.
        unsafe { OWNED.get(OwnedKey::of(flow)) }.is_some_and(|owned| owned.holds(sequence))
    }

    #[inline(always)]
    fn own(&self, flow: &Flow, sequence: u32, ends: bool) {
        let key = OwnedKey::of(flow);
        if let Some(owned) = OWNED.get_ptr_mut(key) {
            // SAFETY: an entry is one word, which is stored as one; whichever CPU stores last is right.
            return unsafe { *owned = (*owned).seen(now(), sequence, ends) };
        }
        // A flow that finds no place is asked after once more.
        _ = OWNED.insert(key, Owned::default().seen(now(), sequence, ends), 0);
    }

    #[inline(always)]
    fn hop(&self, address: &Address) -> Option<NodeHop> {
        // SAFETY: the agent changes an entry as a whole; a packet that meets the change leaves by the old way or the new.
        if let Some(hop) = unsafe { HOPS.get(address) } {
            return Some(*hop);
        }
        _ = WANTED.insert(address, 0, 0);
        let any = if address.is_v4() { &NodeHop::ANY_V4 } else { &NodeHop::ANY_V6 };
        // SAFETY: as above.
        unsafe { HOPS.get(any) }.copied()
    }

    /// An entry changes while an epoch begins or ends to be known, when no gateway uses it.
    #[inline(always)]
    fn tunnel_key(&self, epoch: u8) -> Option<&KnownKey> {
        TUNNEL_KEYS.get(epoch.into())
    }

    #[inline(always)]
    fn forgotten(&self, word: u64) -> u64 {
        forgotten(word)
    }

    #[inline(always)]
    fn count_taken(&self, kind: TunnelKind, bytes: u64) {
        if let Some(counters) = TUNNEL_STATS.get_ptr_mut(kind as u32) {
            // SAFETY: the entry is this CPU's own, and XDP programs do not interrupt each other on a CPU.
            unsafe {
                (*counters).packets += 1;
                (*counters).bytes += bytes;
            }
        }
    }

    #[inline(always)]
    fn count_reason(&self, reason: ReceiverReason) {
        if let Some(counter) = RECEIVER_STATS.get_ptr_mut(reason as u32) {
            // SAFETY: as above.
            unsafe { *counter += 1 };
        }
    }
}

impl Sender for BpfSender {
    #[inline(always)]
    fn is_own(&self, address: &Address) -> bool {
        is_own(address)
    }

    #[inline(always)]
    fn forgotten(&self, word: u64) -> u64 {
        forgotten(word)
    }
}

impl Refusals for BpfSender {
    /// Two CPUs that make an entry at once may count one.
    #[inline(always)]
    fn count_refused(&self, key: &RefusedKey) {
        match REFUSED.get_ptr_mut(key) {
            // SAFETY: the value is this CPU's own; with bottom halves off, frames that are sent do not interrupt each other
            // on a CPU.
            Some(count) => unsafe { *count += 1 },
            None => _ = REFUSED.insert(key, 1, 0),
        }
    }
}

impl Limits for BpfSender {
    #[inline(always)]
    fn limit(&self, family: Family) -> u16 {
        ACCEPTED.get(0).map_or(0, |accepted| accepted.segments.of(family))
    }

    #[inline(always)]
    fn count_clamped(&self) {
        if let Some(counter) = CLAMP_STATS.get_ptr_mut(0) {
            // SAFETY: as above.
            unsafe { *counter += 1 };
        }
    }
}

#[inline(always)]
fn is_own(address: &Address) -> bool {
    // SAFETY: only whether there is an entry is asked.
    unsafe { OWN_ADDRESSES.get(address) }.is_some()
}

/// The same word, by way of a map.
#[inline(always)]
fn forgotten(word: u64) -> u64 {
    // SAFETY: the map is per CPU. Neither XDP programs nor, with bottom halves off, frames that are sent interrupt each
    // other on a CPU.
    unsafe { by_way_of(SCRATCH.get_ptr_mut(0), word) }
}
