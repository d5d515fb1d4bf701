//! Checkouts: one attempt to buy a cart, from the frozen snapshot to the order.
//!
//! A cart has at most one open checkout. Its stock is held and its discounts are claimed while the buyer
//! approves the payment; money is taken only while the stock is pinned; the order, the checkout's end and the emptied cart are one
//! transaction. Whatever was cut short is finished by [`Settlement::settle`], woken by webhooks, by the
//! buyer's return, or by the reconciler that runs all day.

mod booking;
mod captures;
mod erase;
mod error;
mod freeze;
mod give_back;
mod hints;
mod http;
mod model;
mod place;
mod ports;
mod queue;
mod reconcile;
mod returns;
mod settle;
#[cfg(test)]
mod simulation;
mod staff;
mod store;
mod totals;
mod upgrade;

pub use erase::ErasedCheckouts;
pub use error::{CheckoutError, ShortLine};
pub use http::CheckoutView;
pub use model::{
    CaptureRecord, Checkout, CheckoutLine, CheckoutStatus, EndReason, SeenCart, Standing, Step,
};
pub use place::{Checkouting, Wish};
pub use ports::World;
pub use reconcile::Reconciler;
pub use returns::{Return, ReturnState};
pub use settle::{SettleError, Settled, Settlement};
pub use totals::{ChosenShipping, Totals};

use utoipa_actix_web::service_config::ServiceConfig;

use booking::Bookings;
use freeze::CartTill;
use ports::{Live, WallClock};
use store::Checkouts;

use crate::{
    cart::Carts,
    catalog::{Catalog, Stock},
    config::Config,
    discounts::Discounts,
    id::UserId,
    mongo::{Mongo, StoreError, schema, upgrades::Upgrade},
    orders::{Orders, Refunds},
    payments::Payments,
};

/// The routes of this room.
pub fn routes(table: &mut ServiceConfig) {
    http::routes(table);
    staff::routes(table);
}

/// The collections of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    vec![store::collection()]
}

/// What has to be done to this room's documents of earlier releases.
#[must_use]
pub fn upgrades() -> Vec<Upgrade> {
    upgrade::upgrades()
}

/// What the room needs of the others.
pub struct Neighbours {
    /// The database.
    pub mongo: Mongo,
    /// Prices.
    pub catalog: Catalog,
    /// Units.
    pub stock: Stock,
    /// Discount codes.
    pub discounts: Discounts,
    /// Carts.
    pub carts: Carts,
    /// Orders.
    pub orders: Orders,
    /// Their refunds.
    pub refunds: Refunds,
    /// Money.
    pub payments: Payments,
}

impl World for Live {
    type Checkouts = Checkouts;
    type Stock = Stock;
    type Discounts = Discounts;
    type Orders = Bookings;
    type Till = CartTill;
    type Clock = WallClock;
}

impl Checkouting {
    /// Opens the room.
    #[must_use]
    pub fn new(config: &Config, with: Neighbours) -> Self {
        let checkouts = Checkouts::new(&with.mongo);
        let orders = Bookings {
            mongo: with.mongo,
            checkouts: checkouts.clone(),
            carts: with.carts.clone(),
            orders: with.orders,
            refunds: with.refunds,
        };
        let settlement = Settlement {
            checkouts: checkouts.clone(),
            stock: with.stock.clone(),
            discounts: with.discounts,
            orders,
            payments: with.payments,
            clock: WallClock,
            config: config.checkout.clone(),
            queue: queue::Queue::default(),
        };
        let till = CartTill {
            carts: with.carts,
            catalog: with.catalog,
            stock: with.stock,
            checkouts,
            store: config.store.clone(),
        };
        Self {
            settlement,
            till,
            store: config.store.clone(),
        }
    }

    /// Every checkout of a buyer, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn all_of(&self, user: UserId) -> Result<Vec<Checkout>, StoreError> {
        self.settlement.checkouts.all_of(user).await
    }

    /// The way from a payment to an order.
    #[must_use]
    pub const fn settlement(&self) -> &Settlement {
        &self.settlement
    }
}
