//! Lists, suggestions, categories, pictures.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::*;

fn titles(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["title"].as_str().unwrap()).collect()
}

fn numbered(n: i64) -> Value {
    let category = if n % 2 == 0 { "even/twice" } else { "odd" };
    json!({
        "sku": format!("N-{n}"), "title": format!("Number {n}"), "price": usd(n * 100),
        "categories": [category, "even"], "stock": {"onHand": n},
    })
}

#[actix_web::test]
async fn a_list_is_filtered_sorted_and_paged() {
    let shop = TestShop::open().await;
    for n in 1..=5 {
        shop.create(&numbered(n)).await;
    }
    let path = "/api/products?sort=-price&limit=2&minPrice=200&facets=true";
    let first = shop.get(path).await.expect(200).json();
    assert_eq!(titles(&first), ["Number 5", "Number 4"]);
    assert_eq!(first["total"], 4);
    assert!(
        first["facets"]
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["name"] == "price")
    );
    assert_eq!(
        first["items"][0],
        shop.get("/api/products/number-5").await.json()
    );
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = shop
        .get(&format!("{path}&cursor={cursor}"))
        .await
        .expect(200)
        .json();
    assert_eq!(titles(&second), ["Number 3", "Number 2"]);
    assert_eq!(second["nextCursor"], Value::Null);
    for (query, pointer) in [
        ("limit=0", "/limit"),
        ("sort=colour", "/sort"),
        ("minPrice=x", "/minPrice"),
        ("colour=red", "/colour"),
        ("cursor=%7B%7D", "/cursor"),
        ("attr.undeclared=1", "/attr.undeclared"),
        ("hidden=maybe", "/hidden"),
    ] {
        let refused = shop.get(&format!("/api/products?{query}")).await;
        assert_eq!(
            refused.problem(422, "validation_failed"),
            [pointer],
            "{query}"
        );
    }
    let long = format!("/api/products?q={}", "x".repeat(9_000));
    shop.get(&long).await.expect(422);
    shop.close().await;
}

#[actix_web::test]
async fn a_page_is_kept_until_something_in_it_changes() {
    let shop = TestShop::open().await;
    let product = shop.create(&tee()).await;
    let list = || shop.get("/api/products");
    let first = list().await.expect(200);
    let tag = first.header("etag").to_owned();
    assert_eq!(list().await.header("etag"), tag);
    let asked = TestRequest::get()
        .uri("/api/products")
        .insert_header(("if-none-match", tag.clone()));
    shop.call(asked).await.expect(304);
    // One variant gains what the other one loses: the sum stays, the page does not.
    for (index, delta) in [(0, 1), (1, -1)] {
        let body =
            json!({"variantId": product["variants"][index]["id"], "delta": delta, "reason": "x"});
        shop.post(&format!("{}/stock", at(&product)), &body)
            .await
            .expect(200);
    }
    let moved = list().await;
    assert_ne!(moved.header("etag"), tag);
    let stock = |n: usize| moved.json()["items"][0]["variants"][n]["stock"]["available"].clone();
    assert_eq!((stock(0), stock(1)), (json!(6), json!(6)));
    shop.patch(
        &at(&product),
        &json!({"images": [{"url": "/x.svg", "alt": "x"}]}),
    )
    .await
    .expect(200);
    assert_eq!(list().await.json()["items"][0]["images"][0]["alt"], "x");
    shop.create(&mug()).await;
    assert_eq!(list().await.json()["total"], 2);
    shop.staff(TestRequest::delete().uri(&at(&product)))
        .await
        .expect(204);
    assert_eq!(titles(&list().await.json()), ["Harbour Mug"]);
    let hidden = shop
        .staff(TestRequest::get().uri("/api/products?hidden=true&sort=name"))
        .await;
    assert_eq!(titles(&hidden.expect(200).json()), ["Harbour Mug", "Tee"]);
    shop.close().await;
}

#[actix_web::test]
async fn suggestions_forgive_a_typing_error() {
    let shop = TestShop::open().await;
    shop.create(&mug()).await;
    let found = shop
        .get("/api/products/suggest?q=harbuor")
        .await
        .expect(200)
        .json();
    assert_eq!(found["items"][0]["slug"], "harbour-mug");
    for query in ["", "q=a&limit=0", "q=a&x=1"] {
        shop.get(&format!("/api/products/suggest?{query}"))
            .await
            .expect(422);
    }
    shop.close().await;
}

#[actix_web::test]
async fn the_tree_counts_active_products_once_in_each_branch() {
    let shop = TestShop::open().await;
    let product = shop.create(&numbered(2)).await;
    shop.create(&numbered(3)).await;
    let tree = || shop.get("/api/categories");
    let seen = tree().await.expect(200).json();
    assert_eq!(
        seen,
        json!({"items": [
            {"path": "even", "slug": "even", "name": "Even", "count": 2, "children": [
                {"path": "even/twice", "slug": "twice", "name": "Twice", "count": 1, "children": []},
            ]},
            {"path": "odd", "slug": "odd", "name": "Odd", "count": 1, "children": []},
        ]})
    );
    shop.staff(TestRequest::delete().uri(&at(&product)))
        .await
        .expect(204);
    assert_eq!(
        tree().await.json()["items"][0],
        json!(
            {"path": "even", "slug": "even", "name": "Even", "count": 1, "children": []}
        )
    );
    shop.close().await;
}

#[actix_web::test]
async fn pictures_come_from_the_binary_and_nothing_else_does() {
    let shop = TestShop::open().await;
    let picture = shop.get("/demo/images/mug-1.svg").await.expect(200);
    assert_eq!(picture.header("content-type"), "image/svg+xml");
    let tag = picture.header("etag").to_owned();
    let asked = TestRequest::get()
        .uri("/demo/images/mug-1.svg")
        .insert_header(("if-none-match", tag));
    shop.call(asked).await.expect(304);
    for name in [
        "..%2Fproducts.jsonl",
        "%2e%2e%2fproducts.jsonl",
        "no-such.svg",
        "..",
        "%2fetc%2fpasswd",
    ] {
        shop.get(&format!("/demo/images/{name}")).await.expect(404);
    }
    shop.close().await;
}
