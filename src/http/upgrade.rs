//! Connections that ask to become a WebSocket: answered by the same application, without the memory of the HTTP
//! dispatcher.
//!
//! actix-http keeps two buffers of 8 KiB for each connection as long as it lives. An idle WebSocket needs
//! neither: here bytes go from the socket to the handler, and from the handler's answer to the socket, and
//! nothing is held in between.

use std::{
    cell::RefCell,
    future::poll_fn,
    io, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_codec::{Encoder, Framed};
use actix_http::{
    ConnectionType, Payload, Request, Response, StatusCode,
    body::{BoxBody, MessageBody},
    error::PayloadError,
    h1::{Codec, Message},
};
use actix_service::{Service, ServiceFactory, fn_factory, fn_service};
use actix_web::{
    Error,
    rt::{net::TcpStream, time::timeout},
    web::{Bytes, BytesMut},
};
use futures_util::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OnceCell,
};

/// How many bytes are read at once, and about how many are written.
const PIECE: usize = 4 * 1024;
/// How long what a client still sends is read after the last word to it: a connection that is closed with bytes
/// unread is reset, and the reset may overtake the word.
const LINGER: Duration = Duration::from_secs(1);

/// A connection, as its reader and its writer share it. Neither holds it beyond a call of the kernel.
type Line = Rc<RefCell<TcpStream>>;

/// A worker's application, made once and shared by its plain and its upgraded connections.
pub(crate) struct Shared<F: ServiceFactory<Request>> {
    factory: F,
    made: OnceCell<Rc<F::Service>>,
}

impl<F> Shared<F>
where
    F: ServiceFactory<Request, Config = ()>,
{
    /// What `factory` makes.
    pub(crate) fn new(factory: F) -> Rc<Self> {
        let made = OnceCell::new();
        Rc::new(Self { factory, made })
    }

    async fn made(&self) -> Result<Rc<F::Service>, F::InitError> {
        let make = async || self.factory.new_service(()).await.map(Rc::new);
        self.made.get_or_try_init(make).await.cloned()
    }

    /// It, for plain connections.
    pub(crate) fn plain(
        self: &Rc<Self>,
    ) -> impl ServiceFactory<
        Request,
        Config = (),
        Response = F::Response,
        Error = F::Error,
        InitError = F::InitError,
        Service = Rc<F::Service>,
    > + use<F>
    where
        F: 'static,
    {
        let shared = self.clone();
        fn_factory(move || {
            let shared = shared.clone();
            async move { shared.made().await }
        })
    }

    /// It, for connections that ask to become a WebSocket.
    pub(crate) fn upgraded<B>(
        self: &Rc<Self>,
    ) -> impl ServiceFactory<
        (Request, Framed<TcpStream, Codec>),
        Config = (),
        Response = (),
        Error = Error,
        InitError = F::InitError,
        Future: 'static,
    > + use<F, B>
    where
        F: 'static,
        F::Response: Into<Response<B>>,
        F::Error: Into<Response<BoxBody>>,
        B: MessageBody + 'static,
    {
        let shared = self.clone();
        fn_factory(move || {
            let shared = shared.clone();
            async move {
                let app = shared.made().await?;
                Ok(fn_service(move |(request, framed)| {
                    Box::pin(serve(app.clone(), request, framed))
                }))
            }
        })
    }
}

/// Answers `request` and serves its connection to the end.
async fn serve<S, B>(
    app: Rc<S>,
    request: Request,
    framed: Framed<TcpStream, Codec>,
) -> Result<(), Error>
where
    S: Service<Request>,
    S::Response: Into<Response<B>>,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    // Boxed: the memory of the beginning is not kept for the rest of the connection's life.
    let Some(mut answer) = Box::pin(begin(app, request, framed)).await else {
        return Ok(());
    };
    let line = answer.line.clone();
    let sent = answer.send().await;
    // What the handler holds is let go before the linger.
    drop(answer);
    match sent {
        Ok(()) => {
            let _slow_to_leave = timeout(LINGER, hang_up(&line)).await;
        }
        // Clients go without a word all the time.
        Err(error) => tracing::debug!(%error, "an upgraded connection is lost"),
    }
    Ok(())
}

/// Lets the application answer; `None` where the answer cannot be written down.
async fn begin<S, B>(
    app: Rc<S>,
    mut request: Request,
    framed: Framed<TcpStream, Codec>,
) -> Option<Answer>
where
    S: Service<Request>,
    S::Response: Into<Response<B>>,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    let parts = framed.into_parts();
    let line: Line = Rc::new(RefCell::new(parts.io));
    let incoming = Incoming {
        line: line.clone(),
        early: Bytes::copy_from_slice(&parts.read_buf),
        pause: false,
    };
    *request.payload() = Payload::Stream {
        payload: Box::pin(incoming),
    };
    let answer = match poll_fn(|cx| app.poll_ready(cx)).await {
        Ok(()) => app.call(request).await,
        Err(error) => Err(error),
    };
    let answer = match answer {
        Ok(answer) => answer.into().map_into_boxed_body(),
        Err(error) => error.into(),
    };
    let (mut head, body) = answer.into_parts();
    if head.status() != StatusCode::SWITCHING_PROTOCOLS {
        head.head_mut().set_connection_type(ConnectionType::Close);
    }
    let (mut codec, mut unsent) = (parts.codec, parts.write_buf);
    let head = Message::Item((head, body.size()));
    if let Err(error) = codec.encode(head, &mut unsent) {
        tracing::error!(%error, "an answer cannot be written down");
        return None;
    }
    Some(Answer {
        line,
        codec,
        body,
        unsent,
        over: false,
    })
}

/// An answer on its way.
struct Answer {
    line: Line,
    codec: Codec,
    body: BoxBody,
    unsent: BytesMut,
    /// Whether the body has come to its end.
    over: bool,
}

impl Answer {
    async fn send(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_send(cx)).await
    }

    /// The body is asked for more only as long as little is unsent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.over && self.unsent.len() < PIECE {
                let Poll::Ready(next) = Pin::new(&mut self.body).poll_next(cx) else {
                    break;
                };
                let next = next
                    .transpose()
                    .map_err(|error| io::Error::other(error.to_string()))?;
                self.over = next.is_none();
                self.codec.encode(Message::Chunk(next), &mut self.unsent)?;
            }
            if self.unsent.is_empty() {
                return if self.over {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            while !self.unsent.is_empty() {
                let mut line = self.line.borrow_mut();
                let taken = ready!(Pin::new(&mut *line).poll_write(cx, &self.unsent))?;
                if taken == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                drop(self.unsent.split_to(taken));
            }
            // Its memory, too: most of the time there is nothing to send.
            self.unsent = BytesMut::new();
        }
    }
}

/// Ends the connection from this side and waits until the client does, too.
async fn hang_up(line: &Line) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *line.borrow_mut()).poll_shutdown(cx)).await?;
    while poll_fn(|cx| poll_read(line, cx)).await?.is_some() {}
    Ok(())
}

/// The next bytes; `None` after the last.
fn poll_read(line: &Line, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
    let mut piece = [0; PIECE];
    let mut read = ReadBuf::new(&mut piece);
    ready!(Pin::new(&mut *line.borrow_mut()).poll_read(cx, &mut read))?;
    let read = Bytes::copy_from_slice(read.filled());
    Poll::Ready(Ok((!read.is_empty()).then_some(read)))
}

/// What the client sends.
struct Incoming {
    line: Line,
    /// What came together with the request's head.
    early: Bytes,
    /// After a whole piece the reader has its turn: one that takes all there is before it looks at any would
    /// otherwise grow as fast as a client can send.
    pause: bool,
}

impl Stream for Incoming {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if mem::take(&mut self.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.early.is_empty() {
            return Poll::Ready(Some(Ok(mem::take(&mut self.early))));
        }
        let read = ready!(poll_read(&self.line, cx)).map_err(PayloadError::Io)?;
        self.pause = read.as_ref().is_some_and(|piece| piece.len() == PIECE);
        Poll::Ready(read.map(Ok))
    }
}
