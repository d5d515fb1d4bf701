//! Goods that go back into stock: a document each, written with the change that sends them.
//!
//! `Due`: to be taken back, once for the key. `Booked`: taken back; the stock still remembers the key,
//! so that a worker that was held up cannot take them back again. `Done`: the key is forgotten, much
//! later than any worker can be held up. The documents stay, for the books.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::{ClientSession, options::ReturnDocument};
use serde::{Deserialize, Serialize};

use super::{CLAIM, Orders, due, into_driver, look_in};
use crate::{
    catalog::HoldLine,
    clock::Timestamp,
    id::{OrderId, VariantId},
    mongo::{StoreError, schema, to_array},
    orders::model::{Order, Restock},
};

/// The name of the collection of returns.
pub(super) const COLLECTION: &str = "restocks";
/// How long the stock remembers a return after it was booked.
const REMEMBERED: Duration = Duration::from_mins(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Due,
    Booked,
    Done,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Units {
    variant: VariantId,
    quantity: u32,
}

/// A return of goods, as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RestockDocument {
    #[serde(rename = "_id")]
    key: String,
    order: OrderId,
    units: Vec<Units>,
    state: State,
    attend_at: Option<Timestamp>,
    created_at: Timestamp,
}

pub(super) fn collection(attended: Document) -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: vec![
            schema::Index::on("attend", doc! { "attend_at": 1 }).only_where(attended),
            schema::Index::on("order", doc! { "order": 1 }),
        ],
        validator: None,
    }
}

impl Orders {
    /// Writes a return that is due, inside the transaction of the change that sends it. Index used: `_id`.
    pub(super) async fn send_back_in(
        &self,
        session: &mut ClientSession,
        order: &Order,
        restock: &Restock,
    ) -> mongodb::error::Result<()> {
        let units: Vec<Units> = restock
            .units
            .iter()
            .map(|(variant, quantity)| Units {
                variant: *variant,
                quantity: *quantity,
            })
            .collect();
        let made = doc! {
            "$setOnInsert": {
                "order": order.id,
                "units": to_array(&units).map_err(into_driver)?,
                "state": "Due",
            },
            // An upsert rather than an insert: the time is to be the database's.
            "$currentDate": { "attend_at": true, "created_at": true },
        };
        let writing = self.restocks.update_one(doc! { "_id": &restock.key }, made);
        writing.upsert(true).session(session).await.map(|_made| ())
    }

    /// Takes a return back at once; what fails here is finished by the sweep. Index used: `_id`.
    pub(super) async fn restock_now(&self, key: &str) {
        let done = async {
            match self.restocks.find_one(doc! { "_id": key }).await? {
                Some(due) => self.restock(&due).await,
                None => Ok(()),
            }
        };
        if let Err(error) = done.await {
            tracing::warn!(%error, key, "goods go back into stock later");
        }
    }

    /// Looks after the next return that is due; `false` where none is. Index used: `attend`.
    pub(in crate::orders) async fn attend_restock(&self) -> Result<bool, StoreError> {
        let claimed = self
            .restocks
            .find_one_and_update(due(), vec![look_in(CLAIM)])
            .sort(doc! { "attend_at": 1 })
            .return_document(ReturnDocument::After);
        let Some(due) = claimed.await? else {
            return Ok(false);
        };
        self.restock(&due).await?;
        Ok(true)
    }

    async fn restock(&self, due: &RestockDocument) -> Result<(), StoreError> {
        match due.state {
            State::Due => self.take_back(due).await,
            State::Booked => self.forget(due).await,
            State::Done => Ok(()),
        }
    }

    async fn take_back(&self, due: &RestockDocument) -> Result<(), StoreError> {
        for units in &due.units {
            let line = HoldLine {
                variant: units.variant,
                quantity: units.quantity,
            };
            if !self.stock.take_back(&due.key, line).await? {
                // The sale is not booked yet: the order's hold is consumed after its transaction.
                tracing::warn!(order.id = %due.order, variant.id = %units.variant,
                    "goods cannot be taken back before they are booked as sold; trying again later");
                return Ok(());
            }
        }
        let booked = vec![doc! { "$set": { "state": "Booked" } }, look_in(REMEMBERED)];
        let still_due = doc! { "_id": &due.key, "state": "Due" };
        self.restocks.update_one(still_due, booked).await?;
        Ok(())
    }

    async fn forget(&self, booked: &RestockDocument) -> Result<(), StoreError> {
        for units in &booked.units {
            self.stock.forget_return(&booked.key, units.variant).await?;
        }
        let done = doc! { "$set": { "state": "Done", "attend_at": bson::Bson::Null } };
        self.restocks
            .update_one(doc! { "_id": &booked.key }, done)
            .await?;
        Ok(())
    }
}
