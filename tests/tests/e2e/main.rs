//! Tests with real traffic in network namespaces. They need root and the compiled BPF programs:
//! run them through `cargo xtask test --tier e2e`.

mod breaker;
mod capacity;
mod chain;
mod clamp;
mod demo;
mod drill;
mod encap_change;
mod encapsulation;
mod evidence;
mod explain;
mod failback;
mod failover;
mod gateway;
mod health_checks;
mod http;
mod lab;
mod node;
mod node_chain;
mod packet_log;
mod packets;
mod path;
mod probes;
mod quic;
mod refusals;
mod reports;
mod restart;
mod rollout;
mod storm;
mod tag;
mod tunnel_devices;
mod via_gateway;
mod wire;
