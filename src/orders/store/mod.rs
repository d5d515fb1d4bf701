//! Orders, their events, the buyers' counters and the returns into stock.

mod erase;
mod events;
mod list;
mod outbox;
mod pictures;
mod restock;
mod summary;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::FutureExt;
use mongodb::{ClientSession, Collection, options::ReturnDocument};
use serde::{Deserialize, Serialize};

pub use erase::ErasedOrders;
pub use events::EVENTS;
pub(super) use list::{Filter, Place};
pub use outbox::Backlog;
pub(super) use summary::Summary;

use super::{
    OrderError, OrderEvent,
    error::Abort,
    model::{
        By, Change, NewOrder, Order, OrderDispute, OrderStatus, PaymentStatus, RefundOutcome,
        RefundState, RefundWish, Refusal, Reversal, Step, Tracking,
    },
};
use crate::{
    catalog::Stock,
    clock::Timestamp,
    faults::{Plant, planted},
    http::IfMatch,
    id::{OrderId, RefundId, UserId},
    money::Money,
    mongo::{Mongo, StoreError, confirmed, schema, to_array, to_document},
    payments::{CaptureId, Dispute, ProviderRefundId},
};

/// The name of the collection of orders.
const ORDERS: &str = "orders";
/// How often a change is tried beside others before the caller is asked to come back.
const MAX_ATTEMPTS: u32 = 40;
/// How long whoever booked a refund or a return has to finish it before the sweep does: `attend_at` is
/// when it was booked, by the database's clock, and the sweep looks so much later.
const GRACE: Duration = Duration::from_secs(5);
/// How long a claim of the sweep holds.
const CLAIM: Duration = Duration::from_secs(10);

/// A payment that was taken on and is not decided, as stored.
const PENDING: &str = "Pending";
/// The least time between two questions about a pending payment. An older one is asked about less often,
/// each time after an eighth of its age: an eCheck takes days.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Selects what the sweep is to look after now, by the database's clock.
fn due() -> Document {
    let mut due = attended();
    due.insert(
        "$expr",
        doc! { "$lte": ["$attend_at", { "$subtract": ["$$NOW", millis(GRACE)] }] },
    );
    due
}

/// Puts the next look off until `wait` from now, by the database's clock.
fn look_in(wait: Duration) -> Document {
    let lead = millis(wait).saturating_sub(millis(GRACE));
    doc! { "$set": { "attend_at": { "$add": ["$$NOW", lead] } } }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Who has how many events.
#[derive(Debug, Serialize, Deserialize)]
struct Counter {
    #[serde(rename = "_id")]
    user: UserId,
    last: i64,
}

/// The orders, shared by all workers.
#[derive(Debug, Clone)]
pub struct Orders {
    mongo: Mongo,
    documents: Collection<Order>,
    events: Collection<OrderEvent>,
    counters: Collection<Counter>,
    restocks: Collection<restock::RestockDocument>,
    stock: Stock,
}

/// The collections of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    vec![
        schema::Collection {
            name: ORDERS,
            indexes: vec![
                schema::Index::unique("checkout", doc! { "checkout": 1 }),
                schema::Index::unique("capture", doc! { "payment.capture": 1 }),
                schema::Index::unique("number", doc! { "number": 1 }),
                schema::Index::on(
                    "user_newest",
                    doc! { "user": 1, "created_at": -1, "_id": -1 },
                ),
                schema::Index::on("newest", doc! { "created_at": -1, "_id": -1 }),
                schema::Index::on(
                    "status_newest",
                    doc! { "status": 1, "created_at": -1, "_id": -1 },
                ),
                schema::Index::on("terms", doc! { "terms": 1 }),
                schema::Index::on("attend", doc! { "attend_at": 1 }).only_where(attended()),
                schema::Index::on("unconfirmed", doc! { "payment.status": 1, "ask_at": 1 })
                    .only_where(doc! { "payment.status": PENDING }),
            ],
            validator: Some(doc! {
                "bsonType": "object",
                "required": ["number", "user", "checkout", "status", "items", "payment", "history", "version"],
                "properties": {
                    "status": { "enum": OrderStatus::ALL.map(OrderStatus::as_str).to_vec() },
                    "version": { "bsonType": "long", "minimum": 1 },
                    "history": { "bsonType": "array", "minItems": 1 },
                },
            }),
        },
        events::collection(),
        schema::Collection {
            name: "event_counters",
            indexes: Vec::new(),
            validator: None,
        },
        restock::collection(attended()),
    ]
}

/// Documents that are to be attended to at some time. A range: the planner sees a date within it,
/// while of `$type` it sees nothing.
fn attended() -> Document {
    doc! { "attend_at": { "$gt": bson::DateTime::from_millis(0) } }
}

/// Raises a room's own end of a transaction.
fn abort(reason: Abort) -> mongodb::error::Error {
    StoreError::abort(reason)
}

/// Takes an encoding error into a transaction.
fn into_driver(error: StoreError) -> mongodb::error::Error {
    match error {
        StoreError::Driver(error) => error,
        damaged @ StoreError::Damaged { .. } => mongodb::error::Error::custom(damaged.to_string()),
    }
}

/// What a change left behind.
pub(super) struct Changed {
    /// The order as it stands.
    pub(super) order: Order,
    /// Whether it was changed now.
    pub(super) now: bool,
}

impl Orders {
    /// Opens the orders; returns of goods go to `stock`.
    #[must_use]
    pub fn new(mongo: &Mongo, stock: &Stock) -> Self {
        let database = mongo.database();
        Self {
            mongo: mongo.clone(),
            documents: database.collection(ORDERS),
            events: events::open(database),
            counters: database.collection("event_counters"),
            restocks: database.collection(restock::COLLECTION),
            stock: stock.clone(),
        }
    }

    /// Makes an order inside the caller's transaction: the order itself (`Pending`, version 1) and its
    /// event `order.created` under the buyer's next number.
    ///
    /// # Errors
    /// The driver's, as they are; a duplicate key where the checkout, the capture or the number has an
    /// order already.
    pub async fn insert_in(
        &self,
        session: &mut ClientSession,
        new: &NewOrder,
    ) -> mongodb::error::Result<Order> {
        let change = Order::create(new, Timestamp::now());
        let mut document = to_document(&change.order).map_err(into_driver)?;
        document.insert("terms", list::terms_of(&change.order));
        self.documents
            .clone_with_type::<Document>()
            .insert_one(document)
            .session(&mut *session)
            .await?;
        self.tell_in(session, &change).await?;
        Ok(change.order)
    }

    /// Writes the event of `change` under the buyer's next number. Index used: `_id` of the counter.
    async fn tell_in(
        &self,
        session: &mut ClientSession,
        change: &Change,
    ) -> mongodb::error::Result<()> {
        let counter = self
            .counters
            .find_one_and_update(
                doc! { "_id": change.order.user },
                doc! { "$inc": { "last": 1_i64 } },
            )
            .upsert(true)
            .return_document(ReturnDocument::After)
            .session(&mut *session)
            .await?;
        let number = counter.map_or(1, |counter| counter.last);
        let number = if planted(Plant::EventUnnumbered) {
            number * 2
        } else {
            number
        };
        let event = OrderEvent::of(change, number);
        self.events.insert_one(&event).session(session).await?;
        Ok(())
    }

    /// The order with this id, as a majority has it: a buyer who comes back to an order is told that it stands
    /// only where nothing can take it back. Index used: `_id`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn find(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        let found = self.documents.find_one(doc! { "_id": id });
        Ok(found.read_concern(confirmed()).await?)
    }

    /// The order that a capture paid. Index used: `capture`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn by_capture(&self, capture: &CaptureId) -> Result<Option<Order>, StoreError> {
        Ok(self.documents.find_one(of_capture(capture)).await?)
    }

    /// Changes the one order that `which` selects, as `decide` says of the order as it stands: read and
    /// written in one transaction with its event, so that of two changes at once the second is judged
    /// anew. `decide` may run several times; `None` leaves the order alone.
    async fn change(
        &self,
        which: Document,
        decide: impl Fn(&Order) -> Result<Option<Change>, Abort> + Send + Sync,
    ) -> Result<Changed, StoreError> {
        let attempt = Attempt {
            orders: self,
            which,
            decide,
            number: 0,
        };
        let changed = self
            .mongo
            .transaction_with(attempt, |session, attempt| attempt.run(session).boxed());
        let (order, change) = changed.await?;
        let now = change.is_some();
        if let Some(key) = change.flatten() {
            self.restock_now(&key).await;
        }
        Ok(Changed { order, now })
    }

    /// Writes a change over the version it was decided at. Index used: `_id`.
    async fn write_in(
        &self,
        session: &mut ClientSession,
        over: u64,
        change: &Change,
    ) -> mongodb::error::Result<()> {
        let unmoved =
            doc! { "_id": change.order.id, "version": i64::try_from(over).unwrap_or(i64::MAX) };
        let update = changed_fields(&change.order).map_err(into_driver)?;
        let written = self
            .documents
            .update_one(unmoved, update)
            .session(&mut *session)
            .await?;
        if written.matched_count != 1 {
            return Err(abort(Abort::Busy));
        }
        if let Some(restock) = &change.restock {
            self.send_back_in(session, &change.order, restock).await?;
        }
        self.tell_in(session, change).await
    }

    /// Gives an order another status, if it still is what `seen` says; a refund that goes with it is
    /// booked, not yet made.
    ///
    /// # Errors
    /// `NotFound`, `Stale`, and the refusals of [`Order::transition`].
    pub(super) async fn set_status(
        &self,
        id: OrderId,
        wish: &StatusWish,
        seen: IfMatch,
    ) -> Result<Order, OrderError> {
        let step = Step {
            to: wish.to,
            note: wish.note.clone(),
            tracking: wish.tracking.clone(),
            by: wish.by,
            at: Timestamp::now(),
            refund: wish.refund,
        };
        let decide = |order: &Order| {
            if !seen.allows(order.version) {
                return Err(Abort::Stale(order.version));
            }
            order.transition(&step).map(Some).map_err(Abort::Refused)
        };
        let changed = self.change(doc! { "_id": id }, decide).await?;
        Ok(changed.order)
    }

    /// Books a refund; one that is booked already is left as it is.
    ///
    /// # Errors
    /// `NotFound` and the refusals of [`Order::book_refund`].
    pub(super) async fn book_refund(
        &self,
        id: OrderId,
        wish: &RefundWish,
    ) -> Result<Order, OrderError> {
        let decide = |order: &Order| order.book_refund(wish).map_err(Abort::Refused);
        let changed = self.change(doc! { "_id": id }, decide).await?;
        Ok(changed.order)
    }

    /// Books how a refund ended; a repeat changes nothing.
    ///
    /// # Errors
    /// `NotFound`, `Busy`, or the database's.
    pub(super) async fn conclude_refund(
        &self,
        id: OrderId,
        refund: RefundId,
        outcome: &RefundOutcome,
    ) -> Result<Order, OrderError> {
        let decide = |order: &Order| {
            order
                .conclude_refund(refund, outcome, Timestamp::now())
                .map_err(|error| Abort::Refused(Refusal::Amount(error)))
        };
        let changed = self.change(doc! { "_id": id }, decide).await?;
        Ok(changed.order)
    }

    /// Keeps the provider's id of a refund that is under way, to ask for it later. Says nothing new to
    /// anyone, hence no version and no event. Index used: `_id`.
    pub(super) async fn note_provider_refund(
        &self,
        id: OrderId,
        refund: RefundId,
        provider: &ProviderRefundId,
    ) -> Result<(), StoreError> {
        let pending = doc! { "_id": id, "refunds": { "$elemMatch": {
        "id": refund, "state": "Pending", "provider": { "$exists": false } } } };
        let note = doc! { "$set": { "refunds.$.provider": provider } };
        self.documents.update_one(pending, note).await?;
        Ok(())
    }

    /// Books what became of a payment that was pending: `Completed` lets the order go on, `Denied`
    /// cancels it and sends its goods back into stock. May be repeated; other statuses change nothing.
    /// Answers the order as it then stands, `None` where no order has the capture.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn payment_changed(
        &self,
        capture: &CaptureId,
        to: PaymentStatus,
    ) -> Result<Option<Order>, StoreError> {
        self.hear(capture, |order, at| {
            Ok(match to {
                PaymentStatus::Completed => order.confirm_payment(at),
                PaymentStatus::Denied => order.deny_payment(at),
                PaymentStatus::Pending
                | PaymentStatus::PartiallyRefunded
                | PaymentStatus::Refunded
                | PaymentStatus::Reversed => None,
            })
        })
        .await
    }

    /// Books everything that the provider has given back of a capture so far, refunds made at its
    /// dashboard included; never less than before. An order whose money is all gone is cancelled where
    /// it was not sent and `Refunded` where it was.
    ///
    /// # Errors
    /// When the database refuses, or the amount is in a foreign currency.
    pub async fn provider_refunded(
        &self,
        capture: &CaptureId,
        total_refunded: Money,
    ) -> Result<Option<Order>, StoreError> {
        self.hear(capture, |order, at| {
            order
                .provider_refunded(total_refunded, at)
                .map_err(Refusal::Amount)
        })
        .await
    }

    /// Books that money of a capture was taken back (a chargeback, a reversal).
    ///
    /// # Errors
    /// When the database refuses, or the amount is in a foreign currency.
    pub async fn reversed(
        &self,
        capture: &CaptureId,
        reversal: &Reversal,
    ) -> Result<Option<Order>, StoreError> {
        self.hear(capture, |order, at| {
            order.reverse_payment(reversal, at).map_err(Refusal::Amount)
        })
        .await
    }

    /// Books that what was taken back of a capture has come again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn reversal_canceled(
        &self,
        capture: &CaptureId,
    ) -> Result<Option<Order>, StoreError> {
        self.hear(capture, |order, at| Ok(order.restore_payment(at)))
            .await
    }

    /// Notes on the order of a capture that its buyer disputes the payment, or how that stands by now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn disputed(
        &self,
        capture: &CaptureId,
        dispute: &Dispute,
    ) -> Result<Option<Order>, StoreError> {
        let told = OrderDispute::from(dispute);
        self.hear(capture, |order, at| Ok(order.dispute(&told, at)))
            .await
    }

    async fn hear(
        &self,
        capture: &CaptureId,
        decide: impl Fn(&Order, Timestamp) -> Result<Option<Change>, Refusal> + Send + Sync,
    ) -> Result<Option<Order>, StoreError> {
        let decide = |order: &Order| decide(order, Timestamp::now()).map_err(Abort::Refused);
        match self.change(of_capture(capture), decide).await {
            Ok(changed) => {
                if changed.now {
                    tracing::info!(order.id = %changed.order.id, version = changed.order.version,
                        "the provider's word about the payment is booked");
                }
                Ok(Some(changed.order))
            }
            Err(error) => match error.aborted::<Abort>() {
                Some(Abort::NotFound) => Ok(None),
                Some(Abort::Stale(_) | Abort::Refused(_) | Abort::Busy) | None => Err(error),
            },
        }
    }

    /// Takes the next order with a refund to be looked after, for [`CLAIM`]. Index used: `attend`.
    pub(super) async fn claim_refund(&self) -> Result<Option<Order>, StoreError> {
        let due = self
            .documents
            .find_one_and_update(due(), vec![look_in(CLAIM)])
            .sort(doc! { "attend_at": 1 })
            .return_document(ReturnDocument::After);
        Ok(due.await?)
    }

    /// Takes the capture of the next order whose payment is pending and due to be asked about. Index used:
    /// `unconfirmed`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_unconfirmed(&self) -> Result<Option<CaptureId>, StoreError> {
        // The provider's message has its time to come first.
        let first = doc! { "$add": ["$created_at", millis(ASK_EVERY)] };
        let due = doc! {
            "payment.status": PENDING,
            "$expr": { "$lte": [{ "$ifNull": ["$ask_at", first] }, "$$NOW"] },
        };
        let eighth = doc! { "$divide": [{ "$subtract": ["$$NOW", "$created_at"] }, 8] };
        let wait = doc! { "$max": [millis(ASK_EVERY), eighth] };
        let claim = doc! { "$set": { "ask_at": { "$add": ["$$NOW", wait] } } };
        let claimed = self
            .documents
            .find_one_and_update(due, vec![claim])
            .sort(doc! { "ask_at": 1 })
            .return_document(ReturnDocument::After);
        Ok(claimed.await?.map(|order| order.payment.capture))
    }
}

/// One try, in a transaction, at changing the order that `which` selects.
struct Attempt<'a, D> {
    orders: &'a Orders,
    which: Document,
    decide: D,
    number: u32,
}

/// The key of the return that a change sends, if any; the outer `None` is an order left alone.
type ChangeMade = Option<Option<String>>;

impl<D: Fn(&Order) -> Result<Option<Change>, Abort> + Send + Sync> Attempt<'_, D> {
    async fn run(
        &mut self,
        session: &mut ClientSession,
    ) -> mongodb::error::Result<(Order, ChangeMade)> {
        self.number += 1;
        if self.number > MAX_ATTEMPTS {
            return Err(abort(Abort::Busy));
        }
        let orders = self.orders;
        let found = orders
            .documents
            .find_one(self.which.clone())
            .session(&mut *session);
        let order = found.await?.ok_or_else(|| abort(Abort::NotFound))?;
        let Some(change) = (self.decide)(&order).map_err(abort)? else {
            return Ok((order, None));
        };
        orders.write_in(session, order.version, &change).await?;
        Ok((
            change.order,
            Some(change.restock.map(|restock| restock.key)),
        ))
    }
}

/// A status that staff want an order to have.
#[derive(Debug, Clone)]
pub(super) struct StatusWish {
    /// The status.
    pub(super) to: OrderStatus,
    /// What they say about it.
    pub(super) note: Option<String>,
    /// The parcel.
    pub(super) tracking: Option<Tracking>,
    /// Who.
    pub(super) by: By,
    /// The id of the refund, should one go with it.
    pub(super) refund: RefundId,
}

fn of_capture(capture: &CaptureId) -> Document {
    doc! { "payment.capture": capture }
}

/// The fields of an order that may change, and when its refunds are next looked after.
fn changed_fields(order: &Order) -> Result<Document, StoreError> {
    let pending = order
        .refunds
        .iter()
        .any(|refund| refund.state == RefundState::Pending);
    let mut set = doc! {
        "status": order.status.as_str(),
        "payment": to_document(&order.payment)?,
        "refunds": to_array(&order.refunds)?,
        "disputes": to_array(&order.disputes)?,
        "history": to_array(&order.history)?,
        "version": i64::try_from(order.version).unwrap_or(i64::MAX),
        "updated_at": order.updated_at,
    };
    if let Some(tracking) = &order.tracking {
        set.insert("tracking", to_document(tracking)?);
    }
    if pending {
        return Ok(doc! { "$set": set, "$currentDate": { "attend_at": true } });
    }
    set.insert("attend_at", Bson::Null);
    Ok(doc! { "$set": set })
}
