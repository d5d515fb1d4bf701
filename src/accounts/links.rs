//! Single-use links in e-mails: confirm an e-mail, set a new password.
//!
//! The database holds who a link is for and until when, under an id; the token that the mail carries is
//! the id with a code over it under a key of the server. So neither the links nor the outbox give a token
//! away, and the relay makes the token when it sends ([`Links::token`]).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bson::{Document, doc};
use mongodb::{ClientSession, Collection};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{Email, mac::Key};
use crate::{
    id::{LinkId, UserId},
    mongo::{Mongo, StoreError, schema},
};

const COLLECTION: &str = "account_links";
/// The longest token that is looked at.
const MAX_TOKEN: usize = 128;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkPurpose {
    /// To confirm that the e-mail is the person's.
    VerifyEmail,
    /// To set a new password.
    ResetPassword,
}

impl LinkPurpose {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }

    /// How long the link works.
    #[must_use]
    pub const fn life(self) -> Duration {
        match self {
            Self::VerifyEmail => Duration::from_hours(7 * 24),
            Self::ResetPassword => Duration::from_hours(1),
        }
    }
}

/// A link that was sent and not used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Link {
    #[serde(rename = "_id")]
    pub id: LinkId,
    pub user: UserId,
    pub email: Email,
    pub purpose: LinkPurpose,
}

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: vec![
            schema::Index::on("user", doc! { "user": 1, "purpose": 1 }),
            schema::Index::expiring("expiry", "expires_at", 0),
        ],
        validator: None,
    }
}

/// The links.
#[derive(Clone)]
pub(super) struct Links {
    documents: Collection<Link>,
    key: Key,
}

impl Links {
    pub(super) fn new(mongo: &Mongo, secret: &SecretString) -> Self {
        Self {
            documents: mongo.database().collection(COLLECTION),
            key: Key::derive("bodega account link 1", secret.expose_secret().as_bytes()),
        }
    }

    /// The token that the mail of a link carries.
    pub(super) fn token(&self, link: LinkId, purpose: LinkPurpose) -> SecretString {
        let id = link.object_id().bytes();
        let code = self.key.mac(&[&id, purpose.as_str().as_bytes()]);
        format!("{link}.{}", URL_SAFE_NO_PAD.encode(code)).into()
    }

    /// Reads a token; `None` for what was never sent for this purpose.
    pub(super) fn read(&self, token: &SecretString, purpose: LinkPurpose) -> Option<LinkId> {
        let token = token.expose_secret();
        let (id, code) = token.split_once('.').filter(|_| token.len() <= MAX_TOKEN)?;
        let id: LinkId = id.parse().ok()?;
        let code = URL_SAFE_NO_PAD
            .decode(code)
            .ok()
            .filter(|code| code.len() == 32)?;
        let parts: [&[u8]; 2] = [&id.object_id().bytes(), purpose.as_str().as_bytes()];
        self.key.matches(&parts, &code).then_some(id)
    }

    /// Makes a link; older ones of the user for the same purpose stop working. Index used: `user`.
    pub(super) async fn make(
        &self,
        user: UserId,
        email: &Email,
        purpose: LinkPurpose,
    ) -> Result<LinkId, StoreError> {
        let older = doc! { "user": user, "purpose": purpose.as_str() };
        self.documents.delete_many(older).await?;
        let id = LinkId::new();
        let life = i64::try_from(purpose.life().as_millis()).unwrap_or(i64::MAX);
        let made = doc! { "$set": {
            "user": user,
            "email": { "$literal": email.as_str() },
            "purpose": purpose.as_str(),
            "created_at": "$$NOW",
            "expires_at": { "$add": ["$$NOW", life] },
        } };
        let made = self.documents.update_one(doc! { "_id": id }, vec![made]);
        made.upsert(true).await?;
        Ok(id)
    }

    fn live(id: LinkId, purpose: LinkPurpose) -> Document {
        doc! {
            "_id": id,
            "purpose": purpose.as_str(),
            "$expr": { "$gt": ["$expires_at", "$$NOW"] },
        }
    }

    /// The link, if it still works. Index used: `_id`.
    pub(super) async fn find(
        &self,
        id: LinkId,
        purpose: LinkPurpose,
    ) -> Result<Option<Link>, StoreError> {
        Ok(self.documents.find_one(Self::live(id, purpose)).await?)
    }

    /// Uses the link up; `None` when it does not work any more. Index used: `_id`.
    pub(super) async fn spend_in(
        &self,
        session: &mut ClientSession,
        id: LinkId,
        purpose: LinkPurpose,
    ) -> mongodb::error::Result<Option<Link>> {
        let spent = self.documents.find_one_and_delete(Self::live(id, purpose));
        spent.session(session).await
    }

    /// Uses the link up. Index used: `_id`.
    pub(super) async fn spend(&self, id: LinkId) -> Result<(), StoreError> {
        self.documents.delete_one(doc! { "_id": id }).await?;
        Ok(())
    }

    /// Ends the links of `user` for `purpose`. Index used: `user`.
    pub(super) async fn erase_in(
        &self,
        session: &mut ClientSession,
        user: UserId,
        purpose: LinkPurpose,
    ) -> mongodb::error::Result<()> {
        let theirs = doc! { "user": user, "purpose": purpose.as_str() };
        let gone = self.documents.delete_many(theirs);
        gone.session(session).await.map(|_| ())
    }

    /// Removes every link of `user`. Index used: `user`.
    pub(super) async fn erase_all_in(
        &self,
        session: &mut ClientSession,
        user: UserId,
    ) -> mongodb::error::Result<()> {
        let gone = self.documents.delete_many(doc! { "user": user });
        gone.session(session).await.map(|_| ())
    }
}
