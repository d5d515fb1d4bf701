//! The demo catalogue, loaded through the front door.

use serde_json::Value;

use super::*;

#[actix_web::test]
async fn the_demo_catalogue_can_be_sold() {
    let shop = TestShop::open().await;
    let types: Vec<Value> =
        serde_json::from_str(include_str!("../../../config/demo/product-types.json")).unwrap();
    for product_type in &types {
        shop.post("/api/product-types", product_type)
            .await
            .expect(201);
    }
    let lines = include_str!("../../../config/demo/products.jsonl").lines();
    let products: Vec<Value> = lines.map(|l| serde_json::from_str(l).unwrap()).collect();
    let creations = products.iter().map(|product| shop.create(product));
    let created = futures_util::future::join_all(creations).await;
    let slugs = |products: &[Value]| -> Vec<Value> {
        products
            .iter()
            .map(|product| product["slug"].clone())
            .collect()
    };
    assert_eq!(slugs(&created), slugs(&products));
    let active = created
        .iter()
        .filter(|product| product["status"] == "active")
        .count();
    let there = shop.second_node().await;
    for node in [&shop.node, &there] {
        let all = node
            .get("/api/products?limit=100&facets=true")
            .await
            .expect(200)
            .json();
        assert_eq!(all["total"], active);
        let mugs = node.get("/api/products?type=mug&attr.glaze=cream").await;
        assert_eq!(mugs.expect(200).json()["items"][0]["type"], "mug");
    }
    assert_eq!(
        shop.get("/api/categories").await.bytes,
        there.get("/api/categories").await.bytes
    );
    shop.close().await;
}
