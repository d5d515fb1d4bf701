//! The simulator over HTTP, in this process: a server on a free port, a client, and a shop that
//! receives webhooks and IPN messages.

mod contract;
mod faulty;
mod journey;
mod load;
mod messages;
mod notices;
mod page;
#[path = "../../../../tests/paypal_openapi/mod.rs"]
mod paypal_openapi;
mod replay;

use std::{
    collections::VecDeque,
    env, fs,
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use clap::Parser as _;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    config::Flags,
    ids, server,
    world::{Simulator, World},
};

/// How long anything asynchronous may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running simulator and a client with a token.
struct Sim {
    base: String,
    http: reqwest::Client,
    token: String,
    state: web::Data<Simulator>,
    record: Option<PathBuf>,
}

/// An answer, read whole.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Answer {
    fn issue(&self) -> &str {
        self.body["details"][0]["issue"]
            .as_str()
            .unwrap_or_default()
    }

    fn id(&self) -> String {
        self.body["id"].as_str().unwrap().to_owned()
    }
}

impl Sim {
    /// Starts one with these flags beside the defaults of tests.
    async fn start(flags: &[&str]) -> Self {
        let all = [
            "paypal-simulator",
            "--bind",
            "127.0.0.1:0",
            "--retry-base-ms",
            "5",
        ];
        let mut flags = Flags::parse_from(all.iter().chain(flags));
        let record = env::temp_dir().join(format!("record-{}", ids::uuid()));
        flags.record = Some(record.clone());
        let running = server::start(flags).unwrap();
        let (base, state) = (running.address.clone(), running.sim.clone());
        rt::spawn(running.server);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut sim = Self {
            base,
            http,
            token: String::new(),
            state,
            record: Some(record),
        };
        sim.token = sim.new_token().await;
        sim
    }

    async fn new_token(&self) -> String {
        let answer = self.ask_token("sim-client", "sim-secret").await;
        assert_eq!(answer.status, 200);
        answer.body["access_token"].as_str().unwrap().to_owned()
    }

    async fn ask_token(&self, id: &str, secret: &str) -> Answer {
        let request = self
            .http
            .post(format!("{}/v1/oauth2/token", self.base))
            .basic_auth(id, Some(secret))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials");
        read(request).await
    }

    /// A REST call with token, media type and full representation.
    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .header("Content-Type", "application/json")
            .header("Prefer", "return=representation")
    }

    async fn post(&self, path: &str, request_id: &str, body: Value) -> Answer {
        let request = self
            .call(Method::POST, path)
            .header("PayPal-Request-Id", request_id);
        read(request.body(body.to_string())).await
    }

    async fn get(&self, path: &str) -> Answer {
        read(self.call(Method::GET, path)).await
    }

    async fn control(&self, path: &str, body: Value) -> Answer {
        let request = self.http.post(format!("{}/control{path}", self.base));
        let answer = read(request.body(body.to_string())).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer
    }

    async fn create(&self, key: &str) -> String {
        let answer = self.post("/v2/checkout/orders", key, order(key)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.id()
    }

    async fn approved(&self, key: &str, then: &str) -> String {
        let id = self.create(key).await;
        self.control(&format!("/orders/{id}/approve"), json!({ "then": then }))
            .await;
        id
    }

    async fn capture(&self, order: &str, key: &str) -> Answer {
        self.post(
            &format!("/v2/checkout/orders/{order}/capture"),
            key,
            json!({}),
        )
        .await
    }

    /// An order that is paid: its id and its capture's.
    async fn paid(&self, key: &str) -> (String, String) {
        let order = self.approved(key, "complete").await;
        let answer = self.capture(&order, key).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        (order, capture_id(&answer.body))
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.state.lock()
    }

    /// The journal's lines of one kind.
    fn lines(&self, kind: &str) -> Vec<Value> {
        let text = self
            .world()
            .journal
            .since(0, usize::MAX, Some(kind))
            .unwrap();
        serde_json::from_str(&format!("[{text}]")).unwrap()
    }
}

/// Whatever a test is about: every answer and every event must fit PayPal's documents.
impl Drop for Sim {
    fn drop(&mut self) {
        let Some(record) = self.record.take() else {
            return;
        };
        if !std::thread::panicking() {
            contract::judge(&record);
        }
        // What stays behind when this fails is a file in the folder for such files.
        let _ = fs::remove_file(record);
    }
}

fn capture_id(order: &Value) -> String {
    let id = &order["purchase_units"][0]["payments"]["captures"][0]["id"];
    id.as_str().unwrap().to_owned()
}

/// A small order; its custom and invoice ids are made from `key`.
fn order(key: &str) -> Value {
    json!({
        "intent": "CAPTURE",
        "purchase_units": [{
            "custom_id": key,
            "invoice_id": format!("INV-{key}"),
            "amount": { "currency_code": "EUR", "value": "32.50" }
        }],
        "payment_source": { "paypal": { "experience_context": {
            "return_url": "https://shop.example/return?cart=1",
            "cancel_url": "https://shop.example/cancel"
        } } }
    })
}

async fn read(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()));
    Answer {
        status,
        headers,
        body,
    }
}

/// Asks again until there is an answer, or patience ends.
async fn eventually<T, F, R>(what: &str, mut ask: F) -> T
where
    F: FnMut() -> R,
    R: Future<Output = Option<T>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what} did not happen"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A message as the shop got it.
#[derive(Debug, Clone)]
struct Received {
    headers: Vec<(String, String)>,
    body: web::Bytes,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn kind(&self) -> String {
        self.json()["event_type"].as_str().unwrap().to_owned()
    }
}

#[derive(Debug, Default)]
struct Inbox {
    received: Mutex<Vec<Received>>,
    answers: Mutex<VecDeque<u16>>,
}

/// A shop that keeps what it gets and answers 200, or as it was told.
struct Shop {
    url: String,
    inbox: Arc<Inbox>,
}

impl Shop {
    fn start() -> Self {
        async fn take(
            request: HttpRequest,
            body: web::Bytes,
            inbox: web::Data<Arc<Inbox>>,
        ) -> HttpResponse {
            let headers = request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            inbox
                .received
                .lock()
                .unwrap()
                .push(Received { headers, body });
            let status = inbox.answers.lock().unwrap().pop_front().unwrap_or(200);
            HttpResponse::build(status.try_into().unwrap()).finish()
        }
        let inbox = Arc::new(Inbox::default());
        let shared = web::Data::new(inbox.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .default_service(web::to(take))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
        let url = format!("http://{}/hook", server.addrs()[0]);
        rt::spawn(server.run());
        Self { url, inbox }
    }

    fn answers(&self, statuses: &[u16]) {
        self.inbox.answers.lock().unwrap().extend(statuses);
    }

    fn received(&self) -> Vec<Received> {
        self.inbox.received.lock().unwrap().clone()
    }

    async fn messages(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} messages"), || async {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
        .await
    }

    async fn event(&self, kind: &str) -> Received {
        eventually(kind, || async {
            self.received()
                .into_iter()
                .find(|received| received.kind() == kind)
        })
        .await
    }
}
