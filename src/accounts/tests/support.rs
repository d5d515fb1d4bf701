//! A shop with a database of its own, and clients of it.

use std::{path::Path, time::Duration};

use actix_web::dev::ServerHandle;
use bson::oid::ObjectId;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header::SET_COOKIE};
use serde_json::{Value, json};

use crate::{
    accounts::{Accounts, Tokens},
    app::Shop,
    config::{self, Config},
    mongo::Mongo,
};

pub(super) const SECRET: &str = "a secret of the tests, 32 bytes and more";
pub(super) const PASSWORD: &str = "correct horse battery staple";

/// A running node.
pub(super) struct TestShop {
    pub(super) config: Config,
    pub(super) mongo: Mongo,
    /// Another node's view of the same accounts: not the handle behind the server.
    pub(super) accounts: Accounts,
    uri: String,
    base: String,
    handle: ServerHandle,
    http: reqwest::Client,
}

impl TestShop {
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a shop on a fresh database, with settings of its own.
    pub(super) async fn with(settings: &[(&str, &str)]) -> Self {
        let database = format!("test_accounts_{}", ObjectId::new().to_hex());
        let fixed = [
            ("BODEGA__AUTH__JWT_SECRET", SECRET),
            ("BODEGA__AUTH__BCRYPT_COST", "4"),
            ("BODEGA__MONGODB__DATABASE", &database),
            ("BODEGA__PAYPAL__CLIENT_ID", "id"),
            ("BODEGA__PAYPAL__CLIENT_SECRET", "secret"),
            ("BODEGA__PAYPAL__WEBHOOK_ID", "WH-1"),
            ("BODEGA__RATE_LIMIT__ENABLED", "false"),
            ("BODEGA__SERVER__BIND", "127.0.0.1:0"),
            ("BODEGA__SERVER__WORKERS", "2"),
        ];
        let settings = fixed
            .iter()
            .chain(settings)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings: std::collections::HashMap<_, _> = settings.collect();
        let config = config::load_from(Path::new("no-such-folder"), settings).unwrap();
        Self::node(config).await
    }

    /// Starts a further node over the same database.
    pub(super) async fn another_node(&self) -> Self {
        Self::node(self.config.clone()).await
    }

    async fn node(config: Config) -> Self {
        let uri = std::env::var("BODEGA_TEST_MONGODB_URI")
            .expect("set BODEGA_TEST_MONGODB_URI to a replica set, or run scripts/test");
        let shop = Shop::open(config.clone(), &uri, None).await.unwrap();
        let listening = shop.listen().unwrap();
        let mongo = Mongo::connect(&uri, &config.mongodb).await.unwrap();
        actix_web::rt::spawn(listening.server);
        Self {
            accounts: Accounts::new(&mongo, &Tokens::new(&config.auth), &config.auth),
            base: format!("http://{}", listening.address),
            handle: listening.handle,
            http: reqwest::Client::new(),
            mongo,
            config,
            uri,
        }
    }

    /// Stops this node; the database stays for others.
    pub(super) async fn stop(self) {
        self.handle.stop(false).await;
    }

    /// Stops the node and drops its database.
    pub(super) async fn finish(self) {
        assert!(!self.uri.is_empty());
        self.handle.stop(false).await;
        self.mongo.database().drop().await.unwrap();
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.call(Method::POST, path).json(body)).await
    }

    /// Registers `email` and signs in.
    pub(super) async fn register(&self, email: &str) -> SignedIn {
        let body = json!({ "email": email, "password": PASSWORD });
        let answer = self.post("/api/auth/register", &body).await;
        answer.signed_in(StatusCode::CREATED)
    }

    pub(super) async fn login(&self, email: &str, password: &str) -> Answer {
        let body = json!({ "email": email, "password": password });
        self.post("/api/auth/login", &body).await
    }

    /// Presents a refresh token.
    pub(super) async fn refresh(&self, token: &str) -> Answer {
        let cookie = format!("bodega_refresh={token}");
        Answer::of(
            self.call(Method::POST, "/api/auth/refresh")
                .header("cookie", cookie),
        )
        .await
    }

    pub(super) async fn get(&self, path: &str, access: &str) -> Answer {
        Answer::of(self.call(Method::GET, path).bearer_auth(access)).await
    }

    /// The status of a call with `access`.
    pub(super) async fn admits(&self, access: &str) -> bool {
        let status = self.get("/api/auth/profile", access).await.status;
        assert!(matches!(status.as_u16(), 200 | 401), "{status}");
        status == StatusCode::OK
    }

    /// Waits until `access` is refused, a moment at most.
    pub(super) async fn refuses_soon(&self, access: &str) {
        for _ in 0..200 {
            if !self.admits(access).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the access token is still accepted");
    }
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Value,
}

/// What a sign-in gave.
#[derive(Debug, Clone)]
pub(super) struct SignedIn {
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) user: Value,
}

impl Answer {
    pub(super) async fn of(request: RequestBuilder) -> Self {
        let response: Response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        Self {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    pub(super) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Status and code.
    #[track_caller]
    pub(super) fn expect(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status.as_u16(), self.code()),
            (status, code),
            "{:?}",
            self.body
        );
    }

    /// The pointers of the faulty places.
    pub(super) fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().unwrap();
        errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The whole cookie as set.
    pub(super) fn cookie(&self) -> &str {
        self.headers
            .get(SET_COOKIE)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The refresh token of the cookie.
    pub(super) fn refresh_token(&self) -> String {
        let value = self
            .cookie()
            .strip_prefix("bodega_refresh=")
            .unwrap_or_default();
        value.split(';').next().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub(super) fn signed_in(&self, status: StatusCode) -> SignedIn {
        assert_eq!(self.status, status, "{:?}", self.body);
        SignedIn {
            access: self.body["accessToken"].as_str().unwrap().to_owned(),
            refresh: self.refresh_token(),
            user: self.body["user"].clone(),
        }
    }
}
