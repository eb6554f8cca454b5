//! Tests with real traffic in network namespaces. They need root and the compiled BPF programs:
//! run them through `cargo xtask test --tier e2e`.

mod lab;
mod packets;
