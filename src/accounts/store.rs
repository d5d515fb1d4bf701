//! Users in MongoDB.

use bson::{Document, doc};
use mongodb::{ClientSession, Collection, options::ReturnDocument};

use super::{Email, Role, User, error::AccountError, password::PasswordHash};
use crate::{
    id::UserId,
    mongo::{Mongo, StoreError, is_duplicate_key, schema, to_array},
};

const COLLECTION: &str = "users";

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: vec![schema::Index::unique("email", doc! { "email": 1 })],
        validator: Some(doc! {
            "bsonType": "object",
            "required": ["email", "password_hash", "role", "addresses", "version", "created_at", "updated_at"],
            "properties": {
                "email": { "bsonType": "string" },
                "password_hash": { "bsonType": "string" },
                "role": { "enum": ["customer", "staff", "admin"] },
                "version": { "bsonType": "long", "minimum": 1 },
            },
        }),
    }
}

/// The users.
#[derive(Debug, Clone)]
pub(super) struct Users {
    documents: Collection<User>,
}

/// What a change that clients see adds.
fn seen(set: Document) -> Document {
    doc! { "$set": set, "$inc": { "version": 1_i64 }, "$currentDate": { "updated_at": true } }
}

impl Users {
    pub(super) fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(COLLECTION),
        }
    }

    /// Adds a user; `EmailTaken` where another has the e-mail. Index used: `email`.
    pub(super) async fn insert(&self, user: &User) -> Result<(), AccountError> {
        match self.documents.insert_one(user).await {
            Ok(_) => Ok(()),
            Err(error) if is_duplicate_key(&error) => Err(AccountError::EmailTaken),
            Err(error) => Err(error.into()),
        }
    }

    /// Index used: `email`.
    pub(super) async fn by_email(&self, email: &Email) -> Result<Option<User>, StoreError> {
        let email = doc! { "email": email.as_str() };
        Ok(self.documents.find_one(email).await?)
    }

    /// Index used: `_id`.
    pub(super) async fn by_id(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.documents.find_one(doc! { "_id": id }).await?)
    }

    /// Saves what the user says about himself, over the version that `next` was made from; `None` when
    /// another writer was first. Index used: `_id`.
    pub(super) async fn save_profile(&self, next: &User) -> Result<Option<User>, StoreError> {
        let unchanged = doc! { "_id": next.id, "version": long(next.version) };
        let profile = doc! {
            "name": next.name.as_deref(),
            "phone": next.phone.as_deref(),
            "addresses": to_array(&next.addresses)?,
            "marketing_consent": next.marketing_consent,
        };
        let saved = self
            .documents
            .find_one_and_update(unchanged, seen(profile))
            .return_document(ReturnDocument::After);
        Ok(saved.await?)
    }

    /// Replaces the hash by another of the same password; nothing happens where the password was changed
    /// meanwhile. Index used: `_id`.
    pub(super) async fn renew_hash(
        &self,
        user: &User,
        new: &PasswordHash,
    ) -> Result<(), StoreError> {
        let unchanged = doc! { "_id": user.id, "password_version": long(user.password_version) };
        let renew = doc! { "$set": { "password_hash": new.as_str() } };
        self.documents.update_one(unchanged, renew).await?;
        Ok(())
    }

    /// Sets a new password in the place of the one that `user` was read with; `false` when that was
    /// replaced meanwhile. Index used: `_id`.
    pub(super) async fn change_password_in(
        &self,
        session: &mut ClientSession,
        user: &User,
        new: &PasswordHash,
    ) -> mongodb::error::Result<bool> {
        let unchanged = doc! { "_id": user.id, "password_version": long(user.password_version) };
        let change = doc! {
            "$set": { "password_hash": new.as_str() },
            "$inc": { "password_version": 1_i64 },
        };
        let changed = self
            .documents
            .update_one(unchanged, change)
            .session(session);
        Ok(changed.await?.matched_count == 1)
    }

    /// Sets the password by an e-mailed link, which shows that the e-mail is the person's. Index used: `_id`.
    pub(super) async fn reset_password_in(
        &self,
        session: &mut ClientSession,
        user: UserId,
        new: &PasswordHash,
    ) -> mongodb::error::Result<()> {
        let reset = doc! {
            "$set": { "password_hash": new.as_str(), "email_verified": true },
            "$inc": { "password_version": 1_i64, "version": 1_i64 },
            "$currentDate": { "updated_at": true },
        };
        let reset = self.documents.update_one(doc! { "_id": user }, reset);
        reset.session(session).await.map(|_| ())
    }

    /// Notes that mail to `email` reaches the user. Index used: `_id`.
    pub(super) async fn verify_email(&self, user: UserId, email: &Email) -> Result<(), StoreError> {
        let unverified = doc! { "_id": user, "email": email.as_str(), "email_verified": false };
        let verified = seen(doc! { "email_verified": true });
        self.documents.update_one(unverified, verified).await?;
        Ok(())
    }

    /// Sets the role. Index used: `_id`.
    pub(super) async fn set_role(&self, user: UserId, role: Role) -> Result<(), StoreError> {
        let set = doc! { "role": role.as_str() };
        self.documents
            .update_one(doc! { "_id": user }, seen(set))
            .await?;
        Ok(())
    }

    /// Lets the user sign in, or not any more. Index used: `_id`.
    pub(super) async fn set_enabled(&self, user: UserId, enabled: bool) -> Result<(), StoreError> {
        let change = if enabled {
            doc! { "$unset": { "disabled_at": "" } }
        } else {
            doc! { "$currentDate": { "disabled_at": true } }
        };
        self.documents
            .update_one(doc! { "_id": user }, change)
            .await?;
        Ok(())
    }

    /// Removes the person. Index used: `_id`.
    pub(super) async fn delete_in(
        &self,
        session: &mut ClientSession,
        user: UserId,
    ) -> mongodb::error::Result<()> {
        let gone = self.documents.delete_one(doc! { "_id": user });
        gone.session(session).await.map(|_| ())
    }
}

/// A version as stored; versions never leave the range of the database's numbers.
fn long(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
