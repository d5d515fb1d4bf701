//! A peer that answers as told, down to a cut connection; HTTP/1.1, one request a connection.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// `POST /path`.
    pub(crate) line: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(held, _)| held == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What the peer does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers: status, further header lines, body.
    Answer(u16, &'static str, Vec<u8>),
    /// Closes the connection without a word.
    Reset,
    /// Says nothing for as long as the client waits.
    Hang,
    /// Announces more than it sends.
    Cut,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Answer(status, "", body.as_bytes().to_vec())
    }
}

/// The peer; gone when dropped.
pub(crate) struct Stub {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    /// Starts a peer that does what `reply` says.
    pub(crate) async fn start(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (reply, journal) = (Arc::new(reply), seen.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reply, journal) = (reply.clone(), journal.clone());
                tokio::spawn(async move {
                    serve(stream, &*reply, &journal).await;
                });
            }
        });
        Self { url, seen, task }
    }

    /// A peer that grants tokens and does what `reply` says with everything else.
    pub(crate) async fn paypal(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |seen| {
            if seen.line == "POST /v1/oauth2/token" {
                Reply::json(
                    200,
                    r#"{"access_token":"T1","token_type":"Bearer","expires_in":32400}"#,
                )
            } else {
                reply(seen)
            }
        })
        .await
    }

    /// Everything that came, tokens aside.
    pub(crate) fn calls(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        let calls = seen.iter().filter(|seen| !seen.line.ends_with("/token"));
        calls.cloned().collect()
    }

    /// How many tokens were asked for.
    pub(crate) fn tokens(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| seen.line.ends_with("/token"))
            .count()
    }
}

async fn serve(
    mut stream: TcpStream,
    reply: &(dyn Fn(&Seen) -> Reply + Send + Sync),
    journal: &Mutex<Vec<Seen>>,
) {
    let Some(seen) = read(&mut stream).await else {
        return;
    };
    journal.lock().unwrap().push(seen.clone());
    let (head, body) = match reply(&seen) {
        Reply::Answer(status, headers, body) => (
            format!(
                "HTTP/1.1 {status} X\r\nPaypal-Debug-Id: d1\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
                body.len()
            ),
            body,
        ),
        Reply::Reset => return,
        Reply::Hang => {
            // Until the client gives up.
            let _closed = stream.read(&mut [0; 1]).await;
            return;
        }
        Reply::Cut => (
            "HTTP/1.1 201 X\r\nContent-Length: 1000\r\n\r\n".to_owned(),
            b"{\"id\":".to_vec(),
        ),
    };
    // A client that is gone needs no answer.
    let _gone = stream.write_all(&[head.as_bytes(), &body].concat()).await;
    let _gone = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut seen = Seen {
        line,
        headers,
        body: bytes.split_off(end + 4),
    };
    let length: usize = seen
        .header("content-length")
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    while seen.body.len() < length {
        if stream.read_buf(&mut seen.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(seen)
}
