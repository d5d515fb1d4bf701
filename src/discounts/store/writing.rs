//! Staff's changes of codes, each in one transaction with its entry in the audit log.
//!
//! A use that is claimed meanwhile makes the transaction begin anew; claims themselves are never part of one.

use bson::doc;
use mongodb::options::ReturnDocument;
use serde_json::{Value, json};

use super::{DiscountDocument, Discounts};
use crate::{
    audit::{Action, Actor, Entry, Subject, difference},
    clock::Timestamp,
    discounts::model::{Discount, DiscountCode, Kind, Rules},
    http::IfMatch,
    mongo::{StoreError, to_document},
};

/// Why a code is not written.
#[derive(Debug, thiserror::Error)]
pub(in crate::discounts) enum WriteError {
    /// The code exists.
    #[error("the code exists")]
    Taken,
    /// There is none.
    #[error("no such code")]
    NotFound,
    /// The rules are at this version.
    #[error("the rules are at version {0}")]
    Stale(u64),
    /// It was used, or a checkout is about to.
    #[error("the code was used")]
    InUse,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The version that was to be changed is not there; ends the transaction.
#[derive(Debug, Clone, Copy)]
struct Missed;

/// Rules as the audit log compares them: in the words of the API.
fn form(rules: Option<&Rules>) -> Value {
    let Some(rules) = rules else {
        return Value::Null;
    };
    let (basis_points, amount) = match rules.kind {
        Kind::Percent(basis_points) => (Some(basis_points), None),
        Kind::Fixed(amount) => (None, Some(amount)),
    };
    let mut form = json!({
        "basisPoints": basis_points,
        "amount": amount,
        "minimumSubtotal": rules.minimum,
        "limit": rules.limit,
        "limitPerUser": rules.limit_per_user,
        "startsAt": rules.starts_at,
        "endsAt": rules.ends_at,
        "active": rules.active,
    });
    if let Some(members) = form.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    form
}

fn entry(
    by: Actor,
    action: Action,
    code: &DiscountCode,
    (before, after): (Option<&Rules>, Option<&Rules>),
) -> Entry {
    let subject = (Subject::Discount, code.to_string(), code.to_string());
    let changes = difference(&form(before), &form(after));
    Entry::new(by, action, subject, changes)
}

impl Discounts {
    /// Makes a code.
    pub(in crate::discounts) async fn create(
        &self,
        code: DiscountCode,
        rules: Rules,
        by: Actor,
    ) -> Result<Discount, WriteError> {
        let now = Timestamp::now();
        let told = entry(by, Action::Created, &code, (None, Some(&rules)));
        let document = DiscountDocument {
            code,
            rules,
            used: 0,
            claims: Vec::new(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let made = self.mongo.transaction(async |session| {
            let made = self.documents.insert_one(&document);
            made.session(&mut *session).await?;
            self.audit.write_in(session, &told).await
        });
        match made.await {
            Ok(()) => Ok(document.into()),
            Err(error) if error.is_duplicate_key() => Err(WriteError::Taken),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces a code's rules over a version that `seen` names. Uses that are claimed stay claimed.
    /// Index used: `_id`.
    pub(in crate::discounts) async fn replace(
        &self,
        code: &DiscountCode,
        rules: &Rules,
        seen: IfMatch,
        by: Actor,
    ) -> Result<Discount, WriteError> {
        let mut unmoved = doc! { "_id": code };
        if let IfMatch::OneOf(versions) = seen {
            let versions = versions.into_iter().filter_map(|v| i64::try_from(v).ok());
            let versions: Vec<i64> = versions.collect();
            unmoved.insert("version", doc! { "$in": versions });
        }
        let update = doc! {
            "$set": { "rules": to_document(rules)? },
            "$inc": { "version": 1_i64 },
            "$currentDate": { "updated_at": true },
        };
        let written = self.mongo.transaction(async |session| {
            let before = self.documents.find_one(unmoved.clone());
            let before = before.session(&mut *session).await?;
            let before = before.ok_or_else(|| StoreError::abort(Missed))?;
            let after = self
                .documents
                .find_one_and_update(unmoved.clone(), update.clone())
                .return_document(ReturnDocument::After);
            let after = after.session(&mut *session).await?;
            let after = after.ok_or_else(|| StoreError::abort(Missed))?;
            let rules = (Some(&before.rules), Some(&after.rules));
            let told = entry(by, Action::Updated, code, rules);
            self.audit.write_in(session, &told).await?;
            Ok(after)
        });
        match written.await {
            Ok(document) => Ok(document.into()),
            Err(error) if error.aborted::<Missed>().is_some() => {
                Err(match self.find(code).await? {
                    Some(present) => WriteError::Stale(present.version),
                    None => WriteError::NotFound,
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a code that was never used: what was used stays for the books. Index used: `_id`.
    pub(in crate::discounts) async fn remove(
        &self,
        code: &DiscountCode,
        seen: IfMatch,
        by: Actor,
    ) -> Result<(), WriteError> {
        let found = self.find(code).await?.ok_or(WriteError::NotFound)?;
        if !seen.allows(found.version) {
            return Err(WriteError::Stale(found.version));
        }
        let version = i64::try_from(found.version).unwrap_or(i64::MAX);
        let unused =
            doc! { "_id": code, "version": version, "used": 0_i64, "claims": { "$size": 0 } };
        let told = entry(by, Action::Deleted, code, (Some(&found.rules), None));
        let removed = self.mongo.transaction(async |session| {
            let removed = self.documents.delete_one(unused.clone());
            if removed.session(&mut *session).await?.deleted_count != 1 {
                return Err(StoreError::abort(Missed));
            }
            self.audit.write_in(session, &told).await
        });
        match removed.await {
            Ok(()) => Ok(()),
            Err(error) if error.aborted::<Missed>().is_some() => {
                Err(match self.find(code).await? {
                    Some(now) if now.version == found.version => WriteError::InUse,
                    Some(now) => WriteError::Stale(now.version),
                    None => WriteError::NotFound,
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}
