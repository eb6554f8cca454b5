//! The server that a QUIC packet names: a connection id that the server made says who it is, so that a client which
//! changes its address or port stays with it (draft-ietf-quic-load-balancers-21, ids that are not encrypted).
//!
//! The first packet of a datagram decides. Only what no version of QUIC changes is looked at (RFC 8999): which of
//! two forms the header has, and where the destination connection id lies. An id whose configuration, server id or
//! length is not a server's, such as nearly all that a client has chosen, names nobody; so does one of a server that
//! takes nothing. Such a packet goes as any other, by its flow's hash; with a long header it begins a connection: those that
//! follow have the id that the server chose.

use crate::frame::Frame;
use crate::parse;
use crate::parse::transport::{UDP_LENGTH, locate};
use crate::tables::Tables;
use crate::track::{Decision, Owner};
use crate::wire::{QuicLong, QuicShort};
use lb_common::abi::{BackendEntry, QuicKey, QuicLengths, QuicServer, ServiceEntry};

/// In a packet's first byte: the header is long.
const LONG: u8 = 0x80;

/// The destination connection id of the packet that a datagram begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionId {
    /// Its first sixteen bytes, with whatever follows where it is shorter, read natively.
    pub head: [u64; 2],
    /// Its length in bytes; in a packet that does not say it, the longest there is.
    pub length: u32,
}

impl ConnectionId {
    /// What a packet with a short header does not say: it is as long as the server knows.
    const UNSAID: u32 = 256;

    /// Of the packet at hand, a whole one of UDP. It is parsed anew: what would be kept for this is dear to verify,
    /// and would cost the packets that have no use for it.
    #[inline(always)]
    pub fn find<F: Frame, T: Tables>(frame: &F, tables: &T) -> Option<Self> {
        let network = parse::network(frame).ok()?;
        let place = locate(frame, &network).ok()?;
        let word = tables.forgotten(place.offset as u64 | (network.end() as u64) << 32);
        Self::read(frame, (word & 0xffff) as usize, (word >> 32) as usize)
    }

    /// Of a UDP packet that ends at `end`, whose header lies at `offset`. `None`: its data are too short for a QUIC
    /// packet to a server that has a server id (17 bytes with a short header, 22 with a long one).
    #[inline(always)]
    pub fn read<F: Frame>(frame: &F, offset: usize, end: usize) -> Option<Self> {
        let offset = offset + UDP_LENGTH;
        let short = frame.header::<QuicShort>(offset)?;
        // After the frame was asked, as in `parse`.
        if offset + size_of::<QuicShort>() > end {
            return None;
        }
        if short.first & LONG == 0 {
            return Some(Self { head: short.id, length: Self::UNSAID });
        }
        let long = frame.header::<QuicLong>(offset)?;
        (offset + size_of::<QuicLong>() <= end)
            .then_some(Self { head: long.id, length: u32::from(long.length) })
    }
}

/// Whom a connection id names: the index of a backend that serves, or nobody. One word, which a function of the kernel
/// program can return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named(u32);

impl Named {
    /// No backend: indices that no map has.
    pub const NOBODY: Self = Self(u32::MAX);
    const NEW: Self = Self(u32::MAX - 1);

    /// Nobody, and the packet begins a connection.
    #[inline(always)]
    pub const fn begins(self) -> bool {
        self.0 == Self::NEW.0
    }

    /// The backend.
    #[inline(always)]
    pub fn owner<T: Tables>(self, tables: &T) -> Option<Owner<'_>> {
        if self.0 >= Self::NEW.0 {
            return None;
        }
        let backend = tables.backend(self.0)?;
        Some(Owner { index: self.0, backend, decision: Decision::Quic, clean: true })
    }
}

/// Whom a connection id of a service names.
#[inline(always)]
pub fn named<T: Tables>(id: ConnectionId, service: u32, entry: &ServiceEntry, tables: &T) -> Named {
    look_up(&Asked { id, service, lengths: entry.quic }, tables)
}

/// A connection id of a service.
struct Asked {
    id: ConnectionId,
    service: u32,
    lengths: QuicLengths,
}

/// A function of its own in the kernel program, too, so that all ways through it are one to the verifier.
#[inline(never)]
fn look_up<T: Tables>(asked: &Asked, tables: &T) -> Named {
    let key = QuicKey::of(asked.service, asked.lengths, asked.id.head);
    let named = key.and_then(|key| tables.quic_server(&key));
    match named.filter(|server| server.shortest <= asked.id.length) {
        Some(QuicServer { backend, .. }) if tables.backend(backend).is_some_and(BackendEntry::serves) => {
            Named(backend)
        }
        _ if asked.id.length < ConnectionId::UNSAID => Named::NEW,
        _ => Named::NOBODY,
    }
}

#[cfg(test)]
mod tests;
