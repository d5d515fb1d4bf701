//! The catalogue over HTTP, on a real replica set.

mod demo;
mod feed;
mod images;
mod listing;
mod management;
pub(super) mod pictures;
mod products;
mod stock;
mod types;

use std::time::Duration;

use actix_web::{App, body::MessageBody, http::header::HeaderMap, test::TestRequest, web};
use serde_json::{Value, json};

use super::{Catalog, Exporter, Images, Importer, JobWorker, Stock, collections, routes};
use crate::{
    accounts::{Role, Tokens},
    audit::Audit,
    config::{self, Config},
    id::{SessionId, UserId},
    mongo::{Mongo, feed::Feed, schema},
};

/// How long a node may take to see what another one did.
const DEADLINE: Duration = Duration::from_secs(20);

/// A shop with a database of its own.
struct TestShop {
    config: Config,
    uri: String,
    mongo: Mongo,
    node: Node,
}

/// One node of it.
struct Node {
    catalog: Catalog,
    stock: Stock,
    tokens: Tokens,
    images: Images,
    importer: Importer,
    exporter: Exporter,
    audit: Audit,
    _worker: JobWorker,
    _feed: Feed,
}

/// What a request was answered.
struct Reply {
    status: u16,
    headers: HeaderMap,
    bytes: web::Bytes,
}

/// A configuration with keys of `[images]` as given.
pub(super) fn configured_with(database: &str, images: &[(&str, &str)]) -> Config {
    let needed = [
        (
            "BODEGA__AUTH__JWT_SECRET",
            "0123456789012345678901234567890123456789",
        ),
        ("BODEGA__PAYPAL__CLIENT_ID", "id"),
        ("BODEGA__PAYPAL__CLIENT_SECRET", "secret"),
        ("BODEGA__PAYPAL__WEBHOOK_ID", "WH-1"),
        ("BODEGA__MONGODB__DATABASE", database),
    ];
    let needed = needed.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let images = images
        .iter()
        .map(|(key, value)| (format!("BODEGA__IMAGES__{key}"), (*value).to_owned()));
    let pairs = needed.into_iter().chain(images);
    config::load_from(std::path::Path::new("no-such-folder"), pairs).unwrap()
}

impl TestShop {
    async fn open() -> Self {
        let uri = std::env::var("BODEGA_TEST_MONGODB_URI")
            .expect("set BODEGA_TEST_MONGODB_URI to a replica set's URI, or run scripts/test");
        let database = format!("test_catalog_{}", bson::oid::ObjectId::new());
        let folder = std::env::temp_dir().join(&database);
        let images = [("DIR", folder.to_str().unwrap())];
        let config = configured_with(&database, &images);
        let mongo = Mongo::connect(&uri, &config.mongodb).await.unwrap();
        let declared = [collections(), crate::audit::collections()].concat();
        schema::apply(mongo.database(), &declared).await.unwrap();
        let node = Node::open(&mongo, &uri, &config).await;
        Self {
            config,
            uri,
            mongo,
            node,
        }
    }

    /// Another node of the same shop.
    async fn second_node(&self) -> Node {
        Node::open(&self.mongo, &self.uri, &self.config).await
    }

    async fn close(self) {
        self.mongo.database().drop().await.unwrap();
        if self.config.images.dir.exists() {
            std::fs::remove_dir_all(&self.config.images.dir).unwrap();
        }
    }
}

impl std::ops::Deref for TestShop {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Node {
    async fn open(mongo: &Mongo, uri: &str, config: &Config) -> Self {
        let feed = Feed::open(uri, &config.mongodb.database, &super::FED)
            .await
            .unwrap();
        let stock = Stock::new(mongo);
        let catalog = Catalog::open(mongo, &feed, &stock, config);
        let importer = Importer::new(mongo, config.store.currency);
        let node = Self {
            _worker: JobWorker::start(mongo, &catalog, &importer),
            images: Images::open(&config.images).unwrap(),
            importer,
            exporter: Exporter::new(mongo),
            audit: Audit::new(mongo),
            catalog,
            stock,
            tokens: Tokens::new(&config.auth),
            _feed: feed,
        };
        eventually(async || node.catalog.is_ready().then_some(())).await;
        node
    }

    fn token(&self, role: Role) -> String {
        let signed = self.tokens.sign(UserId::new(), SessionId::new(), role);
        format!("Bearer {}", signed.unwrap())
    }

    async fn call(&self, request: TestRequest) -> Reply {
        let app = App::new()
            .app_data(web::Data::new(self.catalog.clone()))
            .app_data(web::Data::new(self.tokens.clone()))
            .app_data(web::Data::new(self.images.clone()))
            .app_data(web::Data::new(self.importer.clone()))
            .app_data(web::Data::new(self.exporter.clone()))
            .app_data(web::Data::new(self.audit.clone()))
            .configure(|app| {
                let mut table = utoipa_actix_web::service_config::ServiceConfig::new(app);
                routes(&mut table);
                crate::audit::routes(&mut table);
            });
        let app = actix_web::test::init_service(app).await;
        let answered = actix_web::test::call_service(&app, request.to_request()).await;
        let (_request, response) = answered.into_parts();
        let (response, body) = response.into_parts();
        Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            bytes: actix_web::body::to_bytes(body.boxed()).await.unwrap(),
        }
    }

    /// A visitor's look.
    async fn get(&self, path: &str) -> Reply {
        self.call(TestRequest::get().uri(path)).await
    }

    /// A request of staff.
    async fn staff(&self, request: TestRequest) -> Reply {
        let token = self.token(Role::Staff);
        self.call(request.insert_header(("authorization", token)))
            .await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.staff(TestRequest::post().uri(path).set_json(body))
            .await
    }

    async fn put(&self, path: &str, body: &Value) -> Reply {
        self.staff(TestRequest::put().uri(path).set_json(body))
            .await
    }

    async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.staff(TestRequest::patch().uri(path).set_json(body))
            .await
    }

    /// Creates a product and returns it.
    async fn create(&self, product: &Value) -> Value {
        self.post("/api/products", product).await.expect(201).json()
    }
}

impl Reply {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.bytes)
        );
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .unwrap_or_else(|| panic!("no {name}"))
            .to_str()
            .unwrap()
    }

    /// Checks the code of a problem, and names its faulty places.
    #[track_caller]
    fn problem(self, status: u16, code: &str) -> Vec<String> {
        let body = self.expect(status).json();
        assert_eq!(body["code"], code, "{body}");
        let errors = body["errors"].as_array().unwrap().iter();
        let pointers = errors.map(|error| error["pointer"].as_str().unwrap().to_owned());
        pointers.collect()
    }
}

/// Asks until there is an answer, or too long.
async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = tokio::time::Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < DEADLINE, "not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

/// A product without options.
fn mug() -> Value {
    json!({
        "sku": "MUG-1", "title": "Harbour Mug", "brand": "Pier", "price": usd(1_250),
        "categories": ["kitchen/mugs"], "attributes": {"glaze": {"color": "blue", "matt": true}},
        "stock": {"onHand": 10},
    })
}

/// A product with two variants.
fn tee() -> Value {
    json!({
        "sku": "TEE", "title": "Tee", "options": ["color"], "categories": ["clothing"],
        "variants": [
            {"sku": "TEE-B", "options": {"color": "black"}, "price": usd(2_000), "stock": {"onHand": 5}},
            {"sku": "TEE-W", "options": {"color": "white"}, "price": usd(1_500), "stock": {"onHand": 7}},
        ],
    })
}

/// The address of a product.
fn at(product: &Value) -> String {
    format!("/api/products/{}", product["id"].as_str().unwrap())
}
