//! What a configuration needs the program to be able to do.

use lb_common::abi::Features;

use super::model::Config;

/// The features without which the program could not serve it.
pub fn features(_config: &Config) -> Features {
    Features::default()
}
