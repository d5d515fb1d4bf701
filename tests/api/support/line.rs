//! A line between two programs that can be cut: a TCP proxy on loopback.

use std::time::Duration;

use rand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// What the line does to what is sent over it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// It passes everything on.
    Well,
    /// Nothing gets through. What was sent arrives once the line is well, as TCP's repeats would.
    Cut,
    /// Requests get through, answers do not.
    CutBack,
    /// Every connection is reset, and every new one.
    Reset,
    /// Everything comes later, each way.
    Slow(Duration),
    /// Three of ten pieces are lost, and repeated after 200 ms, 400 ms, …
    Lossy,
}

/// The time after which a lost piece is sent again; it doubles with each loss.
const REPEATED: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, PartialEq)]
enum Way {
    There,
    Back,
}

/// The line; it ends with this.
pub(crate) struct Line {
    pub(crate) port: u16,
    fault: watch::Sender<Fault>,
}

impl Line {
    /// Lays a line to a port of loopback. It has a thread of its own: a test may wait for a program that
    /// speaks over it.
    pub(crate) fn to(port: u16) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let own = listener.local_addr().unwrap().port();
        let (fault, told) = watch::channel(Fault::Well);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(listener, port, told));
        });
        Self { port: own, fault }
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn serve(listener: std::net::TcpListener, port: u16, told: watch::Receiver<Fault>) {
    let listener = TcpListener::from_std(listener).unwrap();
    let mut ended = told.clone();
    loop {
        tokio::select! {
            come = listener.accept() => {
                tokio::spawn(connect(come.unwrap().0, port, told.clone()));
            }
            // Only an error: the line is gone.
            () = async { while ended.changed().await.is_ok() {} } => return,
        }
    }
}

/// Joins two ends until one closes or the line resets them.
async fn connect(near: TcpStream, port: u16, told: watch::Receiver<Fault>) {
    let mut reset = told.clone();
    if *told.borrow() == Fault::Reset {
        return abort(near);
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
        return abort(near);
    };
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let there = tokio::spawn(pass(near_read, far_write, Way::There, told.clone()));
    let back = tokio::spawn(pass(far_read, near_write, Way::Back, told));
    let stops = [there.abort_handle(), back.abort_handle()];
    tokio::select! {
        _ended = futures_util::future::join(there, back) => {}
        _reset = reset.wait_for(|fault| *fault == Fault::Reset) => {
            for stop in stops {
                stop.abort();
            }
        }
    }
}

/// Closes with a reset instead of an end.
fn abort(stream: TcpStream) {
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    mut told: watch::Receiver<Fault>,
) {
    let near: &TcpStream = from.as_ref();
    // However these ends are closed, whoever still sends is told with a reset.
    socket2::SockRef::from(near)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    let mut piece = vec![0; 16 * 1024];
    loop {
        let Ok(read) = from.read(&mut piece).await else {
            return;
        };
        if held_up(way, &mut told).await.is_err() {
            return;
        }
        if read == 0 || to.write_all(&piece[..read]).await.is_err() {
            // The other end's end comes when it has read everything.
            let _gone = to.shutdown().await;
            return;
        }
    }
}

/// Returns once a piece may go on; an error when the line is gone.
async fn held_up(
    way: Way,
    told: &mut watch::Receiver<Fault>,
) -> Result<(), watch::error::RecvError> {
    let fault = *told.borrow_and_update();
    match fault {
        Fault::Well | Fault::Reset => {}
        Fault::CutBack if way == Way::There => {}
        Fault::Cut | Fault::CutBack => {
            told.wait_for(|fault| !matches!(fault, Fault::Cut | Fault::CutBack))
                .await?;
        }
        Fault::Slow(time) => tokio::time::sleep(time).await,
        Fault::Lossy => {
            let mut wait = REPEATED;
            while rand::rng().random_bool(0.3) {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        }
    }
    Ok(())
}
