//! Passwords: bcrypt away from the async threads, a bounded number at a time.
//!
//! bcrypt reads 72 bytes at most and stops at NUL, so it is given the base64 text of an HMAC-SHA-256 of
//! the password: 44 bytes in which every byte of the password counts. The HMAC's key is public and fixed:
//! it only makes our inputs differ from other shops' that do the same, so that their leaked hashes cannot
//! be tried here. It is not the token secret, which may change without every password being lost.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bcrypt::HashParts;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;
use validator::{Validate, ValidationError, ValidationErrors};

use super::{error::AccountError, mac::Key};

/// The fewest characters of a new password (NIST SP 800-63B, 5.1.1.1).
pub const MIN_PASSWORD: usize = 8;
/// The most characters of a password, so of at most four times as many bytes.
pub const MAX_PASSWORD: usize = 1_024;
/// Checks that may wait for each core; at cost 12 the last of them waits some four seconds.
const WAITING_PER_CORE: usize = 16;
/// Fixed for ever: another value would make every stored hash useless.
const LABEL: &str = "bodega password 1";

/// A password somebody sent, to be compared with the account's: 1 to 1,024 characters.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Attempt(SecretString);

/// A password to be set: 8 to 1,024 characters.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct NewPassword(SecretString);

fn check_length(secret: &SecretString, min: usize) -> Result<(), ValidationErrors> {
    let text = secret.expose_secret();
    if (min..=MAX_PASSWORD).contains(&text.chars().count()) {
        return Ok(());
    }
    let mut errors = ValidationErrors::new();
    let message = format!("must have from {min} to {MAX_PASSWORD} characters");
    // `__all__` is validator's name for the value itself.
    let error = ValidationError::new("length").with_message(message.into());
    errors.add("__all__", error);
    Err(errors)
}

macro_rules! passwords {
    ($($name:ident: $min:expr;)+) => {$(
        impl $name {
            /// Takes a text; its length is checked by `validate`.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(SecretString::from(text.into()))
            }
        }

        impl Validate for $name {
            fn validate(&self) -> Result<(), ValidationErrors> {
                check_length(&self.0, $min)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(_)"))
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                        utoipa::openapi::KnownFormat::Password,
                    )))
                    .min_length(Some($min))
                    .max_length(Some(MAX_PASSWORD))
                    .examples(["correct horse battery staple"])
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    )+};
}

passwords! {
    Attempt: 1;
    NewPassword: MIN_PASSWORD;
}

/// A bcrypt hash as the database holds it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct PasswordHash(String);

impl PasswordHash {
    /// As stored, for conditions of updates.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn cost(&self) -> Option<u32> {
        HashParts::from_str(&self.0)
            .ok()
            .map(|parts| parts.get_cost())
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(_)")
    }
}

/// What bcrypt is given. NFC: the same letters typed on two systems are one password (RFC 8265, 4.2).
fn prepared(password: &SecretString) -> SecretString {
    let text: String = password.expose_secret().nfc().collect();
    let text = SecretString::from(text);
    let code = Key::of_label(LABEL).mac(&[text.expose_secret().as_bytes()]);
    STANDARD.encode(code).into()
}

/// Hashes and compares passwords; one for all workers.
#[derive(Debug, Clone)]
pub(super) struct Passwords(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    cost: u32,
    /// Compared with where there is no account, so that both take the same time. No password fits it.
    nobody: PasswordHash,
    places: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    runs: AtomicU64,
}

impl Passwords {
    /// A pool of as many threads as cores. `cost` is bcrypt's work factor, 4 to 31.
    pub(super) fn new(cost: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::sized(cost, cores, cores * WAITING_PER_CORE)
    }

    fn sized(cost: u32, cores: usize, waiting: usize) -> Self {
        // Salt and digest of zeros, in bcrypt's base64.
        let nobody = PasswordHash(format!("$2b${cost:02}${}", ".".repeat(53)));
        Self(Arc::new(Pool {
            cost,
            nobody,
            places: Arc::new(Semaphore::new(cores + waiting)),
            cores: Arc::new(Semaphore::new(cores)),
            runs: AtomicU64::new(0),
        }))
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// `Busy` when too many wait.
    pub(super) async fn hash(&self, password: &NewPassword) -> Result<PasswordHash, AccountError> {
        let cost = self.0.cost;
        let input = prepared(&password.0);
        let hashed = self.run(move || bcrypt::hash(input.expose_secret(), cost));
        Ok(PasswordHash(hashed.await??))
    }

    /// Whether `attempt` is the password of `hash`; without a hash never, after the same work.
    ///
    /// # Errors
    /// `Busy` when too many wait.
    pub(super) async fn fits(
        &self,
        attempt: &Attempt,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, AccountError> {
        let input = prepared(&attempt.0);
        let against = hash.unwrap_or(&self.0.nobody).clone();
        let fits = self.run(move || bcrypt::verify(input.expose_secret(), &against.0));
        Ok(fits.await?? && hash.is_some())
    }

    /// Hashes anew a password that fits, where the work factor has been changed since.
    ///
    /// # Errors
    /// `Busy` when too many wait.
    pub(super) async fn renewed(
        &self,
        attempt: &Attempt,
        hash: &PasswordHash,
    ) -> Result<Option<PasswordHash>, AccountError> {
        if hash.cost() == Some(self.0.cost) {
            return Ok(None);
        }
        self.hash(&NewPassword(attempt.0.clone())).await.map(Some)
    }

    /// How often bcrypt has run.
    #[cfg(test)]
    pub(super) fn runs(&self) -> u64 {
        self.0.runs.load(Ordering::SeqCst)
    }

    /// Runs `work` on a thread of its own, when a core is free.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccountError> {
        let busy = |_none| AccountError::Busy;
        let place = self.0.places.clone().try_acquire_owned().map_err(busy)?;
        let core = self.0.cores.clone().acquire_owned().await;
        self.0.runs.fetch_add(1, Ordering::SeqCst);
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            // Only now: a caller that goes away leaves the thread at work.
            drop((place, core));
            done
        });
        done.await.map_err(|_panicked| AccountError::HashingFailed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Passwords {
        Passwords::sized(4, 2, 64)
    }

    #[actix_web::test]
    async fn bytes_after_the_72nd_count() {
        let pool = pool();
        let long = |last: char| format!("{}{last}", "p".repeat(99));
        let hash = pool.hash(&NewPassword::new(long('a'))).await.unwrap();
        assert!(
            pool.fits(&Attempt::new(long('a')), Some(&hash))
                .await
                .unwrap()
        );
        assert!(
            !pool
                .fits(&Attempt::new(long('b')), Some(&hash))
                .await
                .unwrap()
        );
        let cut = long('a')[..72].to_owned();
        assert!(!pool.fits(&Attempt::new(cut), Some(&hash)).await.unwrap());
    }

    #[actix_web::test]
    async fn a_nul_does_not_end_a_password_and_letters_are_composed() {
        let pool = pool();
        let hash = pool
            .hash(&NewPassword::new("caf\u{e9}\0one!"))
            .await
            .unwrap();
        let fits = async |text: &str| pool.fits(&Attempt::new(text), Some(&hash)).await.unwrap();
        assert!(fits("cafe\u{301}\0one!").await);
        assert!(!fits("caf\u{e9}\0two!").await && !fits("caf\u{e9}").await);
    }

    #[actix_web::test]
    async fn nobody_costs_a_run_of_bcrypt_and_never_fits() {
        let pool = pool();
        assert_eq!(pool.0.nobody.cost(), Some(4));
        for attempt in ["password", "", "."] {
            let before = pool.runs();
            assert!(!pool.fits(&Attempt::new(attempt), None).await.unwrap());
            assert_eq!(pool.runs(), before + 1);
        }
    }

    #[actix_web::test]
    async fn a_hash_of_another_cost_is_renewed() {
        let (old, new) = (pool(), Passwords::sized(5, 1, 1));
        let hash = old.hash(&NewPassword::new("a password")).await.unwrap();
        let attempt = Attempt::new("a password");
        assert_eq!(old.renewed(&attempt, &hash).await.unwrap(), None);
        let renewed = new.renewed(&attempt, &hash).await.unwrap().unwrap();
        assert_eq!(renewed.cost(), Some(5));
        assert!(old.fits(&attempt, Some(&renewed)).await.unwrap());
    }

    #[actix_web::test]
    async fn one_more_than_may_wait_is_refused() {
        let pool = Passwords::sized(4, 1, 2);
        let attempt = Attempt::new("a password");
        // Nothing is compared before all have come.
        let core = pool.0.cores.acquire().await.unwrap();
        let tries = (0..20).map(|_| pool.fits(&attempt, None));
        let tries = futures_util::future::join_all(tries);
        let (tries, ()) = futures_util::join!(tries, async { drop(core) });
        let refused = tries
            .iter()
            .filter(|done| matches!(done, Err(AccountError::Busy)));
        assert_eq!(refused.count(), 17);
        assert!(pool.fits(&attempt, None).await.is_ok(), "places come back");
    }

    #[test]
    fn the_length_counts_characters() {
        let ok = |text: String| NewPassword::new(text).validate().is_ok();
        assert!(ok("ä".repeat(8)) && ok("𝒳".repeat(1_024)));
        assert!(!ok("ä".repeat(7)) && !ok("x".repeat(1_025)));
        assert!(Attempt::new("x").validate().is_ok() && Attempt::new("").validate().is_err());
    }
}
