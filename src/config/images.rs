//! Where uploaded pictures are kept, and which are taken.

use std::{path::PathBuf, time::Duration};

use rusty_s3::{Bucket, UrlStyle};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::check::{Checked, rule};

/// The most that `max_mib` may be: a picture is held in memory while it is taken and while it is sent.
const MOST_MIB: u32 = 50;
/// The longest side that GIF, and WebP and JPEG nearly, can say.
const LONGEST_SIDE: u32 = 65_535;

/// Uploaded pictures.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesConfig {
    /// Folder of pictures, where there is no bucket.
    pub dir: PathBuf,
    /// The most that a picture may have, in MiB.
    pub max_mib: u32,
    /// The most pixels of a side.
    pub max_side: u32,
    /// Days without use after which a picture is removed; 0: never.
    pub unused_days: u32,
    /// Address of an S3-compatible store; empty: the folder.
    pub s3_endpoint: String,
    /// The bucket.
    pub s3_bucket: String,
    /// Its region, part of each signature.
    pub s3_region: String,
    /// Whether the bucket is named in the path, instead of the host.
    pub s3_path_style: bool,
    /// Who asks.
    pub s3_access_key_id: String,
    /// Signs each request.
    pub s3_secret_access_key: SecretString,
}

impl ImagesConfig {
    /// The most bytes of a picture.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        let mib = usize::try_from(self.max_mib).unwrap_or(usize::MAX);
        mib.saturating_mul(1024 * 1024)
    }

    /// How long a picture is kept that nothing shows; `None`: for good.
    #[must_use]
    pub fn unused(&self) -> Option<Duration> {
        let days = u64::from(self.unused_days);
        (days > 0).then(|| Duration::from_hours(days.saturating_mul(24)))
    }

    /// The bucket; `None` where pictures are kept in the folder, or the address is none.
    #[must_use]
    pub fn bucket(&self) -> Option<Bucket> {
        let endpoint = url::Url::parse(&self.s3_endpoint).ok()?;
        let style = if self.s3_path_style {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        Bucket::new(
            endpoint,
            style,
            self.s3_bucket.clone(),
            self.s3_region.clone(),
        )
        .ok()
    }

    pub(super) fn check(&self) -> Checked {
        rule(
            (1..=MOST_MIB).contains(&self.max_mib),
            "images.max_mib",
            "from 1 to 50",
        )?;
        rule(
            (1..=LONGEST_SIDE).contains(&self.max_side),
            "images.max_side",
            "from 1 to 65535",
        )?;
        if self.s3_endpoint.is_empty() {
            return rule(
                !self.dir.as_os_str().is_empty(),
                "images.dir",
                "must not be empty",
            );
        }
        rule(!self.s3_bucket.is_empty(), "images.s3_bucket", "missing")?;
        rule(!self.s3_region.is_empty(), "images.s3_region", "missing")?;
        rule(
            self.bucket().is_some(),
            "images.s3_endpoint",
            "expected an http(s) URL that the bucket can be reached under",
        )?;
        rule(
            !self.s3_access_key_id.is_empty(),
            "images.s3_access_key_id",
            "missing",
        )?;
        rule(
            !self.s3_secret_access_key.expose_secret().is_empty(),
            "images.s3_secret_access_key",
            "missing",
        )
    }
}
