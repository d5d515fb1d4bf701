//! Encoded list pages, each valid for one generation of the index.

use std::sync::Arc;

use moka::future::Cache;

use super::weight;
use crate::catalog::view::Encoded;

/// The longest query string that is kept.
const MAX_QUERY: usize = 1_024;

/// A page and the generation that it shows.
#[derive(Debug, Clone)]
struct Page {
    generation: u64,
    body: Arc<Encoded>,
}

/// The pages at hand, by query string as sent.
#[derive(Debug)]
pub(in crate::catalog) struct Pages {
    pages: Cache<String, Page>,
}

impl Pages {
    /// Room for `bytes` of pages.
    pub(in crate::catalog) fn new(bytes: u64) -> Self {
        let pages = Cache::builder()
            .max_capacity(bytes)
            .weigher(|query: &String, page: &Page| weight(query.len() + page.body.weight()));
        Self {
            pages: pages.build(),
        }
    }

    /// The page, where it shows `generation`.
    pub(in crate::catalog) async fn get(
        &self,
        query: &str,
        generation: u64,
    ) -> Option<Arc<Encoded>> {
        let page = self.pages.get(query).await?;
        (page.generation == generation).then_some(page.body)
    }

    /// Keeps a page that was made after `generation` was read.
    pub(in crate::catalog) async fn put(&self, query: &str, generation: u64, body: Arc<Encoded>) {
        if query.len() <= MAX_QUERY {
            let page = Page { generation, body };
            self.pages.insert(query.to_owned(), page).await;
        }
    }
}
