//! `PATCH /v2/checkout/orders/{id}`: JSON Patch with PayPal's `@reference_id=='…'` filter.
//!
//! Patchable members and their operations are those of PayPal's reference:
//! <https://developer.paypal.com/docs/api/orders/v2/#orders_patch>.

use serde_json::{Map, Value, json};

use super::{
    check::{self, Findings, Node, Payee},
    model::{Order, OrderStatus, Unit},
};
use crate::problem::{Detail, Problem};

const FILTER: &str = "/purchase_units/@reference_id=='";

/// A member that may be patched, and by which operations.
const PATCHABLE: [(&str, &[&str]); 10] = [
    ("amount", &["replace"]),
    ("custom_id", &["replace", "add", "remove"]),
    ("description", &["replace", "add", "remove"]),
    ("invoice_id", &["replace", "add", "remove"]),
    ("soft_descriptor", &["replace", "add", "remove"]),
    ("items", &["replace", "add", "remove"]),
    ("shipping", &["replace", "add"]),
    ("shipping/name", &["replace", "add"]),
    ("shipping/address", &["replace", "add"]),
    ("shipping/type", &["replace", "add"]),
];

/// The purchase units after the operations; all of them or none.
pub(crate) fn apply(
    order: &Order,
    operations: &Value,
    payee: Payee<'_>,
) -> Result<Vec<Unit>, Problem> {
    if order.status == OrderStatus::Completed {
        return Err(Problem::issue("ORDER_ALREADY_COMPLETED"));
    }
    let Some(operations) = operations.as_array() else {
        return Err(Problem::malformed());
    };
    let mut units: Vec<Map<String, Value>> = order
        .draft
        .units
        .iter()
        .map(|unit| unit.body.clone())
        .collect();
    for (index, operation) in operations.iter().enumerate() {
        one(&mut units, operation, index)?;
    }
    let document = json!({ "purchase_units": units });
    let mut found = Findings::default();
    let checked = check::units(&Node::root(&document), payee, &mut found);
    found.verdict()?;
    let changed = checked
        .iter()
        .zip(&order.draft.units)
        .any(|(after, before)| after.amount != before.amount);
    if order.status == OrderStatus::Approved && changed {
        return Err(Problem::issue("AMOUNT_CHANGE_NOT_ALLOWED"));
    }
    Ok(checked)
}

fn one(units: &mut [Map<String, Value>], operation: &Value, index: usize) -> Result<(), Problem> {
    let word = |name: &str| operation.get(name).and_then(Value::as_str);
    let fault = |issue, name: &str| {
        Problem::detail(Detail::at(
            issue,
            &format!("/{index}/{name}"),
            operation.get(name),
        ))
    };
    let Some(op) = word("op") else {
        return Err(fault("MISSING_REQUIRED_PARAMETER", "op"));
    };
    let Some(path) = word("path") else {
        return Err(fault("PATCH_PATH_REQUIRED", "path"));
    };
    if !matches!(op, "add" | "replace" | "remove") {
        return Err(fault("INVALID_PATCH_OPERATION", "op"));
    }
    let value = operation.get("value");
    if op != "remove" && value.is_none() {
        return Err(fault("PATCH_VALUE_REQUIRED", "value"));
    }
    let Some(rest) = path.strip_prefix(FILTER) else {
        return Err(fault(
            if path.starts_with('/') {
                "NOT_PATCHABLE"
            } else {
                "INVALID_JSON_POINTER_FORMAT"
            },
            "path",
        ));
    };
    let Some((reference, member)) = rest.split_once('\'') else {
        return Err(fault("INVALID_JSON_POINTER_FORMAT", "path"));
    };
    let member = member.trim_start_matches('/');
    let Some(unit) = units
        .iter_mut()
        .find(|unit| unit.get("reference_id").and_then(Value::as_str) == Some(reference))
    else {
        return Err(fault("REFERENCE_ID_NOT_FOUND", "path"));
    };
    if member.is_empty() {
        return match (op, value.and_then(Value::as_object)) {
            ("replace", Some(whole)) => {
                unit.clone_from(whole);
                unit.entry("reference_id")
                    .or_insert_with(|| Value::from(reference));
                Ok(())
            }
            _ => Err(fault("INVALID_PATCH_OPERATION", "op")),
        };
    }
    let allowed = PATCHABLE
        .iter()
        .find(|(name, _)| *name == member)
        .map(|(_, ops)| ops);
    if !allowed.is_some_and(|ops| ops.contains(&op)) {
        return Err(fault("NOT_PATCHABLE", "path"));
    }
    set(unit, member, op, value).map_err(|issue| fault(issue, "path"))
}

/// Sets or removes `name` or `name/part` in the unit.
fn set(
    unit: &mut Map<String, Value>,
    member: &str,
    op: &str,
    value: Option<&Value>,
) -> Result<(), &'static str> {
    let (target, name) = match member.split_once('/') {
        None => (unit, member),
        Some((outer, name)) => {
            let outer = unit.entry(outer).or_insert_with(|| json!({}));
            (
                outer.as_object_mut().ok_or("INVALID_PATCH_OPERATION")?,
                name,
            )
        }
    };
    match (op, target.contains_key(name), value) {
        ("remove", true, _) => {
            target.remove(name);
            Ok(())
        }
        ("replace", true, Some(value)) | ("add", _, Some(value)) => {
            target.insert(name.to_owned(), value.clone());
            Ok(())
        }
        _ => Err("INVALID_PATCH_OPERATION"),
    }
}
