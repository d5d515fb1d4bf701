//! What an import says: counts, and a line for every row that was refused or changed on the way.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    audit::{Action, Change, Changes},
    problem::FieldError,
};

/// The most changed places of one row that a dry run tells.
const MAX_PLACES: usize = 20;

/// What was done to one row on purpose: code and the fields concerned.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<&'static str, Vec<String>>);

impl Notes {
    /// Notes `code` for `field`.
    pub(super) fn say(&mut self, code: &'static str, field: &str) {
        self.0.entry(code).or_default().push(field.to_owned());
    }

    /// The codes noted.
    #[cfg(test)]
    pub(super) fn codes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().copied()
    }

    /// Each code with its fields.
    pub(super) fn into_lines(self) -> impl Iterator<Item = (&'static str, Vec<String>)> {
        self.0.into_iter()
    }
}

/// How an import went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Rows read.
    pub rows: u64,
    /// Products made.
    pub created: u64,
    /// Products changed.
    pub updated: u64,
    /// Products that were so already.
    pub unchanged: u64,
    /// Rows refused; each has a line in the report.
    pub failed: u64,
    /// Rows that repeat a SKU of this very file; the first one stands.
    pub repeated: u64,
    /// What was done to rows on purpose, by code: how many rows.
    pub notes: BTreeMap<String, u64>,
}

/// One line of the report.
#[derive(Debug, Clone, Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportLine {
    /// The row's line in the file, from 1; a CSV's head is line 1.
    pub line: u64,
    /// Its SKU, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// `error`: the row was refused. `note`: something was done to it on purpose.
    pub level: Level,
    /// What, for programs.
    pub code: String,
    /// The fields concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// What, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a row would do, in a dry run.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct Difference {
    /// The row's line in the file.
    pub line: u64,
    /// Its SKU.
    pub sku: String,
    /// Whether a product would be made or changed.
    pub action: Action,
    /// What would change of a present one; the first places.
    pub changes: Vec<Change>,
    /// How many more places would change.
    pub left_out: u32,
}

impl Difference {
    /// The first places of a difference.
    pub(super) fn new(line: u64, sku: String, action: Action, changes: Changes) -> Self {
        let mut places = changes.places;
        let surplus = places.len().saturating_sub(MAX_PLACES);
        places.truncate(MAX_PLACES);
        Self {
            line,
            sku,
            action,
            changes: places,
            left_out: changes
                .left_out
                .saturating_add(u32::try_from(surplus).unwrap_or(u32::MAX)),
        }
    }
}

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The row was refused.
    Error,
    /// Something was done to the row on purpose.
    Note,
}

/// Why a row was refused.
#[derive(Debug, Clone)]
pub(super) struct RowFault {
    pub(super) line: u64,
    pub(super) sku: Option<String>,
    pub(super) code: String,
    pub(super) field: String,
    pub(super) message: String,
}

impl RowFault {
    pub(super) fn new(line: u64, code: &str, field: &str, message: impl Into<String>) -> Self {
        Self {
            line,
            sku: None,
            code: code.to_owned(),
            field: field.to_owned(),
            message: message.into(),
        }
    }

    /// The faults of a product that breaks rules.
    pub(super) fn of(line: u64, sku: &str, faults: Vec<FieldError>) -> Vec<Self> {
        let fault = |fault: FieldError| Self {
            line,
            sku: Some(sku.to_owned()),
            code: fault.code,
            field: fault.pointer,
            message: fault.message,
        };
        faults.into_iter().map(fault).collect()
    }

    pub(super) fn into_line(self) -> ReportLine {
        ReportLine {
            line: self.line,
            sku: self.sku,
            level: Level::Error,
            code: self.code,
            fields: if self.field.is_empty() {
                Vec::new()
            } else {
                vec![self.field]
            },
            message: Some(self.message),
        }
    }
}
