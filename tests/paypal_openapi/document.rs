//! One OpenAPI 3.0.3 document: its operations, and its schemas as JSON Schema 2020-12.

use std::collections::HashMap;

use jsonschema::{Draft, Validator};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// What a schema is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Use {
    /// A request's body: unknown and read-only members are wrong.
    Request,
    /// An answer's body: unknown members are wrong.
    Answer,
    /// A refusal's body: two schemas describe its details together, so members stay open.
    Error,
}

/// A document, and the validators that were built from it.
pub(crate) struct Document {
    source: Value,
    built: HashMap<(Use, String), Validator>,
    components: HashMap<Use, Value>,
}

impl Document {
    pub(crate) fn new(source: Value) -> Self {
        Self {
            source,
            built: HashMap::new(),
            components: HashMap::new(),
        }
    }

    /// The operation of a request, with the template of its path.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<(String, Value)> {
        let paths = self.source["paths"].as_object().unwrap();
        let method = method.to_lowercase();
        paths.iter().find_map(|(template, methods)| {
            let operation = methods.get(&method)?;
            fits(template, path).then(|| (template.clone(), operation.clone()))
        })
    }

    /// The schema of an answer with that status, if it has a body. A replay of any creating call is
    /// 200 with the same body, which the document of Payments does not mention.
    pub(crate) fn answer(&self, operation: &Value, status: u64) -> Option<Value> {
        let all = &operation["responses"];
        let replayed = all.get("201").filter(|_| status == 200);
        let own = all
            .get(status.to_string())
            .or(replayed)
            .unwrap_or(&all["default"]);
        self.resolved(own)["content"]["application/json"]
            .get("schema")
            .cloned()
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self
                .source
                .pointer(reference.trim_start_matches('#'))
                .unwrap(),
            None => value,
        }
    }

    /// What is wrong with a value, by the schema of that name.
    pub(crate) fn faults(&mut self, by: Use, schema: &str, value: &Value) -> Vec<String> {
        let named = json!({ "$ref": format!("#/components/schemas/{schema}") });
        self.faults_at(by, &named, value)
    }

    /// What is wrong with a value, by a schema of this document.
    pub(crate) fn faults_at(&mut self, by: Use, schema: &Value, value: &Value) -> Vec<String> {
        let key = (by, schema.to_string());
        if !self.built.contains_key(&key) {
            let source = &self.source;
            let components = self.components.entry(by).or_insert_with(|| {
                let schemas = source["components"]["schemas"].as_object().unwrap();
                let converted = schemas
                    .iter()
                    .map(|(name, schema)| (name.clone(), converted(source, schema, by)));
                json!({ "schemas": converted.collect::<Map<_, _>>() })
            });
            let mut whole = at_place(source, schema, by);
            whole["components"] = components.clone();
            let validator = jsonschema::options()
                .with_draft(Draft::Draft202012)
                .should_validate_formats(true)
                .build(&whole)
                .unwrap();
            self.built.insert(key.clone(), validator);
        }
        listed(&self.built[&key], value)
    }

    /// What is wrong with a recorded request.
    pub(crate) fn request_faults(
        &mut self,
        operation: &Value,
        template: &str,
        request: &Value,
    ) -> Vec<String> {
        let mut wrong = self.parameter_faults(operation, template, request);
        let body = request["body"].as_str().unwrap();
        let described = self.resolved(&operation["requestBody"])["content"]["application/json"]
            .get("schema")
            .cloned();
        let Some(schema) = described else {
            if !body.is_empty() {
                wrong.push("a body is not documented".to_owned());
            }
            return wrong;
        };
        if request["headers"]["content-type"] != "application/json" {
            wrong.push(format!(
                "content type {}",
                request["headers"]["content-type"]
            ));
        }
        match serde_json::from_str::<Value>(body) {
            Ok(mut body) => {
                // An event that is asked about is an answer of PayPal's, read-only members and all.
                if let Some(event) = body.get_mut("webhook_event").map(Value::take) {
                    wrong.extend(self.faults(Use::Answer, "event", &event));
                    body["webhook_event"] = json!({});
                }
                wrong.extend(self.faults_at(Use::Request, &schema, &body));
            }
            Err(error) => wrong.push(format!("no JSON: {error}")),
        }
        wrong
    }

    fn parameter_faults(&self, operation: &Value, template: &str, request: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut queried = Vec::new();
        let query: HashMap<String, String> =
            serde_urlencoded::from_str(request["query"].as_str().unwrap()).unwrap();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = self.resolved(parameter);
            let name = parameter["name"].as_str().unwrap();
            let value = match parameter["in"].as_str() {
                Some("header") => request["headers"][name.to_lowercase()]
                    .as_str()
                    .map(str::to_owned),
                Some("path") => in_path(template, request["path"].as_str().unwrap(), name),
                _ => {
                    queried.push(name);
                    query.get(name).cloned()
                }
            };
            let Some(value) = value else {
                if parameter["required"] == true {
                    wrong.push(format!("{name} is missing"));
                }
                continue;
            };
            let numeric = matches!(
                parameter["schema"]["type"].as_str(),
                Some("integer" | "number")
            );
            let value = if numeric {
                serde_json::from_str(&value).unwrap_or_default()
            } else {
                json!(value)
            };
            wrong.extend(
                judge(&parameter["schema"], &value)
                    .iter()
                    .map(|f| format!("{name}: {f}")),
            );
        }
        let unknown = query
            .keys()
            .filter(|name| !queried.contains(&name.as_str()));
        wrong.extend(unknown.map(|name| format!("query parameter {name} is not documented")));
        wrong
    }
}

/// What is wrong with a value, by a schema that stands alone.
pub(crate) fn judge(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .build(schema)
        .unwrap();
    listed(&validator, value)
}

fn listed(validator: &Validator, value: &Value) -> Vec<String> {
    let errors = validator.iter_errors(value);
    errors
        .map(|error| {
            format!(
                "{}: {error} ({})",
                error.instance_path(),
                error.schema_path()
            )
        })
        .collect()
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.trim_matches('/').split('/')
}

fn fits(template: &str, path: &str) -> bool {
    parts(template).count() == parts(path).count()
        && parts(template)
            .zip(parts(path))
            .all(|(want, got)| want.starts_with('{') || want == got)
}

fn in_path(template: &str, path: &str, name: &str) -> Option<String> {
    let wanted = format!("{{{name}}}");
    let (_, got) = parts(template)
        .zip(parts(path))
        .find(|(want, _)| *want == wanted)?;
    Some(percent_decode_str(got).decode_utf8_lossy().into_owned())
}

/// A schema where a value stands: a member, an item, a whole body. Objects with known members are
/// closed here, after all that describe them have been looked at.
fn at_place(source: &Value, schema: &Value, by: Use) -> Value {
    let inner = converted(source, schema, by);
    if by == Use::Error || !has_members(source, schema) {
        return inner;
    }
    json!({ "allOf": [inner], "unevaluatedProperties": false })
}

fn has_members(source: &Value, schema: &Value) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        return has_members(
            source,
            source.pointer(reference.trim_start_matches('#')).unwrap(),
        );
    }
    let within = |name: &str| {
        let all = schema[name].as_array();
        all.is_some_and(|all| all.iter().any(|one| has_members(source, one)))
    };
    schema.get("properties").is_some() || within("allOf") || within("anyOf") || within("oneOf")
}

/// The schema in JSON Schema 2020-12, with everything inside it.
fn converted(source: &Value, schema: &Value, by: Use) -> Value {
    let Some(map) = schema.as_object() else {
        return schema.clone();
    };
    assert!(
        !map.contains_key("nullable") && !map.contains_key("discriminator"),
        "the documents have new features: {schema}"
    );
    let mut out = Map::new();
    let mut hidden = Vec::new();
    for (name, value) in map {
        let value = match (name.as_str(), value) {
            ("properties", Value::Object(members)) => {
                let member = |(name, schema): (&String, &Value)| {
                    let closed = by == Use::Request && schema["readOnly"] == true;
                    if closed {
                        hidden.push(Value::from(name.clone()));
                    }
                    let place = if closed {
                        json!(false)
                    } else {
                        at_place(source, schema, by)
                    };
                    (name.clone(), place)
                };
                Value::Object(members.iter().map(member).collect())
            }
            ("items" | "additionalProperties", schema) => at_place(source, schema, by),
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                all.iter().map(|one| converted(source, one, by)).collect()
            }
            ("example" | "examples" | "default" | "description" | "title", _) => continue,
            _ => value.clone(),
        };
        out.insert(name.clone(), value);
    }
    if let Some(Value::Array(required)) = out.get_mut("required") {
        required.retain(|name| !hidden.contains(name));
    }
    Value::Object(out)
}
