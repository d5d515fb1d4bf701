//! The cart over HTTP.

mod body;
mod change;
mod visitor;

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, post, put, web};
use utoipa_actix_web::service_config::ServiceConfig as Table;

pub use self::change::cart_problem;
pub use self::visitor::{Guest, Visitor, forget_guest, shown_guest};
use self::{
    body::{AddDiscountRequest, AddLineRequest, SetLineRequest},
    change::{change, present, shown, what_is},
    visitor::Expected,
};
use super::{
    Carts,
    model::{CartIntent, Line, Seen},
    view::CartView,
};
use crate::{
    discounts::DiscountCode,
    http::{Body, NOT_KEPT, etag, not_modified},
    id::LineId,
    problem::{Problem, ProblemBody},
};

impl Carts {
    /// The visitor's cart at today's prices; `None` where there is none.
    ///
    /// # Errors
    /// When database or catalogue cannot be read.
    pub async fn shown_to(&self, visitor: &Visitor) -> Result<Option<CartView>, Problem> {
        match present(self, visitor).await? {
            Some(cart) => Ok(Some(self.view(&cart).await?)),
            None => Ok(None),
        }
    }
}

/// Registers the room's routes.
pub fn routes(table: &mut Table) {
    table
        .service(add_line)
        .service(show_cart)
        .service(clear_cart)
        .service(add_discount)
        .service(remove_discount)
        .service(set_line)
        .service(remove_line);
}

/// Puts a variant into the cart, or adds to the line with the same variant and options.
///
/// The price is read from the catalogue, never from the request. More than is in stock may be put in:
/// the line then says `insufficient_stock`, and checkout refuses it. A guest without a cart gets one:
/// its token comes in `X-Cart-Token` and in the cookie `bodega_cart`.
#[utoipa::path(tag = "cart", request_body = AddLineRequest,
    params(("X-Cart-Token" = Option<String>, Header, description = "A guest's cart, for clients without cookies"),
        ("If-Match" = Option<String>, Header, description = "The one version to change")),
    responses(
        (status = OK, body = CartView, headers(("ETag" = String), ("X-Cart-Token" = Option<String>))),
        (status = BAD_REQUEST, body = ProblemBody), (status = UNAUTHORIZED, body = ProblemBody),
        (status = CONFLICT, description = "`cart_full`", body = ProblemBody),
        (status = PRECONDITION_FAILED, description = "`stale_version`, with the present `cart`", body = ProblemBody),
        (status = PAYLOAD_TOO_LARGE, body = ProblemBody), (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    ),
    security((), ("bearer" = [])))]
#[post("/api/cart")]
async fn add_line(
    visitor: Visitor,
    expected: Expected,
    body: Body<AddLineRequest>,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    let request = body.0;
    let offer = carts
        .0
        .offers
        .resolve(request.product_id, request.variant_id);
    let offer = offer.await.map_err(body::unresolved)?;
    if !offer.on_sale || offer.unit_price.currency != carts.0.currency {
        return Err(Problem::field(
            "/productId",
            "unavailable",
            "this product is not on sale",
        ));
    }
    let line = Line {
        id: LineId::new(),
        product: offer.product,
        variant: offer.variant,
        options: body::own_options(request.options.unwrap_or_default(), Some(&offer))?,
        quantity: request.quantity,
        seen: Seen::of(&offer),
    };
    change(&carts, visitor, expected, CartIntent::Add(line)).await
}

/// Shows the cart at today's prices; an empty one, with `id` null and version 0, to a guest who has none.
///
/// `ETag` is the cart's version. What is shown may change without it (prices, stock): only where each line
/// is shown as it was when it last changed is the version that a client names confirmed with 304; any other
/// answer comes whole.
#[utoipa::path(tag = "cart",
    params(("X-Cart-Token" = Option<String>, Header, description = "A guest's cart, for clients without cookies"),
        ("If-None-Match" = Option<String>, Header, description = "The version that the client holds")),
    responses(
        (status = OK, body = CartView, headers(("ETag" = String))),
        (status = NOT_MODIFIED, description = "All that is shown is as it was"),
        (status = UNAUTHORIZED, body = ProblemBody),
    ),
    security((), ("bearer" = [])))]
#[get("/api/cart")]
async fn show_cart(
    request: HttpRequest,
    visitor: Visitor,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    let view = carts.shown_to(&visitor).await?;
    let view = view.unwrap_or_else(|| CartView::nothing(carts.0.currency));
    if view.as_seen && not_modified(request.headers(), &etag(view.version)) {
        let mut unchanged = HttpResponse::NotModified();
        unchanged.insert_header((header::ETAG, etag(view.version)));
        unchanged.insert_header(NOT_KEPT);
        return Ok(unchanged.finish());
    }
    Ok(shown(&view))
}

/// Sets units, options or both of a line; quantity 0 removes it.
///
/// A line whose options become those of another line of its variant takes that line's units in.
#[utoipa::path(tag = "cart", request_body = SetLineRequest,
    params(("itemId" = LineId, Path, description = "The line"),
        ("X-Cart-Token" = Option<String>, Header, description = "A guest's cart, for clients without cookies"),
        ("If-Match" = Option<String>, Header, description = "The one version to change")),
    responses(
        (status = OK, body = CartView, headers(("ETag" = String))),
        (status = BAD_REQUEST, body = ProblemBody), (status = UNAUTHORIZED, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
        (status = PRECONDITION_FAILED, description = "`stale_version`, with the present `cart`", body = ProblemBody),
        (status = PAYLOAD_TOO_LARGE, body = ProblemBody), (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    ),
    security((), ("bearer" = [])))]
#[put("/api/cart/{itemId}")]
async fn set_line(
    visitor: Visitor,
    expected: Expected,
    item: web::Path<LineId>,
    body: Body<SetLineRequest>,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    let (line, request) = (item.into_inner(), body.0);
    let offer = match what_is(&carts, &visitor, line).await? {
        Some((product, variant)) => carts.offer(product, variant).await?,
        None => None,
    };
    let options = request
        .options
        .map(|options| body::own_options(options, offer.as_ref()));
    let intent = CartIntent::SetLine {
        line,
        quantity: request.quantity,
        options: options.transpose()?,
        seen: offer.as_ref().map(Seen::of),
    };
    change(&carts, visitor, expected, intent).await
}

/// Removes a line.
#[utoipa::path(tag = "cart",
    params(("itemId" = LineId, Path, description = "The line"),
        ("X-Cart-Token" = Option<String>, Header, description = "A guest's cart, for clients without cookies"),
        ("If-Match" = Option<String>, Header, description = "The one version to change")),
    responses(
        (status = OK, body = CartView, headers(("ETag" = String))),
        (status = UNAUTHORIZED, body = ProblemBody), (status = NOT_FOUND, body = ProblemBody),
        (status = PRECONDITION_FAILED, description = "`stale_version`, with the present `cart`", body = ProblemBody),
    ),
    security((), ("bearer" = [])))]
#[delete("/api/cart/{itemId}")]
async fn remove_line(
    visitor: Visitor,
    expected: Expected,
    item: web::Path<LineId>,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    let intent = CartIntent::RemoveLine(item.into_inner());
    change(&carts, visitor, expected, intent).await
}

/// Empties the cart, discounts included; where there is none, that is what is shown.
#[utoipa::path(tag = "cart",
    params(("X-Cart-Token" = Option<String>, Header, description = "A guest's cart, for clients without cookies"),
        ("If-Match" = Option<String>, Header, description = "The one version to change")),
    responses(
        (status = OK, body = CartView, headers(("ETag" = String))),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = PRECONDITION_FAILED, description = "`stale_version`, with the present `cart`", body = ProblemBody),
    ),
    security((), ("bearer" = [])))]
#[delete("/api/cart")]
async fn clear_cart(
    visitor: Visitor,
    expected: Expected,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    change(&carts, visitor, expected, CartIntent::Clear).await
}

/// Enters a discount code; one that is in already changes nothing but the version.
///
/// A code that does not apply to the cart as it is now is refused. One that is in stays in, and is judged
/// anew at each reading: while it does not apply it takes nothing off and its `notice` says why.
#[utoipa::path(tag = "cart", request_body = AddDiscountRequest,
    params(("X-Cart-Token" = Option<String>, Header, description = "A guest's cart, for clients without cookies"),
        ("If-Match" = Option<String>, Header, description = "The one version to change")),
    responses(
        (status = OK, body = CartView, headers(("ETag" = String))),
        (status = BAD_REQUEST, body = ProblemBody), (status = UNAUTHORIZED, body = ProblemBody),
        (status = PRECONDITION_FAILED, description = "`stale_version`, with the present `cart`", body = ProblemBody),
        (status = PAYLOAD_TOO_LARGE, body = ProblemBody), (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
        (status = CONFLICT, description = "`discount_not_started`, `discount_expired`, `discount_minimum`, `discount_used_up`, `discount_used_before`, `discount_too_many`", body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, description = "`discount_unknown`, or a rule of the body", body = ProblemBody),
    ),
    security((), ("bearer" = [])))]
#[post("/api/cart/discounts")]
async fn add_discount(
    visitor: Visitor,
    expected: Expected,
    body: Body<AddDiscountRequest>,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    let code = change::judged_code(&carts, &visitor, &expected, &body.0.code).await?;
    change(&carts, visitor, expected, CartIntent::AddDiscount(code)).await
}

/// Takes a discount code out.
#[utoipa::path(tag = "cart",
    params(("code" = String, Path, description = "The code"),
        ("X-Cart-Token" = Option<String>, Header, description = "A guest's cart, for clients without cookies"),
        ("If-Match" = Option<String>, Header, description = "The one version to change")),
    responses(
        (status = OK, body = CartView, headers(("ETag" = String))),
        (status = UNAUTHORIZED, body = ProblemBody), (status = NOT_FOUND, body = ProblemBody),
        (status = PRECONDITION_FAILED, description = "`stale_version`, with the present `cart`", body = ProblemBody),
    ),
    security((), ("bearer" = [])))]
#[delete("/api/cart/discounts/{code}")]
async fn remove_discount(
    visitor: Visitor,
    expected: Expected,
    code: web::Path<String>,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    let code = DiscountCode::parse(&code).ok_or_else(Problem::not_found)?;
    let intent = CartIntent::RemoveDiscount(code);
    change(&carts, visitor, expected, intent).await
}
