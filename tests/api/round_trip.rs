//! What is exported imports again, both ways, and changes nothing: over the real catalogues and over HTTP.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use bson::{doc, oid::ObjectId};
use reqwest::Method;
use serde_json::Value;

use crate::{
    real_catalogues::import,
    support::{Client, TestShop, eventually, scaled},
};

/// What stands in a collection, document by document.
async fn standing(shop: &TestShop, collection: &str) -> BTreeMap<ObjectId, u64> {
    let collection = shop.books().await.collection::<bson::Document>(collection);
    // The tests' mongod refuses queries that find no index.
    let every = doc! { "_id": { "$gt": ObjectId::from_bytes([0; 12]) } };
    let mut found = collection.find(every).await.unwrap();
    let mut all = BTreeMap::new();
    while found.advance().await.unwrap() {
        let raw = found.current();
        let mut hasher = DefaultHasher::new();
        raw.as_bytes().hash(&mut hasher);
        all.insert(raw.get_object_id("_id").unwrap(), hasher.finish());
    }
    all
}

/// Sends an export back and waits for the end of the import.
async fn send_back(admin: &Client, kind: &str, file: String) -> Value {
    let request = admin
        .request(Method::POST, "/api/products/import")
        .header("content-type", kind.to_owned())
        .body(file);
    let begun = admin.send(request).await.expect(202).body;
    let place = format!("/api/products/import/{}", begun["jobId"].as_str().unwrap());
    eventually("the import to end", || async {
        let job = admin.get(&place).await.expect(200).body;
        (job["state"] != "running").then_some(job)
    })
    .await
}

#[actix_web::test]
async fn an_export_of_a_real_catalogue_imports_again_and_changes_nothing() {
    let catalogues = [
        ("filaments-variants.jsonl.gz", "filaments"),
        ("pcparts-prices.jsonl.gz", "pcparts"),
        ("opendb-products.jsonl.gz", "opendb"),
    ];
    for (file, mapping) in catalogues.into_iter().take(scaled(1, 3)) {
        let shop = TestShop::start().await;
        let created = import(&shop, file, mapping).count("created");
        let admin = shop.admin().await;
        let products = standing(&shop, "products").await;
        let stock = standing(&shop, "stock").await;
        assert_eq!(u64::try_from(products.len()).unwrap(), created);
        assert!(stock.len() >= products.len());
        for format in ["jsonl", "csv"] {
            let path = format!("/api/products/export?format={format}");
            let export = admin.get(&path).await.expect(200);
            let kind = export.header("content-type").unwrap().to_owned();
            let job = send_back(&admin, &kind, export.text).await;
            assert_eq!(job["state"], "done", "{file} as {format}: {job}");
            let counts = &job["counts"];
            assert_eq!(
                (&counts["rows"], &counts["unchanged"]),
                (&created.into(), &created.into()),
                "{file} as {format}: {counts} {}",
                job["errors"][0]
            );
            assert_eq!(standing(&shop, "products").await, products, "{format}");
            assert_eq!(standing(&shop, "stock").await, stock, "{format}");
        }
    }
}
