//! What buyers do with their orders.

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::{StatusCode, header::ETAG},
    web,
};
use serde::Deserialize;

use super::{OrderView, page_of};
use crate::{
    accounts::Principal,
    http::{NOT_KEPT, Params, etag, not_modified},
    id::OrderId,
    orders::{Order, OrderStatus, Orders, store::Filter},
    page::{Limit, Page},
    problem::{Problem, ProblemBody},
};

/// Which of the own orders.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OwnOrders {
    /// Only with this status.
    status: Option<OrderStatus>,
    /// Rows of the page, 1 to 100.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// Lists the caller's orders, newest first.
#[utoipa::path(tag = "orders", params(OwnOrders), security(("bearer" = [])), responses(
    (status = OK, body = Page<OrderView>),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[get("/api/orders")]
pub(super) async fn list_orders(
    buyer: Principal,
    params: Params<OwnOrders>,
    orders: web::Data<Orders>,
) -> Result<web::Json<Page<OrderView>>, Problem> {
    let wanted = params.0;
    let filter = Filter {
        user: Some(buyer.user),
        status: wanted.status,
        ..Filter::default()
    };
    let status = wanted.status.map_or("", OrderStatus::as_str);
    let list = format!("orders of {} {status}", buyer.user);
    let cursor = wanted.cursor.as_deref();
    let page = page_of(&orders, &list, &filter, cursor, wanted.limit, false).await?;
    Ok(web::Json(page))
}

/// Shows an order to its buyer or to staff.
///
/// Errors: `not_found` (404), also for an order of someone else.
#[utoipa::path(tag = "orders", params(("id" = OrderId, Path)), security(("bearer" = [])), responses(
    (status = OK, body = OrderView, headers(("ETag" = String, description = "the version"))),
    (status = NOT_MODIFIED, description = "the version named by If-None-Match"),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
))]
#[get("/api/orders/{id}")]
pub(super) async fn read_order(
    caller: Principal,
    id: web::Path<OrderId>,
    request: HttpRequest,
    orders: web::Data<Orders>,
) -> Result<HttpResponse, Problem> {
    let order = orders.visible_to(&caller, id.into_inner()).await?;
    let tag = etag(order.version);
    // An erasure is no version: a copy that somebody still has may name the buyer.
    let known = order.person_erased_at.is_none() && not_modified(request.headers(), &tag);
    let mut answer = if known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer.insert_header((ETAG, tag)).insert_header(NOT_KEPT);
    if known {
        return Ok(answer.finish());
    }
    Ok(answer.json(OrderView::of(&order, caller.is_staff())))
}

impl Orders {
    /// The order, if it is the caller's own or the caller is staff.
    async fn visible_to(&self, caller: &Principal, id: OrderId) -> Result<Order, Problem> {
        let found = self.find(id).await?;
        found
            .filter(|order| order.user == caller.user || caller.is_staff())
            .ok_or_else(Problem::not_found)
    }

    /// Answers `status` with the order, as the caller may see it.
    ///
    /// # Errors
    /// 404 where it is neither the caller's own nor the caller staff.
    pub async fn answer(
        &self,
        id: OrderId,
        caller: &Principal,
        status: u16,
    ) -> Result<HttpResponse, Problem> {
        let order = self.visible_to(caller, id).await?;
        let status = StatusCode::from_u16(status).map_err(Problem::internal)?;
        Ok(HttpResponse::build(status)
            .insert_header((ETAG, etag(order.version)))
            .json(OrderView::of(&order, caller.is_staff())))
    }
}
