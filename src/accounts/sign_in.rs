//! Registering, signing in, refreshing, signing out.

use secrecy::SecretString;

use super::{
    Accounts, Attempt, Device, Email, LinkPurpose, NewPassword, Principal, Role, Session, User,
    error::AccountError,
    refresh::{RefreshToken, Salt},
};
use crate::{
    faults::{Plant, planted},
    id::{SessionId, UserId},
};

/// A user who has just signed in.
pub(super) struct SignedIn {
    pub(super) user: User,
    pub(super) access_token: String,
    /// For the cookie.
    pub(super) refresh_token: SecretString,
}

/// Tokens in the place of spent ones.
pub(super) struct Refreshed {
    pub(super) access_token: String,
    /// For the cookie.
    pub(super) refresh_token: SecretString,
}

impl Accounts {
    /// Makes a customer and signs in. The password is hashed before the e-mail is looked at, so that a
    /// taken one takes as long.
    ///
    /// # Errors
    /// `EmailTaken`, `Busy`.
    pub(super) async fn register(
        &self,
        email: Email,
        password: &NewPassword,
        name: Option<String>,
        device: &Device,
    ) -> Result<SignedIn, AccountError> {
        let user = self
            .create_user(email, password, Role::Customer, name)
            .await?;
        if let Err(error) = self.send_link(&user, LinkPurpose::VerifyEmail).await {
            // The account stands: its owner can sign in, and a password reset confirms the e-mail too.
            tracing::error!(user.id = %user.id, %error, "no mail to confirm an e-mail");
        }
        self.open_session(&user, device).await
    }

    /// Signs in.
    ///
    /// # Errors
    /// `InvalidCredentials`, after the same work for an unknown e-mail, a wrong password and a disabled
    /// user; `Busy`.
    pub(super) async fn login(
        &self,
        email: &Email,
        attempt: &Attempt,
        device: &Device,
    ) -> Result<SignedIn, AccountError> {
        let found = self.0.users.by_email(email).await?;
        let hash = found.as_ref().map(|user| &user.password_hash);
        let fits = self.0.passwords.fits(attempt, hash).await?;
        let outcome = if fits { "accepted" } else { "refused" };
        metrics::counter!("bodega_sign_ins_total", "outcome" => outcome).increment(1);
        let user = found
            .filter(|user| fits && user.is_enabled())
            .ok_or(AccountError::InvalidCredentials)?;
        self.renew_hash(&user, attempt).await?;
        self.open_session(&user, device).await
    }

    /// Brings the stored hash to the configured cost.
    async fn renew_hash(&self, user: &User, attempt: &Attempt) -> Result<(), AccountError> {
        match self.0.passwords.renewed(attempt, &user.password_hash).await {
            Ok(Some(hash)) => Ok(self.0.users.renew_hash(user, &hash).await?),
            // Busy: the next sign-in renews it.
            Ok(None) | Err(AccountError::Busy) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn open_session(
        &self,
        user: &User,
        device: &Device,
    ) -> Result<SignedIn, AccountError> {
        let token = self.0.refresh.first(SessionId::new());
        self.0.sessions.open(user.id, &token, device).await?;
        // Read again now that the session stands: see this room's decisions.
        let present = self.0.users.by_id(user.id).await?;
        let unchanged = |present: &User| {
            present.is_enabled() && present.password_version == user.password_version
        };
        let Some(user) = present.filter(unchanged) else {
            self.0.sessions.discard(token.session()).await?;
            return Err(AccountError::InvalidCredentials);
        };
        self.0.sessions.end_surplus(user.id).await?;
        tracing::info!(user.id = %user.id, session.id = %token.session(), "signed in");
        Ok(SignedIn {
            access_token: self.sign(&user, token.session())?,
            refresh_token: token.encode(),
            user,
        })
    }

    fn sign(&self, user: &User, session: SessionId) -> Result<String, AccountError> {
        let signed = self.0.tokens.sign(user.id, session, user.role);
        signed.map_err(AccountError::Signing)
    }

    /// Exchanges a refresh token for its successor and an access token.
    ///
    /// Whoever comes first puts the successor in its place; those who come with the same token within the
    /// grace time are given the same successor. After that the token is in the wrong hands, or its
    /// successor is: the sign-in ends.
    ///
    /// # Errors
    /// `SignedOut` for a token that was never issued or whose sign-in has ended, `TokenReused`.
    pub(super) async fn refresh(
        &self,
        token: &str,
        device: &Device,
    ) -> Result<Refreshed, AccountError> {
        let keys = &self.0.refresh;
        let spent = keys.read(token).ok_or(AccountError::SignedOut)?;
        let salt = Salt::random();
        let next = keys.successor(&spent, salt);
        let rotated = self.0.sessions.rotate(&spent, &next, salt, device).await?;
        let (session, next) = match rotated {
            Some(session) => (session, next),
            None => self.present_successor(&spent).await?,
        };
        let user = self.0.users.by_id(session.user).await?;
        let Some(user) = user.filter(User::is_enabled) else {
            self.0.sessions.end(session.id).await?;
            return Err(AccountError::SignedOut);
        };
        Ok(Refreshed {
            access_token: self.sign(&user, session.id)?,
            refresh_token: next.encode(),
        })
    }

    /// The successor that a racing request was given for `spent`; otherwise the family ends.
    async fn present_successor(
        &self,
        spent: &RefreshToken,
    ) -> Result<(Session, RefreshToken), AccountError> {
        let sessions = &self.0.sessions;
        if let Some(session) = sessions.within_grace(spent).await?
            && let Some(salt) = session.salt()
        {
            return Ok((session, self.0.refresh.successor(spent, salt)));
        }
        let session = sessions.by_id(spent.session()).await?;
        let session = session.ok_or(AccountError::SignedOut)?;
        if session.lives_by(spent) {
            // Its last token: the sign-in has ended or expired.
            return Err(AccountError::SignedOut);
        }
        if !planted(Plant::FamilyKept) {
            sessions.end(session.id).await?;
        }
        metrics::counter!("bodega_refresh_tokens_reused_total").increment(1);
        tracing::warn!(user.id = %session.user, session.id = %session.id,
            "a spent refresh token was presented; the sign-in has been ended");
        Err(AccountError::TokenReused)
    }

    /// Ends the sign-ins of an access token and of a refresh token, spent or not; garbage ends nothing.
    ///
    /// # Errors
    /// When the database refuses.
    pub(super) async fn logout(
        &self,
        who: Option<Principal>,
        refresh: Option<&str>,
    ) -> Result<(), AccountError> {
        let by_access = who.map(|who| who.session);
        let by_refresh = refresh.and_then(|token| self.0.refresh.read(token));
        let by_refresh = by_refresh.map(|token| token.session());
        if let Some(session) = by_access {
            self.0.sessions.end(session).await?;
        }
        if let Some(session) = by_refresh.filter(|_| by_refresh != by_access) {
            self.0.sessions.end(session).await?;
        }
        Ok(())
    }

    /// The sign-ins of `user` that live.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) async fn sessions(&self, user: UserId) -> Result<Vec<Session>, AccountError> {
        Ok(self.0.sessions.of_user(user).await?)
    }

    /// Ends one sign-in of `user`.
    ///
    /// # Errors
    /// `NotFound` where it is not the user's, or has ended.
    pub(super) async fn end_session(
        &self,
        user: UserId,
        session: SessionId,
    ) -> Result<(), AccountError> {
        if self.0.sessions.end_of(user, session).await? {
            Ok(())
        } else {
            Err(AccountError::NotFound)
        }
    }
}
