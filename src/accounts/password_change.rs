//! New passwords, and the e-mailed links that set one or confirm an e-mail.

use secrecy::SecretString;

use super::{
    Accounts, Attempt, Email, LinkPurpose, Mail, NewPassword, Principal, User, error::AccountError,
};
use crate::{id::LinkId, mongo::StoreError};

/// Ends a transaction whose condition does not hold any more.
#[derive(Debug, Clone, Copy)]
struct Overtaken;

impl Accounts {
    /// Sets a new password and ends the caller's other sign-ins, both or neither.
    ///
    /// # Errors
    /// `InvalidCredentials` where `current` is not the password, `Busy`.
    pub(super) async fn change_password(
        &self,
        who: &Principal,
        current: &Attempt,
        new: &NewPassword,
    ) -> Result<(), AccountError> {
        let rooms = &self.0;
        let user = self.user(who.user).await?;
        self.check_password(&user, current).await?;
        let hash = rooms.passwords.hash(new).await?;
        let changed = rooms.mongo.transaction(async |session| {
            if !rooms
                .users
                .change_password_in(session, &user, &hash)
                .await?
            {
                return Err(StoreError::abort(Overtaken));
            }
            rooms
                .links
                .erase_in(session, user.id, LinkPurpose::ResetPassword)
                .await?;
            rooms
                .sessions
                .end_all_in(session, user.id, Some(who.session))
                .await
        });
        match changed.await {
            Ok(()) => Ok(rooms.sessions.refuse_ended(user.id).await?),
            // Somebody else's new password stands: `current` is not it any more.
            Err(error) if error.aborted::<Overtaken>().is_some() => {
                Err(AccountError::InvalidCredentials)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses a password that is not the user's.
    pub(super) async fn check_password(
        &self,
        user: &User,
        attempt: &Attempt,
    ) -> Result<(), AccountError> {
        if self
            .0
            .passwords
            .fits(attempt, Some(&user.password_hash))
            .await?
        {
            Ok(())
        } else {
            Err(AccountError::InvalidCredentials)
        }
    }

    /// Sends a link to set a new password, where the e-mail has an account that may sign in.
    ///
    /// The work goes on after the answer, so that an e-mail without an account takes the same time; at a
    /// crash in between the person asks again.
    ///
    /// # Errors
    /// `Busy` when too many are under way, whoever they are for.
    pub(super) fn forgot_password(&self, email: Email) -> Result<(), AccountError> {
        let mailing = self.0.mailing.clone();
        let permit = mailing
            .try_acquire_owned()
            .map_err(|_none| AccountError::Busy)?;
        let accounts = self.clone();
        tokio::spawn(async move {
            if let Err(error) = accounts.send_reset_link(&email).await {
                tracing::error!(%error, "no mail to set a new password");
            }
            drop(permit);
        });
        Ok(())
    }

    async fn send_reset_link(&self, email: &Email) -> Result<(), AccountError> {
        match self.0.users.by_email(email).await? {
            Some(user) if user.is_enabled() => {
                self.send_link(&user, LinkPurpose::ResetPassword).await
            }
            Some(_disabled) => Ok(()),
            None => Ok(()),
        }
    }

    /// Makes a link and posts the mail that carries it.
    pub(super) async fn send_link(
        &self,
        user: &User,
        purpose: LinkPurpose,
    ) -> Result<(), AccountError> {
        let link = self.0.links.make(user.id, &user.email, purpose).await?;
        let mail = Mail {
            user: user.id,
            to: user.email.clone(),
            purpose,
            link,
        };
        Ok(self.0.mailer.post(&mail).await?)
    }

    /// The token of a link, for the relay that sends the mail; it is stored nowhere.
    #[must_use]
    pub fn link_token(&self, link: LinkId, purpose: LinkPurpose) -> SecretString {
        self.0.links.token(link, purpose)
    }

    /// Sets a new password by an e-mailed link, confirms the e-mail and ends every sign-in of the user;
    /// all or nothing, once.
    ///
    /// # Errors
    /// `LinkSpent`, `Busy`.
    pub(super) async fn reset_password(
        &self,
        token: &SecretString,
        new: &NewPassword,
    ) -> Result<(), AccountError> {
        let rooms = &self.0;
        let purpose = LinkPurpose::ResetPassword;
        let link = rooms
            .links
            .read(token, purpose)
            .ok_or(AccountError::LinkSpent)?;
        // Looked at before the work of hashing; what decides is the transaction.
        if rooms.links.find(link, purpose).await?.is_none() {
            return Err(AccountError::LinkSpent);
        }
        let hash = rooms.passwords.hash(new).await?;
        let reset = rooms.mongo.transaction(async |session| {
            let spent = rooms.links.spend_in(session, link, purpose).await?;
            let user = spent.ok_or_else(|| StoreError::abort(Overtaken))?.user;
            rooms.users.reset_password_in(session, user, &hash).await?;
            rooms.sessions.end_all_in(session, user, None).await?;
            Ok(user)
        });
        match reset.await {
            Ok(user) => Ok(rooms.sessions.refuse_ended(user).await?),
            Err(error) if error.aborted::<Overtaken>().is_some() => Err(AccountError::LinkSpent),
            Err(error) => Err(error.into()),
        }
    }

    /// Confirms an e-mail by its link. Confirming is idempotent, so the link is removed afterwards.
    ///
    /// # Errors
    /// `LinkSpent`.
    pub(super) async fn verify_email(&self, token: &SecretString) -> Result<(), AccountError> {
        let (links, purpose) = (&self.0.links, LinkPurpose::VerifyEmail);
        let id = links.read(token, purpose).ok_or(AccountError::LinkSpent)?;
        let link = links
            .find(id, purpose)
            .await?
            .ok_or(AccountError::LinkSpent)?;
        self.0.users.verify_email(link.user, &link.email).await?;
        Ok(links.spend(id).await?)
    }
}
