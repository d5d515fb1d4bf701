//! One call at a time for each checkout, on this node.
//!
//! The provider may refuse the second of two equal calls at once. Waiting here is a courtesy between the
//! doors of one node; what makes settling right is the persisted state, on however many nodes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use crate::id::CheckoutId;

type Waiting = HashMap<CheckoutId, Arc<tokio::sync::Mutex<()>>>;

/// Who is being settled.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue(Arc<Mutex<Waiting>>);

/// A turn at one checkout; the next in line goes on when it is dropped.
pub(super) struct Turn {
    queue: Queue,
    id: CheckoutId,
    guard: Option<OwnedMutexGuard<()>>,
    has_waited: bool,
}

impl Turn {
    /// Whether somebody else was at it before.
    pub(super) const fn has_waited(&self) -> bool {
        self.has_waited
    }
}

impl Queue {
    /// Waits for its turn at `id`.
    pub(super) async fn wait(&self, id: CheckoutId) -> Turn {
        let line = self.lock().entry(id).or_default().clone();
        let at_once = line.clone().try_lock_owned();
        let has_waited = at_once.is_err();
        let guard = match at_once {
            Ok(guard) => guard,
            Err(_taken) => line.lock_owned().await,
        };
        Turn {
            queue: self.clone(),
            id,
            guard: Some(guard),
            has_waited,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut waiting = self.queue.lock();
        // The map's own handle is the last one: nobody waits.
        if waiting
            .get(&self.id)
            .is_some_and(|line| Arc::strong_count(line) == 1)
        {
            waiting.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn turns_come_one_after_the_other_and_leave_nothing_behind() {
        let (queue, id) = (Queue::default(), CheckoutId::new());
        let first = queue.wait(id).await;
        let second = tokio::spawn({
            let queue = queue.clone();
            async move { drop(queue.wait(id).await) }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
        assert!(queue.lock().is_empty());
    }
}
