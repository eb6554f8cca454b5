//! The configuration file: strict parsing, validation with every error at once, and the validated model.

pub mod model;
