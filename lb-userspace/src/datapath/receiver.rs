//! The receiver into the kernel, over its pinned maps.

mod flows;
mod hops;
mod maps;
mod refusals;

use aya::programs::{ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use lb_common::abi::receiver_map;

pub use flows::OwnedFlows;
pub use hops::NodeHops;
pub use maps::ReceiverMaps;
pub use refusals::Refusals;

use super::attach::Carrier;
use super::egress::{self, EgressError, Hold};
use super::load::{LoadError, prepare, program};
use super::mapping::Access;
use super::pins::{Pins, Tenant};

/// The receiver's object, empty in a build without the eBPF toolchain. Aligned, for it is read as ELF in place.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("SPILLWAY_BPF_RECEIVER"));
const PROGRAM: &str = "receiver";

/// A program for what goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// Counts what is refused, and clamps answers to SYNs.
    Clamp,
    /// Counts what is refused.
    Refuse,
}

impl Leaving {
    /// Its name in the kernel.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clamp => "clamp",
            Self::Refuse => "refuse",
        }
    }
}

/// The program, in the kernel but on no interface yet, and its maps.
pub struct Receiver {
    ebpf: Ebpf,
    /// Its maps.
    pub maps: ReceiverMaps,
    /// Whether the maps were there before.
    pub adopted: bool,
}

impl Receiver {
    /// Loads the program over the pinned maps, which are made where they are missing, with room for so many `flows`
    /// that are remembered. A program that is on interfaces stays there until this one is attached to them.
    ///
    /// # Errors
    /// [`LoadError`]; pins with room for another number are one.
    pub fn load(pins: &Pins, flows: u32) -> Result<Self, LoadError> {
        if OBJECT.is_empty() {
            return Err(LoadError::NoObject);
        }
        prepare(pins, Tenant::Node)?;
        let adopted = receiver_map::ALL.iter().all(|name| pins.map(name).exists());
        let mut loader = EbpfLoader::new();
        loader.verifier_log_level(VerifierLogLevel::STATS);
        for name in receiver_map::ALL {
            loader.map_pin_path(name, pins.map(name));
        }
        loader.map_max_entries(receiver_map::OWNED_FLOWS, flows);
        let mut ebpf = loader.load(OBJECT)?;
        let maps = ReceiverMaps::open(pins, Access::Write)?;
        OwnedFlows::check(pins, flows)?;
        program(&mut ebpf, PROGRAM)?.load()?;
        Ok(Self { ebpf, maps, adopted })
    }

    /// Puts a program for what goes, over the same maps, onto what an interface sends: in place of that of an agent
    /// before, or anew.
    ///
    /// # Errors
    /// [`EgressError`]; also if the kernel refuses the program.
    pub fn look_at_leaving(
        &mut self,
        leaving: Leaving,
        interface: &str,
        pins: &Pins,
    ) -> Result<Hold, EgressError> {
        let refused = |source| EgressError::Other { name: interface.to_owned(), source };
        let program = loaded(&mut self.ebpf, leaving).map_err(refused)?;
        egress::attach(program, interface, egress::LEAVING_HANDLE, &pins.egress(interface))
    }
}

/// Loaded when it is first asked for: a kernel that refuses it can take tunnels apart all the same.
fn loaded(ebpf: &mut Ebpf, leaving: Leaving) -> Result<&mut SchedClassifier, ProgramError> {
    let program: &mut SchedClassifier =
        ebpf.program_mut(leaving.name()).ok_or(ProgramError::NotLoaded)?.try_into()?;
    if program.fd().is_err() {
        program.load()?;
    }
    Ok(program)
}

impl Carrier for Receiver {
    fn program(&mut self) -> Result<&mut Xdp, ProgramError> {
        program(&mut self.ebpf, PROGRAM)
    }
}
