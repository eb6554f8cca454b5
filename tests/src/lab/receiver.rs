//! The receiver's programs, with what they accept.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, PerCpuArray, PerCpuHashMap, PerCpuValues};
use aya::programs::tc::{SchedClassifier, TcAttachType, qdisc_add_clsact};
use aya::programs::{ProgramInfo, TestRunOptions, Xdp};
use aya::util::KernelVersion;
use aya::{Ebpf, TestRun};
use lb_common::abi::{
    Accepted, AcceptedFlags, AccessKey, KnownKey, NodeHop, RefusedKey, SegmentLimits, TunnelKey, TunnelKind,
};
use lb_common::net::{Address, Family, NetworkU16};
use lb_common::reason::ReceiverReason;

use super::program::{attach, open, xdp};
use super::{Namespace, Objects};

const PROGRAM: &str = "receiver";
const CLAMP: &str = "clamp";
/// What a configuration that does not name them has (host order).
const GUE_PORT: u16 = 6080;
const VXLAN_PORT: u16 = 4789;
const VNI: u32 = 100;

/// A receiver in the kernel; it goes when dropped.
#[derive(Debug)]
pub struct Receiver {
    object: Ebpf,
}

impl Receiver {
    /// What it takes off where nothing else is said: all there is, on the usual ports.
    pub fn usual() -> Accepted {
        let (gue, vxlan) = (NetworkU16::new(GUE_PORT), NetworkU16::new(VXLAN_PORT));
        Accepted {
            gue,
            vxlan,
            vni: (VNI << 8).to_be(),
            flags: AcceptedFlags::IPIP,
            segments: SegmentLimits::NONE,
        }
    }

    /// Loads it: what `gateways` send to an address of `own` is taken off.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn load(objects: &Objects, accepted: Accepted, own: &[IpAddr], gateways: &[IpAddr]) -> Result<Self> {
        let mut receiver = Self::load_clamp(objects, accepted, own)?;
        receiver.program()?.load().with_context(|| format!("load program {PROGRAM}"))?;
        gateways.iter().try_for_each(|address| receiver.add_gateway(*address))?;
        Ok(receiver)
    }

    /// Loads the program for what goes alone, of a node with these addresses: the other takes an emulated kernel ten seconds.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn load_clamp(objects: &Objects, accepted: Accepted, own: &[IpAddr]) -> Result<Self> {
        let mut receiver = Self { object: open(&objects.path(PROGRAM))? };
        receiver.clamp()?.load().with_context(|| format!("load program {CLAMP}"))?;
        own.iter().try_for_each(|address| receiver.add_own((*address).into()))?;
        let mut map: Array<_, [u8; 16]> = Array::try_from(receiver.map("accepted")?)?;
        map.set(0, bytemuck::cast::<_, [u8; 16]>(accepted), 0)?;
        Ok(receiver)
    }

    /// Attaches it to an interface: to what comes, and to what goes.
    ///
    /// # Errors
    /// When there is no such interface, or it has another program.
    pub fn attach(mut self, namespace: &Namespace, interface: &str) -> Result<Self> {
        attach(&mut self.object, PROGRAM, namespace, interface)?;
        let clamp = self.clamp()?;
        namespace.enter(|| {
            if KernelVersion::current()? < KernelVersion::new(6, 6, 0) {
                qdisc_add_clsact(interface)?;
            }
            clamp.attach(interface, TcAttachType::Egress).map(drop).context("attach what goes")
        })?;
        Ok(self)
    }

    /// The program for what comes.
    ///
    /// # Errors
    /// When the object has none.
    pub fn program(&mut self) -> Result<&mut Xdp> {
        xdp(&mut self.object, PROGRAM)
    }

    /// The program for what goes.
    ///
    /// # Errors
    /// When the object has none.
    pub fn clamp(&mut self) -> Result<&mut SchedClassifier> {
        Ok(self.object.program_mut(CLAMP).context("no such program in the object")?.try_into()?)
    }

    /// Runs that on a frame: its verdict (`TC_ACT_…`), and the frame afterwards.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn run_clamp(&mut self, frame: &[u8]) -> Result<(i32, Vec<u8>)> {
        let mut output = vec![0; frame.len()];
        let mut options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        options.data_out = Some(&mut output);
        let result = self.clamp()?.test_run(options)?;
        output.truncate(result.data_size_out as usize);
        Ok((result.return_value.cast_signed(), output))
    }

    /// What the kernel made of it.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn clamp_info(&mut self) -> Result<ProgramInfo> {
        Ok(self.clamp()?.info()?)
    }

    /// Answers to SYNs that were made to say less, on all CPUs.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn clamped(&mut self) -> Result<u64> {
        let map: PerCpuArray<_, u64> = PerCpuArray::try_from(self.map("clamp_stats")?)?;
        Ok(map.get(&0, 0)?.iter().sum())
    }

    /// What was refused, and how often.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn refused(&mut self) -> Result<Vec<(RefusedKey, u64)>> {
        let map: PerCpuHashMap<_, [u8; 24], u64> = PerCpuHashMap::try_from(self.map("refusals")?)?;
        let entry = |(key, counts): ([u8; 24], PerCpuValues<u64>)| {
            (bytemuck::cast::<_, RefusedKey>(key), counts.iter().sum())
        };
        Ok(map.iter().map(|found| found.map(entry)).collect::<Result<_, _>>()?)
    }

    /// Runs it on a frame: the verdict (`enum xdp_action`), and the frame afterwards.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn run(&mut self, frame: &[u8]) -> Result<(u32, Vec<u8>)> {
        let mut output = vec![0; frame.len()];
        let mut options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        options.data_out = Some(&mut output);
        let result = xdp(&mut self.object, PROGRAM)?.test_run(options)?;
        output.truncate(result.data_size_out as usize);
        Ok((result.return_value, output))
    }

    /// Packets and bytes that were taken out of tunnels of a kind, by all CPUs.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn taken(&mut self, kind: TunnelKind) -> Result<[u64; 2]> {
        let map: PerCpuArray<_, [u64; 2]> = PerCpuArray::try_from(self.map("tunnel_stats")?)?;
        let each = map.get(&(kind as u32), 0)?;
        Ok(each.iter().fold([0; 2], |[packets, bytes], [p, b]| [packets + p, bytes + b]))
    }

    /// Packets that ended for a reason, on all CPUs.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn ended(&mut self, reason: ReceiverReason) -> Result<u64> {
        let map: PerCpuArray<_, u64> = PerCpuArray::try_from(self.map("receiver_stats")?)?;
        Ok(map.get(&(reason as u32), 0)?.iter().sum())
    }

    /// Makes a key of tags known.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn add_key(&mut self, epoch: u8, key: TunnelKey) -> Result<()> {
        let mut keys: Array<_, [u8; 24]> = Array::try_from(self.map("tunnel_keys")?)?;
        Ok(keys.set(epoch.into(), bytemuck::cast::<_, [u8; 24]>(KnownKey { known: 1, key }), 0)?)
    }

    /// Says how to reach another node, or all others ([`NodeHop::ANY_V4`]).
    ///
    /// # Errors
    /// What the kernel said.
    pub fn add_hop(&mut self, node: Address, hop: NodeHop) -> Result<()> {
        let mut hops: HashMap<_, [u8; 16], [u8; 24]> = HashMap::try_from(self.map("node_hops")?)?;
        Ok(hops.insert(node.bytes(), bytemuck::cast::<_, [u8; 24]>(hop), 0)?)
    }

    fn map(&mut self, name: &str) -> Result<&mut Map> {
        self.object.map_mut(name).with_context(|| format!("no map {name} in the object"))
    }

    fn add_own(&mut self, address: Address) -> Result<()> {
        let mut own: HashMap<_, [u8; 16], u32> = HashMap::try_from(self.map("own_addresses")?)?;
        Ok(own.insert(address.bytes(), 0, 0)?)
    }

    fn add_gateway(&mut self, address: IpAddr) -> Result<()> {
        let key: [u8; 24] = bytemuck::cast(AccessKey::of_source(0, Family::of(address), address.into()));
        let (bits, rest) = key.split_at(4);
        let key = Key::new(u32::from_ne_bytes(bits.try_into()?), <[u8; 20]>::try_from(rest)?);
        let mut peers: LpmTrie<_, [u8; 20], u32> = LpmTrie::try_from(self.map("peers")?)?;
        Ok(peers.insert(&key, 0, 0)?)
    }
}
