//! Every storage call of every operation goes wrong in every way, and every await is where the
//! operation is dropped: what was readable stays readable, what was reported is there, and nothing
//! is in the way of what comes next.
//!
//! What a store gives afterwards depends on what it holds. So where many faults leave the same,
//! that is looked at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::protocol::faults::outcome::{End, Sweep, read};
use crate::protocol::faults::scenario::{Conditions, Op, perform, scenarios, service, stage};
use crate::protocol::faults::{Fault, Faulty};
use deltaglider::service::chain;

/// Polls a future so many times, then gives up.
struct Polls<F> {
    future: Pin<Box<F>>,
    left: u32,
}

impl<F: Future> Future for Polls<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.future.as_mut().poll(cx).map(Some)
    }
}

/// Each call has this fault, one in each run, until there is no such call.
async fn strike(sweep: &mut Sweep<'_>, fault: Fault) {
    for at in 1.. {
        let room = sweep.again();
        let faulty = Arc::new(Faulty::new(room.store.clone(), Some((at, fault))));
        let (service, op) = (service(faulty.clone()), &sweep.scenario.op);
        let performed = {
            let perform = Box::pin(perform(&service, op, room.now()));
            if matches!(fault, Fault::Hangs | Fault::HangsAfter) {
                until_it_hangs(perform, &faulty).await
            } else {
                Some(perform.await)
            }
        };
        if !faulty.struck() {
            if at > faulty.calls() {
                return;
            }
            // A call that this cannot happen to.
            continue;
        }
        let mut wrong = None;
        let end = match performed {
            None => End::Dropped,
            Some(Ok(done)) => {
                wrong = sweep.misread(done);
                End::Done
            }
            Some(Err(error)) => End::Failed(chain(&error)),
        };
        // What is only kept to be faster next time may be lost, and what is not there to be faster
        // now is done without.
        let for_speed = faulty.struck_at("PutObject")
            || faulty.struck_at("GetObject") && !matches!(fault, Fault::Down(_));
        if let (Op::Many(many), End::Failed(why)) = (op, &end)
            && many.only_reads()
            && for_speed
        {
            wrong = Some(format!("it failed by what is there to be faster: {why}"));
        }
        if fault == Fault::Delayed && !matches!(end, End::Done) {
            wrong = Some("a delay is no failure".to_owned());
        }
        sweep.note(&format!("call {at} {fault:?}"), room, &end, wrong).await;
    }
}

/// Lets an operation go on until a call of it hangs, and drops it; gives its answer if none does.
async fn until_it_hangs<T>(
    operation: Pin<Box<impl Future<Output = T>>>,
    faulty: &Faulty,
) -> Option<T> {
    let watch = async {
        while !faulty.struck() {
            tokio::task::yield_now().await;
        }
        // What takes effect before it hangs does so, and other calls of the operation, which it
        // makes side by side, go on.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        done = operation => Some(done),
        () = watch => None,
    }
}

/// The operation is dropped at each of its awaits.
async fn cuts(sweep: &mut Sweep<'_>) {
    for left in 0.. {
        let room = sweep.again();
        let faulty = Arc::new(Faulty::new(room.store.clone(), None));
        let (service, op) = (service(faulty.clone()), &sweep.scenario.op);
        let performed = Polls { future: Box::pin(perform(&service, op, room.now())), left }.await;
        if performed.is_some() {
            return;
        }
        sweep.note(&format!("dropped after {left} polls"), room, &End::Dropped, None).await;
    }
}

/// Sweeps the operations whose names begin so.
fn sweep(operation: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (mut points, mut losses) = (0, Vec::new());
    for scenario in scenarios().iter().filter(|scenario| scenario.name.starts_with(operation)) {
        for conditions in [Conditions::Atomic, Conditions::Loose, Conditions::Tied] {
            if !scenario.fits(conditions) {
                continue;
            }
            let mut sweep = runtime.block_on(Sweep::new(scenario, conditions));
            runtime.block_on(async {
                for fault in Fault::ALL {
                    strike(&mut sweep, fault).await;
                }
                cuts(&mut sweep).await;
            });
            println!("{sweep}");
            points += sweep.points;
            losses.extend(sweep.losses);
        }
    }
    println!("{operation}: {points} points, {} losses", losses.len());
    assert!(points > 0);
    losses.truncate(20);
    assert!(losses.is_empty(), "{}", losses.join("\n"));
}

#[test]
fn a_put_that_goes_wrong_anywhere_loses_nothing() {
    sweep("put");
}

#[test]
fn an_overwrite_that_goes_wrong_anywhere_loses_nothing() {
    sweep("overwrite");
}

#[test]
fn a_delete_that_goes_wrong_anywhere_loses_nothing() {
    sweep("delete");
}

#[test]
fn a_get_that_goes_wrong_anywhere_gives_no_other_bytes() {
    sweep("get");
}

#[test]
fn a_copy_that_goes_wrong_anywhere_loses_nothing() {
    sweep("copy");
}

#[test]
fn a_move_that_goes_wrong_anywhere_loses_nothing() {
    sweep("move");
}

#[test]
fn a_rebase_that_goes_wrong_anywhere_loses_nothing() {
    sweep("rebase");
}

#[test]
fn a_repair_that_goes_wrong_anywhere_loses_nothing() {
    sweep("repair");
}

#[test]
fn a_sync_that_goes_wrong_anywhere_loses_nothing_and_the_next_one_finishes_it() {
    sweep("sync");
}

#[test]
fn a_migration_that_goes_wrong_anywhere_loses_nothing_and_the_next_one_finishes_it() {
    sweep("migrate");
}

#[test]
fn a_bucket_that_is_being_made_is_made_by_the_next_try() {
    sweep("make");
}

#[test]
fn a_removal_of_all_that_goes_wrong_anywhere_loses_nothing_else() {
    sweep("remove all");
}

#[test]
fn a_copy_for_a_url_is_whole_or_not_there_whatever_goes_wrong() {
    sweep("presign");
}

#[test]
fn a_purge_that_goes_wrong_anywhere_removes_only_what_has_expired() {
    sweep("purge");
}

#[test]
fn a_verification_that_goes_wrong_anywhere_calls_nothing_sound_that_it_did_not_read() {
    sweep("verify");
}

#[test]
fn a_listing_that_goes_wrong_anywhere_tells_nothing_else_and_fails_by_no_index() {
    sweep("list");
}

#[test]
fn statistics_that_go_wrong_anywhere_tell_nothing_else_and_fail_by_nothing_kept() {
    sweep("stats");
}

#[tokio::test]
async fn a_store_that_copies_other_bytes_loses_nothing_that_is_moved() {
    let mut struck = 0;
    for scenario in scenarios() {
        let Op::Move(from, to) = scenario.op else { continue };
        let before = stage(&scenario, Conditions::Atomic).await;
        let content = before.files.get(from);
        for at in 1.. {
            let room = before.again();
            let faulty = Arc::new(Faulty::new(room.store.clone(), Some((at, Fault::Garbles))));
            let moved = perform(&service(faulty.clone()), &scenario.op, room.now()).await;
            if at > faulty.calls() {
                break;
            }
            struck += u32::from(faulty.struck());
            let kept = if moved.is_ok() { to } else { from };
            let held = read(&room.store, kept).await;
            assert!(
                held.as_ref().is_ok_and(|held| held.as_ref() == content),
                "{}, call {at}: {kept}",
                scenario.name
            );
        }
    }
    assert!(struck >= 4, "{struck}");
}
