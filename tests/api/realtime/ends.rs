//! What ends a sign-in ends its streams, on every node: 4001.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, EventSource, Running, Setup, Socket, TestShop};

/// A person's streams: a socket and server-sent events at one node, a socket at another.
struct Streams {
    here: Socket,
    there: Socket,
    events: EventSource,
}

impl Streams {
    async fn open(client: &Client, second: &Running) -> Self {
        let mut streams = Self {
            here: Socket::open(client, "").await,
            there: Socket::open(&client.at(&second.url), "").await,
            events: EventSource::open(client, "").await,
        };
        assert_eq!(streams.here.next().await["type"], "hello");
        assert_eq!(streams.there.next().await["type"], "hello");
        assert_eq!(streams.events.next().await.1["type"], "hello");
        streams
    }

    async fn all_end(mut self, what: &str) {
        assert_eq!(self.here.end().await, 4001, "{what}");
        assert_eq!(self.there.end().await, 4001, "{what}, at the other node");
        assert_eq!(self.events.end().await, 4001, "{what}, server-sent events");
    }
}

const PASSWORD: &str = "correct horse battery";

/// The same person on another device.
async fn sign_in(shop: &TestShop, client: &Client) -> Client {
    let profile = client.get("/api/auth/profile").await.expect(200).body;
    sign_in_with(shop, profile["email"].as_str().unwrap()).await
}

async fn sign_in_with(shop: &TestShop, email: &str) -> Client {
    let body = json!({ "email": email, "password": PASSWORD });
    let mut client = shop.guest();
    let answer = client.post("/api/auth/login", &body).await.expect(200);
    client.sign_in_as(answer.body["accessToken"].as_str().unwrap());
    client
}

#[actix_web::test]
async fn whatever_ends_a_sign_in_ends_its_streams_on_both_nodes() {
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let bystander = shop.customer().await;
    let mut bystanders = Socket::open(&bystander, "").await;
    assert_eq!(bystanders.next().await["type"], "hello");

    let buyer = shop.customer().await;
    let streams = Streams::open(&buyer, &second).await;
    buyer
        .post("/api/auth/logout", &Value::Null)
        .await
        .expect(204);
    streams.all_end("sign-out").await;

    let buyer = shop.customer().await;
    let phone = sign_in(&shop, &buyer).await;
    let (streams, mut kept) = (
        Streams::open(&phone, &second).await,
        Socket::open(&buyer, "").await,
    );
    assert_eq!(kept.next().await["type"], "hello");
    let sessions = buyer.get("/api/auth/sessions").await.expect(200).body;
    let list = sessions
        .as_array()
        .or_else(|| sessions["items"].as_array())
        .unwrap();
    let other = list.iter().find(|session| session["current"] == false);
    let path = format!(
        "/api/auth/sessions/{}",
        other.unwrap()["id"].as_str().unwrap()
    );
    buyer
        .send(buyer.request(Method::DELETE, &path))
        .await
        .expect(204);
    streams.all_end("sign-out elsewhere").await;

    let phone = sign_in(&shop, &buyer).await;
    let streams = Streams::open(&phone, &second).await;
    let change = json!({ "currentPassword": PASSWORD, "newPassword": "another horse battery" });
    let changed = buyer.post("/api/auth/password", &change).await;
    assert!(changed.status < 300, "{changed:?}");
    streams.all_end("a new password").await;

    let clerk = shop.customer().await;
    let email = clerk.get("/api/auth/profile").await.body["email"].clone();
    let email = email.as_str().unwrap().to_owned();
    for (what, change) in [
        ("a change of role", ["--role", "staff"]),
        ("a disabled account", ["--enabled", "false"]),
    ] {
        let signed_in = sign_in_with(&shop, &email).await;
        let streams = Streams::open(&signed_in, &second).await;
        let set = [["user", "set", "--email", &email].as_slice(), &change].concat();
        let (done, output) = shop.command(&set, "");
        assert!(done, "{output}");
        streams.all_end(what).await;
    }

    let gone = shop.customer().await;
    let streams = Streams::open(&gone, &second).await;
    let erase = gone.request(Method::DELETE, "/api/auth/account");
    let erased = gone
        .send(erase.json(&json!({ "password": PASSWORD })))
        .await;
    assert!(erased.status < 300, "{erased:?}");
    streams.all_end("erasure").await;

    // The sign-in that changed its password has kept its stream; nobody else was touched.
    bystander
        .post("/api/auth/logout", &Value::Null)
        .await
        .expect(204);
    assert_eq!(bystanders.next().await, 4001, "nothing before its own end");
    buyer
        .post("/api/auth/logout", &Value::Null)
        .await
        .expect(204);
    assert_eq!(kept.next().await, 4001, "nothing before its own end");
}

#[actix_web::test]
async fn a_stream_ends_with_its_token() {
    let shop = Setup::default()
        .with("AUTH__ACCESS_SECONDS", 4)
        .start()
        .await;
    let second = shop.second_node().await;
    let buyer = shop.customer().await;
    let streams = Streams::open(&buyer, &second).await;
    streams.all_end("the token's end").await;
    let again = json!({});
    let mut buyer = buyer;
    let fresh = buyer.post("/api/auth/refresh", &again).await.expect(200);
    buyer.sign_in_as(fresh.body["accessToken"].as_str().unwrap());
    let mut socket = Socket::open(&buyer, "").await;
    assert_eq!(socket.next().await["type"], "hello");
}
