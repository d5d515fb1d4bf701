//! Ten thousand open WebSockets: what they cost while nothing happens, and how soon they hear.
//!
//! Events are written as an order's transaction writes them, into `order_events` with majority and journal: the hub
//! learns of them from there. Each of 500 buyers has as many sockets as one may on a node.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bson::{DateTime, Document, doc, oid::ObjectId};
use futures_util::StreamExt;
use mongodb::{Client, Collection};
use serde_json::Value;
use tokio::{net::TcpStream, sync::mpsc};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{client::IntoClientRequest, protocol::WebSocketConfig},
};

use crate::{load::Measured, row, shop::Shop};

/// How many sockets are open, and how many of one buyer.
const SOCKETS: usize = 10_000;
const EACH: usize = 20;
/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(30);
/// Changes whose owners are watched.
const CHANGES: usize = 300;

type Heard = (i64, Instant);

/// Whose token it is.
fn user_of(token: &str) -> ObjectId {
    let claims = token.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    ObjectId::parse_str(claims["sub"].as_str().unwrap()).unwrap()
}

async fn open(shop: &Shop, token: &str) -> WebSocketStream<TcpStream> {
    let mut request = format!("ws://{}/api/realtime/ws", shop.address)
        .into_client_request()
        .unwrap();
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let stream = TcpStream::connect(&shop.address).await.unwrap();
    let small = WebSocketConfig::default()
        .read_buffer_size(2 * 1024)
        .write_buffer_size(0);
    let opened = client_async_with_config(request, stream, Some(small)).await;
    let (mut socket, _) = opened.unwrap();
    socket.next().await.unwrap().unwrap();
    socket
}

/// Tells of each numbered event; answers pings, by being read.
async fn read(mut socket: WebSocketStream<TcpStream>, said: mpsc::UnboundedSender<Heard>) {
    while let Some(Ok(message)) = socket.next().await {
        if !message.is_text() {
            continue;
        }
        let event: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        if let Some(id) = event["id"].as_i64() {
            // The measurement is over when nobody hears it.
            let _nobody = said.send((id, Instant::now()));
        }
    }
}

fn event(user: ObjectId, number: i64) -> Document {
    doc! {
        "_id": ObjectId::new(), "user": user, "number_for_user": number,
        "order": ObjectId::new(), "order_number": "B-1", "type": "order.status_changed",
        "status": "Processing", "previous_status": "Pending", "version": 2_i64,
        "at": DateTime::now(), "data": {},
    }
}

/// Waits until `count` sockets have heard; how long each took since `since`.
async fn hear(
    heard: &mut mpsc::UnboundedReceiver<Heard>,
    count: usize,
    since: Instant,
) -> Vec<Duration> {
    let mut times = Vec::with_capacity(count);
    while times.len() < count {
        let (_, at) = heard.recv().await.unwrap();
        times.push(at.duration_since(since));
    }
    times
}

pub(crate) async fn measure(shop: &Shop) {
    let before = shop.rss_mib();
    let tokens = shop.buyers(SOCKETS / EACH).await;
    let users: Vec<ObjectId> = tokens.iter().map(String::as_str).map(user_of).collect();
    let mut last = vec![0; users.len()];
    let (said, mut heard) = mpsc::unbounded_channel();
    let began = Instant::now();
    let mut readers = Vec::with_capacity(SOCKETS);
    for token in &tokens {
        for _ in 0..EACH {
            let socket = open(shop, token).await;
            readers.push(tokio::spawn(read(socket, said.clone())));
        }
    }
    println!(
        "{SOCKETS} WebSockets opened in {:.1} s; RSS {} MiB (goal 200 MiB), {before} MiB before",
        began.elapsed().as_secs_f64(),
        shop.rss_mib()
    );
    let busy = shop.processor_seconds();
    tokio::time::sleep(IDLE).await;
    let busier = shop.processor_seconds();
    println!(
        "idle: {:.1} % of a core (goal 5 %)",
        100.0 * (busier - busy) / IDLE.as_secs_f64()
    );

    let client = Client::with_uri_str(&shop.mongodb_uri).await.unwrap();
    let book: Collection<Document> = client.database("bodega").collection("order_events");
    let (mut delays, began) = (Vec::new(), Instant::now());
    for change in 0..CHANGES {
        let user = change * 7 % users.len();
        last[user] += 1;
        let written = Instant::now();
        book.insert_one(event(users[user], last[user]))
            .await
            .unwrap();
        delays.extend(hear(&mut heard, EACH, written).await);
    }
    let measured = Measured::of(delays, 0, began.elapsed());
    row(
        "write to owner's frame (goal 100 ms)",
        &measured,
        Some(shop.rss_mib()),
        None,
    );

    let all = users.iter().zip(&mut last).map(|(user, last)| {
        *last += 1;
        event(*user, *last)
    });
    let written = Instant::now();
    book.insert_many(all).await.unwrap();
    let delays = hear(&mut heard, SOCKETS, written).await;
    println!(
        "an event to each of {SOCKETS} sockets: {:.0} ms (goal 1 s); RSS {} MiB",
        delays.iter().max().unwrap().as_secs_f64() * 1_000.0,
        shop.rss_mib()
    );
    for reader in readers {
        reader.abort();
    }
}
