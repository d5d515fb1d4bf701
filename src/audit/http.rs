//! The audit log over HTTP.

use actix_web::{get, web};
use bson::oid::ObjectId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_actix_web::service_config::ServiceConfig as Table;

use super::{
    Action, Audit, Change, Entry, Subject,
    store::{Filter, Place},
};
use crate::{
    accounts::Staff,
    clock::Timestamp,
    http::{Params, invalid_parameter},
    id::UserId,
    page::{Limit, Page, cut, decode_cursor},
    problem::{Problem, ProblemBody},
};

/// The name of the list, which its cursors carry.
const LIST: &str = "audit";

/// Registers the room's routes.
pub fn routes(table: &mut Table) {
    table.service(list_audit);
}

/// Which entries are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct AuditParams {
    /// Changes of one kind of thing.
    entity: Option<Subject>,
    /// Changes of this one; with `entity`.
    entity_id: Option<String>,
    /// Changes by this user.
    actor: Option<UserId>,
    /// Changes that this job made.
    job: Option<String>,
    /// Changes from then on (RFC 3339).
    from: Option<String>,
    /// Changes before then (RFC 3339).
    to: Option<String>,
    /// Rows of the page.
    #[serde(default)]
    #[param(value_type = u32, minimum = 1, maximum = 100, default = 20)]
    limit: Limit,
    /// Where the page begins.
    cursor: Option<String>,
}

/// One change.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
#[serde(rename_all = "camelCase")]
struct EntryView {
    id: String,
    at: Timestamp,
    /// Who: a user's id, or `null` for a command on the server.
    actor: Option<UserId>,
    action: Action,
    entity: Subject,
    entity_id: String,
    /// Its name for people: a SKU, a path, a code.
    label: String,
    /// The job that made the change, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    /// Why, where a reason was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What differs, place by place.
    changes: Vec<ChangeView>,
    /// How many more places have changed than are listed.
    changes_left_out: u32,
}

/// One place that has changed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AuditChange)]
pub struct ChangeView {
    /// JSON pointer; an element of a list is named by its id, SKU or address where it has one.
    #[schema(example = "/price/amount")]
    pointer: String,
    /// What was there; absent: nothing. A long value is a text that ends in `…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// What is there now; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

/// JSON text as a value; what was cut is shown as the text it is.
fn shown(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

impl From<Change> for ChangeView {
    fn from(change: Change) -> Self {
        Self {
            pointer: change.pointer,
            before: change.before.map(shown),
            after: change.after.map(shown),
        }
    }
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id.to_hex(),
            at: entry.at,
            actor: entry.by,
            action: entry.action,
            entity: entry.subject,
            entity_id: entry.subject_id,
            label: entry.label,
            job: entry.job.map(ObjectId::to_hex),
            reason: entry.reason,
            changes: entry.changes.places.into_iter().map(Into::into).collect(),
            changes_left_out: entry.changes.left_out,
        }
    }
}

fn moment(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let read = |text| {
        Timestamp::parse(text)
            .map_err(|_unreadable| invalid_parameter(name, "format", "expected an RFC 3339 time"))
    };
    text.map(read).transpose()
}

impl AuditParams {
    fn filter(&self) -> Result<Filter, Problem> {
        if self.entity_id.is_some() && self.entity.is_none() {
            let message = "an id is one of a kind: name the entity too";
            return Err(invalid_parameter("entity", "required", message));
        }
        let job = self.job.as_deref().map(|job| {
            ObjectId::parse_str(job)
                .map_err(|_unreadable| invalid_parameter("job", "format", "expected a job's id"))
        });
        Ok(Filter {
            subject: self.entity,
            subject_id: self.entity_id.clone(),
            by: self.actor,
            job: job.transpose()?,
            from: moment("from", self.from.as_deref())?,
            to: moment("to", self.to.as_deref())?,
        })
    }
}

/// Lists what staff have changed, newest first: who, when, what, before and after.
#[utoipa::path(tag = "admin", params(AuditParams), security(("bearer" = [])), responses(
    (status = OK, body = Page<EntryView>),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[get("/api/admin/audit")]
async fn list_audit(
    _staff: Staff,
    Params(wanted): Params<AuditParams>,
    audit: web::Data<Audit>,
) -> Result<web::Json<Page<EntryView>>, Problem> {
    let filter = wanted.filter()?;
    let after: Option<Place> = match &wanted.cursor {
        Some(cursor) => Some(decode_cursor(LIST, cursor)?),
        None => None,
    };
    let rows = wanted.limit.rows().saturating_add(1);
    let mut entries = audit.page(&filter, after, rows).await?;
    let total = audit.count(&filter).await?;
    let next_cursor = cut(LIST, &mut entries, wanted.limit, |last| {
        (last.at.millis(), last.id)
    })?;
    Ok(web::Json(Page {
        items: entries.into_iter().map(Into::into).collect(),
        next_cursor,
        total,
    }))
}
