//! The files of imports, kept in the database until the import is over: any node can go on with one.

use std::{io, path::Path};

use bson::{Binary, doc, oid::ObjectId, spec::BinarySubtype};
use futures_util::TryStreamExt;
use mongodb::Collection;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ImportError, jobs::LIFE_SECONDS};
use crate::{
    clock::Timestamp,
    id::ImportId,
    mongo::{Mongo, StoreError, is_duplicate_key, schema},
};

const NAME: &str = "import_files";
/// Bytes of a piece.
const PIECE: usize = 1024 * 1024;

/// A piece of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Piece {
    #[serde(rename = "_id")]
    id: ObjectId,
    job: ImportId,
    number: i64,
    bytes: Binary,
    at: Timestamp,
}

/// The files.
#[derive(Debug, Clone)]
pub(super) struct Files {
    documents: Collection<Piece>,
}

pub(in crate::catalog) fn collection() -> schema::Collection {
    schema::Collection {
        name: NAME,
        indexes: vec![
            schema::Index::unique("piece", doc! { "job": 1, "number": 1 }),
            schema::Index::expiring("expiry", "at", LIFE_SECONDS),
        ],
        validator: None,
    }
}

impl Files {
    pub(super) fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(NAME),
        }
    }

    /// Keeps a file, piece by piece; pieces that are kept already stay. Its bytes. Index used: `piece`.
    pub(super) async fn keep(&self, job: ImportId, path: &Path) -> Result<u64, ImportError> {
        let mut file = tokio::fs::File::open(path).await?;
        let (mut number, mut total) = (0, 0);
        loop {
            let mut bytes = Vec::with_capacity(PIECE);
            let limit = u64::try_from(PIECE).unwrap_or(u64::MAX);
            (&mut file).take(limit).read_to_end(&mut bytes).await?;
            if bytes.is_empty() {
                return Ok(total);
            }
            total += u64::try_from(bytes.len()).unwrap_or_default();
            let piece = Piece {
                id: ObjectId::new(),
                job,
                number,
                bytes: Binary {
                    subtype: BinarySubtype::Generic,
                    bytes,
                },
                at: Timestamp::now(),
            };
            match self.documents.insert_one(piece).await {
                Ok(_) => {}
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(StoreError::from(error).into()),
            }
            number += 1;
        }
    }

    /// Writes a kept file to `path`; its bytes. Index used: `piece`.
    pub(super) async fn fetch(&self, job: ImportId, path: &Path) -> Result<u64, ImportError> {
        let found = self.documents.find(doc! { "job": job });
        let found = found.sort(doc! { "number": 1 }).batch_size(4);
        let mut pieces = found.await.map_err(StoreError::from)?;
        let mut file = tokio::fs::File::create(path).await?;
        let mut total = 0;
        while let Some(piece) = pieces.try_next().await.map_err(StoreError::from)? {
            total += u64::try_from(piece.bytes.bytes.len()).unwrap_or_default();
            file.write_all(&piece.bytes.bytes).await?;
        }
        file.flush().await?;
        Ok(total)
    }

    /// Forgets a file. Index used: `piece`.
    pub(super) async fn forget(&self, job: ImportId) -> Result<(), StoreError> {
        self.documents.delete_many(doc! { "job": job }).await?;
        Ok(())
    }
}

/// A file of this process that is removed when it is not needed any more.
pub(super) struct Scratch(std::path::PathBuf);

impl Scratch {
    /// A name that no other has.
    pub(super) fn new() -> Self {
        let name = format!("bodega-import-{}", ImportId::new());
        Self(std::env::temp_dir().join(name))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "an imported file is left behind"),
        }
    }
}
