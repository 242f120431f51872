//! The next call of an operation, found by running the real code alone over recorded answers.
//!
//! An operation is a function of its answers. So it is run once for each sequence of answers that
//! occurs, however many orders of calls lead to it, and its next call is recorded. A run with more
//! answers must make the same calls again, which is asserted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future as _;
use std::ops::Range;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::{Clock, chain};
use deltaglider::storage::{
    Attributes, BucketAdmin, CopyOptions, ETag, ListPage, ListRequest, ListedBucket, ObjectBody,
    ObjectHead, ObjectStore, Presign, PutBody, PutCondition, PutOptions, StorageError,
    StorageErrorKind,
};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::world::{Answer, Call};
use super::{End, Kind, Op, perform, service};

/// The next step of an operation after some answers.
#[derive(Debug, Clone)]
pub(crate) enum Next {
    Asks(Call),
    Ends(End),
}

struct Node {
    next: Next,
    /// The previous node, the answer that led here, and the number of time steps that had passed
    /// when it came.
    before: Option<(usize, Answer, u64)>,
    after: HashMap<u64, usize>,
}

/// Everything recorded of one operation.
pub(crate) struct Actor {
    op: Op,
    kind: Kind,
    nodes: Vec<Node>,
}

impl Actor {
    pub(crate) fn new(op: Op, kind: Kind, runtime: &Runtime) -> Self {
        let next = run(&op, kind, &[], runtime);
        Self { op, kind, nodes: vec![Node { next, before: None, after: HashMap::new() }] }
    }

    pub(crate) fn next(&self, at: usize) -> &Next {
        &self.nodes[at].next
    }

    /// Returns the number of sequences of answers for which the operation was run.
    pub(crate) fn runs(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the node after an answer that comes after `steps` time steps.
    pub(crate) fn on(&mut self, at: usize, answer: Answer, steps: u64, runtime: &Runtime) -> usize {
        let print = answer.print().rotate_left(8) ^ steps;
        if let Some(&known) = self.nodes[at].after.get(&print) {
            return known;
        }
        let mut script = vec![Answered { call: self.asked(at), answer: answer.clone(), steps }];
        let mut node = at;
        while let Some((before, answer, steps)) = &self.nodes[node].before {
            script.push(Answered {
                call: self.asked(*before),
                answer: answer.clone(),
                steps: *steps,
            });
            node = *before;
        }
        script.reverse();
        let next = run(&self.op, self.kind, &script, runtime);
        let new = self.nodes.len();
        self.nodes.push(Node { next, before: Some((at, answer, steps)), after: HashMap::new() });
        self.nodes[at].after.insert(print, new);
        new
    }

    /// Returns the number of time steps after which the node was reached: its next call is decided
    /// and signed then.
    pub(crate) fn since(&self, at: usize) -> u64 {
        self.nodes[at].before.as_ref().map_or(0, |(_, _, steps)| *steps)
    }

    /// Returns the node for a last answer that comes after `steps` time steps; `None` before the
    /// first answer.
    pub(crate) fn later(&mut self, at: usize, steps: u64, runtime: &Runtime) -> Option<usize> {
        let (before, answer, _) = self.nodes[at].before.clone()?;
        Some(self.on(before, answer, steps, runtime))
    }

    fn asked(&self, at: usize) -> u64 {
        match &self.nodes[at].next {
            Next::Asks(call) => call.print(),
            Next::Ends(_) => unreachable!("it has ended"),
        }
    }
}

/// The clock of an operation: it shows the time of the last answer.
#[derive(Debug)]
struct StepClock(AtomicU64);

impl Clock for StepClock {
    fn now(&self) -> SystemTime {
        after(self.running())
    }

    fn running(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst) * super::world::STEP)
    }
}

/// A call that was made, by its hash, its answer, and the time steps that had passed.
struct Answered {
    call: u64,
    answer: Answer,
    steps: u64,
}

/// Calls that have no answer yet, in the order in which they were made.
#[derive(Default)]
struct Desk(Mutex<VecDeque<(Call, oneshot::Sender<Answer>)>>);

impl Desk {
    async fn ask(&self, call: Call) -> Answer {
        let (answer, received) = oneshot::channel();
        self.0.lock().unwrap().push_back((call, answer));
        received.await.unwrap()
    }

    /// Returns the first call whose caller still waits.
    fn first(&self) -> Option<(Call, oneshot::Sender<Answer>)> {
        let mut calls = self.0.lock().unwrap();
        calls.retain(|(_, answer)| !answer.is_closed());
        calls.pop_front()
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs an operation over these answers, each given to its own call. Returns the step after them.
fn run(op: &Op, kind: Kind, script: &[Answered], runtime: &Runtime) -> Next {
    let _inside = runtime.enter();
    let desk = Arc::new(Desk::default());
    let clock = Arc::new(StepClock(AtomicU64::new(0)));
    let service = service(Arc::new(Asked { desk: desk.clone(), kind })).with_clock(clock.clone());
    let mut operation = pin!(perform(&service, op));
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut script = script.iter();
    loop {
        // Polls until the operation waits for answers only. Blocking work has one thread, so once a
        // task queued now is done, all earlier ones are.
        loop {
            if woken.0.swap(false, Ordering::SeqCst) {
                match operation.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(Ok(read)) => return ended(script.next(), End::Done(read)),
                    Poll::Ready(Err(error)) => {
                        return ended(script.next(), End::Failed(chain(&error)));
                    }
                    Poll::Pending => continue,
                }
            }
            let (done, is_done) = std::sync::mpsc::channel();
            runtime.spawn_blocking(move || done.send(()));
            // An earlier task may wait for something that only a poll provides.
            while is_done.recv_timeout(Duration::from_micros(50)).is_err() {
                if woken.0.load(Ordering::SeqCst) {
                    break;
                }
            }
            if !woken.0.load(Ordering::SeqCst) {
                break;
            }
        }
        let (call, answer) = desk.first().unwrap_or_else(|| panic!("{op:?} waits for nothing"));
        match script.next() {
            None => return Next::Asks(call),
            Some(answered) => {
                assert_eq!(
                    call.print(),
                    answered.call,
                    "{op:?} does not do the same again: {call:?}"
                );
                clock.0.store(answered.steps, Ordering::SeqCst);
                let _ = answer.send(answered.answer.clone());
            }
        }
    }
}

fn ended(left: Option<&Answered>, end: End) -> Next {
    assert!(left.is_none(), "{end:?} before its last answer");
    Next::Ends(end)
}

/// The store that an operation sees: each call waits for its answer.
struct Asked {
    desk: Arc<Desk>,
    kind: Kind,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked")
    }
}

macro_rules! answer {
    ($self:ident, $call:expr, $kind:path) => {
        match $self.desk.ask($call).await {
            $kind(answer) => answer,
            other => unreachable!("{other:?} is no answer to this"),
        }
    };
}

impl Asked {
    /// Returns an error unless a condition holds now.
    async fn check(
        &self,
        object: &ObjectName,
        condition: PutCondition,
    ) -> Result<(), StorageError> {
        let kind = match condition {
            PutCondition::None => return Ok(()),
            PutCondition::IfAbsent
                if !answer!(self, Call::IsThere(object.clone()), Answer::IsThere) =>
            {
                return Ok(());
            }
            PutCondition::IfAbsent => StorageErrorKind::AlreadyExists,
            PutCondition::IfMatch(tag) => {
                match answer!(self, Call::Head(object.clone()), Answer::Head) {
                    Ok(head) if head.etag == tag => return Ok(()),
                    _ => StorageErrorKind::Precondition,
                }
            }
        };
        Err(StorageError::new(kind, "PutObject", object))
    }
}

fn failed(
    operation: &'static str,
    object: &ObjectName,
) -> impl Fn(StorageErrorKind) -> StorageError {
    move |kind| StorageError::new(kind, operation, object)
}

#[async_trait::async_trait]
impl ObjectStore for Asked {
    async fn list(
        &self,
        bucket: &BucketName,
        request: &ListRequest,
    ) -> Result<ListPage, StorageError> {
        let page = answer!(self, Call::List(request.clone()), Answer::Page);
        page.map_err(|kind| StorageError::new(kind, "ListObjectsV2", bucket))
    }

    async fn head(&self, object: &ObjectName) -> Result<ObjectHead, StorageError> {
        answer!(self, Call::Head(object.clone()), Answer::Head)
            .map_err(failed("HeadObject", object))
    }

    async fn get(
        &self,
        object: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StorageError> {
        let body = answer!(self, Call::Get(object.clone(), range), Answer::Body);
        let (head, bytes) = body.map_err(failed("GetObject", object))?;
        Ok(ObjectBody { head, stream: futures::stream::iter([Ok(bytes)]).boxed() })
    }

    async fn put(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        options: &PutOptions,
    ) -> Result<ETag, StorageError> {
        let pieces: Vec<Bytes> = body.open().try_collect().await.unwrap();
        let mut condition = options.condition.clone();
        if self.kind == Kind::Loose {
            // Checked first, written then: concurrent writers can come in between.
            self.check(object, std::mem::take(&mut condition)).await?;
        }
        let call = Call::Put(
            object.clone(),
            pieces.concat().into(),
            Arc::new(attributes.clone()),
            condition,
        );
        answer!(self, call, Answer::Stored).map_err(failed("PutObject", object))
    }

    async fn copy(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        options: &CopyOptions,
    ) -> Result<ETag, StorageError> {
        let attributes = options.attributes.clone().map(Arc::new);
        let call = Call::Copy(from.clone(), to.clone(), attributes, options.if_match.clone());
        answer!(self, call, Answer::Stored).map_err(failed("CopyObject", from))
    }

    async fn tags(&self, object: &ObjectName) -> Result<BTreeMap<String, String>, StorageError> {
        answer!(self, Call::Tags(object.clone()), Answer::Tags)
            .map_err(failed("GetObjectTagging", object))
    }

    async fn delete(
        &self,
        object: &ObjectName,
        if_match: Option<&ETag>,
    ) -> Result<(), StorageError> {
        // A store whose conditions do not hold in races may ignore this one.
        let if_match = if_match.filter(|_| self.kind != Kind::Loose).cloned();
        answer!(self, Call::Delete(object.clone(), if_match), Answer::Deleted)
            .map_err(failed("DeleteObject", object))
    }

    fn conditions_are_atomic(&self) -> bool {
        matches!(self.kind, Kind::Atomic | Kind::ContentTags)
    }

    fn tags_name_writes(&self) -> bool {
        self.kind == Kind::Atomic
    }
}

#[async_trait::async_trait]
impl BucketAdmin for Asked {
    async fn create_bucket(&self, _: &BucketName) -> Result<(), StorageError> {
        unreachable!("the bucket is there")
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        let deleted = answer!(self, Call::DeleteBucket, Answer::Deleted);
        deleted.map_err(|kind| StorageError::new(kind, "DeleteBucket", bucket))
    }

    async fn delete_bucket_holding(
        &self,
        bucket: &BucketName,
        expected: &[(Key, ETag)],
    ) -> Result<(), StorageError> {
        let failed = |kind| StorageError::new(kind, "DeleteBucket", bucket);
        if self.kind != Kind::Atomic {
            return Err(failed(StorageErrorKind::Invalid));
        }
        let expected = expected.iter().map(|(key, tag)| (key.to_string(), tag.0.clone())).collect();
        answer!(self, Call::DeleteBucketHolding(expected), Answer::Deleted).map_err(failed)
    }

    async fn list_buckets(&self) -> Result<Vec<ListedBucket>, StorageError> {
        unreachable!("no operation under exploration lists buckets")
    }
}

impl Presign for Asked {}

/// Returns the store's time, `time` after the operations began.
pub(crate) fn after(time: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(super::world::BEGIN) + time
}
