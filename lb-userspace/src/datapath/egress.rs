//! A program onto what an interface sends, so that it outlives the agent.
//!
//! Where the kernel has links for traffic control (TCX, Linux 6.6) the link is pinned, and a restart exchanges the program
//! in it. Where it has not, a filter of the queueing discipline `clsact` holds the program, at a priority and under a
//! handle by which the next agent finds it and exchanges the program too; a directory in the place of the link's pin says
//! that it is there. Either way it comes before other programs, and
//! leaves the frame to them.

use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::path::Path;

use aya::programs::ProgramError;
use aya::programs::links::{FdLink, Link as _, LinkOrder, PinnedLink};
use aya::programs::tc::{
    NlOptions, SchedClassifier, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcAttachType,
    TcError, TcHandle, qdisc_add_clsact,
};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::LinkAddr;
use thiserror::Error;

use super::attach::known_interfaces;
use super::pins::remove_egress;

const EGRESS: TcAttachType = TcAttachType::Egress;
/// Where the filter stands: before others, and under a handle ("SP" in ASCII, and the next) that others do not choose, as
/// the kernel shows it. The agent owns what stands there.
const PRIORITY: u16 = 1;
/// Of a node's programs.
pub const LEAVING_HANDLE: u16 = 0x5350;
/// Of a gateway's program, which may be on the same interface.
pub const PROBE_HANDLE: u16 = 0x5351;

/// Why a program does not see what an interface sends.
#[derive(Debug, Error)]
pub enum EgressError {
    /// There is no such interface.
    #[error("there is no interface {name}; this machine has {known}")]
    UnknownInterface {
        /// As configured.
        name: String,
        /// Names of those there are.
        known: String,
    },
    /// Its frames have no Ethernet header, which the programs begin with.
    #[error("{name} is no Ethernet interface")]
    NoEthernet {
        /// The interface.
        name: String,
    },
    /// The interfaces cannot be listed.
    #[error("the interfaces cannot be listed: {0}")]
    Interfaces(#[from] nix::Error),
    /// The kernel has neither links nor filters for it.
    #[error(
        "nothing can look at what {name} sends: this kernel has no TCX links, and no `clsact` (module sch_ingress, CONFIG_NET_SCH_INGRESS): {source}"
    )]
    NoWay {
        /// The interface.
        name: String,
        /// What the kernel said to the latter.
        source: TcError,
    },
    /// The link cannot be pinned.
    #[error("the link for what {name} sends cannot be pinned: {source}")]
    Pin {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: aya::pin::PinError,
    },
    /// It cannot be noted that there is a filter.
    #[error("the filter for what {name} sends cannot be noted among the pins: {source}")]
    Mark {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A link that leads nowhere, or what stands for a filter, cannot be removed.
    #[error("the old link for what {name} sends cannot be removed: {source}")]
    Unpin {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Anything else.
    #[error("the program does not see what {name} sends: {source}")]
    Other {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: ProgramError,
    },
}

/// What holds the program on its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// A link, pinned.
    Link,
    /// A filter.
    Filter,
}

impl Hold {
    /// In a log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Filter => "filter",
        }
    }
}

/// Puts the program, which is loaded, onto what the interface sends: in place of that of an agent before, without a frame
/// that none of them sees, or anew. `handle` is that of a filter; `pin` is where a link is pinned, on a BPF file system; for a
/// filter it becomes a directory, and what has a filter keeps it.
///
/// # Errors
/// [`EgressError`]
pub fn attach(
    program: &mut SchedClassifier,
    interface: &str,
    handle: u16,
    pin: &Path,
) -> Result<Hold, EgressError> {
    if pin.is_dir() {
        return attach_filter(program, interface, handle, pin).map(|()| Hold::Filter);
    }
    must_be_ethernet(interface)?;
    if exchanged(program, interface, pin)? {
        return Ok(Hold::Link);
    }
    match link(program, interface) {
        Ok(link) => link
            .pin(pin)
            .map(|_| Hold::Link)
            .map_err(|source| EgressError::Pin { name: interface.to_owned(), source }),
        Err(error) if has_no_links(&error) => {
            attach_filter(program, interface, handle, pin).map(|()| Hold::Filter)
        }
        Err(source) => Err(other(interface, source)),
    }
}

/// The same by a filter alone: for kernels without links.
///
/// # Errors
/// [`EgressError`]
pub fn attach_filter(
    program: &mut SchedClassifier,
    interface: &str,
    handle: u16,
    pin: &Path,
) -> Result<(), EgressError> {
    must_be_ethernet(interface)?;
    match qdisc_add_clsact(interface) {
        Ok(()) | Err(TcError::AlreadyAttached) => {}
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {}
        Err(source) => return Err(EgressError::NoWay { name: interface.to_owned(), source }),
    }
    let id = filter(program, interface, handle).map_err(|source| other(interface, source))?;
    let link = program.take_link(id).map_err(|source| other(interface, source))?;
    // Dropped, it would take the filter with it.
    let _ = ManuallyDrop::new(link);
    match fs::create_dir(pin) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(EgressError::Mark { name: interface.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Whether there is a link or a filter, by its pin.
pub fn is_held(pin: &Path) -> bool {
    pin.is_dir() || PinnedLink::from_pin(pin).is_ok()
}

/// Whether a link holds a program of that name for what the interface sends. `None`: this process may not ask
/// (`CAP_NET_ADMIN` and `CAP_SYS_ADMIN`).
pub fn has_link(interface: &str, name: &str) -> Option<bool> {
    match SchedClassifier::query_tcx(interface, EGRESS) {
        Ok((_, programs)) => Some(programs.iter().any(|program| program.name_as_str() == Some(name))),
        Err(error) => has_no_links(&error).then_some(false),
    }
}

/// Takes the program off what the interface sends. The queueing discipline stays, for it may hold filters of others. That
/// there is no program, or no interface, is no error.
///
/// # Errors
/// [`EgressError::Unpin`], [`EgressError::Other`]
pub fn detach(interface: &str, handle: u16, pin: &Path) -> Result<(), EgressError> {
    if pin.is_dir()
        && let Ok(filter) = old_filter(interface, handle)
    {
        remove(filter).map_err(|source| other(interface, source))?;
    }
    unpin(interface, pin)
}

fn remove(filter: SchedClassifierLink) -> Result<(), ProgramError> {
    match filter.detach() {
        // ENOENT: no filter; EINVAL: not even a queueing discipline.
        Err(error) if matches!(errno(&error), Some(libc::ENOENT | libc::EINVAL)) => Ok(()),
        removed => removed,
    }
}

/// Whether there was a link that is pinned, and has the program now. One that led nowhere is gone.
fn exchanged(program: &mut SchedClassifier, interface: &str, pin: &Path) -> Result<bool, EgressError> {
    let Ok(pinned) = PinnedLink::from_pin(pin) else { return Ok(false) };
    match exchange(program, pinned) {
        Ok(()) => Ok(true),
        // The interface of that name was made anew; the link of the old one leads nowhere.
        Err(_) => unpin(interface, pin).map(|()| false),
    }
}

fn exchange(program: &mut SchedClassifier, pinned: PinnedLink) -> Result<(), ProgramError> {
    let link = SchedClassifierLink::try_from(FdLink::from(pinned))
        .map_err(|error| ProgramError::IOError(io::Error::other(error)))?;
    let id = program.attach_to_link(link)?;
    // The pin keeps the link; ours may close.
    program.take_link(id).map(drop)
}

fn link(program: &mut SchedClassifier, interface: &str) -> Result<FdLink, ProgramError> {
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program.attach_with_options(interface, EGRESS, options)?;
    let link = program.take_link(id)?;
    FdLink::try_from(link).map_err(|error| ProgramError::IOError(io::Error::other(error)))
}

/// Replaces the program in the filter, or makes that.
fn filter(
    program: &mut SchedClassifier,
    interface: &str,
    handle: u16,
) -> Result<SchedClassifierLinkId, ProgramError> {
    let old = old_filter(interface, handle).map_err(ProgramError::IOError)?;
    match program.attach_to_link(old) {
        Err(error) if errno(&error) == Some(libc::ENOENT) => {
            let options = NlOptions { priority: PRIORITY, handle: TcHandle::new(0, handle), classid: None };
            program.attach_with_options(interface, EGRESS, TcAttachOptions::Netlink(options))
        }
        replaced => replaced,
    }
}

/// The filter as an agent leaves it, whether or not it is there.
fn old_filter(interface: &str, handle: u16) -> io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(interface, EGRESS, PRIORITY, TcHandle::new(0, handle), None)
}

fn unpin(interface: &str, pin: &Path) -> Result<(), EgressError> {
    remove_egress(pin).map_err(|source| EgressError::Unpin { name: interface.to_owned(), source })
}

/// A kernel that does not know the kind of link says that the argument is invalid.
fn has_no_links(error: &ProgramError) -> bool {
    matches!(errno(error), Some(libc::EINVAL | libc::EOPNOTSUPP))
}

fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::NetlinkError(error) | ProgramError::TcError(TcError::NetlinkError(error)) => {
            error.raw_os_error()
        }
        _ => None,
    }
}

fn must_be_ethernet(interface: &str) -> Result<(), EgressError> {
    let mut links = getifaddrs()?.filter(|one| one.interface_name == interface);
    let kind = links.find_map(|one| one.address?.as_link_addr().map(LinkAddr::hatype));
    match kind {
        Some(libc::ARPHRD_ETHER) => Ok(()),
        Some(_) => Err(EgressError::NoEthernet { name: interface.to_owned() }),
        None => Err(EgressError::UnknownInterface { name: interface.to_owned(), known: known_interfaces() }),
    }
}

fn other(interface: &str, source: ProgramError) -> EgressError {
    EgressError::Other { name: interface.to_owned(), source }
}
