//! Every order in which the storage calls of several operations can follow each other, with crashes
//! between them.
//!
//! The operations are the real ones, over the model store. What each asks next is learned by
//! running it (`actor`); the orders of the calls are searched over what was learned and the store
//! (`world`), one call at a time. Calls that an operation makes side by side are made in the order
//! in which it asked for them.
//!
//! Time passes in steps of a quarter of an hour, the time for which a signed request is valid. A
//! request takes effect in the step in which it was decided or in the next one. An answer can come
//! any number of steps after its call took effect: the operation was suspended.
//!
//! Reduction: the search is depth first, and a state is followed once. A state is what the store
//! holds with the ages of the objects of each name, what each operation has been answered and when
//! (of one that has ended, how), how many have crashed, and how much time has passed. What comes
//! after depends on nothing else, so nothing is left out.

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

/// What a store makes of conditions and tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Conditions are atomic and tags name writes, as in the embedded store.
    Atomic,
    /// Conditions are atomic and tags name contents, as in AWS.
    ContentTags,
    /// The same, but nobody knows that conditions are atomic.
    Unknown,
    /// Conditions of puts are looked at before the write, those of deletes are ignored; tags name
    /// contents.
    Loose,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Atomic, Kind::ContentTags, Kind::Unknown, Kind::Loose];

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
    /// Done after that without removing the older object of its name, which then is a day older if
    /// so.
    pub(crate) twin: Option<(Op, bool)>,
    pub(crate) ops: Vec<Op>,
    /// What is done afterwards, one after the other.
    pub(crate) later: Vec<Op>,
    pub(crate) crashes: usize,
    /// Those of the operations that may crash.
    pub(crate) mortal: Vec<usize>,
    /// Steps of time that may pass.
    pub(crate) steps: u64,
    pub(crate) kind: Kind,
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
    /// For each operation, whether it did all that was asked in some end.
    pub(crate) did: Vec<bool>,
    pub(crate) violations: Vec<String>,
}

/// How an operation ended.
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

/// One choice: an operation's next call is made, or it crashes before it, or a step of time passes,
/// or the last answer of an operation comes only now.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Choice {
    Step(usize),
    Crash(usize),
    Pass,
    Late(usize),
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
    // Classic references are there also where we make none: of the Python tool.
    let mut store = MemoryStore::with_clock(clock).with_content_tags();
    store.create_bucket(&bucket()).await.unwrap();
    let ops = scenario
        .before
        .iter()
        .map(|op| (op, false))
        .chain(scenario.twin.as_ref().map(|(op, _)| (op, true)));
    for (op, is_twin) in ops {
        if is_twin {
            // Here what is young stays.
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
                let told = format!("{violation}\n  after {:?}\n  ends {ends:?}", self.path);
                self.found.violations.push(told);
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
        // What was signed too long ago does nothing any more.
        choices.retain(|choice| !matches!(choice, Choice::Step(actor) if self.since(state, *actor) + 1 < steps));
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

    /// After how many steps of time it decided on its next call.
    fn since(&self, state: &State, actor: usize) -> u64 {
        match state.places[actor] {
            Place::At(at) => self.actors[actor].since(at),
            Place::Crashed => u64::MAX,
        }
    }

    fn step(&mut self, state: &mut State, actor: usize) {
        let Place::At(at) = state.places[actor] else {
            unreachable!("who has crashed does nothing")
        };
        let Next::Asks(call) = self.actors[actor].next(at) else {
            unreachable!("who has ended does nothing")
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

/// Lets somebody do all he does while nobody else does anything.
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
