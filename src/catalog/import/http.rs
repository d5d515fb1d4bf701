//! Import and export over HTTP: the body is spooled to a file, the job runs beside the requests.

use std::path::PathBuf;

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header::{CONTENT_TYPE, LOCATION},
    post, web,
};
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    Counts, Exporter, Format, ImportError, ImportJob, ImportPlan, ImportState, Importer,
    ReportLine, mapping_named,
};
use crate::{
    accounts::Staff,
    clock::Timestamp,
    config::config_folder,
    http::Params,
    id::ImportId,
    problem::{Code, Problem, ProblemBody},
};

/// The most bytes of an imported file.
const MAX_FILE: u64 = 2 * 1024 * 1024 * 1024;

/// Registers the room's routes.
pub(in crate::catalog) fn routes(table: &mut ServiceConfig) {
    table
        .service(begin_import)
        .service(show_import)
        .service(export_products);
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
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
struct ImportView {
    job_id: ImportId,
    name: String,
    state: ImportState,
    dry_run: bool,
    counts: Counts,
    /// The first thousand rows that were refused.
    errors: Vec<ReportLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
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
            failure: job.failure,
            created_at: job.created_at,
            updated_at: job.updated_at,
        }
    }
}

/// Imports products: JSON Lines (`application/x-ndjson`) or CSV (`text/csv`), plain or gzip.
///
/// Rows are upserted by SKU. A bad row is reported and the rest goes on. Sending a file again whose import
/// was cut short goes on after its last batch.
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
    _staff: Staff,
    query: Params<ImportQuery>,
    request: HttpRequest,
    body: web::Payload,
    importer: web::Data<Importer>,
) -> Result<HttpResponse, Problem> {
    let format = format_of(&request)?;
    let mapping = match &query.0.mapping {
        Some(name) => Some(mapping_of(name)?),
        None => None,
    };
    let path = spool(body).await?;
    let plan = ImportPlan {
        name: query.0.mapping.clone().unwrap_or_else(|| "products".into()),
        path: path.clone(),
        format,
        mapping,
        dry_run: query.0.dry_run,
        report: None,
    };
    let job = importer.begin(&plan).await?;
    let view = ImportView::from(job.clone());
    let importer = importer.get_ref().clone();
    actix_web::rt::spawn(async move {
        if let Err(error) = importer.run(&plan, job, |_progress| {}).await {
            tracing::warn!(%error, "an import ended early");
        }
        if let Err(error) = tokio::fs::remove_file(&path).await {
            tracing::warn!(%error, "an imported file is left behind");
        }
    });
    let place = format!("/api/products/import/{}", view.job_id);
    Ok(HttpResponse::Accepted()
        .insert_header((LOCATION, place))
        .json(view))
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
        | ImportError::CsvWithoutMapping
        | ImportError::Broken) => refused(other.to_string()),
    })
}

/// Writes the body to a file of its own, in bounded memory.
async fn spool(body: web::Payload) -> Result<PathBuf, Problem> {
    let path = std::env::temp_dir().join(format!("bodega-import-{}", ImportId::new()));
    let mut file = tokio::fs::File::create(&path)
        .await
        .map_err(Problem::internal)?;
    let written = write_all(body, &mut file).await;
    if let Err(problem) = written {
        // The problem is what the client is told; a file left behind is a matter of the temporary folder.
        let _left_behind = tokio::fs::remove_file(&path).await;
        return Err(problem);
    }
    Ok(path)
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
    let job = importer
        .job(id.into_inner())
        .await?
        .ok_or_else(Problem::not_found)?;
    Ok(web::Json(job.into()))
}

/// Streams every product as JSON Lines in the shop's own shape, which import again unchanged.
#[utoipa::path(
    tag = "catalogue",
    security(("bearer" = [])),
    responses(
        (status = OK, body = String, content_type = "application/x-ndjson"),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = FORBIDDEN, body = ProblemBody),
    )
)]
#[get("/api/products/export")]
async fn export_products(
    _staff: Staff,
    exporter: web::Data<Exporter>,
) -> Result<HttpResponse, Problem> {
    let lines = exporter.lines().await?;
    let lines = lines.map_ok(web::Bytes::from).map_err(Problem::from);
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .streaming(Box::pin(lines)))
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Store(error) => error.into(),
            ImportError::File(error) => Self::internal(error),
            ImportError::CsvWithoutMapping => {
                Self::field("/mapping", "required", "CSV needs a mapping")
            }
            ImportError::Mapping(error) => Self::field("/mapping", "invalid", error.to_string()),
            ImportError::Type { fault, .. } => Self::invalid(vec![fault]),
            ImportError::Broken => Self::internal(error),
        }
    }
}
