//! What every operation shares: the table of routes, ids, headers, probes, start and stop.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Setup, TestShop, free_port, run_to_end};

#[actix_web::test]
async fn the_document_is_the_route_table() {
    let shop = TestShop::start().await;
    let (admin, guest) = (shop.admin().await, shop.guest());
    let document = admin.get("/api/openapi.json").await.expect(200).body;
    assert_eq!(document["openapi"], "3.1.0");
    let (printed, text) = shop.command(&["openapi"], "");
    assert!(printed);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text).unwrap(),
        document
    );
    for (path, item) in document["paths"].as_object().unwrap() {
        let concrete = concrete(path);
        let offered: Vec<&str> = item
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        // A documented method is routed: it is never answered 405, and 404 only as a resource that is not there.
        for method in ["get", "post", "put", "patch", "delete"] {
            let call = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            if path == "/api/realtime/events" && method == "get" {
                continue;
            }
            // Signing out would end the walk.
            let caller = if path.ends_with("/logout") {
                &guest
            } else {
                &admin
            };
            let answer = caller.send(caller.request(call, &concrete)).await;
            if offered.contains(&method) {
                assert_ne!(answer.status, 405, "{method} {path}");
                assert!(answer.status < 500, "{method} {path}: {answer:?}");
                let operation = &item[method];
                assert!(
                    operation["responses"]
                        .as_object()
                        .is_some_and(|r| !r.is_empty()),
                    "{method} {path}"
                );
                assert!(
                    operation["description"].is_string() || operation["summary"].is_string(),
                    "{method} {path}"
                );
                if operation["requestBody"].is_object() {
                    for status in ["400", "413", "415"] {
                        assert!(
                            operation["responses"][status].is_object(),
                            "{method} {path} takes a body and does not declare {status}"
                        );
                    }
                }
                if answer.status != 404 || !path.contains('{') {
                    let declared = operation["responses"].as_object().unwrap();
                    let status = answer.status.to_string();
                    assert!(
                        declared.contains_key(&status),
                        "{method} {path} answers {status}, not declared"
                    );
                }
            } else if is_covered(&document, path, method) {
                // The word stands where another path has a parameter: it names nothing there.
                assert!(
                    (400..500).contains(&answer.status),
                    "{method} {path}: {answer:?}"
                );
            } else {
                let refused = answer.expect_problem(405, "method_not_allowed");
                let allowed = refused.header("allow").unwrap().to_lowercase();
                assert!(
                    offered.iter().all(|offered| allowed.contains(offered)),
                    "{path}: {allowed}"
                );
            }
        }
    }
}

/// Whether another path of the document, with a parameter in the place of a word, takes the call.
fn is_covered(document: &serde_json::Value, path: &str, method: &str) -> bool {
    let fits = |other: &str| {
        other.split('/').count() == path.split('/').count()
            && other
                .split('/')
                .zip(path.split('/'))
                .all(|(theirs, ours)| theirs == ours || theirs.starts_with('{'))
    };
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .any(|(other, item)| other != path && item[method].is_object() && fits(other))
}

/// A path of the document with parameters that name nothing.
fn concrete(path: &str) -> String {
    let filled = path.split('/').map(|part| match part.strip_prefix('{') {
        Some(name) if name.starts_with("provider") || name.starts_with("file") => "nothing",
        Some(_) => "000000000000000000000000",
        None => part,
    });
    filled.collect::<Vec<_>>().join("/")
}

#[actix_web::test]
async fn a_request_id_is_taken_over_or_made() {
    let shop = TestShop::start().await;
    let guest = shop.guest();
    let with = |id: &'static str| {
        guest
            .request(Method::GET, "/nowhere")
            .header("x-request-id", id)
    };
    let kept = guest
        .send(with("abc-123"))
        .await
        .expect_problem(404, "not_found");
    assert_eq!(kept.header("x-request-id"), Some("abc-123"));
    let made = guest.send(with("with spaces and more")).await;
    assert_eq!(made.header("x-request-id").map(str::len), Some(32));
    assert_eq!(made.header("x-content-type-options"), Some("nosniff"));
    assert!(made.header("content-security-policy").is_some());
}

/// A cache between shop and buyer, or the browser after signing out, must not hand on what is somebody's own.
#[actix_web::test]
async fn what_is_asked_for_with_credentials_is_kept_private() {
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let document = admin.get("/api/openapi.json").await.expect(200).body;
    let personal = ["/api/orders", "/api/admin/", "/api/auth/", "/api/cart"];
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let is_personal = personal.iter().any(|prefix| path.starts_with(prefix));
        if !is_personal || path.contains('{') || !item["get"].is_object() {
            continue;
        }
        seen += 1;
        let answer = admin.get(path).await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    assert!(seen >= 8, "{seen} calls");
    let profile = admin.get("/api/auth/profile").await;
    let version = profile.header("etag").unwrap();
    let unchanged = admin
        .request(Method::GET, "/api/auth/profile")
        .header("if-none-match", version);
    let unchanged = admin.send(unchanged).await.expect(304);
    assert_eq!(unchanged.header("cache-control"), Some("no-store"));
    let methods = "/api/payment/shipping-methods?country=US";
    let priced = admin.get(methods).await.expect(200);
    assert_eq!(priced.header("cache-control"), Some("no-store"));
    let public = admin.get("/api/products").await.expect(200);
    let kept = public.header("cache-control").unwrap();
    assert!(kept.starts_with("public"), "{kept}");
    let stranger = shop.guest().get(methods).await.expect(200);
    assert_eq!(stranger.header("cache-control"), None);
}

#[actix_web::test]
async fn the_platform_answers_probes_metrics_and_reference_pages() {
    let shop = TestShop::start().await;
    let guest = shop.guest();
    guest.get("/healthz").await.expect(200);
    guest.get("/readyz").await.expect(200);
    let metrics = guest.get("/metrics").await.expect(200);
    assert!(metrics.text.contains("bodega_http_request_seconds"));
    let docs = guest.get("/api/docs/").await.expect(200);
    assert!(
        !docs.text.contains("https://"),
        "no page of ours loads from elsewhere"
    );
}

#[actix_web::test]
async fn a_burst_is_refused_with_the_moment_to_come_back() {
    let shop = Setup::default()
        .with("RATE_LIMIT__ENABLED", true)
        .with("RATE_LIMIT__CREDENTIALS_PER_MINUTE", 1)
        .with("RATE_LIMIT__CREDENTIALS_BURST", 3)
        .start()
        .await;
    let guest = shop.guest();
    let body = json!({ "email": "a@example.com", "password": "wrong password" });
    // However it is spelled.
    for path in ["/api/auth/login", "/api/auth/log%69n", "/api/%61uth/login"] {
        guest
            .post(path, &body)
            .await
            .expect_problem(401, "invalid_credentials");
    }
    let refused = guest
        .post("/api/auth/login", &body)
        .await
        .expect_problem(429, "rate_limited");
    assert!(
        refused
            .header("retry-after")
            .unwrap()
            .parse::<u32>()
            .unwrap()
            >= 1
    );
    assert!(refused.header("ratelimit").is_some() && refused.header("ratelimit-policy").is_some());
    guest.get("/api/products").await.expect(200);
}

#[actix_web::test]
async fn what_is_at_hand_is_answered_like_everything_else() {
    let shop = Setup::default()
        .with("RATE_LIMIT__ENABLED", true)
        .with("RATE_LIMIT__GENERAL_PER_MINUTE", 1)
        .with("RATE_LIMIT__GENERAL_BURST", 30)
        .start()
        .await;
    let admin = shop.admin().await;
    let product = shop.product(&admin, "MUG", 900, 3).await;
    let guest = shop.guest();
    let named = |of: &Answer| {
        let names = of.headers.keys().map(ToString::to_string);
        names.collect::<BTreeSet<_>>()
    };
    for path in [
        format!("/api/products/{}", product["id"].as_str().unwrap()),
        format!("/api/products/{}", product["slug"].as_str().unwrap()),
        "/api/products?limit=5".to_owned(),
    ] {
        let made = guest.get(&path).await.expect(200);
        let at_hand = guest.get(&path).await.expect(200);
        assert_eq!(
            (named(&made), &made.text),
            (named(&at_hand), &at_hand.text),
            "{path}"
        );
        assert!(at_hand.header("x-request-id").is_some() && at_hand.header("etag").is_some());
        let held = guest
            .request(Method::GET, &path)
            .header("if-none-match", at_hand.header("etag").unwrap());
        assert_eq!(guest.send(held).await.expect(304).text, "");
    }
    let mut refused = guest.get("/api/products?limit=5").await;
    for _ in 0..30 {
        if refused.status != 200 {
            break;
        }
        refused = guest.get("/api/products?limit=5").await;
    }
    refused.expect_problem(429, "rate_limited");
}

#[actix_web::test]
async fn a_head_is_a_get_without_its_body() {
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let product = shop.product(&admin, "MUG", 900, 3).await;
    let (guest, buyer) = (shop.guest(), shop.customer().await);
    let by_id = format!("/api/products/{}", product["id"].as_str().unwrap());
    for path in [
        &by_id,
        &by_id,
        "/api/products",
        "/api/categories",
        "/api/cart",
        "/healthz",
        "/readyz",
        "/realtime.js",
        "/api/openapi.json",
        "/nowhere",
    ] {
        let got = guest.get(path).await;
        let head = guest.send(guest.request(Method::HEAD, path)).await;
        assert_eq!(
            (head.status, head.text.as_str()),
            (got.status, ""),
            "{path}"
        );
        for name in ["content-type", "etag"] {
            assert_eq!(head.header(name), got.header(name), "{path}: {name}");
        }
        if got.status == 200 {
            let length = got.text.len().to_string();
            assert_eq!(head.header("content-length"), Some(&*length), "{path}");
        }
    }
    // Nor does it wait for the end of what has none.
    let stream = buyer.request(Method::HEAD, "/api/realtime/events");
    buyer.send(stream).await.expect(200);
}

#[actix_web::test]
async fn sigterm_ends_the_server_cleanly() {
    let mut shop = TestShop::start().await;
    let buyer = shop.customer().await;
    let mut socket = crate::support::Socket::open(&buyer, "").await;
    assert_eq!(socket.next().await["type"], "hello");
    let began = std::time::Instant::now();
    let reader = tokio::spawn(async move { socket.next().await });
    let ended = tokio::task::spawn_blocking(move || {
        let code = shop.server.terminate();
        (shop, code)
    });
    let (_shop, code) = ended.await.unwrap();
    assert_eq!(code, Some(0));
    assert!(began.elapsed().as_secs() < 10);
    assert_eq!(reader.await.unwrap(), 1012, "streams are told to come back");
}

/// What `bodega` says, in one line, to a configuration that it does not take.
fn refusal(command: &str, pairs: &[(&str, &str)]) -> String {
    let all = [
        (
            "BODEGA__AUTH__JWT_SECRET",
            "a secret of the tests, longer than 32 bytes",
        ),
        ("BODEGA__PAYPAL__CLIENT_ID", "id"),
        ("BODEGA__PAYPAL__CLIENT_SECRET", "secret"),
        ("BODEGA__PAYPAL__WEBHOOK_ID", "WH"),
    ];
    let all: Vec<_> = all
        .iter()
        .chain(pairs)
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let (done, said) = run_to_end(env!("CARGO_BIN_EXE_bodega"), &[command], &all, "");
    assert!(!done);
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    said
}

#[test]
fn a_faulty_configuration_is_one_line_that_names_the_key() {
    let port = free_port().to_string();
    let with = |pairs: &[(&str, &str)]| refusal("serve", pairs);
    assert!(with(&[("BODEGA__SERVER__PORT", &port)]).contains("port"));
    assert!(with(&[("BODEGA__AUTH__JWT_SECRET", "short")]).contains("auth.jwt_secret"));
    assert!(with(&[("BODEGA__MONGODB__POOL_SIZE", "lots")]).contains("mongodb.pool_size"));
}

/// Before there is any database, as where a configuration is tried out.
#[test]
fn the_check_refuses_what_the_server_would() {
    let check = |pair: (&str, &str)| refusal("check", &[pair]);
    let roots = check(("BODEGA__PAYPAL__CERT_ROOTS_FILE", "/nonexistent"));
    assert!(roots.contains("paypal.cert_roots_file"), "{roots}");
    let hosts = check(("BODEGA__PAYPAL__CERT_HOSTS", "https://api.paypal.com"));
    assert!(hosts.contains("paypal.cert_hosts"), "{hosts}");
    let filter = check(("BODEGA__LOG__FILTER", "info,bodega=loud"));
    assert!(filter.contains("log.filter"), "{filter}");
}

#[actix_web::test]
async fn a_port_that_is_taken_is_said_in_one_line() {
    let shop = TestShop::start().await;
    // Its own, where it is listening.
    let (served, said) = shop.command(&["serve"], "");
    assert!(!served, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("bodega: server.bind: "), "{said}");
}
