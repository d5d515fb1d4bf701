//! Product types, and products held against them.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::*;

fn shirt_type() -> Value {
    json!({
        "id": "shirt", "name": "Shirt",
        "attributes": {
            "type": "object",
            "properties": {
                "material": {"type": "string"}, "grams": {"type": "integer", "minimum": 1},
                "color": {"enum": ["black", "white"]},
            },
            "required": ["material"], "additionalProperties": false,
        },
        "fields": {
            "material": {"label": "Material", "filterable": true},
            "grams": {"label": "Weight", "unit": "g", "filterable": true},
            "color": {"label": "Color", "variantAxis": true, "filterable": true},
        },
    })
}

fn shirt() -> Value {
    let mut shirt = tee();
    shirt["type"] = json!("shirt");
    shirt["attributes"] = json!({"material": "linen", "grams": 180});
    shirt
}

#[actix_web::test]
async fn a_type_is_created_read_replaced_and_removed() {
    let shop = TestShop::open().await;
    let created = shop
        .post("/api/product-types", &shirt_type())
        .await
        .expect(201);
    assert_eq!(created.header("location"), "/api/product-types/shirt");
    let seen = shop.get("/api/product-types/shirt").await.expect(200);
    let tag = seen.header("etag").to_owned();
    assert!(tag.starts_with("\"1."), "{tag}");
    let again = TestRequest::get().uri("/api/product-types/shirt");
    let again = again.insert_header(("if-none-match", tag));
    assert!(shop.call(again).await.expect(304).bytes.is_empty());
    assert_eq!(seen.json()["attributes"], shirt_type()["attributes"]);
    assert_eq!(seen.json()["fields"]["grams"]["unit"], "g");
    shop.post("/api/product-types", &shirt_type())
        .await
        .problem(409, "product_type_taken");
    let list = shop.get("/api/product-types").await.expect(200).json();
    let ids: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["id"])
        .collect();
    assert_eq!(ids, ["generic", "shirt"]);
    let first = shop.get("/api/product-types?limit=1").await.json();
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = shop
        .get(&format!("/api/product-types?limit=1&cursor={cursor}"))
        .await
        .json();
    assert_eq!(
        (&second["items"][0]["id"], &second["nextCursor"]),
        (&json!("shirt"), &Value::Null)
    );
    let mut next = shirt_type();
    next["name"] = json!("Shirts");
    let put = |tag: &'static str| {
        let request = TestRequest::put().uri("/api/product-types/shirt");
        request.insert_header(("if-match", tag)).set_json(&next)
    };
    shop.staff(put("\"2\"")).await.problem(412, "stale_version");
    let replaced = shop.staff(put("\"1\"")).await.expect(200);
    assert_eq!(replaced.json()["name"], "Shirts");
    assert!(replaced.header("etag").starts_with("\"2."));
    next["id"] = json!("trousers");
    let moved = shop.put("/api/product-types/shirt", &next).await;
    assert_eq!(moved.problem(422, "validation_failed"), ["/id"]);
    let remove = |tag: String| {
        let request = TestRequest::delete().uri("/api/product-types/shirt");
        shop.staff(request.insert_header(("if-match", tag)))
    };
    let stale = remove("\"1\"".to_owned()).await;
    stale.problem(412, "stale_version");
    remove(replaced.header("etag").to_owned()).await.expect(204);
    shop.get("/api/product-types/shirt")
        .await
        .problem(404, "not_found");
    shop.close().await;
}

#[actix_web::test]
async fn the_built_in_type_stays_as_it_is() {
    let shop = TestShop::open().await;
    let seen = shop
        .get("/api/product-types/generic")
        .await
        .expect(200)
        .json();
    assert_eq!(seen["fields"], json!({}));
    let path = "/api/product-types/generic";
    shop.put(path, &json!({"name": "x"}))
        .await
        .problem(409, "conflict");
    shop.staff(TestRequest::delete().uri(path))
        .await
        .problem(409, "conflict");
    let again = json!({"id": "generic", "name": "x"});
    shop.post("/api/product-types", &again)
        .await
        .problem(409, "product_type_taken");
    shop.close().await;
}

#[actix_web::test]
async fn schemas_that_lead_outward_or_too_far_are_refused() {
    let shop = TestShop::open().await;
    let mut deep = json!({});
    for _ in 0..17 {
        deep = json!({"properties": {"a": deep}});
    }
    for (attributes, pointer) in [
        (json!({"$ref": "http://127.0.0.1:1/x"}), "/attributes/$ref"),
        (
            json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}),
            "/attributes/properties/a/$ref",
        ),
        (json!({"$ref": "#"}), "/attributes"),
        (json!({"title": "x".repeat(70_000)}), "/attributes"),
        (json!({"type": "objekt"}), "/attributes/type"),
        (
            json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
            "/attributes/$schema",
        ),
        (json!("x"), "/attributes"),
    ] {
        let written = json!({"id": "x", "name": "X", "attributes": attributes});
        let refused = shop.post("/api/product-types", &written).await;
        assert_eq!(
            refused.problem(422, "validation_failed"),
            [pointer],
            "{written}"
        );
    }
    let written = json!({"id": "x", "name": "X", "attributes": deep});
    let refused = shop.post("/api/product-types", &written).await;
    assert_eq!(refused.problem(422, "validation_failed").len(), 1);
    for id in ["X", "a b", "", "$gt"] {
        let written = json!({"id": id, "name": "X"});
        let refused = shop.post("/api/product-types", &written).await;
        assert_eq!(refused.problem(422, "validation_failed"), ["/id"]);
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_product_that_breaks_its_type_is_refused_with_each_place() {
    let shop = TestShop::open().await;
    shop.post("/api/product-types", &shirt_type())
        .await
        .expect(201);
    let mut wrong = shirt();
    wrong["attributes"] = json!({"grams": 0, "matrial": "linen"});
    wrong["variants"][0]["options"]["color"] = json!("mauve");
    let mut places = shop
        .post("/api/products", &wrong)
        .await
        .problem(422, "validation_failed");
    places.sort();
    assert_eq!(
        places,
        [
            "/attributes/grams",
            "/attributes/material",
            "/attributes/matrial",
            "/variants/0/options/color",
        ]
    );
    wrong = shirt();
    wrong["options"] = json!(["grams"]);
    wrong["variants"] = json!([{"options": {"grams": "100"}, "price": usd(1)}]);
    wrong["attributes"] = json!({"material": "linen"});
    let refused = shop.post("/api/products", &wrong).await;
    assert_eq!(refused.problem(422, "validation_failed"), ["/options/0"]);
    shop.create(&shirt()).await;
    let patch = json!({"attributes": {"material": null}});
    let refused = shop.patch("/api/products/tee", &patch).await;
    assert_eq!(
        refused.problem(422, "validation_failed"),
        ["/attributes/material"]
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_type_in_use_names_the_products_in_the_way() {
    let shop = TestShop::open().await;
    shop.post("/api/product-types", &shirt_type())
        .await
        .expect(201);
    let product = shop.create(&shirt()).await;
    let path = "/api/product-types/shirt";
    let mut next = shirt_type();
    next["attributes"]["properties"]["grams"] = json!({"type": "integer", "minimum": 200});
    let refused = shop.put(path, &next).await.expect(409).json();
    assert_eq!(refused["code"], "product_type_in_use");
    assert_eq!(refused["products"][0]["id"], product["id"]);
    assert_eq!(
        refused["products"][0]["errors"][0]["pointer"],
        "/attributes/grams"
    );
    next = shirt_type();
    next["fields"]["color"]["variantAxis"] = json!(false);
    let refused = shop.put(path, &next).await.expect(409).json();
    assert_eq!(refused["products"][0]["errors"][0]["pointer"], "/options/0");
    let refused = shop.staff(TestRequest::delete().uri(path)).await;
    refused.problem(409, "product_type_in_use");
    next = shirt_type();
    next["attributes"]["properties"]["fit"] = json!({"type": "string"});
    shop.put(path, &next).await.expect(200);
    let patch = json!({"attributes": {"fit": "slim"}});
    shop.patch("/api/products/tee", &patch).await.expect(200);
    shop.close().await;
}

fn sized(kind: &str) -> Value {
    json!({"id": "sized", "name": "Sized", "attributes": {"properties": {"a": {"type": kind}}}})
}

#[actix_web::test]
async fn a_type_that_is_made_again_has_its_own_schema() {
    let shop = TestShop::open().await;
    let with = |sku: &str, value: Value| json!({"sku": sku, "title": "A", "type": "sized", "price": usd(1), "attributes": {"a": value}});
    shop.post("/api/product-types", &sized("integer"))
        .await
        .expect(201);
    let path = at(&shop.create(&with("A", json!(1))).await);
    let leave = json!({"type": "generic"});
    shop.patch(&path, &leave).await.expect(200);
    let remove = TestRequest::delete().uri("/api/product-types/sized");
    shop.staff(remove).await.expect(204);
    shop.post("/api/product-types", &sized("string"))
        .await
        .expect(201);
    shop.create(&with("B", json!("x"))).await;
    let refused = shop.post("/api/products", &with("C", json!(1))).await;
    assert_eq!(refused.problem(422, "validation_failed"), ["/attributes/a"]);
    shop.close().await;
}

#[actix_web::test]
async fn no_product_comes_to_have_a_type_that_is_removed() {
    let shop = TestShop::open().await;
    let other = shop.second_node().await;
    let (mut kept, mut removed) = (0, 0);
    for n in 0..12_u64 {
        shop.post("/api/product-types", &sized("integer"))
            .await
            .expect(201);
        let sku = format!("P-{n}");
        let product = json!({"sku": sku, "title": "A", "type": "sized", "price": usd(1)});
        let create = async {
            tokio::time::sleep(Duration::from_millis(n)).await;
            other.post("/api/products", &product).await
        };
        let remove = TestRequest::delete().uri("/api/product-types/sized");
        let (made, gone) = futures_util::future::join(create, shop.staff(remove)).await;
        match (made.status, gone.status) {
            (201, 409) => {
                kept += 1;
                let leave = json!({"type": "generic"});
                shop.patch(&at(&made.json()), &leave).await.expect(200);
                let remove = TestRequest::delete().uri("/api/product-types/sized");
                shop.staff(remove).await.expect(204);
            }
            (422, 204) => removed += 1,
            both => panic!("{both:?}"),
        }
    }
    assert_eq!(kept + removed, 12);
    shop.close().await;
}
