//! Discount codes over HTTP: staff's management, and what a buyer is told of a code that does not apply.

use actix_web::{
    HttpResponse, HttpResponseBuilder, delete, get,
    http::header::{CACHE_CONTROL, ETAG, LOCATION},
    post, put, web,
};
use serde::{Deserialize, Serialize};
use utoipa_actix_web::service_config::ServiceConfig as Table;
use validator::Validate;

use super::{
    Discounts,
    model::{Discount, DiscountCode, Kind, MAX_CODES, Obstacle, Rules},
    store::WriteError,
};
use crate::{
    accounts::Staff,
    audit::Actor,
    clock::Timestamp,
    config::Config,
    http::{Body, IfMatch, Params, etag},
    money::{Currency, MAX_AMOUNT, Money},
    page::{Limit, Page, cut, decode_cursor},
    problem::{Code, FieldError, Problem, ProblemBody},
};

/// The name of the list, which its cursors carry.
const LIST: &str = "discounts";
/// The most uses that a limit may allow.
const MAX_LIMIT: u32 = 1_000_000_000;

/// Registers the room's routes.
pub fn routes(table: &mut Table) {
    table
        .service(list_discounts)
        .service(create_discount)
        .service(show_discount)
        .service(replace_discount)
        .service(delete_discount);
}

/// A discount code as staff write it. Exactly one of `basisPoints` and `amount` says what it takes off.
#[derive(Debug, Clone, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WriteDiscount {
    /// The code. Needed to make one; afterwards it stays as it is.
    code: Option<DiscountCode>,
    /// Ten-thousandths of what is left of the goods after fixed amounts: 1500 takes 15 % off.
    #[validate(range(min = 1, max = 10_000))]
    #[schema(minimum = 1, maximum = 10_000)]
    basis_points: Option<u32>,
    /// A fixed amount; at most what the goods cost.
    amount: Option<Money>,
    /// The least that the goods must cost before any discount.
    minimum_subtotal: Option<Money>,
    /// How often it may be used in all; left out: without limit.
    #[validate(range(min = 1, max = MAX_LIMIT))]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    limit: Option<u32>,
    /// How often one buyer may use it; left out: without limit.
    #[validate(range(min = 1, max = MAX_LIMIT))]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    limit_per_user: Option<u32>,
    /// From when it applies.
    starts_at: Option<Timestamp>,
    /// When it applies no more.
    ends_at: Option<Timestamp>,
    /// Whether it applies at all.
    #[serde(default = "yes")]
    #[schema(default = true)]
    active: bool,
}

const fn yes() -> bool {
    true
}

impl WriteDiscount {
    /// The rules, in the shop's `currency`.
    fn rules(&self, currency: Currency) -> Result<Rules, Problem> {
        let mut faults = Vec::new();
        let kind = match (self.basis_points, self.amount) {
            (Some(basis_points), None) => Some(Kind::Percent(basis_points)),
            (None, Some(amount)) => Some(Kind::Fixed(amount)),
            (None, None) | (Some(_), Some(_)) => {
                let message = "give either basisPoints or amount";
                faults.push(FieldError::new("/amount", "required", message));
                None
            }
        };
        for (pointer, amount) in [
            ("/amount", self.amount),
            ("/minimumSubtotal", self.minimum_subtotal),
        ] {
            let Some(amount) = amount else { continue };
            if amount.currency != currency {
                let message = format!("the shop sells in {currency}");
                let pointer = format!("{pointer}/currency");
                faults.push(FieldError::new(pointer, "unknown_value", message));
            } else if !(1..=MAX_AMOUNT).contains(&amount.amount) {
                let message = format!("must be from 1 to {MAX_AMOUNT}");
                let pointer = format!("{pointer}/amount");
                faults.push(FieldError::new(pointer, "range", message));
            } else if let Err(not_payable) = amount.payable() {
                let pointer = format!("{pointer}/amount");
                faults.push(FieldError::new(
                    pointer,
                    "not_payable",
                    not_payable.to_string(),
                ));
            }
        }
        let ends = self.starts_at.zip(self.ends_at);
        if ends.is_some_and(|(start, end)| end <= start) {
            faults.push(FieldError::new(
                "/endsAt",
                "range",
                "must be after startsAt",
            ));
        }
        match kind {
            Some(kind) if faults.is_empty() => Ok(Rules {
                kind,
                minimum: self.minimum_subtotal,
                limit: self.limit,
                limit_per_user: self.limit_per_user,
                starts_at: self.starts_at,
                ends_at: self.ends_at,
                active: self.active,
            }),
            Some(_) | None => Err(Problem::invalid(faults)),
        }
    }
}

/// A discount code, its rules and how often it was used.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Discount)]
pub(super) struct DiscountAnswer {
    code: DiscountCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis_points: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_subtotal: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_per_user: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
    active: bool,
    /// Orders that used it, cancelled ones included.
    used: u64,
    /// Open checkouts that claim a use.
    claimed: u64,
    /// Counts changes of the rules; the `ETag`.
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Discount> for DiscountAnswer {
    fn from(discount: Discount) -> Self {
        let rules = discount.rules;
        let (basis_points, amount) = match rules.kind {
            Kind::Percent(basis_points) => (Some(basis_points), None),
            Kind::Fixed(amount) => (None, Some(amount)),
        };
        Self {
            code: discount.code,
            basis_points,
            amount,
            minimum_subtotal: rules.minimum,
            limit: rules.limit,
            limit_per_user: rules.limit_per_user,
            starts_at: rules.starts_at,
            ends_at: rules.ends_at,
            active: rules.active,
            used: discount.used,
            claimed: discount.claimed,
            version: discount.version,
            created_at: discount.created_at,
            updated_at: discount.updated_at,
        }
    }
}

fn shown(mut response: HttpResponseBuilder, discount: Discount) -> HttpResponse {
    response
        .insert_header((ETAG, etag(discount.version)))
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(DiscountAnswer::from(discount))
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Taken => Self::new(Code::DiscountTaken),
            WriteError::NotFound => Self::not_found(),
            WriteError::Stale(present) => {
                Self::new(Code::Stale).detail(format!("the present version is {present}"))
            }
            WriteError::InUse => Self::new(Code::DiscountInUse)
                .detail("a code that was used stays for the books; set active to false"),
            WriteError::Store(error) => error.into(),
        }
    }
}

impl From<Obstacle> for Problem {
    fn from(obstacle: Obstacle) -> Self {
        let (code, word, message) = match obstacle {
            Obstacle::Unknown => (Code::DiscountUnknown, "unknown_code", String::new()),
            Obstacle::NotStarted => (Code::DiscountNotStarted, "not_started", String::new()),
            Obstacle::Expired => (Code::DiscountExpired, "expired", String::new()),
            Obstacle::Minimum(minimum) => (
                Code::DiscountMinimum,
                "minimum",
                format!("goods for at least {minimum} are needed"),
            ),
            Obstacle::UsedUp => (Code::DiscountUsedUp, "used_up", String::new()),
            Obstacle::UsedBefore => (Code::DiscountUsedBefore, "used_before", String::new()),
        };
        let message = if message.is_empty() {
            code.title().to_owned()
        } else {
            message
        };
        let problem = Self::new(code).errors(vec![FieldError::new("/code", word, message)]);
        match obstacle {
            Obstacle::Minimum(minimum) => problem.with("minimumSubtotal", &minimum),
            Obstacle::Unknown
            | Obstacle::NotStarted
            | Obstacle::Expired
            | Obstacle::UsedUp
            | Obstacle::UsedBefore => problem,
        }
    }
}

/// The answer to one code too many.
#[must_use]
pub(crate) fn too_many() -> Problem {
    Problem::new(Code::DiscountTooMany).detail(format!("a cart has at most {MAX_CODES} codes"))
}

/// What can be no code names none.
fn parsed(code: &str) -> Result<DiscountCode, Problem> {
    DiscountCode::parse(code).ok_or_else(Problem::not_found)
}

/// A page of discount codes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Rows of the page.
    #[serde(default)]
    #[param(value_type = u32, minimum = 1, maximum = 100, default = 20)]
    limit: Limit,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// Lists the discount codes, in their own order.
#[utoipa::path(tag = "admin", params(ListParams), security(("bearer" = [])), responses(
    (status = OK, body = Page<DiscountAnswer>),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[get("/api/admin/discounts")]
async fn list_discounts(
    _staff: Staff,
    Params(wanted): Params<ListParams>,
    discounts: web::Data<Discounts>,
) -> Result<web::Json<Page<DiscountAnswer>>, Problem> {
    let after: Option<DiscountCode> = match &wanted.cursor {
        Some(cursor) => Some(decode_cursor(LIST, cursor)?),
        None => None,
    };
    let mut found = discounts
        .page(after.as_ref(), wanted.limit.rows() + 1)
        .await?;
    let next_cursor = cut(LIST, &mut found, wanted.limit, |last| &last.code)?;
    Ok(web::Json(Page {
        items: found.into_iter().map(DiscountAnswer::from).collect(),
        next_cursor,
        total: discounts.count().await?,
    }))
}

/// Makes a discount code.
#[utoipa::path(tag = "admin", request_body = WriteDiscount, security(("bearer" = [])), responses(
    (status = CREATED, body = DiscountAnswer, headers(("Location" = String), ("ETag" = String))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = CONFLICT, description = "`discount_taken`", body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[post("/api/admin/discounts")]
async fn create_discount(
    Staff(principal): Staff,
    Body(written): Body<WriteDiscount>,
    config: web::Data<Config>,
    discounts: web::Data<Discounts>,
) -> Result<HttpResponse, Problem> {
    let Some(code) = written.code.clone() else {
        return Err(Problem::field("/code", "required", "name the code"));
    };
    let rules = written.rules(config.store.currency)?;
    let made = discounts
        .create(code, rules, Actor::User(principal.user))
        .await?;
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, format!("/api/admin/discounts/{}", made.code)));
    Ok(shown(response, made))
}

/// Shows a discount code.
#[utoipa::path(tag = "admin", params(("code" = String, Path)), security(("bearer" = [])), responses(
    (status = OK, body = DiscountAnswer, headers(("ETag" = String))),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
))]
#[get("/api/admin/discounts/{code}")]
async fn show_discount(
    _staff: Staff,
    code: web::Path<String>,
    discounts: web::Data<Discounts>,
) -> Result<HttpResponse, Problem> {
    let found = discounts.find(&parsed(&code)?).await?;
    Ok(shown(
        HttpResponse::Ok(),
        found.ok_or_else(Problem::not_found)?,
    ))
}

/// Replaces a discount code's rules; what it was used for so far stays counted. Checkouts that have
/// claimed a use keep the discount that their buyers saw.
#[utoipa::path(tag = "admin", request_body = WriteDiscount, security(("bearer" = [])),
    params(
        ("code" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The tag of the version to be replaced"),
    ),
    responses(
    (status = OK, body = DiscountAnswer, headers(("ETag" = String))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = PRECONDITION_FAILED, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[put("/api/admin/discounts/{code}")]
async fn replace_discount(
    Staff(principal): Staff,
    code: web::Path<String>,
    seen: IfMatch,
    Body(written): Body<WriteDiscount>,
    config: web::Data<Config>,
    discounts: web::Data<Discounts>,
) -> Result<HttpResponse, Problem> {
    let rules = written.rules(config.store.currency)?;
    let code = parsed(&code)?;
    if written.code.is_some_and(|named| named != code) {
        return Err(Problem::field(
            "/code",
            "immutable",
            "a code stays as it is; make another one",
        ));
    }
    let by = Actor::User(principal.user);
    Ok(shown(
        HttpResponse::Ok(),
        discounts.replace(&code, &rules, seen, by).await?,
    ))
}

/// Removes a discount code that was never used; one that was stays for the books and can be switched off.
#[utoipa::path(tag = "admin", security(("bearer" = [])),
    params(
        ("code" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The tag of the version to be removed"),
    ),
    responses(
    (status = NO_CONTENT),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, description = "`discount_in_use`", body = ProblemBody),
    (status = PRECONDITION_FAILED, body = ProblemBody),
))]
#[delete("/api/admin/discounts/{code}")]
async fn delete_discount(
    Staff(principal): Staff,
    code: web::Path<String>,
    seen: IfMatch,
    discounts: web::Data<Discounts>,
) -> Result<HttpResponse, Problem> {
    let by = Actor::User(principal.user);
    discounts.remove(&parsed(&code)?, seen, by).await?;
    Ok(HttpResponse::NoContent().finish())
}
