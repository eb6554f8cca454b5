//! The log: standard error, as text for people or JSON for machines.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log. `verbosity` counts `-v`: information, debugging, everything. `RUST_LOG`, where set, decides.
pub fn start(format: LogFormat, verbosity: u8) {
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let log = tracing_subscriber::registry().with(filter(std::env::var("RUST_LOG").ok(), verbosity));
    match format {
        LogFormat::Text => log.with(lines).init(),
        LogFormat::Json => log.with(lines.json()).init(),
    }
}

/// What is logged: as asked for (`debug`, `info,lb_userspace::health=trace`), if that can be read.
fn filter(asked: Option<String>, verbosity: u8) -> Targets {
    let level = match verbosity {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let asked = asked.filter(|text| !text.is_empty()).and_then(|text| text.parse().ok());
    asked.unwrap_or_else(|| Targets::new().with_default(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_where_it_can_be_read() {
        let asked = |text: &str| filter(Some(text.to_owned()), 1);
        assert_eq!(filter(None, 0).default_level(), Some(LevelFilter::INFO));
        assert_eq!(filter(None, 2).default_level(), Some(LevelFilter::TRACE));
        assert_eq!(asked("warn").default_level(), Some(LevelFilter::WARN));
        assert_eq!(asked("").default_level(), Some(LevelFilter::DEBUG));
        assert_eq!(asked("health=loud").default_level(), Some(LevelFilter::DEBUG));
        let health = |filter: &Targets| filter.would_enable("health", &tracing::Level::TRACE);
        assert!(health(&asked("info,health=trace")) && !health(&asked("info")));
    }
}
