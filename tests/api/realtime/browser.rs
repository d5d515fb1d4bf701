//! The browser client in a real browser.

use serde_json::json;

use super::support::{advance, event, events, order, user_of};
use crate::support::{Browser, Fault, Line, Setup, TestShop, eventually, scaled};

/// The page: signs in, connects, and keeps what it is told.
fn page(email: &str, transport: &str) -> String {
    format!(
        r#"(async () => {{
            const {{ connect }} = await import("/realtime.js");
            const ask = async (path, body) => {{
                const answer = await fetch(path, {{ method: "POST",
                    headers: {{ "content-type": "application/json" }}, body: JSON.stringify(body) }});
                return (await answer.json()).accessToken;
            }};
            const signIn = {{ email: "{email}", password: "correct horse battery" }};
            let token = await ask("/api/auth/login", signIn);
            Object.assign(window, {{ seen: [], gaps: [], states: [], renewals: 0, carts: 0 }});
            window.live = connect({{
                since: 0,
                transport: "{transport}",
                token: async ({{ expired }}) => {{
                    if (expired) {{ window.renewals += 1; token = await ask("/api/auth/login", signIn); }}
                    return token;
                }},
                onEvent: (event) => {{
                    if (event.type === "cart.updated") window.carts += 1; else window.seen.push(event.id);
                }},
                onGap: (gap) => window.gaps.push(gap.reason),
                onState: (state, info) => window.states.push(info.transport ?? state),
            }});
            return document.location.pathname;
        }})()"#
    )
}

#[actix_web::test]
async fn a_page_sees_each_event_once_through_restarts_of_the_node() {
    let mut shop = TestShop::start().await;
    let admin = shop.admin().await;
    let product = shop.product(&admin, "P", 1_000, 50).await;
    let buyer = shop.customer().await;
    let (user, book) = (user_of(&buyer).await, events(&shop).await);
    let email = buyer.get("/api/auth/profile").await.body["email"].clone();
    let email = email.as_str().unwrap().to_owned();

    let module = shop.guest().get("/realtime.js").await.expect(200);
    assert_eq!(
        module.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    let tag = module.header("etag").unwrap().to_owned();
    let again = shop.guest();
    let again = again.request(reqwest::Method::GET, "/realtime.js");
    let again = shop.guest().send(again.header("if-none-match", tag)).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    let types = shop.guest().get("/realtime.d.ts").await.expect(200);
    assert!(types.text.contains("export function connect"));

    let mut browser = Browser::open(&format!("{}/api/docs/", shop.server.url)).await;
    let opened = browser.evaluate(&page(&email, "auto")).await;
    assert_eq!(opened, "/api/docs/");
    browser.until("live.state", &json!("live")).await;

    // A real order on its way.
    let order = order(&shop, &buyer, &product).await;
    for status in ["Processing", "Shipped"] {
        advance(&admin, &order, status).await;
    }
    browser.until("seen", &json!([1, 2, 3])).await;
    assert!(browser.evaluate("carts").await.as_u64().unwrap() > 0);

    // The node is killed, and ended; events come while it is away, and after.
    let mut last = 3;
    for round in 0..scaled(4, 20) {
        if round % 2 == 0 {
            shop.server.kill();
        } else {
            assert_eq!(shop.server.terminate(), Some(0));
        }
        for _ in 0..2 {
            last += 1;
            book.insert_one(event(user, last, 20)).await.unwrap();
        }
        shop.restart().await;
        last += 1;
        book.insert_one(event(user, last, 20)).await.unwrap();
        browser.until("live.lastEventId", &json!(last)).await;
    }
    let all: Vec<i64> = (1..=last).collect();
    browser.until("seen", &json!(all)).await;
    let gaps = browser
        .evaluate("gaps.every((reason) => reason === 'cart')")
        .await;
    assert_eq!(gaps, true, "nothing of the orders was missing");

    // The operator ends the sign-in: the page asks for a new token and goes on.
    let before = browser.evaluate("renewals").await;
    let set = ["user", "set", "--email", &email, "--role", "staff"];
    let (done, output) = shop.command(&set, "");
    assert!(done, "{output}");
    let renewed = json!(before.as_u64().unwrap() + 1);
    browser.until("renewals", &renewed).await;
    last += 1;
    book.insert_one(event(user, last, 20)).await.unwrap();
    browser.until("seen.at(-1)", &json!(last)).await;
    assert!(
        browser
            .evaluate("states.includes('sse')")
            .await
            .as_bool()
            .is_some_and(|sse| !sse),
        "WebSockets all the way"
    );
    browser.evaluate("live.close()").await;
    eventually("the stream to be closed", || async {
        let metrics = shop.guest().get("/metrics").await.text;
        metrics.contains("bodega_streams 0").then_some(())
    })
    .await;

    // The same over server-sent events.
    browser.evaluate(&page(&email, "sse")).await;
    let all: Vec<i64> = (1..=last).collect();
    browser.until("seen", &json!(all)).await;
    shop.kill_and_restart().await;
    last += 1;
    book.insert_one(event(user, last, 20)).await.unwrap();
    let all: Vec<i64> = (1..=last).collect();
    browser.until("seen", &json!(all)).await;
}

#[actix_web::test]
async fn a_page_whose_line_is_dead_notices_and_resumes() {
    let shop = Setup::default()
        .with("REALTIME__HEARTBEAT_SECONDS", 1)
        .start()
        .await;
    let buyer = shop.customer().await;
    let (user, book) = (user_of(&buyer).await, events(&shop).await);
    let email = buyer.get("/api/auth/profile").await.body["email"].clone();
    let port = shop.server.url.rsplit_once(':').unwrap().1;
    let line = Line::to(port.parse().unwrap());
    let url = format!("http://127.0.0.1:{}/api/docs/", line.port);
    let mut browser = Browser::open(&url).await;
    let script = page(email.as_str().unwrap(), "websocket");
    browser.evaluate(&script).await;
    browser.until("live.state", &json!("live")).await;
    // Heartbeats alone keep it, and are nothing to the page.
    let steady = "new Promise((resolve) => setTimeout(() => resolve(states.length), 4_000))";
    let states = browser.evaluate("states.length").await;
    assert_eq!(browser.evaluate(steady).await, states);

    // Nothing comes through, and nobody says so: neither end of the connection sees the other go.
    line.set(Fault::Cut);
    browser
        .until(
            "['waiting', 'connecting'].includes(live.state)",
            &json!(true),
        )
        .await;
    book.insert_one(event(user, 1, 20)).await.unwrap();
    line.set(Fault::Well);
    browser.until("seen", &json!([1])).await;
    browser.until("live.state", &json!("live")).await;
    browser.evaluate("live.close()").await;
}
