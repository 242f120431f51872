//! What an operation does next, learned by running it: the real code, alone, over answers it was
//! given before.
//!
//! An operation is a function of the answers it gets. So it is run once for each sequence of
//! answers that occurs, however many orders of calls lead to it, and what it asks next is kept.
//! When it is run again with longer answers it must ask the same as before; that is asserted.

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

/// What an operation does after some answers.
#[derive(Debug, Clone)]
pub(crate) enum Next {
    Asks(Call),
    Ends(End),
}

struct Node {
    next: Next,
    /// The node before, the answer that led here, and the steps of time that had passed when it
    /// came.
    before: Option<(usize, Answer, u64)>,
    after: HashMap<u64, usize>,
}

/// Everything learned of one operation.
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

    /// Sequences of answers for which the operation was run.
    pub(crate) fn runs(&self) -> usize {
        self.nodes.len()
    }

    /// Where an answer leads that comes after so many steps of time.
    pub(crate) fn on(&mut self, at: usize, answer: Answer, steps: u64, runtime: &Runtime) -> usize {
        let print = answer.print().rotate_left(8) ^ steps;
        if let Some(&known) = self.nodes[at].after.get(&print) {
            return known;
        }
        let mut script = vec![Told { call: self.asked(at), answer: answer.clone(), steps }];
        let mut node = at;
        while let Some((before, answer, steps)) = &self.nodes[node].before {
            script.push(Told { call: self.asked(*before), answer: answer.clone(), steps: *steps });
            node = *before;
        }
        script.reverse();
        let next = run(&self.op, self.kind, &script, runtime);
        let new = self.nodes.len();
        self.nodes.push(Node { next, before: Some((at, answer, steps)), after: HashMap::new() });
        self.nodes[at].after.insert(print, new);
        new
    }

    /// After how many steps of time it came here: its next call is decided, and signed, then.
    pub(crate) fn since(&self, at: usize) -> u64 {
        self.nodes[at].before.as_ref().map_or(0, |(_, _, steps)| *steps)
    }

    /// Where it is if its last answer came after so many steps of time; `None` before the first
    /// one.
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

/// The clock of an operation: it has the time of the last answer.
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

/// A call that was made, by its print, what it was answered, and after how many steps of time.
struct Told {
    call: u64,
    answer: Answer,
    steps: u64,
}

/// Calls that were made and have no answer yet, in the order in which they were made.
#[derive(Default)]
struct Desk(Mutex<VecDeque<(Call, oneshot::Sender<Answer>)>>);

impl Desk {
    async fn ask(&self, call: Call) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.0.lock().unwrap().push_back((call, answer));
        answered.await.unwrap()
    }

    /// The first that somebody still waits for.
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

/// Runs an operation with these answers, each to the call it was given to, and says what comes
/// after them.
fn run(op: &Op, kind: Kind, script: &[Told], runtime: &Runtime) -> Next {
    let _inside = runtime.enter();
    let desk = Arc::new(Desk::default());
    let clock = Arc::new(StepClock(AtomicU64::new(0)));
    let service = service(Arc::new(Asked { desk: desk.clone(), kind })).with_clock(clock.clone());
    let mut operation = pin!(perform(&service, op));
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut script = script.iter();
    loop {
        // Until it waits for nothing but answers. Blocking work has one thread, so that when a task
        // given to that now is done, all before it are.
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
            // A task before it may wait for what only a poll can give.
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
            Some(told) => {
                assert_eq!(call.print(), told.call, "{op:?} does not do the same again: {call:?}");
                clock.0.store(told.steps, Ordering::SeqCst);
                let _ = answer.send(told.answer.clone());
            }
        }
    }
}

fn ended(left: Option<&Told>, end: End) -> Next {
    assert!(left.is_none(), "{end:?} before its last answer");
    Next::Ends(end)
}

/// The store as an operation sees it.
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
    /// Whether a condition holds now.
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
            // Asked first, written then: others come in between.
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
        // A store whose conditions do not hold in races may ignore this one altogether.
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

/// By the clock of the store, so long after operations have begun.
pub(crate) fn after(time: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(super::world::BEGIN) + time
}
