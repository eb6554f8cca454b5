//! The lab and the demo. [`lab`] builds networks out of namespaces, with HTTP servers, a load
//! generator and a running gateway agent; the root tiers of the tests and [`demo`] stand on it.

pub mod demo;
pub mod lab;
