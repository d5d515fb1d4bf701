//! What the law gives a person: a copy of everything held, and erasure.
//!
//! This room erases what it holds at once and leaves a row in `erasures`, in the same transaction. From those
//! rows `my_data` has the other rooms remove the person (orders are kept for the books without them), again and
//! again until nothing can come any more. Their part of the export is added by `my_data` too.

use std::time::Duration;

use bson::{Bson, doc};
use mongodb::{ClientSession, Collection, options::ReturnDocument};
use serde::{Deserialize, Serialize};

use super::{Accounts, Attempt, Principal, Session, User, error::AccountError, handle::Rooms};
use crate::{
    clock::Timestamp,
    id::UserId,
    mongo::{Mongo, StoreError, schema},
};

const COLLECTION: &str = "erasures";
/// How long a claim of a row holds, and how soon it is looked at again while it is not done.
const CLAIM: Duration = Duration::from_secs(10);
/// How long after the first look a row stays open at least: a request that was under way, or another node that
/// had not heard of the end of the sign-in, may have written something meanwhile.
const WATCH: Duration = Duration::from_mins(1);

/// A person who has been removed: the id that other rooms still know, and when. By the database's clock it is
/// also noted when the other rooms were first looked at, when next, and when all was done.
#[derive(Debug, Serialize, Deserialize)]
struct Erasure {
    #[serde(rename = "_id")]
    user: UserId,
    at: Timestamp,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: vec![
            schema::Index::on("at", doc! { "at": 1 }),
            schema::Index::on("open", doc! { "done_at": 1, "due_at": 1 }),
        ],
        validator: None,
    }
}

/// The erasures.
#[derive(Debug, Clone)]
pub(super) struct Erasures {
    documents: Collection<Erasure>,
}

impl Erasures {
    pub(super) fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(COLLECTION),
        }
    }

    async fn note_in(
        &self,
        session: &mut ClientSession,
        user: UserId,
    ) -> mongodb::error::Result<()> {
        let erasure = Erasure {
            user,
            at: Timestamp::now(),
        };
        let noted = self.documents.insert_one(erasure);
        noted.session(session).await.map(|_| ())
    }

    /// Takes the row that is due longest, for [`CLAIM`]. Index used: `open`.
    async fn claim(&self) -> mongodb::error::Result<Option<UserId>> {
        let due = doc! {
            "done_at": Bson::Null,
            "$expr": { "$lte": [{ "$ifNull": ["$due_at", Timestamp::from_millis(0)] }, "$$NOW"] },
        };
        let claim = doc! { "$set": {
            "begun_at": { "$ifNull": ["$begun_at", "$$NOW"] },
            "due_at": { "$add": ["$$NOW", millis(CLAIM)] },
        } };
        let claimed = self
            .documents
            .find_one_and_update(due, vec![claim])
            .sort(doc! { "due_at": 1 })
            .return_document(ReturnDocument::After);
        Ok(claimed.await?.map(|erasure| erasure.user))
    }

    /// Closes a row that was watched for [`WATCH`]; whether it is closed. Index used: `_id`.
    async fn close(&self, user: UserId) -> mongodb::error::Result<bool> {
        let watched = doc! { "$subtract": ["$$NOW", millis(WATCH)] };
        let ripe = doc! {
            "_id": user,
            "done_at": Bson::Null,
            "$expr": { "$lte": ["$begun_at", watched] },
        };
        let done = vec![doc! { "$set": { "done_at": "$$NOW" } }];
        let closed = self.documents.update_one(ripe, done).await?;
        Ok(closed.matched_count == 1)
    }
}

/// Everything this room holds about a person.
#[derive(Debug)]
pub struct Export {
    /// When it was read.
    pub exported_at: Timestamp,
    /// The account.
    pub user: User,
    /// The sign-ins that live.
    pub sessions: Vec<Session>,
}

impl Accounts {
    /// Reads everything that this room holds about `user`.
    ///
    /// # Errors
    /// `SignedOut` where the account is gone.
    pub async fn export(&self, user: UserId) -> Result<Export, AccountError> {
        Ok(Export {
            exported_at: Timestamp::now(),
            user: self.user(user).await?,
            sessions: self.sessions(user).await?,
        })
    }

    /// Removes the person and ends every sign-in; all or nothing.
    ///
    /// # Errors
    /// `InvalidCredentials` where `attempt` is not the password, `Busy`.
    pub(super) async fn erase(
        &self,
        who: &Principal,
        attempt: &Attempt,
    ) -> Result<(), AccountError> {
        let rooms = &self.0;
        let user = self.user(who.user).await?;
        self.check_password(&user, attempt).await?;
        let user = user.id;
        let erased = rooms.mongo.transaction(async |session| {
            rooms.users.delete_in(session, user).await?;
            rooms.forget_in(session, user).await?;
            rooms.erasures.note_in(session, user).await
        });
        erased.await?;
        rooms.erasing.notify_one();
        tracing::info!(user.id = %user, "a person was erased");
        Ok(rooms.sessions.refuse_ended(user).await?)
    }

    /// Waits until somebody is erased at this node.
    pub async fn erasure_wanted(&self) {
        self.0.erasing.notified().await;
    }

    /// Takes a person who is erased and of whom other rooms may hold something yet; for a while, no other node
    /// takes the same.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_erasure(&self) -> Result<Option<UserId>, StoreError> {
        Ok(self.0.erasures.claim().await?)
    }

    /// Removes once more what this room holds about an erased person: what was under way while they were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn erase_again(&self, user: UserId) -> Result<(), StoreError> {
        let rooms = &self.0;
        let erased = rooms
            .mongo
            .transaction(async |session| rooms.forget_in(session, user).await);
        erased.await?;
        rooms.sessions.refuse_ended(user).await
    }

    /// Notes that nobody holds anything about an erased person any more, where that was watched for long enough;
    /// whether it is noted.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn close_erasure(&self, user: UserId) -> Result<bool, StoreError> {
        Ok(self.0.erasures.close(user).await?)
    }
}

impl Rooms {
    /// Removes what stands beside the account: devices and addresses of sign-ins, links, mails.
    async fn forget_in(
        &self,
        session: &mut ClientSession,
        user: UserId,
    ) -> mongodb::error::Result<()> {
        self.sessions.erase_in(session, user).await?;
        self.links.erase_all_in(session, user).await?;
        self.outbox.erase_in(session, user).await
    }
}
