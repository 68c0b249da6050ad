//! Logs to standard error, as text or JSON: Airdock's own at the configured level, the libraries' from `warn` up.
//!
//! Nothing that logs waits for standard error to be read: see [`lines`].

mod lines;

use std::io::{self, IsTerminal as _};
use std::panic::PanicHookInfo;

use airdock_config::{LogFormat, LogLevel, LogSettings};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use lines::Lines;

/// What was logged is written, as far as it is read, when this is dropped.
#[must_use]
pub(crate) struct Log(Lines);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Starts logging; once per process. Commands other than `serve` print their own results, so at the default level they
/// log warnings only.
pub(crate) fn init(settings: LogSettings, serving: bool) -> io::Result<Log> {
    let level = if settings.level == LogLevel::Info && !serving { LogLevel::Warn } else { settings.level };
    let lines = Lines::start(io::stderr())?;
    let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).with_ansi(io::stderr().is_terminal());
    let layer = match settings.format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().with_ansi(false).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter(level))).init();
    if serving {
        // The usual hook writes to standard error itself, on the thread of the runtime that panicked.
        std::panic::set_hook(Box::new(panicked));
    }
    Ok(Log(lines))
}

fn panicked(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a thread panicked; this is a defect: {}", panic.payload_as_str().unwrap_or("no message"));
}

fn filter(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // At debug, hyper logs every packet, so its debug messages need `trace`.
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
    fn libraries_only_warn_until_the_level_is_trace() {
        let info = filter(LogLevel::Info);
        assert!(info.would_enable("airdock_registry::server", &Level::INFO));
        assert!(!info.would_enable("hyper::proto", &Level::INFO));
        assert!(info.would_enable("hyper::proto", &Level::WARN));
        assert!(!filter(LogLevel::Error).would_enable("hyper", &Level::WARN));
        assert!(filter(LogLevel::Trace).would_enable("hyper", &Level::DEBUG));
    }
}
