//! Every order of the storage calls of several operations, with crashes between them.
//!
//! The operations are the real ones, over the model store. Running an operation yields its next
//! call (`actor`). The orders of the calls are searched over the recorded runs and the store
//! (`world`), one call at a time. Concurrent calls of one operation are made in the order in which
//! it requested them.
//!
//! Time passes in steps of half an hour (`world::STEP`), the time for which a signed request is
//! valid. A request takes effect in the step in which it was decided or in the next one. An answer
//! can come any number of steps after its call took effect: the operation was suspended.
//!
//! Reduction: the search is depth first and follows each state once. A state consists of the stored
//! objects with the ages of the objects of each name, the answers of each operation and when they
//! came (of an ended one, its end), the number of crashes, and the time that has passed. The future
//! depends on nothing else, so nothing is left out.

mod actor;
mod judge;
mod op;
mod world;

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash as _, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use actor::{Actor, Next};
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{BucketAdmin as _, MemoryStore};
use tokio::runtime::Runtime;
use world::{Answer, Call, World};

pub(crate) use op::{Did, Op};
use op::{perform, service};

/// The semantics of a store's conditions and entity tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Conditions are atomic and tags name writes, as in the embedded store.
    Atomic,
    /// Conditions are atomic and tags name contents, as in AWS.
    ContentTags,
    /// As `ContentTags`, but the client does not know that conditions are atomic.
    Unknown,
    /// Conditions of puts are checked before the write, those of deletes are ignored; tags name
    /// contents.
    Loose,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Atomic, Kind::ContentTags, Kind::Unknown, Kind::Loose];

/// The property that must hold in the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Judgement {
    /// Reported contents are readable, and readable names stay readable.
    Readable,
    /// As `Readable`, but the old content of a name whose overwrite was not reported need only
    /// exist.
    Kept,
}

/// An initial state, the concurrent operations, and the number of crashes.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) before: Vec<Op>,
    /// An operation after `before` that keeps the older object of its name, and whether that object
    /// is then a day older.
    pub(crate) twin: Option<(Op, bool)>,
    pub(crate) ops: Vec<Op>,
    /// Operations that run afterwards, one after the other.
    pub(crate) later: Vec<Op>,
    pub(crate) crashes: usize,
    /// Indices of the operations that may crash.
    pub(crate) mortal: Vec<usize>,
    /// The number of time steps that may pass.
    pub(crate) steps: u64,
    pub(crate) kind: Kind,
    pub(crate) judgement: Judgement,
}

/// The result of a search.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The number of paths, each to an end or to a state that was followed before.
    pub(crate) executions: u64,
    pub(crate) states: usize,
    /// The number of calls and crashes.
    pub(crate) transitions: u64,
    /// The number of states in which every operation had ended.
    pub(crate) ends: u64,
    /// The number of runs of the real code, one for each sequence of answers.
    pub(crate) runs: usize,
    /// For each operation, true if it did all that was requested in some end.
    pub(crate) did: Vec<bool>,
    pub(crate) violations: Vec<String>,
}

/// The end of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Crashed,
    Failed(String),
    Done(Did),
}

pub(crate) fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

fn object(name: &str) -> ObjectName {
    ObjectName::new(bucket(), Key::new(name).unwrap())
}

/// One choice: an operation makes its next call or crashes before it, a time step passes, or the
/// last answer of an operation comes only now.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Choice {
    Step(usize),
    Crash(usize),
    Pass,
    Late(usize),
}

/// The position of an operation.
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

/// A hasher of keys that are hashes already.
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
    /// The actors of later operations.
    later: Vec<Actor>,
    /// The reader of each name.
    readers: BTreeMap<&'static str, Actor>,
    initial: BTreeMap<&'static str, Option<Vec<u8>>>,
    visited: HashSet<u64, BuildHasherDefault<AsItIs>>,
    path: Vec<Choice>,
    found: Found,
}

/// Searches all orders; stops after `most` executions or five violations.
pub(crate) fn search(scenario: &Scenario, most: u64) -> Found {
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let store = runtime.block_on(staged(scenario));
    let actor = |op: &Op| Actor::new(op.clone(), scenario.kind, &runtime);
    let mut initial = BTreeMap::new();
    for op in &scenario.ops {
        initial.extend(op.names().into_iter().map(|name| (name, None)));
    }
    for op in scenario.before.iter().chain(scenario.twin.as_ref().map(|(op, _)| op)) {
        for name in op.names() {
            initial.extend(op.leaves(name).map(|content| (name, content.cloned())));
        }
    }
    let readers = initial.keys().map(|&name| (name, actor(&Op::Read(name)))).collect();
    let mut world = runtime.block_on(World::of(&store, scenario.kind));
    if let Some((op, true)) = &scenario.twin {
        world.age_twin(&object(op.names()[0]));
    }
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
        found: Found { did: vec![false; scenario.ops.len()], ..Found::default() },
        runtime,
    };
    search.follow(&state, most);
    let Search { actors, later, readers, visited, mut found, .. } = search;
    found.states = visited.len();
    found.runs = actors.iter().chain(&later).chain(readers.values()).map(Actor::runs).sum();
    found
}

async fn staged(scenario: &Scenario) -> MemoryStore {
    let seconds = Arc::new(AtomicU64::new(10 * world::DAY));
    let clock = move || {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.fetch_add(1, Ordering::Relaxed))
    };
    // The Python tool makes classic references, also on stores where we make none.
    let mut store = MemoryStore::with_clock(clock).with_content_tags();
    store.create_bucket(&bucket()).await.unwrap();
    let ops = scenario
        .before
        .iter()
        .map(|op| (op, false))
        .chain(scenario.twin.as_ref().map(|(op, _)| (op, true)));
    for (op, is_twin) in ops {
        if is_twin {
            // With loose conditions a young older object stays.
            store = store.with_loose_conditions();
        }
        let shared = Arc::new(store);
        perform(&service(shared.clone()), op).await.unwrap();
        store = MemoryStore::clone(&shared);
    }
    store
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
        let live: Vec<usize> = (0..state.places.len())
            .filter(|&actor| self.end(actor, state.places[actor]).is_none())
            .collect();
        if live.is_empty() {
            self.found.executions += 1;
            self.found.ends += 1;
            for actor in 0..state.places.len() {
                self.found.did[actor] |=
                    self.end(actor, state.places[actor]) == Some(&End::Done(Did::All));
            }
            if let Some(violation) = self.violation(state) {
                let ends: Vec<_> =
                    (0..state.places.len()).map(|at| self.end(at, state.places[at])).collect();
                let report = format!("{violation}\n  after {:?}\n  ends {ends:?}", self.path);
                self.found.violations.push(report);
            }
            return;
        }
        let mut choices: Vec<Choice> = live.iter().copied().map(Choice::Step).collect();
        if state.crashes < self.scenario.crashes {
            choices.extend(
                live.iter()
                    .filter(|&actor| self.scenario.mortal.contains(actor))
                    .copied()
                    .map(Choice::Crash),
            );
        }
        let steps = state.world.steps();
        if steps < self.scenario.steps {
            choices.push(Choice::Pass);
        }
        choices.extend(
            live.iter()
                .filter(|&&actor| self.since(state, actor) < steps)
                .copied()
                .map(Choice::Late),
        );
        // A request that was signed too long ago has no effect.
        choices.retain(|choice| {
            !matches!(choice, Choice::Step(actor) if self.since(state, *actor) + 1 < steps)
        });
        for choice in choices {
            if self.found.executions >= most || self.found.violations.len() >= 5 {
                return;
            }
            self.found.transitions += 1;
            let mut next = state.clone();
            match choice {
                Choice::Step(actor) => self.step(&mut next, actor),
                Choice::Crash(actor) => {
                    next.crashes += 1;
                    next.places[actor] = Place::Crashed;
                }
                Choice::Pass => {
                    Rc::make_mut(&mut next.world).pass();
                    next.print = next.world.print();
                }
                Choice::Late(actor) => {
                    let Place::At(at) = next.places[actor] else { unreachable!("it is live") };
                    match self.actors[actor].later(at, steps, &self.runtime) {
                        Some(later) => next.places[actor] = Place::At(later),
                        None => continue,
                    }
                }
            }
            self.path.push(choice);
            self.follow(&next, most);
            self.path.pop();
        }
    }

    /// Returns the number of time steps after which the operation decided on its next call.
    fn since(&self, state: &State, actor: usize) -> u64 {
        match state.places[actor] {
            Place::At(at) => self.actors[actor].since(at),
            Place::Crashed => u64::MAX,
        }
    }

    fn step(&mut self, state: &mut State, actor: usize) {
        let Place::At(at) = state.places[actor] else {
            unreachable!("a crashed operation makes no call")
        };
        let Next::Asks(call) = self.actors[actor].next(at) else {
            unreachable!("an ended operation makes no call")
        };
        let answer = make(&mut state.world, call);
        state.print = if call.only_reads() { state.print } else { state.world.print() };
        let steps = state.world.steps();
        state.places[actor] = Place::At(self.actors[actor].on(at, answer, steps, &self.runtime));
    }
}

fn make(world: &mut Rc<World>, call: &Call) -> Answer {
    if call.only_reads() { world.ask(call) } else { Rc::make_mut(world).make(call) }
}

/// Runs one operation to its end while no other one runs.
fn alone(actor: &mut Actor, world: &mut Rc<World>, runtime: &Runtime) -> End {
    let mut at = 0;
    loop {
        let answer = match actor.next(at) {
            Next::Ends(end) => return end.clone(),
            Next::Asks(call) => make(world, call),
        };
        at = actor.on(at, answer, world.steps(), runtime);
    }
}
