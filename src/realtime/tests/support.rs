//! A node that serves live streams, and clients of it.

use std::{collections::HashMap, path::Path, time::Duration};

use actix_web::{App, HttpServer, dev::ServerHandle, web};
use futures_util::{SinkExt, Stream, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest, http::Response},
};

use crate::{
    accounts::{self, Role, Tokens},
    config::{self, Config},
    id::{SessionId, UserId},
    mongo::feed::Feed,
    orders::testing::{TestShop, new_order, test_uri},
    realtime::{self, Hub, Tickets},
};

/// How long anything may take before a test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A shop with one serving node.
pub(super) struct Live {
    pub(super) shop: TestShop,
    pub(super) hub: Hub,
    pub(super) tokens: Tokens,
    pub(super) base: String,
    config: Config,
    server: ServerHandle,
}

fn config(settings: &[(&str, &str)]) -> Config {
    let fixed = [
        (
            "BODEGA__AUTH__JWT_SECRET",
            "a secret of the tests, 32 bytes and more",
        ),
        ("BODEGA__PAYPAL__CLIENT_ID", "id"),
        ("BODEGA__PAYPAL__CLIENT_SECRET", "secret"),
        ("BODEGA__PAYPAL__WEBHOOK_ID", "WH-1"),
        ("BODEGA__SERVER__PUBLIC_URL", "https://shop.example"),
        ("BODEGA__SERVER__ALLOWED_ORIGINS", "https://app.example"),
    ];
    let all: HashMap<String, String> = fixed
        .iter()
        .chain(settings)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    config::load_from(Path::new("no-such-folder"), all).unwrap()
}

impl Live {
    pub(super) async fn start(settings: &[(&str, &str)]) -> Self {
        let shop = TestShop::open(realtime::collections()).await;
        let config = config(settings);
        let tokens = Tokens::new(&config.auth);
        let database = shop.mongo.database().name().to_owned();
        let fed = [realtime::FED.as_slice(), &[accounts::FED]].concat();
        let feed = Feed::open(&test_uri(), &database, &fed).await.unwrap();
        let hub = Hub::start(&config.realtime, &feed, &shop.orders, tokens.revocations());
        let (base, server) = serve(&shop, &hub, &tokens, &config);
        Self {
            shop,
            hub,
            tokens,
            base,
            config,
            server,
        }
    }

    /// A second node over the same database.
    pub(super) async fn another_node(&self) -> (String, Hub, ServerHandle) {
        let database = self.shop.mongo.database().name().to_owned();
        let fed = [realtime::FED.as_slice(), &[accounts::FED]].concat();
        let feed = Feed::open(&test_uri(), &database, &fed).await.unwrap();
        let revocations = self.tokens.revocations();
        let hub = Hub::start(&self.config.realtime, &feed, &self.shop.orders, revocations);
        let (base, server) = serve(&self.shop, &hub, &self.tokens, &self.config);
        (base, hub, server)
    }

    pub(super) fn token(&self, user: UserId, role: Role) -> String {
        self.tokens.sign(user, SessionId::new(), role).unwrap()
    }

    /// Makes an order of `user`, which is one event.
    pub(super) async fn order(&self, user: UserId) {
        self.shop.place(&new_order(user)).await;
    }

    pub(super) async fn ticket(&self, token: &str) -> String {
        let made = reqwest::Client::new()
            .post(format!("{}/api/realtime/ticket", self.base))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        let made: Value = made.json().await.unwrap();
        assert_eq!(made["expiresIn"], 30);
        made["ticket"].as_str().unwrap().to_owned()
    }

    pub(super) async fn stop(self) {
        self.server.stop(false).await;
        self.shop.close().await;
    }
}

fn serve(shop: &TestShop, hub: &Hub, tokens: &Tokens, config: &Config) -> (String, ServerHandle) {
    let (hub, tokens, config) = (hub.clone(), tokens.clone(), config.clone());
    let tickets = Tickets::new(&shop.mongo);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(hub.clone()))
            .app_data(web::Data::new(tokens.clone()))
            .app_data(web::Data::new(tickets.clone()))
            .app_data(web::Data::new(config.clone()))
            .configure(|app| {
                let mut table = utoipa_actix_web::service_config::ServiceConfig::new(app);
                realtime::routes(&mut table);
            })
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    (format!("http://{address}"), handle)
}

pub(super) type Stream_ = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A client's WebSocket.
pub(super) struct Socket(pub(super) Stream_);

/// What a client is sent.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Message(Value),
    Closed(u16),
    Lost,
}

impl Socket {
    /// Opens a WebSocket with further headers.
    pub(super) async fn open_with(
        base: &str,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Response<Option<Vec<u8>>>> {
        let url = format!(
            "{}/api/realtime/ws?{query}",
            base.replace("http://", "ws://")
        );
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((stream, _)) => Ok(Self(stream)),
            Err(tungstenite::Error::Http(refused)) => Err(*refused),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens one with a Bearer token, as a client does that is no browser.
    pub(super) async fn open(base: &str, query: &str, token: &str) -> Self {
        let bearer = format!("Bearer {token}");
        let opened = Self::open_with(base, query, &[("authorization", &bearer)]).await;
        opened.unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    pub(super) async fn next(&mut self) -> Seen {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
            match next.expect("something is sent in time") {
                Some(Ok(Message::Text(text))) => {
                    return Seen::Message(serde_json::from_str(text.as_str()).unwrap());
                }
                Some(Ok(Message::Close(reason))) => {
                    return Seen::Closed(reason.map_or(1005, |reason| reason.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Seen::Lost,
            }
        }
    }

    /// The next message; anything else fails the test.
    pub(super) async fn message(&mut self) -> Value {
        match self.next().await {
            Seen::Message(message) => message,
            other @ (Seen::Closed(_) | Seen::Lost) => panic!("{other:?}"),
        }
    }

    /// How the socket ends, whatever comes before.
    pub(super) async fn end(&mut self) -> Seen {
        loop {
            let seen = self.next().await;
            if !matches!(seen, Seen::Message(_)) {
                return seen;
            }
        }
    }

    pub(super) async fn send(&mut self, message: Message) {
        // A socket that the server has closed meanwhile is what some tests wait for.
        let _closed = self.0.send(message).await;
    }
}

/// One server-sent event.
#[derive(Debug, Default, Clone)]
pub(super) struct Sent {
    pub(super) id: Option<String>,
    pub(super) event: String,
    pub(super) data: Value,
}

/// A client's stream of server-sent events.
pub(super) struct Events {
    bytes: std::pin::Pin<Box<dyn Stream<Item = Vec<u8>>>>,
    buffer: String,
    pub(super) headers: reqwest::header::HeaderMap,
}

impl Events {
    pub(super) async fn open(base: &str, query: &str, token: &str, last: Option<&str>) -> Self {
        let mut request = reqwest::Client::new()
            .get(format!("{base}/api/realtime/events?{query}"))
            .header("accept-encoding", "gzip, br")
            .bearer_auth(token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Self {
            headers: response.headers().clone(),
            bytes: Box::pin(
                response
                    .bytes_stream()
                    .map(|b| b.unwrap_or_default().to_vec()),
            ),
            buffer: String::new(),
        }
    }

    /// The next block that is not a comment; `None` once the stream is over.
    pub(super) async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffer = rest;
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim().to_owned())
                };
                if let Some(data) = field("data:") {
                    return Some(Sent {
                        id: field("id:"),
                        event: field("event:").unwrap_or_default(),
                        data: serde_json::from_str(&data).unwrap(),
                    });
                }
                continue;
            }
            let next = tokio::time::timeout(PATIENCE, self.bytes.next()).await;
            let chunk = next.expect("something is sent in time")?;
            self.buffer.push_str(&String::from_utf8(chunk).unwrap());
        }
    }
}
