//! Which products are related to one: those that stand in the same categories.

use super::{Catalog, CatalogError, index::SearchQuery};
use crate::{id::ProductId, page::Limit};

impl Catalog {
    /// Products related to the one of that id or slug, the nearest first.
    ///
    /// # Errors
    /// `Loading`, `ProductNotFound`.
    pub(super) async fn related(
        &self,
        name: &str,
        limit: Limit,
    ) -> Result<Vec<ProductId>, CatalogError> {
        if !self.is_ready() {
            return Err(CatalogError::Loading);
        }
        let shelved = self.shelved_by_name(name).await?;
        let product = shelved
            .filter(|product| product.active)
            .ok_or(CatalogError::ProductNotFound)?;
        let mut found: Vec<ProductId> = Vec::new();
        for category in nearest(&product.categories) {
            for in_stock in ["true", "false"] {
                // One more than wanted: the product itself is among them.
                let rows = limit.rows().saturating_add(1).min(crate::page::MAX_LIMIT);
                let rows = rows.to_string();
                let query = [
                    ("category", category),
                    ("inStock", in_stock),
                    ("limit", rows.as_str()),
                ];
                let page = self.shared.live.index.search(&SearchQuery::parse(query)?)?;
                for id in page.ids {
                    if id != product.id && !found.contains(&id) && found.len() < limit.row_count() {
                        found.push(id);
                    }
                }
                if found.len() == limit.row_count() {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }
}

/// The categories and those above them, the narrowest first.
fn nearest(categories: &[String]) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    for path in categories {
        let up = std::iter::successors(Some(path.as_str()), |path| {
            path.rsplit_once('/').map(|(parent, _leaf)| parent)
        });
        for path in up {
            if !all.contains(&path) {
                all.push(path);
            }
        }
    }
    all.sort_by_key(|path| std::cmp::Reverse(path.split('/').count()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_category_comes_first() {
        let categories = ["a/b/c".to_owned(), "x/y".to_owned(), "a".to_owned()];
        assert_eq!(nearest(&categories), ["a/b/c", "a/b", "x/y", "a", "x"]);
    }
}
