//! The lab and the demo. [`lab`] builds networks out of namespaces, with HTTP servers, a load
//! generator and a running gateway agent; the root tiers of the tests and [`demo`] stand on it. [`fixture`]
//! is the independent oracle's view of the packet's way. [`model`] plays random histories of change against flows that must not notice.

pub mod bench;
pub mod demo;
pub mod fixture;
pub mod lab;
pub mod model;
