//! Uploaded pictures: checked by content, named by it, kept in a folder or a bucket, served by the shop.
//!
//! A picture is never changed. Its name is the digest of its bytes, so that the same picture is kept once and caches
//! may keep it for ever. It is removed when no product and no order has shown it for a while (`sweep`).

mod check;
mod folder;
mod http;
mod known;
mod s3;
mod sweep;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr, sync::Arc};

use actix_web::web::Bytes;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

pub(super) use check::Kind;
use check::Refusal;
use folder::Folder;
pub(super) use http::routes;
pub(super) use known::{KnownImages, collection};
use s3::S3;
#[cfg(test)]
pub(super) use sweep::sweep;
pub use sweep::{ImageSweeper, Showing};

use super::import::hex;
use crate::{
    config::ImagesConfig,
    mongo::StoreError,
    problem::{Code, Problem},
};

/// Bytes of a SHA-256 digest.
const DIGEST: usize = 32;

/// Where pictures are kept.
trait ImageStore: fmt::Debug + Send + Sync {
    /// Keeps a picture; it is on disk once this is answered. A repeat writes it again: it may be about to be removed.
    fn put<'a>(
        &'a self,
        name: &'a ImageName,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<(), ImagesError>>;

    /// The picture of that name.
    fn get<'a>(&'a self, name: &'a ImageName) -> BoxFuture<'a, Result<Option<Bytes>, ImagesError>>;

    /// Removes a picture; one that is not there is removed.
    fn remove<'a>(&'a self, name: &'a ImageName) -> BoxFuture<'a, Result<(), ImagesError>>;
}

/// The store of pictures does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// The folder.
    #[error("the folder: {0}")]
    Folder(#[from] std::io::Error),
    /// The bucket cannot be reached, or the connection broke.
    #[error("the bucket: {0}")]
    Bucket(reqwest::Error),
    /// The bucket answers something else than it should.
    #[error("the bucket answers {0}")]
    Answer(reqwest::StatusCode),
    /// The list of what is kept.
    #[error(transparent)]
    Known(#[from] StoreError),
}

impl From<reqwest::Error> for ImagesError {
    /// The address of a request is signed, and good for all who read it.
    fn from(error: reqwest::Error) -> Self {
        Self::Bucket(error.without_url())
    }
}

impl From<ImagesError> for Problem {
    fn from(error: ImagesError) -> Self {
        Self::new(Code::Unavailable)
            .detail("the store of images does not answer")
            .caused_by(error)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Other(_) => Code::UnsupportedMediaType,
            Refusal::Unknown | Refusal::Damaged(_) | Refusal::Markup => Code::ImageInvalid,
            Refusal::Size { .. } => Code::ImageTooLarge,
        };
        Self::new(code).detail(refusal.to_string())
    }
}

/// A picture's name: the digest of its bytes and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ImageName {
    digest: String,
    kind: Kind,
}

impl ImageName {
    fn of(bytes: &[u8], kind: Kind) -> Self {
        Self {
            digest: hex(&Sha256::digest(bytes), DIGEST),
            kind,
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.digest, self.kind.extension())
    }
}

impl FromStr for ImageName {
    type Err = ();

    /// Takes what `Display` writes and nothing else: a name is part of a path.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (digest, extension) = text.split_once('.').ok_or(())?;
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digest.len() != DIGEST * 2 || !digest.bytes().all(digit) {
            return Err(());
        }
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.extension() == extension);
        Ok(Self {
            digest: digest.to_owned(),
            kind: kind.ok_or(())?,
        })
    }
}

/// The pictures of the shop; cheap to clone.
#[derive(Debug, Clone)]
pub struct Images {
    store: Arc<dyn ImageStore>,
    max_bytes: usize,
    max_side: usize,
}

impl Images {
    /// Opens the bucket where one is configured, otherwise the folder.
    ///
    /// # Errors
    /// When there can be no client for the bucket.
    pub fn open(config: &ImagesConfig) -> Result<Self, ImagesError> {
        let store: Arc<dyn ImageStore> = match config.bucket() {
            Some(bucket) => Arc::new(S3::new(bucket, config)?),
            None => Arc::new(Folder::new(config.dir.clone())),
        };
        Ok(Self {
            store,
            max_bytes: config.max_bytes(),
            max_side: usize::try_from(config.max_side).unwrap_or(usize::MAX),
        })
    }

    /// Checks that `bytes` are the picture that they are said to be; without what follows it.
    async fn checked(&self, mut bytes: Bytes, said: Kind) -> Result<(ImageName, Bytes), Problem> {
        let most = self.max_side;
        // Milliseconds for a large picture: not on a thread that answers others.
        let checked = tokio::task::spawn_blocking(move || {
            bytes.truncate(check::extent(&bytes, said, most)?);
            Ok::<_, Refusal>((ImageName::of(&bytes, said), bytes))
        });
        Ok(checked.await.map_err(Problem::internal)??)
    }
}
