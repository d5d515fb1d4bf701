//! Orders over HTTP.

mod admin;
mod buyer;
mod staff;
#[cfg(test)]
mod tests;
mod view;

pub(super) use staff::{refund_scope, without_person};
pub use view::OrderView;

use super::{
    OrderError,
    model::{LineProblem, Refusal},
};
use crate::{
    http::invalid_parameter,
    page::{Limit, Page, cut, decode_cursor},
    problem::{Code, Problem},
};

use super::{
    Orders,
    store::{Filter, Place},
};

/// Registers the room's routes.
pub fn routes(table: &mut utoipa_actix_web::service_config::ServiceConfig) {
    table
        .service(buyer::list_orders)
        .service(buyer::read_order)
        .service(staff::update_status)
        .service(staff::refund_order)
        .service(admin::list_all_orders)
        .service(admin::summarise);
}

/// Reads one page of a list; `list` names it for the cursor.
async fn page_of(
    orders: &Orders,
    list: &str,
    filter: &Filter,
    cursor: Option<&str>,
    limit: Limit,
    for_staff: bool,
) -> Result<Page<OrderView>, Problem> {
    let after: Option<Place> = cursor
        .map(|cursor| decode_cursor(list, cursor))
        .transpose()?;
    let mut rows = orders.list(filter, after, limit.rows() + 1).await?;
    let total = orders.count(filter).await?;
    Ok(Page {
        next_cursor: cut(list, &mut rows, limit, Place::of)?,
        items: rows
            .iter()
            .map(|order| OrderView::of(order, for_staff))
            .collect(),
        total,
    })
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::NotFound => Self::not_found(),
            OrderError::Stale(present) => {
                Self::new(Code::Stale).detail(format!("the present version is {present}"))
            }
            OrderError::Refused(refusal) => refusal.into(),
            OrderError::Busy => Self::new(Code::Busy)
                .detail("too many change this order at once")
                .retry_after(std::time::Duration::from_secs(1)),
            OrderError::RefundRefused(reason) => Self::new(Code::ProviderError)
                .detail(format!("the payment provider refused the refund: {reason}")),
            OrderError::Store(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let said = refusal.to_string();
        match refusal {
            Refusal::InvalidTransition { allowed, .. } => Self::new(Code::InvalidTransition)
                .detail(said)
                .with("allowed", &allowed),
            Refusal::TrackingTooEarly => Self::field("/tracking", "not_allowed", said),
            Refusal::RefundTooLarge { left } => Self::new(Code::RefundTooLarge)
                .detail(said)
                .with("left", &left),
            Refusal::RefundNotPossible(_) => Self::new(Code::RefundNotPossible).detail(said),
            Refusal::AmountNotPositive => Self::field("/amount/amount", "range", said),
            Refusal::NotPayable(_) => Self::field("/amount/amount", "not_payable", said),
            Refusal::ForeignCurrency => Self::field("/amount/currency", "currency", said),
            Refusal::Line { at, problem } => match problem {
                LineProblem::Unknown => Self::field(format!("/items/{at}"), "not_found", said),
                LineProblem::TooMany => Self::field(format!("/items/{at}/quantity"), "range", said),
                LineProblem::RestockedAlready => {
                    Self::field(format!("/items/{at}/restock"), "range", said)
                }
            },
            Refusal::Amount(error) => Self::internal(error),
        }
    }
}

/// Reads a moment from a query parameter.
fn moment(name: &str, text: Option<&str>) -> Result<Option<crate::clock::Timestamp>, Problem> {
    text.map(|text| {
        crate::clock::Timestamp::parse(text).map_err(|_refused| {
            invalid_parameter(
                name,
                "format",
                "expected RFC 3339, such as 2026-11-22T00:00:00Z",
            )
        })
    })
    .transpose()
}
