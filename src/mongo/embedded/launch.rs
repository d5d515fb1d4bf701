//! Starting one mongod process and waiting until it is primary.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    process::{Child, ChildStdin, Command},
};

use crate::config::MongoConfig;

use super::{
    EmbeddedError, LOOK, ORPHAN_SECONDS,
    folder::{Folder, Record},
    program,
    replica::Direct,
};

/// How long mongod may take to become primary; recovery after a crash takes part of it.
const PRIMARY: Duration = Duration::from_mins(1);
/// mongod's exit code when its port is taken (MongoDB manual, "Exit Codes and Statuses").
const ADDRESS_IN_USE: i32 = 48;
/// Flags for a small machine. zlib stays off: 6.0.5 can be made to show memory over it
/// (CVE-2025-14847). The oplog's size is in MB.
const FLAGS: [&str; 19] = [
    "--replSet",
    "rs0",
    "--bind_ip",
    "127.0.0.1",
    "--nounixsocket",
    "--wiredTigerCacheSizeGB",
    "0.25",
    "--oplogSize",
    "256",
    "--networkMessageCompressors",
    "snappy,zstd",
    "--wiredTigerEngineConfigString",
    "log=(prealloc=false,file_max=16MB)",
    "--setParameter",
    "diagnosticDataCollectionEnabled=false",
    // What a killed node has left open holds its documents for so long (docs/decisions).
    "--setParameter",
    "transactionLifetimeLimitSeconds=5",
    "--quiet",
    "--logappend",
];
/// Waits until the server's end of the pipe closes, that is until the server has ended in any way;
/// then, unless another server has taken the folder, ends mongod.
const ORPHAN_WATCH: &str = r#"read -r never; sleep "$4"; exec 9>>"$1"; flock -n 9 || exit 0
grep -qaF "$3" "/proc/$2/cmdline" && kill "$2""#;

/// How mongod is started.
#[derive(Debug)]
pub(super) struct Launch {
    program: PathBuf,
}

/// A running mongod.
#[derive(Debug)]
pub(super) struct Mongod {
    process: Process,
    pub(super) port: u16,
    // Dropped in this order: a watch that is killed first does not act on its closed pipe.
    _watch: Option<(Child, Option<ChildStdin>)>,
}

#[derive(Debug)]
enum Process {
    /// Ours.
    Child(Child),
    /// Left by a server that was killed.
    Adopted { pid: u32, database: PathBuf },
}

impl Launch {
    /// Finds the program.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn new(config: &MongoConfig) -> Result<Self, EmbeddedError> {
        Ok(Self {
            program: program::find(&config.mongod)?,
        })
    }

    /// Starts mongod on `port` and waits until it is primary.
    ///
    /// # Errors
    /// When it ends or does not become primary; [`EmbeddedError::PortInUse`] also when another program
    /// took the port in between.
    pub(super) async fn start(&self, folder: &Folder, port: u16) -> Result<Mongod, EmbeddedError> {
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            return Err(EmbeddedError::PortInUse { port });
        }
        let mut child = self.spawn(folder, port)?;
        let pid = child.id();
        folder.write_record(Record {
            pid,
            port: Some(port),
        })?;
        let watch = pid.and_then(|pid| watch_orphan(folder, pid, ORPHAN_SECONDS));
        let primary = tokio::time::timeout(PRIMARY, become_primary(port, pid));
        let outcome = tokio::select! {
            ended = child.wait() => Err(ended_early(folder, port, ended)),
            outcome = primary => match outcome {
                Ok(outcome) => outcome,
                Err(_elapsed) => Err(EmbeddedError::NotPrimary {
                    seconds: PRIMARY.as_secs(),
                    log: folder.log(),
                }),
            },
        };
        outcome?;
        Ok(Mongod {
            process: Process::Child(child),
            port,
            _watch: watch,
        })
    }

    fn spawn(&self, folder: &Folder, port: u16) -> Result<Child, EmbeddedError> {
        folder.turn_log()?;
        let path = folder.output();
        let output = File::create(&path).map_err(Folder::failed(path.clone()))?;
        let also = output.try_clone().map_err(Folder::failed(path))?;
        Command::new(&self.program)
            .args(FLAGS)
            .args(["--port", &port.to_string()])
            .arg("--dbpath")
            .arg(folder.database())
            .arg("--logpath")
            .arg(folder.log())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(also)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| EmbeddedError::NotRun {
                path: self.program.clone(),
                source,
            })
    }
}

/// Waits for the port, then for a primary behind it. The driver alone would look again only after half
/// a second.
async fn become_primary(port: u16, pid: Option<u32>) -> Result<(), EmbeddedError> {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .is_err()
    {
        tokio::time::sleep(LOOK).await;
    }
    let direct = Direct::new(port)?;
    if direct.pid().await? != pid {
        return Err(EmbeddedError::PortInUse { port });
    }
    Ok(direct.become_primary().await?)
}

fn ended_early(folder: &Folder, port: u16, ended: io::Result<ExitStatus>) -> EmbeddedError {
    match ended {
        Ok(status) if status.code() == Some(ADDRESS_IN_USE) => EmbeddedError::PortInUse { port },
        Ok(status) => EmbeddedError::Ended {
            status,
            reason: folder.last_words(),
            log: folder.log(),
        },
        Err(source) => Folder::failed(folder.log())(source),
    }
}

/// Starts the shell that ends mongod `seconds` after this process has ended, or its pipe was dropped,
/// unless another server has taken the folder by then.
pub(super) fn watch_orphan(
    folder: &Folder,
    pid: u32,
    seconds: u32,
) -> Option<(Child, Option<ChildStdin>)> {
    let started = Command::new("sh")
        .args(["-c", ORPHAN_WATCH, "bodega-orphan-watch"])
        .arg(folder.lock_file())
        .arg(pid.to_string())
        .arg(folder.database())
        .arg(seconds.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    match started {
        Ok(mut watch) => {
            let pipe = watch.stdin.take();
            Some((watch, pipe))
        }
        Err(error) => {
            tracing::warn!(%error, "no shell watches over mongod: kill -9 of this server would leave it");
            None
        }
    }
}

impl Mongod {
    /// Takes over a mongod that a killed server left running in `folder` on `port`.
    pub(super) fn adopt(folder: &Folder, pid: u32, port: u16) -> Self {
        Self {
            process: Process::Adopted {
                pid,
                database: folder.database(),
            },
            port,
            _watch: watch_orphan(folder, pid, ORPHAN_SECONDS),
        }
    }

    /// Waits until it has ended; says how.
    pub(super) async fn ended(&mut self) -> String {
        match &mut self.process {
            Process::Child(child) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            Process::Adopted { pid, database } => {
                while runs(*pid, database) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                "ended".to_owned()
            }
        }
    }

    /// Kills a mongod that does not end by itself; its journal keeps what it has acknowledged.
    /// One that was taken over is left to itself.
    pub(super) async fn kill(&mut self) {
        if let Process::Child(child) = &mut self.process
            && let Err(error) = child.kill().await
        {
            tracing::error!(%error, "mongod cannot be killed");
        }
    }
}

/// Whether the process is a mongod over this database folder.
pub(super) fn runs(pid: u32, database: &std::path::Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let wanted = database.as_os_str().as_bytes();
    // A process that has ended but was not waited for has an empty command line.
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == wanted))
}
