//! Why the embedded server cannot be had; each one line that says what to do.

use std::{io, path::PathBuf};

/// The embedded server cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// There is no mongod on this machine.
    #[error(
        "no mongod in PATH nor at {cached}: run scripts/fetch-mongod, or set BODEGA__MONGODB__URI to a replica set of your own"
    )]
    NoProgram {
        /// Where scripts/fetch-mongod puts it.
        cached: PathBuf,
    },
    /// The configured program is none.
    #[error(
        "mongodb.mongod: {path} is no executable file: leave it empty and run scripts/fetch-mongod, or set BODEGA__MONGODB__URI to a replica set of your own"
    )]
    NotExecutable {
        /// As configured.
        path: PathBuf,
    },
    /// The program cannot be run.
    #[error("{path} cannot be run: {source}")]
    NotRun {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder cannot be used.
    #[error("mongodb.data_dir: {path}: {source}")]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process runs a mongod in this folder.
    #[error("mongodb.data_dir: {path} is in use by another bodega process (pid {pid})")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process, where it has said so.
        pid: String,
    },
    /// The mongod that a killed server left can be neither used nor ended.
    #[error(
        "mongodb.data_dir: {path} is in use by a mongod (pid {pid}) that does not answer: end it and start again"
    )]
    Stuck {
        /// The folder.
        path: PathBuf,
        /// mongod's process.
        pid: u32,
    },
    /// The configured port is taken.
    #[error("mongodb.port: {port} is in use by another program")]
    PortInUse {
        /// As configured.
        port: u16,
    },
    /// No free port could be had.
    #[error("mongod found no free port: {0}")]
    NoPort(io::Error),
    /// mongod ended while it was starting.
    #[error("mongod ended at its start ({status}): {reason} (log: {log})")]
    Ended {
        /// Its exit status.
        status: std::process::ExitStatus,
        /// What it said last.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// mongod did not become primary.
    #[error("mongod is not primary after {seconds} s (log: {log})")]
    NotPrimary {
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// mongod refused a command that makes it a replica set.
    #[error("mongod cannot be made a replica set: {0}")]
    Refused(#[from] mongodb::error::Error),
}
