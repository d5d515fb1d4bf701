//! What the law gives a person: a copy of everything held, and erasure.
//!
//! This room erases what it holds at once and leaves a row in `erasures`, in the same transaction. The
//! rooms that hold more about a user (cart, checkouts, orders) work from those rows: orders are kept for
//! the books without the person. Their part of the export is added by `my_data`.

use bson::doc;
use mongodb::{ClientSession, Collection};
use serde::{Deserialize, Serialize};

use super::{Accounts, Attempt, Principal, Session, User, error::AccountError};
use crate::{
    clock::Timestamp,
    id::UserId,
    mongo::{Mongo, schema},
};

const COLLECTION: &str = "erasures";

/// A person who has been removed: the id that other rooms still know, and when.
#[derive(Debug, Serialize, Deserialize)]
struct Erasure {
    #[serde(rename = "_id")]
    user: UserId,
    at: Timestamp,
}

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: vec![schema::Index::on("at", doc! { "at": 1 })],
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
            rooms.sessions.erase_in(session, user).await?;
            rooms.links.erase_all_in(session, user).await?;
            rooms.outbox.erase_in(session, user).await?;
            rooms.erasures.note_in(session, user).await
        });
        erased.await?;
        tracing::info!(user.id = %user, "a person was erased");
        Ok(rooms.sessions.refuse_ended(user).await?)
    }
}
