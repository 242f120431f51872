//! The room of a cache in memory, by its own source, under every order in which the steps of several threads can follow each other.
#![cfg(test)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use room::{Room, Taken};

#[path = "../../src/cache/memory/room.rs"]
mod room;

/// Threads that take so many of ten bytes each, and give them back.
fn threads(bytes: &'static [u64]) -> impl Fn() + Sync + Send + 'static {
    move || {
        let room = Arc::new(Room::new(10));
        let take = |&bytes: &u64| {
            let room = room.clone();
            thread::spawn(move || {
                if let Some(taken) = Taken::of(&room, bytes) {
                    assert!((taken.bytes()..=10).contains(&room.taken()), "{} of 10", room.taken());
                }
            })
        };
        let threads: Vec<_> = bytes.iter().map(take).collect();
        threads.into_iter().for_each(|thread| drop(thread.join()));
        assert_eq!(room.taken(), 0);
        assert!(Taken::of(&room, 10).is_some() && Taken::of(&room, 11).is_none());
    }
}

#[test]
fn under_every_order_of_two_threads_the_limit_holds_and_what_is_given_back_is_counted() {
    loom::model(threads(&[6, 5]));
    loom::model(threads(&[6, 4]));
}

/// Every order in which a thread is interrupted twice at most.
#[test]
fn and_of_three_threads() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(threads(&[6, 5, 4]));
}
