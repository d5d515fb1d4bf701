//! One cart, many clients, judged by a model: the answers, put in the order of their versions.

use std::io::Write;

use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::{Value, json};

use super::{add, insist, one_of, plenty};
use crate::support::{Client, Setup, TestShop, scaled};

/// What a client did, as it was answered.
#[derive(Debug, Clone)]
enum Edit {
    Add(Value),
    Set(Value, u64),
    Remove(Value),
}

/// An accepted edit and the cart after it.
struct Acked {
    edit: Edit,
    cart: Value,
}

fn version(cart: &Value) -> u64 {
    cart["version"].as_u64().unwrap()
}

/// Edits again and again what the cart showed at the last time; with every other absolute edit it says
/// which version that was.
async fn keep_editing(
    client: Client,
    products: &[Value],
    edits: usize,
    mut dice: StdRng,
) -> (Vec<Acked>, usize) {
    let mut acked = Vec::with_capacity(edits);
    let mut stale = 0;
    let mut shown = client.get("/api/cart").await.expect(200).body;
    while acked.len() < edits {
        let lines = shown["items"].as_array().unwrap();
        let line = lines.get(dice.random_range(0..lines.len().max(1)));
        let line = line.map(|line| line["id"].clone());
        let edit = match (dice.random_range(0..10), line) {
            (0..2, Some(line)) => Edit::Set(line, dice.random_range(1..=20)),
            (2, Some(line)) => Edit::Remove(line),
            _ => Edit::Add(products[dice.random_range(0..products.len())]["id"].clone()),
        };
        let seen = dice.random::<bool>().then(|| version(&shown));
        let request = || {
            let path = |line: &Value| format!("/api/cart/{}", line.as_str().unwrap());
            let request = match &edit {
                Edit::Add(product) => client
                    .request(Method::POST, "/api/cart")
                    .json(&json!({ "productId": product, "quantity": 1 })),
                Edit::Set(line, quantity) => client
                    .request(Method::PUT, &path(line))
                    .json(&json!({ "quantity": quantity })),
                Edit::Remove(line) => client.request(Method::DELETE, &path(line)),
            };
            match (&edit, seen) {
                (Edit::Set(..) | Edit::Remove(_), Some(seen)) => {
                    request.header("if-match", format!("\"{seen}\""))
                }
                _ => request,
            }
        };
        let answer = insist(&client, request).await;
        match answer.status {
            200 => {
                shown = answer.body;
                acked.push(Acked {
                    edit,
                    cart: shown.clone(),
                });
            }
            412 => {
                let refused = answer.expect_problem(412, "stale_version");
                shown = refused.body["cart"].clone();
                assert!(version(&shown) > seen.unwrap(), "{shown}");
                stale += 1;
            }
            // Somebody else has removed the line meanwhile.
            404 => shown = client.get("/api/cart").await.expect(200).body,
            _ => panic!("{answer:?}"),
        }
    }
    (acked, stale)
}

/// A line as the model has it.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    id: Value,
    product: Value,
    variant: Value,
    quantity: u64,
}

fn lines_of(cart: &Value) -> Vec<Line> {
    let lines = cart["items"].as_array().unwrap().iter();
    lines
        .map(|line| Line {
            id: line["id"].clone(),
            product: line["productId"].clone(),
            variant: line["variantId"].clone(),
            quantity: line["quantity"].as_u64().unwrap(),
        })
        .collect()
}

/// The model: what the edit makes of the lines; by how many units it changed which variant.
fn edited(lines: &mut Vec<Line>, edit: &Edit, answered: &[Line]) -> (Value, i64) {
    let units = |quantity: u64| i64::try_from(quantity).unwrap();
    let place_of =
        |lines: &[Line], id: &Value| lines.iter().position(|line| line.id == *id).unwrap();
    match edit {
        Edit::Add(product) => {
            if let Some(held) = lines.iter_mut().find(|line| line.product == *product) {
                held.quantity += 1;
                return (held.variant.clone(), 1);
            }
            let new = answered.last().unwrap().clone();
            assert_eq!((&new.product, new.quantity), (product, 1));
            lines.push(new.clone());
            (new.variant, 1)
        }
        Edit::Set(id, quantity) => {
            let place = place_of(lines, id);
            let held = &mut lines[place];
            let before = std::mem::replace(&mut held.quantity, *quantity);
            (held.variant.clone(), units(*quantity) - units(before))
        }
        Edit::Remove(id) => {
            let gone = lines.remove(place_of(lines, id));
            (gone.variant, -units(gone.quantity))
        }
    }
}

/// Folds what was acknowledged in the order of versions, and keeps it as the checker reads it.
fn folded(acked: &[Acked], journal: &std::path::Path) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut file = std::fs::File::create(journal).unwrap();
    for (place, Acked { edit, cart }) in acked.iter().enumerate() {
        assert_eq!(
            version(cart),
            place as u64 + 1,
            "no version twice, none left out"
        );
        let answered = lines_of(cart);
        let (variant, delta) = edited(&mut lines, edit, &answered);
        assert_eq!(answered, lines, "each answer is the cart at its version");
        let ack = json!({ "kind": "cart", "id": cart["id"], "version": version(cart), "variant": variant, "delta": delta });
        writeln!(file, "{ack}").unwrap();
    }
    lines
}

#[actix_web::test]
async fn many_clients_on_two_nodes_lose_no_edit() {
    let (clients, edits) = (scaled(16, 50), scaled(25, 200));
    let seed = std::env::var("BODEGA_SEED")
        .map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    println!("seed: BODEGA_SEED={seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let admin = shop.admin().await;
    let products = plenty(&shop, &admin, 20).await;
    let buyer = shop.customer().await;
    let began = std::time::Instant::now();
    let editing = (0..clients).map(|number| {
        let node = [&shop.server.url, &second.url][number % 2];
        let dice = StdRng::seed_from_u64(dice.random());
        keep_editing(buyer.at(node), &products, edits, dice)
    });
    let (acked, stale): (Vec<_>, Vec<usize>) = join_all(editing).await.into_iter().unzip();
    let took = began.elapsed();
    let mut acked: Vec<Acked> = acked.into_iter().flatten().collect();
    acked.sort_by_key(|one| version(&one.cart));

    let journal = std::env::temp_dir().join(format!("acks-{}", shop.database()));
    let lines = folded(&acked, &journal);
    for node in [&shop.server.url, &second.url] {
        let cart = buyer.at(node).get("/api/cart").await.expect(200).body;
        assert_eq!(version(&cart), (clients * edits) as u64);
        assert_eq!(lines_of(&cart), lines);
    }
    let stale: usize = stale.iter().sum();
    assert!(stale > 0, "some wrote over a version that was gone");
    println!(
        "{clients} clients, {} edits kept, {stale} refused as stale, in {took:?}",
        acked.len()
    );
    let path = journal.to_str().unwrap();
    let check = ["check", "--invariants", "--acks", path];
    let (clean, said) = shop.command(&check, "");
    assert!(clean, "{said}");

    // The judge would see a lost edit.
    let lost = json!({ "kind": "cart", "id": acked[0].cart["id"], "version": acked.len() + 1 });
    std::fs::write(&journal, lost.to_string()).unwrap();
    let (clean, said) = shop.command(&check, "");
    assert!(!clean && said.contains("I9"), "{said}");
    std::fs::remove_file(journal).unwrap();
}

#[actix_web::test]
async fn an_absolute_edit_over_an_older_version_is_shown_the_present_cart() {
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let admin = shop.admin().await;
    let products = plenty(&shop, &admin, 2).await;
    let here = shop.customer().await;
    let there = here.at(&second.url);
    // A cart that was never written has a version too.
    let never = here
        .request(Method::DELETE, "/api/cart")
        .header("if-match", "\"4\"");
    let refused = here.send(never).await.expect_problem(412, "stale_version");
    assert_eq!(refused.body["cart"], here.get("/api/cart").await.body);
    assert_eq!(refused.body["cart"]["version"], 0);

    let seen = add(&here, &products[0]).await.expect(200).body;
    let line = format!("/api/cart/{}", seen["items"][0]["id"].as_str().unwrap());
    add(&there, &products[1]).await.expect(200);
    let present = there.get("/api/cart").await.expect(200).body;
    for client in [&here, &there] {
        for (method, path, body) in [
            (Method::PUT, line.as_str(), Some(json!({ "quantity": 5 }))),
            (Method::DELETE, line.as_str(), None),
            (Method::DELETE, "/api/cart", None),
        ] {
            let mut stale = client.request(method, path).header("if-match", "\"1\"");
            if let Some(body) = &body {
                stale = stale.json(body);
            }
            let refused = client.send(stale).await;
            let refused = refused.expect_problem(412, "stale_version");
            assert_eq!(refused.body["cart"], present, "{path}");
        }
    }
    assert_eq!(here.get("/api/cart").await.body, present);
    // Over the present version, and over whatever there is.
    let set = there
        .request(Method::PUT, &line)
        .header("if-match", "\"2\"")
        .json(&json!({ "quantity": 5 }));
    let set = there.send(set).await.expect(200);
    assert_eq!(
        (set.header("etag"), set.body["itemCount"].as_u64()),
        (Some("\"3\""), Some(6))
    );
    let removed = here
        .send(here.request(Method::DELETE, &line))
        .await
        .expect(200);
    assert_eq!(removed.header("etag"), Some("\"4\""));
}

#[actix_web::test]
async fn a_full_queue_is_answered_with_a_time_to_come_again_and_other_carts_are_served() {
    let shop = Setup::default().with("CART__MAX_WAITING", 2).start().await;
    let admin = shop.admin().await;
    let product = &plenty(&shop, &admin, 1).await[0];
    let (buyer, other) = (shop.customer().await, shop.customer().await);
    let line = one_of(product);
    let rush = join_all((0..60).map(|_| buyer.post("/api/cart", &line)));
    let (rush, unhurried) = tokio::join!(rush, other.post("/api/cart", &line));
    unhurried.expect(200);
    let (taken, busy): (Vec<_>, Vec<_>) = rush.into_iter().partition(|a| a.status == 200);
    assert!(!busy.is_empty(), "sixty at once are more than two may wait");
    for answer in busy {
        let answer = answer.expect_problem(503, "busy");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let cart = buyer.get("/api/cart").await.expect(200).body;
    assert_eq!(version(&cart), taken.len() as u64);
    assert_eq!(cart["itemCount"].as_u64(), Some(taken.len() as u64));
}
