//! The data folder: who holds it, and which mongod runs in it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::EmbeddedError;

/// A log larger than this is put aside at the next start, in bytes.
const LOG_LIMIT: u64 = 32 * 1024 * 1024;

/// Which mongod runs in the folder, or ran there last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its process; absent after it was stopped.
    pub(super) pid: Option<u32>,
    /// The port it listens on, kept from start to start, because the replica set remembers it.
    pub(super) port: Option<u16>,
}

/// The folder is ours until this is dropped, or the process ends in any way.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "its being open is the lock")] File);

/// The folder, by its absolute path.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder where it is not there, for its owner only: the database in it asks no one for
    /// a password.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(path: &Path) -> Result<Self, EmbeddedError> {
        let failed = |source| EmbeddedError::Folder {
            path: path.to_owned(),
            source,
        };
        let mut make = DirBuilder::new();
        make.recursive(true).mode(0o700);
        make.create(path).map_err(failed)?;
        let folder = Self(path.canonicalize().map_err(failed)?);
        make.create(folder.database()).map_err(failed)?;
        Ok(folder)
    }

    /// mongod's own folder.
    pub(super) fn database(&self) -> PathBuf {
        self.0.join("db")
    }

    /// mongod's log.
    pub(super) fn log(&self) -> PathBuf {
        self.0.join("mongod.log")
    }

    /// What mongod prints before its log is open.
    pub(super) fn output(&self) -> PathBuf {
        self.0.join("mongod.out")
    }

    /// The file whose lock says who holds the folder.
    pub(super) fn lock_file(&self) -> PathBuf {
        self.0.join("bodega.lock")
    }

    /// The path, as it was made absolute.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// An error of one of its files.
    pub(super) fn failed(path: PathBuf) -> impl FnOnce(io::Error) -> EmbeddedError {
        move |source| EmbeddedError::Folder { path, source }
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// [`EmbeddedError::InUse`] when another process holds it.
    pub(super) fn lock(&self) -> Result<Lock, EmbeddedError> {
        let path = self.lock_file();
        let mut open = OpenOptions::new();
        let mut file = open
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Self::failed(path.clone()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let pid = match file.read_to_string(&mut holder) {
                    Ok(_) if !holder.trim().is_empty() => holder.trim().to_owned(),
                    Ok(_) | Err(_) => "unknown".to_owned(),
                };
                return Err(EmbeddedError::InUse {
                    path: self.0.clone(),
                    pid,
                });
            }
            Err(TryLockError::Error(source)) => return Err(Self::failed(path)(source)),
        }
        file.set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(Self::failed(path))?;
        Ok(Lock(file))
    }

    /// Reads which mongod runs here; a record that cannot be read says nothing.
    pub(super) fn record(&self) -> Record {
        fs::read(self.record_file())
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Writes which mongod runs here, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write_record(&self, record: Record) -> Result<(), EmbeddedError> {
        let path = self.record_file();
        let beside = path.with_extension("json.new");
        serde_json::to_vec(&record)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&beside, text))
            .and_then(|()| fs::rename(&beside, &path))
            .map_err(Self::failed(path))
    }

    fn record_file(&self) -> PathBuf {
        self.0.join("mongod.json")
    }

    /// Puts a log aside that has grown large, over the one put aside before.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub(super) fn turn_log(&self) -> Result<(), EmbeddedError> {
        let log = self.log();
        let large = log.metadata().is_ok_and(|found| found.len() > LOG_LIMIT);
        if large {
            fs::rename(&log, log.with_extension("log.1")).map_err(Self::failed(log))?;
        }
        Ok(())
    }

    /// What mongod said last of why it ended: its output, or else the last error in its log.
    pub(super) fn last_words(&self) -> String {
        let output = fs::read_to_string(self.output()).unwrap_or_default();
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.lines()
            .rev()
            .take_while(|line| !line.contains("\"MongoDB starting\""))
            .find_map(logged_error)
            .or_else(|| output.lines().last().map(str::to_owned))
            .unwrap_or_else(|| "it gave no reason".to_owned())
    }
}

/// The message of a log line of severity "error" or "fatal".
fn logged_error(line: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        s: String,
        msg: String,
        #[serde(default)]
        attr: serde_json::Value,
    }
    let line: Line = serde_json::from_str(line).ok()?;
    let error = line.attr.get("error").map(|error| match error.as_str() {
        Some(text) => text.to_owned(),
        None => error.to_string(),
    });
    matches!(line.s.as_str(), "E" | "F").then(|| match error {
        Some(error) => format!("{}: {error}", line.msg),
        None => line.msg,
    })
}
