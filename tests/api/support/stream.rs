//! Live streams over real sockets: WebSocket and server-sent events.

use futures_util::{StreamExt, stream::BoxStream};
use serde_json::Value;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{Client, PATIENCE};

/// A WebSocket to a shop.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

impl Socket {
    /// Opens it with a fresh ticket; `query` begins with `&` where there is one.
    pub(crate) async fn open(client: &Client, query: &str) -> Self {
        let ticket = client
            .post("/api/realtime/ticket", &Value::Null)
            .await
            .expect(200)
            .body;
        let ticket = ticket["ticket"].as_str().unwrap();
        let base = client.base().replace("http", "ws");
        let url = format!("{base}/api/realtime/ws?ticket={ticket}{query}");
        let request = url.into_client_request().unwrap();
        Self(connect_async(request).await.unwrap().0)
    }

    /// The next message as JSON; the close code as a number once it is closed.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next())
                .await
                .expect("a message in time");
            match next {
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
