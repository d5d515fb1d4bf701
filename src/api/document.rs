//! The OpenAPI document: what the handlers say of themselves, and what the server does around all of them.

use utoipa::{
    Modify, OpenApi,
    openapi::{
        ContentBuilder, Header, HeaderBuilder, Object, Ref, RefOr, Response, ResponseBuilder, Type,
        path::{Operation, ParameterIn},
    },
};
use utoipa_actix_web::AppExt;

use super::table;
use crate::{
    http::{API, unlimited},
    problem::{Code, MEDIA_TYPE, ProblemBody},
};

/// What the document says besides its operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bodega",
        description = "A shop's back office and counter: catalogue, carts, checkout, orders, live order streams."
    ),
    components(schemas(ProblemBody)),
    modifiers(&Security, &Problems)
)]
struct Document;

/// Bearer tokens.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build();
        if let Some(components) = document.components.as_mut() {
            components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        }
    }
}

/// Lists the stable codes in the description.
struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let rows = Code::ALL.iter().map(|code| {
            format!(
                "| `{}` | {} | {} |",
                code.as_str(),
                code.status().as_u16(),
                code.title()
            )
        });
        let table: Vec<String> = rows.collect();
        let head = document.info.description.take().unwrap_or_default();
        document.info.description = Some(format!(
            "{head}\n\nErrors are `application/problem+json` (RFC 9457). Codes:\n\n| code | status | meaning |\n| --- | --- | --- |\n{}",
            table.join("\n")
        ));
    }
}

/// The schema of problems, as responses name it.
const PROBLEM_SCHEMA: &str = "#/components/schemas/ProblemBody";

/// What the server does around every operation, and no handler says: what stands at an operation already stays.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut document.paths.paths {
            let operations = [
                &mut item.get,
                &mut item.post,
                &mut item.put,
                &mut item.patch,
                &mut item.delete,
            ];
            for operation in operations.into_iter().flatten() {
                complete(path, operation);
            }
        }
    }
}

/// Adds to an operation what it shares with the others.
fn complete(path: &str, operation: &mut Operation) {
    let keyed = takes_key(operation);
    let responses = &mut operation.responses.responses;
    if path.starts_with(API) {
        let mut refused = |status: &str, said: &str| {
            let response = responses.entry(status.to_owned()).or_insert_with(problem);
            if let RefOr::T(response) = response
                && response.description.is_empty()
            {
                said.clone_into(&mut response.description);
            }
        };
        refused(
            "503",
            "`unavailable`: the database does not answer; `busy`: too much is under way",
        );
        if !unlimited(path) {
            refused("429", "`rate_limited`: too many requests from one address");
        }
    }
    for (status, response) in responses {
        let RefOr::T(response) = response else {
            continue;
        };
        name_problem(response);
        let mut header = |name: &str, kind: Type, said: &str| {
            let header = || RefOr::T(header_of(kind, said));
            let headers = &mut response.headers;
            headers.entry(name.to_owned()).or_insert_with(header);
        };
        header(
            "X-Request-Id",
            Type::String,
            "The request's id: the client's own where it sent one, else made here",
        );
        // Probes and pictures are refused without a word on when to come again.
        if path.starts_with(API) && matches!(status.as_str(), "429" | "503") {
            header(
                "Retry-After",
                Type::Integer,
                "Seconds after which to come again",
            );
        }
        if status == "429" {
            header(
                "RateLimit",
                Type::String,
                "What is left of the limit, and when it is whole again",
            );
            header("RateLimit-Policy", Type::String, "The limit");
        }
        if keyed && status.starts_with('2') {
            header(
                "Idempotency-Replayed",
                Type::Boolean,
                "`true` where this is the first answer under the key once more",
            );
        }
    }
}

/// Whether an operation takes an `Idempotency-Key`.
fn takes_key(operation: &Operation) -> bool {
    let parameters = operation.parameters.iter().flatten();
    parameters.into_iter().any(|parameter| match parameter {
        RefOr::T(parameter) => {
            parameter.parameter_in == ParameterIn::Header && parameter.name == "Idempotency-Key"
        }
        RefOr::Ref(_) => false,
    })
}

fn problem() -> RefOr<Response> {
    let content = ContentBuilder::new().schema(Some(Ref::new(PROBLEM_SCHEMA)));
    let response = ResponseBuilder::new().content(MEDIA_TYPE, content.build());
    response.build().into()
}

/// Handlers name the problem's schema; its media type is [`MEDIA_TYPE`], not that of other answers.
fn name_problem(response: &mut Response) {
    let content = std::mem::take(&mut response.content);
    response.content = content
        .into_iter()
        .map(|(kind, content)| {
            let problem = match &content {
                RefOr::T(content) => matches!(
                    &content.schema,
                    Some(RefOr::Ref(schema)) if schema.ref_location == PROBLEM_SCHEMA
                ),
                RefOr::Ref(_) => false,
            };
            let kind = if problem { MEDIA_TYPE.to_owned() } else { kind };
            (kind, content)
        })
        .collect();
}

fn header_of(kind: Type, said: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(Object::with_type(kind)))
        .description(Some(said))
        .build()
}

/// The OpenAPI 3.1 document of the table.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_app, mut document) = actix_web::App::new()
        .into_utoipa_app()
        .openapi(Document::openapi())
        .configure(table)
        .split_for_parts();
    // The modifiers of `Document` run before the table is in it.
    Common.modify(&mut document);
    document
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Calls `look` with each operation's method and path, and the operation.
    fn each_operation(mut look: impl FnMut(&str, &str, &Value)) {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut seen = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                look(&format!("{method} {path}"), path, operation);
                seen += 1;
            }
        }
        assert!(seen > 60, "{seen} operations");
    }

    fn names(operation: &Value, place: &str) -> BTreeSet<String> {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        parameters
            .filter(|parameter| parameter["in"] == place)
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_parameters_of_a_path_are_those_of_its_template() {
        each_operation(|what, path, operation| {
            let template = path.split('/').filter_map(|part| {
                let name = part.strip_prefix('{')?.strip_suffix('}')?;
                Some(name.split(':').next().unwrap().to_owned())
            });
            assert_eq!(names(operation, "path"), template.collect(), "{what}");
        });
    }

    #[test]
    fn a_refusal_is_a_problem_by_its_media_type() {
        each_operation(|what, _path, operation| {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let kinds = response["content"].as_object().into_iter().flatten();
                for (kind, content) in kinds {
                    let problem = content["schema"]["$ref"] == PROBLEM_SCHEMA;
                    assert_eq!(kind == MEDIA_TYPE, problem, "{what} {status}");
                    assert_eq!(problem, status.as_str() >= "400", "{what} {status}");
                }
            }
        });
    }

    #[test]
    fn whoever_must_sign_in_is_told_what_happens_otherwise() {
        each_operation(|what, path, operation| {
            let ways = operation["security"].as_array().into_iter().flatten();
            let ways: Vec<_> = ways.collect();
            let must = !ways.is_empty() && ways.iter().all(|way| way.get("bearer").is_some());
            assert!(!must || operation["responses"]["401"].is_object(), "{what}");
            let staff = path.starts_with("/api/admin/");
            assert!(
                !staff || operation["responses"]["403"].is_object(),
                "{what}"
            );
        });
    }

    #[test]
    fn what_the_server_does_around_every_operation_stands_at_each() {
        each_operation(|what, path, operation| {
            let responses = &operation["responses"];
            let limited = path.starts_with(API) && !unlimited(path);
            assert_eq!(responses["429"].is_object(), limited, "{what}");
            let gated = path.starts_with(API);
            assert!(responses["503"].is_object() || !gated, "{what}");
            let keyed = names(operation, "header").contains("Idempotency-Key");
            for (status, response) in responses.as_object().unwrap() {
                let headers = &response["headers"];
                let has = |name: &str| headers[name]["description"].is_string();
                assert!(has("X-Request-Id"), "{what} {status}");
                let later = gated && matches!(status.as_str(), "429" | "503");
                assert_eq!(has("Retry-After"), later, "{what} {status}");
                if later {
                    assert_ne!(response["description"], "", "{what} {status}");
                }
                let replayed = keyed && status.starts_with('2');
                assert_eq!(has("Idempotency-Replayed"), replayed, "{what} {status}");
            }
        });
    }

    #[test]
    fn what_a_handler_says_stays() {
        let document = serde_json::to_value(openapi()).unwrap();
        let refund = &document["paths"]["/api/orders/{id}/refunds"]["post"]["responses"];
        let said = refund["503"]["description"].as_str().unwrap();
        assert!(said.contains("payment_provider_unavailable"), "{said}");
        let order = &document["paths"]["/api/orders"]["post"]["responses"];
        for status in ["200", "201"] {
            assert!(order[status]["headers"]["ETag"].is_object(), "{status}");
        }
    }
}
