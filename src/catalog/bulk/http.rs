//! Bulk edits over HTTP.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::form_urlencoded;
use utoipa_actix_web::service_config::ServiceConfig as Table;
use validator::Validate;

use super::{
    edit::BulkEdit,
    store::{BulkJob, BulkState, Item, ItemFault, ItemState},
};
use crate::{
    accounts::Staff,
    audit::{Action, Actor, Entry, Subject, difference},
    catalog::{Catalog, CatalogError, index::SearchQuery, progress, progress::Jobs},
    clock::Timestamp,
    http::Body,
    id::{BulkEditId, ProductId, UserId},
    problem::{Code, FieldError, Problem, ProblemBody},
};

/// The most bytes of a filter.
const MAX_FILTER: usize = 8 * 1024;

/// Registers the room's routes.
pub(in crate::catalog) fn routes(table: &mut Table) {
    table
        .service(begin_bulk_edit)
        .service(show_bulk_edit)
        .service(follow_bulk_edit)
        .service(undo_bulk_edit);
}

/// A change of every product that a filter finds.
#[derive(Debug, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BulkEditRequest {
    /// Which products, in the language of `GET /api/products`: its query string, without sort and page;
    /// `hidden=true` for drafts and archived ones too. Empty: all that are on sale.
    #[schema(example = "type=shirt&attr.material=linen&maxPrice=5000")]
    filter: String,
    /// What is done to each.
    #[validate(nested)]
    edit: BulkEdit,
    /// Whether nothing is written: counts and samples only.
    #[serde(default)]
    dry_run: bool,
}

/// A bulk edit.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BulkEditJob)]
#[serde(rename_all = "camelCase")]
pub(in crate::catalog) struct JobView {
    id: BulkEditId,
    filter: String,
    #[schema(value_type = Object)]
    edit: Value,
    dry_run: bool,
    state: BulkState,
    counts: CountsView,
    /// The first twenty products that were changed, or would be.
    samples: Vec<SampleView>,
    /// The first hundred that failed, or were kept when the edit was undone.
    errors: Vec<ErrorView>,
    by: UserId,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// How many products stand where.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BulkEditCounts)]
struct CountsView {
    /// Found by the filter when the job began.
    matched: u64,
    /// Not dealt with yet.
    pending: u64,
    /// Changed; in a dry run, would be.
    changed: u64,
    /// So already.
    unchanged: u64,
    /// Could not be changed.
    failed: u64,
    /// Put back.
    restored: u64,
    /// Changed by somebody since, and kept when the edit was undone.
    kept: u64,
}

/// A product that was changed, or would be.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BulkEditSample)]
#[serde(rename_all = "camelCase")]
struct SampleView {
    product_id: ProductId,
    sku: Option<String>,
    /// What the edit touches, before.
    #[schema(value_type = Object)]
    before: Value,
    /// The same, after.
    #[schema(value_type = Object)]
    after: Value,
}

/// A product that could not be changed, or put back.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BulkEditError)]
#[serde(rename_all = "camelCase")]
struct ErrorView {
    product_id: ProductId,
    errors: Vec<ItemFault>,
}

fn value(text: Option<&str>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

impl From<Item> for SampleView {
    fn from(item: Item) -> Self {
        Self {
            product_id: item.product,
            before: value(item.before.as_deref()),
            after: value(item.after.as_deref()),
            sku: item.sku,
        }
    }
}

impl From<Item> for ErrorView {
    fn from(item: Item) -> Self {
        Self {
            product_id: item.product,
            errors: item.faults,
        }
    }
}

async fn view(catalog: &Catalog, job: BulkJob) -> Result<JobView, Problem> {
    let bulk = &catalog.shared.bulk;
    let counts = bulk.counts(job.id).await?;
    let count = |state| counts.get(&state).copied().unwrap_or_default();
    let samples = bulk.samples(job.id).await?;
    let errors = bulk.faulty(job.id).await?;
    Ok(JobView {
        id: job.id,
        edit: value(Some(&job.edit)),
        filter: job.filter,
        dry_run: job.dry_run,
        state: job.state,
        counts: CountsView {
            matched: job.matched,
            pending: count(ItemState::Pending),
            changed: count(ItemState::Changed),
            unchanged: count(ItemState::Unchanged),
            failed: count(ItemState::Failed),
            restored: count(ItemState::Restored),
            kept: count(ItemState::Kept),
        },
        samples: samples.into_iter().map(Into::into).collect(),
        errors: errors.into_iter().map(Into::into).collect(),
        by: job.by,
        created_at: job.created_at,
        updated_at: job.updated_at,
    })
}

impl progress::JobView for JobView {
    fn is_over(&self) -> bool {
        self.state.is_over()
    }
}

/// Bulk edits.
impl Jobs for Catalog {
    type Id = BulkEditId;
    type View = JobView;

    async fn look(&self, id: BulkEditId) -> Result<Option<JobView>, Problem> {
        match self.shared.bulk.find(id).await? {
            Some(job) => Ok(Some(view(self, job).await?)),
            None => Ok(None),
        }
    }
}

async fn found(catalog: &Catalog, id: BulkEditId) -> Result<BulkJob, Problem> {
    let found = catalog.shared.bulk.find(id).await?;
    found.ok_or_else(Problem::not_found)
}

/// The products that the filter finds.
fn matched(catalog: &Catalog, filter: &str) -> Result<Vec<ProductId>, Problem> {
    if !catalog.is_ready() {
        return Err(CatalogError::Loading.into());
    }
    if filter.len() > MAX_FILTER {
        let message = format!("a filter has {MAX_FILTER} bytes at most");
        return Err(Problem::field("/filter", "length", message));
    }
    let mut pairs: Vec<_> = form_urlencoded::parse(filter.as_bytes()).collect();
    for (index, (name, _)) in pairs.iter().enumerate() {
        let before = pairs.iter().take(index);
        if matches!(name.as_ref(), "sort" | "limit" | "cursor" | "facets")
            || name == "hidden" && before.into_iter().any(|(other, _)| other == "hidden")
        {
            let message = format!("{name} has no place in a filter");
            return Err(Problem::field("/filter", "unknown_parameter", message));
        }
    }
    let hidden = pairs
        .iter()
        .position(|(name, value)| name == "hidden" && value == "true");
    if let Some(place) = hidden {
        pairs.remove(place);
    }
    let query = SearchQuery::parse(pairs)?;
    let query = if hidden.is_some() {
        query.with_hidden()
    } else {
        query
    };
    catalog.shared.live.index.matching(&query)
}

/// Begins a change of every product that a filter finds, as a job.
///
/// The products are written down now; each is changed once, or reported with what stands in the way.
/// Prices are computed by the shop's one rounding rule. Look at the job for its progress, or follow its
/// events; a dry run goes the same way and writes no product.
#[utoipa::path(tag = "admin", request_body = BulkEditRequest, security(("bearer" = [])), responses(
    (status = ACCEPTED, body = JobView, headers(("Location" = String))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "The index is being loaded"),
))]
#[post("/api/admin/bulk-edits")]
async fn begin_bulk_edit(
    Staff(principal): Staff,
    Body(wanted): Body<BulkEditRequest>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let currency = catalog.shared.currency;
    wanted.edit.check(currency).map_err(Problem::invalid)?;
    let products = matched(&catalog, &wanted.filter)?;
    let now = Timestamp::now();
    let job = BulkJob {
        id: BulkEditId::new(),
        filter: wanted.filter,
        edit: serde_json::to_string(&wanted.edit).map_err(Problem::internal)?,
        dry_run: wanted.dry_run,
        state: BulkState::Running,
        matched: u64::try_from(products.len()).unwrap_or(u64::MAX),
        by: principal.user,
        created_at: now,
        updated_at: now,
    };
    if !job.dry_run {
        let told = json!({
            "filter": job.filter, "edit": value(Some(&job.edit)), "matched": job.matched,
        });
        log(&catalog, &job, principal.user, Action::Begun, &told).await?;
    }
    catalog.shared.bulk.begin(&job, &products).await?;
    catalog.shared.wake.notify_one();
    let place = format!("/api/admin/bulk-edits/{}", job.id);
    Ok(progress::begun(place, &view(&catalog, job).await?))
}

async fn log(
    catalog: &Catalog,
    job: &BulkJob,
    by: UserId,
    action: Action,
    told: &Value,
) -> Result<(), Problem> {
    let subject = (Subject::BulkEdit, job.id.to_string(), job.filter.clone());
    let changes = difference(&Value::Null, told);
    let entry = Entry::new(Actor::User(by), action, subject, changes);
    let entry = entry.of_job(Some(job.id.object_id()));
    Ok(catalog.shared.audit.write(&entry).await?)
}

/// Shows how a bulk edit goes.
#[utoipa::path(tag = "admin", params(("id" = BulkEditId, Path)), security(("bearer" = [])), responses(
    (status = OK, body = JobView),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
))]
#[get("/api/admin/bulk-edits/{id}")]
async fn show_bulk_edit(
    _staff: Staff,
    id: web::Path<BulkEditId>,
    catalog: web::Data<Catalog>,
) -> Result<web::Json<JobView>, Problem> {
    progress::show(&**catalog, id.into_inner()).await
}

/// Follows a bulk edit as server-sent events: `progress` with the job whenever it has moved on, and a last
/// one as `end`.
#[utoipa::path(tag = "admin", params(("id" = BulkEditId, Path)), security(("bearer" = [])), responses(
    (status = OK, body = String, content_type = "text/event-stream"),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
))]
#[get("/api/admin/bulk-edits/{id}/events")]
async fn follow_bulk_edit(
    _staff: Staff,
    _request: HttpRequest,
    id: web::Path<BulkEditId>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    progress::follow(&catalog, catalog.clone(), id.into_inner()).await
}

/// Puts back what a bulk edit has changed, as a job; what somebody has changed since is kept and named.
#[utoipa::path(tag = "admin", params(("id" = BulkEditId, Path)), security(("bearer" = [])), responses(
    (status = ACCEPTED, body = JobView),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`conflict`: it is under way, was a dry run, or was undone"),
))]
#[post("/api/admin/bulk-edits/{id}/undo")]
async fn undo_bulk_edit(
    Staff(principal): Staff,
    id: web::Path<BulkEditId>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let job = found(&catalog, id.into_inner()).await?;
    let bulk = &catalog.shared.bulk;
    if job.dry_run
        || !bulk
            .advance(job.id, BulkState::Done, BulkState::Undoing)
            .await?
    {
        let message = "only an edit that is done can be undone, and only once";
        return Err(Problem::new(Code::Conflict)
            .detail(message)
            .errors(vec![FieldError::new("/state", "state", message)]));
    }
    log(&catalog, &job, principal.user, Action::Undone, &json!({})).await?;
    catalog.shared.wake.notify_one();
    let job = found(&catalog, job.id).await?;
    Ok(HttpResponse::Accepted().json(view(&catalog, job).await?))
}
