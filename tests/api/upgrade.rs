//! A database that an earlier release has made: the shop brings it up to date when it starts.

use bson::{Document, doc};
use futures_util::future::join;
use mongodb::{IndexModel, options::IndexOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Setup, eventually, take_another_amount};

/// Indexes that the earlier release made over checkouts, and this one does not know.
const FORMER: [&str; 4] = ["status", "stock_open", "refund_due", "capture_open"];

fn checkout_path(checkout: &Value) -> String {
    format!("/api/payment/checkout/{}", checkout["id"].as_str().unwrap())
}

async fn shown(buyer: &Client, checkout: &Value) -> Value {
    buyer.get(&checkout_path(checkout)).await.expect(200).body
}

/// Rewrites the checkouts as the earlier release would have left them.
async fn make_old(books: &mongodb::Database) {
    let checkouts = books.collection::<Document>("checkouts");
    let all = doc! { "_id": { "$gt": bson::oid::ObjectId::from_bytes([0; 12]) } };
    let back = doc! { "$arrayElemAt": ["$returns", 0] };
    let former = vec![
        doc! { "$set": {
            "refund_due": { "$eq": [{ "$let": { "vars": { "b": back.clone() }, "in": "$$b.state" } }, "Due"] },
            "refund": { "$ifNull": [{ "$let": { "vars": { "b": back }, "in": "$$b.refund" } }, bson::Bson::Null] },
        } },
        doc! { "$unset": ["returns", "unfinished"] },
    ];
    checkouts.update_many(all, former).await.unwrap();
    for name in ["unfinished", "returns_failed", "created", "user_newest"] {
        checkouts.drop_index(name).await.unwrap();
    }
    let index = async |name: &str, keys: Document, only: Option<Document>| {
        let options = IndexOptions::builder().name(name.to_owned());
        let options = options.partial_filter_expression(only).build();
        let model = IndexModel::builder().keys(keys).options(options).build();
        checkouts.create_index(model).await.unwrap();
    };
    let created = doc! { "created_at": 1, "status": 1 };
    index("created", created, None).await;
    for name in FORMER {
        let only = (name != "status").then(|| doc! { name: true });
        index(name, doc! { name: 1, "updated_at": 1 }, only).await;
    }
    let meta = books.collection::<Document>("meta");
    for id in ["schema", "upgrades"] {
        let gone = meta.delete_one(doc! { "_id": id }).await.unwrap();
        assert_eq!(gone.deleted_count, 1, "{id}");
    }
}

#[actix_web::test]
async fn what_was_paid_under_an_earlier_release_becomes_an_order_or_goes_back() {
    // PayPal's messages are held: nobody wakes the checkouts but the shop itself.
    let setup = Setup::default().simulator("--webhook-delay-ms=600000");
    let mut shop = setup.start().await;
    let admin = shop.admin().await;
    let mug = shop.product(&admin, "MUG", 900, 10).await;
    let buyers = shop.customers(3).await;
    let [refunded, owed, paid] = [&buyers[0], &buyers[1], &buyers[2]];

    take_another_amount(&shop.paypal()).await;
    let first = shop.checkout(refunded, &mug, 1).await;
    shop.approve(&first).await;
    eventually("money to be back", async || {
        (shown(refunded, &first).await["refunded"] == true).then_some(())
    })
    .await;

    take_another_amount(&shop.paypal()).await;
    // A sweep that still looks at the first capture may meet the fault that is meant for the second.
    let looks = json!({ "operation": "show_capture", "fault": "wrong_amount", "count": 5 });
    shop.paypal()
        .post("/control/faults", &looks)
        .await
        .expect(200);
    let refusing = json!({ "operation": "refund", "fault": "status", "count": 1000 });
    shop.paypal()
        .post("/control/faults", &refusing)
        .await
        .expect(200);
    let second = shop.checkout(owed, &mug, 1).await;
    shop.approve(&second).await;
    eventually("money to be owed", async || {
        (shown(owed, &second).await["refunded"] == false).then_some(())
    })
    .await;

    let third = shop.checkout(paid, &mug, 1).await;
    shop.crash_at("capture-answered").await;
    shop.approve(&third).await;
    eventually("the third capture", async || {
        (shop.journal("capture").await.len() == 3).then_some(())
    })
    .await;
    eventually("the crash", async || {
        let asked = shop.guest().request(Method::GET, "/healthz").send().await;
        asked.is_err().then_some(())
    })
    .await;
    let books = shop.books().await;
    make_old(&books).await;
    let faults = shop.paypal().request(Method::DELETE, "/control/faults");
    shop.paypal().send(faults).await.expect(200);

    let (one, other) = join(shop.second_node(), shop.second_node()).await;
    let orders = paid.at(&one.url);
    eventually("the order of what was paid", async || {
        let found = orders.get("/api/orders").await.expect(200).body;
        (found["items"].as_array()?.len() == 1).then_some(())
    })
    .await;
    eventually("what is owed to go back", async || {
        (shown(&owed.at(&other.url), &second).await["refunded"] == true).then_some(())
    })
    .await;
    assert_eq!(
        shown(&refunded.at(&one.url), &first).await["refunded"],
        true
    );
    assert_eq!(shop.journal("capture").await.len(), 3);
    let checkouts = books.collection::<Document>("checkouts");
    let names = checkouts.list_index_names().await.unwrap();
    let left: Vec<&&str> = FORMER
        .iter()
        .filter(|former| names.iter().any(|name| name == **former))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let (whole, said) = shop.command(&["check"], "");
    assert!(whole, "{said}");
    shop.assert_books_are_in_order(&[]);
}
