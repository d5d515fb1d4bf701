//! Logs and measures. Log lines: lower case, ids as fields with one name everywhere, units in names;
//! never tokens, e-mails or bodies.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogConfig, LogFormat};

/// Buckets of durations, in seconds.
const SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Reads the filter of log lines.
///
/// # Errors
/// When it cannot be read: the text names the directive.
pub fn filter(config: &LogConfig) -> Result<EnvFilter, String> {
    EnvFilter::try_new(&config.filter).map_err(|error| format!("log.filter: {error}"))
}

/// Starts logging to standard error; a second call in one process changes nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn start_logging(config: &LogConfig) -> Result<(), String> {
    let filter = filter(config)?;
    // It logs whole messages that no queue wanted; the outbox counts them.
    let silent = "lapin::returned_messages=off".parse();
    let filter = match silent {
        Ok(silent) => filter.add_directive(silent),
        Err(_misspelt) => filter,
    };
    let lines = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A process has one subscriber; in tests the first shop of the process has set it.
    let _set_before = match config.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Starts measuring; returns what `/metrics` shows. `None` where this process measures already.
#[must_use]
pub fn start_metrics() -> Option<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS);
    builder.ok()?.install_recorder().ok()
}
