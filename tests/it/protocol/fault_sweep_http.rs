//! Every request of every operation goes wrong in every way on its way to a store over HTTP and
//! back: nothing is lost, nothing is left half done, and what passes, the operation survives.
//!
//! Here it is the adapter and its SDK that send requests again; the sweep over the model store
//! itself has no such layer.
//!
//! A fault that is waited out takes the third of a second: such faults happen to every third
//! request, and to each with `DGTEST_ALL_POINTS` (`scripts/sweep-faults`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::protocol::faults::outcome::{End, Sweep};
use crate::protocol::faults::scenario::{Conditions, Scenario, perform, scenarios, service};
use deltaglider::service::chain;
use deltaglider::storage::{ConditionalWrites, ObjectStore as _, Patience, S3Config, S3Store};
use s3_server::{Call, Server};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(300);
/// Most of the time is spent in waiting.
const WORKERS: usize = 6;

/// The distance between requests that a fault which is waited out happens to.
const EVERY: usize = 3;

/// What goes wrong with a request, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Refused(u16, &'static str),
    /// The store has too much to do: now 500, now 503.
    Busy,
    /// It is done, and the connection ends without an answer.
    Lost,
    /// The same, on a store that says 404 to a DELETE of what is not there.
    LostAndTold,
    /// It is not done, and there is no answer.
    Hangs,
    /// It is done, and the answer comes when nobody waits for it any more.
    Late,
    /// The answer's status is right, and its body breaks off.
    Cut,
    /// It takes a while.
    Delayed,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::Busy,
        Self::Refused(403, "AccessDenied"),
        Self::Refused(409, "ConditionalRequestConflict"),
        Self::Lost,
        Self::LostAndTold,
        Self::Hangs,
        Self::Late,
        Self::Cut,
        Self::Delayed,
    ];

    /// Whether it passes, so that the operation has to survive it.
    fn passes(self) -> bool {
        !matches!(self, Self::Refused(403, _))
    }

    /// Returns to which requests it happens: the first of them, and every so many from there on.
    fn points(self, operation: &str) -> (u64, usize) {
        if !matches!(self, Self::Hangs | Self::Late)
            || std::env::var_os("DGTEST_ALL_POINTS").is_some()
        {
            return (1, 1);
        }
        // Operations of one kind have most of their requests in common, so each begins at another
        // one.
        (1 + operation.len() as u64 % EVERY as u64, EVERY)
    }

    fn can_happen_to(self, call: &Call<'_>) -> bool {
        match self {
            Self::Refused(409, _) => {
                ["if-match", "if-none-match"].iter().any(|name| call.headers.contains_key(*name))
            }
            Self::LostAndTold => call.operation == "DeleteObject",
            // Other answers have no body.
            Self::Cut => matches!(
                call.operation,
                "GetObject"
                    | "ListObjectsV2"
                    | "GetObjectTagging"
                    | "CopyObject"
                    | "CreateMultipartUpload"
                    | "CompleteMultipartUpload"
            ),
            _ => true,
        }
    }

    fn of_server(self, at: u64) -> s3_server::Fault {
        match self {
            Self::Busy if at.is_multiple_of(2) => Self::Refused(503, "SlowDown").of_server(at),
            Self::Busy => Self::Refused(500, "InternalError").of_server(at),
            Self::Refused(status, code) => s3_server::Fault::Refuse { status, code },
            Self::Lost | Self::LostAndTold => s3_server::Fault::Lost,
            Self::Hangs => s3_server::Fault::Wait(PATIENCE * 100),
            Self::Late => s3_server::Fault::Late(PATIENCE * 100),
            Self::Cut => s3_server::Fault::Cut(40),
            Self::Delayed => s3_server::Fault::Wait(PATIENCE / 40),
        }
    }
}

/// How objects are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bodies {
    Whole,
    InParts,
}

/// What became of the fault of a run.
#[derive(Debug, Default)]
struct Strike {
    /// Requests so far that the fault could happen to.
    calls: u64,
    struck: Option<(String, Option<String>)>,
}

/// Makes the fault happen to the `at`-th request that it can happen to.
fn script(server: &Server, fault: Fault, at: u64) -> Arc<Mutex<Strike>> {
    let strike = Arc::new(Mutex::new(Strike::default()));
    let shared = strike.clone();
    server.script(move |call| {
        let mut strike = shared.lock().unwrap();
        let this = (call.operation.to_owned(), call.key.map(str::to_owned));
        if fault == Fault::LostAndTold && strike.struck.as_ref() == Some(&this) {
            return Some(s3_server::Fault::Refuse { status: 404, code: "NoSuchKey" });
        }
        if !fault.can_happen_to(call) {
            return None;
        }
        strike.calls += 1;
        (strike.calls == at).then(|| {
            strike.struck = Some(this);
            fault.of_server(at)
        })
    });
    strike
}

/// A server, and a client of it.
struct World {
    server: Server,
    store: Arc<S3Store>,
}

impl World {
    async fn new(conditions: Conditions, bodies: Bodies) -> Self {
        let server = Server::memory().unwrap();
        let conditional_writes = match conditions {
            Conditions::Loose => ConditionalWrites::No,
            _ => ConditionalWrites::Yes,
        };
        let before_retry = Duration::from_millis(4);
        let mut config = S3Config {
            conditional_writes,
            patience: Patience {
                answer: PATIENCE,
                copy: PATIENCE,
                before_retry,
                ..Patience::default()
            },
            ..server.config()
        };
        if bodies == Bodies::InParts {
            config.multipart_threshold = 1;
        }
        let store = Arc::new(S3Store::connect(config).await.unwrap());
        Self { server, store }
    }

    /// Each request has this fault, one in each run, until there is no such request.
    async fn strike(&self, sweep: &mut Sweep<'_>, fault: Fault) {
        let (first, distance) = fault.points(sweep.scenario.name);
        for at in (first..).step_by(distance) {
            let room = sweep.again();
            self.server.serve(room.store.clone());
            let strike = script(&self.server, fault, at);
            let service = service(self.store.clone());
            // Long enough on a machine with much else to do: what hangs for ever does so longer.
            let longest = Duration::from_secs(60);
            let performed =
                tokio::time::timeout(longest, perform(&service, &sweep.scenario.op, room.now()))
                    .await;
            self.store.settle().await;
            let struck = strike.lock().unwrap().struck.take();
            let Some((operation, key)) = struck else { return };
            let mut wrong = None;
            let end = match performed {
                Ok(Ok(done)) => {
                    wrong = sweep.misread(done);
                    End::Done
                }
                Ok(Err(error)) => End::Failed(chain(&error)),
                Err(_) => End::Dropped,
            };
            if fault.passes() && !matches!(end, End::Done) {
                wrong = Some("what passes is no failure".to_owned());
            }
            // The id of an upload that was begun and never told is known to nobody.
            let untold = operation == "CreateMultipartUpload"
                && matches!(fault, Fault::Lost | Fault::Late | Fault::Cut);
            let open = self.server.open_uploads();
            if open > usize::from(untold) {
                wrong = Some(format!("{open} uploads are left open"));
            }
            let what = format!("{operation} of {}, the {at}., {fault:?}", key.unwrap_or_default());
            sweep.note(&what, room, &end, wrong).await;
        }
    }
}

/// Sweeps one operation, and tells of it.
fn sweep_one(scenario: &Scenario, conditions: Conditions, bodies: Bodies) -> (u64, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let world = World::new(conditions, bodies).await;
        let mut sweep = Sweep::new(scenario, conditions).await;
        for fault in Fault::ALL {
            world.strike(&mut sweep, fault).await;
        }
        println!("{sweep}, {bodies:?}");
        (sweep.points, sweep.losses)
    })
}

/// What is swept beside everything on atomic conditions in one piece: loose conditions lead to
/// other references, and what is sent in parts has more requests.
const FURTHER: [(&str, Conditions, Bodies); 9] = [
    ("put, the first of all", Conditions::Loose, Bodies::Whole),
    ("put, the second", Conditions::Loose, Bodies::Whole),
    ("overwrite, a delta by the file as it is", Conditions::Loose, Bodies::Whole),
    ("delete, the only delta", Conditions::Loose, Bodies::Whole),
    ("put, the first of all", Conditions::Atomic, Bodies::InParts),
    ("put, as it is", Conditions::Atomic, Bodies::InParts),
    ("overwrite, a delta by a delta", Conditions::Atomic, Bodies::InParts),
    ("rebase, against a later reference", Conditions::Atomic, Bodies::InParts),
    ("repair, a reference that has rotted", Conditions::Atomic, Bodies::InParts),
];

/// Sweeps the operations whose names begin so.
fn sweep(operation: &str) {
    let scenarios: Vec<_> =
        scenarios().into_iter().filter(|scenario| scenario.name.starts_with(operation)).collect();
    let further = FURTHER.iter().filter_map(|&(name, conditions, bodies)| {
        Some((scenarios.iter().find(|scenario| scenario.name == name)?, conditions, bodies))
    });
    let whole = scenarios.iter().map(|scenario| (scenario, Conditions::Atomic, Bodies::Whole));
    let jobs: Vec<_> = further.chain(whole).collect();
    let (next, told) = (AtomicUsize::new(0), Mutex::new((0, Vec::new())));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(&(scenario, conditions, bodies)) =
                    jobs.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let (points, losses) = sweep_one(scenario, conditions, bodies);
                    let mut told = told.lock().unwrap();
                    told.0 += points;
                    told.1.extend(losses);
                }
            });
        }
    });
    let (points, mut losses) = told.into_inner().unwrap();
    println!("{operation} over HTTP: {points} points, {} losses", losses.len());
    assert!(points > 0);
    losses.truncate(20);
    assert!(losses.is_empty(), "{}", losses.join("\n"));
}

#[test]
fn a_put_over_http_that_goes_wrong_anywhere_loses_nothing() {
    sweep("put");
}

#[test]
fn an_overwrite_over_http_that_goes_wrong_anywhere_loses_nothing() {
    sweep("overwrite");
}

#[test]
fn a_delete_over_http_that_goes_wrong_anywhere_loses_nothing() {
    sweep("delete");
}

#[test]
fn a_get_over_http_that_goes_wrong_anywhere_gives_no_other_bytes() {
    sweep("get");
}

#[test]
fn a_copy_over_http_that_goes_wrong_anywhere_loses_nothing() {
    sweep("copy");
}

#[test]
fn a_move_over_http_that_goes_wrong_anywhere_loses_nothing() {
    sweep("move");
}

#[test]
fn a_rebase_over_http_that_goes_wrong_anywhere_loses_nothing() {
    sweep("rebase");
}

#[test]
fn a_repair_over_http_that_goes_wrong_anywhere_loses_nothing() {
    sweep("repair");
}
