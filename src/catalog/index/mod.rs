//! The product index that each node holds in memory: filters, facets, order, text search and
//! suggestions over any declared attribute, without a search server.
//!
//! MongoDB stays the only source of truth: the catalogue feeds every product in with
//! [`CatalogIndex::apply`] and rebuilds the index where its place in the change feed is lost.
//! Nothing here does I/O.
//!
//! How it works: products have dense numbers; each value of each field holds the set of their
//! numbers (a compressed bitmap), so that a filter is an intersection and a facet a count of one.
//! Words hold sorted lists of the same numbers. A page is the least rows after the cursor's key.
//!
//! What always holds:
//! - A change is visible to every search that starts after it returned.
//! - A facet is counted within all filters but its own, exactly.
//! - A walk over pages shows every product that stood unchanged throughout exactly once, whatever
//!   comes and goes meanwhile. For that, the first page decides how words are weighed and whether
//!   typing errors are forgiven, and the cursor carries the decision.

mod answer;
mod attributes;
mod docs;
mod facets;
mod filter;
mod order;
mod packed;
mod product;
mod query;
mod state;
mod suggest;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod values;

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

pub use self::{
    answer::{Facet, FacetKind, FacetScalar, FacetValue, SearchPage, Suggestion, SuggestionKind},
    product::{FieldDeclaration, IndexedProduct, TypeFields},
    query::{SearchQuery, Sort},
};
use self::{
    filter::Filters,
    order::Place,
    state::{Prepared, State},
    text::TextQuery,
};
use crate::{id::ProductId, problem::Problem};

/// What an index shows next, while it is made from the database: quicker to fill than an index that
/// is searched meanwhile.
#[derive(Debug, Default)]
pub struct Rebuild(State);

impl Rebuild {
    /// Takes a product in.
    pub fn apply(&mut self, product: &IndexedProduct) {
        self.0.apply(Prepared::new(product));
    }

    /// Takes in a type's declarations.
    pub fn declare(&mut self, fields: &Arc<TypeFields>) {
        self.0.declare(Arc::clone(fields));
    }
}

/// The index over all products of this node. Share it in an `Arc`.
///
/// Readers share a lock that a writer takes only for the short time in which a product that was
/// made ready before is taken in.
#[derive(Debug, Default)]
pub struct CatalogIndex {
    state: RwLock<State>,
    generation: AtomicU64,
}

impl CatalogIndex {
    /// An index without products.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a product in, in place of what was known of it, and its type's declarations.
    pub fn apply(&self, product: &IndexedProduct) {
        let prepared = Prepared::new(product);
        self.change(|state| {
            state.apply(prepared);
            state.settle();
            true
        });
    }

    /// Forgets a product. One that was never known is no error.
    pub fn remove(&self, id: ProductId) {
        self.change(|state| state.remove(id));
    }

    /// Sets how many pieces of a product can be bought now, over all variants.
    ///
    /// A product that is not known is left alone: its stock comes with [`Self::apply`].
    pub fn set_available(&self, id: ProductId, pieces: u32) {
        self.change(|state| state.set_available(id, pieces));
    }

    /// Takes in a type's declarations, in place of what was known of the type, so that its
    /// attributes can be asked for before there are products.
    ///
    /// Products keep the values that were read under the old declarations until they are applied
    /// again.
    pub fn declare(&self, fields: &Arc<TypeFields>) {
        self.change(|state| state.declare(Arc::clone(fields)));
    }

    /// Forgets a type's declarations. Only for a type without products.
    pub fn retract(&self, type_id: &str) {
        self.change(|state| state.types.remove(type_id).is_some());
    }

    /// Forgets all products and types.
    pub fn clear(&self) {
        self.replace_with(Rebuild::default());
    }

    /// Shows what `rebuilt` holds in place of all that is known, in one step: searches see the
    /// old catalogue until the new one is complete.
    pub fn replace_with(&self, rebuilt: Rebuild) {
        let mut new = rebuilt.0;
        new.settle();
        new.shrink();
        self.change(|state| {
            std::mem::swap(state, &mut new);
            true
        });
        // The old catalogue is dropped here, after the lock.
    }

    /// How many products there are, drafts and archived ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().docs.len()
    }

    /// Whether there is no product.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Grows with every change that an answer may show.
    ///
    /// An answer made after the generation was read is at least as new as that generation, so it
    /// may be kept under it.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Finds a page of products, with facets where the query asks for them.
    ///
    /// # Errors
    /// 422 `unknown_attribute` at an attribute that no type declares filterable, `invalid_type`,
    /// `range` or `repeated` at an attribute's bound, `cursor` at a cursor that was altered or is
    /// another query's.
    pub fn search(&self, query: &SearchQuery) -> Result<SearchPage, Problem> {
        let place = Place::read(query)?;
        let state = self.read();
        let base = state.base(query.hidden);
        let found = query.text.as_deref().map(|text| {
            let frozen = place.as_ref().and_then(|place| place.frozen.clone());
            state.find(&TextQuery::sent(text), base, frozen)
        });
        let (base, scores, frozen) = match found {
            Some(found) => (found.docs, found.scores, Some(found.frozen)),
            None => (base.clone(), Vec::new(), None),
        };
        let filters = Filters::new(&state, query, base)?;
        let docs = filters.matching();
        let rows = order::page(&state, query, docs, &scores, frozen, place.as_ref())?;
        Ok(SearchPage {
            ids: rows.ids,
            next_cursor: rows.next,
            total: docs.len(),
            facets: query.facets.then(|| facets::count(&state, &filters)),
        })
    }

    /// Every product that a query finds, whatever its page, in no order.
    ///
    /// # Errors
    /// Those of [`Self::search`].
    pub fn matching(&self, query: &SearchQuery) -> Result<Vec<ProductId>, Problem> {
        let state = self.read();
        let base = state.base(query.hidden);
        let base = match query.text.as_deref() {
            Some(text) => state.find(&TextQuery::sent(text), base, None).docs,
            None => base.clone(),
        };
        let filters = Filters::new(&state, query, base)?;
        let found = filters.matching().iter();
        Ok(found
            .filter_map(|doc| Some(state.docs.keys(doc)?.id))
            .collect())
    }

    /// What a shopper may mean who has typed `text`: at most `limit` categories, brands and
    /// products that visitors may see, best first.
    #[must_use]
    pub fn suggest(&self, text: &str, limit: usize) -> Vec<Suggestion> {
        suggest::suggest(&self.read(), text, limit)
    }

    /// Changes what is held; the generation grows where `change` says that something is new.
    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        let mut state: RwLockWriteGuard<'_, State> =
            self.state.write().unwrap_or_else(PoisonError::into_inner);
        if change(&mut state) {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}
