//! The endpoints, over a real database and a catalogue in memory.

use std::sync::Arc;

use actix_http::Request;
use actix_web::{
    App, Error,
    body::BoxBody,
    dev::{Service, ServiceResponse},
    http::{Method, StatusCode, header::HeaderMap},
    middleware::from_fn,
    test::{TestRequest, call_service, init_service, read_body},
    web,
};
use serde_json::{Value, json};
use utoipa_actix_web::AppExt;

use crate::{
    accounts::{Role, Tokens},
    cart::{
        Carts, routes,
        testing::{Database, Shelves, config, offer},
    },
    catalog::Offer,
    http::guard_request,
    id::{LineId, ProductId, SessionId, UserId, VariantId},
    money::{Currency, Money},
    problem::{Code, Problem},
};

/// An answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// The faulty place and its code.
    fn fault(&self) -> (&str, &str) {
        let fault = &self.body["errors"][0];
        (
            fault["pointer"].as_str().unwrap_or(""),
            fault["code"].as_str().unwrap_or(""),
        )
    }
}

/// A shop that only has carts.
struct Counter<S> {
    app: S,
    shelves: Arc<Shelves>,
    tokens: Tokens,
    carts: Carts,
    database: Database,
}

async fn counter(
    offers: &[Offer],
    pairs: &[(&str, &str)],
) -> Counter<impl Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>> {
    let database = Database::create("cart_http").await;
    let config = config(pairs);
    let shelves = Shelves::with(offers);
    let carts = Carts::new(&database.mongo, &config, shelves.clone());
    let tokens = Tokens::new(&config.auth);
    let (app, _document) = App::new()
        .into_utoipa_app()
        .configure(routes)
        .split_for_parts();
    let app = app
        .app_data(web::Data::new(carts.clone()))
        .app_data(web::Data::new(tokens.clone()))
        .app_data(
            web::PathConfig::default()
                .error_handler(|_unreadable, _request| Problem::new(Code::NotFound).into()),
        )
        .wrap(from_fn(guard_request));
    let app = init_service(app).await;
    Counter {
        app,
        shelves,
        tokens,
        carts,
        database,
    }
}

impl<S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>> Counter<S> {
    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let mut request = TestRequest::default()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path);
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        if let Some(body) = body {
            request = request
                .insert_header(("content-type", "application/json"))
                .set_payload(body.to_owned());
        }
        let response = call_service(&self.app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = read_body(response).await;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer {
            status,
            headers,
            body,
        }
    }

    async fn post(&self, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.send("POST", "/api/cart", headers, Some(&body.to_string()))
            .await
    }

    fn user(&self) -> String {
        let signed = self
            .tokens
            .sign(UserId::new(), SessionId::new(), Role::Customer);
        format!("Bearer {}", signed.unwrap())
    }

    async fn close(self) {
        assert!(self.carts.drain(std::time::Duration::from_secs(5)).await);
        self.database.drop().await;
    }
}

fn two_mugs() -> [Offer; 2] {
    let black = offer(1_250);
    let mut white = Offer {
        variant: VariantId::new(),
        product: black.product,
        ..offer(1_350)
    };
    white.options.insert("color".to_owned(), "white".to_owned());
    [black, white]
}

#[actix_web::test]
async fn a_guest_without_a_cart_is_shown_an_empty_one_and_gets_one_with_the_first_line() {
    let mug = offer(1_250);
    let shop = counter(std::slice::from_ref(&mug), &[]).await;
    let nothing = shop.send("GET", "/api/cart", &[], None).await.expect(200);
    assert_eq!(
        nothing.body,
        json!({
            "id": null, "version": 0, "items": [], "subtotal": {"amount": 0, "currency": "USD"},
            "discounts": [], "discountTotal": {"amount": 0, "currency": "USD"},
            "total": {"amount": 0, "currency": "USD"}, "currency": "USD", "itemCount": 0, "updatedAt": null,
        })
    );
    assert_eq!(
        (nothing.header("etag"), nothing.header("set-cookie")),
        ("\"0\"", "")
    );
    shop.send("DELETE", "/api/cart", &[], None)
        .await
        .expect(200);

    let added = shop
        .post(&[], &json!({"productId": mug.product, "quantity": 2}))
        .await
        .expect(200);
    let token = added.header("x-cart-token").to_owned();
    let cookie = added.header("set-cookie").to_owned();
    assert!(
        cookie.starts_with(&format!("bodega_cart={token}; ")),
        "{cookie}"
    );
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"));
    let line = &added.body["items"][0];
    assert_eq!(added.header("etag"), "\"1\"");
    assert_eq!(
        *line,
        json!({
            "id": line["id"], "productId": mug.product, "variantId": mug.variant, "sku": mug.sku,
            "title": mug.title, "options": {"color": "black"}, "quantity": 2,
            "unitPrice": {"amount": 1250, "currency": "USD"},
            "lineTotal": {"amount": 2500, "currency": "USD"}, "available": 50, "notices": [],
        })
    );
    assert_eq!(added.body["total"]["amount"], 2500);

    let held = format!("bodega_cart={token}");
    for header in [("x-cart-token", token.as_str()), ("cookie", held.as_str())] {
        let shown = shop
            .send("GET", "/api/cart", &[header], None)
            .await
            .expect(200);
        assert_eq!(shown.body, added.body);
    }
    let again = shop.post(
        &[("cookie", &held)],
        &json!({"productId": mug.product, "quantity": 1}),
    );
    let again = again.await.expect(200);
    assert_eq!(
        (
            again.body["itemCount"].as_u64(),
            again.header("x-cart-token")
        ),
        (Some(3), "")
    );
    assert!(
        again.header("set-cookie").contains(&token),
        "its life begins anew"
    );
    shop.close().await;
}

#[actix_web::test]
async fn the_cookie_is_secure_where_the_shop_is() {
    let mug = offer(1_250);
    let https = [("BODEGA__SERVER__PUBLIC_URL", "https://shop.example")];
    let shop = counter(std::slice::from_ref(&mug), &https).await;
    let added = shop
        .post(&[], &json!({"productId": mug.product, "quantity": 1}))
        .await
        .expect(200);
    assert!(added.header("set-cookie").contains("; Secure"));
    shop.close().await;
}

#[actix_web::test]
async fn a_foreign_or_broken_token_counts_as_none() {
    let mug = offer(1_250);
    let shop = counter(std::slice::from_ref(&mug), &[]).await;
    let add = json!({"productId": mug.product, "quantity": 1});
    let mine = shop.post(&[], &add).await.expect(200);
    let mine = mine.header("x-cart-token").to_owned();
    let other = shop.post(&[], &add).await.expect(200);
    let other = other.header("x-cart-token").to_owned();
    let forged = format!(
        "{}.{}",
        mine.split_once('.').unwrap().0,
        other.split_once('.').unwrap().1
    );
    for token in [
        forged.as_str(),
        "x",
        "a.b",
        "{\"$ne\":1}",
        "662e41f09c1d4c3a8f0b7a11.AAAA",
    ] {
        let shown = shop
            .send("GET", "/api/cart", &[("x-cart-token", token)], None)
            .await
            .expect(200);
        assert_eq!(shown.body["id"], Value::Null);
        let added = shop
            .post(&[("x-cart-token", token)], &add)
            .await
            .expect(200);
        assert_eq!(added.body["itemCount"], 1);
        assert!(
            !added.header("x-cart-token").is_empty(),
            "a cart of its own"
        );
        let path = format!("/api/cart/{}", LineId::new());
        shop.send("DELETE", &path, &[("x-cart-token", token)], None)
            .await
            .expect(404);
    }
    let shown = shop
        .send("GET", "/api/cart", &[("x-cart-token", &mine)], None)
        .await;
    assert_eq!(shown.body["itemCount"], 1, "mine is as it was");
    shop.close().await;
}

#[actix_web::test]
async fn a_user_has_one_cart_and_the_guest_s_token_beside_it_counts_for_nothing() {
    let mug = offer(1_250);
    let shop = counter(std::slice::from_ref(&mug), &[]).await;
    let add = json!({"productId": mug.product, "quantity": 1});
    let guest = shop.post(&[], &add).await.expect(200);
    let token = guest.header("x-cart-token").to_owned();
    let user = shop.user();
    let both = [
        ("authorization", user.as_str()),
        ("x-cart-token", token.as_str()),
    ];
    let empty = shop.send("GET", "/api/cart", &both, None).await.expect(200);
    assert_eq!(empty.body["itemCount"], 0);
    assert!(empty.body["id"].is_string());
    let added = shop.post(&both, &add).await.expect(200);
    assert_eq!(
        (&added.body["id"], added.header("set-cookie")),
        (&empty.body["id"], "")
    );
    assert_eq!(added.body["itemCount"], 1);
    shop.send("GET", "/api/cart", &[("authorization", "Bearer x")], None)
        .await
        .expect(401);
    shop.close().await;
}

#[actix_web::test]
async fn lines_are_set_and_removed_over_the_version_that_was_seen() {
    let mugs = two_mugs();
    let shop = counter(&mugs, &[]).await;
    let user = shop.user();
    let auth = ("authorization", user.as_str());
    for mug in &mugs {
        let add = json!({"productId": mug.product, "variantId": mug.variant, "quantity": 1});
        shop.post(&[auth], &add).await.expect(200);
    }
    let cart = shop
        .send("GET", "/api/cart", &[auth], None)
        .await
        .expect(200);
    let id = |index: usize| {
        format!(
            "/api/cart/{}",
            cart.body["items"][index]["id"].as_str().unwrap()
        )
    };
    let set = shop.send(
        "PUT",
        &id(0),
        &[auth, ("if-match", "\"2\"")],
        Some(r#"{"quantity":5}"#),
    );
    let set = set.await.expect(200);
    assert_eq!(
        (set.header("etag"), set.body["itemCount"].as_u64()),
        ("\"3\"", Some(6))
    );
    for (method, path, body) in [
        ("PUT", id(0), Some(r#"{"quantity":9}"#)),
        ("DELETE", id(0), None),
        ("DELETE", "/api/cart".to_owned(), None),
    ] {
        for tag in ["\"2\"", "2", "\"x\"", "W/\"3\""] {
            let stale = shop
                .send(method, &path, &[auth, ("if-match", tag)], body)
                .await
                .expect(412);
            assert_eq!(stale.body["code"], "stale_version");
            assert_eq!(stale.body["cart"], set.body);
        }
    }
    let named = shop.send(
        "PUT",
        &id(0),
        &[auth],
        Some(r#"{"options":{"engraving":"Zoë","color":"black"}}"#),
    );
    let named = named.await.expect(200);
    let options = &named.body["items"][0]["options"];
    assert_eq!(*options, json!({"color": "black", "engraving": "Zoë"}));
    let contradicts = shop.send(
        "PUT",
        &id(0),
        &[auth],
        Some(r#"{"options":{"color":"white"}}"#),
    );
    assert_eq!(
        contradicts.await.expect(422).fault(),
        ("/options/color", "contradicts_variant")
    );
    let removed = shop
        .send("PUT", &id(0), &[auth], Some(r#"{"quantity":0}"#))
        .await
        .expect(200);
    assert_eq!(removed.body["items"].as_array().unwrap().len(), 1);
    shop.send("PUT", &id(0), &[auth], Some(r#"{"quantity":1}"#))
        .await
        .expect(404);
    shop.send("DELETE", &id(1), &[auth], None).await.expect(200);
    shop.send("DELETE", &id(1), &[auth], None).await.expect(404);
    let cleared = shop
        .send("DELETE", "/api/cart", &[auth], None)
        .await
        .expect(200);
    assert_eq!(
        (
            cleared.header("etag"),
            cleared.body["items"].as_array().unwrap().len()
        ),
        ("\"7\"", 0)
    );
    for path in [
        "/api/cart/x",
        "/api/cart/%00",
        "/api/cart/discounts",
        "/api/cart/{\"$ne\":1}",
    ] {
        shop.send(
            "DELETE",
            &path.replace('"', "%22").replace(['{', '}'], "%7B"),
            &[auth],
            None,
        )
        .await
        .expect(404);
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_tag_confirms_only_what_is_shown_as_it_was() {
    let mug = offer(1_250);
    let shop = counter(std::slice::from_ref(&mug), &[]).await;
    let user = shop.user();
    let auth = ("authorization", user.as_str());
    shop.post(&[auth], &json!({"productId": mug.product, "quantity": 2}))
        .await
        .expect(200);
    let held = [auth, ("if-none-match", "\"1\"")];
    let same = shop.send("GET", "/api/cart", &held, None).await.expect(304);
    assert_eq!(
        (same.header("etag"), same.header("cache-control")),
        ("\"1\"", "private, no-cache")
    );

    shop.shelves.put(Offer {
        unit_price: Money::new(1_400, Currency::USD),
        ..mug.clone()
    });
    let dearer = shop.send("GET", "/api/cart", &held, None).await.expect(200);
    assert_eq!(
        (dearer.header("etag"), dearer.header("cache-control")),
        ("\"1\"", "no-store")
    );
    assert_eq!(dearer.body["items"][0]["notices"], json!(["price_changed"]));
    assert_eq!(dearer.body["total"]["amount"], 2800);

    shop.shelves.put(Offer {
        available: 1,
        ..mug.clone()
    });
    let scarce = shop.send("GET", "/api/cart", &held, None).await.expect(200);
    assert_eq!(
        scarce.body["items"][0]["notices"],
        json!(["insufficient_stock"])
    );

    shop.shelves.remove(mug.variant);
    let gone = shop.send("GET", "/api/cart", &held, None).await.expect(200);
    assert_eq!(gone.body["items"][0]["notices"], json!(["unavailable"]));
    assert_eq!(
        (
            gone.body["total"]["amount"].as_i64(),
            &gone.body["items"][0]["title"]
        ),
        (Some(0), &json!(mug.title))
    );

    // A change shows the buyer today's price; from then on that is the one that was seen.
    shop.shelves.put(Offer {
        unit_price: Money::new(1_400, Currency::USD),
        ..mug.clone()
    });
    let path = format!(
        "/api/cart/{}",
        gone.body["items"][0]["id"].as_str().unwrap()
    );
    let set = shop
        .send("PUT", &path, &[auth], Some(r#"{"quantity":3}"#))
        .await
        .expect(200);
    assert_eq!(set.body["items"][0]["notices"], json!([]));
    shop.send(
        "GET",
        "/api/cart",
        &[auth, ("if-none-match", "\"2\"")],
        None,
    )
    .await
    .expect(304);
    shop.close().await;
}

#[actix_web::test]
async fn bad_input_is_named_and_changes_nothing() {
    let mugs = two_mugs();
    let shop = counter(&mugs, &[]).await;
    let user = shop.user();
    let auth = ("authorization", user.as_str());
    let (product, variant) = (mugs[0].product, mugs[0].variant);
    let good = json!({"productId": product, "variantId": variant, "quantity": 1});
    let added = shop.post(&[auth], &good).await.expect(200);
    let with = |name: &str, value: &str| {
        let mut fields = json!({"productId": product, "variantId": variant, "quantity": 1});
        fields.as_object_mut().unwrap().remove(name);
        let rest = fields.to_string();
        format!("{},\"{name}\":{value}}}", rest.trim_end_matches('}'))
    };
    let many = |n: usize| {
        let pairs: Vec<_> = (0..n).map(|i| format!("\"o{i}\":\"\"")).collect();
        format!("{{{}}}", pairs.join(","))
    };
    let id = |id: String| format!("\"{id}\"");
    let cases = [
        (with("quantity", "0"), "/quantity", "range"),
        (with("quantity", "-1"), "/quantity", "range"),
        (with("quantity", "1000"), "/quantity", "range"),
        (with("quantity", "999"), "/quantity", "range"),
        (with("quantity", "4294967296"), "/quantity", "range"),
        (with("quantity", "1.5"), "/quantity", "invalid_type"),
        (with("quantity", "1e9"), "/quantity", "invalid_type"),
        (with("quantity", "\"1\""), "/quantity", "invalid_type"),
        (with("quantity", "\"１\""), "/quantity", "invalid_type"),
        (with("quantity", "null"), "/quantity", "invalid_type"),
        (with("quantity", "{\"$gt\":0}"), "/quantity", "invalid_type"),
        (with("quantity", "[1]"), "/quantity", "invalid_type"),
        (with("price", "1"), "/price", "unknown_field"),
        (
            with("unitPrice", "{\"amount\":1,\"currency\":\"USD\"}"),
            "/unitPrice",
            "unknown_field",
        ),
        (with("$set", "1"), "/$set", "unknown_field"),
        (with("productId", "\"x\""), "/productId", "invalid"),
        (
            with("productId", "{\"$ne\":null}"),
            "/productId",
            "invalid_type",
        ),
        (
            with("productId", &id(ProductId::new().to_string())),
            "/productId",
            "unknown_product",
        ),
        (
            with("variantId", &id(VariantId::new().to_string())),
            "/variantId",
            "unknown_variant",
        ),
        (with("variantId", "null"), "/variantId", "required"),
        (with("options", "{\"a\":1}"), "/options/a", "invalid_type"),
        (
            with("options", "{\"a\":{\"$gt\":\"\"}}"),
            "/options/a",
            "invalid_type",
        ),
        (
            with("options", "{\"a\\u0000\":\"\"}"),
            "/options/a\u{0}",
            "control_character",
        ),
        (with("options", "{\"\":\"\"}"), "/options/", "length"),
        (
            with("options", "{\"color\":\"white\"}"),
            "/options/color",
            "contradicts_variant",
        ),
        (with("options", &many(21)), "/options", "length"),
    ];
    for (body, pointer, code) in &cases {
        let refused = shop
            .send("POST", "/api/cart", &[auth], Some(body))
            .await
            .expect(422);
        assert_eq!(refused.fault(), (*pointer, *code), "{body}");
    }
    let path = format!(
        "/api/cart/{}",
        added.body["items"][0]["id"].as_str().unwrap()
    );
    for (body, pointer, code) in [
        ("{}", "", "required"),
        (r#"{"quantity":-1}"#, "/quantity", "range"),
        (r#"{"quantity":1000}"#, "/quantity", "range"),
        (r#"{"quantity":1.5}"#, "/quantity", "invalid_type"),
        (
            r#"{"quantity":1,"unitPrice":1}"#,
            "/unitPrice",
            "unknown_field",
        ),
        (r#"{"quantity":1,"version":9}"#, "/version", "unknown_field"),
        (r#"{"quantity":{"$inc":1}}"#, "/quantity", "invalid_type"),
    ] {
        let refused = shop
            .send("PUT", &path, &[auth], Some(body))
            .await
            .expect(422);
        assert_eq!(refused.fault(), (pointer, code), "{body}");
    }
    for body in ["", "{", "nul", "[]x"] {
        shop.send("POST", "/api/cart", &[auth], Some(body))
            .await
            .expect(400);
    }
    let plain = [auth, ("content-type", "text/plain")];
    shop.send("POST", "/api/cart", &plain, None)
        .await
        .expect(415);
    let cart = shop
        .send("GET", "/api/cart", &[auth], None)
        .await
        .expect(200);
    assert_eq!(cart.body, added.body, "nothing was written");
    shop.close().await;
}

#[actix_web::test]
async fn a_full_cart_an_unsaleable_product_and_a_code_are_refused() {
    let offers: Vec<_> = (0..201).map(offer).collect();
    let withdrawn = Offer {
        on_sale: false,
        ..offer(7)
    };
    let shop = counter(&offers, &[]).await;
    shop.shelves.put(withdrawn.clone());
    let user = shop.user();
    let auth = ("authorization", user.as_str());
    for offer in &offers[..200] {
        shop.post(&[auth], &json!({"productId": offer.product, "quantity": 1}))
            .await
            .expect(200);
    }
    let full = shop
        .post(
            &[auth],
            &json!({"productId": offers[200].product, "quantity": 1}),
        )
        .await;
    assert_eq!(full.expect(409).body["code"], "cart_full");
    let off = shop
        .post(
            &[auth],
            &json!({"productId": withdrawn.product, "quantity": 1}),
        )
        .await;
    assert_eq!(off.expect(422).fault(), ("/productId", "unavailable"));
    for headers in [vec![auth], vec![]] {
        let code = shop.send(
            "POST",
            "/api/cart/discounts",
            &headers,
            Some(r#"{"code":"SPRING"}"#),
        );
        let refused = code.await.expect(422);
        assert_eq!(
            (&refused.body["code"], refused.fault()),
            (&json!("discount_refused"), ("/code", "unknown_code"))
        );
        assert_eq!(refused.header("set-cookie"), "", "no cart is made for it");
        shop.send("DELETE", "/api/cart/discounts/SPRING", &headers, None)
            .await
            .expect(404);
    }
    let empty = shop
        .send(
            "POST",
            "/api/cart/discounts",
            &[auth],
            Some(r#"{"code":""}"#),
        )
        .await;
    assert_eq!(empty.expect(422).fault(), ("/code", "length"));
    shop.close().await;
}

#[actix_web::test]
async fn too_much_at_once_is_busy_with_a_time_to_come_again() {
    let mug = offer(1_250);
    let shop = counter(
        std::slice::from_ref(&mug),
        &[("BODEGA__CART__MAX_WAITING", "2")],
    )
    .await;
    let user = shop.user();
    let auth = [("authorization", user.as_str())];
    let add = json!({"productId": mug.product, "quantity": 1});
    let answers = futures_util::future::join_all((0..20).map(|_| shop.post(&auth, &add))).await;
    let (taken, busy): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|a| a.status == StatusCode::OK);
    assert!(!taken.is_empty() && !busy.is_empty());
    for answer in busy {
        let answer = answer.expect(503);
        assert_eq!(
            (&answer.body["code"], answer.header("retry-after")),
            (&json!("busy"), "1")
        );
    }
    let cart = shop.send("GET", "/api/cart", &auth, None).await.expect(200);
    assert_eq!(
        cart.body["version"].as_u64(),
        u64::try_from(taken.len()).ok()
    );
    shop.close().await;
}
