//! The receiver's maps (`lb_common::abi::receiver_map`), and the stages' view of them.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, PerCpuArray};
use lb_common::abi::{Accepted, AccessFlags, AccessKey, PEERS, TunnelCounters, TunnelKind};
use lb_common::net::Address;
use lb_common::reason::ReceiverReason;
use lb_ebpf::program::trie_key;
use lb_ebpf::receive::Node;

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

/// The maps.
pub(crate) struct BpfNode;

impl Node for BpfNode {
    #[inline(always)]
    fn accepted(&self) -> Option<&Accepted> {
        ACCEPTED.get(0)
    }

    #[inline(always)]
    fn is_own(&self, address: &Address) -> bool {
        // SAFETY: only whether there is an entry is asked.
        unsafe { OWN_ADDRESSES.get(address) }.is_some()
    }

    #[inline(always)]
    fn is_peer(&self, source: &AccessKey) -> bool {
        PEER_PREFIXES.get(trie_key(source)).is_some_and(|flags| !flags.has(AccessFlags::DENY))
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
