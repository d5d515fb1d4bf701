//! The browser client in a real browser: Chromium without a window, driven over its `DevTools` protocol.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::support::{advance, event, events, order, user_of};
use crate::support::{PATIENCE, TestShop, eventually, scaled};

/// A Chromium with one page.
struct Browser {
    child: Child,
    folder: PathBuf,
    page: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    calls: u64,
}

impl Browser {
    /// Opens `url`.
    async fn open(url: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/fetch-chromium");
        let found = Command::new(script).output().unwrap();
        let said = String::from_utf8(found.stdout).unwrap();
        assert!(
            found.status.success(),
            "{}",
            String::from_utf8_lossy(&found.stderr)
        );
        let found: HashMap<&str, &str> = said
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let folder = std::env::temp_dir().join(format!("chromium-{}", bson::oid::ObjectId::new()));
        let mut command = Command::new(found["program"]);
        command
            .args(["--headless", "--disable-gpu", "--remote-debugging-port=0"])
            // A container lets nobody make a sandbox; the pages are our own.
            .args(["--no-sandbox", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg("about:blank")
            .env("HOME", std::env::temp_dir())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if !found["libraries"].is_empty() {
            command.env("LD_LIBRARY_PATH", found["libraries"]);
        }
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (said, heard) = std::sync::mpsc::channel();
        // Read to its end: a full pipe would hold the browser up.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("DevTools listening on ws://") {
                    let _nobody = said.send(address.to_owned());
                }
            }
        });
        let address = tokio::task::spawn_blocking(move || heard.recv_timeout(PATIENCE));
        let address = address.await.unwrap().expect("the browser starts");
        let host = address.split('/').next().unwrap();
        let pages = reqwest::Client::builder().no_proxy().build().unwrap();
        let page: Value = pages
            .put(format!("http://{host}/json/new?{url}"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let page = page["webSocketDebuggerUrl"].as_str().unwrap();
        let (page, _) = connect_async(page).await.unwrap();
        Self {
            child,
            folder,
            page,
            calls: 0,
        }
    }

    /// The value of an expression in the page; a promise is awaited.
    async fn evaluate(&mut self, expression: &str) -> Value {
        self.calls += 1;
        let call = json!({ "id": self.calls, "method": "Runtime.evaluate", "params": {
            "expression": expression, "awaitPromise": true, "returnByValue": true,
        } });
        let call = Message::text(call.to_string());
        self.page.send(call).await.unwrap();
        loop {
            let next = tokio::time::timeout(PATIENCE, self.page.next()).await;
            let message = next.expect("an answer in time").unwrap().unwrap();
            let answer: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            if answer["id"] == self.calls {
                let result = &answer["result"];
                assert!(
                    result["exceptionDetails"].is_null(),
                    "{expression}: {result}"
                );
                return result["result"]["value"].clone();
            }
        }
    }

    /// Waits until the expression is `expected`.
    async fn until(&mut self, expression: &str, expected: &Value) {
        let began = std::time::Instant::now();
        loop {
            let value = self.evaluate(expression).await;
            if value == *expected {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{expression} is {value}, not {expected}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        self.child.wait().unwrap();
        // The browser's own children may still write into it for a moment.
        let _left_behind = std::fs::remove_dir_all(&self.folder);
    }
}

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
    browser
        .until(
            "document.readyState + location.pathname",
            &json!("complete/api/docs/"),
        )
        .await;
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
