//! Each event once and in order, whatever happens to nodes, connections and the change feed.

use std::time::Duration;

use bson::{Document, doc, oid::ObjectId};
use futures_util::{TryStreamExt, future::join_all};
use mongodb::Collection;
use rand::Rng;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::support::{event, events, user_of};
use crate::support::{
    Client, EventSource, Opening, Setup, Socket, TestShop, free_port, mongodb_uri, scaled,
};

/// Writes events `from..=to` of `user`, one after the other.
fn write(
    book: &Collection<Document>,
    user: ObjectId,
    from: i64,
    to: i64,
    pause: Duration,
) -> JoinHandle<()> {
    let book = book.clone();
    tokio::spawn(async move {
        for number in from..=to {
            book.insert_one(event(user, number, 20)).await.unwrap();
            tokio::time::sleep(pause).await;
        }
    })
}

/// A client that goes from node to node, each time from the last event it has, and sees `1..=last`.
async fn wander(nodes: &[String], bearer: &str, last: i64) {
    let mut seen = 0;
    let mut place: usize = rand::rng().random_range(0..nodes.len());
    while seen < last {
        let query = format!("since={seen}");
        let opening = Opening {
            query: &query,
            headers: vec![("authorization", bearer.to_owned())],
            ..Opening::default()
        };
        let node = &nodes[place % nodes.len()];
        place += 1;
        let Ok(mut socket) = opening.at(node).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        for _ in 0..rand::rng().random_range(2..40) {
            let message = socket.next().await;
            let Some(id) = message["id"].as_i64() else {
                if message.is_object() {
                    continue;
                }
                break;
            };
            assert_eq!(id, seen + 1, "no gap, no repeat");
            seen = id;
            if seen == last {
                break;
            }
        }
    }
}

fn bearer(client: &Client) -> String {
    let request = client.request(reqwest::Method::GET, "/").build().unwrap();
    let header = request.headers()["authorization"].to_str().unwrap();
    header.to_owned()
}

#[actix_web::test]
async fn clients_that_go_from_node_to_node_see_each_event_once_while_nodes_die() {
    let (buyers, last) = (scaled(6, 50), i64::try_from(scaled(150, 2_000)).unwrap());
    let shop = TestShop::start().await;
    let port = free_port();
    let mut second = shop.node(port).await;
    let nodes = [shop.server.url.clone(), second.url.clone()];
    let buyers = shop.customers(buyers).await;
    let book = events(&shop).await;
    let mut writers = Vec::new();
    for buyer in &buyers {
        let user = user_of(buyer).await;
        writers.push(write(&book, user, 1, last, Duration::from_millis(10)));
    }
    let bearers: Vec<String> = buyers.iter().map(bearer).collect();
    let readers = bearers.iter().flat_map(|bearer| [bearer, bearer]);
    let reading = join_all(readers.map(|bearer| wander(&nodes, bearer, last)));
    let dying = async {
        for _ in 0..scaled(2, 20) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            second.kill();
            second = shop.node(port).await;
        }
    };
    tokio::join!(reading, dying);
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Ends the change stream of the clients that call themselves `app`, as a step-down of the primary would.
async fn cut_feed(app: &str) -> usize {
    let client = mongodb::Client::with_uri_str(mongodb_uri()).await.unwrap();
    let admin = client.database("admin");
    let waiting = [
        doc! { "$currentOp": { "allUsers": true } },
        doc! { "$match": { "appName": app, "op": "getmore" } },
    ];
    let waiting: Vec<Document> = admin
        .aggregate(waiting)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    for operation in &waiting {
        let id = operation.get("opid").unwrap().clone();
        let kill = doc! { "killOp": 1, "op": id };
        admin.run_command(kill).await.unwrap();
    }
    waiting.len()
}

#[actix_web::test]
async fn a_change_feed_that_breaks_goes_on_where_it_was() {
    let app = format!("cut-{}", ObjectId::new());
    let uri = format!("{}&appName={app}", mongodb_uri());
    let shop = Setup::default().with("MONGODB__URI", uri).start().await;
    let (buyer, admin) = (shop.customer().await, shop.admin().await);
    let (user, book) = (user_of(&buyer).await, events(&shop).await);
    let mut socket = Socket::open(&buyer, "&since=0").await;
    let mut stream = EventSource::open(&buyer, "?since=0").await;
    let mut staff = Socket::open(&admin, "&channel=orders").await;
    assert_eq!(staff.next().await["type"], "hello");
    assert_eq!(stream.next().await.1["type"], "hello");
    let last = i64::try_from(scaled(300, 3_000)).unwrap();
    let writer = write(&book, user, 1, last, Duration::from_millis(5));
    let mut cuts = 0;
    for number in 1..=last {
        if number % 50 == 10 {
            cuts += cut_feed(&app).await;
        }
        assert_eq!(socket.event().await["id"], number);
        let (id, _) = stream.next().await;
        assert_eq!(id, Some(number.to_string()));
        // Without numbers, and without a word of the server that it may have missed some.
        assert!(staff.event().await.is_object());
    }
    writer.await.unwrap();
    assert!(cuts > 0, "the feed was cut");
    println!("{last} events through {cuts} cuts of the change feed");
}

#[actix_web::test]
async fn a_killed_server_that_comes_back_has_forgotten_nothing() {
    let mut shop = TestShop::start().await;
    let buyer = shop.customer().await;
    let (user, book) = (user_of(&buyer).await, events(&shop).await);
    let mut socket = Socket::open(&buyer, "&since=0").await;
    let mut seen = 0;
    for round in 1..=i64::try_from(scaled(3, 30)).unwrap() {
        let (from, to) = (seen + 1, round * 10);
        let writer = write(&book, user, from, to, Duration::ZERO);
        for _ in 0..4 {
            assert_eq!(socket.event().await["id"], seen + 1);
            seen += 1;
        }
        shop.kill_and_restart().await;
        // What was on its way when the server died counts only if it came.
        loop {
            let message = socket.next().await;
            match message {
                Value::Object(event) => {
                    if let Some(id) = event.get("id").and_then(Value::as_i64) {
                        assert_eq!(id, seen + 1);
                        seen = id;
                    }
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_) => break,
            }
        }
        writer.await.unwrap();
        socket = Socket::open(&buyer, &format!("&since={seen}")).await;
        while seen < to {
            assert_eq!(socket.event().await["id"], seen + 1);
            seen += 1;
        }
    }
}
