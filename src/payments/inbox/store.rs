//! The messages, in the database.

use std::time::Duration;

use bson::{Binary, Bson, Document, doc, oid::ObjectId, spec::BinarySubtype};
use futures_util::TryStreamExt;
use mongodb::{Collection, options::ReturnDocument};
use serde::{Deserialize, Serialize};

use super::{
    erased::{self, Erased},
    model::{Kind, State},
};
use crate::{
    clock::Timestamp,
    faults::{Plant, planted},
    mongo::{Mongo, StoreError, is_duplicate_key, schema, to_document},
    payments::paypal::person,
};

const COLLECTION: &str = "inbox";
/// PayPal repeats a message for three days, and staff may resend one later.
const LIFE: Duration = Duration::from_hours(90 * 24);
/// What was refused is nobody's message: anybody may send such.
const LIFE_OF_REFUSED: Duration = Duration::from_hours(7 * 24);
/// How long a claim holds without being renewed: a node that dies is missed after that.
const LEASE: Duration = Duration::from_secs(10);
/// The longest note kept about a message.
const MAX_NOTE: usize = 500;

/// How many tries of a message are remembered.
const MAX_TRIES_KEPT: i64 = 20;

/// What became of one try at a message.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = InboxMessageTry)]
pub(super) struct Try {
    /// When it ended, by the database's clock.
    pub(super) at: Timestamp,
    /// How the message stood after it; `pending`: it is tried again.
    pub(super) state: State,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// A message as stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MessageDocument {
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) event_type: String,
    pub(super) body: Binary,
    pub(super) state: State,
    /// Tries begun.
    pub(super) attempts: i64,
    /// Tries that failed by the message's own fault.
    pub(super) failures: i64,
    /// When the next try is due; while one is under way, when its lease ends.
    pub(super) next_at: Timestamp,
    /// The try that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim: Option<ObjectId>,
    /// Transaction and status of an IPN message that PayPal vouches for; unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ipn_key: Option<String>,
    /// Whether PayPal vouches for the IPN message.
    #[serde(default)]
    pub(super) vouched_for: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    /// What became of the last [`MAX_TRIES_KEPT`] tries.
    #[serde(default)]
    pub(super) tries: Vec<Try>,
    pub(super) received_at: Timestamp,
    pub(super) expires_at: Timestamp,
    /// What it is about, by ids of ours and of the provider's; by them an erased person's messages are found.
    #[serde(default)]
    pub(super) about: Vec<String>,
}

/// Bytes as stored.
pub(super) fn generic(bytes: Vec<u8>) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes,
    }
}

/// The messages.
#[derive(Debug, Clone)]
pub(super) struct Messages {
    pub(super) documents: Collection<MessageDocument>,
    pub(super) erased: Collection<Erased>,
}

/// The collection.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: vec![
            schema::Index::on("due", doc! { "state": 1, "next_at": 1, "received_at": 1 }),
            schema::Index::on("newest", doc! { "received_at": -1, "_id": -1 }),
            schema::Index::on(
                "newest_by_state",
                doc! { "state": 1, "received_at": -1, "_id": -1 },
            ),
            schema::Index::unique("ipn_key", doc! { "ipn_key": 1 })
                .only_where(doc! { "ipn_key": { "$exists": true } }),
            schema::Index::on("about", doc! { "about": 1 }),
            schema::Index::expiring("expiry", "expires_at", 0),
        ],
        validator: Some(doc! {
            "bsonType": "object",
            "required": ["kind", "state", "body", "attempts", "next_at", "expires_at"],
            "properties": {
                "kind": { "enum": ["webhook", "ipn"] },
                "state": { "enum": ["pending", "done", "ignored", "refused", "dead"] },
                "body": { "bsonType": "binData" },
                "next_at": { "bsonType": "date" },
                "expires_at": { "bsonType": "date" },
            },
        }),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The moment `duration` from now by the database's clock, inside a pipeline update.
fn from_now(duration: Duration) -> Document {
    doc! { "$add": ["$$NOW", millis(duration)] }
}

/// Text as it is, inside a pipeline update, where `$` would begin an expression.
fn literal(text: &str) -> Document {
    let text: String = text.chars().take(MAX_NOTE).collect();
    doc! { "$literal": text }
}

impl Messages {
    /// Opens the store.
    pub(super) fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(COLLECTION),
            erased: mongo.database().collection(erased::COLLECTION),
        }
    }

    /// Stores a message under `id`, claimed for [`LEASE`] where it is to be followed at once; `None` where it
    /// is there already. Index used: `_id`.
    pub(super) async fn insert(
        &self,
        id: String,
        kind: Kind,
        event_type: String,
        body: &[u8],
        claimed: bool,
    ) -> Result<Option<MessageDocument>, StoreError> {
        let now = Timestamp::now();
        let again = planted(Plant::InboxRepeats).then(|| format!("{id}-{}", ObjectId::new()));
        let message = MessageDocument {
            id: again.unwrap_or(id),
            kind,
            event_type,
            body: generic(body.to_vec()),
            state: State::Pending,
            attempts: i64::from(claimed),
            failures: 0,
            // Due at once, whatever this machine's clock says.
            next_at: Timestamp::from_millis(0),
            claim: claimed.then(ObjectId::new),
            ipn_key: None,
            vouched_for: false,
            note: None,
            tries: Vec::new(),
            received_at: now,
            expires_at: now.after(LIFE),
            about: match kind {
                Kind::Webhook => person::event_references(body),
                Kind::Ipn => person::ipn_references(body),
            },
        };
        let mut fresh = vec![doc! { "$literal": to_document(&message)? }];
        if claimed {
            fresh.push(doc! { "next_at": from_now(LEASE) });
        }
        let is_new = doc! { "$eq": [{ "$type": "$state" }, "missing"] };
        let whole = doc! { "$replaceWith": {
            "$cond": [is_new, { "$mergeObjects": fresh }, "$$ROOT"],
        } };
        let stored = self
            .documents
            .update_one(doc! { "_id": &message.id }, vec![whole]);
        match stored.upsert(true).await {
            Ok(stored) => Ok(stored.upserted_id.map(|_| message)),
            Err(error) if is_duplicate_key(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether `most` IPN messages or more wait. Index used: `due`.
    pub(super) async fn ipn_waiting(&self, most: u64) -> Result<bool, StoreError> {
        let waiting = doc! { "state": State::Pending.as_str(), "kind": "ipn" };
        Ok(self.documents.count_documents(waiting).limit(most).await? >= most)
    }

    /// Takes the message that is due longest, for [`LEASE`]. One document, so two workers never take the
    /// same. Index used: `due`.
    pub(super) async fn claim(&self) -> Result<Option<MessageDocument>, StoreError> {
        let due =
            doc! { "state": State::Pending.as_str(), "$expr": { "$lte": ["$next_at", "$$NOW"] } };
        let take = doc! { "$set": {
            "next_at": from_now(LEASE),
            "attempts": { "$add": ["$attempts", 1_i64] },
            "claim": ObjectId::new(),
        } };
        Ok(self
            .documents
            .find_one_and_update(due, vec![take])
            .sort(doc! { "next_at": 1, "received_at": 1 })
            .return_document(ReturnDocument::After)
            .await?)
    }

    /// Holds a claim for [`LEASE`] more. Nothing happens where it went to somebody else. Index used: `_id`.
    pub(super) async fn hold(&self, message: &MessageDocument) -> Result<(), StoreError> {
        let own = doc! { "_id": &message.id, "claim": message.claim };
        let hold = vec![doc! { "$set": { "next_at": from_now(LEASE) } }];
        self.documents.update_one(own, hold).await?;
        Ok(())
    }

    /// Keeps that PayPal vouches for an IPN message, and its key; `false` where another message has the
    /// key. Index used: `_id`, `ipn_key`.
    pub(super) async fn vouch(
        &self,
        message: &MessageDocument,
        key: Option<&str>,
    ) -> Result<bool, StoreError> {
        let mut set = doc! { "vouched_for": true };
        if let Some(key) = key {
            set.insert("ipn_key", key);
        }
        let own = doc! { "_id": &message.id };
        match self.documents.update_one(own, doc! { "$set": set }).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate_key(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a try: the message is over. Nothing happens where the lease went to somebody else.
    /// Index used: `_id`.
    pub(super) async fn settle(
        &self,
        message: &MessageDocument,
        state: State,
        note: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut set = doc! { "state": state.as_str() };
        if let Some(note) = note {
            set.insert("note", literal(note));
        }
        if state == State::Refused {
            set.insert("expires_at", from_now(LIFE_OF_REFUSED));
        }
        self.end(message, state, set, note).await
    }

    /// Ends a try: another is due after `pause`. Nothing happens where the lease went to somebody else.
    /// Index used: `_id`.
    pub(super) async fn put_off(
        &self,
        message: &MessageDocument,
        pause: Duration,
        reason: &str,
        counts: bool,
    ) -> Result<(), StoreError> {
        let failure = i64::from(counts);
        let set = doc! {
            "next_at": from_now(pause),
            "failures": { "$add": ["$failures", failure] },
            "note": literal(reason),
        };
        self.end(message, State::Pending, set, Some(reason)).await
    }

    async fn end(
        &self,
        message: &MessageDocument,
        state: State,
        mut set: Document,
        note: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut this = doc! { "at": "$$NOW", "state": state.as_str() };
        if let Some(note) = note {
            this.insert("note", literal(note));
        }
        let before = doc! { "$ifNull": ["$tries", []] };
        let tries = doc! { "$concatArrays": [before, [this]] };
        set.insert("tries", doc! { "$slice": [tries, -MAX_TRIES_KEPT] });
        if message.may_be_reduced(state) && self.is_of_erased(message).await? {
            set.insert("body", message.body_without_person());
            set.insert("reduced", true);
        }
        let own = doc! { "_id": &message.id, "claim": message.claim };
        let mut gone = vec![Bson::from("claim")];
        if note.is_none() {
            gone.push("note".into());
        }
        if state == State::Refused {
            // What is refused has told nothing: the same news may come in a message that is right.
            gone.push("ipn_key".into());
        }
        let change = vec![doc! { "$set": set }, doc! { "$unset": gone }];
        self.documents.update_one(own, change).await?;
        Ok(())
    }

    /// Puts a message back to the start, for the staff; `None` where there is none. One that a worker
    /// holds now is taken from it. Index used: `_id`.
    pub(super) async fn replay(&self, id: &str) -> Result<Option<MessageDocument>, StoreError> {
        let again = vec![
            doc! { "$set": {
                "state": State::Pending.as_str(),
                "failures": 0_i64,
                "next_at": "$$NOW",
                "expires_at": from_now(LIFE),
            } },
            doc! { "$unset": ["claim", "note"] },
        ];
        Ok(self
            .documents
            .find_one_and_update(doc! { "_id": id }, again)
            .return_document(ReturnDocument::After)
            .await?)
    }

    /// Reads one. Index used: `_id`.
    pub(super) async fn find(&self, id: &str) -> Result<Option<MessageDocument>, StoreError> {
        Ok(self.documents.find_one(doc! { "_id": id }).await?)
    }

    /// Messages, newest first, from the place after `after`. Index used: `newest`, `newest_by_state`.
    pub(super) async fn list(
        &self,
        state: Option<State>,
        after: Option<&(i64, String)>,
        rows: u32,
    ) -> Result<Vec<MessageDocument>, StoreError> {
        let mut wanted = by_state(state);
        if let Some((millis, id)) = after {
            let moment = Timestamp::from_millis(*millis);
            wanted.insert(
                "$or",
                [
                    doc! { "received_at": { "$lt": moment } },
                    doc! { "received_at": moment, "_id": { "$lt": id } },
                ],
            );
        }
        let found = self
            .documents
            .find(wanted)
            .sort(doc! { "received_at": -1, "_id": -1 })
            .limit(i64::from(rows))
            .await?;
        Ok(found.try_collect().await?)
    }

    /// How many messages there are. Index used: `newest_by_state`.
    pub(super) async fn count(&self, state: Option<State>) -> Result<u64, StoreError> {
        Ok(self.documents.count_documents(by_state(state)).await?)
    }
}

fn by_state(state: Option<State>) -> Document {
    state.map_or_else(Document::new, |state| doc! { "state": state.as_str() })
}
