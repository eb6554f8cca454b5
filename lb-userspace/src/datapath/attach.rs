//! The program onto interfaces, through links that outlive the agent.

use std::io;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, Xdp};
use nix::net::if_::{if_nameindex, if_nametoindex};
use thiserror::Error;

use super::pins::{PinnedMode, Pins};
use crate::config::model::{Interface, XdpMode};

/// Why an interface is not balanced.
#[derive(Debug, Error)]
pub enum AttachError {
    /// There is no such interface.
    #[error("there is no interface {name}; this machine has {known}")]
    UnknownInterface {
        /// As configured.
        name: String,
        /// Names of those there are.
        known: String,
    },
    /// Another program is in the way. It is never replaced.
    #[error(
        "another XDP program sits on {name}; detach it (`ip link set dev {name} xdp off`, or end what attached it), or balance another interface"
    )]
    Occupied {
        /// The interface.
        name: String,
    },
    /// The driver cannot run XDP.
    #[error("the driver of {name} does not run XDP natively; set `xdpMode: generic` for it")]
    NoNativeMode {
        /// The interface.
        name: String,
    },
    /// The kernel has no XDP links.
    #[error("this kernel cannot attach XDP programs by link; Linux 5.10 or newer is needed")]
    NoLinks,
    /// The link cannot be pinned.
    #[error("the link of {name} cannot be pinned: {source}")]
    Pin {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: aya::pin::PinError,
    },
    /// A link that is no longer wanted cannot be removed.
    #[error("the old link of {name} cannot be removed: {source}")]
    Unpin {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else.
    #[error("the program was not attached to {name}: {source}")]
    Other {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: ProgramError,
    },
}

/// Holds a loaded program that goes onto interfaces.
pub trait Carrier {
    /// The program, to be attached or run on a test packet.
    ///
    /// # Errors
    /// If it is not loaded.
    fn program(&mut self) -> Result<&mut Xdp, ProgramError>;
}

/// An interface with the program on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// The kernel's number for it: another interface of that name has another one.
    pub index: u32,
    /// Where the program runs: native or generic.
    pub mode: XdpMode,
    /// The kernel's number for the program.
    pub program_id: u32,
    /// Whether there was no link before.
    pub new: bool,
}

impl Attachment {
    /// The link that holds it.
    pub fn link(&self) -> PinnedMode {
        PinnedMode { interface: self.name.clone(), mode: self.mode }
    }
}

/// Puts the program onto the interface: into the link that is pinned for it, in one step and without losing a
/// packet, or by a new link.
pub fn attach(program: &mut Xdp, interface: &Interface, pins: &Pins) -> Result<Attachment, AttachError> {
    let name = &interface.name;
    let index = if_nametoindex(name.as_str()).map_err(|_| unknown(name))?;
    let (mode, new) = match replace(program, interface, pins)? {
        Some(mode) => (mode, false),
        None => (attach_new(program, interface, index, pins)?, true),
    };
    let info = program.info().map_err(|source| AttachError::Other { name: name.clone(), source })?;
    Ok(Attachment { name: name.clone(), index, mode, program_id: info.id(), new })
}

/// The kernel's number for the program in a link; `None`: the link leads nowhere, or cannot be read.
pub fn program_id(link: &PinnedMode, pins: &Pins) -> Option<u32> {
    let link = FdLink::from(PinnedLink::from_pin(pins.link(link)).ok()?);
    Some(link.info().ok()?.program_id())
}

/// Takes the program off an interface that is no longer configured.
pub fn detach(link: &PinnedMode, pins: &Pins) -> io::Result<()> {
    std::fs::remove_file(pins.link(link))
}

/// Exchanges the program in a pinned link. `None`: there is none that serves, and none is left.
fn replace(program: &mut Xdp, interface: &Interface, pins: &Pins) -> Result<Option<XdpMode>, AttachError> {
    for mode in candidates(interface.mode) {
        let pinned = PinnedMode { interface: interface.name.clone(), mode: *mode };
        let Ok(link) = PinnedLink::from_pin(pins.link(&pinned)) else { continue };
        match exchange(program, link) {
            Ok(()) => return Ok(Some(*mode)),
            // The interface of that name was made anew; the link of the old one leads nowhere.
            Err(_) => detach(&pinned, pins).map_err(|source| removal(interface, source))?,
        }
    }
    remove_other_modes(interface, pins).map_err(|source| removal(interface, source))?;
    Ok(None)
}

fn exchange(program: &mut Xdp, link: PinnedLink) -> Result<(), ProgramError> {
    let link = XdpLink::try_from(FdLink::from(link))
        .map_err(|error| ProgramError::IOError(io::Error::other(error)))?;
    let id = program.attach_to_link(link)?;
    // The pin keeps the link; ours may close.
    program.take_link(id).map(drop)
}

/// A link in a mode that is no longer wanted holds the interface.
fn remove_other_modes(interface: &Interface, pins: &Pins) -> io::Result<()> {
    let links = pins.links()?;
    links.iter().filter(|link| link.interface == interface.name).try_for_each(|link| detach(link, pins))
}

fn removal(interface: &Interface, source: io::Error) -> AttachError {
    AttachError::Unpin { name: interface.name.clone(), source }
}

fn candidates(mode: XdpMode) -> &'static [XdpMode] {
    match mode {
        XdpMode::Auto => &[XdpMode::Native, XdpMode::Generic],
        XdpMode::Native => &[XdpMode::Native],
        XdpMode::Generic => &[XdpMode::Generic],
    }
}

fn attach_new(
    program: &mut Xdp,
    interface: &Interface,
    index: u32,
    pins: &Pins,
) -> Result<XdpMode, AttachError> {
    let modes = candidates(interface.mode);
    for mode in modes {
        match link(program, interface, index, *mode) {
            Ok(link) => return pin(link, interface, *mode, pins),
            Err(AttachError::NoNativeMode { .. }) if modes.len() > 1 => {}
            Err(error) => return Err(error),
        }
    }
    Err(AttachError::NoNativeMode { name: interface.name.clone() })
}

fn link(program: &mut Xdp, interface: &Interface, index: u32, mode: XdpMode) -> Result<FdLink, AttachError> {
    let name = || interface.name.clone();
    let kernel_mode = match mode {
        XdpMode::Native => aya::programs::XdpMode::Driver,
        _ => aya::programs::XdpMode::Skb,
    };
    let other = |source| AttachError::Other { name: name(), source };
    let id = program.attach_to_if_index(index, kernel_mode).map_err(|source| match errno(&source) {
        Some(libc::EBUSY | libc::EEXIST) => AttachError::Occupied { name: name() },
        Some(libc::EOPNOTSUPP) => AttachError::NoNativeMode { name: name() },
        _ => other(source),
    })?;
    // Where links are missing the loader attaches without one, silently; dropping that detaches it.
    FdLink::try_from(program.take_link(id).map_err(other)?).map_err(|_| AttachError::NoLinks)
}

fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    }
}

fn pin(link: FdLink, interface: &Interface, mode: XdpMode, pins: &Pins) -> Result<XdpMode, AttachError> {
    let pinned = PinnedMode { interface: interface.name.clone(), mode };
    link.pin(pins.link(&pinned))
        .map_err(|source| AttachError::Pin { name: interface.name.clone(), source })?;
    Ok(mode)
}

fn unknown(name: &str) -> AttachError {
    AttachError::UnknownInterface { name: name.to_owned(), known: known_interfaces() }
}

/// Names of the interfaces there are, as far as they can be told.
pub(super) fn known_interfaces() -> String {
    let known = if_nameindex().map(|all| {
        all.iter().map(|one| one.name().to_string_lossy().into_owned()).collect::<Vec<_>>().join(", ")
    });
    known.unwrap_or_default()
}
