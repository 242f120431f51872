//! Initial states, and the operations that run while something fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use deltaglider::cache::WorkingCopies;
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{BucketName, Deltaspace, Key, ObjectName, Sha256Digest};
use deltaglider::service::{
    DeltaService, GetOptions, Moved, Outcome, Payload, PutOptions, RepairOptions, ServiceError,
    Settings, StoredAs,
};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, CopyOptions, MemoryStore, PutBody, PutCondition, Store,
};
use futures::TryStreamExt as _;

use super::disk::Disk;
use super::many::{Many, many};
use super::packed::packed;
use crate::support::{edited, noise};

/// The prefix of names in another bucket.
pub(crate) const OTHER: &str = "other:";

pub(crate) const DAY: u64 = 86_400;

/// An operation. Names are those of files.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Put(&'static str, Vec<u8>),
    PutDirect(&'static str, Vec<u8>),
    /// Stores a plain object, as another tool would.
    Foreign(&'static str, Vec<u8>),
    Delete(&'static str),
    Read(&'static str),
    Copy(&'static str, &'static str),
    Move(&'static str, &'static str),
    Rebase(&'static str),
    /// `repair` with changes.
    Mend,
    /// Leaves the classic reference of a folder, made of this content, at its content-addressed key
    /// alone.
    MoveReference(&'static str, Vec<u8>),
    /// Changes stored objects, by their keys.
    Damage(Damage),
    Many(Many),
}

/// Damage to stored objects, or the passing of time.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Remove(&'static str),
    Copy(&'static str, String),
    /// Changes the bytes and keeps the metadata.
    Rot(&'static str),
    Store(String),
    Days(u64),
}

/// The contents of names after an operation, in the order in which they may become visible.
pub(crate) type Effects = Vec<(String, Option<Vec<u8>>)>;

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

impl Op {
    /// Returns the name in whose folder it takes place.
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Put(name, _) | Self::PutDirect(name, _) | Self::Foreign(name, _) => Some(name),
            Self::Delete(name) | Self::Read(name) | Self::Rebase(name) => Some(name),
            Self::Copy(_, to) | Self::Move(_, to) => Some(to),
            Self::Mend | Self::MoveReference(..) | Self::Damage(_) => None,
            Self::Many(many) => many.name(),
        }
    }

    pub(crate) fn effects(&self, files: &Files) -> Effects {
        let file = |name: &str| files.get(name).cloned();
        match self {
            Self::Put(name, content)
            | Self::PutDirect(name, content)
            | Self::Foreign(name, content) => {
                vec![((*name).to_owned(), Some(content.clone()))]
            }
            Self::Delete(name) => vec![((*name).to_owned(), None)],
            Self::Copy(from, to) => vec![((*to).to_owned(), file(from))],
            Self::Move(from, to) => {
                vec![((*to).to_owned(), file(from)), ((*from).to_owned(), None)]
            }
            Self::Many(many) => many.effects(files),
            Self::Read(_)
            | Self::Rebase(_)
            | Self::Mend
            | Self::MoveReference(..)
            | Self::Damage(_) => Vec::new(),
        }
    }

    /// Returns the rank of an effect: effects of a lower rank must become visible first.
    pub(crate) fn rank(&self, (at, (_, content)): (usize, &(String, Option<Vec<u8>>))) -> usize {
        // Each of many files may fail alone, and deletions come last.
        if matches!(self, Self::Many(_)) { usize::from(content.is_none()) } else { at }
    }

    /// Returns its answer for these files when nothing fails.
    pub(crate) fn answer(&self, files: &Files) -> Option<String> {
        if let Self::Many(many) = self { many.answer(files) } else { None }
    }
}

/// An initial state, and the operation that runs while something fails.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) before: Vec<Op>,
    pub(crate) op: Op,
}

impl Scenario {
    /// Returns the disk that its operation writes to.
    pub(crate) fn disk(&self) -> Option<&Disk> {
        if let Op::Many(many) = &self.op { many.disk() } else { None }
    }

    /// Returns whether the scenario is possible on such a store.
    pub(crate) fn fits(&self, conditions: Conditions) -> bool {
        match &self.op {
            // Rejected where conditions are loose.
            Op::Rebase(_) => conditions != Conditions::Loose,
            // Reads, and writes that only save time, use no conditions.
            Op::Many(many) if many.only_reads() => conditions == Conditions::Atomic,
            _ => true,
        }
    }
}

pub(crate) fn version(n: u64) -> Vec<u8> {
    edited(&noise(1_000, 1), n)
}

fn home() -> Deltaspace {
    Deltaspace::of(&object("a.zip"))
}

/// Returns the content-addressed key of the first version.
fn addressed() -> String {
    home().addressed(&Sha256Digest::of(&version(1))).unwrap().key.to_string()
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut all = puts();
    all.extend(overwrites());
    all.extend(removals_and_reads());
    all.extend(copies());
    all.extend(repairs());
    all.extend(packed());
    all.extend(many());
    all
}

pub(crate) fn scenario(name: &'static str, before: &[Op], op: Op) -> Scenario {
    Scenario { name, before: before.to_vec(), op }
}

pub(crate) fn delta(name: &'static str, n: u64) -> Op {
    Op::Put(name, version(n))
}

pub(crate) fn direct(name: &'static str, n: u64) -> Op {
    Op::PutDirect(name, version(n))
}

fn two() -> [Op; 2] {
    [delta("a.zip", 1), delta("b.zip", 2)]
}

/// Returns puts of another tool's file, a delta and a direct object, all of one name.
fn both_kinds() -> [Op; 4] {
    [Op::Foreign("b.zip", version(8)), delta("a.zip", 1), delta("b.zip", 2), direct("b.zip", 3)]
}

/// Returns puts, one of them of a file with the name of a reference.
fn with_escaped() -> Vec<Op> {
    [two().as_slice(), &[delta("x/reference.bin", 3)]].concat()
}

fn moved() -> Vec<Op> {
    [two().as_slice(), &[Op::MoveReference("", version(1))]].concat()
}

fn puts() -> Vec<Scenario> {
    let drifted =
        [Op::Put("app-1.zip", noise(2_000, 1)), Op::Put("app-2.zip", edited(&noise(2_000, 1), 1))];
    let two_references = [drifted.as_slice(), &[Op::Put("app-3.zip", noise(2_000, 3))]].concat();
    let nothing = [Op::Foreign("x.txt", version(0))];
    vec![
        scenario("put, the first of all", &nothing, delta("a.zip", 1)),
        scenario("put, the second", &two()[..1], delta("b.zip", 2)),
        scenario("put, as it is", &two(), direct("c.zip", 3)),
        scenario("put, no kin of anything", &two(), Op::Put("c.zip", noise(1_000, 9))),
        scenario(
            "put, into a new folder per version",
            &[delta("v/1.0/app.zip", 1)],
            delta("v/1.1/app.zip", 2),
        ),
        scenario("put, first of the folders per version", &nothing, delta("v/1.0/app.zip", 1)),
        scenario("put, the reference is outgrown", &drifted, Op::Put("app-3.zip", noise(2_000, 3))),
        scenario(
            "put, with a choice of references",
            &two_references,
            Op::Put("app-4.zip", edited(&noise(2_000, 3), 4)),
        ),
        scenario(
            "put, where the reference was deleted",
            &[delta("a.zip", 1), Op::Delete("a.zip")],
            delta("b.zip", 2),
        ),
        scenario("put, where the reference has moved", &moved(), delta("c.zip", 3)),
        scenario("put, under an escaped key", &two(), delta("x/reference.bin", 3)),
    ]
}

fn overwrites() -> Vec<Scenario> {
    let foreign = [delta("a.zip", 1), Op::Foreign("b.zip", version(2))];
    vec![
        scenario("overwrite, a delta by a delta", &two(), delta("b.zip", 3)),
        scenario("overwrite, the reference's own file by a delta", &two()[..1], delta("a.zip", 3)),
        scenario("overwrite, a delta by the file as it is", &two(), direct("b.zip", 3)),
        scenario("overwrite, the only delta by the file as it is", &two()[..1], direct("a.zip", 3)),
        scenario(
            "overwrite, the file as it is by itself",
            &[direct("b.zip", 2)],
            direct("b.zip", 3),
        ),
        scenario(
            "overwrite, the file as it is by a delta",
            &[delta("a.zip", 1), direct("b.zip", 2)],
            delta("b.zip", 3),
        ),
        scenario(
            "overwrite, the file as it is by the first delta",
            &[direct("b.zip", 2)],
            delta("b.zip", 3),
        ),
        scenario("overwrite, another tool's file by a delta", &foreign, delta("b.zip", 3)),
        scenario("overwrite, another tool's file as it is", &foreign, direct("b.zip", 3)),
        scenario("overwrite, a name of both kinds by a delta", &both_kinds(), delta("b.zip", 4)),
        scenario(
            "overwrite, a name of both kinds as it is",
            &both_kinds()[..3],
            direct("b.zip", 4),
        ),
        scenario("overwrite, under an escaped key", &with_escaped(), delta("x/reference.bin", 4)),
    ]
}

fn removals_and_reads() -> Vec<Scenario> {
    let as_it_is = [delta("a.zip", 1), direct("b.zip", 2)];
    vec![
        scenario("delete, the only delta", &two()[..1], Op::Delete("a.zip")),
        scenario("delete, the reference's own file", &two(), Op::Delete("a.zip")),
        scenario("delete, one of several", &two(), Op::Delete("b.zip")),
        scenario("delete, a file as it is", &as_it_is, Op::Delete("b.zip")),
        scenario("delete, a name of both kinds", &both_kinds(), Op::Delete("b.zip")),
        scenario(
            "delete, a delta over another tool's file",
            &both_kinds()[..3],
            Op::Delete("b.zip"),
        ),
        scenario(
            "delete, the only delta of a moved reference",
            &[delta("a.zip", 1), Op::MoveReference("", version(1))],
            Op::Delete("a.zip"),
        ),
        scenario("delete, under an escaped key", &with_escaped(), Op::Delete("x/reference.bin")),
        scenario("get, a delta", &two(), Op::Read("b.zip")),
        scenario("get, under an escaped key", &with_escaped(), Op::Read("x/reference.bin")),
        scenario("get, the reference's own file", &two(), Op::Read("a.zip")),
        scenario("get, a file as it is", &as_it_is[1..], Op::Read("b.zip")),
        scenario("get, a delta of a moved reference", &moved(), Op::Read("b.zip")),
        scenario("get, a name of both kinds", &both_kinds(), Op::Read("b.zip")),
    ]
}

fn copies() -> Vec<Scenario> {
    let over = |there: Op| [two().as_slice(), &[there]].concat();
    let elsewhere = |there: Op| [two().as_slice(), &[there]].concat();
    // The second file shares more with the third one, which becomes a reference later.
    let parts =
        |n: &[(usize, u64)]| n.iter().flat_map(|&(len, seed)| noise(len, seed)).collect::<Vec<_>>();
    let rebasable = [
        Op::Put("app-1.zip", parts(&[(1_040, 1), (960, 2)])),
        Op::Put("app-2.zip", parts(&[(1_040, 1), (960, 3)])),
        Op::Put("app-3.zip", parts(&[(400, 4), (600, 1), (960, 3)])),
    ];
    vec![
        scenario("copy, a delta", &two(), Op::Copy("b.zip", "c.zip")),
        scenario("copy, the only delta", &two()[..1], Op::Copy("a.zip", "c.zip")),
        scenario("copy, a delta of a moved reference", &moved(), Op::Copy("b.zip", "c.zip")),
        scenario(
            "copy, a delta over the file as it is",
            &over(direct("c.zip", 3)),
            Op::Copy("b.zip", "c.zip"),
        ),
        scenario(
            "copy, a file as it is over a delta",
            &over(direct("c.zip", 3)),
            Op::Copy("c.zip", "b.zip"),
        ),
        scenario("copy, a delta to a name of no deltas", &two(), Op::Copy("b.zip", "b.txt")),
        scenario(
            "copy, a delta to an escaped key",
            &two(),
            Op::Copy("b.zip", ".deltaglider/b.zip"),
        ),
        scenario(
            "copy, another tool's file",
            &[Op::Foreign("x.txt", version(1))],
            Op::Copy("x.txt", "y.txt"),
        ),
        scenario("copy, to a bucket without a reference", &two(), Op::Copy("b.zip", "other:b.zip")),
        scenario(
            "copy, to a bucket with the reference",
            &elsewhere(Op::Put("other:a.zip", version(1))),
            Op::Copy("b.zip", "other:b.zip"),
        ),
        scenario(
            "copy, to a bucket with another reference",
            &elsewhere(Op::Put("other:a.zip", version(5))),
            Op::Copy("b.zip", "other:b.zip"),
        ),
        scenario("move, a delta", &two(), Op::Move("b.zip", "c.zip")),
        scenario(
            "move, the only delta to another bucket",
            &two()[..1],
            Op::Move("a.zip", "other:a.zip"),
        ),
        scenario("move, a file as it is", &[direct("b.zip", 2)], Op::Move("b.zip", "b.txt")),
        scenario(
            "move, a file as it is to an escaped key",
            &[direct("b.zip", 2)],
            Op::Move("b.zip", ".deltaglider/b.zip"),
        ),
        scenario(
            "move, from one escaped key to another",
            &with_escaped(),
            Op::Move("x/reference.bin", "y/reference.bin"),
        ),
        scenario("rebase, against a later reference", &rebasable, Op::Rebase("app-2.zip")),
    ]
}

fn repairs() -> Vec<Scenario> {
    let damaged = |damages: &[Damage]| -> Vec<Op> {
        let damages = damages.iter().cloned().chain([Damage::Days(30)]).map(Op::Damage);
        two().into_iter().chain(damages).collect()
    };
    let copied = || Damage::Copy("reference.bin", addressed());
    let removed = || Damage::Remove("reference.bin");
    let tombstone = home().tombstone(&Sha256Digest::of(&version(1))).unwrap().key.to_string();
    let no_delta = [Damage::Remove("a.zip.delta"), Damage::Remove("b.zip.delta")];
    // The file has the content of the lost reference.
    let elsewhere = [damaged(&[removed()]), vec![Op::PutDirect("old/a.zip", version(1))]].concat();
    let both = [both_kinds().as_slice(), &[Op::Damage(Damage::Days(30))]].concat();
    let replaced = [
        copied(),
        Damage::Remove("reference.bin"),
        // The object at the key is no reference at all.
        Damage::Copy("b.zip.delta", "reference.bin".to_owned()),
    ];
    let without = |more: &[Damage]| [no_delta.as_slice(), more].concat();
    vec![
        scenario("repair, nothing is wrong", &damaged(&[]), Op::Mend),
        scenario(
            "repair, a reference at its other key",
            &damaged(&[copied(), removed()]),
            Op::Mend,
        ),
        scenario("repair, a reference whose content is in a file", &elsewhere, Op::Mend),
        scenario("repair, a reference that was replaced", &damaged(&replaced), Op::Mend),
        scenario(
            "repair, a reference that has rotted",
            &damaged(&[copied(), Damage::Rot("reference.bin")]),
            Op::Mend,
        ),
        scenario("repair, a name of both kinds", &both, Op::Mend),
        scenario("repair, an unneeded reference", &damaged(&no_delta), Op::Mend),
        scenario(
            "repair, an unneeded reference and its copy",
            &damaged(&without(&[copied()])),
            Op::Mend,
        ),
        scenario("repair, an unneeded copy", &damaged(&without(&[copied(), removed()])), Op::Mend),
        scenario(
            "repair, an unneeded copy with a tombstone",
            &damaged(&without(&[copied(), removed(), Damage::Store(tombstone.clone())])),
            Op::Mend,
        ),
        scenario(
            "repair, a needed copy with a tombstone",
            &damaged(&[copied(), removed(), Damage::Store(tombstone.clone())]),
            Op::Mend,
        ),
        scenario("repair, a tombstone of nothing", &damaged(&[Damage::Store(tombstone)]), Op::Mend),
    ]
}

/// The semantics of the store's conditions, and its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditions {
    Atomic,
    /// Checked before the write, so not atomic.
    Loose,
    /// Atomic, on a store whose clock does not advance: all ages are ties.
    Tied,
}

pub(crate) fn object(name: &str) -> ObjectName {
    let (bucket, key) = name.strip_prefix(OTHER).map_or(("bucket", name), |key| ("other", key));
    ObjectName::new(BucketName::new(bucket).unwrap(), Key::new(key).unwrap())
}

pub(crate) fn service(store: Arc<dyn Store>) -> DeltaService {
    let spool_dir = std::env::temp_dir();
    let cache = Arc::new(WorkingCopies::new(spool_dir.clone()));
    let packing = "auto,s3://bucket/raw/=none".parse().unwrap();
    let policy = Policy { packing, ..Policy::default() };
    DeltaService::new(store, cache, Settings { policy, spool_dir })
}

/// The result of an operation.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) read: Option<Vec<u8>>,
    pub(crate) stored_as: Option<StoredAs>,
    /// The number of findings of a repair.
    pub(crate) findings: usize,
    pub(crate) answer: Option<String>,
}

/// Runs an operation at the time `now` of the store's clock.
pub(crate) async fn perform(
    service: &DeltaService,
    op: &Op,
    now: SystemTime,
) -> Result<Done, ServiceError> {
    let store = service.store();
    match op {
        Op::Put(name, content) | Op::PutDirect(name, content) => {
            let options = PutOptions { delta: matches!(op, Op::Put(..)), ..PutOptions::default() };
            let file = Payload::spool(
                std::io::Cursor::new(content.clone()),
                "file",
                &std::env::temp_dir(),
            )
            .await?;
            let stored_as = Some(service.put(&file, &object(name), &options).await?.stored_as);
            return Ok(Done { stored_as, ..Done::default() });
        }
        Op::Foreign(name, content) => {
            let body = PutBody::from_bytes(content.clone());
            store
                .put(&object(name), body, &Attributes::default(), &PutCondition::None.into())
                .await?;
        }
        Op::Delete(name) => drop(service.delete(&object(name)).await?),
        Op::Read(name) => {
            let (content, _) =
                service.get(&object(name), Vec::new(), &GetOptions::default()).await?;
            return Ok(Done { read: Some(content), ..Done::default() });
        }
        Op::Copy(from, to) => drop(service.copy(&object(from), &object(to), true).await?),
        Op::Move(from, to) => {
            let seen = service.head(&object(from)).await?;
            service.copy(&object(from), &object(to), true).await?;
            if service.delete_moved(&object(from), &seen).await? != Moved::Removed {
                return Err(ServiceError::Changed((*from).to_owned()));
            }
        }
        Op::Rebase(name) => drop(service.rebase(&object(name), false).await?),
        Op::Mend => {
            let options = RepairOptions { fix: true, grace: RepairOptions::GRACE, now };
            let report = service.repair(&object("a.zip").bucket, &options).await?;
            let findings = report.findings.len();
            let left = report.findings.into_iter().filter_map(|finding| match finding.outcome {
                Outcome::Left(error) => Some(error),
                _ => None,
            });
            if let Some(error) = left.chain(report.unseen).next() {
                return Err(error);
            }
            return Ok(Done { findings, ..Done::default() });
        }
        Op::MoveReference(folder, content) => {
            let named = object(&format!("{folder}reference.bin"));
            let moved =
                Deltaspace::of_reference(&named).addressed(&Sha256Digest::of(content)).unwrap();
            // Where conditions are not atomic it has always been at that key.
            if store.conditions_are_atomic() {
                store.copy(&named, &moved, &CopyOptions::default()).await?;
            }
            store.delete(&named, None).await?;
        }
        Op::Damage(damage) => damage.happen(store).await?,
        Op::Many(many) => {
            return Ok(Done { answer: many.perform(service).await?, ..Done::default() });
        }
    }
    Ok(Done::default())
}

impl Damage {
    async fn happen(&self, store: &dyn Store) -> Result<(), ServiceError> {
        let always = PutCondition::None;
        match self {
            Self::Remove(key) => store.delete(&object(key), None).await?,
            Self::Copy(from, to) => {
                drop(store.copy(&object(from), &object(to), &CopyOptions::default()).await?)
            }
            Self::Rot(key) => {
                let body = store.get(&object(key), None).await?;
                let mut bytes =
                    body.stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
                bytes[500] ^= 1;
                store
                    .put(
                        &object(key),
                        PutBody::from_bytes(bytes),
                        &body.head.attributes,
                        &always.into(),
                    )
                    .await?;
            }
            Self::Store(key) => {
                store
                    .put(
                        &object(key),
                        PutBody::from_bytes(""),
                        &Attributes::default(),
                        &always.into(),
                    )
                    .await?;
            }
            // `stage` sets the clock.
            Self::Days(_) => {}
        }
        Ok(())
    }
}

/// A store, the contents of its files, and its clock.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) files: Files,
    /// The names of files that cannot be read in this state.
    pub(crate) lost: BTreeSet<String>,
    seconds: Arc<AtomicU64>,
}

impl Room {
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds.load(Ordering::Relaxed))
    }

    /// Returns a copy with a store of its own.
    pub(crate) fn again(&self) -> Self {
        Self { store: Arc::new(MemoryStore::clone(&self.store)), ..self.clone() }
    }
}

/// Returns the store in the initial state of a scenario.
pub(crate) async fn stage(scenario: &Scenario, conditions: Conditions) -> Room {
    let seconds = Arc::new(AtomicU64::new(0));
    let (hand, step) = (seconds.clone(), if conditions == Conditions::Tied { 0 } else { 1 });
    let clock = move || {
        SystemTime::UNIX_EPOCH + Duration::from_secs(hand.fetch_add(step, Ordering::Relaxed))
    };
    let mut store = MemoryStore::with_clock(clock);
    // The bucket to repair may be of other tools, which make classic references everywhere.
    let loose = conditions == Conditions::Loose;
    if loose && !matches!(scenario.op, Op::Mend) {
        store = store.with_loose_conditions();
    }
    let store = Arc::new(store);
    for name in ["x", "other:x"] {
        store.create_bucket(&object(name).bucket).await.unwrap();
    }
    let mut files = Files::new();
    for op in &scenario.before {
        perform(&service(store.clone()), op, SystemTime::UNIX_EPOCH).await.unwrap();
        for (name, content) in op.effects(&files) {
            match content {
                Some(content) => drop(files.insert(name, content)),
                None => drop(files.remove(&name)),
            }
        }
        if let Op::Damage(Damage::Remove(key)) = op
            && let Some(name) = key.strip_suffix(".delta")
        {
            files.remove(name);
        }
        // No put is in progress any more when the next one begins. (Grace periods pass on tied
        // clocks too.)
        let days = if let Op::Damage(Damage::Days(days)) = op { *days } else { step };
        seconds.fetch_add(days * DAY, Ordering::Relaxed);
    }
    let mut lost = BTreeSet::new();
    for name in files.keys() {
        if service(store.clone())
            .get(&object(name), Vec::new(), &GetOptions::default())
            .await
            .is_err()
        {
            lost.insert(name.clone());
        }
    }
    let store = MemoryStore::clone(&store);
    let store = Arc::new(if loose { store.with_loose_conditions() } else { store });
    Room { store, files, lost, seconds }
}
