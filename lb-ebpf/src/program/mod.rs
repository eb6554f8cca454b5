//! The kernel's side of [`Frame`](crate::frame::Frame), the only place with packet `unsafe`, and of keys; what the programs
//! have in common.

mod tc_frame;
mod xdp_frame;

pub use tc_frame::{TcFrame, sent};
pub use xdp_frame::XdpFrame;

use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_redirect};
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

/// The kernel's monotonic clock, in nanoseconds.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper takes nothing and gives a number.
    unsafe { bpf_ktime_get_ns() }
}

/// Out of the interface with this index, from wherever the frame came: one of the actions, of XDP or of traffic control.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "it returns one of the actions")]
pub fn redirect(interface: u32) -> i32 {
    // SAFETY: the helper takes numbers; an interface that is not there is its error.
    unsafe { bpf_redirect(interface, 0) as i32 }
}

/// The same word, by way of a map's entry, so that the verifier knows nothing of it
/// ([`Tables::forgotten`](crate::tables::Tables::forgotten)).
///
/// # Safety
/// The entry is this CPU's own, and nothing else that uses it runs on the CPU meanwhile.
#[inline(always)]
pub unsafe fn by_way_of(entry: Option<*mut u64>, word: u64) -> u64 {
    let Some(entry) = entry else { return word };
    // SAFETY: the caller's promise. Volatile, or the compiler would keep the word in a register.
    unsafe {
        entry.write_volatile(word);
        entry.read_volatile()
    }
}
