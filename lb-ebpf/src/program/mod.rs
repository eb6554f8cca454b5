//! The kernel's side of [`Frame`](crate::frame::Frame), the only place with packet `unsafe`, and of keys.

mod tc_frame;
mod xdp_frame;

pub use tc_frame::TcFrame;
pub use xdp_frame::XdpFrame;

use aya_ebpf::maps::lpm_trie::Key;
use lb_common::abi::AccessKey;

/// The key as the map of a trie wants it: with its first word, the length, by itself.
#[inline(always)]
pub fn trie_key(key: &AccessKey) -> &Key<[u8; 20]> {
    const { assert!(size_of::<AccessKey>() == size_of::<Key<[u8; 20]>>()) }
    // SAFETY: both are 24 bytes, of which the first four are the length; any bytes are a key, and the packed one may
    // lie anywhere.
    unsafe { &*core::ptr::from_ref(key).cast() }
}
