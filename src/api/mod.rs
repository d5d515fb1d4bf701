//! The one table of routes, health and readiness, and the answer to what is in no table.

mod document;

pub use document::openapi;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use actix_web::{HttpRequest, HttpResponse, get, http::Method, web};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa_actix_web::service_config::ServiceConfig as Table;

use crate::{
    accounts, audit, cart,
    catalog::{self, Catalog},
    checkout, discounts,
    http::RequestId,
    mongo::{feed::Feed, pulse::Pulse},
    my_data, orders, payments,
    problem::{Code, Problem, ProblemBody},
    realtime,
};

/// The table: every room's routes. The router tries them in this order, so the rooms that are asked most come first.
fn table(routes: &mut Table) {
    routes
        .configure(catalog::routes)
        .configure(cart::routes)
        .configure(accounts::routes)
        .configure(my_data::routes)
        .configure(audit::routes)
        .configure(discounts::routes)
        .configure(checkout::routes)
        .configure(orders::routes)
        .configure(payments::routes)
        .configure(realtime::routes);
    routes.service(healthz).service(readyz).service(metrics);
}

/// What is made of the document once and shared by every HTTP worker: a worker's own copy would cost
/// megabytes.
#[derive(Clone)]
pub struct Reference {
    json: web::Bytes,
    methods: web::Data<Methods>,
}

impl Reference {
    /// Makes the document.
    #[must_use]
    pub fn new() -> Self {
        let document = openapi();
        Self {
            json: document.to_json().unwrap_or_default().into(),
            methods: web::Data::new(Methods::of(&document)),
        }
    }
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

/// Registers the table, the document, its reference pages and the answer to everything else.
pub fn routes(app: &mut web::ServiceConfig, reference: &Reference) {
    table(&mut Table::new(app));
    let json = reference.json.clone();
    app.app_data(reference.methods.clone())
        .route(
            "/api/openapi.json",
            web::get().to(move || {
                let json = json.clone();
                async move {
                    HttpResponse::Ok()
                        .content_type("application/json")
                        .body(json)
                }
            }),
        )
        .service(
            utoipa_swagger_ui::SwaggerUi::new("/api/docs/{_:.*}")
                .config(utoipa_swagger_ui::Config::from("/api/openapi.json")),
        )
        .default_service(web::to(elsewhere));
}

/// Which methods each path of the table takes, for 405 answers.
struct Methods(Vec<(actix_web::dev::ResourceDef, Vec<Method>)>);

impl Methods {
    fn of(document: &utoipa::openapi::OpenApi) -> Self {
        let rows = document.paths.paths.iter().map(|(path, item)| {
            let offered = [
                (item.get.is_some(), Method::GET),
                (item.get.is_some(), Method::HEAD),
                (item.post.is_some(), Method::POST),
                (item.put.is_some(), Method::PUT),
                (item.patch.is_some(), Method::PATCH),
                (item.delete.is_some(), Method::DELETE),
            ];
            let methods = offered
                .into_iter()
                .filter_map(|(there, method)| there.then_some(method));
            (
                actix_web::dev::ResourceDef::new(path.as_str()),
                methods.collect(),
            )
        });
        Self(rows.collect())
    }

    fn allowed(&self, path: &str) -> Option<String> {
        let (_, methods) = self.0.iter().find(|(pattern, _)| pattern.is_match(path))?;
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        Some(names.join(", "))
    }
}

/// 405 for a path of the table asked with another method, 404 for everything else.
async fn elsewhere(
    request: HttpRequest,
    id: RequestId,
    methods: web::Data<Methods>,
) -> HttpResponse {
    let id = id.as_str();
    match methods.allowed(request.path()) {
        Some(allowed) => {
            let mut refused = Problem::new(Code::MethodNotAllowed).respond(id);
            if let Ok(allowed) = allowed.parse() {
                refused
                    .headers_mut()
                    .insert(actix_web::http::header::ALLOW, allowed);
            }
            refused
        }
        None => Problem::not_found().respond(id),
    }
}

/// A probe's answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

/// Says that the process is alive.
#[utoipa::path(tag = "platform", responses((status = OK, body = Health)))]
#[get("/healthz")]
async fn healthz() -> web::Json<Health> {
    web::Json(Health { status: "ok" })
}

/// Whether the node has been told to stop: it is not ready any more, though it still answers.
pub type Leaving = Arc<AtomicBool>;

/// Says whether the shop can serve: database reachable, primary known, feeds running, catalogue loaded.
#[utoipa::path(tag = "platform", responses(
    (status = OK, body = Health),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody),
))]
#[get("/readyz")]
async fn readyz(
    pulse: web::Data<Pulse>,
    feed: web::Data<Feed>,
    catalog: web::Data<Catalog>,
    leaving: web::Data<Leaving>,
) -> Result<web::Json<Health>, Problem> {
    if leaving.load(Ordering::SeqCst) {
        return Err(Problem::new(Code::NotReady).detail("the node is stopping"));
    }
    if pulse.is_silent() {
        return Err(Problem::new(Code::NotReady).detail("the database does not answer"));
    }
    if !feed.is_running() {
        return Err(Problem::new(Code::NotReady).detail("the change feed is being opened again"));
    }
    if !catalog.is_ready() {
        return Err(Problem::new(Code::NotReady).detail("the catalogue is being loaded"));
    }
    Ok(web::Json(Health { status: "ok" }))
}

/// Shows the measures in Prometheus' text format.
#[utoipa::path(tag = "platform", responses((status = OK, body = String, content_type = "text/plain")))]
#[get("/metrics")]
async fn metrics(handle: web::Data<Option<PrometheusHandle>>) -> HttpResponse {
    let text = handle
        .as_ref()
        .as_ref()
        .map(PrometheusHandle::render)
        .unwrap_or_default();
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4")
        .body(text)
}
