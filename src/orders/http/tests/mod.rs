//! The handlers over HTTP, with a real database.

use std::{collections::HashMap, path::Path};

use actix_web::{
    App,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::{Method, StatusCode, header::HeaderMap},
    test::{TestRequest, call_service, init_service},
    web,
};
use bson::doc;
use serde_json::{Value, json};

use crate::{
    accounts::{self, Accounts, Email, NewPassword, Role, Tokens},
    checkout,
    clock::Timestamp,
    config::{self, Config},
    id::{OrderId, SessionId, UserId},
    idempotency::{self, Idempotency},
    orders::testing::{Mood, TestShop, new_order},
};

fn config() -> Config {
    let settings = [
        (
            "BODEGA__AUTH__JWT_SECRET",
            "a secret of the tests, 32 bytes and more",
        ),
        ("BODEGA__AUTH__BCRYPT_COST", "4"),
        ("BODEGA__PAYPAL__CLIENT_ID", "id"),
        ("BODEGA__PAYPAL__CLIENT_SECRET", "secret"),
        ("BODEGA__PAYPAL__WEBHOOK_ID", "WH-1"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    config::load_from(Path::new("no-such-folder"), HashMap::from(settings)).unwrap()
}

/// An answer, read.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }

    fn pointer(&self) -> &str {
        self.body["errors"][0]["pointer"]
            .as_str()
            .unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Calls the room's handlers as somebody.
macro_rules! room {
    ($shop:ident, $call:ident) => {
        let config = config();
        let tokens = Tokens::new(&config.auth);
        let app = App::new()
            .app_data(web::Data::new($shop.orders.clone()))
            .app_data(web::Data::new($shop.refunds.clone()))
            .app_data(web::Data::new(Idempotency::new(&$shop.mongo)))
            .app_data(web::Data::new(Accounts::new(
                &$shop.mongo,
                &tokens,
                &config.auth,
            )))
            .app_data(web::Data::new(tokens.clone()))
            .app_data(web::Data::new(config))
            .configure(|app| {
                let mut table = utoipa_actix_web::service_config::ServiceConfig::new(app);
                crate::orders::http::routes(&mut table);
            });
        let app = init_service(app).await;
        let $call = async |user: (UserId, Role),
                           method: Method,
                           path: &str,
                           headers: &[(&str, &str)],
                           body: Value| {
            let token = tokens.sign(user.0, SessionId::new(), user.1).unwrap();
            let mut request = TestRequest::with_uri(path)
                .method(method)
                .insert_header(("authorization", format!("Bearer {token}")));
            for header in headers {
                request = request.insert_header(*header);
            }
            if !body.is_null() {
                request = request.set_json(body);
            }
            answer(&app, request).await
        };
    };
}

mod buyer;
mod lists;
mod staff;

async fn answer<S, B>(app: &S, request: TestRequest) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    let response = call_service(app, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = actix_web::test::read_body(response).await;
    Answer {
        status: status.as_u16(),
        headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}

async fn shop() -> TestShop {
    // The users and checkouts that staff ask about stand in other rooms' collections.
    let others = [
        idempotency::collections(),
        accounts::collections(),
        checkout::collections(),
    ];
    TestShop::open(others.concat()).await
}
