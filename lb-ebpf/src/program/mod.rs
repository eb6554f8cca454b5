//! The kernel's side of [`Frame`](crate::frame::Frame): the only place with packet `unsafe`.

mod xdp_frame;

pub use xdp_frame::XdpFrame;
