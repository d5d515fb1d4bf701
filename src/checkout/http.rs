//! The checkout's endpoints, and `POST /api/orders`, the buyer's return.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use super::{
    Checkouting,
    error::{closed_problem, provider_problem},
    model::{Checkout, CheckoutLine, CheckoutStatus, EndReason, SeenCart},
    place::Wish,
    settle::Settled,
    totals::shipping_methods,
};
use crate::{
    accounts::Principal,
    address::PostalAddress,
    cart::{Carts, Visitor},
    catalog::{Image, Options},
    clock::Timestamp,
    config::Config,
    discounts::AppliedDiscount,
    faults::{Plant, planted},
    http::{Body, ClientAddress, Params, RequestId, own_site},
    id::{CheckoutId, LineId, OrderId, ProductId, VariantId},
    idempotency::{Idempotency, IdempotencyKey},
    money::Money,
    orders::Orders,
    problem::{Code, Problem, ProblemBody},
};

/// Registers the room's routes.
pub(super) fn routes(table: &mut ServiceConfig) {
    table
        .service(begin_checkout)
        .service(list_shipping_methods)
        .service(show_checkout)
        .service(cancel_checkout)
        .service(place_order);
}

/// What a buyer saw, where it goes, and how.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CheckoutRequest {
    /// The cart as the buyer saw it.
    #[validate(nested)]
    cart: SeenCartRequest,
    /// Where it goes.
    #[validate(nested)]
    shipping_address: PostalAddress,
    /// Where the invoice goes, when elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(nested)]
    billing_address: Option<PostalAddress>,
    /// The id of a shipping method that serves the address.
    #[validate(length(min = 1, max = 64))]
    #[schema(min_length = 1, max_length = 64)]
    shipping_method: String,
    /// A page of the shop that PayPal sends the buyer to after approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(max = 2_000))]
    #[schema(max_length = 2000)]
    return_url: Option<String>,
    /// A page of the shop that PayPal sends the buyer to who gives up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(max = 2_000))]
    #[schema(max_length = 2000)]
    cancel_url: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SeenCartRequest {
    /// Its version.
    version: u64,
    /// Its lines.
    #[validate(length(max = 200))]
    #[schema(max_items = 200)]
    items: Vec<SeenLine>,
    /// Its total.
    total: Money,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct SeenLine {
    /// The line.
    id: LineId,
    /// Its units.
    quantity: u32,
}

/// A checkout, as its buyer sees it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckoutView {
    id: CheckoutId,
    /// `AwaitingApproval`, `Capturing`, `Completed`, `Cancelled`, `Expired` or `Failed`.
    status: &'static str,
    /// Where the buyer approves the payment; `null` until there is one.
    approve_url: Option<String>,
    /// `paypal`.
    provider: &'static str,
    provider_order_id: Option<String>,
    /// The number that the order will have.
    number: String,
    items: Vec<CheckoutLineView>,
    subtotal: Money,
    /// The discount codes that took something off.
    discounts: Vec<AppliedDiscount>,
    discount_total: Money,
    shipping: Money,
    shipping_method: String,
    tax: Money,
    total: Money,
    shipping_address: PostalAddress,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_address: Option<PostalAddress>,
    /// When the reservation lapses.
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    /// Why it ended without an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<EndReason>,
    /// Whether money that had to go back has: money that no order came of, or that was taken twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded: Option<bool>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct CheckoutLineView {
    id: LineId,
    product_id: ProductId,
    variant_id: VariantId,
    sku: String,
    title: String,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    options: Options,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Image>,
    unit_price: Money,
    quantity: u32,
    line_total: Money,
}

impl From<CheckoutLine> for CheckoutLineView {
    fn from(line: CheckoutLine) -> Self {
        Self {
            id: line.line,
            product_id: line.product,
            variant_id: line.variant,
            sku: line.sku,
            title: line.title,
            options: line.options,
            image: line.image,
            unit_price: line.unit_price,
            quantity: line.quantity,
            line_total: line.line_total,
        }
    }
}

impl From<Checkout> for CheckoutView {
    fn from(checkout: Checkout) -> Self {
        let status = match checkout.status {
            CheckoutStatus::Preparing => CheckoutStatus::AwaitingApproval,
            shown @ (CheckoutStatus::AwaitingApproval
            | CheckoutStatus::Capturing
            | CheckoutStatus::Completed
            | CheckoutStatus::Cancelled
            | CheckoutStatus::Expired
            | CheckoutStatus::Failed) => shown,
        };
        let refunded = checkout.is_refunded();
        Self {
            id: checkout.id,
            status: status.as_str(),
            approve_url: checkout.approve_url,
            provider: "paypal",
            provider_order_id: checkout.provider_order.map(|id| id.as_str().to_owned()),
            number: checkout.number,
            items: checkout.lines.into_iter().map(Into::into).collect(),
            subtotal: checkout.totals.subtotal,
            discounts: checkout.discounts,
            discount_total: checkout.totals.discount,
            shipping: checkout.totals.shipping,
            shipping_method: checkout.shipping.name,
            tax: checkout.totals.tax,
            total: checkout.totals.total,
            shipping_address: checkout.shipping_address,
            billing_address: checkout.billing_address,
            expires_at: checkout.expires_at,
            order_id: checkout.order,
            reason: checkout.reason,
            refunded,
            created_at: checkout.created_at,
            updated_at: checkout.updated_at,
        }
    }
}

/// Begins a checkout of the present cart: stock is held, discounts are claimed, a payment is made for the
/// buyer to approve.
///
/// The body holds what the buyer saw; where it differs from the cart, 409 `cart_changed` with the
/// present cart. An earlier open checkout of the cart is cancelled.
#[utoipa::path(
    tag = "checkout",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body replays the first answer.")),
    request_body = CheckoutRequest,
    responses(
        (status = CREATED, body = CheckoutView),
        (status = BAD_REQUEST, body = ProblemBody),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
        (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
        (status = CONFLICT, description = "`cart_changed`, `cart_empty`, `insufficient_stock`, `discount_used_up`, `discount_used_before`, `discount_expired`, `nothing_to_pay`, `checkout_closed`, `conflict`, `request_in_progress`", body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
        (status = BAD_GATEWAY, body = ProblemBody),
        (status = SERVICE_UNAVAILABLE, body = ProblemBody),
    )
)]
#[post("/api/payment/checkout")]
async fn begin_checkout(
    principal: Principal,
    key: IdempotencyKey,
    body: Body<CheckoutRequest>,
    request: HttpRequest,
    checkouting: web::Data<Checkouting>,
    idempotency: web::Data<Idempotency>,
    config: web::Data<Config>,
) -> Result<HttpResponse, Problem> {
    let body = body.0;
    let pages = ReturnPages::of(&request, &config, &body)?;
    let client = client_digest(ClientAddress::of(&request), &config);
    let run = idempotency.run(principal.user, "checkout", &key, &body, |subject| {
        let id = CheckoutId::from_object_id(subject);
        let wish = Wish {
            user: principal.user,
            client,
            seen: SeenCart {
                version: body.cart.version,
                items: body
                    .cart
                    .items
                    .iter()
                    .map(|line| (line.id, line.quantity))
                    .collect(),
                total: body.cart.total,
            },
            shipping_address: body.shipping_address.clone(),
            billing_address: body.billing_address.clone(),
            shipping_method: body.shipping_method.clone(),
            return_url: pages.after,
            cancel_url: pages.without,
        };
        async move {
            let checkout = checkouting.place(id, &wish).await?;
            Ok(HttpResponse::Created().json(CheckoutView::from(checkout)))
        }
    });
    run.await
}

/// Tells two clients apart without saying who they are: the address itself is not kept.
fn client_digest(client: ClientAddress, config: &Config) -> String {
    let digest = Sha256::new()
        .chain_update("checkout client")
        .chain_update(config.auth.jwt_secret.expose_secret())
        .chain_update(client.network().to_string());
    format!("{:x}", digest.finalize())
}

/// Where PayPal sends the buyer.
struct ReturnPages {
    after: String,
    without: String,
}

impl ReturnPages {
    /// The pages asked for, where they are the shop's own; else as configured; else the storefront's.
    fn of(request: &HttpRequest, config: &Config, body: &CheckoutRequest) -> Result<Self, Problem> {
        let own = own_site(request, &config.server);
        let page = |asked: Option<&String>, configured: &str, path: &str, field: &str| match asked {
            Some(url) if is_own(url, &own, config) => Ok(url.clone()),
            Some(_) => Err(Problem::field(
                field,
                "foreign_origin",
                "expected a page of the shop itself",
            )),
            None if configured.is_empty() => Ok(format!("{own}{path}")),
            None => Ok(configured.to_owned()),
        };
        let paypal = &config.paypal;
        Ok(Self {
            after: page(
                body.return_url.as_ref(),
                &paypal.return_url,
                "/checkout/return",
                "/returnUrl",
            )?,
            without: page(
                body.cancel_url.as_ref(),
                &paypal.cancel_url,
                "/checkout/cancel",
                "/cancelUrl",
            )?,
        })
    }
}

/// Whether `url` is a page of the shop or of a site it allows: anything else would make the shop send its
/// buyers wherever a stranger likes.
fn is_own(url: &str, own: &str, config: &Config) -> bool {
    let Ok(url) = url::Url::parse(url) else {
        return false;
    };
    let origin = url.origin();
    let allowed = config
        .server
        .allowed_origins
        .iter()
        .map(String::as_str)
        .chain([own]);
    let mut allowed = allowed.filter_map(|site| url::Url::parse(site).ok());
    origin.is_tuple() && allowed.any(|site| site.origin() == origin)
}

/// Finds a checkout of the caller's; somebody else's is not found.
async fn own_checkout(
    checkouting: &Checkouting,
    principal: Principal,
    id: CheckoutId,
) -> Result<Checkout, Problem> {
    let checkouts = &checkouting.settlement.checkouts;
    let found = checkouts.find_for_good(id).await?;
    found
        .filter(|checkout| checkout.user == principal.user || planted(Plant::StrangerServed))
        .ok_or_else(Problem::not_found)
}

/// Shows a checkout of the caller's.
#[utoipa::path(
    tag = "checkout",
    security(("bearer" = [])),
    params(("id" = CheckoutId, Path)),
    responses(
        (status = OK, body = CheckoutView),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
    )
)]
#[get("/api/payment/checkout/{id}")]
async fn show_checkout(
    principal: Principal,
    id: web::Path<CheckoutId>,
    checkouting: web::Data<Checkouting>,
) -> Result<web::Json<CheckoutView>, Problem> {
    let checkout = own_checkout(&checkouting, principal, id.into_inner()).await?;
    Ok(web::Json(checkout.into()))
}

/// Ends a checkout and gives its stock back; a repeat changes nothing.
#[utoipa::path(
    tag = "checkout",
    security(("bearer" = [])),
    params(("id" = CheckoutId, Path)),
    responses(
        (status = OK, body = CheckoutView),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
        (status = CONFLICT, description = "`checkout_closed`: money is being taken, or it ended otherwise", body = ProblemBody),
    )
)]
#[post("/api/payment/checkout/{id}/cancel")]
async fn cancel_checkout(
    principal: Principal,
    id: web::Path<CheckoutId>,
    checkouting: web::Data<Checkouting>,
) -> Result<web::Json<CheckoutView>, Problem> {
    let checkout = own_checkout(&checkouting, principal, id.into_inner()).await?;
    Ok(web::Json(checkouting.cancel(checkout).await?.into()))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct ShippingQuery {
    /// ISO 3166-1 code of two capital letters.
    #[param(pattern = "^[A-Z]{2}$", example = "US")]
    country: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ShippingMethods {
    items: Vec<ShippingMethodView>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct ShippingMethodView {
    id: String,
    name: String,
    price: Money,
    estimated_days: DayRange,
}

/// Days, fastest to slowest.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct DayRange {
    min: u32,
    max: u32,
}

/// Lists the shipping methods that serve a country, each at its price for the present cart.
#[utoipa::path(
    tag = "checkout",
    params(ShippingQuery),
    security((), ("bearer" = [])),
    responses(
        (status = OK, body = ShippingMethods),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    )
)]
#[get("/api/payment/shipping-methods")]
async fn list_shipping_methods(
    visitor: Visitor,
    query: Params<ShippingQuery>,
    carts: web::Data<Carts>,
    config: web::Data<Config>,
) -> Result<web::Json<ShippingMethods>, Problem> {
    let country = query.0.country;
    crate::address::country_code(&country).map_err(|_refused| {
        Problem::field(
            "/country",
            "country",
            "expected an ISO 3166-1 code such as US",
        )
    })?;
    let cart = carts.shown_to(&visitor).await?;
    let goods = cart.map_or_else(|| Money::zero(config.store.currency), |cart| cart.total);
    let methods = shipping_methods(&config.store, &country, goods);
    let items = methods.map(|(method, price)| ShippingMethodView {
        id: method.id.clone(),
        name: method.name.clone(),
        price,
        estimated_days: DayRange {
            min: method.days_min,
            max: method.days_max,
        },
    });
    Ok(web::Json(ShippingMethods {
        items: items.collect(),
    }))
}

#[derive(Debug, Clone, Serialize, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlaceOrderRequest {
    /// The approved checkout.
    checkout_id: CheckoutId,
}

/// Makes the order of an approved checkout: captures where the webhook has not yet.
///
/// 201 with the order, 200 where it stands already.
#[utoipa::path(
    tag = "orders",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body replays the first answer.")),
    request_body = PlaceOrderRequest,
    responses(
        (status = CREATED, body = crate::orders::OrderView),
        (status = OK, description = "The order stands already.", body = crate::orders::OrderView),
        (status = BAD_REQUEST, body = ProblemBody),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
        (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
        (status = PAYMENT_REQUIRED, description = "`payment_declined`", body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
        (status = CONFLICT, description = "`payment_not_approved`, `checkout_closed`, `request_in_progress`", body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
        (status = SERVICE_UNAVAILABLE, body = ProblemBody),
    )
)]
#[post("/api/orders")]
async fn place_order(
    principal: Principal,
    key: IdempotencyKey,
    body: Body<PlaceOrderRequest>,
    id: RequestId,
    checkouting: web::Data<Checkouting>,
    orders: web::Data<Orders>,
    idempotency: web::Data<Idempotency>,
) -> Result<HttpResponse, Problem> {
    let body = body.0;
    let run = idempotency.run(principal.user, "order", &key, &body, |_subject| async {
        let before = own_checkout(&checkouting, principal, body.checkout_id).await?;
        let stood = before.order.is_some();
        tracing::info!(request.id = id.as_str(), checkout.id = %before.id, "the buyer returned");
        match Box::pin(checkouting.settlement.settle_read(before)).await? {
            Settled::Ordered(checkout) => {
                let order = checkout
                    .order
                    .ok_or_else(|| Problem::internal("an order without an id"))?;
                orders
                    .answer(order, &principal, if stood { 200 } else { 201 })
                    .await
            }
            Settled::NotApproved(checkout) => {
                Err(Problem::new(Code::PaymentNotApproved)
                    .with("approveUrl", &checkout.approve_url))
            }
            Settled::Declined(checkout) => Err(Problem::new(Code::PaymentDeclined)
                .detail("PayPal declined the payment; no money was taken")
                .with(
                    "approveUrl",
                    &(!checkout.status.is_final()).then_some(checkout.approve_url),
                )),
            Settled::Closed(checkout) => Err(closed_problem(checkout.reason)),
            Settled::Unclear(error) => Err(provider_problem(error)),
        }
    });
    run.await
}
