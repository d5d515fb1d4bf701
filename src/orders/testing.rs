//! What tests of orders and of real time need: a database of their own, orders, a provider.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    NewOrder, Order, OrderItem, OrderPayment, Orders, PaymentStatus, Refunds, model::OrderStatus,
};
use crate::{
    address::PostalAddress,
    catalog::{self, HoldLine, Holder, Options, Stock, StockRoom},
    config::MongoConfig,
    id::{CheckoutId, LineId, OrderId, ProductId, UserId, VariantId},
    money::{Currency, Money},
    mongo::{Mongo, StoreError, schema},
    payments::{
        Capture, CaptureId, CaptureStatus, Gateway, GatewayError, NewPayment, Payments,
        ProviderOrder, ProviderOrderId, ProviderRefund, ProviderRefundId, RefundStatus, RequestKey,
    },
};

/// The replica set that tests run against.
pub(crate) fn test_uri() -> String {
    std::env::var("BODEGA_TEST_MONGODB_URI")
        .expect("set BODEGA_TEST_MONGODB_URI to a replica set's URI, or run scripts/test")
}

/// A database of its own with the schema of orders, stock and whatever else is named.
pub(crate) struct TestShop {
    pub(crate) mongo: Mongo,
    pub(crate) stock: Stock,
    pub(crate) orders: Orders,
    pub(crate) gateway: Arc<StubGateway>,
    pub(crate) refunds: Refunds,
}

impl TestShop {
    pub(crate) async fn open(also: Vec<schema::Collection>) -> Self {
        let name = format!("test_orders_{}", bson::oid::ObjectId::new());
        let config = MongoConfig {
            uri: test_uri(),
            database: name,
            data_dir: "unused".into(),
            port: 0,
            mongod: String::new(),
            pool_size: 32,
        };
        let mongo = Mongo::connect(&config.uri, &config).await.unwrap();
        let collections = [super::collections(), catalog::collections(), also].concat();
        schema::apply(mongo.database(), &collections).await.unwrap();
        let stock = Stock::new(&mongo);
        let orders = Orders::new(&mongo, &stock);
        let gateway = Arc::new(StubGateway::default());
        let refunds = Refunds::new(orders.clone(), Payments::new(gateway.clone()));
        Self {
            mongo,
            stock,
            orders,
            gateway,
            refunds,
        }
    }

    /// Inserts the order in a transaction of its own.
    pub(crate) async fn place(&self, new: &NewOrder) -> Order {
        place(&self.mongo, &self.orders, new).await.unwrap()
    }

    /// Inserts the order after its goods were put in stock, held and sold.
    pub(crate) async fn sell(&self, new: &NewOrder) -> Order {
        let order = self.place(new).await;
        for item in &new.items {
            let line = HoldLine {
                variant: item.variant,
                quantity: item.quantity,
            };
            let stocked = [(item.variant, item.quantity)];
            self.stock
                .open_variants(item.product, &stocked)
                .await
                .unwrap();
            let life = std::time::Duration::from_mins(1);
            let held = self
                .stock
                .hold(&Holder::stranger(new.checkout), &[line], life)
                .await;
            held.unwrap().unwrap();
            let variants = vec![item.variant];
            assert!(self.stock.pin(new.checkout, variants).await.unwrap());
            self.stock
                .sell(new.checkout, vec![item.variant])
                .await
                .unwrap();
        }
        order
    }

    /// How many can be bought.
    pub(crate) async fn available(&self, variant: VariantId) -> u32 {
        let levels = self.stock.levels(&[variant]).await.unwrap();
        levels.get(&variant).map_or(0, |level| level.available)
    }

    pub(crate) async fn close(self) {
        self.mongo.database().drop().await.unwrap();
    }
}

/// Inserts an order as the checkout does.
pub(crate) async fn place(
    mongo: &Mongo,
    orders: &Orders,
    new: &NewOrder,
) -> Result<Order, StoreError> {
    mongo
        .transaction(async |session| orders.insert_in(session, new).await)
        .await
}

pub(crate) fn usd(amount: i64) -> Money {
    Money::new(amount, Currency::USD)
}

fn provider_name() -> String {
    bson::oid::ObjectId::new().to_hex().to_uppercase()
}

/// One line of two mugs at 4.00, shipping 1.00, tax 1.00: 10.00 in all.
pub(crate) fn new_order(user: UserId) -> NewOrder {
    let item = OrderItem {
        line: LineId::new(),
        product: ProductId::new(),
        variant: VariantId::new(),
        title: "Mug".into(),
        sku: "MUG-1".into(),
        options: Options::new(),
        image: None,
        unit_price: usd(400),
        quantity: 2,
        line_total: usd(800),
    };
    let id = OrderId::new();
    NewOrder {
        id,
        number: format!("B-{id}"),
        user,
        checkout: CheckoutId::new(),
        items: vec![item],
        subtotal: usd(800),
        discount_total: usd(0),
        shipping: usd(100),
        tax: usd(100),
        total: usd(1_000),
        shipping_address: PostalAddress {
            name: "Ada Lovelace".into(),
            line1: "1 Analytical Way".into(),
            line2: None,
            city: "Springfield".into(),
            region: None,
            postal_code: "12345".into(),
            country: "US".into(),
            phone: None,
        },
        billing_address: None,
        shipping_method: "standard".into(),
        payment: OrderPayment {
            status: PaymentStatus::Completed,
            provider_order: ProviderOrderId::parse(&provider_name()).unwrap(),
            capture: CaptureId::parse(&provider_name()).unwrap(),
            captured: usd(1_000),
            refunded: usd(0),
            elsewhere: None,
            told: None,
            reversed: None,
            reversals: Vec::new(),
        },
    }
}

/// Whether every step of the history is a way of the state graph and the last is the status.
pub(crate) fn history_is_legal(order: &Order) -> bool {
    let statuses: Vec<OrderStatus> = order.history.iter().map(|entry| entry.status).collect();
    statuses.first() == Some(&OrderStatus::Pending)
        && statuses.last() == Some(&order.status)
        && statuses
            .windows(2)
            .all(|step| step[0].next().contains(&step[1]))
}

/// How the stub answers refunds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Gives the money back.
    #[default]
    Completes,
    /// Gives the money back, but the answer is lost.
    AnswerLost,
    /// Will give the money back some day.
    Pending,
    /// Refuses.
    Refuses,
}

#[derive(Default)]
struct Books {
    mood: Mood,
    by_key: HashMap<String, ProviderRefund>,
    given_back: HashMap<String, i64>,
    calls: u32,
}

/// A provider that gives money back once for each request key.
#[derive(Default)]
pub(crate) struct StubGateway(Mutex<Books>);

impl StubGateway {
    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        let mut books = self.books();
        books.mood = mood;
        if mood == Mood::Completes {
            for refund in books.by_key.values_mut() {
                refund.status = RefundStatus::Completed;
            }
        }
    }

    /// What was given back of a capture, in minor units.
    pub(crate) fn given_back(&self, capture: &CaptureId) -> i64 {
        self.books()
            .given_back
            .get(capture.as_str())
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn calls(&self) -> u32 {
        self.books().calls
    }

    fn make(
        &self,
        capture: &CaptureId,
        amount: Money,
        key: &RequestKey,
    ) -> Result<ProviderRefund, GatewayError> {
        let mut books = self.books();
        books.calls += 1;
        if books.mood == Mood::Refuses {
            return Err(GatewayError::Refused {
                status: 422,
                issue: "REFUND_FAILED_INSUFFICIENT_FUNDS".into(),
                debug_id: "d".into(),
            });
        }
        let known = books.by_key.contains_key(key.as_str());
        if !known {
            let total = books
                .given_back
                .entry(capture.as_str().to_owned())
                .or_default();
            *total += amount.amount;
            let total = *total;
            let status = if books.mood == Mood::Pending {
                RefundStatus::Pending
            } else {
                RefundStatus::Completed
            };
            let refund = ProviderRefund {
                id: ProviderRefundId::parse(&provider_name()).unwrap(),
                status,
                amount: Some(amount),
                capture: Some(capture.clone()),
                total_refunded: Some(Money::new(total, amount.currency)),
            };
            books.by_key.insert(key.as_str().to_owned(), refund);
        }
        if books.mood == Mood::AnswerLost {
            return Err(GatewayError::Unknown("the answer was lost".into()));
        }
        books
            .by_key
            .get(key.as_str())
            .cloned()
            .ok_or(GatewayError::NotFound)
    }
}

fn not_asked<T>() -> BoxFuture<'static, Result<T, GatewayError>> {
    async { Err(GatewayError::NotFound) }.boxed()
}

impl Gateway for StubGateway {
    fn create_order<'a>(
        &'a self,
        _payment: &'a NewPayment,
        _key: &'a RequestKey,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        not_asked()
    }

    fn order<'a>(
        &'a self,
        _id: &'a ProviderOrderId,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        not_asked()
    }

    fn capture<'a>(
        &'a self,
        _id: &'a ProviderOrderId,
        _key: &'a RequestKey,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>> {
        not_asked()
    }

    fn capture_state<'a>(
        &'a self,
        id: &'a CaptureId,
    ) -> BoxFuture<'a, Result<Capture, GatewayError>> {
        let capture = Capture {
            id: id.clone(),
            status: CaptureStatus::Completed,
            amount: None,
            reference: None,
            invoice: None,
            payee: None,
            order: None,
        };
        async { Ok(capture) }.boxed()
    }

    fn refund<'a>(
        &'a self,
        capture: &'a CaptureId,
        amount: Option<Money>,
        key: &'a RequestKey,
        _note: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>> {
        async move {
            // Orders always say how much.
            let amount = amount.ok_or(GatewayError::NotFound)?;
            self.make(capture, amount, key)
        }
        .boxed()
    }

    fn refund_state<'a>(
        &'a self,
        id: &'a ProviderRefundId,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>> {
        let books = self.books();
        let found = books
            .by_key
            .values()
            .find(|refund| refund.id == *id)
            .cloned();
        drop(books);
        async { found.ok_or(GatewayError::NotFound) }.boxed()
    }
}
