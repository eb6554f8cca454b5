//! The lab: [`lab`] builds networks out of namespaces, with HTTP servers, a load
//! generator and a running gateway agent; the root tiers of the tests stand on it.

pub mod lab;
