//! What comes before the application: answers that stand ready need not find their way through it, and HEAD is GET
//! without its body.

use std::{
    future::ready,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use actix_http::{
    Request, Response,
    body::{BodySize, BoxBody, EitherBody, MessageBody},
};
use actix_service::{Service, ServiceFactory, apply_fn_factory};
use actix_web::{HttpResponse, dev::RequestHead, http::Method, web::Bytes};
use futures_util::{TryFutureExt, future::Either};

use super::{
    client::TrustedProxies,
    limits::{RateClass, RateLimits},
    request::Seen,
};

/// An answer that stands ready, and the route that it is of.
pub type Ready = (HttpResponse, &'static str);

/// What is done to an answer that stands ready as to every other: it counts against its client's limit, is measured and
/// has the headers of all. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Front {
    limits: RateLimits,
    proxies: TrustedProxies,
}

impl Front {
    pub(crate) const fn new(limits: RateLimits, proxies: TrustedProxies) -> Self {
        Self { limits, proxies }
    }

    /// Answers requests with what is `at_hand` for them, and lets `app` answer all others.
    pub(crate) fn before<F, B>(
        self,
        app: F,
        at_hand: impl Fn(&RequestHead) -> Option<Ready> + Clone + 'static,
    ) -> impl ServiceFactory<
        Request,
        Config = (),
        Response = Response<EitherBody<B>>,
        Error = F::Error,
        InitError = F::InitError,
    >
    where
        F: ServiceFactory<Request, Config = ()>,
        F::Response: Into<Response<B>>,
        B: MessageBody + 'static,
    {
        apply_fn_factory(app, move |mut request: Request, app: &F::Service| {
            let headless = request.method() == Method::HEAD;
            if headless {
                request.head_mut().method = Method::GET;
            }
            match self.answer(request.head(), &at_hand) {
                Some(answer) => Either::Left(ready(Ok(beside(answer.into(), headless)))),
                None => Either::Right(app.call(request).map_ok(move |answer| {
                    let answer: Response<B> = answer.into();
                    if headless {
                        beside(answer, headless)
                    } else {
                        answer.map_body(|_head, body| EitherBody::left(body))
                    }
                })),
            }
        })
    }

    /// `None` where nothing is at hand, and for a client that is beyond its limit: that is the application's to refuse.
    fn answer(
        &self,
        request: &RequestHead,
        at_hand: impl Fn(&RequestHead) -> Option<Ready>,
    ) -> Option<HttpResponse> {
        let began = Instant::now();
        let (answer, route) = at_hand(request)?;
        let class = RateClass::General;
        let client = self.proxies.client_of(request);
        self.limits.admit(class, client).ok()?;
        let seen = Seen::of(request, class, Some(self.limits.clone()), began);
        Some(seen.finish(answer, route))
    }
}

/// An answer that is not passed on as the application made it.
fn beside<B, O>(answer: Response<O>, headless: bool) -> Response<EitherBody<B>>
where
    B: MessageBody,
    O: MessageBody + 'static,
{
    answer.map_body(|_head, body| {
        EitherBody::right(if headless {
            BoxBody::new(Unsent(body.size()))
        } else {
            body.boxed()
        })
    })
}

/// The body of an answer to HEAD: it has a size, and nothing of it is sent (RFC 9110, 9.3.2).
struct Unsent(BodySize);

impl MessageBody for Unsent {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}
