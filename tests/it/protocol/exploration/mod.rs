//! Every order in which the storage calls of several operations can follow each other, with crashes between them.
//!
//! The operations are the real ones, over the model store. What each asks next is learned by running it (`actor`); the orders of the calls
//! are searched over what was learned and the store (`world`), one call at a time. Calls that an operation makes side by side are made
//! in the order in which it asked for them.
//!
//! Reduction: the search is depth first, and a state is followed once. A state is what the store holds with the ages of the
//! objects of each name, what each operation has been answered (of one that has ended, how), and how many have crashed. What comes after
//! depends on nothing else, so nothing is left out.

mod actor;
mod world;

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash as _, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use actor::{Actor, Next};
use deltaglider::cache::WorkingCopies;
use deltaglider::domain::{BucketName, Key, ObjectName, Sha256Digest};
use deltaglider::service::{
    DeltaService, GetOptions, Input, Outcome, PutOptions, RepairOptions, ServiceError, Settings,
};
use deltaglider::storage::{MemoryStore, ObjectStore};
use tokio::runtime::Runtime;
use world::{Answer, Call, World};

const DAY: Duration = Duration::from_secs(86_400);

/// What somebody does.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Put(&'static str, Vec<u8>),
    PutDirect(&'static str, Vec<u8>),
    Delete(&'static str),
    Read(&'static str),
    /// `repair --mend` so many days after everything else.
    Repair(u32),
}

impl Op {
    fn name(&self) -> Option<&'static str> {
        match self {
            Self::Put(name, _) | Self::PutDirect(name, _) | Self::Delete(name) | Self::Read(name) => Some(name),
            Self::Repair(_) => None,
        }
    }

    /// What its name holds after it.
    fn leaves(&self) -> Option<Option<&Vec<u8>>> {
        match self {
            Self::Put(_, content) | Self::PutDirect(_, content) => Some(Some(content)),
            Self::Delete(_) => Some(None),
            Self::Read(_) | Self::Repair(_) => None,
        }
    }
}

/// What must hold in the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Judgement {
    /// What was reported stored is readable, and what was readable is.
    Readable,
    /// Of a name whose overwrite was not reported, the old content need only be there still.
    Kept,
}

/// What is there before, who does what at the same time, and who may crash how often.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) before: Vec<Op>,
    pub(crate) ops: Vec<Op>,
    /// What is done afterwards, one after the other.
    pub(crate) later: Vec<Op>,
    pub(crate) crashes: usize,
    /// Those of the operations that may crash.
    pub(crate) mortal: Vec<usize>,
    /// Whether conditions of the store hold in races.
    pub(crate) atomic: bool,
    pub(crate) judgement: Judgement,
}

/// What a search came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Paths, each to an end or to a state that was followed before.
    pub(crate) executions: u64,
    pub(crate) states: usize,
    /// Calls that were made, and crashes.
    pub(crate) transitions: u64,
    /// States in which everybody had ended.
    pub(crate) ends: u64,
    /// Runs of the real code, one for each sequence of answers.
    pub(crate) runs: usize,
    pub(crate) violations: Vec<String>,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Crashed,
    Failed(String),
    Done(Option<Option<Vec<u8>>>),
}

pub(crate) fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

fn object(name: &str) -> ObjectName {
    ObjectName::new(bucket(), Key::new(name).unwrap())
}

fn service(store: Arc<dyn ObjectStore>) -> DeltaService {
    let spool_folder = std::env::temp_dir();
    let cache = Arc::new(WorkingCopies::new(spool_folder.clone()));
    DeltaService::new(store, cache, Settings { policy: Default::default(), spool_folder })
}

async fn perform(service: &DeltaService, op: &Op) -> Result<Option<Option<Vec<u8>>>, ServiceError> {
    match op {
        Op::Put(name, content) | Op::PutDirect(name, content) => {
            let options = PutOptions { delta: matches!(op, Op::Put(..)), ..PutOptions::default() };
            let file = Input::spool(std::io::Cursor::new(content.clone()), "file", &std::env::temp_dir()).await?;
            service.put(&file, &object(name), &options).await.map(|_| None)
        }
        Op::Delete(name) => match service.delete(&object(name)).await {
            Err(error) if error.is_absent() => Ok(None),
            deleted => deleted.map(|_| None),
        },
        Op::Read(name) => match service.get(&object(name), Vec::new(), &GetOptions::default()).await {
            Err(error) if error.is_absent() => Ok(Some(None)),
            read => read.map(|(content, _)| Some(Some(content))),
        },
        Op::Repair(days) => {
            let options = RepairOptions { mend: true, grace: RepairOptions::GRACE, now: actor::after(DAY * *days) };
            let report = service.repair(&bucket(), &options).await?;
            let left = report.findings.into_iter().filter_map(|finding| match finding.outcome {
                Outcome::Left(error) => Some(error),
                _ => None,
            });
            left.chain(report.unseen).next().map_or(Ok(None), Err)
        }
    }
}

/// One choice: somebody's next call is made, or he crashes before it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Choice {
    Step(usize),
    Crash(usize),
}

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    At(usize),
    Crashed,
}

#[derive(Clone)]
struct State {
    world: Rc<World>,
    print: u64,
    places: Vec<Place>,
    crashes: usize,
}

/// Hashes are hashed enough.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are kept")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

struct Search<'a> {
    scenario: &'a Scenario,
    runtime: Runtime,
    actors: Vec<Actor>,
    /// Of what comes afterwards.
    later: Vec<Actor>,
    /// Of each name.
    readers: BTreeMap<&'static str, Actor>,
    initial: BTreeMap<&'static str, Option<Vec<u8>>>,
    visited: HashSet<u64, BuildHasherDefault<AsItIs>>,
    path: Vec<Choice>,
    found: Found,
}

/// Searches all orders, but stops after `most` executions or five violations.
pub(crate) fn search(scenario: &Scenario, most: u64) -> Found {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let store = runtime.block_on(staged(scenario));
    let actor = |op: &Op| Actor::new(op.clone(), scenario.atomic, &runtime);
    let mut initial = BTreeMap::new();
    for op in &scenario.ops {
        initial.extend(op.name().map(|name| (name, None)));
    }
    for op in &scenario.before {
        initial.extend(op.name().zip(op.leaves()).map(|(name, content)| (name, content.cloned())));
    }
    let readers = initial.keys().map(|&name| (name, actor(&Op::Read(name)))).collect();
    let world = World::of(store);
    let places = vec![Place::At(0); scenario.ops.len()];
    let state = State { print: world.print(), world: Rc::new(world), places, crashes: 0 };
    let mut search = Search {
        scenario,
        actors: scenario.ops.iter().map(actor).collect(),
        later: scenario.later.iter().map(actor).collect(),
        readers,
        initial,
        visited: HashSet::default(),
        path: Vec::new(),
        found: Found::default(),
        runtime,
    };
    search.follow(&state, most);
    let Search { actors, later, readers, visited, mut found, .. } = search;
    found.states = visited.len();
    found.runs = actors.iter().chain(&later).chain(readers.values()).map(Actor::runs).sum();
    found
}

async fn staged(scenario: &Scenario) -> MemoryStore {
    let seconds = Arc::new(AtomicU64::new(0));
    let clock = move || SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.fetch_add(1, Ordering::Relaxed));
    // Classic references are there also where we make none: of the Python tool.
    let store = Arc::new(MemoryStore::with_clock(clock).with_content_tags());
    store.create_bucket(&bucket()).await.unwrap();
    for op in &scenario.before {
        perform(&service(store.clone()), op).await.unwrap();
    }
    MemoryStore::clone(&store)
}

impl Search<'_> {
    fn end(&self, actor: usize, place: Place) -> Option<&End> {
        match place {
            Place::Crashed => Some(&End::Crashed),
            Place::At(at) => match self.actors[actor].next(at) {
                Next::Ends(end) => Some(end),
                Next::Asks(_) => None,
            },
        }
    }

    fn print(&self, state: &State) -> u64 {
        let mut hasher = DefaultHasher::new();
        (state.print, state.crashes).hash(&mut hasher);
        for (actor, &place) in state.places.iter().enumerate() {
            match (self.end(actor, place), place) {
                (Some(end), _) => (0, end).hash(&mut hasher),
                (None, Place::At(at)) => (1, at).hash(&mut hasher),
                (None, Place::Crashed) => unreachable!("that is an end"),
            }
        }
        hasher.finish()
    }

    fn follow(&mut self, state: &State, most: u64) {
        if !self.visited.insert(self.print(state)) {
            self.found.executions += 1;
            return;
        }
        let live: Vec<usize> =
            (0..state.places.len()).filter(|&actor| self.end(actor, state.places[actor]).is_none()).collect();
        if live.is_empty() {
            self.found.executions += 1;
            self.found.ends += 1;
            if let Some(violation) = self.violation(state) {
                let ends: Vec<_> = (0..state.places.len()).map(|at| self.end(at, state.places[at])).collect();
                let told = format!("{violation}\n  after {:?}\n  ends {ends:?}", self.path);
                self.found.violations.push(told);
            }
            return;
        }
        let mut choices: Vec<Choice> = live.iter().copied().map(Choice::Step).collect();
        if state.crashes < self.scenario.crashes {
            choices
                .extend(live.iter().filter(|&actor| self.scenario.mortal.contains(actor)).copied().map(Choice::Crash));
        }
        for choice in choices {
            if self.found.executions >= most || self.found.violations.len() >= 5 {
                return;
            }
            self.found.transitions += 1;
            self.path.push(choice);
            let mut next = state.clone();
            match choice {
                Choice::Step(actor) => self.step(&mut next, actor),
                Choice::Crash(actor) => {
                    next.crashes += 1;
                    next.places[actor] = Place::Crashed;
                }
            }
            self.follow(&next, most);
            self.path.pop();
        }
    }

    fn step(&mut self, state: &mut State, actor: usize) {
        let Place::At(at) = state.places[actor] else { unreachable!("who has crashed does nothing") };
        let Next::Asks(call) = self.actors[actor].next(at) else { unreachable!("who has ended does nothing") };
        let answer = make(&mut state.world, call);
        state.print = if call.only_reads() { state.print } else { state.world.print() };
        state.places[actor] = Place::At(self.actors[actor].on(at, answer, &self.runtime));
    }

    /// What is wrong in the end: what was reported stored must be readable, and what was readable must stay so.
    ///
    /// All operations were under way at once, so each that had an effect may have been the last of its name. What was there
    /// before may only be there still if nobody reported to have changed it.
    fn violation(&mut self, state: &State) -> Option<String> {
        let ends: Vec<End> = (0..state.places.len()).filter_map(|at| self.end(at, state.places[at]).cloned()).collect();
        for (op, end) in self.scenario.ops.iter().zip(&ends) {
            if let End::Failed(error) = end {
                return Some(format!("{} failed: {error}", op.name().unwrap_or("repair")));
            }
        }
        let mut world = state.world.clone();
        for at in 0..=self.later.len() {
            if let Some(wrong) = self.wrong_in(&world, &ends) {
                return Some(if at == 0 { wrong } else { format!("{wrong}, after {:?}", self.scenario.later[at - 1]) });
            }
            if let Some(actor) = self.later.get_mut(at)
                && let End::Failed(error) = alone(actor, &mut world, &self.runtime)
            {
                return Some(format!("later: {error}"));
            }
        }
        None
    }

    fn wrong_in(&mut self, world: &Rc<World>, ends: &[End]) -> Option<String> {
        for (name, initial) in &self.initial {
            let ops = || self.scenario.ops.iter().zip(ends).filter(|(op, _)| op.name() == Some(name));
            let possible: Vec<Option<&Vec<u8>>> = ops().filter_map(|(op, _)| op.leaves()).collect();
            let changed = ops().any(|(op, end)| op.leaves().is_some() && matches!(end, End::Done(_)));
            let is_right = |read: &Option<Vec<u8>>| {
                possible.contains(&read.as_ref()) || !changed && read.as_ref() == initial.as_ref()
            };
            let reader = self.readers.get_mut(name)?;
            match alone(reader, &mut world.clone(), &self.runtime) {
                End::Done(Some(read)) if is_right(&read) => {}
                End::Failed(_)
                    if self.scenario.judgement == Judgement::Kept && !changed && {
                        let kept = world.ask(&Call::Head(object(name)));
                        let digest = initial.as_ref().map(|content| Sha256Digest::of(content).to_string());
                        matches!(kept, Answer::Head(Ok(head)) if Some(&head.etag.0) == digest.as_ref())
                    } => {}
                End::Failed(error) => return Some(format!("{name} cannot be read: {error}")),
                _ => return Some(format!("{name} holds something else in the end")),
            }
            for (_, end) in ops() {
                if let End::Done(Some(read)) = end
                    && !possible.contains(&read.as_ref())
                    && read.as_ref() != initial.as_ref()
                {
                    return Some(format!("{name} was read as something else on the way"));
                }
            }
        }
        None
    }
}

fn make(world: &mut Rc<World>, call: &Call) -> Answer {
    if call.only_reads() { world.ask(call) } else { Rc::make_mut(world).make(call) }
}

/// Lets somebody do all he does while nobody else does anything.
fn alone(actor: &mut Actor, world: &mut Rc<World>, runtime: &Runtime) -> End {
    let mut at = 0;
    loop {
        let answer = match actor.next(at) {
            Next::Ends(end) => return end.clone(),
            Next::Asks(call) => make(world, call),
        };
        at = actor.on(at, answer, runtime);
    }
}
