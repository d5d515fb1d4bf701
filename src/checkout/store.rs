//! The documents of checkouts. Each change names the status it was judged by; time is the database's.

use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::{ClientSession, Collection, options::ReturnDocument};

use super::{
    model::{CaptureRecord, Checkout, CheckoutStatus, EndReason},
    ports::{Booking, CheckoutStore},
    reconcile::BATCH,
    returns::{Return, ReturnState},
    settle::LATE,
};
use crate::{
    clock::Timestamp,
    faults::{Plant, planted},
    id::{CartId, CheckoutId, UserId},
    mongo::{Mongo, StoreError, confirmed, schema, to_array, to_document},
    payments::{CaptureId, ProviderOrder, ProviderOrderId},
};

/// The documents of checkouts.
#[derive(Debug, Clone)]
pub struct Checkouts {
    documents: Collection<Checkout>,
}

/// Statuses of checkouts that may still take money: one such a cart.
const OPEN: [&str; 3] = ["Preparing", "AwaitingApproval", "Capturing"];

/// Statuses of checkouts that ended without an order.
const WITHOUT_ORDER: [&str; 3] = ["Cancelled", "Expired", "Failed"];

/// The collection of this store.
pub(super) const NAME: &str = "checkouts";

pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: NAME,
        indexes: vec![
            schema::Index::unique("open_cart", doc! { "cart": 1 })
                .only_where(doc! { "status": { "$in": OPEN.to_vec() } }),
            schema::Index::unique("number", doc! { "number": 1 }),
            // Strings only, said so that the planner sees an equality within it; of `$type` it does not.
            schema::Index::unique("provider_order", doc! { "provider_order": 1 })
                .only_where(doc! { "provider_order": { "$gt": "" } }),
            schema::Index::unique("capture", doc! { "capture.id": 1 })
                .only_where(doc! { "capture.id": { "$gt": "" } }),
            // What wants looking after: few at any time, so that the others cost nothing here.
            schema::Index::on("unfinished", doc! { "updated_at": 1 })
                .only_where(doc! { "unfinished": true }),
            schema::Index::on(
                "returns_failed",
                doc! { "returns.state": 1, "updated_at": -1 },
            )
            .only_where(doc! { "returns.state": ReturnState::Failed.as_str() }),
            schema::Index::on("created", doc! { "created_at": 1 }),
            schema::Index::on("user_newest", doc! { "user": 1, "created_at": -1 }),
        ],
        validator: None,
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The moment `life` from now, by the database's clock.
fn from_now(life: Duration) -> Document {
    doc! { "$add": ["$$NOW", millis(life)] }
}

/// Whether the reservation lapsed `late` ago, by the database's clock; inside `$expr`.
fn lapsed_for(late: Duration) -> Document {
    doc! { "$lt": ["$expires_at", { "$subtract": ["$$NOW", millis(late)] }] }
}

/// Keeps a value from being read as an expression: titles may begin with a dollar sign.
fn literal(value: impl Into<Bson>) -> Document {
    doc! { "$literal": value.into() }
}

/// A change of a checkout's fields, as a pipeline that also counts it and says whether it wants looking after.
fn changing(mut fields: Document) -> Vec<Document> {
    fields.insert("version", doc! { "$add": ["$version", 1_i64] });
    fields.insert("updated_at", "$$NOW");
    vec![doc! { "$set": fields }, marked()]
}

/// Says of a checkout whether it wants looking after, as a stage of a pipeline.
pub(super) fn marked() -> Document {
    let unfinished = doc! { "$or": [
        { "$in": ["$status", OPEN.to_vec()] },
        "$stock_open",
        "$capture_open",
        { "$in": [ReturnState::Due.as_str(), { "$ifNull": ["$returns.state", []] }] },
    ] };
    doc! { "$set": { "unfinished": unfinished } }
}

/// The checkout's returns and one more, in a pipeline.
fn and_returned(back: &Return) -> Result<Document, StoreError> {
    Ok(doc! { "$concatArrays": [{ "$ifNull": ["$returns", []] }, [literal(to_document(back)?)]] })
}

impl Checkouts {
    pub(super) fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(NAME),
        }
    }

    /// The collection, for what is done to documents beside the checkout's states.
    pub(super) const fn documents(&self) -> &Collection<Checkout> {
        &self.documents
    }

    /// Reads a checkout as a majority has it: what its buyer is told without a write of its own must not be what
    /// a primary that was cut off takes back. Index used: `_id`.
    pub(super) async fn find_for_good(
        &self,
        id: CheckoutId,
    ) -> Result<Option<Checkout>, StoreError> {
        let found = self.documents.find_one(doc! { "_id": id });
        Ok(found.read_concern(confirmed()).await?)
    }

    /// Makes a change if the checkout still stands at `from`; `None` when another was first.
    /// Index used: `_id`.
    async fn change(
        &self,
        id: CheckoutId,
        from: CheckoutStatus,
        fields: Document,
    ) -> Result<Option<Checkout>, StoreError> {
        let unmoved = doc! { "_id": id, "status": from.as_str() };
        let changed = self
            .documents
            .find_one_and_update(unmoved, changing(fields));
        Ok(changed.return_document(ReturnDocument::After).await?)
    }

    /// Completes it, inside the transaction that makes the order; `None` when another was first.
    /// Index used: `_id`.
    pub(super) async fn complete_in(
        &self,
        session: &mut ClientSession,
        booking: &Booking,
        capture: Document,
    ) -> mongodb::error::Result<Option<Checkout>> {
        let capturing = CheckoutStatus::Capturing.as_str();
        let unmoved = doc! { "_id": booking.checkout, "status": capturing };
        let fields = doc! {
            "status": CheckoutStatus::Completed.as_str(),
            "order": booking.order.id,
            "capture": literal(capture),
            "capture_open": false,
        };
        self.documents
            .find_one_and_update(unmoved, changing(fields))
            .return_document(ReturnDocument::After)
            .session(session)
            .await
    }
}

impl Checkouts {
    /// Every checkout of a buyer, newest first. Index used: `user_newest`.
    pub(super) async fn all_of(&self, user: UserId) -> Result<Vec<Checkout>, StoreError> {
        let found = self.documents.find(doc! { "user": user });
        let found = found.sort(doc! { "created_at": -1 });
        Ok(found.await?.try_collect().await?)
    }

    /// Checkouts with a return that failed, last changed first, after the place `after`.
    /// Index used: `returns_failed`.
    pub(super) async fn with_failed_returns(
        &self,
        after: Option<(Timestamp, CheckoutId)>,
        rows: u32,
    ) -> Result<Vec<Checkout>, StoreError> {
        let mut wanted = with_failed();
        if let Some((at, id)) = after {
            let beyond = vec![
                doc! { "updated_at": { "$lt": at } },
                doc! { "updated_at": at, "_id": { "$lt": id } },
            ];
            wanted.insert("$or", beyond);
        }
        let found = self.documents.find(wanted);
        let found = found
            .sort(doc! { "updated_at": -1, "_id": -1 })
            .limit(rows.into());
        Ok(found.await?.try_collect().await?)
    }

    /// How many those are. Index used: `returns_failed`.
    pub(super) async fn count_failed_returns(&self) -> Result<u64, StoreError> {
        Ok(self.documents.count_documents(with_failed()).await?)
    }
}

/// Selects checkouts with a return that failed.
fn with_failed() -> Document {
    doc! { "returns.state": ReturnState::Failed.as_str() }
}

impl CheckoutStore for Checkouts {
    // Index used: `_id`.
    async fn begin(&self, checkout: &Checkout, life: Duration) -> Result<bool, StoreError> {
        let own = doc! {
            "created_at": "$$NOW",
            "updated_at": "$$NOW",
            "expires_at": from_now(life),
            "unfinished": true,
        };
        let fresh = doc! { "$mergeObjects": [literal(to_document(checkout)?), own] };
        let whole = vec![doc! { "$replaceWith": { "$cond": [
            { "$eq": [{ "$type": "$status" }, "missing"] }, fresh, "$$ROOT",
        ] } }];
        match self
            .documents
            .update_one(doc! { "_id": checkout.id }, whole)
            .upsert(true)
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if crate::mongo::is_duplicate_key(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    // Index used: `_id`.
    async fn find(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        Ok(self.documents.find_one(doc! { "_id": id }).await?)
    }

    // Index used: `open_cart`.
    async fn open_of(&self, cart: CartId) -> Result<Option<Checkout>, StoreError> {
        let open = doc! { "cart": cart, "status": { "$in": OPEN.to_vec() } };
        Ok(self.documents.find_one(open).await?)
    }

    // Index used: `provider_order`.
    async fn of_payment(&self, id: &ProviderOrderId) -> Result<Option<Checkout>, StoreError> {
        Ok(self
            .documents
            .find_one(doc! { "provider_order": id })
            .await?)
    }

    // Index used: `capture`.
    async fn of_capture(&self, id: &CaptureId) -> Result<Option<Checkout>, StoreError> {
        Ok(self.documents.find_one(doc! { "capture.id": id }).await?)
    }

    async fn await_approval(
        &self,
        id: CheckoutId,
        payment: &ProviderOrder,
        life: Duration,
    ) -> Result<Option<Checkout>, StoreError> {
        let fields = doc! {
            "status": CheckoutStatus::AwaitingApproval.as_str(),
            "provider_order": &payment.id,
            "approve_url": literal(payment.approve_url.clone()),
            "expires_at": from_now(life),
        };
        self.change(id, CheckoutStatus::Preparing, fields).await
    }

    async fn begin_capture(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        let fields = doc! { "status": CheckoutStatus::Capturing.as_str(), "capture_open": true };
        self.change(id, CheckoutStatus::AwaitingApproval, fields)
            .await
    }

    async fn back_to_buyer(
        &self,
        id: CheckoutId,
        life: Duration,
    ) -> Result<Option<Checkout>, StoreError> {
        let fields = doc! {
            "status": CheckoutStatus::AwaitingApproval.as_str(),
            "capture": Bson::Null,
            "expires_at": from_now(life),
        };
        self.change(id, CheckoutStatus::Capturing, fields).await
    }

    async fn captured(
        &self,
        id: CheckoutId,
        capture: &CaptureRecord,
    ) -> Result<Option<Checkout>, StoreError> {
        let fields = doc! { "capture": literal(to_document(capture)?), "capture_open": false };
        self.change(id, CheckoutStatus::Capturing, fields).await
    }

    // Index used: `_id`.
    async fn captured_late(
        &self,
        id: CheckoutId,
        capture: &CaptureRecord,
    ) -> Result<Option<Checkout>, StoreError> {
        let over =
            doc! { "_id": id, "status": { "$in": WITHOUT_ORDER.to_vec() }, "capture": Bson::Null };
        let fields = doc! {
            "capture": literal(to_document(capture)?),
            "capture_open": false,
            "returns": and_returned(&Return::due(capture.id.clone()))?,
        };
        let changed = self.documents.find_one_and_update(over, changing(fields));
        Ok(changed.return_document(ReturnDocument::After).await?)
    }

    // Index used: `_id`.
    async fn capture_over(&self, id: CheckoutId, late: Duration) -> Result<bool, StoreError> {
        let over = doc! {
            "_id": id,
            "status": { "$in": WITHOUT_ORDER.to_vec() },
            "$expr": lapsed_for(late),
        };
        let fields = changing(doc! { "capture_open": false });
        Ok(self.documents.update_one(over, fields).await?.matched_count == 1)
    }

    async fn end(
        &self,
        checkout: &Checkout,
        to: CheckoutStatus,
        reason: EndReason,
        back: Option<Return>,
    ) -> Result<Option<Checkout>, StoreError> {
        if !checkout.status.may_become(to) {
            return Ok(None);
        }
        let mut fields = doc! { "status": to.as_str(), "reason": bson_name(reason) };
        if let Some(back) = back {
            fields.insert("returns", and_returned(&back)?);
        }
        self.change(checkout.id, checkout.status, fields).await
    }

    // Index used: `_id`.
    async fn refuse(&self, id: CheckoutId) -> Result<(), StoreError> {
        let preparing = doc! { "_id": id, "status": CheckoutStatus::Preparing.as_str() };
        let fields = doc! {
            "status": CheckoutStatus::Failed.as_str(),
            "reason": bson_name(EndReason::InsufficientStock),
            "stock_open": false,
        };
        self.documents
            .update_one(preparing, changing(fields))
            .await?;
        Ok(())
    }

    // Index used: `_id`.
    async fn expire(&self, checkout: &Checkout) -> Result<Option<Checkout>, StoreError> {
        let own_clock = planted(Plant::LocalClock).then(|| Bson::from(Timestamp::now()));
        let now = own_clock.unwrap_or_else(|| "$$NOW".into());
        let lapsed = doc! {
            "_id": checkout.id,
            "status": checkout.status.as_str(),
            "$expr": { "$lt": ["$expires_at", now] },
        };
        let fields = doc! {
            "status": CheckoutStatus::Expired.as_str(),
            "reason": bson_name(EndReason::Expired),
        };
        let changed = self.documents.find_one_and_update(lapsed, changing(fields));
        Ok(changed.return_document(ReturnDocument::After).await?)
    }

    async fn stock_settled(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        let fields = changing(doc! { "stock_open": false });
        let over = doc! { "_id": id, "status": { "$nin": OPEN.to_vec() } };
        let changed = self.documents.find_one_and_update(over, fields);
        Ok(changed.return_document(ReturnDocument::After).await?)
    }

    // Index used: `_id`.
    async fn charged_twice(
        &self,
        id: CheckoutId,
        capture: &CaptureId,
    ) -> Result<Option<Checkout>, StoreError> {
        let unknown = doc! { "_id": id, "capture.id": { "$ne": capture }, "returns.capture": { "$ne": capture } };
        let fields = doc! { "returns": and_returned(&Return::due(capture.clone()))? };
        let changed = self
            .documents
            .find_one_and_update(unknown, changing(fields));
        Ok(changed.return_document(ReturnDocument::After).await?)
    }

    // Index used: `_id`.
    async fn returns_moved(
        &self,
        checkout: &Checkout,
        returns: &[Return],
    ) -> Result<Option<Checkout>, StoreError> {
        let unmoved = doc! { "_id": checkout.id, "version": checkout.version };
        let fields = doc! { "returns": literal(to_array(returns)?) };
        let changed = self
            .documents
            .find_one_and_update(unmoved, changing(fields));
        Ok(changed.return_document(ReturnDocument::After).await?)
    }

    // Index used: `unfinished`.
    async fn unfinished(&self, idle: Duration) -> Result<Vec<CheckoutId>, StoreError> {
        let quiet = doc! { "$lt": ["$updated_at", { "$subtract": ["$$NOW", millis(idle)] }] };
        let wanted = doc! {
            "unfinished": true,
            "$or": [
                { "status": { "$in": OPEN.to_vec() } },
                { "stock_open": true },
                { "returns.state": ReturnState::Due.as_str() },
                { "$expr": lapsed_for(LATE) },
            ],
            "$expr": quiet,
        };
        let documents = self.documents.clone_with_type::<Document>();
        let found = documents.find(wanted);
        let found = found
            .projection(doc! { "_id": 1 })
            .sort(doc! { "updated_at": 1 })
            .limit(i64::try_from(BATCH).unwrap_or(i64::MAX))
            .await?;
        let documents: Vec<Document> = found.try_collect().await?;
        let ids = documents
            .iter()
            .filter_map(|document| document.get_object_id("_id").ok());
        Ok(ids.map(CheckoutId::from_object_id).collect())
    }

    // Index used: `_id`.
    async fn looked_at(&self, id: CheckoutId) -> Result<(), StoreError> {
        let touch = vec![doc! { "$set": { "updated_at": "$$NOW" } }];
        self.documents.update_one(doc! { "_id": id }, touch).await?;
        Ok(())
    }
}

/// The reason as stored.
const fn bson_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Cancelled => "cancelled",
        EndReason::DiscountRefused => "discount_refused",
        EndReason::Superseded => "superseded",
        EndReason::CartChanged => "cart_changed",
        EndReason::Expired => "expired",
        EndReason::InsufficientStock => "insufficient_stock",
        EndReason::PaymentRefused => "payment_refused",
        EndReason::ApprovalLapsed => "approval_lapsed",
        EndReason::AmountMismatch => "amount_mismatch",
    }
}

impl Checkout {
    /// Placeholder times: the database writes its own.
    pub(super) const UNSET: Timestamp = Timestamp::from_millis(0);
}
