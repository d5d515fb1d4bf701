//! The audit log from outside: changes of discount codes, and of counts that come with a product.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, TestShop, usd};

/// What the log says of one thing, newest first.
async fn log(admin: &Client, entity: &str, id: &str) -> Vec<Value> {
    let path = format!("/api/admin/audit?entity={entity}&entityId={id}");
    let page = admin.get(&path).await.expect(200).body;
    page["items"].as_array().unwrap().clone()
}

/// What happened at one place: before and after.
fn at<'a>(entry: &'a Value, pointer: &str) -> (&'a Value, &'a Value) {
    let places = entry["changes"].as_array().unwrap();
    let found = places.iter().find(|place| place["pointer"] == pointer);
    let found = found.unwrap_or_else(|| panic!("nothing at {pointer}: {entry}"));
    (&found["before"], &found["after"])
}

#[actix_web::test]
async fn every_change_of_a_discount_code_is_told_with_before_and_after() {
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let me = admin.get("/api/auth/profile").await.expect(200).body["id"].clone();
    let code = json!({ "code": "SPRING", "basisPoints": 1_000, "limit": 5 });
    admin.post("/api/admin/discounts", &code).await.expect(201);
    let path = "/api/admin/discounts/SPRING";
    let next = json!({ "amount": usd(500), "limit": 5, "active": false });
    admin.put(path, &next).await.expect(200);
    // What is refused is not told.
    let stale = admin.request(Method::PUT, path).header("if-match", "\"1\"");
    admin
        .send(stale.json(&next))
        .await
        .expect_problem(412, "stale_version");
    admin
        .post("/api/admin/discounts", &code)
        .await
        .expect_problem(409, "discount_taken");
    let removal = admin.request(Method::DELETE, path);
    admin.send(removal).await.expect(204);

    let log = log(&admin, "discount", "SPRING").await;
    let actions: Vec<&Value> = log.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["deleted", "updated", "created"], "{log:?}");
    assert!(log.iter().all(|entry| entry["actor"] == me), "{log:?}");
    let nothing = Value::Null;
    assert_eq!(at(&log[2], "/basisPoints"), (&nothing, &json!(1_000)));
    assert_eq!(at(&log[1], "/basisPoints"), (&json!(1_000), &nothing));
    assert_eq!(at(&log[1], "/amount"), (&nothing, &usd(500)));
    assert_eq!(at(&log[1], "/active"), (&json!(true), &json!(false)));
    // What stayed is left out.
    assert_eq!(log[1]["changes"].as_array().unwrap().len(), 3, "{}", log[1]);
    assert_eq!(at(&log[0], "/limit"), (&json!(5), &nothing));
}

#[actix_web::test]
async fn counts_that_come_with_a_product_are_told_with_before_and_after() {
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let product = shop.product(&admin, "MUG", 900, 10).await;
    let id = product["id"].as_str().unwrap();
    let variant = product["variants"][0]["id"].as_str().unwrap();
    let path = format!("/api/products/{id}");
    let pointer = format!("/variants/{variant}/stock/onHand");
    let made = log(&admin, "product", id).await;
    assert_eq!(at(&made[0], &pointer), (&Value::Null, &json!(10)));

    // Two units are held: a count includes them.
    let buyer = shop.customer().await;
    shop.checkout(&buyer, &product, 2).await;
    let count = json!({ "stock": { "onHand": 25 } });
    admin.patch(&path, &count).await.expect(200);
    let told = log(&admin, "product", id).await;
    assert_eq!(told[0]["action"], "stocked", "{told:?}");
    assert_eq!(at(&told[0], &pointer), (&json!(10), &json!(25)));

    let replacement = json!({
        "sku": "MUG", "title": "Mug", "price": usd(900), "status": "active", "stock": { "onHand": 3 },
    });
    admin.put(&path, &replacement).await.expect(200);
    let told = log(&admin, "product", id).await;
    assert_eq!(at(&told[0], &pointer), (&json!(25), &json!(3)));
    assert_eq!(
        at(&told[1], "/title"),
        (&json!("Product MUG"), &json!("Mug"))
    );

    // The same count again moves nothing, and one below what is held is refused: neither is told.
    admin.put(&path, &replacement).await.expect(200);
    let few = json!({ "stock": { "onHand": 1 } });
    admin
        .patch(&path, &few)
        .await
        .expect_problem(409, "insufficient_stock");
    let stocked = log(&admin, "product", id).await;
    let stocked = stocked.iter().filter(|entry| entry["action"] == "stocked");
    assert_eq!(stocked.count(), 2);

    // By an import, with its job.
    let row = json!({ "sku": "MUG", "title": "Mug", "price": usd(900), "stock": { "onHand": 40 } });
    let request = admin
        .request(Method::POST, "/api/products/import")
        .header("content-type", "application/x-ndjson")
        .body(row.to_string());
    let job = admin.send(request).await.expect(202).body["jobId"].clone();
    let told = crate::support::eventually("the import to be told of", async || {
        let told = log(&admin, "product", id).await;
        (told[0]["action"] == "stocked" && told[0]["job"] == job).then_some(told)
    })
    .await;
    assert_eq!(at(&told[0], &pointer), (&json!(3), &json!(40)));
}
