//! The room's endpoints: `/api/auth/...`.

mod cookie;
mod data_rights;
mod guest_cart;
mod origin;
mod password;
mod profile;
mod sessions;
mod sign_in;
mod view;

use std::time::Duration;

use actix_web::{HttpRequest, http::header::USER_AGENT, web};
use utoipa_actix_web::service_config::ServiceConfig;

pub use data_rights::ExportView;
pub use origin::OwnPage;
pub use view::UserView;

use super::{AccountError, AddressFault, Device};
use crate::{
    http::TrustedProxies,
    problem::{Code, Problem},
};

/// The most characters of a client's name for itself that are kept.
const MAX_USER_AGENT: usize = 300;
/// When a caller who came at a busy moment may try again.
const BUSY: Duration = Duration::from_secs(2);

/// Registers the room's routes.
pub fn routes(table: &mut ServiceConfig) {
    table
        .service(sign_in::register)
        .service(sign_in::login)
        .service(sign_in::refresh)
        .service(sign_in::logout)
        .service(profile::get_profile)
        .service(profile::put_profile)
        .service(sessions::list_sessions)
        .service(sessions::end_session)
        .service(password::change_password)
        .service(password::forgot_password)
        .service(password::reset_password)
        .service(password::verify_email)
        .service(data_rights::erase_account);
}

/// Where `request` comes from.
fn device(request: &HttpRequest, proxies: &TrustedProxies) -> Device {
    let user_agent = request
        .headers()
        .get(USER_AGENT)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    Device {
        user_agent: user_agent.map(|text| text.chars().take(MAX_USER_AGENT).collect()),
        ip: Some(proxies.client_of(request.head()).ip().to_string()),
    }
}

/// What handlers that open or use sign-ins need of the shop.
type Proxies = web::Data<TrustedProxies>;

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::EmailTaken => Self::new(Code::EmailTaken),
            AccountError::InvalidCredentials => Self::new(Code::InvalidCredentials),
            AccountError::SignedOut => Self::new(Code::InvalidToken),
            AccountError::TokenReused => {
                Self::new(Code::TokenReused).detail("the sign-in has been ended; sign in again")
            }
            AccountError::LinkSpent => {
                Self::field("/token", "spent", "the link was used or has expired")
            }
            AccountError::Stale { present } => {
                Self::new(Code::Stale).detail(format!("the present version is {present}"))
            }
            AccountError::Address(fault) => address_fault(fault),
            AccountError::NotFound => Self::not_found(),
            AccountError::Busy => Self::new(Code::Busy).retry_after(BUSY),
            AccountError::Signing(problem) => problem,
            AccountError::HashingFailed | AccountError::Bcrypt(_) => Self::internal(error),
            AccountError::Store(error) => error.into(),
        }
    }
}

fn address_fault(fault: AddressFault) -> Problem {
    let (pointer, code) = match fault {
        AddressFault::TooMany => ("/addresses".to_owned(), "length"),
        AddressFault::TwoDefaults { index } => {
            (format!("/addresses/{index}/isDefault"), "second_default")
        }
        AddressFault::UnknownId { index } => (format!("/addresses/{index}/id"), "unknown_id"),
        AddressFault::RepeatedId { index } => (format!("/addresses/{index}/id"), "repeated_id"),
    };
    Problem::field(pointer, code, fault.to_string())
}
