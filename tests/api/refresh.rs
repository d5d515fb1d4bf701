//! Refresh tokens that race and that were stolen (R5 of the reliability goals), over two nodes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::Barrier;

use crate::support::{Client, Setup, Socket, eventually, scaled};

/// Tabs that refresh at once.
const TABS: usize = 20;

/// The cookie as an answer sets it.
fn token_of(headers: &reqwest::header::HeaderMap) -> Option<String> {
    let lines = headers.get_all("set-cookie").iter();
    let mut values = lines.filter_map(|line| {
        let pair = line.to_str().unwrap().split(';').next().unwrap();
        pair.strip_prefix("bodega_refresh=").map(str::to_owned)
    });
    values.next()
}

/// What a refresh came to.
#[derive(Debug)]
struct Refreshed {
    status: u16,
    successor: Option<String>,
    body: Value,
}

/// Browsers share no cookie jar with each other here: each call says which token it has.
async fn refresh(http: &reqwest::Client, node: &str, token: &str) -> Refreshed {
    let request = http
        .post(format!("{node}/api/auth/refresh"))
        .header("cookie", format!("bodega_refresh={token}"));
    let answer = request.send().await.unwrap();
    Refreshed {
        status: answer.status().as_u16(),
        successor: token_of(answer.headers()),
        body: answer.json().await.unwrap(),
    }
}

/// All at once, half of them at each node; the one successor that all were given, and an access token.
async fn race(http: &reqwest::Client, nodes: [&str; 2], token: &str) -> (String, String) {
    let start = Arc::new(Barrier::new(TABS));
    let tabs = (0..TABS).map(|tab| {
        let start = start.clone();
        async move {
            start.wait().await;
            refresh(http, nodes[tab % 2], token).await
        }
    });
    let answers = join_all(tabs).await;
    let first = answers[0].successor.clone().expect("a successor");
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.successor.as_ref(),
            Some(&first),
            "one successor for all"
        );
    }
    assert_ne!(first, token);
    let access = answers[TABS - 1].body["accessToken"].as_str().unwrap();
    (first, access.to_owned())
}

async fn is_signed_in(node: &str, access: &str) -> bool {
    let mut client = Client::new(node);
    client.sign_in_as(access);
    client.get("/api/auth/profile").await.status == 200
}

#[actix_web::test]
async fn tabs_that_refresh_at_once_go_on_and_a_thief_ends_the_sign_in_everywhere() {
    let rounds = scaled(25, 500);
    // Long enough that a slow machine's last tab is still one that races.
    let shop = Setup::default()
        .with("AUTH__REFRESH_GRACE_SECONDS", 60)
        .start()
        .await;
    let second = shop.second_node().await;
    let nodes = [shop.server.url.as_str(), second.url.as_str()];
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = serde_json::json!({
        "email": format!("r{}@example.com", bson::oid::ObjectId::new()), "password": "correct horse battery",
    });
    let buyer = shop.guest();
    let registered = buyer.post("/api/auth/register", &body).await.expect(201);
    let mut token = token_of(&registered.headers).expect("a refresh token");
    let mut access = registered.body["accessToken"].as_str().unwrap().to_owned();
    let mut spent = vec![token.clone()];
    for _ in 0..rounds {
        (token, access) = race(&http, nodes, &token).await;
        spent.push(token.clone());
    }
    // The immediate predecessor, again, is answered as it was.
    let predecessor = &spent[spent.len() - 2];
    let again = refresh(&http, nodes[1], predecessor).await;
    assert_eq!(
        (again.status, again.successor.as_ref()),
        (200, Some(&token))
    );

    let mut sockets = Vec::new();
    for node in nodes {
        assert!(is_signed_in(node, &access).await);
        let mut client = Client::new(node);
        client.sign_in_as(&access);
        let mut socket = Socket::open(&client, "").await;
        assert_eq!(socket.next().await["type"], "hello");
        sockets.push(socket);
    }
    let older = &spent[spent.len() - 3];
    let stolen = Instant::now();
    let refused = refresh(&http, nodes[0], older).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (401, &"token_reused".into())
    );
    for (node, socket) in nodes.iter().zip(&mut sockets) {
        eventually("the node to refuse the sign-in", || async {
            (!is_signed_in(node, &access).await).then_some(())
        })
        .await;
        let mut last = socket.next().await;
        while last.is_object() {
            last = socket.next().await;
        }
        assert_eq!(last, 4001, "the sign-in has ended");
        println!("refused and hung up at {node} after {:?}", stolen.elapsed());
    }
    for dead in [&token, predecessor] {
        for node in nodes {
            let refused = refresh(&http, node, dead).await;
            assert_eq!(refused.status, 401, "{refused:?}");
        }
    }
}

#[actix_web::test]
async fn a_predecessor_that_comes_late_is_a_thief() {
    let shop = Setup::default()
        .with("AUTH__REFRESH_GRACE_SECONDS", 1)
        .start()
        .await;
    let node = shop.server.url.as_str();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = serde_json::json!({
        "email": format!("l{}@example.com", bson::oid::ObjectId::new()), "password": "correct horse battery",
    });
    let registered = shop
        .guest()
        .post("/api/auth/register", &body)
        .await
        .expect(201);
    let first = token_of(&registered.headers).unwrap();
    let next = refresh(&http, node, &first).await.successor.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let late = refresh(&http, node, &first).await;
    assert_eq!(
        (late.status, &late.body["code"]),
        (401, &"token_reused".into())
    );
    assert_eq!(refresh(&http, node, &next).await.status, 401);
}
