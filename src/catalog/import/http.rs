//! Import and export over HTTP: the body is spooled to a file, the job runs beside the requests.

use actix_web::{HttpRequest, HttpResponse, get, http::header::CONTENT_TYPE, post, web};
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    Counts, Difference, Exporter, Format, ImportError, ImportJob, ImportPlan, ImportState,
    Importer, ReportLine, files::Scratch, mapping_named,
};
use crate::{
    accounts::Staff,
    audit::{Action, Actor, ChangeView},
    catalog::{
        Catalog, progress,
        progress::{JobView, Jobs},
    },
    clock::Timestamp,
    config::config_folder,
    http::Params,
    id::ImportId,
    problem::{Code, Problem, ProblemBody},
};

/// The most bytes of an imported file.
const MAX_FILE: u64 = 2 * 1024 * 1024 * 1024;

/// Registers the room's routes, all but the export, which has a word in a product's place.
pub(in crate::catalog) fn routes(table: &mut ServiceConfig) {
    table
        .service(begin_import)
        .service(show_import)
        .service(follow_import);
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// A mapping of `config/import` by its name; left out for rows in the shop's own shape.
    #[param(pattern = "^[a-z0-9-]{1,64}$")]
    mapping: Option<String>,
    /// Looks at every row and writes nothing.
    #[serde(default)]
    dry_run: bool,
}

/// An import, as staff see it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::catalog) struct ImportView {
    job_id: ImportId,
    name: String,
    state: ImportState,
    dry_run: bool,
    counts: Counts,
    /// The first thousand rows that were refused.
    errors: Vec<ReportLine>,
    /// In a dry run, what the first hundred rows that change anything would do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<DifferenceView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What a row would do.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ImportDifference)]
#[serde(rename_all = "camelCase")]
struct DifferenceView {
    line: u64,
    sku: String,
    /// `created` or `updated`.
    action: Action,
    /// What would change of a present product; the first twenty places.
    changes: Vec<ChangeView>,
    /// How many more places would change.
    changes_left_out: u32,
}

impl From<Difference> for DifferenceView {
    fn from(difference: Difference) -> Self {
        Self {
            line: difference.line,
            sku: difference.sku,
            action: difference.action,
            changes: difference.changes.into_iter().map(Into::into).collect(),
            changes_left_out: difference.left_out,
        }
    }
}

impl From<ImportJob> for ImportView {
    fn from(job: ImportJob) -> Self {
        Self {
            job_id: job.id,
            name: job.name,
            state: job.state,
            dry_run: job.dry_run,
            counts: job.counts,
            errors: job.lines,
            differences: job.differences.into_iter().map(Into::into).collect(),
            failure: job.failure,
            created_at: job.created_at,
            updated_at: job.updated_at,
        }
    }
}

impl JobView for ImportView {
    fn is_over(&self) -> bool {
        self.state != ImportState::Running
    }
}

impl Jobs for Importer {
    type Id = ImportId;
    type View = ImportView;

    async fn look(&self, id: ImportId) -> Result<Option<ImportView>, Problem> {
        Ok(self.job(id).await?.map(Into::into))
    }
}

/// Imports products as a job: JSON Lines (`application/x-ndjson`) or CSV (`text/csv`), plain or gzip.
///
/// Rows are upserted by SKU. A bad row is reported and the rest goes on. The file is kept until the import
/// is over: where the node that runs it is gone, another goes on after its last batch. Sending a file whose
/// import is under way finds that import. With `dryRun=true` nothing is written, and `differences` tells what
/// would be. Without `mapping`, rows have the shop's own shape, as the export writes them; a column that a CSV
/// does not have leaves present products as they are, an empty cell empties. A row that names a slug or a SKU
/// of another product is refused.
#[utoipa::path(
    tag = "catalogue",
    security(("bearer" = [])),
    params(ImportQuery),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = ACCEPTED, body = ImportView),
        (status = BAD_REQUEST, body = ProblemBody),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = FORBIDDEN, body = ProblemBody),
        (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
        (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    )
)]
#[post("/api/products/import")]
async fn begin_import(
    Staff(principal): Staff,
    query: Params<ImportQuery>,
    request: HttpRequest,
    body: web::Payload,
    importer: web::Data<Importer>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let format = format_of(&request)?;
    let mapping = match &query.0.mapping {
        Some(name) => Some(mapping_of(name)?),
        None => None,
    };
    let file = spool(body).await?;
    let plan = ImportPlan {
        name: query.0.mapping.clone().unwrap_or_else(|| "products".into()),
        path: file.path().to_owned(),
        format,
        mapping,
        dry_run: query.0.dry_run,
        report: None,
        by: Actor::User(principal.user),
    };
    let view = ImportView::from(importer.begin_stored(&plan).await?);
    catalog.shared.wake.notify_one();
    let place = format!("/api/products/import/{}", view.job_id);
    Ok(progress::begun(place, &view))
}

fn format_of(request: &HttpRequest) -> Result<Format, Problem> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-ndjson" | "application/jsonl" | "application/gzip" => Ok(Format::JsonLines),
        "text/csv" => Ok(Format::Csv),
        _ => Err(Problem::new(Code::UnsupportedMediaType)
            .detail("send application/x-ndjson or text/csv")),
    }
}

fn mapping_of(name: &str) -> Result<super::Mapping, Problem> {
    let refused = |message: String| Problem::field("/mapping", "unknown_value", message);
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !plain || name.is_empty() || name.len() > 64 {
        return Err(refused("expected the name of a mapping".into()));
    }
    mapping_named(&config_folder(), name).map_err(|error| match error {
        ImportError::File(_) => refused(format!("there is no mapping {name}")),
        other @ (ImportError::Store(_)
        | ImportError::Mapping(_)
        | ImportError::Type { .. }
        | ImportError::Broken) => refused(other.to_string()),
    })
}

/// Writes the body to a file of its own, in bounded memory.
async fn spool(body: web::Payload) -> Result<Scratch, Problem> {
    let scratch = Scratch::new();
    let mut file = tokio::fs::File::create(scratch.path())
        .await
        .map_err(Problem::internal)?;
    write_all(body, &mut file).await?;
    Ok(scratch)
}

async fn write_all(mut body: web::Payload, file: &mut tokio::fs::File) -> Result<(), Problem> {
    let mut size = 0_u64;
    while let Some(chunk) = body.next().await {
        let chunk = chunk
            .map_err(|error| Problem::new(Code::MalformedRequest).caused_by(error.to_string()))?;
        size = size.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if size > MAX_FILE {
            return Err(Problem::new(Code::BodyTooLarge)
                .detail(format!("a file may have {MAX_FILE} bytes at most")));
        }
        file.write_all(&chunk).await.map_err(Problem::internal)?;
    }
    file.flush().await.map_err(Problem::internal)
}

/// Shows how an import goes: counts, and the rows that were refused.
#[utoipa::path(
    tag = "catalogue",
    security(("bearer" = [])),
    params(("job" = ImportId, Path)),
    responses(
        (status = OK, body = ImportView),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = FORBIDDEN, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
    )
)]
#[get("/api/products/import/{job}")]
async fn show_import(
    _staff: Staff,
    id: web::Path<ImportId>,
    importer: web::Data<Importer>,
) -> Result<web::Json<ImportView>, Problem> {
    progress::show(&**importer, id.into_inner()).await
}

/// Follows an import as server-sent events: `progress` with the job whenever it has moved on, and a last
/// one as `end`.
#[utoipa::path(
    tag = "catalogue",
    security(("bearer" = [])),
    params(("job" = ImportId, Path)),
    responses(
        (status = OK, body = String, content_type = "text/event-stream"),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = FORBIDDEN, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
    )
)]
#[get("/api/products/import/{job}/events")]
async fn follow_import(
    _staff: Staff,
    id: web::Path<ImportId>,
    importer: web::Data<Importer>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    progress::follow(&catalog, importer, id.into_inner()).await
}

/// The form of an export.
#[derive(Debug, Default, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum ExportFormat {
    /// JSON Lines.
    #[default]
    Jsonl,
    /// CSV.
    Csv,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// `jsonl` or `csv`.
    #[serde(default)]
    #[param(inline)]
    format: ExportFormat,
}

/// Streams every product in the shop's own shape, as JSON Lines or CSV, which import again unchanged.
#[utoipa::path(
    tag = "catalogue",
    security(("bearer" = [])),
    params(ExportQuery),
    responses(
        (status = OK, body = String, content_type = "application/x-ndjson"),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = FORBIDDEN, body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    )
)]
#[get("/api/products/export")]
pub(in crate::catalog) async fn export_products(
    _staff: Staff,
    Params(wanted): Params<ExportQuery>,
    exporter: web::Data<Exporter>,
) -> Result<HttpResponse, Problem> {
    let (format, content_type) = match wanted.format {
        ExportFormat::Jsonl => (Format::JsonLines, "application/x-ndjson"),
        ExportFormat::Csv => (Format::Csv, "text/csv; charset=utf-8"),
    };
    let rows = exporter.rows(format).await?;
    let rows = rows.map_ok(web::Bytes::from).map_err(Problem::from);
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .streaming(Box::pin(rows)))
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Store(error) => error.into(),
            ImportError::File(error) => Self::internal(error),
            ImportError::Mapping(error) => Self::field("/mapping", "invalid", error.to_string()),
            ImportError::Type { fault, .. } => Self::invalid(vec![fault]),
            ImportError::Broken => Self::internal(error),
        }
    }
}
