//! Carts that change, purchases and looks at the catalogue over a line that fails, with everything that was
//! answered and how long it took.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::{join_all, join3};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Acks, Client, TestShop, purchase};

/// Pause of each client between two requests.
const PAUSE: Duration = Duration::from_millis(40);

/// An answer, as it was seen.
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) took: Duration,
    pub(super) kind: String,
    /// A refusal that says when to come again.
    says_when: bool,
}

impl Seen {
    pub(super) fn is_success(&self) -> bool {
        self.kind.starts_with('2')
    }
}

pub(super) struct Load {
    fillers: Vec<Client>,
    buyers: Vec<Client>,
    reader: Client,
    paypal: Client,
    product: Value,
    /// What nobody buys: of what was just bought the stock is read anew.
    shown: Value,
    acks: Acks,
    stop: Cell<bool>,
    reads: RefCell<Vec<Seen>>,
    writes: RefCell<Vec<Seen>>,
}

impl Load {
    pub(super) async fn begin(shop: &TestShop, people: usize) -> Self {
        let admin = shop.admin().await;
        Self {
            fillers: shop.customers(people).await,
            buyers: shop.customers(people).await,
            reader: shop.guest(),
            paypal: shop.paypal(),
            product: shop.product(&admin, "MUG", 900, 1_000_000).await,
            shown: shop.product(&admin, "LAMP", 1_900, 10).await,
            acks: Acks::new(),
            stop: Cell::default(),
            reads: RefCell::default(),
            writes: RefCell::default(),
        }
    }

    /// Goes on until [`Load::stop`].
    pub(super) async fn run(&self) {
        let filling = join_all(self.fillers.iter().map(|filler| self.keep_filling(filler)));
        let buying = join_all(self.buyers.iter().map(|buyer| self.keep_buying(buyer)));
        join3(filling, buying, self.keep_browsing()).await;
    }

    pub(super) fn stop(&self) {
        self.stop.set(true);
    }

    /// Everything that was answered since the last time: of the catalogue, and of the rest.
    pub(super) fn seen(&self) -> (Vec<Seen>, Vec<Seen>) {
        (self.reads.take(), self.writes.take())
    }

    pub(super) fn acks_path(&self) -> &Path {
        self.acks.path()
    }

    async fn ask(&self, request: RequestBuilder, book: &RefCell<Vec<Seen>>) -> (u16, Value) {
        let began = Instant::now();
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let says_when = answer.headers().contains_key("retry-after");
        let body: Value = answer.json().await.unwrap();
        let code = body["code"].as_str().unwrap_or_default();
        book.borrow_mut().push(Seen {
            at: Instant::now(),
            took: began.elapsed(),
            kind: format!("{status} {code}").trim().to_owned(),
            says_when,
        });
        (status, body)
    }

    /// The same request until it succeeds, or is told that an earlier try has led elsewhere (null); `None` where
    /// the test ends before.
    async fn insist(&self, request: impl Fn() -> RequestBuilder) -> Option<Value> {
        loop {
            let (status, body) = self.ask(request(), &self.writes).await;
            tokio::time::sleep(PAUSE).await;
            if status < 300 {
                return Some(body);
            }
            if let Some("checkout_closed" | "cart_changed" | "cart_empty") = body["code"].as_str() {
                return Some(Value::Null);
            }
            if self.stop.get() {
                return None;
            }
        }
    }

    async fn keep_filling(&self, filler: &Client) {
        let line = json!({ "productId": self.product["id"], "quantity": 1 });
        let add = || filler.request(Method::POST, "/api/cart").json(&line);
        let mut quantities = (2..=9).cycle();
        let mut shown = 0;
        let Some(cart) = self.insist(add).await else {
            return;
        };
        let line = format!("/api/cart/{}", cart["items"][0]["id"].as_str().unwrap());
        while !self.stop.get() {
            let body = json!({ "quantity": quantities.next() });
            let set = || filler.request(Method::PUT, &line).json(&body);
            let Some(cart) = self.insist(set).await else {
                return;
            };
            let version = cart["version"].as_u64().unwrap();
            assert!(version >= shown, "{version} after {shown}");
            shown = version;
            self.acks
                .keep(&json!({ "kind": "cart", "id": cart["id"], "version": version }));
        }
    }

    async fn keep_buying(&self, buyer: &Client) {
        while !self.stop.get() {
            if self.buy(buyer).await.is_none() {
                return;
            }
        }
    }

    async fn buy(&self, buyer: &Client) -> Option<()> {
        let insist = async |request: &dyn Fn() -> RequestBuilder| self.insist(request).await;
        let people = (buyer, &self.paypal);
        let order = purchase(people, &self.product, &self.acks, insist).await;
        order.map(|_| ())
    }

    async fn keep_browsing(&self) {
        let one = format!("/api/products/{}", self.shown["id"].as_str().unwrap());
        let pages = ["/api/products?q=lamp&inStock=true", &one];
        for page in pages.iter().cycle() {
            if self.stop.get() {
                return;
            }
            self.ask(self.reader.request(Method::GET, page), &self.reads)
                .await;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// How often which answer came.
pub(super) fn counted(seen: &[Seen]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for one in seen {
        *counts.entry(one.kind.as_str()).or_default() += 1;
    }
    counts
}

/// Success, a refusal for the moment that says when to come again, or what an earlier try of the same led to.
pub(super) fn assert_success_or_503(seen: &[Seen]) {
    let known = |one: &&Seen| {
        one.is_success()
            || (one.kind.starts_with("503") && one.says_when)
            || [
                "409 request_in_progress",
                "409 checkout_closed",
                "409 cart_changed",
                "409 cart_empty",
            ]
            .contains(&one.kind.as_str())
    };
    let strange: Vec<&str> = seen
        .iter()
        .filter(|one| !known(one))
        .map(|one| one.kind.as_str())
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// How long refusals took: the 99th percentile and the longest.
pub(super) fn refusals(seen: &[Seen]) -> Option<(Duration, Duration)> {
    let refused = seen.iter().filter(|one| one.kind.starts_with("503"));
    let mut times: Vec<Duration> = refused.map(|one| one.took).collect();
    times.sort_unstable();
    let longest = *times.last()?;
    Some((times[(times.len() * 99).div_ceil(100) - 1], longest))
}
