//! The state that a failed operation leaves: nothing is lost, and nothing blocks later operations.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use deltaglider::domain::ObjectName;
use deltaglider::service::{GetOptions, ServiceError, StoredAs, chain};
use deltaglider::storage::{ListRequest, MemoryStore, ObjectStore as _};

use super::Faulty;
use super::many::unless_no_bucket;
use super::scenario::{
    Conditions, Done, Effects, Files, OTHER, Op, Room, Scenario, object, perform, service, stage,
};
use crate::support::edited;

/// The end of the operation.
pub(crate) enum End {
    Done,
    Failed(String),
    Dropped,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Failed(why) => write!(f, "failed ({why})"),
            Self::Dropped => f.write_str("dropped"),
        }
    }
}

/// Returns a hash of all that decides about later operations: content and metadata of every object,
/// and the order of their times.
async fn left(room: &Room, on_disk: Option<Files>) -> u64 {
    let mut hasher = DefaultHasher::new();
    on_disk.hash(&mut hasher);
    for name in ["x", "other:x"] {
        let bucket = object(name).bucket;
        let page =
            unless_no_bucket(room.store.list(&bucket, &ListRequest::default()).await).unwrap();
        let mut heads = Vec::new();
        for listed in page.objects {
            let name = ObjectName::new(bucket.clone(), listed.key);
            heads.push((room.store.head(&name).await.unwrap(), name));
        }
        for (head, name) in &heads {
            (name.key.as_str(), &head.etag.0).hash(&mut hasher);
            let own =
                head.attributes.metadata.iter().filter(|(name, _)| !name.ends_with("created-at"));
            own.for_each(|pair| pair.hash(&mut hasher));
            // A replacement is dated after the object it replaces, even if the clock does not
            // advance.
            let age = room.now().duration_since(head.last_modified).unwrap_or_default();
            (age.as_secs() / 900).hash(&mut hasher);
            for (other, _) in &heads {
                head.last_modified.cmp(&other.last_modified).hash(&mut hasher);
                let compare = |of: &str| {
                    head.attributes.metadata.get(of).cmp(&other.attributes.metadata.get(of))
                };
                compare("dg-created-at").hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

/// One operation that fails in many ways.
pub(crate) struct Sweep<'a> {
    pub(crate) scenario: &'a Scenario,
    conditions: Conditions,
    /// The initial state.
    pub(crate) room: Room,
    effects: Effects,
    pub(crate) points: u64,
    /// The outcomes that were checked, each with whether the operation had succeeded.
    sound: HashSet<(u64, bool)>,
    begun: Instant,
    pub(crate) losses: Vec<String>,
}

fn apply(effects: &Effects, files: &mut Files) {
    for (name, content) in effects {
        match content {
            Some(content) => drop(files.insert(name.clone(), content.clone())),
            None => drop(files.remove(name)),
        }
    }
}

/// Returns whether an error states that there is no file, or that a reference has its name.
fn is_absence(error: &ServiceError) -> bool {
    error.is_absent() || matches!(error, ServiceError::IsReference(_))
}

/// Returns the content of a name, read without faults.
pub(crate) async fn read(store: &Arc<MemoryStore>, name: &str) -> Result<Option<Vec<u8>>, String> {
    match service(store.clone()).get(&object(name), Vec::new(), &GetOptions::default()).await {
        Ok((content, _)) => Ok(Some(content)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(format!("{name} cannot be read: {}", chain(&error))),
    }
}

async fn listed(store: &Arc<MemoryStore>) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for place in ["", OTHER] {
        let mut listing =
            service(store.clone()).list(&object(&format!("{place}x")).bucket, "", None);
        loop {
            let page = match listing.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) if error.is_absent() => break,
                Err(error) => return Err(chain(&error)),
            };
            let shown = page.files.into_iter().filter(|file| file.is_shown());
            names.extend(shown.map(|file| format!("{place}{}", file.key)));
        }
    }
    names.sort();
    Ok(names)
}

async fn holds(room: &Room, files: &Files, when: &str) -> Result<(), String> {
    for (name, content) in files.iter().filter(|(name, _)| !room.lost.contains(*name)) {
        if read(&room.store, name).await?.as_ref() != Some(content) {
            return Err(format!("{name} does not hold what it held, {when}"));
        }
    }
    Ok(())
}

impl<'a> Sweep<'a> {
    pub(crate) async fn new(scenario: &'a Scenario, conditions: Conditions) -> Self {
        let begun = Instant::now();
        let room = stage(scenario, conditions).await;
        let effects = scenario.op.effects(&room.files);
        let (sound, losses) = (HashSet::new(), Vec::new());
        Self { scenario, conditions, room, effects, points: 0, sound, losses, begun }
    }

    /// Restores the initial state and returns a copy of it.
    pub(crate) fn again(&self) -> Room {
        if let Some(disk) = self.scenario.disk() {
            disk.lay();
        }
        self.room.again()
    }

    /// Returns what is wrong with what was read or reported, if anything is.
    pub(crate) fn misread(&self, done: Done) -> Option<String> {
        if let (Op::Read(name), Some(content)) = (&self.scenario.op, done.read)
            && self.room.files.get(*name) != Some(&content)
        {
            return Some(format!("{name} was read as {} other bytes", content.len()));
        }
        self.answers(&done.answer, &self.room.files).err()
    }

    /// Returns the served files, after a check: the old or the new content of each name operated
    /// on, and the old content of every other one.
    async fn served(&self, room: &Room, done: bool) -> Result<Files, String> {
        let (mut served, mut old_since) = (Files::new(), None);
        for (at, effect @ (name, new)) in self.effects.iter().enumerate() {
            let rank = self.scenario.op.rank((at, effect));
            let (content, old) = (read(&room.store, name).await?, self.room.files.get(name));
            let (is_old, is_new) = (content.as_ref() == old, content == *new);
            if !is_new && (done || !is_old) {
                let held = content.map_or("nothing".to_owned(), |content| {
                    format!("{} other bytes", content.len())
                });
                return Err(format!("{name} holds {held}"));
            }
            if is_new
                && !is_old
                && let Some((before, _)) = old_since.as_ref().filter(|(_, of)| *of < rank)
            {
                return Err(format!("{name} was changed, and {before} was not"));
            }
            if !is_new {
                old_since = old_since.or(Some((name.clone(), rank)));
            }
            served.extend(content.map(|content| (name.clone(), content)));
        }
        let untouched = self
            .room
            .files
            .iter()
            .filter(|(name, _)| self.effects.iter().all(|(other, _)| other != *name));
        for (name, content) in untouched {
            served.insert(name.clone(), content.clone());
        }
        holds(room, &served, "afterwards").await?;
        let listed = listed(&room.store).await?;
        if !listed.iter().eq(served.keys()) {
            return Err(format!("listed are {listed:?}, and served {:?}", served.keys()));
        }
        Ok(served)
    }

    /// Checks the state afterwards, and that later operations succeed.
    async fn check(&self, room: &mut Room, done: bool) -> Result<(), String> {
        let is_repair = matches!(self.scenario.op, Op::Mend);
        if done && is_repair {
            room.lost.clear();
        }
        let mut files = self.served(room, done).await?;
        let next = service(Arc::new(Faulty::new(room.store.clone(), None)));
        let of_many = if let Op::Many(many) = &self.scenario.op { Some(many) } else { None };
        if let Some(many) = of_many {
            many.beside(&room.store, &files, done).await?;
        }
        // Put a similar file.
        let (name, content) = self.similar();
        let put = perform(&next, &Op::Put(name, content.clone()), room.now()).await;
        let put = put.map_err(|error| format!("{name}: {}", chain(&error)))?;
        if matches!(put.stored_as, Some(StoredAs::Direct(_))) {
            return Err(format!("{name} was stored as it is"));
        }
        files.insert(name.to_owned(), content);
        holds(room, &files, "after the next put").await?;
        // Run the operation again: it succeeds, unless the file to delete is absent already.
        match perform(&next, &self.scenario.op, room.now()).await {
            Err(error) if !is_absence(&error) => {
                return Err(format!("done again: {}", chain(&error)));
            }
            again => {
                // The source of a sync may have changed, and the destination too.
                let effects = if of_many.is_some() {
                    self.scenario.op.effects(&files)
                } else {
                    self.effects.clone()
                };
                apply(&effects, &mut files);
                if let Ok(again) = again {
                    self.answers(&again.answer, &files)?;
                }
            }
        }
        if let Some(many) = of_many {
            many.beside(&room.store, &files, true).await?;
        }
        if is_repair {
            room.lost.clear();
            let found = perform(&next, &self.scenario.op, room.now())
                .await
                .map_err(|error| chain(&error))?
                .findings;
            if found > 0 {
                return Err(format!("{found} troubles are found after the repair"));
            }
        }
        holds(room, &files, "after the same again").await?;
        // Delete all files, one after the other.
        while let Some((name, _)) = files.pop_first() {
            next.delete(&object(&name))
                .await
                .map_err(|error| format!("delete of {name}: {}", chain(&error)))?;
            if read(&room.store, &name).await?.is_some() {
                return Err(format!("{name} is there after its delete"));
            }
            holds(room, &files, &format!("after the delete of {name}")).await?;
        }
        Ok(())
    }

    fn answers(&self, answer: &Option<String>, files: &Files) -> Result<(), String> {
        let right = self.scenario.op.answer(files);
        if *answer == right {
            Ok(())
        } else {
            Err(format!("the answer is {answer:?}, expected {right:?}"))
        }
    }

    /// Returns a name beside the operation's, and a content similar to an existing one.
    fn similar(&self) -> (&'static str, Vec<u8>) {
        let Scenario { before, op, .. } = self.scenario;
        let name = match op.name() {
            Some(name) if name.starts_with(OTHER) => "other:next.zip",
            Some(name) if name.starts_with("s/") => "s/next.zip",
            Some(name) if name.contains('/') => "v/1.7/next.zip",
            _ => "next.zip",
        };
        let puts = || before.iter().chain([op]).filter(|op| matches!(op, Op::Put(..)));
        let beside =
            |op: &&Op| op.name().is_some_and(|of| of.starts_with(OTHER) == name.starts_with(OTHER));
        let kin = puts().find(beside).or(puts().next()).or(before.first());
        let content = kin.and_then(|op| op.effects(&Files::new()).pop()?.1).unwrap();
        (name, edited(&content, 77))
    }

    /// Checks the state left at one point.
    pub(crate) async fn note(
        &mut self,
        what: &str,
        mut room: Room,
        end: &End,
        wrong: Option<String>,
    ) {
        self.points += 1;
        let done = matches!(end, End::Done);
        let on_disk = self.scenario.disk().map(|disk| disk.state());
        let seen = (left(&room, on_disk).await, done);
        let checked = match wrong {
            Some(wrong) => Err(wrong),
            None if self.sound.contains(&seen) => Ok(()),
            None => self.check(&mut room, done).await,
        };
        match checked {
            Ok(()) => drop(self.sound.insert(seen)),
            Err(loss) => {
                let Self { scenario, conditions, .. } = self;
                self.losses
                    .push(format!("{}, {conditions:?}, {what}, {end}: {loss}", scenario.name));
            }
        }
    }
}

impl fmt::Display for Sweep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, conditions, points, sound, losses, .. } = self;
        let (name, outcomes, losses, seconds) =
            (scenario.name, sound.len(), losses.len(), self.begun.elapsed().as_secs_f64());
        write!(
            f,
            "{name}, {conditions:?}: {points} points, {outcomes} outcomes, \
             {losses} losses, {seconds:.1} s"
        )
    }
}
