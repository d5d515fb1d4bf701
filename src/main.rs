//! Start-up only: the TLS provider, the runtime, the command.

use std::process::ExitCode;

use actix_web::rt::System;
use bodega::cli;
use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// The system's own keeps what was free for a moment; this one gives it back (`.cargo/config.toml`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("bodega: a TLS provider was installed twice");
        return ExitCode::FAILURE;
    }
    // The driver's connections live on this runtime, not on one HTTP worker's.
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bodega: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let system = System::with_tokio_rt(|| runtime);
    let done = system.block_on(cli::run(cli));
    // Not taken apart: a cursor that the driver still closes in the background would be cut off, and the driver
    // panics about that. The process ends in a moment.
    std::mem::forget(system);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bodega: {error}");
            ExitCode::FAILURE
        }
    }
}
