//! Idempotency keys: the same key with the same body runs once and replays its first answer.
//!
//! A record is written before the work begins and holds the id that the work will create, so that a
//! run cut short by a crash is taken up again rather than repeated. Only success is kept: a refusal
//! has changed nothing and is judged anew. Records live seven days, longer than any client retries.

use std::{future::Future, time::Duration};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::Payload,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue},
    },
};
use bson::{Bson, Document, doc, oid::ObjectId};
use futures_util::TryStreamExt;
use mongodb::{Collection, options::ReturnDocument};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    faults::{Plant, Point, crash_point, planted},
    id::UserId,
    mongo::{Mongo, StoreError, confirmed, is_duplicate_key, lease::holding, schema, to_document},
    problem::{Code, Problem},
};

/// Seconds that a record lives.
const LIFE_SECONDS: u32 = 7 * 24 * 3600;
/// How long a run's lock holds without being renewed: one that was cut short may be taken up again after
/// that, under the same key. By the database's clock.
const LOCK: Duration = Duration::from_secs(10);
/// How often the lock is renewed while the work goes on: several times while it holds.
const HOLD_EVERY: Duration = Duration::from_secs(3);
/// The longest key a client may send.
const MAX_KEY: usize = 255;

/// What the `Idempotency-Key` header says; absent means that the client takes no such care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(Option<String>);

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        std::future::ready(read_key(request).map(Self))
    }
}

fn read_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .map(str::trim)
        .filter(|key| (1..=MAX_KEY).contains(&key.len()));
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        Problem::field(
            "/Idempotency-Key",
            "length",
            format!("1 to {MAX_KEY} visible ASCII characters"),
        )
    })
}

#[derive(Debug, Deserialize)]
struct Record {
    fingerprint: String,
    subject: ObjectId,
    answer: Option<Answer>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    status: u16,
    body: String,
    etag: Option<String>,
}

/// A record with an answer.
#[derive(Debug, Deserialize)]
struct Kept {
    #[serde(rename = "_id")]
    id: String,
    answer: Answer,
}

/// The records, shared by all workers.
#[derive(Debug, Clone)]
pub struct Idempotency {
    records: Collection<Record>,
}

enum Begun {
    Run(ObjectId),
    Replay(Answer),
}

/// The collection of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    vec![schema::Collection {
        name: "idempotency",
        indexes: vec![
            schema::Index::expiring("expiry", "created_at", LIFE_SECONDS),
            schema::Index::on("scope", doc! { "scope": 1 }),
        ],
        validator: None,
    }]
}

impl Idempotency {
    /// Opens the records.
    #[must_use]
    pub fn new(mongo: &Mongo) -> Self {
        Self {
            records: mongo.database().collection("idempotency"),
        }
    }

    /// Runs `work` once for `user`, `scope` and `key`. `work` is handed the id of what it creates: a new
    /// one, or that of the run that was cut short. `request` is whatever tells two requests apart.
    ///
    /// # Errors
    /// 422 `idempotency_key_reused` for another request under the key, 409 `request_in_progress` while
    /// the first runs, and whatever `work` answers.
    pub async fn run<F: Future<Output = Result<HttpResponse, Problem>>>(
        &self,
        user: UserId,
        scope: &str,
        key: &IdempotencyKey,
        request: &impl Serialize,
        work: impl FnOnce(ObjectId) -> F,
    ) -> Result<HttpResponse, Problem> {
        let Some(key) = &key.0 else {
            return work(ObjectId::new()).await;
        };
        let id = format!("{user}:{scope}:{key}");
        let body = serde_json::to_vec(request).map_err(Problem::internal)?;
        let fingerprint = format!("{:x}", Sha256::digest(&body));
        match self.begin(&id, scope, &fingerprint).await? {
            Begun::Replay(answer) => Ok(replay(&answer)),
            Begun::Run(subject) => {
                let work = Box::pin(work(subject));
                match holding(work, HOLD_EVERY, || self.hold(&id)).await {
                    Ok(response) => {
                        crash_point(Point::Response);
                        self.finish(&id, response).await
                    }
                    Err(refused) => {
                        self.unlock(&id).await?;
                        Err(refused)
                    }
                }
            }
        }
    }

    /// Renews the lock of a key.
    async fn hold(&self, id: &str) {
        let hold = vec![doc! { "$set": { "locked_until": from_now(LOCK) } }];
        let own = doc! { "_id": id, "answer": Bson::Null };
        if let Err(error) = self.records.update_one(own, hold).await {
            tracing::warn!(%error, "an idempotency key cannot be held now");
        }
    }

    /// Takes the key, or finds who holds it. Index used: `_id`.
    async fn begin(&self, id: &str, scope: &str, fingerprint: &str) -> Result<Begun, Problem> {
        let subject = ObjectId::new();
        let fresh = doc! {
            "fingerprint": { "$literal": fingerprint },
            "scope": { "$literal": scope },
            "subject": subject,
            "locked_until": from_now(LOCK),
            "answer": Bson::Null,
            "created_at": "$$NOW",
        };
        let whole = vec![doc! { "$replaceWith": { "$cond": [
            { "$eq": [{ "$type": "$subject" }, "missing"] },
            { "$mergeObjects": ["$$ROOT", fresh] },
            "$$ROOT",
        ] } }];
        crash_point(Point::KeyBefore);
        let stored = self.records.update_one(doc! { "_id": id }, whole);
        match stored.upsert(true).await {
            Ok(stored) if stored.upserted_id.is_some() => {
                crash_point(Point::KeyAfter);
                return Ok(Begun::Run(subject));
            }
            Ok(_) => {}
            // Two at the same moment.
            Err(error) if is_duplicate_key(&error) => {}
            Err(error) => return Err(StoreError::from(error).into()),
        }
        // What only this member knows may still be taken back: a primary that was cut off from the others
        // shows what it could not confirm, and must not be made to confirm it by a repeat.
        let held = self
            .records
            .find_one(doc! { "_id": id })
            .read_concern(confirmed())
            .await
            .map_err(StoreError::from)?;
        let Some(held) = held else {
            return Err(in_progress());
        };
        if held.fingerprint != fingerprint && !planted(Plant::FingerprintIgnored) {
            return Err(Problem::new(Code::KeyReused)
                .detail("the key was sent with another body before; use a new key"));
        }
        if let Some(answer) = held.answer {
            return Ok(Begun::Replay(answer));
        }
        // Taken by whoever moves the lock first, and only where the earlier run is over.
        let over = doc! { "_id": id, "answer": Bson::Null, "$or": [
            { "locked_until": Bson::Null },
            { "$expr": { "$lt": ["$locked_until", "$$NOW"] } },
        ] };
        let lock = vec![doc! { "$set": { "locked_until": from_now(LOCK) } }];
        let taken = self
            .records
            .find_one_and_update(over, lock)
            .return_document(ReturnDocument::After);
        match taken.await.map_err(StoreError::from)? {
            Some(record) => Ok(Begun::Run(record.subject)),
            None => Err(in_progress()),
        }
    }

    /// Keeps a success; frees the key after anything else.
    async fn finish(&self, id: &str, response: HttpResponse) -> Result<HttpResponse, Problem> {
        if !response.status().is_success() {
            self.unlock(id).await?;
            return Ok(response);
        }
        let status = response.status();
        let etag = response.headers().get(ETAG).cloned();
        let bytes = response.into_body().try_into_bytes();
        let bytes =
            bytes.map_err(|_streamed| Problem::internal("a streamed answer cannot be replayed"))?;
        let answer = Answer {
            status: status.as_u16(),
            body: String::from_utf8(bytes.to_vec()).map_err(Problem::internal)?,
            etag: etag.and_then(|tag| tag.to_str().map(str::to_owned).ok()),
        };
        let stored = to_document(&answer)?;
        let set = doc! { "$set": { "answer": stored, "locked_until": Bson::Null } };
        self.records
            .update_one(doc! { "_id": id }, set)
            .await
            .map_err(StoreError::from)?;
        Ok(rebuild(&answer))
    }

    /// Forgets every key of a user who is removed, with its answer. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn erase_person(&self, user: UserId) -> Result<(), StoreError> {
        // Every id that begins with the user's and a colon: `;` comes after it.
        let theirs = doc! { "_id": { "$gte": format!("{user}:"), "$lt": format!("{user};") } };
        self.records.delete_many(theirs).await?;
        Ok(())
    }

    /// Rewrites the kept answers of everybody's keys of `scope` as `rewrite` says; `None` leaves one as it is.
    /// Index used: `scope`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn rewrite(
        &self,
        scope: &str,
        rewrite: impl Fn(&str) -> Option<String> + Send,
    ) -> Result<(), StoreError> {
        let kept = doc! { "scope": scope, "answer": { "$ne": Bson::Null } };
        let kept = self.records.clone_with_type::<Kept>().find(kept).await?;
        let kept: Vec<Kept> = kept.try_collect().await?;
        for record in kept {
            if let Some(body) = rewrite(&record.answer.body) {
                let set = doc! { "$set": { "answer.body": body } };
                self.records
                    .update_one(doc! { "_id": record.id }, set)
                    .await?;
            }
        }
        Ok(())
    }

    async fn unlock(&self, id: &str) -> Result<(), StoreError> {
        let set: Document = doc! { "$set": { "locked_until": Bson::Null } };
        self.records
            .update_one(doc! { "_id": id, "answer": Bson::Null }, set)
            .await?;
        Ok(())
    }
}

/// The moment `life` from now, by the database's clock.
fn from_now(life: Duration) -> Document {
    let millis = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
    doc! { "$add": ["$$NOW", millis] }
}

fn in_progress() -> Problem {
    Problem::new(Code::RequestInProgress)
        .detail("the first request with this key still runs")
        .retry_after(Duration::from_secs(1))
}

fn rebuild(answer: &Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, "application/json"));
    if let Some(tag) = &answer.etag {
        response.insert_header((ETAG, tag.as_str()));
    }
    response.body(answer.body.clone())
}

fn replay(answer: &Answer) -> HttpResponse {
    let mut response = rebuild(answer);
    let name = HeaderName::from_static("idempotency-replayed");
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static("true"));
    response
}
