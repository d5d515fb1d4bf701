//! `bodega check --invariants`: clean over a healthy shop, and over a broken one it says what is broken.

use bson::{Bson, Document, doc, oid::ObjectId};
use mongodb::Collection;
use serde_json::{Value, json};

use crate::support::{Client, TestShop, eventually, mongodb_uri};

/// A shop with a buyer's whole way behind it: a delivered order, a cancelled one, a checkout under way.
struct Lived {
    shop: TestShop,
    buyer: Client,
    /// The delivered order.
    order: Value,
}

async fn lived() -> Lived {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 20).await;
    let mut orders = Vec::new();
    for quantity in [2, 3] {
        let checkout = shop.checkout(&buyer, &mug, quantity).await;
        shop.approve(&checkout).await;
        let order = eventually("the order", || async {
            let body = json!({ "checkoutId": checkout["id"] });
            let answer = buyer.post("/api/orders", &body).await;
            (answer.status < 300).then_some(answer.body)
        })
        .await;
        orders.push(order);
    }
    let [delivered, cancelled] =
        [&orders[0], &orders[1]].map(|order| order["id"].as_str().unwrap());
    for (order, status) in [
        (delivered, "Processing"),
        (delivered, "Shipped"),
        (delivered, "Delivered"),
        (cancelled, "Cancelled"),
    ] {
        let path = format!("/api/orders/{order}/status");
        admin
            .put(&path, &json!({ "status": status }))
            .await
            .expect(200);
    }
    let part = json!({ "amount": { "amount": 100, "currency": "USD" } });
    let path = format!("/api/orders/{delivered}/refunds");
    admin.post(&path, &part).await.expect(201);
    let cart = buyer.get("/api/cart").await.body;
    assert_eq!(cart["itemCount"], 0, "what was bought has left the cart");
    let line = json!({ "productId": mug["id"], "quantity": 1 });
    let cart = buyer.post("/api/cart", &line).await.expect(200).body;
    let body = crate::support::checkout_of(&cart);
    let key = "the same again";
    buyer
        .post_with_key("/api/payment/checkout", key, &body)
        .await
        .expect(201);
    let order = orders.swap_remove(0);
    Lived { shop, buyer, order }
}

impl Lived {
    /// The violations of each invariant, as printed.
    fn violations(&self, more: &[&str]) -> Vec<(String, u64)> {
        let (clean, said) = self.shop.check_books(more);
        let found: Vec<(String, u64)> = said
            .lines()
            .filter(|line| line.ends_with(" violations") && line.starts_with('I'))
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let count = words[words.len() - 2].parse().unwrap();
                (words[0].to_owned(), count)
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(clean, found.is_empty(), "{said}");
        found
    }

    async fn collection(&self, name: &str) -> Collection<Document> {
        let client = mongodb::Client::with_uri_str(mongodb_uri()).await.unwrap();
        client.database(self.shop.database()).collection(name)
    }
}

#[actix_web::test]
async fn the_books_of_a_healthy_shop_are_in_order() {
    let lived = lived().await;
    let (clean, said) = lived.shop.check_books(&["--wait", "30"]);
    assert!(clean, "{said}");
    for line in said.lines().filter(|line| line.starts_with('I')) {
        let looked_at: u64 = line
            .split_whitespace()
            .rev()
            .nth(4)
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            looked_at > 0 || line.starts_with("I5"),
            "nothing was looked at:\n{said}"
        );
    }
    let without = lived.shop.command(&["check", "--invariants"], "");
    assert!(without.0, "{}", without.1);
}

/// What breaks an invariant in one document.
#[derive(Clone)]
struct Plant {
    invariant: &'static str,
    collection: &'static str,
    which: Document,
    change: Document,
}

fn plant(
    invariant: &'static str,
    collection: &'static str,
    which: Document,
    change: Document,
) -> Plant {
    Plant {
        invariant,
        collection,
        which,
        change,
    }
}

fn plants_of_money(order: ObjectId) -> Vec<Plant> {
    vec![
        plant(
            "I1",
            "checkouts",
            doc! { "_id": order },
            doc! { "$push": { "returns": {
                "capture": "SECOND", "state": "Due", "attempt": 0, "refund": null, "failure": null,
            } } },
        ),
        plant(
            "I1",
            "checkouts",
            doc! { "_id": order },
            doc! { "$set": { "capture.id": "UNKNOWN" } },
        ),
        plant(
            "I2",
            "orders",
            doc! { "_id": order },
            doc! { "$inc": { "total.amount": 1_i64 } },
        ),
        plant(
            "I2",
            "orders",
            doc! { "_id": order },
            doc! { "$set": { "total.amount": 2_299.0 } },
        ),
        plant(
            "I2",
            "orders",
            doc! { "_id": order },
            doc! { "$set": { "payment.refunded.amount": 0_i64 } },
        ),
        plant(
            "I3",
            "stock",
            doc! {},
            doc! { "$inc": { "available": 1_i64 } },
        ),
        plant(
            "I3",
            "stock",
            doc! {},
            doc! { "$inc": { "available": 1_i64, "sold": -1_i64 } },
        ),
        plant(
            "I3",
            "stock",
            doc! {},
            doc! { "$set": { "holds": [], "available": 18_i64 } },
        ),
    ]
}

fn other_plants(order: ObjectId) -> Vec<Plant> {
    let old = bson::DateTime::from_millis(0);
    vec![
        plant(
            "I4",
            "idempotency",
            doc! {},
            doc! { "$set": { "subject": ObjectId::new() } },
        ),
        plant(
            "I6",
            "orders",
            doc! { "_id": order },
            doc! { "$set": { "history.1.status": "Shipped" } },
        ),
        plant(
            "I6",
            "orders",
            doc! { "_id": order },
            doc! { "$inc": { "version": 1_i64 } },
        ),
        plant(
            "I7",
            "inbox",
            doc! { "state": "done" },
            doc! { "$set": { "state": "dead" } },
        ),
        plant(
            "I7",
            "inbox",
            doc! { "state": "done" },
            doc! { "$set": { "state": "pending", "claim": ObjectId::new() } },
        ),
        plant(
            "I8",
            "event_counters",
            doc! {},
            doc! { "$inc": { "last": 1_i64 } },
        ),
        plant(
            "I9",
            "carts",
            doc! { "version": { "$gt": 1 } },
            doc! { "$set": { "version": 1_i64 } },
        ),
        plant(
            "I10",
            "stock",
            doc! {},
            doc! { "$set": { "holds.0.expires_at": old } },
        ),
        plant(
            "I10",
            "checkouts",
            doc! { "status": "AwaitingApproval" },
            doc! { "$set": { "expires_at": old } },
        ),
        plant(
            "I10",
            "checkouts",
            doc! { "status": "AwaitingApproval" },
            doc! { "$set": { "unfinished": false } },
        ),
    ]
}

#[actix_web::test]
async fn each_broken_invariant_is_named() {
    let mut lived = lived().await;
    let (clean, said) = lived.shop.check_books(&["--wait", "30"]);
    assert!(clean, "{said}");
    // Nobody mends what is broken now.
    lived.shop.server.kill();
    let order = ObjectId::parse_str(lived.order["id"].as_str().unwrap()).unwrap();
    for plant in [plants_of_money(order), other_plants(order)].concat() {
        let collection = lived.collection(plant.collection).await;
        let mut which = plant.which.clone();
        if !which.contains_key("_id") {
            which.insert("_id", doc! { "$gte": Bson::MinKey });
        }
        let whole = collection.find_one(which).await.unwrap();
        let whole = whole.unwrap_or_else(|| panic!("nothing in {} to break", plant.collection));
        let own = doc! { "_id": whole.get("_id").cloned() };
        let broken = collection.update_one(own.clone(), plant.change.clone());
        let broken = broken.bypass_document_validation(true).await.unwrap();
        assert_eq!(broken.modified_count, 1, "{}", plant.change);
        let found = lived.violations(&["--wait", "1"]);
        let named = found
            .iter()
            .any(|(invariant, _)| invariant == plant.invariant);
        assert!(named, "{} by {}: {found:?}", plant.invariant, plant.change);
        collection.replace_one(own, whole).await.unwrap();
    }
    // Documents that are missing, or one too many.
    let events = lived.collection("order_events").await;
    let event = events.find_one_and_delete(doc! { "order": order, "version": 2_i64 });
    let event = event.await.unwrap().unwrap();
    let found: Vec<String> = lived
        .violations(&[])
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(found, ["I6", "I8"]);
    events.insert_one(event).await.unwrap();
    let inbox = lived.collection("inbox").await;
    let mut forged = inbox
        .find_one(doc! { "state": "done" })
        .await
        .unwrap()
        .unwrap();
    forged.insert("_id", "WH-FORGED");
    forged.remove("ipn_key");
    forged.insert("kind", "webhook");
    inbox.insert_one(&forged).await.unwrap();
    assert_eq!(lived.violations(&[]), [("I7".to_owned(), 1)]);
    inbox.delete_one(doc! { "_id": "WH-FORGED" }).await.unwrap();
    assert_eq!(lived.violations(&["--wait", "1"]), []);
}

#[actix_web::test]
async fn what_clients_have_kept_is_compared() {
    let lived = lived().await;
    let id = &lived.order["id"];
    let profile = lived.buyer.get("/api/auth/profile").await.expect(200).body;
    let user = &profile["id"];
    let cart = lived.buyer.get("/api/cart").await.body;
    let good = [
        json!({ "kind": "order", "id": id, "status": "Pending", "version": 1 }),
        json!({ "kind": "checkout", "id": id, "status": "AwaitingApproval" }),
        json!({ "kind": "cart", "id": cart["id"], "version": cart["version"] }),
        json!({ "kind": "event", "subscriber": "a", "user": user, "number": 1, "order": id }),
        json!({ "kind": "event", "subscriber": "a", "user": user, "number": 2 }),
        json!({ "kind": "event", "subscriber": "a", "user": user, "number": 1 }),
    ];
    let file = std::env::temp_dir().join(format!("acks-{}", ObjectId::new()));
    let path = file.to_str().unwrap();
    let write = |lines: &[Value]| {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        std::fs::write(&file, lines.join("\n")).unwrap();
    };
    write(&good);
    assert_eq!(lived.violations(&["--wait", "30", "--acks", path]), []);
    let stranger = ObjectId::new().to_hex();
    let broken = [
        (
            json!({ "kind": "order", "id": id, "status": "Cancelled" }),
            "I5",
        ),
        (json!({ "kind": "order", "id": id, "version": 99 }), "I5"),
        (json!({ "kind": "order", "id": stranger }), "I5"),
        (
            json!({ "kind": "checkout", "id": id, "status": "Failed" }),
            "I5",
        ),
        (
            json!({ "kind": "refund", "id": stranger, "order": id }),
            "I5",
        ),
        (
            json!({ "kind": "cart", "id": cart["id"], "version": 99 }),
            "I9",
        ),
        (
            json!({ "kind": "cart", "id": stranger, "version": 1 }),
            "I9",
        ),
        (
            json!({ "kind": "event", "subscriber": "b", "user": user, "number": 2 }),
            "I8",
        ),
        (
            json!({ "kind": "event", "subscriber": "b", "user": stranger, "number": 1, "order": id }),
            "I8",
        ),
    ];
    for (line, invariant) in broken {
        write(std::slice::from_ref(&line));
        let found = lived.violations(&["--acks", path]);
        assert_eq!(found, [(invariant.to_owned(), 1)], "{line}");
    }
    write(&[json!({ "kind": "order" })]);
    let (clean, said) = lived.shop.check_books(&["--acks", path]);
    assert!(!clean && said.contains("acknowledgement 1"), "{said}");
    std::fs::remove_file(&file).unwrap();
}
