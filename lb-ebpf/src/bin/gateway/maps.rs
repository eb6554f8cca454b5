//! The maps of `lb_common::abi`. Sizes are defaults; the agent sets them when it loads the program.

use aya_ebpf::Global;
use aya_ebpf::bindings::xdp_action::XDP_ABORTED;
use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, DevMapHash, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, RingBuf};
use aya_ebpf::programs::XdpContext;
use lb_common::abi::{
    self, AccessFlags, AccessPolicy, BackendCounters, BackendEntry, Budget, Connection, Control, EventKind,
    Evidence, FILTER_WORDS, FragmentEntry, PoolEntry, PortRanges, ProbeCounters, ProbeEntry, Program,
    QuicKey, QuicServer, SampledFlow, ServiceCounters, ServiceEntry, SourceBucket, SourceKey, TableEntry,
    TrackingCounters, TunnelEntry, VipBucket,
};
use lb_common::reason::Reason;

/// [`Features`](lb_common::abi::Features), set when the program is loaded. In a section of its own: the compiler
/// merges a global with any literal of its value, and to override the one would change the other.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.features")]
pub(crate) static FEATURES: Global<u32> = Global::new(0);

#[map(name = "control")]
pub(crate) static CONTROL: Array<Control> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map(name = "vip_filter")]
pub(crate) static VIP_FILTER: Array<u64> = Array::with_max_entries(FILTER_WORDS, BPF_F_MMAPABLE);
#[map(name = "vips")]
pub(crate) static VIPS: Array<VipBucket> = Array::with_max_entries(1 << 17, BPF_F_MMAPABLE);
#[map(name = "port_ranges")]
pub(crate) static PORT_RANGES: Array<PortRanges> = Array::with_max_entries(1 << 15, BPF_F_MMAPABLE);
#[map(name = "services")]
pub(crate) static SERVICES: Array<ServiceEntry> = Array::with_max_entries(1 << 14, BPF_F_MMAPABLE);
#[map(name = "pools")]
pub(crate) static POOLS: Array<PoolEntry> = Array::with_max_entries(1 << 14, BPF_F_MMAPABLE);
#[map(name = "tables")]
pub(crate) static TABLES: Array<TableEntry> = Array::with_max_entries(1 << 16, BPF_F_MMAPABLE);
#[map(name = "slab")]
pub(crate) static SLAB: Array<u64> = Array::with_max_entries(1 << 22, BPF_F_MMAPABLE);
#[map(name = "backends")]
pub(crate) static BACKENDS: Array<BackendEntry> = Array::with_max_entries(1 << 14, BPF_F_MMAPABLE);
#[map(name = "tunnels")]
pub(crate) static TUNNELS: Array<TunnelEntry> = Array::with_max_entries(1 << 14, BPF_F_MMAPABLE);
#[map(name = "service_stats")]
pub(crate) static SERVICE_STATS: PerCpuArray<ServiceCounters> = PerCpuArray::with_max_entries(1 << 14, 0);
#[map(name = "backend_stats")]
pub(crate) static BACKEND_STATS: PerCpuArray<BackendCounters> = PerCpuArray::with_max_entries(1 << 14, 0);
#[map(name = "reason_stats")]
pub(crate) static REASON_STATS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reason::ALL.len() as u32, 0);
#[map(name = "devices")]
static DEVICES: DevMapHash = DevMapHash::with_max_entries(256, 0);
/// Not per CPU: a queue that moves to another must find its flows.
#[map(name = "connections")]
pub(crate) static CONNECTIONS: LruHashMap<u64, Connection> = LruHashMap::with_max_entries(1 << 20, 0);
#[map(name = "budgets")]
pub(crate) static BUDGETS: Array<Budget> = Array::with_max_entries(abi::BUDGETS, 0);
#[map(name = "fragments")]
pub(crate) static FRAGMENTS: LruHashMap<u64, FragmentEntry> = LruHashMap::with_max_entries(abi::FRAGMENTS, 0);
/// The agent puts the programs in, by [`Program`], before the one that calls them is on an interface.
#[map(name = "programs")]
static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(Program::ALL.len() as u32, 0);
#[map(name = "tracking_stats")]
pub(crate) static TRACKING_STATS: PerCpuArray<TrackingCounters> = PerCpuArray::with_max_entries(1, 0);
/// A word on its way through a program. Not pinned: each program has its own.
#[map(name = "scratch")]
pub(crate) static SCRATCH: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
/// Takes memory only for what it holds: few have QUIC servers.
#[map(name = "quic_servers")]
pub(crate) static QUIC_SERVERS: HashMap<QuicKey, QuicServer> =
    HashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);
#[map(name = "access_policies")]
pub(crate) static ACCESS_POLICIES: Array<AccessPolicy> =
    Array::with_max_entries(abi::ACCESS_POLICIES, BPF_F_MMAPABLE);
/// The key is an [`AccessKey`](lb_common::abi::AccessKey), of which the trie wants its first word by itself.
#[map(name = "access_prefixes")]
pub(crate) static ACCESS_PREFIXES: LpmTrie<[u8; 20], AccessFlags> = LpmTrie::with_max_entries(1 << 18, 0);
/// Least recently used: sources that are made up push each other out, and take no more memory than this.
#[map(name = "source_buckets")]
pub(crate) static SOURCE_BUCKETS: LruHashMap<SourceKey, SourceBucket> =
    LruHashMap::with_max_entries(abi::SOURCE_BUCKETS, 0);
/// Takes memory only for what it holds, by [`ProbeMark`](lb_common::abi::ProbeMark).
#[map(name = "probes")]
pub(crate) static PROBES: HashMap<u32, ProbeEntry> = HashMap::with_max_entries(1 << 14, BPF_F_NO_PREALLOC);
#[map(name = "probe_stats")]
pub(crate) static PROBE_STATS: PerCpuArray<ProbeCounters> = PerCpuArray::with_max_entries(1, 0);
/// Not per CPU: the packets of a flow may come by several queues.
#[map(name = "sampled_flows")]
pub(crate) static SAMPLED_FLOWS: Array<SampledFlow> = Array::with_max_entries(abi::SAMPLED_FLOWS, 0);
#[map(name = "evidence")]
pub(crate) static EVIDENCE: Array<Evidence> = Array::with_max_entries(1 << 14, BPF_F_MMAPABLE);
#[map(name = "events")]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(abi::EVENT_BYTES, 0);
#[map(name = "event_budgets")]
pub(crate) static EVENT_BUDGETS: Array<Budget> = Array::with_max_entries(EventKind::ALL.len() as u32, 0);
/// Kept for the agent; no packet reads it.
#[map(name = "state")]
pub(crate) static STATE: Array<u64> = Array::with_max_entries(1 << 20, BPF_F_MMAPABLE);

/// Out of another interface. One that the agent has not listed aborts the packet, which the kernel counts.
#[inline(always)]
pub(crate) fn redirect(interface: u32) -> u32 {
    DEVICES.redirect(interface, 0).unwrap_or(XDP_ABORTED)
}

/// On with another program. It is missing only where somebody took it out: the packet is aborted, which the kernel
/// counts.
#[inline(always)]
pub(crate) fn call(program: Program, context: &XdpContext) -> u32 {
    // SAFETY: nothing of this program's is live any more; the map holds programs of this type only.
    unsafe { PROGRAMS.tail_call(context, program as u32) };
    XDP_ABORTED
}
