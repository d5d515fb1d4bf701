//! The staff's view of money that has to go back and that the provider refuses to give back.

use actix_web::{get, post, web};
use serde::{Deserialize, Serialize};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    Checkouting,
    model::{Checkout, EndReason},
    returns::{Return, ReturnState},
};
use crate::{
    accounts::Staff,
    clock::Timestamp,
    http::Params,
    id::{CheckoutId, OrderId, UserId},
    money::Money,
    page::{Limit, Page, cut, decode_cursor},
    problem::{Problem, ProblemBody},
};

/// Names the list in its cursors.
const LIST: &str = "failed returns";

/// Registers the routes.
pub(super) fn routes(table: &mut ServiceConfig) {
    table
        .service(list_failed_returns)
        .service(try_returns_again);
}

/// A checkout with money that has to go back.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReturningCheckout {
    id: CheckoutId,
    user_id: UserId,
    /// The number that its order has or would have had; the provider's invoice.
    number: String,
    status: &'static str,
    /// Why it ended without an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<EndReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    total: Money,
    /// The captures that have to go back.
    returns: Vec<ReturnView>,
    updated_at: Timestamp,
}

/// A capture that has to go back.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Return)]
struct ReturnView {
    capture_id: String,
    state: ReturnState,
    /// How often it was tried again.
    attempt: u32,
    /// The provider's id of the refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<String>,
    /// The provider's word for why it did not happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl From<Return> for ReturnView {
    fn from(back: Return) -> Self {
        Self {
            capture_id: back.capture.as_str().to_owned(),
            state: back.state,
            attempt: back.attempt,
            refund_id: back.refund.map(|id| id.as_str().to_owned()),
            failure: back.failure,
        }
    }
}

impl From<Checkout> for ReturningCheckout {
    fn from(checkout: Checkout) -> Self {
        Self {
            id: checkout.id,
            user_id: checkout.user,
            number: checkout.number,
            status: checkout.status.as_str(),
            reason: checkout.reason,
            order_id: checkout.order,
            total: checkout.totals.total,
            returns: checkout.returns.into_iter().map(Into::into).collect(),
            updated_at: checkout.updated_at,
        }
    }
}

/// Which page of them.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReturnsQuery {
    /// Rows of the page, 1 to 100.
    #[serde(default)]
    #[param(value_type = u32, minimum = 1, maximum = 100, default = 20)]
    limit: Limit,
    /// The page before's `nextCursor`.
    cursor: Option<String>,
}

/// Lists checkouts whose money has to go back and was refused by the provider, last changed first.
///
/// Errors: `unauthenticated` (401); `forbidden` (403); `validation_failed` (422).
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    params(ReturnsQuery),
    responses(
        (status = OK, body = Page<ReturningCheckout>),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = FORBIDDEN, body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    )
)]
#[get("/api/admin/returns")]
async fn list_failed_returns(
    _staff: Staff,
    query: Params<ReturnsQuery>,
    checkouting: web::Data<Checkouting>,
) -> Result<web::Json<Page<ReturningCheckout>>, Problem> {
    let query = query.0;
    let after = query
        .cursor
        .map(|cursor| decode_cursor::<(i64, CheckoutId)>(LIST, &cursor))
        .transpose()?
        .map(|(at, id)| (Timestamp::from_millis(at), id));
    let checkouts = &checkouting.settlement.checkouts;
    let rows = query.limit.rows() + 1;
    let mut found = checkouts.with_failed_returns(after, rows).await?;
    let next_cursor = cut(LIST, &mut found, query.limit, |last| {
        (last.updated_at.millis(), last.id)
    })?;
    Ok(web::Json(Page {
        total: checkouts.count_failed_returns().await?,
        items: found.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}

/// Tries to give a checkout's money back once more, under a new request id; answers how it then stands. A
/// checkout without a failed return is left as it is.
///
/// Errors: `unauthenticated` (401); `forbidden` (403); `not_found` (404).
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    params(("id" = CheckoutId, Path)),
    responses(
        (status = OK, body = ReturningCheckout),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = FORBIDDEN, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
    )
)]
#[post("/api/admin/returns/{id}/retry")]
async fn try_returns_again(
    staff: Staff,
    id: web::Path<CheckoutId>,
    checkouting: web::Data<Checkouting>,
) -> Result<web::Json<ReturningCheckout>, Problem> {
    let id = id.into_inner();
    tracing::info!(checkout.id = %id, user.id = %staff.0.user, "failed returns are tried again");
    let checkout = Box::pin(checkouting.settlement.try_returns_again(id)).await?;
    Ok(web::Json(checkout.into()))
}
