//! What staff do with an order.

use actix_web::{HttpResponse, http::header::ETAG, post, put, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use validator::{Validate, ValidationError};

use super::{OrderView, view::RefundView};
use crate::{
    accounts::Staff,
    address::{PostalAddress, plain},
    clock::Timestamp,
    http::{Body, IfMatch, etag},
    id::{LineId, OrderId, RefundId, VariantId},
    idempotency::{Idempotency, IdempotencyKey},
    money::Money,
    orders::{
        Order, OrderStatus, Orders, Refunds,
        model::{By, RefundItem, RefundWish, Tracking},
        store::StatusWish,
    },
    problem::{FieldError, Problem, ProblemBody},
};

/// A parcel.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TrackingRequest {
    /// Who carries it.
    #[validate(length(min = 1, max = 80), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 80)]
    carrier: String,
    /// The carrier's number.
    #[validate(length(min = 1, max = 80), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 80)]
    number: String,
    /// The carrier's page about it, http or https.
    #[validate(length(max = 500), custom(function = "web_address"))]
    #[schema(max_length = 500)]
    url: Option<String>,
}

/// A link that a browser may follow: never `javascript:` and the like.
fn web_address(text: &str) -> Result<(), ValidationError> {
    let web = url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if web {
        return Ok(());
    }
    Err(ValidationError::new("url").with_message("expected an http or https address".into()))
}

/// Another status for an order.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UpdateStatusRequest {
    /// The status.
    status: OrderStatus,
    /// A word about it; the buyer reads it.
    #[validate(length(min = 1, max = 500), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 500)]
    note: Option<String>,
    /// The parcel; with `Shipped` or `Delivered`.
    #[validate(nested)]
    tracking: Option<TrackingRequest>,
}

/// Gives an order another status.
///
/// `Cancelled` (from `Pending` or `Processing`) gives back what is left of the money and puts the goods
/// back into stock; `Refunded` (from `Shipped` or `Delivered`) gives back what is left. With `If-Match`
/// only over that version.
///
/// Errors: `invalid_transition` (409, with `allowed`); `stale_version` (412).
#[utoipa::path(tag = "orders", params(("id" = OrderId, Path), ("If-Match" = Option<String>, Header)),
    request_body = UpdateStatusRequest, security(("bearer" = [])), responses(
    (status = OK, body = OrderView, headers(("ETag" = String, description = "the version"))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody),
    (status = PRECONDITION_FAILED, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[put("/api/orders/{id}/status")]
pub(super) async fn update_status(
    staff: Staff,
    id: web::Path<OrderId>,
    seen: IfMatch,
    body: Body<UpdateStatusRequest>,
    refunds: web::Data<Refunds>,
) -> Result<HttpResponse, Problem> {
    let wanted = body.0;
    let wish = StatusWish {
        to: wanted.status,
        note: wanted.note,
        tracking: wanted.tracking.map(|tracking| Tracking {
            carrier: tracking.carrier,
            number: tracking.number,
            url: tracking.url,
        }),
        by: By::Staff(staff.0.user),
        refund: RefundId::new(),
    };
    let order = refunds.set_status(id.into_inner(), &wish, seen).await?;
    Ok(HttpResponse::Ok()
        .insert_header((ETAG, etag(order.version)))
        .json(OrderView::of(&order, true)))
}

/// Goods that a refund is for: a line of the order, by its id or, where only one line has it, by variant.
#[derive(Debug, Serialize, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefundItemRequest {
    /// The order item's id.
    line_id: Option<LineId>,
    /// The order item's variant.
    variant_id: Option<VariantId>,
    /// Units.
    #[validate(range(min = 1, max = 999))]
    #[schema(minimum = 1, maximum = 999)]
    quantity: u32,
    /// Whether they can be sold again; they go into stock at once. Left out: yes while the order was not
    /// sent (they never left), no once it was.
    restock: Option<bool>,
}

/// Money to give back.
#[derive(Debug, Serialize, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefundRequest {
    /// How much. Left out: what the items cost in this order (discount and tax shared by price, without
    /// shipping), or without items everything that is left.
    amount: Option<Money>,
    /// Why; the buyer reads it.
    #[validate(length(min = 1, max = 255), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 255)]
    reason: Option<String>,
    /// The goods it is for.
    #[serde(default)]
    #[validate(length(max = 200), nested)]
    #[schema(max_items = 200)]
    items: Vec<RefundItemRequest>,
}

/// A refund and its order.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct RefundAnswer {
    /// The refund: `Completed`, or `Pending` where the provider has not decided yet.
    refund: Option<RefundView>,
    /// The order as it then stands.
    order: OrderView,
}

/// Gives money back, all or part of it; never more than was captured.
///
/// An order that is not sent yet and has all its money given back is cancelled; one that was sent becomes
/// `Refunded`. Goods of `items` go back into stock as their `restock` says.
///
/// Errors: `refund_too_large`, `refund_not_possible` (409); `payment_provider_error` (502) where the
/// provider refused: use a new Idempotency-Key to try again.
#[utoipa::path(tag = "orders", params(("id" = OrderId, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = RefundRequest, security(("bearer" = [])), responses(
    (status = CREATED, body = RefundAnswer),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    (status = BAD_GATEWAY, body = ProblemBody),
    (status = SERVICE_UNAVAILABLE, description = "`payment_provider_unavailable`: PayPal does not answer, what was asked for goes on; `unavailable`; `busy`", body = ProblemBody),
))]
#[post("/api/orders/{id}/refunds")]
pub(super) async fn refund_order(
    staff: Staff,
    id: web::Path<OrderId>,
    key: IdempotencyKey,
    body: Body<RefundRequest>,
    orders: web::Data<Orders>,
    refunds: web::Data<Refunds>,
    idempotency: web::Data<Idempotency>,
) -> Result<HttpResponse, Problem> {
    let (id, wanted) = (id.into_inner(), body.0);
    let scope = refund_scope(id);
    let work = async |subject| {
        let order = orders.find(id).await?.ok_or_else(Problem::not_found)?;
        let wish = RefundWish {
            id: RefundId::from_object_id(subject),
            amount: wanted.amount,
            reason: wanted.reason.clone(),
            items: items_of(&order, &wanted.items)?,
            by: By::Staff(staff.0.user),
            at: Timestamp::now(),
        };
        let order = refunds.refund(id, &wish).await?;
        let refund = order.refund(wish.id).cloned();
        Ok(HttpResponse::Created().json(RefundAnswer {
            refund: refund.map(|refund| RefundView::of(refund, true)),
            order: OrderView::of(&order, true),
        }))
    };
    idempotency
        .run(staff.0.user, &scope, &key, &wanted, work)
        .await
}

/// The scope of idempotency keys for refunds of an order.
pub(in crate::orders) fn refund_scope(id: OrderId) -> String {
    format!("refund {id}")
}

/// A kept answer about a refund, without the order's buyer; `None` where it is no such answer, or is so already.
///
/// The answer shows the order as it was, names and all. The key itself stays: without it a repeat would be a
/// second refund.
pub(in crate::orders) fn without_person(kept: &str) -> Option<String> {
    let mut answer: Value = serde_json::from_str(kept).ok()?;
    if let Some(refund) = answer.get_mut("refund").and_then(Value::as_object_mut) {
        refund.remove("reason");
    }
    let order = answer.get_mut("order").and_then(Value::as_object_mut)?;
    for name in ["shippingAddress", "billingAddress"] {
        if let Some(address) = order.get_mut(name).filter(|address| !address.is_null()) {
            let whole: PostalAddress = serde_json::from_value(address.clone()).ok()?;
            *address = serde_json::to_value(whole.without_person()).ok()?;
        }
    }
    order.remove("tracking");
    for (list, field) in [("history", "note"), ("refunds", "reason")] {
        for entry in entries(order, list) {
            entry.remove(field);
        }
    }
    for item in entries(order, "items") {
        item.insert("options".to_owned(), json!({}));
    }
    let nameless = answer.to_string();
    (nameless != kept).then_some(nameless)
}

fn entries<'a>(
    order: &'a mut Map<String, Value>,
    list: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let list = order.get_mut(list).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Finds the order's line of each item.
fn items_of(order: &Order, items: &[RefundItemRequest]) -> Result<Vec<RefundItem>, Problem> {
    let mut found = Vec::new();
    let mut faults = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let named = order.items.iter().filter(|line| {
            item.line_id.is_none_or(|id| line.line == id)
                && item.variant_id.is_none_or(|id| line.variant == id)
        });
        let named: Vec<LineId> = named.map(|line| line.line).collect();
        let pointer = format!("/items/{at}");
        match named.as_slice() {
            _ if item.line_id.is_none() && item.variant_id.is_none() => {
                faults.push(FieldError::new(
                    pointer,
                    "required",
                    "name lineId or variantId",
                ));
            }
            [line] => found.push(RefundItem {
                line: *line,
                quantity: item.quantity,
                restock: item.restock,
            }),
            [] => faults.push(FieldError::new(
                pointer,
                "not_found",
                "the order has no such line",
            )),
            [..] => faults.push(FieldError::new(
                pointer,
                "ambiguous",
                "several lines have this variant; name lineId",
            )),
        }
    }
    if faults.is_empty() {
        Ok(found)
    } else {
        Err(Problem::invalid(faults))
    }
}
