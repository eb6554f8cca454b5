//! The program into the kernel, its maps onto their pins.

use std::io;

use aya::maps::ProgramArray;
use aya::programs::{ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use lb_common::abi::{Features, Program, map};
use thiserror::Error;

use super::attach::Carrier;
use super::devices::Devices;
use super::egress::{self, EgressError, Hold};
use super::mapping::Access;
use super::maps::{KernelMaps, MapsError, shapes};
use super::packet_log::{self, PacketLog, PacketLogError, Reader};
use super::pins::{Pins, Tenant};
use super::probes::Probes;
use crate::compile::Sizes;

/// The gateway's object, empty in a build without the eBPF toolchain. Aligned, for it is read as ELF in place.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("SPILLWAY_BPF_GATEWAY"));
const PROGRAM: &str = "gateway";
/// The program for what probes send.
pub const PROBE: &str = "probe";

/// Why the program is not in the kernel.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Built without it.
    #[error("this build carries no eBPF program; build it with `cargo xtask build`")]
    NoObject,
    /// No place for the pins.
    #[error(
        "{directory} is not on a BPF file system; mount one (`mount -t bpf bpf /sys/fs/bpf`) or set `pinPath`"
    )]
    NotBpfFileSystem {
        /// The directory.
        directory: String,
    },
    /// The pins' directory cannot be made or cleared.
    #[error("{directory}: {source}")]
    Pins {
        /// The directory.
        directory: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The maps there are of another kind of agent.
    #[error("the maps at {directory} are those of {}; give this agent a `pinPath` of its own", tenant.name())]
    Taken {
        /// The directory.
        directory: String,
        /// Whose they are.
        tenant: Tenant,
    },
    /// The object cannot be read, or a map not be made.
    #[error("the eBPF object was not loaded: {0}")]
    Object(#[from] EbpfError),
    /// The kernel refused the program.
    #[error("the kernel refused the program (Linux 5.10 is the oldest that is tested): {0}")]
    Program(#[from] ProgramError),
    /// The maps cannot be used.
    #[error(transparent)]
    Maps(#[from] MapsError),
}

/// Why the program was not exchanged for one with other features.
#[derive(Debug, Error)]
pub enum RenewError {
    /// The new one is not in the kernel.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its packets cannot be logged.
    #[error(transparent)]
    PacketLog(#[from] PacketLogError),
}

/// The program, in the kernel but on no interface yet, and its maps.
pub struct Loaded {
    ebpf: Ebpf,
    log: PacketLog,
    reader: Option<Reader>,
    /// What the program can do.
    features: Features,
    /// Its maps.
    pub maps: KernelMaps,
    /// What packets may leave by.
    pub devices: Devices,
    /// Where packets of probes through tunnels go.
    pub probes: Probes,
    /// Whether the maps were there before.
    pub adopted: bool,
}

impl Loaded {
    /// Loads the program, with these features, over the pinned maps, which are made where they are missing.
    ///
    /// Pins of other sizes than the limits ask for are an error: what they hold is in force.
    pub fn load(pins: &Pins, sizes: &Sizes, log: PacketLog, features: Features) -> Result<Self, LoadError> {
        if OBJECT.is_empty() {
            return Err(LoadError::NoObject);
        }
        prepare(pins, Tenant::Gateway)?;
        let adopted = map::ALL.iter().all(|name| pins.map(name).exists());
        let mut ebpf = object(pins, sizes, log, features)?;
        let maps = KernelMaps::open(pins, sizes, Access::Write)?;
        let devices = Devices::open(pins)?;
        let probes = Probes::open(pins)?;
        programs(&mut ebpf, features)?;
        Ok(Self { ebpf, log, reader: None, features, maps, devices, probes, adopted })
    }

    /// What the program can do.
    pub const fn features(&self) -> Features {
        self.features
    }

    /// Loads the program anew with other features, over the same maps. The program from before stays on its
    /// interfaces until this one is attached to them.
    pub fn renew(&mut self, pins: &Pins, sizes: &Sizes, features: Features) -> Result<(), RenewError> {
        let mut ebpf = object(pins, sizes, self.log, features).map_err(LoadError::from)?;
        programs(&mut ebpf, features)?;
        (self.ebpf, self.features) = (ebpf, features);
        self.log_packets()?;
        Ok(())
    }

    /// One of the programs that the other calls.
    pub fn called(&mut self, called: Program) -> Result<&mut Xdp, ProgramError> {
        program(&mut self.ebpf, called.name())
    }

    /// Puts the program for what probes send onto what an interface sends: in place of that of before, or anew. It knows
    /// the tunnels that the others know.
    ///
    /// # Errors
    /// [`EgressError`]; also if the kernel refuses the program.
    pub fn probe(&mut self, interface: &str, pins: &Pins) -> Result<Hold, EgressError> {
        let refused = |source| EgressError::Other { name: interface.to_owned(), source };
        let program = self.prober().map_err(refused)?;
        egress::attach(program, interface, egress::PROBE_HANDLE, &pins.egress(interface))
    }

    /// That program. Loaded when it is first asked for: few gateways have such probes, and a kernel that refuses it can
    /// balance all the same.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn prober(&mut self) -> Result<&mut SchedClassifier, ProgramError> {
        let program = self.ebpf.program_mut(PROBE).ok_or(ProgramError::NotLoaded)?;
        let program: &mut SchedClassifier = program.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        Ok(program)
    }

    /// Begins to log the packets that the program does not send, if it was loaded to tell of them; to be called
    /// once for each program.
    pub fn log_packets(&mut self) -> Result<(), PacketLogError> {
        if self.log == PacketLog::On {
            self.reader = Some(packet_log::start(&mut self.ebpf)?);
        }
        Ok(())
    }
}

impl Carrier for Loaded {
    fn program(&mut self) -> Result<&mut Xdp, ProgramError> {
        program(&mut self.ebpf, PROGRAM)
    }
}

/// Makes the directories of a tenant's pins, where that is possible.
pub fn prepare(pins: &Pins, tenant: Tenant) -> Result<(), LoadError> {
    let directory = pins.directory().display().to_string();
    if !pins.on_bpf_file_system() {
        return Err(LoadError::NotBpfFileSystem { directory });
    }
    if let Some(tenant) = pins.tenant().filter(|found| *found != tenant) {
        return Err(LoadError::Taken { directory, tenant });
    }
    pins.create().map_err(|source| LoadError::Pins { directory, source })
}

pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, ProgramError> {
    let program = ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?;
    program.try_into()
}

/// Loads the programs that these features need, and lets the gateway's call the others: from now on one that is on an
/// interface calls these too, which know the same maps and no less of their content.
fn programs(ebpf: &mut Ebpf, features: Features) -> Result<(), LoadError> {
    program(ebpf, PROGRAM)?.load()?;
    let needed = |called: &Program| called.feature().is_none_or(|feature| features.has(feature));
    for called in Program::ALL.into_iter().filter(needed) {
        let loaded = program(ebpf, called.name())?;
        loaded.load()?;
        let fd = loaded.fd()?.try_clone().map_err(ProgramError::IOError)?;
        let map = ebpf.map_mut(map::PROGRAMS).ok_or(ProgramError::NotLoaded)?;
        let mut array = ProgramArray::try_from(map).map_err(EbpfError::MapError)?;
        array.set(called as u32, &fd, 0).map_err(EbpfError::MapError)?;
    }
    Ok(())
}

fn object(pins: &Pins, sizes: &Sizes, log: PacketLog, features: Features) -> Result<Ebpf, EbpfError> {
    let features = features.bits();
    let mut loader = EbpfLoader::new();
    loader.verifier_log_level(VerifierLogLevel::STATS);
    for name in map::ALL {
        loader.map_pin_path(name, pins.map(name));
    }
    for (name, entries, _) in shapes(sizes) {
        loader.map_max_entries(name, entries);
    }
    loader.override_global(aya_log::LEVEL, log.level(), true);
    loader.override_global(Features::GLOBAL, &features, true);
    loader.map_max_entries(packet_log::MAP, log.buffer());
    loader.map_max_entries(map::SERVICE_STATS, sizes.services);
    loader.map_max_entries(map::BACKEND_STATS, sizes.backends);
    loader.map_max_entries(map::CONNECTIONS, sizes.connections);
    loader.map_max_entries(map::QUIC_SERVERS, sizes.quic_entries());
    loader.map_max_entries(map::PROBES, sizes.backends);
    loader.map_max_entries(map::ACCESS_PREFIXES, sizes.access_prefixes);
    loader.load(OBJECT)
}
