//! Messages from the door to the sink, on a real database, with a peer that stands for PayPal.

mod ipn;
mod staff;
mod webhook;
mod workers;

use std::{
    future::Future,
    sync::{Mutex, OnceLock},
    time::{Duration, Instant},
};

use actix_web::{
    App,
    body::to_bytes,
    http::{StatusCode, header::RETRY_AFTER},
    test::{TestRequest, call_service, init_service, read_body_json},
    web,
};
use bson::{Document, doc, oid::ObjectId};
use futures_util::future::{BoxFuture, join_all};
use secrecy::SecretString;
use serde_json::Value;

use super::*;
use crate::{
    accounts::{Role, Tokens},
    config::{AuthConfig, MongoConfig, PayPalConfig},
    http::MAX_BODY_BYTES,
    id::{SessionId, UserId},
    payments::{
        CaptureId, Hint, HintError,
        paypal::testing::{Authority, Leaf, Made, Message, Reply, Stub, config, usd},
    },
};

const CERTIFICATE: &str = "/v1/notifications/certs/CERT-360caa42";
const WEBHOOK: &str = "9HX12345AB678901C";

/// A database of this test's own.
struct Database {
    mongo: Mongo,
}

impl Database {
    async fn new() -> Self {
        let uri = std::env::var("BODEGA_TEST_MONGODB_URI")
            .expect("set BODEGA_TEST_MONGODB_URI or run scripts/test");
        let config = MongoConfig {
            uri: uri.clone(),
            database: format!("test_inbox_{}", ObjectId::new()),
            data_dir: "unused".into(),
            port: 0,
            mongod: String::new(),
            pool_size: 16,
        };
        let mongo = Mongo::connect(&uri, &config).await.unwrap();
        schema::apply(mongo.database(), &collections())
            .await
            .unwrap();
        Self { mongo }
    }

    fn documents(&self) -> mongodb::Collection<Document> {
        self.mongo.database().collection("inbox")
    }

    async fn only(&self) -> Document {
        assert_eq!(self.documents().count_documents(doc! {}).await.unwrap(), 1);
        self.documents().find_one(doc! {}).await.unwrap().unwrap()
    }

    async fn drop(self) {
        self.mongo.database().drop().await.unwrap();
    }
}

/// What a sink does with a capture's hint.
type Script = Box<dyn Fn(usize) -> Result<(), HintError> + Send + Sync>;

/// Remembers hints and answers as told; the number of the try is counted over all hints.
struct Sink {
    hints: Mutex<Vec<Hint>>,
    script: Script,
}

impl Sink {
    fn new(script: impl Fn(usize) -> Result<(), HintError> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            hints: Mutex::default(),
            script: Box::new(script),
        })
    }

    fn willing() -> Arc<Self> {
        Self::new(|_| Ok(()))
    }

    fn followed(&self) -> Vec<Hint> {
        self.hints.lock().unwrap().clone()
    }
}

impl HintSink for Sink {
    fn follow<'a>(&'a self, hint: &'a Hint) -> BoxFuture<'a, Result<(), HintError>> {
        let number = {
            let mut hints = self.hints.lock().unwrap();
            hints.push(hint.clone());
            hints.len()
        };
        Box::pin(async move { (self.script)(number) })
    }
}

/// PayPal, as far as its messages go: its certificate, and what it says when asked about IPN.
async fn peer(ipn: impl Fn(&[u8]) -> Reply + Send + Sync + 'static) -> (Stub, Arc<PayPal>) {
    let pem = leaf().pem.clone();
    let stub = Stub::start(move |seen| match seen.line.as_str() {
        "POST /cgi-bin/webscr" => ipn(&seen.body),
        line if line.ends_with(CERTIFICATE) => Reply::Answer(200, "", pem.clone().into_bytes()),
        _other => Reply::json(503, ""),
    })
    .await;
    let paypal = Arc::new(PayPal::new(&trusting(&stub.url)).unwrap());
    (stub, paypal)
}

fn authority() -> &'static (Authority, Leaf) {
    static AUTHORITY: OnceLock<(Authority, Leaf)> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let authority = Authority::new();
        let leaf = authority.leaf(&Made::default());
        (authority, leaf)
    })
}

fn leaf() -> &'static Leaf {
    &authority().1
}

fn trusting(url: &str) -> PayPalConfig {
    static ROOTS: OnceLock<String> = OnceLock::new();
    let file = ROOTS.get_or_init(|| {
        let file = std::env::temp_dir().join(format!("bodega-roots-{}.pem", ObjectId::new()));
        std::fs::write(&file, authority().0.roots_pem()).unwrap();
        file.to_str().unwrap().to_owned()
    });
    PayPalConfig {
        cert_roots_file: file.clone(),
        cert_hosts: vec!["127.0.0.1".to_owned()],
        ..config(url, 1)
    }
}

fn event(stub: &Stub, id: &str, capture: &str) -> Message {
    let body = format!(
        r#"{{"id":"{id}","event_type":"PAYMENT.CAPTURE.COMPLETED","resource":{{"id":"{capture}","status":"COMPLETED"}}}}"#
    );
    leaf().sign(
        body.as_bytes(),
        WEBHOOK,
        &format!("{}{CERTIFICATE}", stub.url),
    )
}

fn capture_hint(capture: &str) -> Hint {
    Hint::Capture {
        capture: CaptureId::parse(capture).unwrap(),
        order: None,
        checkout: None,
        claimed: None,
    }
}

fn tokens() -> Tokens {
    Tokens::new(&AuthConfig {
        jwt_secret: SecretString::from("0123456789012345678901234567890123456789"),
        issuer: "bodega".into(),
        audience: "bodega".into(),
        access_seconds: 900,
        refresh_seconds: 900,
        refresh_grace_seconds: 1,
        bcrypt_cost: 4,
    })
}

fn bearer(role: Role) -> (&'static str, String) {
    let token = tokens()
        .sign(UserId::new(), SessionId::new(), role)
        .unwrap();
    ("authorization", format!("Bearer {token}"))
}

/// What the shop answers to `request`.
async fn answer(inbox: &Inbox, request: TestRequest) -> actix_web::dev::ServiceResponse {
    let app = App::new()
        .app_data(web::Data::new(inbox.clone()))
        .app_data(web::Data::new(tokens()))
        .configure(|app| routes(&mut ServiceConfig::new(app)));
    let app = init_service(app).await;
    call_service(&app, request.to_request()).await
}

fn post(message: &Message) -> TestRequest {
    let mut request = TestRequest::post()
        .uri("/api/payment/webhook")
        .insert_header(("content-type", "application/json; charset=utf-8"))
        .set_payload(message.body.clone());
    for (name, value) in &message.headers {
        request = request.append_header((*name, value.as_str()));
    }
    request
}

fn ipn(path: &str, form: &str) -> TestRequest {
    TestRequest::post()
        .uri(path)
        .insert_header(("content-type", "application/x-www-form-urlencoded"))
        .set_payload(form.to_owned())
}

/// Waits until `state` is `wanted`, ten seconds at most.
async fn until<T: PartialEq + std::fmt::Debug, F: Future<Output = T>>(
    wanted: T,
    mut state: impl FnMut() -> F,
) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let present = state().await;
        if present == wanted {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "still {present:?} instead of {wanted:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn states(database: &Database, state: &str) -> u64 {
    database
        .documents()
        .count_documents(doc! { "state": state })
        .await
        .unwrap()
}
