use std::time::Duration;

/// When clients' packets take an endpoint out of a pool for a while ([`crate::policy::outlier`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlier {
    /// Handshakes in a row that must fail; 0: this is not asked.
    pub consecutive_failures: u32,
    /// How often shares of failed handshakes are compared.
    pub interval: Duration,
    /// How long an endpoint is out the first time.
    pub base_ejection: Duration,
    /// How long it is out at most.
    pub max_ejection: Duration,
    /// Percent of the pool's endpoints that may be out at a time; one always may.
    pub max_ejection_percent: u8,
    /// Percent of its handshakes in an interval that must fail; 0: this is not asked.
    pub failure_percent: u8,
    /// Endpoints with `min_volume` handshakes that there must be for that.
    pub min_hosts: u32,
    /// Handshakes in an interval that say something.
    pub min_volume: u32,
}

impl Default for Outlier {
    /// Those of Envoy, but that shares are compared at all (there `enforcing_failure_percentage` is 0).
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_mins(5),
            max_ejection_percent: 10,
            failure_percent: 85,
            min_hosts: 5,
            min_volume: 50,
        }
    }
}
