//! What one node writes, another one shows.

use serde_json::json;

use super::*;
use crate::{
    catalog::{HoldLine, Holder, StockRoom, cache::Shelf, model::Product, view::Shelved},
    id::{CheckoutId, ProductId},
};

#[actix_web::test]
async fn another_node_follows() {
    let shop = TestShop::open().await;
    let there = shop.second_node().await;
    let product = shop.create(&mug()).await;
    let path = at(&product);
    let total = async |node: &Node| node.get("/api/products").await.json()["total"].clone();
    eventually(async || (total(&there).await == 1).then_some(())).await;
    there.get(&path).await.expect(200);
    shop.patch(&path, &json!({"title": "Pier Mug"}))
        .await
        .expect(200);
    eventually(async || (there.get(&path).await.json()["title"] == "Pier Mug").then_some(())).await;
    let line = HoldLine {
        variant: product["variants"][0]["id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
        quantity: 4,
    };
    let life = std::time::Duration::from_mins(1);
    let held = shop
        .stock
        .hold(&Holder::stranger(CheckoutId::new()), &[line], life)
        .await;
    held.unwrap().unwrap();
    for node in [&there, &shop.node] {
        eventually(async || {
            let listed = node.get("/api/products").await.json();
            let seen = node.get(&path).await.json();
            let both = seen["stock"]["available"] == 6 && listed["items"][0] == seen;
            both.then_some(())
        })
        .await;
    }
    let declared = json!({"id": "box", "name": "Box", "fields": {"depth": {"label": "Depth", "filterable": true}}});
    shop.post("/api/product-types", &declared).await.expect(201);
    let filtered = "/api/products?attr.depth=3";
    eventually(async || (there.get(filtered).await.status == 200).then_some(())).await;
    there.get("/api/product-types/box").await.expect(200);
    shop.close().await;
}

#[actix_web::test]
async fn a_field_declared_later_covers_products_that_stand_already() {
    let shop = TestShop::open().await;
    let declared = |filterable: bool| json!({"id": "box", "name": "Box", "fields": {"depth": {"label": "Depth", "filterable": filterable}}});
    shop.post("/api/product-types", &declared(false))
        .await
        .expect(201);
    let mut product = mug();
    product["type"] = json!("box");
    product["attributes"] = json!({"depth": 3});
    shop.create(&product).await;
    shop.get("/api/products?attr.depth=3")
        .await
        .problem(422, "validation_failed");
    shop.put("/api/product-types/box", &declared(true))
        .await
        .expect(200);
    eventually(async || {
        let found = shop.get("/api/products?attr.depth=3").await.json();
        (found["total"] == 1).then_some(())
    })
    .await;
    shop.close().await;
}

#[actix_web::test]
async fn a_node_that_starts_later_knows_everything() {
    let shop = TestShop::open().await;
    let product = shop.create(&tee()).await;
    let there = shop.second_node().await;
    let listed = there
        .get("/api/products?category=clothing&inStock=true")
        .await
        .json();
    assert_eq!(listed["items"][0]["id"], product["id"]);
    assert_eq!(
        there.get("/api/categories").await.json()["items"][0]["count"],
        1
    );
    shop.close().await;
}

fn shelved(id: ProductId, title: &str) -> Shelved {
    let now = crate::clock::Timestamp::from_millis(0);
    let product: Product = serde_json::from_value(json!({
        "_id": id, "sku": "A", "slug": "a", "title": title, "description": "", "type": "generic",
        "categories": [], "price": usd(1), "attributes": {}, "options": [], "variants": [],
        "images": [], "status": "active", "version": 1, "created_at": now, "updated_at": now,
    }))
    .unwrap();
    Shelved::new(&product, &std::collections::HashMap::new()).unwrap()
}

/// A loader read the old product; before it puts it on the shelf, a writer is done.
#[actix_web::test]
async fn a_slow_loader_never_brings_back_what_was_forgotten() {
    let shelf = Shelf::new(1_000_000);
    let id = ProductId::new();
    let slow = async {
        let old = shelved(id, "old");
        shelf.forget(id);
        Ok::<_, ()>(Some(old))
    };
    shelf.get_or_load(id, slow).await.unwrap();
    assert!(shelf.get(id).await.is_none());
    let place = shelf.place(id);
    shelf.forget(id);
    shelf
        .put(place, std::sync::Arc::new(shelved(id, "old")))
        .await;
    assert!(shelf.get(id).await.is_none());
    let fresh = async { Ok::<_, ()>(Some(shelved(id, "new"))) };
    let found = shelf.get_or_load(id, fresh).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&found.body.plain).contains("new"));
    assert!(shelf.get(id).await.is_some());
}

#[actix_web::test]
async fn those_who_want_the_same_product_share_one_loading() {
    let shelf = Shelf::new(1_000_000);
    let id = ProductId::new();
    let loads = std::cell::Cell::new(0);
    let load = async || {
        loads.set(loads.get() + 1);
        tokio::task::yield_now().await;
        Ok::<_, ()>(Some(shelved(id, "x")))
    };
    let wanted = (0..20).map(|_| shelf.get_or_load(id, load()));
    let found = futures_util::future::join_all(wanted).await;
    assert!(found.iter().all(|found| found.as_ref().unwrap().is_some()));
    assert_eq!(loads.get(), 1);
    let failing = shelf.get_or_load(ProductId::new(), async { Err("broken") });
    assert_eq!(failing.await.unwrap_err(), "broken");
}
