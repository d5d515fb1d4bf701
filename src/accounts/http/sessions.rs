//! The signed-in devices.

use actix_web::{HttpRequest, HttpResponse, delete, get, web};

use super::{cookie, view::SessionView};
use crate::{
    accounts::{Accounts, Principal},
    config::Config,
    id::SessionId,
    page::Page,
    problem::{Problem, ProblemBody},
};

/// Lists the signed-in devices, the one used last first.
///
/// There are a hundred at most, so one page holds them all.
#[utoipa::path(tag = "accounts", security(("bearer" = [])), responses(
    (status = OK, body = Page<SessionView>),
    (status = UNAUTHORIZED, body = ProblemBody),
))]
#[get("/api/auth/sessions")]
pub(super) async fn list_sessions(
    who: Principal,
    accounts: web::Data<Accounts>,
) -> Result<web::Json<Page<SessionView>>, Problem> {
    let sessions = accounts.sessions(who.user).await?;
    let items: Vec<SessionView> = sessions
        .into_iter()
        .map(|session| SessionView::new(session, who.session))
        .collect();
    let total = u64::try_from(items.len()).unwrap_or(u64::MAX);
    Ok(web::Json(Page {
        items,
        next_cursor: None,
        total,
    }))
}

/// Signs a device out; its access tokens are refused from now on.
#[utoipa::path(tag = "accounts", security(("bearer" = [])),
    params(("id" = SessionId, Path, description = "The device's sign-in")),
    responses(
        (status = NO_CONTENT),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody, description = "not yours, or ended"),
    ))]
#[delete("/api/auth/sessions/{id}")]
pub(super) async fn end_session(
    request: HttpRequest,
    who: Principal,
    id: web::Path<SessionId>,
    accounts: web::Data<Accounts>,
    config: web::Data<Config>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    accounts.end_session(who.user, id).await?;
    let mut answer = HttpResponse::NoContent();
    if id == who.session && cookie::sent(&request).is_some() {
        answer.cookie(cookie::cleared(&config));
    }
    Ok(answer.finish())
}
