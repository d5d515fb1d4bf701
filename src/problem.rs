//! Problem answers: RFC 9457 `application/problem+json`, with the table of stable codes.
//!
//! A room's errors become a [`Problem`] in one exhaustive `From`; nothing else answers an error.

use std::{error::Error as StdError, fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal $title:literal;)+) => {
        /// What went wrong, for programs: stable, and listed in the OpenAPI document.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* #[doc = $title] $name,)+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code as clients see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// The sentence that goes with it, the same each time.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }

            const fn status_number(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }
        }
    };
}

codes! {
    MalformedRequest = 400 "malformed_request" "The request cannot be read";
    MalformedJson = 400 "malformed_json" "The body is not JSON";
    InvalidSignature = 400 "invalid_signature" "The signature is missing or false";
    Unauthenticated = 401 "unauthenticated" "Sign in first";
    InvalidToken = 401 "invalid_token" "The token is not valid";
    InvalidCredentials = 401 "invalid_credentials" "E-mail or password is wrong";
    TokenReused = 401 "token_reused" "The refresh token was used before";
    PaymentDeclined = 402 "payment_declined" "The payment was declined";
    Forbidden = 403 "forbidden" "Not allowed";
    ForeignOrigin = 403 "foreign_origin" "The request comes from a foreign site";
    NotFound = 404 "not_found" "Not found";
    MethodNotAllowed = 405 "method_not_allowed" "The method is not allowed here";
    NotAcceptable = 406 "not_acceptable" "No acceptable representation";
    RequestTimeout = 408 "request_timeout" "The request took too long to arrive";
    Conflict = 409 "conflict" "The request conflicts with the present state";
    EmailTaken = 409 "email_taken" "The e-mail belongs to an account";
    SkuTaken = 409 "sku_taken" "The SKU belongs to another product";
    SlugTaken = 409 "slug_taken" "The slug belongs to another product";
    TypeTaken = 409 "product_type_taken" "The product type exists";
    TypeInUse = 409 "product_type_in_use" "Products use the product type";
    CategoryTaken = 409 "category_taken" "The category exists";
    CategoryInUse = 409 "category_in_use" "Products stand in the category";
    CartChanged = 409 "cart_changed" "The cart is not the one that was shown";
    CartEmpty = 409 "cart_empty" "The cart is empty";
    CartFull = 409 "cart_full" "The cart has no room for another line";
    DiscountTooMany = 409 "discount_too_many" "The cart has as many discount codes as it may";
    DiscountNotStarted = 409 "discount_not_started" "The discount code does not apply yet";
    DiscountExpired = 409 "discount_expired" "The discount code applies no more";
    DiscountMinimum = 409 "discount_minimum" "The discount code needs goods for more";
    DiscountUsedUp = 409 "discount_used_up" "All uses of the discount code are taken";
    DiscountUsedBefore = 409 "discount_used_before" "You have used the discount code before";
    DiscountTaken = 409 "discount_taken" "The discount code exists";
    DiscountInUse = 409 "discount_in_use" "The discount code was used";
    NothingToPay = 409 "nothing_to_pay" "There is nothing to pay";
    InsufficientStock = 409 "insufficient_stock" "Not enough in stock";
    PaymentNotApproved = 409 "payment_not_approved" "The buyer has not approved the payment";
    CheckoutClosed = 409 "checkout_closed" "The checkout is over";
    InvalidTransition = 409 "invalid_transition" "The order cannot take that status now";
    RefundTooLarge = 409 "refund_too_large" "The refund exceeds what was captured";
    RefundNotPossible = 409 "refund_not_possible" "The payment cannot be refunded now";
    RequestInProgress = 409 "request_in_progress" "The same request is still under way";
    Stale = 412 "stale_version" "The resource has changed";
    BodyTooLarge = 413 "body_too_large" "The body is too large";
    UnsupportedMediaType = 415 "unsupported_media_type" "The content type is not supported";
    Invalid = 422 "validation_failed" "The request breaks a rule";
    ImageInvalid = 422 "image_invalid" "The body is not an image that the shop takes";
    ImageTooLarge = 422 "image_too_large" "The image has too many pixels";
    KeyReused = 422 "idempotency_key_reused" "The idempotency key belongs to another request";
    DiscountUnknown = 422 "discount_unknown" "There is no such discount code";
    ShippingUnavailable = 422 "shipping_unavailable" "The shipping method does not serve this address";
    PreconditionRequired = 428 "precondition_required" "The request must name a version";
    RateLimited = 429 "rate_limited" "Too many requests";
    Internal = 500 "internal" "Something went wrong here";
    ProviderError = 502 "payment_provider_error" "The payment provider refused the request";
    Unavailable = 503 "unavailable" "Not available now";
    NotReady = 503 "not_ready" "The shop is not ready yet";
    Busy = 503 "busy" "Too much at once";
    ProviderUnavailable = 503 "payment_provider_unavailable" "The payment provider cannot be reached";
}

impl Code {
    /// The HTTP status that goes with the code.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status_number()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// The media type of problem answers.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One faulty place of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or `/name` of a query parameter.
    #[schema(example = "/quantity")]
    pub pointer: String,
    /// What is wrong, for programs: `required`, `unknown_field`, `invalid_type`, `range`, `length`, …
    #[schema(example = "range")]
    pub code: String,
    /// What is wrong, for people.
    pub message: String,
}

impl FieldError {
    /// Names the place, the code and the message.
    pub fn new(
        pointer: impl Into<String>,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            pointer: pointer.into(),
            code: code.into(),
            message: message.into(),
        }
    }
}

/// The answer to a request that failed.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: Code,
    detail: Option<String>,
    errors: Vec<FieldError>,
    extra: serde_json::Map<String, serde_json::Value>,
    retry_after: Option<Duration>,
    request_id: Option<String>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// The shape of a problem answer, for the OpenAPI document.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemBody {
    /// `urn:bodega:problem:` and the code.
    #[schema(example = "urn:bodega:problem:validation_failed")]
    pub r#type: String,
    /// The sentence that goes with the code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// Stable, for programs.
    #[schema(example = "validation_failed")]
    pub code: String,
    /// The id under which the server's log knows this request.
    pub request_id: String,
    /// Each faulty place.
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem that needs no more words than its code.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self(Box::new(Parts {
            code,
            detail: None,
            errors: Vec::new(),
            extra: serde_json::Map::new(),
            retry_after: None,
            request_id: None,
            cause: None,
        }))
    }

    /// 404: it does not exist, or not for this caller.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NotFound)
    }

    /// 422 with one faulty place.
    pub fn field(
        pointer: impl Into<String>,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::invalid(vec![FieldError::new(pointer, code, message)])
    }

    /// 422 with every faulty place.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self::new(Code::Invalid).errors(errors)
    }

    /// 500: our fault; the cause goes to the log and never to the client.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Code::Internal).caused_by(cause)
    }

    /// Says what happened this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Names faulty places.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Names faulty places besides those that are named already.
    #[must_use]
    pub fn also(mut self, further: Vec<FieldError>) -> Self {
        let named = &mut self.0.errors;
        for fault in further {
            if named.iter().all(|known| known.pointer != fault.pointer) {
                named.push(fault);
            }
        }
        named.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        self
    }

    /// Adds a member of its own to the answer, such as the present `cart`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => {
                self.0.extra.insert(name.to_owned(), value);
            }
            Err(error) => {
                tracing::error!(%error, member = name, "a problem's member cannot be encoded");
            }
        }
        self
    }

    /// Says when to try again (`Retry-After`, whole seconds, at least one).
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.0.code
    }

    /// The cause, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// Ties the problem to the request it answers, where no middleware will do it later.
    #[must_use]
    pub fn for_request(mut self, request_id: &str) -> Self {
        self.0.request_id = Some(request_id.to_owned());
        self
    }

    /// The answer as sent, under the request's id.
    #[must_use]
    pub fn respond(&self, request_id: &str) -> HttpResponse {
        let mut body = serde_json::Map::new();
        let detail = self.0.detail.as_deref().unwrap_or(self.0.code.title());
        body.insert(
            "type".into(),
            format!("urn:bodega:problem:{}", self.0.code.as_str()).into(),
        );
        body.insert("title".into(), self.0.code.title().into());
        body.insert("status".into(), self.0.code.status_number().into());
        body.insert("detail".into(), detail.into());
        body.insert("code".into(), self.0.code.as_str().into());
        body.insert("requestId".into(), request_id.into());
        let errors = self.0.errors.iter().map(|e| serde_json::json!(e)).collect();
        body.insert("errors".into(), serde_json::Value::Array(errors));
        body.extend(
            self.0
                .extra
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        let mut response = HttpResponse::build(self.0.code.status());
        response.insert_header((header::CONTENT_TYPE, MEDIA_TYPE));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(wait) = self.0.retry_after {
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if self.0.code.status() == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        response.body(serde_json::Value::Object(body).to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            self.0.code.as_str(),
            self.0.detail.as_deref().unwrap_or(self.0.code.title())
        )
    }
}

impl StdError for Problem {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .cause
            .as_deref()
            .map(|cause| -> &(dyn StdError + 'static) { cause })
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.respond(self.0.request_id.as_deref().unwrap_or_default())
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_have_a_status_of_failure() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.status().as_u16() >= 400));
    }

    #[test]
    fn what_was_said_of_a_place_stands_beside_what_is_said_of_others() {
        let fault = |pointer: &str, message: &str| FieldError::new(pointer, "invalid", message);
        let said = Problem::invalid(vec![fault("/email", "first")]);
        let told = said.also(vec![fault("/email", "second"), fault("/age", "third")]);
        let expected = [fault("/age", "third"), fault("/email", "first")];
        assert_eq!(told.0.errors, expected);
    }
}
