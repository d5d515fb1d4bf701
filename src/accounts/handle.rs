//! The room's handle: what it is made of, and what runs behind it.

use std::{sync::Arc, time::Duration};

use bson::Bson;
use tokio::sync::{Notify, Semaphore};

use super::{
    Email, MailOutbox, Mailer, NewPassword, Role, Tokens, User,
    data_rights::Erasures,
    error::AccountError,
    links::Links,
    password::Passwords,
    refresh::RefreshKeys,
    sessions::{self, Sessions},
    store::Users,
};
use crate::{
    clock::Timestamp,
    config::AuthConfig,
    id::{SessionId, UserId},
    mongo::{
        Mongo, StoreError,
        feed::{Change, ChangeKind, Fed, Feed, Subscription},
    },
};

/// Mails that may be under way to the outbox at once.
const MAILS_AT_ONCE: usize = 64;
/// Pause before the ended sign-ins are read again after a failure.
const RELOAD_PAUSE: Duration = Duration::from_millis(500);

/// The accounts, shared by all workers.
#[derive(Clone)]
pub struct Accounts(pub(super) Arc<Rooms>);

/// What the room is made of.
pub(super) struct Rooms {
    pub(super) mongo: Mongo,
    pub(super) users: Users,
    pub(super) sessions: Sessions,
    pub(super) links: Links,
    pub(super) outbox: MailOutbox,
    pub(super) mailer: Arc<dyn Mailer>,
    pub(super) mailing: Arc<Semaphore>,
    pub(super) erasures: Erasures,
    /// Rings when somebody was erased.
    pub(super) erasing: Notify,
    pub(super) passwords: Passwords,
    pub(super) refresh: RefreshKeys,
    pub(super) tokens: Tokens,
}

impl Accounts {
    /// Opens the room; `tokens` are those that requests are read with.
    #[must_use]
    pub fn new(mongo: &Mongo, tokens: &Tokens, config: &AuthConfig) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let outbox = MailOutbox::new(mongo);
        Self(Arc::new(Rooms {
            users: Users::new(mongo),
            sessions: Sessions::new(
                mongo,
                tokens.revocations().clone(),
                seconds(config.refresh_seconds),
                seconds(config.refresh_grace_seconds),
            ),
            links: Links::new(mongo, &config.jwt_secret),
            mailer: Arc::new(outbox.clone()),
            outbox,
            mailing: Arc::new(Semaphore::new(MAILS_AT_ONCE)),
            erasures: Erasures::new(mongo),
            erasing: Notify::new(),
            passwords: Passwords::new(config.bcrypt_cost),
            refresh: RefreshKeys::new(&config.jwt_secret),
            tokens: tokens.clone(),
            mongo: mongo.clone(),
        }))
    }

    /// Learns of sign-ins that ended lately, and from now on of those that end on any node.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn follow(&self, feed: &Feed) -> Result<(), StoreError> {
        // Subscribed before reading, so that nothing falls between.
        let subscription = feed.subscribe();
        self.0.sessions.load_ended().await?;
        let (sessions, tokens) = (self.0.sessions.clone(), self.0.tokens.clone());
        tokio::spawn(follow(subscription, sessions, tokens));
        Ok(())
    }

    /// The user with this id.
    ///
    /// # Errors
    /// `SignedOut` where there is none: the caller's account is gone.
    pub async fn user(&self, id: UserId) -> Result<User, AccountError> {
        let user = self.0.users.by_id(id).await?;
        user.ok_or(AccountError::SignedOut)
    }

    /// The user with this e-mail.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn find_user(&self, email: &Email) -> Result<Option<User>, AccountError> {
        Ok(self.0.users.by_email(email).await?)
    }

    /// Makes a user with any role, for operators.
    ///
    /// # Errors
    /// `EmailTaken`.
    pub async fn create_user(
        &self,
        email: Email,
        password: &NewPassword,
        role: Role,
        name: Option<String>,
    ) -> Result<User, AccountError> {
        let now = Timestamp::now();
        let user = User {
            id: UserId::new(),
            email,
            email_verified: false,
            password_hash: self.0.passwords.hash(password).await?,
            password_version: 1,
            name,
            phone: None,
            role,
            addresses: Vec::new(),
            marketing_consent: false,
            disabled_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        self.0.users.insert(&user).await?;
        Ok(user)
    }

    /// Gives a user another role and ends the user's sign-ins, whose tokens name the old one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn set_role(&self, user: UserId, role: Role) -> Result<(), AccountError> {
        self.0.users.set_role(user, role).await?;
        Ok(self.0.sessions.end_all(user).await?)
    }

    /// Lets a user sign in again, or not any more; the latter ends the user's sign-ins.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn set_enabled(&self, user: UserId, enabled: bool) -> Result<(), AccountError> {
        self.0.users.set_enabled(user, enabled).await?;
        if !enabled {
            self.0.sessions.end_all(user).await?;
        }
        Ok(())
    }
}

/// Follows the feed until it stops.
async fn follow(mut feed: Subscription, sessions: Sessions, tokens: Tokens) {
    while let Some(fed) = feed.next().await {
        match fed {
            Fed::Change(change) => tokens.revocations().add(ended_by(&change)),
            Fed::Lost => {
                while let Err(error) = sessions.load_ended().await {
                    tracing::warn!(%error, "ended sign-ins cannot be read yet");
                    tokio::time::sleep(RELOAD_PAUSE).await;
                }
            }
        }
    }
}

/// The sign-in that a change ended. A document that is gone counts: it has expired or was removed.
#[must_use]
pub fn ended_by(change: &Change) -> Option<SessionId> {
    if change.collection != sessions::COLLECTION {
        return None;
    }
    let ended = match change.kind {
        ChangeKind::Deleted => true,
        ChangeKind::Updated => change
            .updated
            .as_ref()
            .is_some_and(|fields| fields.contains_key("revoked_at")),
        ChangeKind::Inserted | ChangeKind::Replaced => false,
    };
    let id = Bson::as_object_id(&change.id).filter(|_| ended)?;
    Some(SessionId::from_object_id(id))
}
