use std::time::Duration;

/// When clients' packets take a whole pool out for a while ([`crate::policy::breaker`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Percent of the pool's handshakes in an interval that must fail, 1 to 100.
    pub failed_handshake_percent: u8,
    /// Handshakes in an interval that say something.
    pub min_volume: u32,
    /// How often it is judged.
    pub interval: Duration,
    /// How long the pool takes nothing new.
    pub open_for: Duration,
    /// Percent of the hash space that it is let into then, 1 to 99.
    pub half_open_percent: u8,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            failed_handshake_percent: 50,
            min_volume: 100,
            interval: Duration::from_secs(10),
            open_for: Duration::from_secs(30),
            half_open_percent: 1,
        }
    }
}
