//! What happens around every request: its id, its log line, its measure, security headers, rate
//! limits, and a problem answer where a handler failed or panicked.

use std::time::Instant;

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{Payload, RequestHead, ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        Method, StatusCode,
        header::{
            CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
            RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::Next,
    web,
};
use rand::Rng;

use super::{
    client::ClientAddress,
    gate::{Gate, Pass},
    limits::{RateClass, RateLimits},
    measure, privacy,
};
use crate::problem::{Code, Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// A foreign request id is taken over up to this length.
const MAX_REQUEST_ID: usize = 128;

/// The id of a request: the client's where well formed, else made here.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    fn of(headers: &HeaderMap) -> Self {
        let taken_over = headers.get(&REQUEST_ID).filter(|value| {
            let bytes = value.as_bytes();
            (1..=MAX_REQUEST_ID).contains(&bytes.len())
                && bytes
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        });
        Self(taken_over.cloned().unwrap_or_else(|| {
            let mut made = [0; 32];
            let random = rand::rng().random::<[u8; 16]>();
            for (pair, byte) in made.chunks_exact_mut(2).zip(random) {
                pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
            HeaderValue::from_bytes(&made).unwrap_or_else(|_| HeaderValue::from_static("0"))
        }))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// A number below 16 as a hexadecimal digit.
const fn digit(value: u8) -> u8 {
    if value < 10 {
        b'0' + value
    } else {
        b'a' - 10 + value
    }
}

impl FromRequest for RequestId {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let id = request.extensions().get::<Self>().cloned();
        std::future::ready(Ok(id.unwrap_or_else(|| Self::of(request.headers()))))
    }
}

/// The path as the router reads it: `reg%69ster` is `register`.
fn path_of(request: &ServiceRequest) -> &str {
    request.match_info().as_str()
}

/// Credential endpoints count against the stricter limit.
fn class_of(path: &str) -> RateClass {
    match path {
        "/api/auth/register"
        | "/api/auth/login"
        | "/api/auth/refresh"
        | "/api/auth/password"
        | "/api/auth/password/forgot"
        | "/api/auth/password/reset"
        | "/api/auth/verify"
        | "/api/auth/account" => RateClass::Credentials,
        _ => RateClass::General,
    }
}

/// Callbacks and probes are never refused for their number: PayPal would have to send them again.
pub(crate) fn unlimited(path: &str) -> bool {
    matches!(
        path,
        "/healthz" | "/readyz" | "/metrics" | "/api/payment/webhook" | "/api/payment/ipn"
    )
}

/// Wraps every request; the outermost middleware.
///
/// # Errors
/// Only for a handler that panicked; every other failure is an answer already.
pub async fn guard_request(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let limits = request.app_data::<web::Data<RateLimits>>();
    let limits = limits.map(|limits| limits.get_ref().clone());
    let class = class_of(path_of(&request));
    let seen = Seen::of(request.head(), class, limits, Instant::now());
    let id = &seen.id;
    request.extensions_mut().insert(id.clone());
    let pass = match admitted(&request, &seen) {
        Ok(pass) => pass,
        Err(refused) => {
            let refused = seen.finish(refused.respond(id.as_str()), &route_of(request.request()));
            return Ok(request.into_response(refused));
        }
    };
    match pass.handled(request, &next).await {
        Ok(Ok(Ok(response))) => {
            let mut response = answered(response, id);
            let status = response.status();
            seen.set_headers(response.headers_mut(), status);
            seen.record(status, &route_of(response.request()));
            Ok(response)
        }
        Ok(Ok(Err(error))) => Err(failed(&error, id).into()),
        Ok(Err(_panic)) => {
            metrics::counter!("bodega_panics_total").increment(1);
            tracing::error!(request.id = id.as_str(), "a handler panicked");
            Err(Problem::new(Code::Internal).for_request(id.as_str()).into())
        }
        // The request itself is still in its handler's hands: only its answer is made here.
        Err(refused) => {
            let response = seen.finish(refused.respond(id.as_str()), UNKNOWN);
            Err(InternalError::from_response(refused, response).into())
        }
    }
}

fn admitted(request: &ServiceRequest, seen: &Seen) -> Result<Pass, Problem> {
    if let Some(limits) = &seen.limits
        && !unlimited(path_of(request))
    {
        limits.admit(seen.class, ClientAddress::of(request.request()))?;
    }
    match request.app_data::<web::Data<Gate>>() {
        Some(gate) => gate.admit(request.method(), path_of(request)),
        None => Ok(Pass::Free),
    }
}

/// The route of a request that is still in its handler's hands.
const UNKNOWN: &str = "unknown";

/// The route by its pattern, never by its path: a path may hold an id, and labels must stay few. Asked for once the
/// router has found it, it costs nothing; before, it is found a second time.
fn route_of(request: &HttpRequest) -> String {
    let pattern = request.match_pattern();
    pattern.unwrap_or_else(|| "unmatched".to_owned())
}

/// A request as it came, for what is said about it once it is answered.
pub(super) struct Seen {
    began: Instant,
    id: RequestId,
    method: Method,
    class: RateClass,
    limits: Option<RateLimits>,
    personal: bool,
}

/// Gives a failed answer its request id and logs the cause of a 5xx, once.
fn answered(
    response: ServiceResponse<impl MessageBody + 'static>,
    id: &RequestId,
) -> ServiceResponse<BoxBody> {
    let Some(error) = response.response().error() else {
        return response.map_into_boxed_body();
    };
    let rendered = problem_of(error, id);
    response.into_response(rendered)
}

fn problem_of(error: &Error, id: &RequestId) -> actix_web::HttpResponse {
    if let Some(problem) = error.as_error::<Problem>() {
        let expected = matches!(problem.code(), Code::Busy | Code::NotReady);
        if problem.code().status().is_server_error() && !expected {
            let cause = problem.cause().map(ToString::to_string);
            tracing::error!(request.id = id.as_str(), %problem, cause, "request failed");
        }
        return problem.respond(id.as_str());
    }
    let status = error.as_response_error().status_code();
    let code = Code::ALL
        .iter()
        .copied()
        .find(|code| code.status() == status);
    let code = code.unwrap_or(if status.is_client_error() {
        Code::MalformedRequest
    } else {
        Code::Internal
    });
    Problem::new(code).respond(id.as_str())
}

fn failed(error: &Error, id: &RequestId) -> Problem {
    tracing::error!(request.id = id.as_str(), %error, "request failed outside its handler");
    Problem::new(Code::Internal).for_request(id.as_str())
}

/// No script, frame or plug-in but our own; nothing guessed, nothing leaked to other sites.
const OWN_CONTENT: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; \
     base-uri 'self'; frame-ancestors 'none'; form-action 'self'",
);
const NOTHING_GUESSED: HeaderValue = HeaderValue::from_static("nosniff");
const NOTHING_LEAKED: HeaderValue = HeaderValue::from_static("strict-origin-when-cross-origin");

impl Seen {
    pub(super) fn of(
        request: &RequestHead,
        class: RateClass,
        limits: Option<RateLimits>,
        began: Instant,
    ) -> Self {
        Self {
            began,
            id: RequestId::of(&request.headers),
            method: request.method.clone(),
            class,
            limits,
            personal: privacy::is_personal(&request.headers),
        }
    }

    /// Makes a refusal an answer like every other.
    pub(super) fn finish(&self, mut response: HttpResponse, route: &str) -> HttpResponse {
        let status = response.status();
        self.set_headers(response.headers_mut(), status);
        self.record(status, route);
        response
    }

    fn set_headers(&self, headers: &mut HeaderMap, status: StatusCode) {
        headers.insert(REQUEST_ID, self.id.0.clone());
        if self.personal {
            privacy::keep_private(headers);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOTHING_GUESSED);
        headers.insert(REFERRER_POLICY, NOTHING_LEAKED);
        if !headers.contains_key(CONTENT_SECURITY_POLICY) {
            headers.insert(CONTENT_SECURITY_POLICY, OWN_CONTENT);
        }
        let limits = self.limits.as_ref();
        if let Some(policy) = limits.and_then(|limits| limits.policy(self.class)) {
            headers.insert(RATE_LIMIT_POLICY, policy);
        }
        let name = self.class.name();
        if status == StatusCode::TOO_MANY_REQUESTS
            && let Some(wait) = headers.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok())
            && let Ok(limit) = HeaderValue::try_from(format!("\"{name}\";r=0;t={wait}"))
        {
            headers.insert(RATE_LIMIT, limit);
        }
    }

    fn record(&self, status: StatusCode, route: &str) {
        let elapsed = self.began.elapsed();
        measure::record(&self.method, route, status, elapsed);
        let (id, method) = (self.id.as_str(), self.method.as_str());
        let duration_ms = elapsed.as_millis();
        // 503 is a state, not an event: whoever waits for its end asks again and again.
        let told = status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE;
        if self.method.is_safe() && !told {
            tracing::debug!(
                request.id = id,
                method,
                route,
                status = status.as_u16(),
                duration_ms,
                "answered"
            );
        } else {
            tracing::info!(
                request.id = id,
                method,
                route,
                status = status.as_u16(),
                duration_ms,
                "answered"
            );
        }
    }
}
