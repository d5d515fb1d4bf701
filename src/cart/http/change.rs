//! From a command to its answer.

use std::sync::Arc;

use actix_web::{HttpResponse, http::header};

use super::visitor::{self, Expected, Visitor};
use crate::{
    cart::{
        CartError, Carts, buyer_of,
        model::{Cart, CartIntent, CartRefusal, Command, MAX_LINES, MAX_QUANTITY, Owner, cart_of},
        token::GuestToken,
        view::CartView,
    },
    discounts::{self, DiscountCode, Obstacle},
    http::{NOT_KEPT, etag},
    id::{CartId, LineId, ProductId, VariantId},
    money::Money,
    problem::{Code, Problem},
};

pub(super) fn shown(view: &CartView) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::ETAG, etag(view.version)))
        .insert_header(NOT_KEPT)
        .json(view)
}

/// The cart that the visitor has or may have, and as whose.
fn named(visitor: &Visitor) -> Option<(CartId, Owner)> {
    match visitor {
        Visitor::User(user) => Some((cart_of(*user), Owner::User)),
        Visitor::Guest(guest) => Some((guest.token.cart, guest.token.owner())),
        Visitor::Nobody => None,
    }
}

/// The visitor's cart as the database has it.
pub(super) async fn present(
    carts: &Carts,
    visitor: &Visitor,
) -> Result<Option<Arc<Cart>>, Problem> {
    let Some((id, owner)) = named(visitor) else {
        return Ok(None);
    };
    let found = carts.find(id).await.map_err(cart_problem)?;
    Ok(match found {
        Some(cart) => Some(cart).filter(|cart| cart.owner == owner),
        None if owner == Owner::User => Some(Arc::new(Cart::empty(id, owner))),
        None => None,
    })
}

/// What a line of the visitor's cart is of; without reading where the cart's session knows it.
pub(super) async fn what_is(
    carts: &Carts,
    visitor: &Visitor,
    line: LineId,
) -> Result<Option<(ProductId, VariantId)>, Problem> {
    let Some((id, owner)) = named(visitor) else {
        return Ok(None);
    };
    if let Some(known) = carts.0.directory.what_is(id, owner, line).await {
        return Ok(Some(known));
    }
    let cart = present(carts, visitor).await?;
    let lines = cart.iter().flat_map(|cart| &cart.items);
    let mut found = lines.filter(|held| held.id == line);
    Ok(found.next().map(|held| (held.product, held.variant)))
}

/// The code that `text` names, unless it would take nothing off the visitor's cart as it is now; what becomes
/// of it later is said at each reading. Of a cart that is not as expected nothing is judged.
pub(super) async fn judged_code(
    carts: &Carts,
    visitor: &Visitor,
    expected: &Expected,
    text: &str,
) -> Result<DiscountCode, Problem> {
    let cart = present(carts, visitor).await?;
    let version = cart.as_ref().map_or(0, |cart| cart.version);
    if !expected.allows(version) {
        return Err(stale(carts, cart.as_deref()).await?);
    }
    let code = DiscountCode::parse(text).ok_or(Obstacle::Unknown)?;
    let buyer = cart.as_ref().and_then(|cart| buyer_of(cart));
    let subtotal = match cart {
        Some(cart) => carts.view(&cart).await?.subtotal,
        None => Money::zero(carts.0.currency),
    };
    let codes = std::slice::from_ref(&code);
    let book = carts.0.discounts.book(codes, buyer).await?;
    let standing = book.get(&code).ok_or(Obstacle::Unknown)?;
    standing.allows(subtotal)?;
    Ok(code)
}

/// 412 with the cart as it is.
async fn stale(carts: &Carts, present: Option<&Cart>) -> Result<Problem, Problem> {
    let view = match present {
        Some(cart) => carts.view(cart).await?,
        None => CartView::nothing(carts.0.currency),
    };
    let detail = format!("the present version is {}", view.version);
    Ok(Problem::new(Code::Stale).detail(detail).with("cart", &view))
}

/// Applies `intent` to the visitor's cart. A guest's cart is made when something is put in; a token that
/// names no cart of the visitor's counts as none, and to empty none is no change.
pub(super) async fn change(
    carts: &Carts,
    visitor: Visitor,
    expected: Expected,
    intent: CartIntent,
) -> Result<HttpResponse, Problem> {
    let command = |owner, makes, intent| Command {
        owner,
        makes,
        expected: expected.0.clone(),
        intent,
    };
    let empty = match &visitor {
        Visitor::User(user) => Some(Cart::empty(cart_of(*user), Owner::User)),
        Visitor::Guest(_) | Visitor::Nobody => None,
    };
    let begins = matches!(intent, CartIntent::Add(_) | CartIntent::AddDiscount(_));
    let empties = matches!(intent, CartIntent::Clear);
    let new = |intent| async {
        if !begins {
            return Err(CartError::Refused {
                refusal: CartRefusal::Gone,
                present: None,
            });
        }
        let token = GuestToken::new();
        let made = carts
            .apply(token.cart, command(token.owner(), true, intent))
            .await?;
        Ok((made, Some((token, true))))
    };
    let done = match visitor {
        Visitor::User(user) => {
            let done = carts
                .apply(cart_of(user), command(Owner::User, true, intent))
                .await;
            done.map(|cart| (cart, None))
        }
        Visitor::Guest(guest) => {
            let token = guest.token;
            let done = carts
                .apply(token.cart, command(token.owner(), false, intent.clone()))
                .await;
            match done {
                Err(CartError::Refused {
                    refusal: CartRefusal::Gone,
                    ..
                }) => new(intent).await,
                done => done.map(|cart| (cart, guest.by_cookie.then_some((token, false)))),
            }
        }
        Visitor::Nobody => new(intent).await,
    };
    match done {
        Ok((cart, token)) => {
            let mut response = shown(&carts.view(&cart).await?);
            if let Some((token, is_new)) = token {
                visitor::hand_over(carts, &token, is_new, &mut response)?;
            }
            Ok(response)
        }
        Err(CartError::Refused {
            refusal: CartRefusal::Gone,
            ..
        }) if empties => {
            if expected.allows(0) {
                Ok(shown(&CartView::nothing(carts.0.currency)))
            } else {
                Err(stale(carts, None).await?)
            }
        }
        Err(CartError::Refused {
            refusal: CartRefusal::Stale,
            present,
        }) => Err(stale(carts, present.as_deref().or(empty.as_ref())).await?),
        Err(error) => Err(cart_problem(error)),
    }
}

/// The answer to a command that came to nothing.
#[must_use]
pub fn cart_problem(error: CartError) -> Problem {
    let second = std::time::Duration::from_secs(1);
    match error {
        CartError::Refused { refusal, .. } => refused(&refusal),
        CartError::Busy => Problem::new(Code::Busy)
            .detail("too many changes wait for this cart; nothing was changed")
            .retry_after(second),
        CartError::Closing => Problem::new(Code::Unavailable)
            .detail("the shop is closing here; nothing was changed")
            .retry_after(second),
        CartError::Unavailable => Problem::new(Code::Unavailable).retry_after(second),
        CartError::Store(error) if error.outcome_unknown() => Problem::new(Code::Unavailable)
            .retry_after(second)
            .caused_by(error.to_string()),
        CartError::Store(error) => Problem::internal(error.to_string()),
        CartError::Unknown(_) => Problem::new(Code::Unavailable)
            .detail(
                "it is not known whether the change was made: read the cart before you repeat it",
            )
            .retry_after(second)
            .caused_by(error),
        CartError::Interrupted => Problem::internal(error),
    }
}

fn refused(refusal: &CartRefusal) -> Problem {
    match refusal {
        CartRefusal::Gone | CartRefusal::LineNotFound | CartRefusal::DiscountNotFound => {
            Problem::not_found()
        }
        CartRefusal::Stale => Problem::new(Code::Stale),
        CartRefusal::Quantity => Problem::field(
            "/quantity",
            "range",
            format!("a line has 1 to {MAX_QUANTITY} units"),
        ),
        CartRefusal::Full => {
            Problem::new(Code::CartFull).detail(format!("a cart has at most {MAX_LINES} lines"))
        }
        CartRefusal::TooManyDiscounts => discounts::too_many(),
    }
}
