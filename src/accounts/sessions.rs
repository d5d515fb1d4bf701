//! Sign-ins in MongoDB: one document a family of refresh tokens.
//!
//! One refresh token of a family lives at a time; the document holds its hash, and the hash of the one
//! before it for the tabs that race. Each step is one conditional update; time is the database's.

use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::{ClientSession, Collection, options::ReturnDocument};
use serde::{Deserialize, Serialize};

use super::{
    Revocations,
    refresh::{RefreshToken, Salt},
};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
    mongo::{Mongo, StoreError, schema},
};

/// The name of this store's collection, followed by every node.
pub(super) const COLLECTION: &str = "sessions";
/// The most sign-ins of a user; a further one ends the one that was used longest ago.
pub(super) const MAX_SESSIONS: u32 = 100;

/// A sign-in on one device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// Which.
    #[serde(rename = "_id")]
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// Hash of the refresh token that lives.
    current: String,
    /// Salt of the last rotation.
    salt: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// When its refresh token was used last.
    pub last_used_at: Timestamp,
    /// Until when its refresh token lives, unless it is used.
    pub expires_at: Timestamp,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Where it was used last.
    pub ip: Option<String>,
}

impl Session {
    /// Whether `token` is the one that lives.
    pub(super) fn lives_by(&self, token: &RefreshToken) -> bool {
        self.current == token.hash()
    }

    /// The salt of the last rotation.
    pub(super) fn salt(&self) -> Option<Salt> {
        self.salt.as_deref().and_then(Salt::decode)
    }
}

/// Where a request comes from, as shown in the list of sign-ins.
#[derive(Debug, Clone, Default)]
pub struct Device {
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Its address.
    pub ip: Option<String>,
}

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: vec![
            schema::Index::on("user_last_used", doc! { "user": 1, "last_used_at": -1 }),
            schema::Index::on("revoked", doc! { "revoked_at": 1 })
                .only_where(doc! { "revoked_at": { "$type": "date" } }),
            schema::Index::expiring("expiry", "expires_at", 0),
        ],
        validator: Some(doc! {
            "bsonType": "object",
            "required": ["user", "current", "created_at", "last_used_at", "expires_at"],
            "properties": {
                "user": { "bsonType": "objectId" },
                "current": { "bsonType": "string" },
                "expires_at": { "bsonType": "date" },
            },
        }),
    }
}

/// The sign-ins. Whatever ends here is refused on this node at once.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    documents: Collection<Session>,
    /// The same, where only ids are read.
    ids: Collection<Id>,
    revocations: Revocations,
    life: Duration,
    grace: Duration,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A client's text inside a pipeline, where a leading `$` would name a field.
fn literal(text: Option<&str>) -> Bson {
    text.map_or(Bson::Null, |text| doc! { "$literal": text }.into())
}

fn unexpired() -> Document {
    doc! { "$gt": ["$expires_at", "$$NOW"] }
}

/// Ends a sign-in.
fn ending() -> Vec<Document> {
    vec![doc! { "$set": { "revoked_at": "$$NOW" } }]
}

/// Conditions of a sign-in that lives.
fn alive(mut filter: Document) -> Document {
    filter.insert("revoked_at", Bson::Null);
    filter.insert("$expr", unexpired());
    filter
}

impl Sessions {
    /// `life`: how long an unused refresh token lives; `grace`: how long its predecessor is answered.
    pub(super) fn new(
        mongo: &Mongo,
        revocations: Revocations,
        life: Duration,
        grace: Duration,
    ) -> Self {
        Self {
            documents: mongo.database().collection(COLLECTION),
            ids: mongo.database().collection(COLLECTION),
            revocations,
            life,
            grace,
        }
    }

    /// What every use of a sign-in sets, in a pipeline.
    fn used(&self, token: &RefreshToken, device: &Device) -> Document {
        doc! {
            "current": token.hash(),
            "last_used_at": "$$NOW",
            "expires_at": { "$add": ["$$NOW", millis(self.life)] },
            "user_agent": literal(device.user_agent.as_deref()),
            "ip": literal(device.ip.as_deref()),
        }
    }

    /// Adds a sign-in that lives by `token`. Index used: `_id`.
    pub(super) async fn open(
        &self,
        user: UserId,
        token: &RefreshToken,
        device: &Device,
    ) -> Result<(), StoreError> {
        let mut set = self.used(token, device);
        set.insert("user", user);
        set.insert("created_at", "$$NOW");
        let opened = self
            .documents
            .update_one(doc! { "_id": token.session() }, vec![doc! { "$set": set }]);
        opened.upsert(true).await?;
        Ok(())
    }

    /// Removes a sign-in that nobody was told of. Index used: `_id`.
    pub(super) async fn discard(&self, id: SessionId) -> Result<(), StoreError> {
        self.documents.delete_one(doc! { "_id": id }).await?;
        Ok(())
    }

    /// Ends the sign-ins of `user` beyond the [`MAX_SESSIONS`] used last. Index used: `user_last_used`.
    pub(super) async fn end_surplus(&self, user: UserId) -> Result<(), StoreError> {
        let surplus = self
            .ids
            .find(alive(doc! { "user": user }))
            .sort(doc! { "last_used_at": -1 })
            .skip(MAX_SESSIONS.into())
            .projection(doc! { "_id": 1 });
        let surplus: Vec<Id> = surplus.await?.try_collect().await?;
        for row in surplus {
            self.end(row.id).await?;
        }
        Ok(())
    }

    /// Puts `next` (made with `salt`) in the place of `spent`; `None` where `spent` is not the token that
    /// lives. Index used: `_id`.
    pub(super) async fn rotate(
        &self,
        spent: &RefreshToken,
        next: &RefreshToken,
        salt: Salt,
        device: &Device,
    ) -> Result<Option<Session>, StoreError> {
        let living = alive(doc! { "_id": spent.session(), "current": spent.hash() });
        let mut set = self.used(next, device);
        set.insert("previous", spent.hash());
        set.insert("salt", salt.encode());
        set.insert("rotated_at", "$$NOW");
        let rotated = self
            .documents
            .find_one_and_update(living, vec![doc! { "$set": set }])
            .return_document(ReturnDocument::After);
        Ok(rotated.await?)
    }

    /// The sign-in, if `spent` is the token before the one that lives and was rotated a moment ago.
    /// Index used: `_id`.
    pub(super) async fn within_grace(
        &self,
        spent: &RefreshToken,
    ) -> Result<Option<Session>, StoreError> {
        let since = doc! { "$subtract": ["$$NOW", millis(self.grace)] };
        let just_rotated = doc! { "$and": [unexpired(), { "$gt": ["$rotated_at", since] }] };
        let raced = doc! {
            "_id": spent.session(),
            "previous": spent.hash(),
            "revoked_at": Bson::Null,
            "$expr": just_rotated,
        };
        Ok(self.documents.find_one(raced).await?)
    }

    /// The sign-in, ended ones included. Index used: `_id`.
    pub(super) async fn by_id(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.documents.find_one(doc! { "_id": id }).await?)
    }

    /// The sign-ins of `user` that live, the one used last first. Index used: `user_last_used`.
    pub(super) async fn of_user(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        let living = self
            .documents
            .find(alive(doc! { "user": user }))
            .sort(doc! { "last_used_at": -1 })
            .limit(MAX_SESSIONS.into());
        Ok(living.await?.try_collect().await?)
    }

    /// Ends a sign-in; a repeat changes nothing. Index used: `_id`.
    pub(super) async fn end(&self, id: SessionId) -> Result<(), StoreError> {
        self.end_matching(doc! { "_id": id }).await.map(|_| ())
    }

    /// Ends a sign-in of `user`; `false` where it is not the user's or has ended. Index used: `_id`.
    pub(super) async fn end_of(&self, user: UserId, id: SessionId) -> Result<bool, StoreError> {
        self.end_matching(alive(doc! { "_id": id, "user": user }))
            .await
    }

    async fn end_matching(&self, filter: Document) -> Result<bool, StoreError> {
        let mut living = filter;
        living.insert("revoked_at", Bson::Null);
        let ended = self
            .ids
            .find_one_and_update(living, ending())
            .projection(doc! { "_id": 1 });
        let ended = ended.await?.map(|row| row.id);
        self.revocations.add(ended);
        Ok(ended.is_some())
    }

    /// Ends every sign-in of `user`. Index used: `user_last_used`.
    pub(super) async fn end_all(&self, user: UserId) -> Result<(), StoreError> {
        let theirs = doc! { "user": user, "revoked_at": Bson::Null };
        self.documents.update_many(theirs, ending()).await?;
        self.refuse_ended(user).await
    }

    /// Ends every sign-in of `user` but `kept`; [`Sessions::refuse_ended`] is to follow the transaction.
    /// Index used: `user_last_used`.
    pub(super) async fn end_all_in(
        &self,
        session: &mut ClientSession,
        user: UserId,
        kept: Option<SessionId>,
    ) -> mongodb::error::Result<()> {
        let mut theirs = doc! { "user": user, "revoked_at": Bson::Null };
        if let Some(kept) = kept {
            theirs.insert("_id", doc! { "$ne": kept });
        }
        let ended = self.documents.update_many(theirs, ending());
        ended.session(session).await.map(|_| ())
    }

    /// Ends every sign-in of a person who is removed, and forgets devices and addresses. The documents
    /// stay until no access token can live, for nodes that start meanwhile. Index used: `user_last_used`.
    pub(super) async fn erase_in(
        &self,
        session: &mut ClientSession,
        user: UserId,
    ) -> mongodb::error::Result<()> {
        let erase = doc! { "$set": {
            "revoked_at": { "$ifNull": ["$revoked_at", "$$NOW"] },
            "expires_at": { "$add": ["$$NOW", millis(self.revocations.keep())] },
            "user_agent": Bson::Null,
            "ip": Bson::Null,
        } };
        let erased = self
            .documents
            .update_many(doc! { "user": user }, vec![erase]);
        erased.session(session).await.map(|_| ())
    }

    /// Refuses the access tokens of what has just ended for `user`, without waiting for the feed.
    pub(super) async fn refuse_ended(&self, user: UserId) -> Result<(), StoreError> {
        let ended = self.ended_lately(doc! { "user": user }).await?;
        self.revocations.add(ended);
        Ok(())
    }

    /// Reads every sign-in whose access tokens may outlive it. Index used: `revoked`.
    pub(super) async fn load_ended(&self) -> Result<(), StoreError> {
        let ended = self.ended_lately(Document::new()).await?;
        self.revocations.add(ended);
        Ok(())
    }

    async fn ended_lately(&self, mut filter: Document) -> Result<Vec<SessionId>, StoreError> {
        let since = doc! { "$subtract": ["$$NOW", millis(self.revocations.keep())] };
        filter.insert("revoked_at", doc! { "$type": "date" });
        filter.insert("$expr", doc! { "$gt": ["$revoked_at", since] });
        let ended = self.ids.find(filter).projection(doc! { "_id": 1 });
        let rows: Vec<Id> = ended.await?.try_collect().await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Id {
    #[serde(rename = "_id")]
    id: SessionId,
}
