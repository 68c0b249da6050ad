//! Logs: to standard error, as text or JSON, ours at the level asked for and the libraries' only when they warn.

use std::io::{self, IsTerminal as _};

use airdock_config::{LogFormat, LogLevel, LogSettings};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::Command;

/// Starts logging; once per process. A command that ends by itself says in its own words what happened, so what a server
/// would log about that is left out unless asked for.
pub(crate) fn init(settings: LogSettings, command: &Command) {
    let level = match (settings.level, command) {
        (level, Command::Serve(_)) => level,
        (LogLevel::Info, _) => LogLevel::Warn,
        (level, _) => level,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let lines = match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().with_ansi(false).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter(level))).init();
}

fn filter(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // hyper and sled at debug say something for every packet and page; only `trace` asks for that.
    let theirs = match level {
        LogLevel::Trace => LevelFilter::DEBUG,
        _ => ours.min(LevelFilter::WARN),
    };
    Targets::new().with_default(theirs).with_target("airdock", ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn libraries_only_warn_until_everything_is_asked_for() {
        let info = filter(LogLevel::Info);
        assert!(info.would_enable("airdock_registry::server", &Level::INFO));
        assert!(!info.would_enable("hyper::proto", &Level::INFO));
        assert!(info.would_enable("sled::pagecache", &Level::WARN));
        assert!(!filter(LogLevel::Error).would_enable("sled", &Level::WARN));
        assert!(filter(LogLevel::Trace).would_enable("hyper", &Level::DEBUG));
    }
}
