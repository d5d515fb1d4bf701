//! E-mails to users, as they leave this room: to the outbox, from which a relay sends them later.

use bson::{Bson, doc};
use futures_util::future::BoxFuture;
use mongodb::{ClientSession, Collection};
use serde::{Deserialize, Serialize};

use super::{Email, LinkPurpose};
use crate::{
    clock::Timestamp,
    id::{LinkId, UserId},
    mongo::{Mongo, StoreError, schema},
};

const COLLECTION: &str = "outbox_mail";
/// Seconds after which a mail that was sent, or that nobody sent, is forgotten.
const KEPT_SECONDS: u32 = 14 * 24 * 3600;

/// A mail to be sent: what it is about, not its text, so that no token is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// To whom.
    pub user: UserId,
    /// Where to.
    pub to: Email,
    /// What for.
    pub purpose: LinkPurpose,
    /// The link it carries; `Accounts::link_token` gives its token.
    pub link: LinkId,
}

/// Takes mails off this room's hands.
pub trait Mailer: Send + Sync {
    /// Takes `mail` over, durably.
    fn post<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// The outbox: mails wait in MongoDB until a relay has sent them.
#[derive(Debug, Clone)]
pub struct MailOutbox {
    documents: Collection<Waiting>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    /// The link's id: a mail a link.
    #[serde(rename = "_id")]
    link: LinkId,
    user: UserId,
    to: Email,
    purpose: LinkPurpose,
    created_at: Timestamp,
    sent_at: Option<Timestamp>,
}

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: vec![
            schema::Index::on("unsent", doc! { "sent_at": 1, "created_at": 1 }),
            schema::Index::on("user", doc! { "user": 1 }),
            schema::Index::expiring("expiry", "created_at", KEPT_SECONDS),
        ],
        validator: None,
    }
}

impl MailOutbox {
    /// Opens the outbox.
    #[must_use]
    pub fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(COLLECTION),
        }
    }

    /// Mails that were not sent yet, oldest first. Index used: `unsent`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unsent(&self, most: i64) -> Result<Vec<Mail>, StoreError> {
        use futures_util::TryStreamExt;
        let waiting = self
            .documents
            .find(doc! { "sent_at": Bson::Null })
            .sort(doc! { "created_at": 1 })
            .limit(most);
        let waiting: Vec<Waiting> = waiting.await?.try_collect().await?;
        let mails = waiting.into_iter().map(|row| Mail {
            user: row.user,
            to: row.to,
            purpose: row.purpose,
            link: row.link,
        });
        Ok(mails.collect())
    }

    /// Removes every mail to `user`. Index used: `user`.
    pub(super) async fn erase_in(
        &self,
        session: &mut ClientSession,
        user: UserId,
    ) -> mongodb::error::Result<()> {
        let gone = self.documents.delete_many(doc! { "user": user });
        gone.session(session).await.map(|_| ())
    }
}

impl Mailer for MailOutbox {
    fn post<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let waiting = Waiting {
                link: mail.link,
                user: mail.user,
                to: mail.to.clone(),
                purpose: mail.purpose,
                created_at: Timestamp::now(),
                sent_at: None,
            };
            self.documents.insert_one(waiting).await?;
            let (user, purpose) = (mail.user, mail.purpose.as_str());
            tracing::info!(user.id = %user, mail.purpose = purpose, "mail waits in the outbox");
            Ok(())
        })
    }
}
