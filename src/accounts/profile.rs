//! What users say about themselves.

use super::{Accounts, ProfileChange, User, error::AccountError};
use crate::{http::IfMatch, id::UserId};

/// Tries before a profile that others keep changing is given up.
const TRIES: u32 = 16;

impl Accounts {
    /// Applies `change` to the user's profile, over whatever version `condition` allows.
    ///
    /// # Errors
    /// `SignedOut` where the account is gone, `Stale`, an address fault, `Busy` under constant change.
    pub(super) async fn change_profile(
        &self,
        user: UserId,
        condition: IfMatch,
        change: &ProfileChange,
    ) -> Result<User, AccountError> {
        for _ in 0..TRIES {
            let present = self.user(user).await?;
            if !condition.allows(present.version) {
                return Err(AccountError::Stale {
                    present: present.version,
                });
            }
            let next = present.with_profile(change)?;
            if next == present {
                return Ok(present);
            }
            if let Some(saved) = self.0.users.save_profile(&next).await? {
                return Ok(saved);
            }
        }
        Err(AccountError::Busy)
    }
}
