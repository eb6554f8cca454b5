//! The receiver into the kernel, over its pinned maps.

mod maps;

use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use lb_common::abi::receiver_map;

pub use maps::ReceiverMaps;

use super::attach::Carrier;
use super::load::{LoadError, prepare, program};
use super::mapping::Access;
use super::pins::{Pins, Tenant};

/// The receiver's object, empty in a build without the eBPF toolchain. Aligned, for it is read as ELF in place.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("SPILLWAY_BPF_RECEIVER"));
const PROGRAM: &str = "receiver";

/// The program, in the kernel but on no interface yet, and its maps.
pub struct Receiver {
    ebpf: Ebpf,
    /// Its maps.
    pub maps: ReceiverMaps,
    /// Whether the maps were there before.
    pub adopted: bool,
}

impl Receiver {
    /// Loads the program over the pinned maps, which are made where they are missing. A program that is on
    /// interfaces stays there until this one is attached to them.
    ///
    /// # Errors
    /// [`LoadError`]
    pub fn load(pins: &Pins) -> Result<Self, LoadError> {
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
        let mut ebpf = loader.load(OBJECT)?;
        let maps = ReceiverMaps::open(pins, Access::Write)?;
        program(&mut ebpf, PROGRAM)?.load()?;
        Ok(Self { ebpf, maps, adopted })
    }
}

impl Carrier for Receiver {
    fn program(&mut self) -> Result<&mut Xdp, ProgramError> {
        program(&mut self.ebpf, PROGRAM)
    }
}
