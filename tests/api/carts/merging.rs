//! A guest signs in, twice at once and beside edits of both carts: whatever was put in is in one of them.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{PASSWORD, add, one_of, plenty, units};
use crate::support::{Answer, Client, TestShop, scaled};

/// A guest at some node, known by its token.
struct Guest {
    client: Client,
    token: String,
}

impl Guest {
    async fn with(node: &str, product: &Value) -> Self {
        let client = Client::new(node);
        let made = client.post("/api/cart", &one_of(product)).await.expect(200);
        let token = made.header("x-cart-token").unwrap().to_owned();
        Self {
            client: Client::new(node),
            token,
        }
    }

    async fn send(&self, node: &str, method: Method, path: &str, body: &Value) -> Answer {
        let client = self.client.at(node);
        let request = client.request(method, path);
        let request = request.header("x-cart-token", &self.token).json(body);
        client.send(request).await
    }
}

/// How many of the guest's additions went into the cart that was merged; the others began a cart of
/// their own, which still has them.
async fn kept(guest: &Guest, product: &Value, answers: Vec<Answer>) -> u64 {
    let mut kept = 0;
    for answer in answers {
        let answer = answer.expect(200);
        match answer.header("x-cart-token") {
            None => kept += 1,
            Some(token) => {
                let own = guest.client.request(Method::GET, "/api/cart");
                let own = guest.client.send(own.header("x-cart-token", token)).await;
                assert_eq!(units(&own.expect(200).body, product), 1);
            }
        }
    }
    kept
}

#[actix_web::test]
async fn signing_in_twice_beside_edits_of_both_carts_keeps_every_unit_once() {
    let rounds = scaled(5, 200);
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let nodes = [shop.server.url.as_str(), second.url.as_str()];
    let admin = shop.admin().await;
    let products = plenty(&shop, &admin, 3).await;
    let [guests, users, both] = products.as_slice() else {
        panic!("three products");
    };
    let mut along = 0;
    for round in 0..rounds {
        let email = format!("m{}@example.com", bson::oid::ObjectId::new());
        let account = json!({ "email": email, "password": PASSWORD });
        let mut buyer = shop.guest();
        let registered = buyer.post("/api/auth/register", &account).await.expect(201);
        buyer.sign_in_as(registered.body["accessToken"].as_str().unwrap());
        let people = nodes.map(|node| buyer.at(node));
        let guest = Guest::with(nodes[round % 2], both).await;

        let as_guest = join_all((0..10).map(|n| {
            let line = one_of(guests);
            let guest = &guest;
            async move {
                guest
                    .send(nodes[n % 2], Method::POST, "/api/cart", &line)
                    .await
            }
        }));
        let as_user = join_all((0..10).map(|n| add(&people[n % 2], users)));
        let logins = join_all(nodes.map(|node| {
            let (guest, account) = (&guest, &account);
            async move {
                guest
                    .send(node, Method::POST, "/api/auth/login", account)
                    .await
            }
        }));
        let (as_guest, as_user, logins) = tokio::join!(as_guest, as_user, logins);
        for login in logins {
            login.expect(200);
        }
        for edit in as_user {
            edit.expect(200);
        }
        // A sign-in whose merge met too many others leaves the cart the guest's; the next takes it along.
        guest
            .send(nodes[0], Method::POST, "/api/auth/login", &account)
            .await
            .expect(200);
        let kept = kept(&guest, guests, as_guest).await;
        along += kept;
        for person in &people {
            let cart = person.get("/api/cart").await.expect(200).body;
            let found = [both, users, guests].map(|product| units(&cart, product));
            assert_eq!(found, [1, 10, kept], "round {round}");
            assert_eq!(cart["version"], 11, "ten edits and one merge");
        }
    }
    println!(
        "{rounds} rounds: {along} of {} of the guests' edits beside the sign-in went along",
        rounds * 10
    );
}

#[actix_web::test]
async fn what_was_put_in_by_cookie_comes_along_beside_a_header_that_is_no_token() {
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let products = plenty(&shop, &admin, 2).await;
    let [by_cookie, by_header] = products.as_slice() else {
        panic!("two products");
    };
    let cleared = |login: &Answer| {
        let mut cookies = login.headers.get_all("set-cookie").iter();
        cookies.any(|cookie| cookie.to_str().unwrap().starts_with("bodega_cart=;"))
    };
    for garbage in ["", "nonsense", "%00"] {
        let email = format!("g{}@example.com", bson::oid::ObjectId::new());
        let account = json!({ "email": email, "password": PASSWORD });
        shop.guest()
            .post("/api/auth/register", &account)
            .await
            .expect(201);
        let mut browser = shop.guest();
        let line = one_of(by_cookie);
        browser.post("/api/cart", &line).await.expect(200);
        let sign_in = async |header: &str| {
            let login = browser.request(Method::POST, "/api/auth/login");
            let login = login.header("x-cart-token", header).json(&account);
            browser.send(login).await.expect(200)
        };

        // A header that names another cart takes that one along, and the cookie's stays the guest's.
        let other = Guest::with(&shop.server.url, by_header).await;
        let login = sign_in(&other.token).await;
        assert!(!cleared(&login));
        let login = sign_in(garbage).await;
        assert!(cleared(&login), "{garbage:?}");
        browser.sign_in_as(login.body["accessToken"].as_str().unwrap());
        let cart = browser.get("/api/cart").await.expect(200).body;
        let found = [by_cookie, by_header].map(|product| units(&cart, product));
        assert_eq!(found, [1, 1], "{garbage:?}");
    }
}
