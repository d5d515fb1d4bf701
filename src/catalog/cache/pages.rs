//! Encoded list pages, each valid for one generation of the index.

use std::{future::Future, sync::Arc};

use moka::{
    Entry,
    future::Cache,
    ops::compute::{CompResult, Op},
};

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

    /// The page of at least `generation`, from `make` where it is not at hand. Callers who want the same page at
    /// once share one making. A long query's page is made for its caller alone.
    ///
    /// # Errors
    /// Those of `make`.
    pub(in crate::catalog) async fn get_or_make<E: Send + Sync + 'static>(
        &self,
        query: &str,
        generation: u64,
        make: impl Future<Output = Result<Encoded, E>>,
    ) -> Result<Arc<Encoded>, E> {
        if query.len() > MAX_QUERY {
            return make.await.map(Arc::new);
        }
        let page = self.pages.entry_by_ref(query);
        let page = page.and_try_compute_with(async |kept: Option<Entry<String, Page>>| {
            let fresh = kept.is_some_and(|kept| kept.value().generation >= generation);
            if fresh {
                return Ok(Op::Nop);
            }
            let body = Arc::new(make.await?);
            Ok(Op::Put(Page { generation, body }))
        });
        match page.await? {
            CompResult::Inserted(entry)
            | CompResult::ReplacedWith(entry)
            | CompResult::Unchanged(entry)
            | CompResult::Removed(entry) => Ok(entry.into_value().body),
            // Neither kept nor made does not happen: what is not at hand is made.
            CompResult::StillNone(query) => unreachable!("no page of {query}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    fn page(text: &str) -> Encoded {
        Encoded::by_content(text.as_bytes().to_vec())
    }

    #[actix_web::test]
    async fn those_who_want_the_same_page_at_once_share_one_making() {
        let (pages, made) = (Pages::new(1 << 20), AtomicUsize::new(0));
        for generation in 1..=2 {
            let make = || async {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                made.fetch_add(1, Ordering::SeqCst);
                Ok::<_, ()>(page(&generation.to_string()))
            };
            let callers = (0..50).map(|_| pages.get_or_make("q", generation, make()));
            for body in join_all(callers).await {
                assert_eq!(body.unwrap().plain, generation.to_string());
            }
            let times = usize::try_from(generation).unwrap();
            assert_eq!(made.load(Ordering::SeqCst), times, "once a generation");
            assert!(pages.get("q", generation + 1).await.is_none());
        }
    }

    #[actix_web::test]
    async fn a_making_that_fails_is_tried_by_the_next() {
        let pages = Pages::new(1 << 20);
        let failed = pages.get_or_make("q", 1, async { Err("no database") });
        assert_eq!(failed.await.unwrap_err(), "no database");
        let made = pages.get_or_make("q", 1, async { Ok::<_, &str>(page("made")) });
        assert_eq!(made.await.unwrap().plain, "made");
    }
}
