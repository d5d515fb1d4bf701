//! Pictures in a bucket of an S3-compatible store.

use std::time::Duration;

use actix_web::web::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use reqwest::{StatusCode, header::CONTENT_TYPE};
use rusty_s3::{Bucket, Credentials, S3Action};
use secrecy::ExposeSecret;

use super::{ImageName, ImageStore, ImagesError};
use crate::config::ImagesConfig;

/// How long a signed address is good: the time of one request, and clocks that differ.
const SIGNED_FOR: Duration = Duration::from_mins(5);
const CONNECT: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(30);

/// The bucket. Requests are signed in their address (AWS Signature Version 4, "query string").
pub(super) struct S3 {
    http: reqwest::Client,
    bucket: Bucket,
    credentials: Credentials,
    max_bytes: usize,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_tuple("S3").field(&self.bucket.name()).finish()
    }
}

impl S3 {
    pub(super) fn new(bucket: Bucket, config: &ImagesConfig) -> Result<Self, ImagesError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("bodega/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(LONGEST)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let secret = config.s3_secret_access_key.expose_secret();
        Ok(Self {
            http,
            bucket,
            credentials: Credentials::new(config.s3_access_key_id.clone(), secret),
            max_bytes: config.max_bytes(),
        })
    }

    async fn upload(&self, name: &ImageName, bytes: Bytes) -> Result<(), ImagesError> {
        let kind = name.kind.content_type();
        let object = name.to_string();
        let mut action = self.bucket.put_object(Some(&self.credentials), &object);
        action.headers_mut().insert("content-type", kind);
        let request = self.http.put(action.sign(SIGNED_FOR));
        let answer = request
            .header(CONTENT_TYPE, kind)
            .body(bytes)
            .send()
            .await?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(ImagesError::Answer(answer.status()))
        }
    }

    async fn download(&self, name: &ImageName) -> Result<Option<Bytes>, ImagesError> {
        let object = name.to_string();
        let action = self.bucket.get_object(Some(&self.credentials), &object);
        let mut answer = self.http.get(action.sign(SIGNED_FOR)).send().await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            other => return Err(ImagesError::Answer(other)),
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = answer.chunk().await? {
            if bytes.len().saturating_add(chunk.len()) > self.max_bytes {
                // Nothing that was taken is larger: it was put there by others.
                tracing::warn!(%name, "a picture in the bucket is larger than images.max_mib");
                return Err(ImagesError::Answer(StatusCode::PAYLOAD_TOO_LARGE));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes.freeze()))
    }

    async fn delete(&self, name: &ImageName) -> Result<(), ImagesError> {
        let object = name.to_string();
        let action = self.bucket.delete_object(Some(&self.credentials), &object);
        let answer = self.http.delete(action.sign(SIGNED_FOR)).send().await?;
        match answer.status() {
            // S3 does not tell whether there was one.
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Ok(()),
            other => Err(ImagesError::Answer(other)),
        }
    }
}

impl ImageStore for S3 {
    fn put<'a>(
        &'a self,
        name: &'a ImageName,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<(), ImagesError>> {
        Box::pin(self.upload(name, bytes))
    }

    fn get<'a>(&'a self, name: &'a ImageName) -> BoxFuture<'a, Result<Option<Bytes>, ImagesError>> {
        Box::pin(self.download(name))
    }

    fn remove<'a>(&'a self, name: &'a ImageName) -> BoxFuture<'a, Result<(), ImagesError>> {
        Box::pin(self.delete(name))
    }
}
