//! Tickets: how a browser, which cannot send a header with a WebSocket, shows who it is, without a token
//! in a URL that is logged.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bson::doc;
use mongodb::Collection;
use rand::Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    accounts::{Principal, Role},
    clock::Timestamp,
    id::{SessionId, UserId},
    mongo::{Mongo, StoreError, schema, to_document},
};

/// The name of the collection.
const COLLECTION: &str = "tickets";
/// Life of a ticket.
pub(super) const LIFE: Duration = Duration::from_secs(30);
/// Characters of a ticket: 32 bytes in base64url.
const LENGTH: usize = 43;

/// What a ticket stands for. Only the hash of the ticket is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    user: UserId,
    session: SessionId,
    role: Role,
    token_expires_at: Timestamp,
}

/// The tickets, shared by all nodes.
#[derive(Debug, Clone)]
pub struct Tickets {
    documents: Collection<Holder>,
}

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: vec![schema::Index::expiring("expiry", "expires_at", 0)],
        validator: None,
    }
}

fn hash(ticket: &str) -> String {
    format!("{:x}", Sha256::digest(ticket.as_bytes()))
}

impl Tickets {
    /// Opens the tickets.
    #[must_use]
    pub fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(COLLECTION),
        }
    }

    /// Makes a ticket for `principal`, good for one connection within [`LIFE`] by the database's clock.
    /// Index used: `_id`.
    pub(super) async fn issue(&self, principal: &Principal) -> Result<String, StoreError> {
        let mut secret = [0_u8; 32];
        rand::rng().fill(&mut secret);
        let ticket = URL_SAFE_NO_PAD.encode(secret);
        let mut holder = to_document(&Holder {
            user: principal.user,
            session: principal.session,
            role: principal.role,
            token_expires_at: principal.expires_at,
        })?;
        let life = i64::try_from(LIFE.as_millis()).unwrap_or(i64::MAX);
        holder.insert("expires_at", doc! { "$add": ["$$NOW", life] });
        self.documents
            .update_one(doc! { "_id": hash(&ticket) }, vec![doc! { "$set": holder }])
            .upsert(true)
            .await?;
        Ok(ticket)
    }

    /// Takes a ticket, which is then used up; `None` where there is none such, or no more.
    /// Index used: `_id`.
    pub(super) async fn redeem(&self, ticket: &str) -> Result<Option<Principal>, StoreError> {
        if ticket.len() != LENGTH {
            return Ok(None);
        }
        let living = doc! { "_id": hash(ticket), "$expr": { "$gt": ["$expires_at", "$$NOW"] } };
        let holder = self.documents.find_one_and_delete(living).await?;
        Ok(holder.map(|holder| Principal {
            user: holder.user,
            session: holder.session,
            role: holder.role,
            expires_at: holder.token_expires_at,
        }))
    }
}
