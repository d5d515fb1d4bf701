//! Answers that stand in for the true one, or spoil it.

use std::{io, time::Duration};

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError as _,
    body::{BodyStream, SizedStream},
    http::{StatusCode, header},
    web::Bytes,
};
use futures_util::stream;
use tokio::time::sleep;

use super::{Fault, Kind, Operation, alter};
use crate::{issues, problem::Problem};

/// The answer that comes in place of the work, for faults that do none.
pub(crate) fn instead(fault: &Fault) -> Option<HttpResponse> {
    let status = fault.status;
    match fault.kind {
        Kind::Status if fault.operation == Operation::Token && status == Some(401) => {
            let text = "Client Authentication failed";
            Some(Problem::oauth(401, "invalid_client", text).error_response())
        }
        Kind::Status => Some(plain(status.unwrap_or(500), fault.retry_after).error_response()),
        Kind::StatusHtml => {
            let problem = Problem::html(status.unwrap_or(503)).retry_after(fault.retry_after);
            Some(problem.error_response())
        }
        Kind::RateLimit => Some(Problem::rate_limit(fault.retry_after).error_response()),
        Kind::Issue => {
            let name = fault.issue.as_deref().unwrap_or("TRANSACTION_REFUSED");
            let problem = issues::find(name)
                .map_or_else(|| Problem::status(422), |issue| Problem::issue(issue.name));
            Some(problem.told_by(fault.operation))
        }
        Kind::Oversized => {
            let size = fault.bytes.unwrap_or(10 * 1024 * 1024);
            Some(
                HttpResponse::Ok()
                    .content_type("application/json")
                    .body(vec![b' '; size]),
            )
        }
        Kind::Redirect => {
            let location = fault.location.clone().unwrap_or_else(|| "/".to_owned());
            Some(
                HttpResponse::Found()
                    .insert_header((header::LOCATION, location))
                    .finish(),
            )
        }
        Kind::Refuse
        | Kind::Reset
        | Kind::ResetAfter
        | Kind::Hang
        | Kind::Delay
        | Kind::SlowWork
        | Kind::SlowDrip
        | Kind::CutBody
        | Kind::BadJson
        | Kind::EmptyBody
        | Kind::Html
        | Kind::WrongAmount
        | Kind::WrongCurrency
        | Kind::UnknownEnum
        | Kind::ExtraFields
        | Kind::DoneThenStatus
        | Kind::DoneThenTimeout
        | Kind::Pending
        | Kind::Declined
        | Kind::Denied
        | Kind::Failed => None,
    }
}

fn plain(status: u16, retry_after: Option<u64>) -> Problem {
    match status {
        429 => Problem::rate_limit(retry_after),
        status => Problem::status(status).retry_after(retry_after),
    }
}

/// The spoiled answer, made from the true one's status, headers and body.
pub(crate) fn spoil(
    fault: &Fault,
    status: StatusCode,
    mut builder: HttpResponseBuilder,
    body: Bytes,
) -> HttpResponse {
    match fault.kind {
        Kind::DoneThenStatus => {
            let status = fault.status.unwrap_or(500);
            plain(status, fault.retry_after).error_response()
        }
        Kind::CutBody => builder.body(cut(&body)),
        Kind::SlowDrip => builder.body(drip(body, fault.delay_ms.unwrap_or(100))),
        Kind::BadJson => builder.body(body.slice(..body.len() / 2)),
        Kind::EmptyBody => builder.finish(),
        Kind::Html => Problem::html(200).error_response(),
        Kind::WrongAmount => builder.body(alter::json(&body, alter::amounts)),
        Kind::WrongCurrency => builder.body(alter::json(&body, alter::currencies)),
        Kind::UnknownEnum => builder.body(alter::json(&body, alter::statuses)),
        Kind::ExtraFields => builder.body(alter::json(&body, alter::members)),
        Kind::Refuse
        | Kind::Reset
        | Kind::ResetAfter
        | Kind::Hang
        | Kind::Delay
        | Kind::SlowWork
        | Kind::Status
        | Kind::StatusHtml
        | Kind::RateLimit
        | Kind::Issue
        | Kind::DoneThenTimeout
        | Kind::Pending
        | Kind::Declined
        | Kind::Denied
        | Kind::Failed
        | Kind::Oversized
        | Kind::Redirect => {
            builder.status(status);
            builder.body(body)
        }
    }
}

/// Whether the fault acts on the answer after the work.
pub(crate) const fn spoils(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::DoneThenStatus
            | Kind::CutBody
            | Kind::SlowDrip
            | Kind::BadJson
            | Kind::EmptyBody
            | Kind::Html
            | Kind::WrongAmount
            | Kind::WrongCurrency
            | Kind::UnknownEnum
            | Kind::ExtraFields
    )
}

/// Half of the body under its full length, then the end. The pause lets the half leave the machine.
fn cut(
    body: &Bytes,
) -> SizedStream<impl stream::Stream<Item = Result<Bytes, io::Error>> + 'static> {
    let size = u64::try_from(body.len()).unwrap_or_default();
    let half = body.slice(..body.len() / 2);
    SizedStream::new(
        size,
        Box::pin(stream::unfold(0_u8, move |step| {
            let half = half.clone();
            async move {
                match step {
                    0 => Some((Ok(half), 1)),
                    1 => {
                        sleep(Duration::from_millis(50)).await;
                        Some((Err(io::Error::other("connection is cut")), 2))
                    }
                    _ => None,
                }
            }
        })),
    )
}

/// One byte at a time.
fn drip(
    body: Bytes,
    gap_ms: u64,
) -> BodyStream<impl stream::Stream<Item = Result<Bytes, io::Error>> + 'static> {
    BodyStream::new(Box::pin(stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        sleep(Duration::from_millis(gap_ms)).await;
        let first = rest.split_to(1);
        Some((Ok(first), rest))
    })))
}
