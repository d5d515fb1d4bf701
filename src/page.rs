//! Paging: a limit, an opaque cursor and the page that answers them. Always by key, never by offset.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

use crate::problem::Problem;

/// Rows of a page when the client names no limit.
pub const DEFAULT_LIMIT: u32 = 20;
/// The most rows of a page.
pub const MAX_LIMIT: u32 = 100;
/// A cursor is short; anything longer is not one of ours.
const MAX_CURSOR_LENGTH: usize = 2_048;

/// How many rows a page may have: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u32);

impl Limit {
    /// Takes a number of rows.
    ///
    /// # Errors
    /// 422 `range` at `/limit` outside 1 to 100.
    pub fn parse(rows: u32) -> Result<Self, Problem> {
        if (1..=MAX_LIMIT).contains(&rows) {
            Ok(Self(rows))
        } else {
            Err(Problem::field(
                "/limit",
                "range",
                format!("limit must be from 1 to {MAX_LIMIT}"),
            ))
        }
    }

    /// The number of rows.
    #[must_use]
    pub const fn rows(self) -> u32 {
        self.0
    }

    /// The number of rows, for slices.
    #[must_use]
    pub fn row_count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rows = u32::deserialize(deserializer)?;
        Self::parse(rows).map_err(|_refused| {
            serde::de::Error::custom(format!("limit must be from 1 to {MAX_LIMIT}"))
        })
    }
}

/// The place after which the next page begins, encoded so that clients treat it as opaque.
///
/// `list` names the query it belongs to (filters and order), so that a cursor of another list is
/// refused rather than misread.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope<K> {
    l: String,
    k: K,
}

/// Encodes the `key` of the last row of a page of `list`.
///
/// # Errors
/// 500 when the key cannot be encoded, which is our fault.
pub fn encode_cursor<K: Serialize>(list: &str, key: K) -> Result<String, Problem> {
    let json = serde_json::to_vec(&Envelope {
        l: list.to_owned(),
        k: key,
    })
    .map_err(Problem::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// Reads a cursor of `list`.
///
/// # Errors
/// 422 `cursor` at `/cursor` when it is garbage or belongs to another list.
pub fn decode_cursor<K: DeserializeOwned>(list: &str, cursor: &str) -> Result<K, Problem> {
    let refused = || Problem::field("/cursor", "cursor", "not a cursor of this list");
    if cursor.len() > MAX_CURSOR_LENGTH {
        return Err(refused());
    }
    let json = URL_SAFE_NO_PAD
        .decode(cursor)
        .map_err(|_refused| refused())?;
    let envelope: Envelope<K> = serde_json::from_slice(&json).map_err(|_refused| refused())?;
    if envelope.l == list {
        Ok(envelope.k)
    } else {
        Err(refused())
    }
}

/// Cuts `rows`, of which one more was read than the page of `list` may have, down to the page. Where the next one
/// begins, by the `key` of the last row; `None` where there is none.
///
/// # Errors
/// 500 when the key cannot be encoded, which is our fault.
pub fn cut<'r, R, K: Serialize>(
    list: &str,
    rows: &'r mut Vec<R>,
    limit: Limit,
    key: impl FnOnce(&'r R) -> K,
) -> Result<Option<String>, Problem> {
    if rows.len() <= limit.row_count() {
        return Ok(None);
    }
    rows.truncate(limit.row_count());
    let last = rows.last().map(key);
    last.map(|key| encode_cursor(list, key)).transpose()
}

/// One page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; `null` on the last.
    pub next_cursor: Option<String>,
    /// How many rows all pages have together.
    pub total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_the_next_one_only_where_there_is_one() {
        let two = Limit::parse(2).unwrap();
        let mut rows = vec!["a", "b"];
        assert_eq!(cut("letters", &mut rows, two, |row| *row).unwrap(), None);
        rows.push("c");
        let next = cut("letters", &mut rows, two, |row| *row).unwrap();
        assert_eq!(rows, ["a", "b"]);
        let next: String = decode_cursor("letters", &next.unwrap()).unwrap();
        assert_eq!(next, "b");
    }

    #[test]
    fn a_cursor_comes_back_from_its_own_list_only() {
        let cursor = encode_cursor("orders", (5_i64, "x")).unwrap();
        assert_eq!(
            decode_cursor::<(i64, String)>("orders", &cursor).unwrap(),
            (5, "x".to_owned())
        );
        assert!(decode_cursor::<(i64, String)>("carts", &cursor).is_err());
        assert!(decode_cursor::<(i64, String)>("orders", "%%%").is_err());
        assert!(decode_cursor::<(i64, String)>("orders", &"A".repeat(9_999)).is_err());
    }
}
