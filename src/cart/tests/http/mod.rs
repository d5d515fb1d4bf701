//! The endpoints, over a real database and a catalogue in memory.

mod guests;
mod lines;
mod refusals;

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
