//! The life of the embedded mongod: the first start, restarts, the end.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::{
    EmbeddedError,
    folder::{Folder, Lock, Record},
    launch::{self, Launch, Mongod},
    replica::{self, Direct},
};

/// How many ports are tried when none is configured and other programs are faster.
const PORTS: usize = 5;
/// Where a port is chosen from. Linux gives 32768 and above to outgoing connections.
const OWN_PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How long mongod may take to end before it is killed.
const END: Duration = Duration::from_secs(20);
/// First pause before a failed restart is tried again; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Takes over the mongod that was left in the folder, or starts one: on the configured port, else on
/// the port of last time, else on a free one.
///
/// # Errors
/// As [`Launch::start`].
pub(super) async fn first(
    launch: &Launch,
    folder: &Folder,
    configured: u16,
) -> Result<Mongod, EmbeddedError> {
    let record = folder.record();
    if let (Some(pid), Some(port)) = (record.pid, record.port)
        && launch::runs(pid, &folder.database())
    {
        if (configured == 0 || configured == port) && replica::is_primary(port).await {
            tracing::info!(
                pid,
                port,
                "took over the mongod of a server that was killed"
            );
            return Ok(Mongod::adopt(folder, pid, port));
        }
        end_leftover(folder, pid, port).await?;
    }
    if configured != 0 {
        return launch.start(folder, configured).await;
    }
    let mut taken = None;
    for attempt in 0..PORTS {
        let port = match record.port {
            Some(port) if attempt == 0 => port,
            Some(_) | None => free_port()?,
        };
        match launch.start(folder, port).await {
            Err(error @ EmbeddedError::PortInUse { .. }) => taken = Some(error),
            outcome => return outcome,
        }
    }
    Err(taken.unwrap_or(EmbeddedError::PortInUse { port: 0 }))
}

/// A port that nobody listens on now, below those that the system gives to outgoing connections, which
/// would come and go on it between two starts.
///
/// # Errors
/// When there is none.
pub(super) fn free_port() -> Result<u16, EmbeddedError> {
    let mut last = None;
    for _attempt in 0..100 {
        let port = rand::random_range(OWN_PORTS);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_free) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(EmbeddedError::NoPort(
        last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()),
    ))
}

async fn end_leftover(folder: &Folder, pid: u32, port: u16) -> Result<(), EmbeddedError> {
    tracing::warn!(pid, port, "ending the mongod of a server that was killed");
    let mut leftover = Mongod::adopt(folder, pid, port);
    if let Ok(direct) = Direct::new(port) {
        direct.shut_down().await;
    }
    match timeout(END, leftover.ended()).await {
        Ok(_how) => Ok(()),
        Err(_elapsed) => Err(EmbeddedError::Stuck {
            path: folder.path().to_owned(),
            pid,
        }),
    }
}

/// Restarts mongod, on its port, whenever it ends by itself; ends it when told to, or when nobody is
/// left to tell.
pub(super) async fn run(
    launch: Launch,
    folder: Folder,
    lock: Lock,
    mut mongod: Mongod,
    mut stop: oneshot::Receiver<()>,
) {
    loop {
        tokio::select! {
            _told_or_forgotten = &mut stop => break,
            how = mongod.ended() => {
                tracing::error!(status = how, log = %folder.log().display(), "mongod ended by itself; starting it again");
            }
        }
        let again = tokio::select! {
            _told_or_forgotten = &mut stop => None,
            mongod = start_again(&launch, &folder, mongod.port) => Some(mongod),
        };
        let Some(again) = again else {
            forget(&folder, mongod.port);
            return;
        };
        mongod = again;
        tracing::info!(port = mongod.port, "mongod runs again");
    }
    end(&mut mongod).await;
    forget(&folder, mongod.port);
    drop(lock);
}

async fn start_again(launch: &Launch, folder: &Folder, port: u16) -> Mongod {
    let mut pause = PAUSE;
    loop {
        match launch.start(folder, port).await {
            Ok(mongod) => return mongod,
            Err(error) => {
                let pause_ms = pause.as_millis();
                tracing::error!(%error, pause_ms, "mongod cannot be started again yet");
            }
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

async fn end(mongod: &mut Mongod) {
    match Direct::new(mongod.port) {
        Ok(direct) => direct.shut_down().await,
        Err(error) => tracing::error!(%error, "mongod cannot be asked to end"),
    }
    if timeout(END, mongod.ended()).await.is_err() {
        tracing::error!(seconds = END.as_secs(), "mongod did not end; killing it");
        mongod.kill().await;
    }
}

/// Notes that no mongod runs; its port is kept for the next start.
fn forget(folder: &Folder, port: u16) {
    let record = Record {
        pid: None,
        port: Some(port),
    };
    if let Err(error) = folder.write_record(record) {
        tracing::warn!(%error, "the record of mongod cannot be written");
    }
}
