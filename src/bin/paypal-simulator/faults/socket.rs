//! Ending a connection without an answer, and refusing new ones.

use std::{
    any::Any,
    io,
    net::{Shutdown, TcpListener},
    sync::Mutex,
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse, body::BodyStream, dev::Extensions, rt::net::TcpStream, web::Bytes,
};
use futures_util::stream;
use socket2::{SockRef, Socket};

/// A second handle on a connection, through which it can be told to end with RST.
#[derive(Debug)]
struct Line(Mutex<Option<Socket>>);

/// Keeps the second handle; for `HttpServer::on_connect`.
pub(crate) fn keep(connection: &dyn Any, extensions: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>() {
        // Without a handle (no descriptors left) the connection ends with FIN instead.
        extensions.insert(Line(Mutex::new(SockRef::from(stream).try_clone().ok())));
    }
}

/// Makes the connection's end a reset: unsent data is thrown away.
pub(crate) fn arm(request: &HttpRequest) {
    let Some(line) = request.conn_data::<Line>() else {
        return;
    };
    let handle = line.0.lock().ok().and_then(|mut handle| handle.take());
    if let Some(socket) = handle {
        // A peer that is gone already needs no reset.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }
}

/// An answer of which not a byte is sent: its body fails at once, and actix drops the connection.
pub(crate) fn nothing() -> HttpResponse {
    let failing = stream::iter([Err::<Bytes, io::Error>(io::Error::other(
        "connection is cut",
    ))]);
    HttpResponse::Ok().body(BodyStream::new(failing))
}

/// A second handle on the listening socket.
#[derive(Debug)]
pub(crate) struct Gate {
    listener: Socket,
    backlog: i32,
}

impl Gate {
    /// Takes the handle.
    pub(crate) fn new(listener: &TcpListener, backlog: i32) -> io::Result<Self> {
        Ok(Self {
            listener: SockRef::from(listener).try_clone()?,
            backlog,
        })
    }

    /// Refuses new connections: on Linux a listening socket that is shut down stops listening and
    /// keeps its port (tcp(7)).
    pub(crate) fn close(&self) -> io::Result<()> {
        self.listener.shutdown(Shutdown::Both)
    }

    /// Takes connections again. The server notices within half a second.
    pub(crate) fn open(&self) -> io::Result<()> {
        self.listener.listen(self.backlog)
    }
}
