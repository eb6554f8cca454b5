//! The benchmark's programs.
//!
//! `BPF_PROG_TEST_RUN` with a repeat count does not restore the frame between runs, so a balancer would
//! encapsulate once and then see its own output. [`chain`] is what is repeated: it sets the frame back,
//! makes it the next flow's, and tail-calls the program under test. The [`floors`] are such programs: the
//! least that any balancer has to do. [`wire`] makes and counts real frames.

#![no_std]
#![no_main]

mod chain;
mod floors;
mod next;
mod wire;

/// Never reached: an object in which a panic is reachable is refused when it is built.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
