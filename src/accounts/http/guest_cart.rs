//! What was put into a cart before signing in goes along.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::{
    cart::{Carts, forget_guest, shown_guest},
    id::UserId,
    problem::Problem,
};

/// Merges the cart of the guest that the request shows into the user's, and makes the browser forget it where
/// its cookie named that cart: another that it names is still the guest's.
///
/// A cart that cannot be merged now stays the guest's, cookie and all: signing in does not fail over it,
/// and the next sign-in tries again.
///
/// # Errors
/// When the answer cannot carry the cookie, which is our fault.
pub(super) async fn adopt(
    request: &HttpRequest,
    user: UserId,
    answer: &mut HttpResponse,
) -> Result<(), Problem> {
    let (Some(guest), Some(carts)) = (shown_guest(request), request.app_data::<web::Data<Carts>>())
    else {
        return Ok(());
    };
    match carts.merge(&guest, user).await {
        Ok(()) if guest.is_by_cookie() => answer
            .add_cookie(&forget_guest(carts))
            .map_err(|error| Problem::internal(error.to_string())),
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::warn!(user.id = %user, %error, "a guest's cart was not merged");
            Ok(())
        }
    }
}
