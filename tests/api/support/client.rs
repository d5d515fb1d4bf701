//! An HTTP client that remembers who it is, as a browser or an integrator would.

use std::sync::Mutex;

use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;

/// A client of a shop or of the simulator.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    cookies: Mutex<Vec<(String, String)>>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The body as JSON; null where it is none.
    pub(crate) body: Value,
}

impl Answer {
    /// Fails the test where the status is another.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Fails the test where it is not this problem, in the problem's own shape.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text
        );
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(self.body["status"], status);
        assert_eq!(
            self.body["requestId"].as_str(),
            self.header("x-request-id"),
            "{}",
            self.text
        );
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The pointers of the faulty places.
    pub(crate) fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        errors
            .iter()
            .filter_map(|error| error["pointer"].as_str())
            .collect()
    }
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(std::time::Duration::from_mins(1))
            .build()
            .unwrap();
        Self {
            http,
            base: base.to_owned(),
            token: None,
            cookies: Mutex::default(),
        }
    }

    pub(crate) fn sign_in_as(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The same person at another node.
    pub(crate) fn at(&self, base: &str) -> Self {
        let mut there = Self::new(base);
        there.token.clone_from(&self.token);
        there.cookies = Mutex::new(self.cookies.lock().unwrap().clone());
        there
    }

    /// A request with this client's token and cookies.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let cookies = self.cookies.lock().unwrap();
        if !cookies.is_empty() {
            let line: Vec<String> = cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
            request = request.header("cookie", line.join("; "));
        }
        request
    }

    /// Sends and reads whole; keeps the cookies.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for line in headers.get_all("set-cookie") {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            cookies.retain(|(held, _)| held != name);
            if !value.is_empty() {
                cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status,
            headers,
            text,
            body,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("idempotency-key", key);
        self.send(request.json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body))
            .await
    }
}
