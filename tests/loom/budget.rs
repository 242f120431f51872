//! The byte budget of the cache in memory, under every interleaving of several threads.
#![cfg(test)]

use budget::{ByteBudget, Reservation};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

#[path = "../../src/cache/byte_budget.rs"]
mod budget;

/// Returns a model of threads that each reserve one of `bytes` of a budget of ten and release it.
fn threads(bytes: &'static [u64]) -> impl Fn() + Sync + Send + 'static {
    move || {
        let budget = Arc::new(ByteBudget::new(10));
        let take = |&bytes: &u64| {
            let budget = budget.clone();
            thread::spawn(move || {
                if let Some(taken) = Reservation::take(&budget, bytes) {
                    assert!(
                        (taken.bytes()..=10).contains(&budget.taken()),
                        "{} of 10",
                        budget.taken()
                    );
                }
            })
        };
        let threads: Vec<_> = bytes.iter().map(take).collect();
        threads.into_iter().for_each(|thread| drop(thread.join()));
        assert_eq!(budget.taken(), 0);
        assert!(
            Reservation::take(&budget, 10).is_some() && Reservation::take(&budget, 11).is_none()
        );
    }
}

/// Two threads never exceed the limit, and released bytes are free again.
#[test]
fn budget_holds_for_two_threads() {
    loom::model(threads(&[6, 5]));
    loom::model(threads(&[6, 4]));
}

/// The same for three threads, in every interleaving with at most two preemptions.
#[test]
fn budget_holds_for_three_threads() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(threads(&[6, 5, 4]));
}
