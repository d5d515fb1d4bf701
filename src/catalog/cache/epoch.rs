//! Epochs: how often something about a product has changed on this node.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::id::ProductId;

/// Products share a counter with few others; a shared one only costs a reload.
const COUNTERS: usize = 16_384;

/// The epochs of all products.
#[derive(Debug)]
pub(super) struct Epochs {
    counters: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Epochs {
    pub(super) fn new() -> Self {
        Self {
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    fn counter(&self, product: ProductId) -> Option<&AtomicU64> {
        let hash = self.hasher.hash_one(product);
        let most = u64::try_from(COUNTERS).unwrap_or(1);
        self.counters.get(usize::try_from(hash % most).ok()?)
    }

    /// The present epoch of a product.
    pub(super) fn of(&self, product: ProductId) -> u64 {
        self.counter(product)
            .map_or(0, |counter| counter.load(Ordering::Acquire))
    }

    /// Starts a new epoch of a product.
    pub(super) fn advance(&self, product: ProductId) {
        if let Some(counter) = self.counter(product) {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    /// Starts a new epoch of every product.
    pub(super) fn advance_all(&self) {
        for counter in &self.counters {
            counter.fetch_add(1, Ordering::Release);
        }
    }
}
