//! People who buy and browse through HAProxy while something happens, and remember what they were told.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Acks, Client, Cluster, purchase};

/// Pause before a try is repeated, and between two looks at the catalogue.
const PAUSE: Duration = Duration::from_millis(50);

/// How often the catalogue was asked, and answered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reads {
    pub(super) ok: usize,
    pub(super) all: usize,
}

/// Buyers, readers, and their memory.
pub(super) struct Load {
    buyers: Vec<Client>,
    reader: Client,
    paypal: Client,
    product: Value,
    acks: Acks,
    stop: Cell<bool>,
    reads: Cell<Reads>,
    /// What writers were answered: status and code; "none" where there was no answer.
    statuses: RefCell<BTreeMap<String, usize>>,
    last_write: Cell<Instant>,
    last_order: Cell<Instant>,
    longest: Cell<Duration>,
}

impl Load {
    pub(super) async fn begin(cluster: &Cluster, product: &Value, buyers: usize) -> Self {
        let mut people = Vec::new();
        for _ in 0..buyers {
            let mut buyer = cluster.guest();
            let email = format!("c{}@example.com", bson::oid::ObjectId::new());
            let account = json!({ "email": email, "password": "correct horse battery" });
            let answer = buyer.post("/api/auth/register", &account).await.expect(201);
            buyer.sign_in_as(answer.body["accessToken"].as_str().unwrap());
            people.push(buyer);
        }
        Self {
            buyers: people,
            reader: cluster.guest(),
            paypal: Client::new(&cluster.simulator),
            product: product.clone(),
            acks: Acks::new(),
            stop: Cell::default(),
            reads: Cell::default(),
            statuses: RefCell::default(),
            last_write: Cell::new(Instant::now()),
            last_order: Cell::new(Instant::now()),
            longest: Cell::default(),
        }
    }

    /// Buys and browses until [`Load::stop`].
    pub(super) async fn run(&self) {
        self.last_write.set(Instant::now());
        let buying = join_all(self.buyers.iter().map(|buyer| self.keep_buying(buyer)));
        join(buying, self.keep_browsing()).await;
    }

    pub(super) fn stop(&self) {
        self.stop.set(true);
    }

    /// Measures gaps from now on.
    pub(super) fn since(&self, moment: Instant) {
        self.longest.set(Duration::ZERO);
        self.last_write.set(moment);
    }

    /// The longest time in which no write was answered with success.
    pub(super) fn longest_gap(&self) -> Duration {
        self.longest.get().max(self.last_write.get().elapsed())
    }

    /// Whether carts have changed and an order was made since.
    pub(super) fn came_through_since(&self, moment: Instant) -> bool {
        self.last_write.get() > moment && self.last_order.get() > moment
    }

    pub(super) fn reads(&self) -> Reads {
        self.reads.get()
    }

    pub(super) fn statuses(&self) -> BTreeMap<String, usize> {
        self.statuses.borrow().clone()
    }

    pub(super) fn acks_path(&self) -> &Path {
        self.acks.path()
    }

    /// Success, a refusal for the moment, or what an earlier try of the same has led to.
    pub(super) fn assert_success_or_503(&self) {
        let statuses = self.statuses();
        let known = |status: &str| {
            status.starts_with('2')
                || status.starts_with("503")
                || status.starts_with("409 request_in_progress")
                || status.starts_with("409 checkout_closed")
                || status.starts_with("409 cart_changed")
                || status.starts_with("409 cart_empty")
        };
        assert!(statuses.keys().all(|status| known(status)), "{statuses:?}");
    }

    pub(super) fn assert_only_success(&self) {
        let statuses = self.statuses();
        let success = statuses.keys().all(|status| status.starts_with('2'));
        assert!(success, "{statuses:?}");
    }

    /// One request; its body where it succeeded.
    async fn ask(&self, request: RequestBuilder) -> Option<Value> {
        let answer = request.send().await;
        let (status, body) = match answer {
            Ok(answer) => {
                let status = answer.status().as_u16();
                (
                    status.to_string(),
                    answer.json().await.unwrap_or(Value::Null),
                )
            }
            Err(error) => (format!("none: {error:?}"), Value::Null),
        };
        let code = body["code"].as_str().unwrap_or_default();
        let kind = format!("{status} {code}").trim().to_owned();
        *self.statuses.borrow_mut().entry(kind).or_default() += 1;
        if matches!(code, "checkout_closed" | "cart_changed" | "cart_empty") {
            // An earlier try was cut short, and its checkout ended by itself; or goods of which it was not known
            // whether they went into the cart came after those that were: told once more, and for good.
            return Some(Value::Null);
        }
        status.starts_with('2').then(|| {
            let now = Instant::now();
            let gap = now.duration_since(self.last_write.get());
            self.longest.set(self.longest.get().max(gap));
            self.last_write.set(now);
            body
        })
    }

    /// The same request until it succeeds; `None` where the test ends before.
    async fn insist(&self, request: impl Fn() -> RequestBuilder) -> Option<Value> {
        loop {
            if let Some(body) = self.ask(request()).await {
                return Some(body);
            }
            if self.stop.get() {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
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
        let order = purchase(people, &self.product, &self.acks, insist).await?;
        if !order.is_null() {
            self.last_order.set(Instant::now());
        }
        Some(())
    }

    async fn keep_browsing(&self) {
        let one = format!("/api/products/{}", self.product["id"].as_str().unwrap());
        let pages = ["/api/products?sort=price&inStock=true", &one];
        for page in pages.iter().cycle() {
            if self.stop.get() {
                return;
            }
            let answer = self.reader.request(Method::GET, page).send().await;
            let ok = answer.is_ok_and(|answer| answer.status() == 200);
            let Reads { ok: before, all } = self.reads.get();
            self.reads.set(Reads {
                ok: before + usize::from(ok),
                all: all + 1,
            });
            tokio::time::sleep(PAUSE).await;
        }
    }
}
