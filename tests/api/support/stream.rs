//! Live streams over real sockets: WebSocket and server-sent events.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt, stream::BoxStream};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpSocket};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_with_config,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::WebSocketConfig},
};

use super::{Client, PATIENCE};

/// A WebSocket to a shop.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

/// How a socket is opened.
#[derive(Default)]
pub(crate) struct Opening<'a> {
    /// Without the question mark.
    pub(crate) query: &'a str,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// How many bytes the kernel takes for a client that does not read.
    pub(crate) receive_buffer: Option<u32>,
}

impl Opening<'_> {
    /// Opens it; the status and the problem where it is refused, status 0 where nobody is there.
    pub(crate) async fn at(self, base: &str) -> Result<Socket, (u16, Value)> {
        let url = format!(
            "{}/api/realtime/ws?{}",
            base.replace("http", "ws"),
            self.query
        );
        let mut request = url.into_client_request().unwrap();
        for (name, value) in self.headers {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let address: SocketAddr = base.trim_start_matches("http://").parse().unwrap();
        let Ok(stream) = socket.connect(address).await else {
            return Err((0, Value::Null));
        };
        let stream = MaybeTlsStream::Plain(stream);
        // Ten thousand of them fit a test.
        let small = WebSocketConfig::default()
            .read_buffer_size(2 * 1024)
            .write_buffer_size(0);
        match client_async_with_config(request, stream, Some(small)).await {
            Ok((stream, _)) => Ok(Socket(stream)),
            Err(tungstenite::Error::Http(refused)) => {
                let body = refused.body().as_deref().unwrap_or_default();
                let problem = serde_json::from_slice(body).unwrap_or(Value::Null);
                Err((refused.status().as_u16(), problem))
            }
            // A node that ends while it is asked.
            Err(_broken) => Err((0, Value::Null)),
        }
    }
}

impl Socket {
    /// Opens it with a fresh ticket; `query` begins with `&` where there is one.
    pub(crate) async fn open(client: &Client, query: &str) -> Self {
        let query = format!("ticket={}{query}", ticket(client).await);
        let opening = Opening {
            query: &query,
            ..Opening::default()
        };
        opening
            .at(client.base())
            .await
            .unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    /// The next message that is an order's event; anything that ends the socket fails the test.
    pub(crate) async fn event(&mut self) -> Value {
        loop {
            let message = self.next().await;
            assert!(message.is_object(), "the socket has ended: {message}");
            if message["type"] != "hello" && message["type"] != "cart.updated" {
                return message;
            }
        }
    }

    /// The close code that the socket ends with, whatever comes before; null where it just ends.
    pub(crate) async fn end(&mut self) -> Value {
        loop {
            let message = self.next().await;
            if !message.is_object() {
                return message;
            }
        }
    }

    /// Sends; a socket that the server has closed meanwhile is what some tests wait for.
    pub(crate) async fn send(&mut self, message: Message) {
        let _closed = self.0.send(message).await;
    }

    /// Sends bytes that are no frame of ours.
    pub(crate) async fn write_raw(&mut self, bytes: &[u8]) {
        let MaybeTlsStream::Plain(raw) = self.0.get_mut() else {
            panic!("a plain socket");
        };
        let _closed = raw.write_all(bytes).await;
    }

    /// The next message as JSON; the close code as a number once it is closed; null where it just ends.
    pub(crate) async fn next(&mut self) -> Value {
        tokio::time::timeout(PATIENCE, self.next_whenever())
            .await
            .expect("a message in time")
    }

    /// The same, however long it takes.
    pub(crate) async fn next_whenever(&mut self) -> Value {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Close(frame))) => {
                    return frame.map_or(Value::Null, |frame| u16::from(frame.code).into());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Value::Null,
            }
        }
    }
}

/// Server-sent events of a shop.
pub(crate) struct EventSource {
    bytes: BoxStream<'static, Vec<u8>>,
    buffer: String,
}

impl EventSource {
    pub(crate) async fn open(client: &Client, query: &str) -> Self {
        let request = client.request(
            reqwest::Method::GET,
            &format!("/api/realtime/events{query}"),
        );
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let bytes = response
            .bytes_stream()
            .map(|chunk| chunk.unwrap_or_default().to_vec())
            .boxed();
        Self {
            bytes,
            buffer: String::new(),
        }
    }

    /// The code that the stream says it ends with.
    pub(crate) async fn end(&mut self) -> Value {
        loop {
            let (_, message) = self.next().await;
            if message["type"] == "close" {
                return message["code"].clone();
            }
        }
    }

    /// The next event: its id, and its data as JSON.
    pub(crate) async fn next(&mut self) -> (Option<String>, Value) {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let event = event.to_owned();
                self.buffer = String::from(rest);
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(|v| v.trim().to_owned())
                };
                if let Some(data) = field("data:") {
                    return (field("id:"), serde_json::from_str(&data).unwrap());
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.bytes.next())
                .await
                .expect("an event in time");
            self.buffer
                .push_str(&String::from_utf8_lossy(&chunk.expect("an open stream")));
        }
    }
}

/// A ticket for one connection.
pub(crate) async fn ticket(client: &Client) -> String {
    let made = client.post("/api/realtime/ticket", &Value::Null).await;
    made.expect(200).body["ticket"].as_str().unwrap().to_owned()
}
