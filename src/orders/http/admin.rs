//! The console's lists and figures.

use std::{collections::BTreeMap, time::Duration};

use actix_web::{get, web};
use serde::{Deserialize, Serialize};

use super::{OrderView, moment, page_of};
use crate::{
    accounts::{Accounts, Email, Staff},
    clock::Timestamp,
    config::Config,
    http::{Params, invalid_parameter},
    money::{Currency, Money},
    orders::{
        OrderStatus, Orders,
        store::{Filter, Summary},
    },
    page::{Limit, Page},
    problem::{Problem, ProblemBody},
};

/// The longest text to look for, in bytes.
const MAX_TEXT: usize = 200;
/// The most words to look for.
const MAX_WORDS: usize = 6;
/// The span of a summary that names no beginning.
const DEFAULT_SPAN: Duration = Duration::from_hours(30 * 24);

/// Which orders.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AllOrders {
    /// Only with this status.
    status: Option<OrderStatus>,
    /// Words, each of which must begin the order's number (its dashes may be left out) or a word of the buyer's
    /// name, or be the order's id or that of the capture at PayPal; or the e-mail of the buyer's account.
    q: Option<String>,
    /// Made at or after, RFC 3339.
    from: Option<String>,
    /// Made before, RFC 3339.
    to: Option<String>,
    /// Rows of the page, 1 to 100.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// Lists everyone's orders, newest first.
#[utoipa::path(tag = "admin", params(AllOrders), security(("bearer" = [])), responses(
    (status = OK, body = Page<OrderView>),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[get("/api/admin/orders")]
pub(super) async fn list_all_orders(
    _staff: Staff,
    params: Params<AllOrders>,
    orders: web::Data<Orders>,
    accounts: web::Data<Accounts>,
) -> Result<web::Json<Page<OrderView>>, Problem> {
    let wanted = params.0;
    let text = wanted.q.unwrap_or_default().to_lowercase();
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if text.len() > MAX_TEXT || words.len() > MAX_WORDS {
        let limit = format!("at most {MAX_TEXT} bytes and {MAX_WORDS} words");
        return Err(invalid_parameter("q", "length", limit));
    }
    let mut filter = Filter {
        user: None,
        status: wanted.status,
        words,
        from: moment("from", wanted.from.as_deref())?,
        to: moment("to", wanted.to.as_deref())?,
    };
    let list = format!(
        "orders {} {:?} {:?} {}",
        filter.status.map_or("", OrderStatus::as_str),
        filter.from,
        filter.to,
        filter.words.join(" ")
    );
    if let [word] = filter.words.as_slice()
        && let Ok(email) = Email::parse(word)
        && let Some(buyer) = accounts.find_user(&email).await?
    {
        filter.user = Some(buyer.id);
        filter.words.clear();
    }
    let cursor = wanted.cursor.as_deref();
    let page = page_of(&orders, &list, &filter, cursor, wanted.limit, true).await?;
    Ok(web::Json(page))
}

/// Which span of time.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Span {
    /// From this moment on, RFC 3339; left out: 30 days before `to`.
    from: Option<String>,
    /// Until before this moment, RFC 3339; left out: now.
    to: Option<String>,
}

/// Figures of the orders and checkouts made in a span of time.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SummaryView {
    from: Timestamp,
    to: Timestamp,
    /// Orders made.
    orders: u64,
    /// Orders by status.
    by_status: BTreeMap<&'static str, u64>,
    /// What paid orders brought, before refunds.
    revenue: Money,
    /// What of it was given back or taken back.
    refunded: Money,
    /// Revenue less refunds.
    net_revenue: Money,
    /// Revenue by paid order; `null` without any.
    average_order: Option<Money>,
    /// Checkouts begun.
    checkouts: u64,
    /// Checkouts that became an order.
    completed_checkouts: u64,
    /// Completed checkouts by checkouts begun, 0 to 1 with four decimals; `null` without any.
    conversion_rate: Option<f64>,
    /// Checkouts that failed, and payments that were taken on and then denied.
    payment_failures: u64,
    /// From order to shipping.
    fulfilment_time: FulfilmentView,
}

/// How long orders waited to be shipped.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct FulfilmentView {
    /// Orders shipped.
    shipped: u64,
    /// Half of them took no longer; `null` without any.
    median_seconds: Option<i64>,
    /// `null` without any.
    average_seconds: Option<i64>,
}

/// Sums up orders and checkouts of a span of time.
#[utoipa::path(tag = "admin", params(Span), security(("bearer" = [])), responses(
    (status = OK, body = SummaryView),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[get("/api/admin/summary")]
pub(super) async fn summarise(
    _staff: Staff,
    params: Params<Span>,
    orders: web::Data<Orders>,
    config: web::Data<Config>,
) -> Result<web::Json<SummaryView>, Problem> {
    let to = moment("to", params.0.to.as_deref())?.unwrap_or_else(Timestamp::now);
    let from = moment("from", params.0.from.as_deref())?.unwrap_or_else(|| to.before(DEFAULT_SPAN));
    if from > to {
        return Err(invalid_parameter(
            "from",
            "range",
            "from must not be after to",
        ));
    }
    let figures = orders.summarise(from, to).await?;
    let currency = config.store.currency;
    Ok(web::Json(SummaryView::of(&figures, from, to, currency)))
}

fn average(sum: i64, count: u64) -> Option<i64> {
    sum.checked_div(i64::try_from(count).ok()?)
}

/// `part` of `whole` as a number from 0 to 1 with four decimals.
fn rate(part: u64, whole: u64) -> Option<f64> {
    let permyriad = part.saturating_mul(10_000).checked_div(whole)?;
    let permyriad = u32::try_from(permyriad).ok()?;
    #[expect(
        clippy::float_arithmetic,
        reason = "a rate is shown, never calculated with"
    )]
    Some(f64::from(permyriad) / 10_000.0)
}

impl SummaryView {
    fn of(figures: &Summary, from: Timestamp, to: Timestamp, currency: Currency) -> Self {
        let money = |amount| Money::new(amount, currency);
        let times = &figures.fulfilment;
        let shipped = u64::try_from(times.len()).unwrap_or_default();
        let total = times
            .iter()
            .fold(0_i64, |sum, time| sum.saturating_add(*time));
        Self {
            from,
            to,
            orders: figures.orders,
            by_status: figures
                .by_status
                .iter()
                .map(|(status, count)| (status.as_str(), *count))
                .collect(),
            revenue: money(figures.revenue),
            refunded: money(figures.refunded),
            net_revenue: money(figures.revenue.saturating_sub(figures.refunded)),
            average_order: average(figures.revenue, figures.paid).map(money),
            checkouts: figures.checkouts,
            completed_checkouts: figures.completed,
            conversion_rate: rate(figures.completed, figures.checkouts),
            payment_failures: figures.payment_failures,
            fulfilment_time: FulfilmentView {
                shipped,
                median_seconds: times
                    .get(times.len().saturating_sub(1) / 2)
                    .map(|time| time / 1_000),
                average_seconds: average(total, shipped).map(|time| time / 1_000),
            },
        }
    }
}
