//! A number that a server is asked for: how it is asked, and what its answer says. Pure.
//!
//! 1. An [`url`] says where the server is.
//! 2. Of [`prometheus`] an instant query is made, of others what the URL says itself.
//! 3. The answer has the number where Prometheus puts it, or where a [`pointer`] leads to.

pub mod pointer;
pub mod prometheus;
#[cfg(test)]
mod tests;
pub mod url;

use std::ops::RangeInclusive;

use crate::config::model::Sought;
use crate::quotable::quotable;

/// Statuses of an answer (RFC 9110, 15.3), and of redirects (15.4).
const ANSWERED: RangeInclusive<u16> = 200..=299;
const REDIRECTED: RangeInclusive<u16> = 300..=399;

/// The number in an answer; `None`: the server says that there is none.
///
/// # Errors
/// Why the answer has no number, for people.
pub fn number(
    sought: &Sought,
    status: u16,
    location: Option<&str>,
    body: &[u8],
) -> Result<Option<f64>, String> {
    if let (true, Some(location)) = (REDIRECTED.contains(&status), location) {
        let location = quotable(location);
        return Err(format!("status {status} leads to {location}, and redirects are not followed"));
    }
    match sought {
        Sought::Sample => prometheus::sample(status, body),
        Sought::At(_) if !ANSWERED.contains(&status) => Err(format!("status {status}, expected 200-299")),
        Sought::At(pointer) => pointer::number(pointer, body),
    }
}
