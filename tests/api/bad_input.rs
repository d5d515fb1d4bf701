//! Every operation against bad input, generated from the OpenAPI document: a problem answer that names
//! the field, nothing written, no 5xx.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, TestShop};

/// Calls of the document that take a JSON body.
fn with_body(document: &Value) -> Vec<(Method, String, Value)> {
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            let provider = path.ends_with("/webhook") || path.ends_with("/ipn");
            if body.is_object() && !provider {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                calls.push((method, path.clone(), resolved(document, body)));
            }
        }
    }
    calls
}

fn resolved(document: &Value, schema: &Value) -> Value {
    match schema["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.trim_start_matches('#'))
            .unwrap()
            .clone(),
        None => schema.clone(),
    }
}

/// A refusal in the right shape that is the client's fault.
fn assert_refused(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{what}: {answer:?}"
    );
    assert!(
        answer.body["code"].is_string() && answer.body["requestId"].is_string(),
        "{what}: {answer:?}"
    );
}

struct Hall {
    shop: TestShop,
    admin: Client,
    product: String,
}

impl Hall {
    async fn open() -> Self {
        let shop = TestShop::start().await;
        let admin = shop.admin().await;
        let product = shop.product(&admin, "P", 100, 5).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        Self {
            shop,
            admin,
            product,
        }
    }

    /// A path with ids that exist where that is easy.
    fn concrete(&self, path: &str) -> String {
        let id = if path.starts_with("/api/products/{") {
            self.product.as_str()
        } else {
            "000000000000000000000000"
        };
        let parts = path
            .split('/')
            .map(|part| if part.starts_with('{') { id } else { part });
        parts.collect::<Vec<_>>().join("/")
    }

    async fn raw(&self, method: &Method, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let request = self
            .admin
            .request(method.clone(), &self.concrete(path))
            .header("content-type", kind);
        self.admin.send(request.body(body)).await
    }
}

#[actix_web::test]
async fn bodies_of_every_wrong_shape_are_refused_everywhere() {
    let hall = Hall::open().await;
    let document = hall.admin.get("/api/openapi.json").await.body;
    let calls = with_body(&document);
    assert!(calls.len() > 15, "the document lists its bodies");
    let deep = "[".repeat(10_000).into_bytes();
    let wide = format!("{{\"x\":\"{}\"}}", "a".repeat(3 << 20)).into_bytes();
    let shapes: [(&str, Vec<u8>, &[u16]); 10] = [
        ("empty", Vec::new(), &[400]),
        ("cut off", b"{".to_vec(), &[400]),
        ("two values", b"{} {}".to_vec(), &[400, 422]),
        ("not utf-8", b"{\"a\":\"\xff\xfe\"}".to_vec(), &[400]),
        ("deep", deep, &[400]),
        ("three mebibytes", wide, &[413]),
        ("a list", b"[1]".to_vec(), &[422]),
        ("an empty list", b"[]".to_vec(), &[422]),
        ("null", b"null".to_vec(), &[422]),
        (
            "an operator",
            b"{\"$where\":\"1\",\"$ne\":null}".to_vec(),
            &[422],
        ),
    ];
    for (method, path, _) in &calls {
        for (what, body, expected) in &shapes {
            let answer = hall
                .raw(method, path, "application/json", body.clone())
                .await;
            let what = format!("{method} {path}: {what}");
            assert_refused(&answer, &what);
            assert!(expected.contains(&answer.status), "{what}: {answer:?}");
            assert!(!answer.text.contains("struct "), "{what}: {answer:?}");
        }
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/xml",
        ] {
            let answer = hall.raw(method, path, kind, b"{}".to_vec()).await;
            assert_eq!(answer.status, 415, "{method} {path} as {kind}: {answer:?}");
        }
    }
}

#[actix_web::test]
async fn every_field_refuses_operators_and_other_types_by_its_pointer() {
    let hall = Hall::open().await;
    let document = hall.admin.get("/api/openapi.json").await.body;
    for (method, path, schema) in with_body(&document) {
        let unknown = hall
            .raw(
                &method,
                &path,
                "application/json",
                b"{\"isAdmin\":true}".to_vec(),
            )
            .await;
        let what = format!("{method} {path}");
        assert_refused(&unknown, &what);
        if method != Method::PATCH {
            assert_eq!(unknown.status, 422, "{what}: {unknown:?}");
        }
        for (field, kind) in schema["properties"].as_object().into_iter().flatten() {
            let kind = resolved(&document, kind);
            let scalar = ["string", "integer", "boolean", "number"]
                .iter()
                .any(|name| {
                    kind["type"] == *name
                        || kind["type"]
                            .as_array()
                            .is_some_and(|types| types.contains(&json!(name)))
                });
            if !scalar {
                continue;
            }
            let body = json!({ field: { "$ne": null } }).to_string().into_bytes();
            let answer = hall.raw(&method, &path, "application/json", body).await;
            assert_refused(&answer, &format!("{what} {field}"));
            assert_eq!(answer.status, 422, "{what} {field}: {answer:?}");
            let pointer = format!("/{field}");
            assert!(
                answer.pointers().iter().any(|p| p.starts_with(&pointer)),
                "{what} {field}: {answer:?}"
            );
        }
    }
}

/// Serde would read a struct from a list of its fields.
#[actix_web::test]
async fn an_object_is_never_taken_as_a_list_of_its_fields() {
    let hall = Hall::open().await;
    let document = hall.admin.get("/api/openapi.json").await.body;
    let mut tried = 0;
    for (method, path, schema) in with_body(&document) {
        for (field, kind) in schema["properties"].as_object().into_iter().flatten() {
            let kind = resolved(&document, kind);
            if kind["type"] != "object" || !kind["properties"].is_object() {
                continue;
            }
            tried += 1;
            let values = kind["properties"].as_object().unwrap().keys();
            let list: Vec<Value> = values.map(|_| json!(1)).collect();
            let body = json!({ field: list }).to_string().into_bytes();
            let answer = hall.raw(&method, &path, "application/json", body).await;
            let what = format!("{method} {path} {field}: {answer:?}");
            assert_eq!(answer.status, 422, "{what}");
            // Beside what the body lacks.
            let faults = answer.body["errors"].as_array().unwrap();
            let fault = faults
                .iter()
                .find(|fault| fault["pointer"] == format!("/{field}"));
            assert_eq!(fault.unwrap()["message"], "expected an object", "{what}");
        }
    }
    assert!(tried >= 3, "{tried} bodies hold an object");
}

#[actix_web::test]
async fn garbage_ids_name_nothing() {
    let hall = Hall::open().await;
    let document = hall.admin.get("/api/openapi.json").await.body;
    let long = "a".repeat(4_000);
    let garbage = [
        "%00",
        "..%2f..%2fetc",
        "$ne",
        "%7B%22$gt%22:%22%22%7D",
        "-1",
        "9223372036854775808",
        &long,
        "%ff",
    ];
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.contains('{') {
            continue;
        }
        for method in item.as_object().unwrap().keys() {
            for id in garbage {
                let filled = path
                    .split('/')
                    .map(|part| if part.starts_with('{') { id } else { part });
                let filled = filled.collect::<Vec<_>>().join("/");
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let mut request = hall.admin.request(method.clone(), &filled);
                if matches!(method, Method::POST | Method::PUT | Method::PATCH) {
                    request = request.json(&json!({}));
                }
                let answer = hall.admin.send(request).await;
                assert_refused(&answer, &format!("{method} {path} with {id:.40}"));
            }
        }
    }
}

#[actix_web::test]
async fn nothing_was_written_by_all_of_it() {
    let hall = Hall::open().await;
    let before = hall
        .admin
        .get("/api/products?limit=100")
        .await
        .expect(200)
        .body;
    let bodies = [
        json!({ "sku": "X", "title": "X", "price": { "amount": 1.5, "currency": "USD" } }),
        json!({ "sku": "X", "title": "X", "price": { "amount": -1, "currency": "USD" } }),
        json!({ "sku": "X", "title": "X", "price": { "amount": 9_007_199_254_740_993_i64, "currency": "USD" } }),
        json!({ "sku": "X", "title": "X", "price": { "amount": 1, "currency": "EUR" } }),
        json!({ "sku": "X", "title": "X", "price": { "amount": 1, "currency": "USD" }, "id": "1" }),
        json!({ "sku": "X", "title": "X", "price": { "amount": 1, "currency": "USD" }, "version": 9 }),
        json!({ "sku": { "$ne": 1 }, "title": "X", "price": { "amount": 1, "currency": "USD" } }),
        json!({ "sku": "X", "title": "X", "price": { "amount": 1, "currency": "USD" }, "attributes": { "$where": 1 } }),
        json!({ "sku": "X", "title": "X", "price": { "amount": 1, "currency": "USD" }, "stock": { "onHand": -1 } }),
        json!({ "sku": "X", "title": "X", "price": { "amount": 1, "currency": "USD" }, "stock": { "available": 1 } }),
        json!({ "sku": "X", "title": "X", "price": { "amount": 1, "currency": "USD" }, "type": "nosuch" }),
        json!({ "sku": "", "title": "", "price": { "amount": 1, "currency": "USD" } }),
    ];
    for body in &bodies {
        let answer = hall.admin.post("/api/products", body).await;
        assert_eq!(answer.status, 422, "{body}: {answer:?}");
        assert!(!answer.pointers().is_empty(), "{body}: {answer:?}");
    }
    let customer = hall.shop.customer().await;
    let good = json!({ "sku": "X", "title": "X", "price": { "amount": 1, "currency": "USD" } });
    customer
        .post("/api/products", &good)
        .await
        .expect_problem(403, "forbidden");
    hall.shop
        .guest()
        .post("/api/products", &good)
        .await
        .expect_problem(401, "unauthenticated");
    let after = hall
        .admin
        .get("/api/products?limit=100")
        .await
        .expect(200)
        .body;
    assert_eq!(before, after);
}

/// MongoDB refuses a NUL in some places, such as regular expressions: no parameter may carry one there.
#[actix_web::test]
async fn a_nul_in_any_parameter_is_the_clients_fault() {
    let hall = Hall::open().await;
    let document = hall.admin.get("/api/openapi.json").await.body;
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
            tried += 1;
            let name = parameter["name"].as_str().unwrap();
            let query = format!("{}?{name}=%00", hall.concrete(path));
            let answer = hall.admin.get(&query).await;
            assert!(answer.status < 500, "{query}: {answer:?}");
        }
    }
    assert!(tried > 30, "the document lists its parameters");
    let refused = hall.admin.get("/api/admin/orders?q=%00").await;
    let refused = refused.expect_problem(422, "validation_failed");
    assert_eq!(refused.pointers(), ["/q"]);
}

#[actix_web::test]
async fn queries_beyond_their_limits_are_refused_by_name() {
    let hall = Hall::open().await;
    let refused = [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=x", "/limit"),
        ("cursor=nonsense", "/cursor"),
        ("minPrice=1.5", "/minPrice"),
        ("minPrice=-1", "/minPrice"),
        ("maxPrice=99999999999999999999", "/maxPrice"),
        ("inStock=maybe", "/inStock"),
        ("sort=rating", "/sort"),
        ("attr.nosuch=1", "/attr.nosuch"),
        ("attr.color[$ne]=1", "/attr.color[$ne]"),
        ("colour=red", "/colour"),
    ];
    for (query, pointer) in refused {
        let answer = hall.admin.get(&format!("/api/products?{query}")).await;
        let answer = answer.expect_problem(422, "validation_failed");
        assert_eq!(answer.pointers(), [pointer], "{query}");
    }
    let long = format!("/api/products?q={}", "a".repeat(20_000));
    let answer = hall.admin.get(&long).await;
    assert!(
        matches!(answer.status, 414 | 422 | 431 | 400),
        "{}",
        answer.status
    );
}
