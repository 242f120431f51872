//! Every request of every operation fails in every way, on its way to a store over HTTP or back:
//! nothing is lost or left half done, and operations survive transient faults.
//!
//! Here the adapter and its SDK send requests again; the sweep over the model store has no such
//! layer.
//!
//! A fault that ends by a timeout takes a third of a second, so it happens to every third request
//! only, and to each one with `DGTEST_ALL_POINTS` (`scripts/sweep-faults`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::protocol::faults::outcome::{End, Sweep};
use crate::protocol::faults::scenario::{Conditions, Scenario, perform, scenarios, service};
use deltaglider::service::chain;
use deltaglider::storage::{ConditionalWrites, ObjectStore as _, Patience, S3Config, S3Store};
use s3_server::{Call, Server};

/// The time limit for an answer.
const PATIENCE: Duration = Duration::from_millis(300);
/// The number of concurrent sweeps, which spend most of their time waiting.
const WORKERS: usize = 6;

/// The distance between requests that get a fault which ends by a timeout.
const EVERY: usize = 3;

/// A fault that happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Refused(u16, &'static str),
    /// The store is busy: 500 and 503 in turn.
    Busy,
    /// The request takes effect, and the connection ends without an answer.
    Lost,
    /// As `Lost`, on a store that answers 404 to a DELETE of an absent object.
    LostThenNotFound,
    /// The request has no effect and gets no answer.
    Hangs,
    /// The request takes effect, and the answer comes after the client's time limit.
    Late,
    /// The status of the answer is right, and its body breaks off.
    Cut,
    /// The answer is late, but within the time limit.
    Delayed,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::Busy,
        Self::Refused(403, "AccessDenied"),
        Self::Refused(409, "ConditionalRequestConflict"),
        Self::Lost,
        Self::LostThenNotFound,
        Self::Hangs,
        Self::Late,
        Self::Cut,
        Self::Delayed,
    ];

    /// Returns whether the fault is transient, so that the operation must survive it.
    fn is_transient(self) -> bool {
        !matches!(self, Self::Refused(403, _))
    }

    /// Returns the first request that gets the fault, and the distance to the next ones.
    fn points(self, operation: &str) -> (u64, usize) {
        if !matches!(self, Self::Hangs | Self::Late)
            || std::env::var_os("DGTEST_ALL_POINTS").is_some()
        {
            return (1, 1);
        }
        // Operations of one kind have most requests in common, so each starts at another request.
        (1 + operation.len() as u64 % EVERY as u64, EVERY)
    }

    fn can_happen_to(self, call: &Call<'_>) -> bool {
        match self {
            Self::Refused(409, _) => {
                ["if-match", "if-none-match"].iter().any(|name| call.headers.contains_key(*name))
            }
            Self::LostThenNotFound => call.operation == "DeleteObject",
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
            Self::Lost | Self::LostThenNotFound => s3_server::Fault::Lost,
            Self::Hangs => s3_server::Fault::Wait(PATIENCE * 100),
            Self::Late => s3_server::Fault::Late(PATIENCE * 100),
            Self::Cut => s3_server::Fault::Cut(40),
            Self::Delayed => s3_server::Fault::Wait(PATIENCE / 40),
        }
    }
}

/// The form in which objects are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bodies {
    Whole,
    InParts,
}

/// The state of the fault of one run.
#[derive(Debug, Default)]
struct Strike {
    /// The number of requests so far that could get the fault.
    calls: u64,
    struck: Option<(String, Option<String>)>,
}

/// Injects the fault into the `at`-th request that can get it.
fn script(server: &Server, fault: Fault, at: u64) -> Arc<Mutex<Strike>> {
    let strike = Arc::new(Mutex::new(Strike::default()));
    let shared = strike.clone();
    server.script(move |call| {
        let mut strike = shared.lock().unwrap();
        let this = (call.operation.to_owned(), call.key.map(str::to_owned));
        if fault == Fault::LostThenNotFound && strike.struck.as_ref() == Some(&this) {
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

/// A server and a client of it.
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

    /// Injects a fault into one request per run, request after request, until none is left.
    async fn strike(&self, sweep: &mut Sweep<'_>, fault: Fault) {
        let (first, distance) = fault.points(sweep.scenario.name);
        for at in (first..).step_by(distance) {
            let room = sweep.again();
            self.server.serve(room.store.clone());
            let strike = script(&self.server, fault, at);
            let service = service(self.store.clone());
            // Long enough for a busy machine; an operation that hangs never ends.
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
            if fault.is_transient() && !matches!(end, End::Done) {
                wrong = Some("a transient fault made the operation fail".to_owned());
            }
            // The client cannot abort an upload whose id it never received.
            let is_unknown = operation == "CreateMultipartUpload"
                && matches!(fault, Fault::Lost | Fault::Late | Fault::Cut);
            let open = self.server.open_uploads();
            if open > usize::from(is_unknown) {
                wrong = Some(format!("{open} uploads are left open"));
            }
            let what = format!("{operation} of {}, the {at}., {fault:?}", key.unwrap_or_default());
            sweep.note(&what, room, &end, wrong).await;
        }
    }
}

/// Sweeps one operation and prints the result. Returns the number of points and the losses.
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

/// Sweeps besides those of everything on atomic conditions in one piece: loose conditions lead to
/// other references, and multipart uploads have more requests.
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

/// Sweeps the operations whose names begin with `operation`.
fn sweep(operation: &str) {
    let scenarios: Vec<_> =
        scenarios().into_iter().filter(|scenario| scenario.name.starts_with(operation)).collect();
    let further = FURTHER.iter().filter_map(|&(name, conditions, bodies)| {
        Some((scenarios.iter().find(|scenario| scenario.name == name)?, conditions, bodies))
    });
    let whole = scenarios.iter().map(|scenario| (scenario, Conditions::Atomic, Bodies::Whole));
    let jobs: Vec<_> = further.chain(whole).collect();
    let (next, totals) = (AtomicUsize::new(0), Mutex::new((0, Vec::new())));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(&(scenario, conditions, bodies)) =
                    jobs.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let (points, losses) = sweep_one(scenario, conditions, bodies);
                    let mut totals = totals.lock().unwrap();
                    totals.0 += points;
                    totals.1.extend(losses);
                }
            });
        }
    });
    let (points, mut losses) = totals.into_inner().unwrap();
    println!("{operation} over HTTP: {points} points, {} losses", losses.len());
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
