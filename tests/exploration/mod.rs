//! Every order in which the storage calls of several operations can follow each other, with crashes between them.
//!
//! The operations are the real ones, over the model store. Each is held at every storage call until the search lets it go on, one
//! call at a time, so that a run is a sequence of choices. The search is depth first and runs every prefix again from the start.
//!
//! Reduction: what an operation does next is decided by the answers it has had. So two prefixes after which the store holds the same, and
//! each operation has had the same answers, have the same continuations, and only the first of them is followed. (Times are left
//! out of the comparison but for the order of the two objects of one name: nothing else is decided by them here.) Calls that an
//! operation makes side by side are let go in the order in which they were made.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use deltaglider::cache::ReferenceCache;
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::{DeltaService, GetOptions, Input, PutOptions, ServiceError, Settings, chain};
use deltaglider::storage::{
    Attributes, ETag, ListPage, ListRequest, ListedBucket, MemoryStore, ObjectBody, ObjectHead, ObjectStore, PutBody,
    PutCondition, StorageError, StorageErrorKind,
};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// What somebody does to one name.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Put(&'static str, Vec<u8>),
    PutDirect(&'static str, Vec<u8>),
    Delete(&'static str),
    Read(&'static str),
}

impl Op {
    fn name(&self) -> &'static str {
        match self {
            Self::Put(name, _) | Self::PutDirect(name, _) | Self::Delete(name) | Self::Read(name) => name,
        }
    }

    /// What the name holds after it.
    fn leaves(&self) -> Option<Option<&Vec<u8>>> {
        match self {
            Self::Put(_, content) | Self::PutDirect(_, content) => Some(Some(content)),
            Self::Delete(_) => Some(None),
            Self::Read(_) => None,
        }
    }
}

/// What is there before, who does what at the same time, and how often somebody may crash.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) before: Vec<Op>,
    pub(crate) ops: Vec<Op>,
    pub(crate) crashes: usize,
    /// Whether conditions of the store hold in races.
    pub(crate) atomic: bool,
}

/// What a search came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) executions: u64,
    pub(crate) states: usize,
    /// Executions that ran to their end, where the store was compared.
    pub(crate) ends: u64,
    pub(crate) violations: Vec<String>,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq)]
enum End {
    Running,
    Crashed,
    Failed(String),
    Done(Option<Option<Vec<u8>>>),
}

#[derive(Default)]
struct Actor {
    waiting: VecDeque<oneshot::Sender<()>>,
    /// A call was let go and is not over.
    calling: bool,
    ended: bool,
    /// Of all answers so far.
    history: u64,
}

#[derive(Default)]
struct Board {
    actors: Mutex<Vec<Actor>>,
    changed: Notify,
}

impl Board {
    /// Holds a call until it is let go; it is over when what is returned is dropped.
    async fn gate(&self, actor: usize) -> Calling<'_> {
        let (go, gone) = oneshot::channel();
        self.actors.lock().unwrap()[actor].waiting.push_back(go);
        self.changed.notify_one();
        if gone.await.is_err() {
            std::future::pending().await
        }
        Calling { board: self, actor }
    }

    fn learn(&self, actor: usize, answer: impl std::hash::Hash) {
        let mut actors = self.actors.lock().unwrap();
        let mut hasher = DefaultHasher::new();
        (actors[actor].history, answer).hash(&mut hasher);
        actors[actor].history = hasher.finish();
    }

    /// Until everybody is held or has ended.
    async fn quiet(&self) {
        loop {
            let changed = self.changed.notified();
            if self
                .actors
                .lock()
                .unwrap()
                .iter()
                .all(|actor| actor.ended || !actor.calling && !actor.waiting.is_empty())
            {
                return;
            }
            changed.await;
        }
    }
}

struct Calling<'a> {
    board: &'a Board,
    actor: usize,
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.board.actors.lock().unwrap()[self.actor].calling = false;
        self.board.changed.notify_one();
    }
}

/// The model store as one of several sees it.
struct Held {
    inner: Arc<MemoryStore>,
    board: Arc<Board>,
    actor: usize,
    atomic: bool,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

/// What decides something of a head: times only by the order of the two objects of a name.
async fn seen(store: &MemoryStore, object: &ObjectName, head: &ObjectHead) -> u64 {
    let mut hasher = DefaultHasher::new();
    (object.key.as_str(), &head.etag.0, head.size).hash(&mut hasher);
    for (name, value) in head.attributes.metadata.iter().filter(|(name, _)| !name.ends_with("created-at")) {
        (name, value).hash(&mut hasher);
    }
    let twin = match object.key.as_str().strip_suffix(".delta") {
        Some(name) => name.to_owned(),
        None => format!("{}.delta", object.key),
    };
    let twin = store.head(&ObjectName::new(object.bucket.clone(), Key::new(twin).unwrap())).await.ok();
    twin.map(|twin| twin.last_modified < head.last_modified).hash(&mut hasher);
    hasher.finish()
}

fn kind(error: &StorageError) -> StorageErrorKind {
    error.kind
}

#[async_trait::async_trait]
impl ObjectStore for Held {
    async fn create_bucket(&self, _: &BucketName) -> Result<(), StorageError> {
        unreachable!("the bucket is there")
    }

    async fn delete_bucket(&self, _: &BucketName) -> Result<(), StorageError> {
        unreachable!("the bucket stays")
    }

    async fn list_buckets(&self) -> Result<Vec<ListedBucket>, StorageError> {
        unreachable!("nobody asks for buckets")
    }

    async fn list(&self, bucket: &BucketName, request: &ListRequest) -> Result<ListPage, StorageError> {
        let _calling = self.board.gate(self.actor).await;
        let page = self.inner.list(bucket, request).await?;
        for object in &page.objects {
            self.board.learn(self.actor, (object.key.as_str(), &object.etag.0));
        }
        self.board.learn(self.actor, page.objects.len());
        Ok(page)
    }

    async fn head(&self, object: &ObjectName) -> Result<ObjectHead, StorageError> {
        let _calling = self.board.gate(self.actor).await;
        let head = self.inner.head(object).await;
        match &head {
            Ok(head) => self.board.learn(self.actor, seen(&self.inner, object, head).await),
            Err(error) => self.board.learn(self.actor, (object.key.as_str(), kind(error))),
        }
        head
    }

    async fn get(&self, object: &ObjectName, range: Option<Range<u64>>) -> Result<ObjectBody, StorageError> {
        let _calling = self.board.gate(self.actor).await;
        let body = self.inner.get(object, range).await;
        match &body {
            Ok(body) => self.board.learn(self.actor, seen(&self.inner, object, &body.head).await),
            Err(error) => self.board.learn(self.actor, (object.key.as_str(), kind(error))),
        }
        body
    }

    async fn put(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        condition: &PutCondition,
    ) -> Result<ETag, StorageError> {
        let mut calling = self.board.gate(self.actor).await;
        let put = if self.atomic || *condition == PutCondition::None {
            self.inner.put(object, body, attributes, condition).await
        } else {
            // Asked first, written then: others come in between.
            let there = self.inner.head(object).await.is_ok();
            self.board.learn(self.actor, (object.key.as_str(), there));
            drop(calling);
            calling = self.board.gate(self.actor).await;
            if there {
                Err(StorageError::new(StorageErrorKind::AlreadyExists, "PutObject", object))
            } else {
                self.inner.put(object, body, attributes, &PutCondition::None).await
            }
        };
        self.board.learn(self.actor, (object.key.as_str(), put.as_ref().map(|etag| etag.0.clone()).map_err(kind)));
        drop(calling);
        put
    }

    async fn copy(&self, from: &ObjectName, to: &ObjectName, if_match: Option<&ETag>) -> Result<ETag, StorageError> {
        let _calling = self.board.gate(self.actor).await;
        let copied = self.inner.copy(from, to, if_match).await;
        self.board.learn(self.actor, (to.key.as_str(), copied.as_ref().map(|etag| etag.0.clone()).map_err(kind)));
        copied
    }

    async fn delete(&self, object: &ObjectName, if_match: Option<&ETag>) -> Result<(), StorageError> {
        let _calling = self.board.gate(self.actor).await;
        // A store whose conditions do not hold in races may ignore this one altogether.
        let deleted = self.inner.delete(object, if_match.filter(|_| self.atomic)).await;
        self.board.learn(self.actor, (object.key.as_str(), deleted.as_ref().map_err(kind).err()));
        deleted
    }

    fn conditions_are_atomic(&self) -> bool {
        self.atomic
    }
}

fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

fn object(name: &str) -> ObjectName {
    ObjectName::new(bucket(), Key::new(name).unwrap())
}

fn service(store: Arc<dyn ObjectStore>, cache: Arc<dyn ReferenceCache>) -> DeltaService {
    let settings = Settings { policy: Default::default(), spool_folder: std::env::temp_dir() };
    DeltaService::new(store, cache, settings)
}

async fn perform(service: &DeltaService, op: &Op) -> Result<Option<Option<Vec<u8>>>, ServiceError> {
    let object = object(op.name());
    match op {
        Op::Put(_, content) | Op::PutDirect(_, content) => {
            let options = PutOptions { delta: matches!(op, Op::Put(..)) };
            let file = Input::spool(std::io::Cursor::new(content.clone()), "file", &std::env::temp_dir()).await?;
            service.put(&file, &object, &options).await.map(|_| None)
        }
        Op::Delete(_) => match service.delete(&object).await {
            Err(error) if error.is_absent() => Ok(None),
            deleted => deleted.map(|_| None),
        },
        Op::Read(_) => match service.get(&object, Vec::new(), &GetOptions::default()).await {
            Err(error) if error.is_absent() => Ok(Some(None)),
            read => read.map(|(content, _)| Some(Some(content))),
        },
    }
}

/// One choice: somebody's next call is made, or he crashes before it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Choice {
    Step(usize),
    Crash(usize),
}

struct Node {
    choices: Vec<Choice>,
    next: usize,
}

/// Searches all orders, but stops after `most` executions.
pub(crate) fn search(scenario: &Scenario, cache: impl Fn() -> Arc<dyn ReferenceCache>, most: u64) -> Found {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut found = Found::default();
    let mut visited = HashSet::new();
    let mut stack: Vec<Node> = Vec::new();
    loop {
        found.executions += 1;
        runtime.block_on(execute(scenario, &cache, &mut stack, &mut visited, &mut found));
        found.states = visited.len();
        while stack.last().is_some_and(|node| node.next + 1 >= node.choices.len()) {
            stack.pop();
        }
        let Some(node) = stack.last_mut() else { return found };
        node.next += 1;
        if found.executions >= most || found.violations.len() >= 5 {
            return found;
        }
    }
}

async fn execute(
    scenario: &Scenario,
    cache: &impl Fn() -> Arc<dyn ReferenceCache>,
    stack: &mut Vec<Node>,
    visited: &mut HashSet<u64>,
    found: &mut Found,
) {
    let seconds = Arc::new(AtomicU64::new(0));
    let hand = seconds.clone();
    let clock = move || SystemTime::UNIX_EPOCH + Duration::from_secs(hand.fetch_add(1, Ordering::Relaxed));
    let store = Arc::new(MemoryStore::with_clock(clock));
    store.create_bucket(&bucket()).await.unwrap();
    for op in &scenario.before {
        perform(&service(store.clone(), cache()), op).await.unwrap();
    }
    // What was there before is not of a put that is still under way.
    seconds.fetch_add(86_400, Ordering::Relaxed);
    let board = Arc::new(Board::default());
    board.actors.lock().unwrap().resize_with(scenario.ops.len(), Actor::default);
    let ends = Arc::new(Mutex::new(vec![End::Running; scenario.ops.len()]));
    let tasks: Vec<JoinHandle<()>> = (0..scenario.ops.len())
        .map(|actor| {
            let held = Held { inner: store.clone(), board: board.clone(), actor, atomic: scenario.atomic };
            let (service, op) = (service(Arc::new(held), cache()), scenario.ops[actor].clone());
            let (board, ends) = (board.clone(), ends.clone());
            tokio::spawn(async move {
                let end = match perform(&service, &op).await {
                    Ok(read) => End::Done(read),
                    Err(error) => End::Failed(chain(&error)),
                };
                ends.lock().unwrap()[actor] = end;
                board.actors.lock().unwrap()[actor].ended = true;
                board.changed.notify_one();
            })
        })
        .collect();
    let mut crashes = 0;
    let mut path = Vec::new();
    for depth in 0.. {
        board.quiet().await;
        if depth == stack.len() {
            if !visited.insert(state(&store, &board, &ends, crashes).await) {
                break;
            }
            let live: Vec<usize> = {
                let actors = board.actors.lock().unwrap();
                (0..actors.len()).filter(|&actor| !actors[actor].ended).collect()
            };
            if live.is_empty() {
                found.ends += 1;
                let ends = ends.lock().unwrap().clone();
                if let Some(violation) = violation(scenario, &service(store.clone(), cache()), &ends).await {
                    found.violations.push(format!("{violation}\n  after {path:?}\n  ends {ends:?}"));
                }
                break;
            }
            let mut choices: Vec<Choice> = live.iter().copied().map(Choice::Step).collect();
            if crashes < scenario.crashes {
                let writers = live.iter().copied().filter(|&actor| !matches!(scenario.ops[actor], Op::Read(_)));
                choices.extend(writers.map(Choice::Crash));
            }
            stack.push(Node { choices, next: 0 });
        }
        let choice = stack[depth].choices[stack[depth].next];
        path.push(choice);
        match choice {
            Choice::Step(actor) => {
                let mut actors = board.actors.lock().unwrap();
                if let Some(go) = actors[actor].waiting.pop_front() {
                    actors[actor].calling = go.send(()).is_ok();
                }
            }
            Choice::Crash(actor) => {
                crashes += 1;
                tasks[actor].abort();
                ends.lock().unwrap()[actor] = End::Crashed;
                board.actors.lock().unwrap()[actor].ended = true;
            }
        }
    }
    tasks.iter().for_each(JoinHandle::abort);
}

async fn state(store: &MemoryStore, board: &Board, ends: &Mutex<Vec<End>>, crashes: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    let page = store.list(&bucket(), &ListRequest::default()).await.unwrap();
    for listed in page.objects {
        let name = ObjectName::new(bucket(), listed.key);
        let head = store.head(&name).await.unwrap();
        seen(store, &name, &head).await.hash(&mut hasher);
    }
    for (actor, end) in board.actors.lock().unwrap().iter().zip(&*ends.lock().unwrap()) {
        (actor.history, actor.ended, *end == End::Crashed).hash(&mut hasher);
    }
    crashes.hash(&mut hasher);
    hasher.finish()
}

/// What is wrong in the end: what was reported stored must be readable, and what was readable must stay so.
///
/// All operations were under way at once, so each that had an effect may have been the last of its name. What was there
/// before may only be there still if nobody reported to have changed it.
async fn violation(scenario: &Scenario, reader: &DeltaService, ends: &[End]) -> Option<String> {
    let mut before: BTreeMap<&str, Option<&Vec<u8>>> = BTreeMap::new();
    for op in &scenario.before {
        before.insert(op.name(), op.leaves()?);
    }
    for op in &scenario.ops {
        before.entry(op.name()).or_insert(None);
    }
    for (op, end) in scenario.ops.iter().zip(ends) {
        if let End::Failed(error) = end {
            return Some(format!("what was done to {} failed: {error}", op.name()));
        }
    }
    for (name, initial) in before {
        let ops = || scenario.ops.iter().zip(ends).filter(|(op, _)| op.name() == name);
        let possible: Vec<Option<&Vec<u8>>> = ops().filter_map(|(op, _)| op.leaves()).collect();
        let changed = ops().any(|(op, end)| op.leaves().is_some() && matches!(end, End::Done(_)));
        let last = perform(reader, &Op::Read(name_of(scenario, name))).await;
        let last = match &last {
            Ok(Some(content)) => content.as_ref(),
            Ok(None) => None,
            Err(error) => return Some(format!("{name} cannot be read: {}", chain(error))),
        };
        if !possible.contains(&last) && (changed || last != initial) {
            return Some(format!("{name} holds something else in the end"));
        }
        for (_, end) in ops() {
            if let End::Done(Some(read)) = end
                && !possible.contains(&read.as_ref())
                && read.as_ref() != initial
            {
                return Some(format!("{name} was read as something else on the way"));
            }
        }
    }
    None
}

fn name_of(scenario: &Scenario, name: &str) -> &'static str {
    scenario.before.iter().chain(&scenario.ops).map(Op::name).find(|other| *other == name).unwrap()
}
