//! Every storage call of every operation fails in every way, and every operation is dropped at each
//! of its awaits: readable files stay readable, reported contents are stored, and nothing blocks
//! later operations.
//!
//! Later results depend only on the content of the store, so outcomes with equal content are
//! checked once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::protocol::faults::outcome::{End, Sweep, read};
use crate::protocol::faults::scenario::{Conditions, Op, perform, scenarios, service, stage};
use crate::protocol::faults::{Fault, Faulty};
use crate::support::polls::Polls;
use deltaglider::service::chain;

/// Injects a fault into one call per run, call after call, until the operation makes no such call.
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
            // This fault cannot happen to this call.
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
        // An index and kept statistics only save time: an operation must succeed if they cannot be
        // read or written.
        let for_speed = faulty.struck_at("PutObject")
            || faulty.struck_at("GetObject") && !matches!(fault, Fault::Down(_));
        if let (Op::Many(many), End::Failed(why)) = (op, &end)
            && many.only_reads()
            && for_speed
        {
            wrong = Some(format!("it failed by an index or kept statistics: {why}"));
        }
        if fault == Fault::Delayed && !matches!(end, End::Done) {
            wrong = Some("a delay is no failure".to_owned());
        }
        sweep.note(&format!("call {at} {fault:?}"), room, &end, wrong).await;
    }
}

/// Runs an operation until one of its calls hangs, then drops it. Returns its result if none hangs.
async fn until_it_hangs<T>(
    operation: Pin<Box<impl Future<Output = T>>>,
    faulty: &Faulty,
) -> Option<T> {
    let watch = async {
        while !faulty.struck() {
            tokio::task::yield_now().await;
        }
        // A call that takes effect before it hangs does so, and concurrent calls of the operation
        // continue.
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

/// Drops the operation at each of its awaits.
async fn cuts(sweep: &mut Sweep<'_>) {
    for left in 0.. {
        let room = sweep.again();
        let faulty = Arc::new(Faulty::new(room.store.clone(), None));
        let (service, op) = (service(faulty.clone()), &sweep.scenario.op);
        let performed = Polls::of(perform(&service, op, room.now()), left).await;
        if performed.is_some() {
            return;
        }
        sweep.note(&format!("dropped after {left} polls"), room, &End::Dropped, None).await;
    }
}

/// Sweeps the operations whose names begin with `operation`.
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
fn faulty_put_loses_nothing() {
    sweep("put");
}

#[test]
fn faulty_overwrite_loses_nothing() {
    sweep("overwrite");
}

#[test]
fn faulty_delete_loses_nothing() {
    sweep("delete");
}

#[test]
fn faulty_get_returns_right_bytes() {
    sweep("get");
}

#[test]
fn faulty_copy_loses_nothing() {
    sweep("copy");
}

#[test]
fn faulty_move_loses_nothing() {
    sweep("move");
}

#[test]
fn faulty_rebase_loses_nothing() {
    sweep("rebase");
}

#[test]
fn faulty_repair_loses_nothing() {
    sweep("repair");
}

/// A failed sync loses nothing, and the next one completes it.
#[test]
fn faulty_sync_can_be_repeated() {
    sweep("sync");
}

/// A failed migration loses nothing, and the next one completes it.
#[test]
fn faulty_migrate_can_be_repeated() {
    sweep("migrate");
}

#[test]
fn faulty_mb_can_be_repeated() {
    sweep("make");
}

/// A failed `rm -r` or `rb --force` loses no other file.
#[test]
fn faulty_rm_loses_nothing_else() {
    sweep("remove all");
}

/// A copy for a URL is complete or absent.
#[test]
fn faulty_presign_leaves_no_part() {
    sweep("presign");
}

#[test]
fn faulty_purge_keeps_unexpired() {
    sweep("purge");
}

/// A failed verification reports no file as sound that it did not read.
#[test]
fn verify_passes_only_read_files() {
    sweep("verify");
}

/// A listing returns nothing wrong, and a faulty index does not make it fail.
#[test]
fn faulty_index_fails_no_listing() {
    sweep("list");
}

/// Statistics are never wrong, and faulty kept statistics do not make them fail.
#[test]
fn faulty_cache_fails_no_stats() {
    sweep("stats");
}

/// A move on a store that copies wrong bytes keeps the source.
#[tokio::test]
async fn corrupt_copy_loses_no_source() {
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
