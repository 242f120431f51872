//! Operations on several files, or on what is kept beside the files: folders, buckets, listings,
//! URLs.

use std::sync::Arc;
use std::time::Duration;

use deltaglider::domain::{BucketName, ObjectName, Sha256Digest};
use deltaglider::service::{
    Action, Compare, DeltaService, Folder, ListedRemoval, ServiceError, StatedChecksums,
    StatsCache, StatsMode, SyncOptions, TransferOptions, Transferred,
};
use deltaglider::storage::{
    Attributes, ListRequest, MemoryStore, ObjectStore as _, PutBody, PutCondition, StorageError,
    StorageErrorKind,
};
use futures::TryStreamExt as _;

use super::disk::{Disk, OnDisk, write};
use super::scenario::{
    Effects, Files, OTHER, Op, Scenario, delta, direct, object, scenario, version,
};
use crate::support::noise;

/// The prefix of the copies for URLs.
const TEMPORARIES: &str = ".deltaglider/tmp/";

/// The copies whose URL has expired.
const EXPIRED: [&str; 2] = ["expired-1", "expired-2"];

#[derive(Debug, Clone)]
pub(crate) enum Many {
    /// `sync` of a local folder to one in the bucket, by size and time; with `--delete` if true.
    Up(Vec<OnDisk>, &'static str, bool),
    /// `sync` of a folder in the bucket to a local one, by size and time; with `--delete` if true.
    Down(&'static str, Arc<Disk>, bool),
    /// `sync`, or `migrate` if by content, of a folder in the bucket to the other bucket; with
    /// `--delete` if true.
    Across(&'static str, Compare, bool),
    /// `rm -r`.
    RemoveAll(&'static str),
    /// `mb` of a third bucket.
    MakeBucket,
    /// `rb --force` of the other bucket.
    RemoveBucket,
    /// `presign --rehydrate`.
    Presign(&'static str),
    Purge,
    Verify(&'static str),
    /// `ls -r`.
    List,
    Stats,
    /// A copy for a URL, with the time at which it expires if it states one.
    Temporary(&'static str, Option<&'static str>),
}

fn bucket_of(name: &str) -> &str {
    if name.starts_with(OTHER) { OTHER } else { "" }
}

impl Many {
    /// Returns the name or the folder of its files.
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Up(_, to, _) => Some(to),
            Self::Across(..) => Some(OTHER),
            Self::Down(name, ..)
            | Self::RemoveAll(name)
            | Self::Presign(name)
            | Self::Verify(name) => Some(name),
            _ => None,
        }
    }

    pub(crate) fn effects(&self, files: &Files) -> Effects {
        let (source, target, remove): (Files, &str, bool) = match self {
            Self::Up(on_disk, to, remove) => {
                let named =
                    on_disk.iter().map(|(name, content, _)| ((*name).to_owned(), content.clone()));
                (named.collect(), to, *remove)
            }
            Self::Across(from, _, remove) => {
                let inside = files.iter().filter(|(name, _)| bucket_of(name).is_empty());
                let below =
                    inside.filter_map(|(name, content)| Some((name.strip_prefix(from)?, content)));
                (
                    below.map(|(name, content)| (name.to_owned(), content.clone())).collect(),
                    OTHER,
                    *remove,
                )
            }
            Self::RemoveAll(folder) => (Files::new(), folder, true),
            Self::RemoveBucket => (Files::new(), OTHER, true),
            _ => return Effects::new(),
        };
        let mut effects = Effects::new();
        for (name, content) in &source {
            let name = format!("{target}{name}");
            if files.get(&name) != Some(content) {
                effects.push((name, Some(content.clone())));
            }
        }
        let there = files.keys().filter(|name| bucket_of(name) == bucket_of(target));
        let surplus = there.filter(|name| {
            name.strip_prefix(target).is_some_and(|name| !source.contains_key(name))
        });
        effects.extend(surplus.filter(|_| remove).map(|name| (name.clone(), None)));
        effects
    }

    /// Returns its answer when nothing fails.
    pub(crate) fn answer(&self, files: &Files) -> Option<String> {
        let own = || files.iter().filter(|(name, _)| bucket_of(name).is_empty());
        match self {
            Self::Verify(name) => {
                let content = files.get(*name)?;
                Some(format!("{} {}", content.len(), Sha256Digest::of(content)))
            }
            Self::List => {
                Some(own().map(|(name, content)| format!("{name} {}\n", content.len())).collect())
            }
            Self::Stats => Some(format!(
                "{} {:?}",
                own().count(),
                Some(own().map(|(_, it)| it.len() as u64).sum::<u64>())
            )),
            _ => None,
        }
    }

    /// Returns the disk that it writes to.
    pub(crate) fn disk(&self) -> Option<&Disk> {
        if let Self::Down(_, disk, _) = self { Some(disk) } else { None }
    }

    /// Returns whether its writes only save time at the next run.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(self, Self::List | Self::Stats)
    }

    pub(crate) async fn perform(
        &self,
        service: &DeltaService,
    ) -> Result<Option<String>, ServiceError> {
        let (bucket, other) = (object("x").bucket, object("other:x").bucket);
        match self {
            Self::Up(on_disk, to, remove) => {
                let folder = tempfile::tempdir().unwrap();
                on_disk.iter().for_each(|file| write(folder.path(), file));
                let to = Folder::in_bucket(&bucket, to);
                carry_out(
                    service,
                    &Folder::Local(folder.path().to_owned()),
                    &to,
                    Compare::SizeAndTime,
                    *remove,
                )
                .await?;
            }
            Self::Across(from, compare, remove) => {
                let (from, to) = (Folder::in_bucket(&bucket, from), Folder::in_bucket(&other, ""));
                carry_out(service, &from, &to, *compare, *remove).await?;
            }
            Self::Down(from, disk, remove) => {
                let to = Folder::Local(disk.path().to_owned());
                carry_out(
                    service,
                    &Folder::in_bucket(&bucket, from),
                    &to,
                    Compare::SizeAndTime,
                    *remove,
                )
                .await?;
            }
            Self::MakeBucket => match service.store().create_bucket(&third()).await {
                // A call whose answer was lost has created it.
                Err(error) if error.kind == StorageErrorKind::AlreadyExists => {}
                made => made?,
            },
            Self::RemoveAll(folder) => {
                remove_all(service, &object(&format!("{folder}x")).bucket, folder).await?
            }
            Self::RemoveBucket => {
                remove_all(service, &other, "").await?;
                service.remove_bucket(&other, true).await?;
            }
            Self::Presign(name) => {
                service.presign_get(&object(name), Duration::from_secs(60), true).await?;
            }
            Self::Purge => {
                if let Some((_, error)) = service.purge(&bucket, false).await?.failed.pop() {
                    return Err(error);
                }
            }
            Self::Verify(name) => {
                let report = service.verify(&object(name), StatedChecksums::default()).await?;
                return Ok(report
                    .compared
                    .sha256()
                    .map(|digest| format!("{} {digest}", report.size)));
            }
            Self::List => {
                let (mut listing, mut lines) =
                    (service.list(&bucket, "", None).learning(), String::new());
                while let Some(page) = listing.next().await? {
                    let files = page.files.into_iter().filter(|file| file.is_shown());
                    files.for_each(|file| lines += &format!("{} {}\n", file.key, file.size));
                }
                return Ok(Some(lines));
            }
            Self::Stats => {
                let stats =
                    service.stats(&bucket, "", StatsMode::Detailed, StatsCache::Use).await?;
                return Ok(Some(format!("{} {:?}", stats.object_count, stats.total_size)));
            }
            Self::Temporary(name, expires) => {
                let expires =
                    expires.map(|expires| ("dg-expires-at".to_owned(), expires.to_owned()));
                let rehydrated = ("dg-rehydrated".to_owned(), "true".to_owned());
                let metadata = [rehydrated].into_iter().chain(expires).collect();
                let attributes = Attributes { metadata, ..Attributes::default() };
                let name = object(&format!("{TEMPORARIES}{name}"));
                service
                    .store()
                    .put(&name, PutBody::from_bytes("old"), &attributes, &PutCondition::None.into())
                    .await?;
            }
        }
        Ok(None)
    }

    /// Checks the disk, buckets and copies for URLs after any fault, and that they are complete if
    /// `done`.
    pub(crate) async fn beside(
        &self,
        store: &MemoryStore,
        files: &Files,
        done: bool,
    ) -> Result<(), String> {
        let request = ListRequest { prefix: TEMPORARIES.to_owned(), ..ListRequest::default() };
        let page = store.list(&object("x").bucket, &request).await.unwrap();
        match self {
            Self::Down(from, disk, remove) => {
                let below = files
                    .iter()
                    .filter_map(|(name, content)| Some((name.strip_prefix(from)?, content)));
                let source =
                    below.map(|(name, content)| (name.to_owned(), content.clone())).collect();
                disk.check(&source, *remove, done)
            }
            Self::MakeBucket if done => {
                let there = store.list(&third(), &ListRequest::default()).await;
                there.map(drop).map_err(|error| error.to_string())
            }
            Self::Presign(name) => {
                for copy in &page.objects {
                    let body = store.get(&object(copy.key.as_str()), None).await.unwrap();
                    let bytes =
                        body.stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
                    if files.get(*name) != Some(&bytes) {
                        return Err(format!("{} is no copy of {name}", copy.key));
                    }
                }
                if done && page.objects.is_empty() {
                    Err("there is no copy".to_owned())
                } else {
                    Ok(())
                }
            }
            Self::Purge => {
                let there = |name: &&str| {
                    page.objects
                        .iter()
                        .any(|copy| copy.key.as_str() == format!("{TEMPORARIES}{name}"))
                };
                if let Some(name) = ["lasts", "says-nothing"].iter().find(|name| !there(name)) {
                    return Err(format!("{name} was purged"));
                }
                match EXPIRED.iter().find(|name| done && there(name)) {
                    Some(name) => Err(format!("{name} was not purged")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

fn third() -> BucketName {
    BucketName::new("third").unwrap()
}

/// Syncs as the command line does, one file after the other: a failure does not stop later files,
/// but then nothing is deleted.
async fn carry_out(
    service: &DeltaService,
    from: &Folder,
    to: &Folder,
    compare: Compare,
    remove: bool,
) -> Result<(), ServiceError> {
    let options = SyncOptions { compare, remove, filter: Arc::new(|_: &str| true), dryrun: false };
    let (steps, mut failed) = (service.sync(from, to, options).await?, None);
    let report = |_: Action, outcome: Result<Transferred, ServiceError>| {
        failed = failed.take().or(outcome.err());
        Ok::<_, ServiceError>(())
    };
    service.transfer(steps, &TransferOptions::default(), 1, report).await?;
    failed.map_or(Ok(()), Err)
}

async fn remove_all(
    service: &DeltaService,
    bucket: &BucketName,
    prefix: &str,
) -> Result<(), ServiceError> {
    let mut failed = None;
    let report = |name: &ObjectName, outcome: Result<ListedRemoval, ServiceError>| {
        assert!(!matches!(outcome, Ok(ListedRemoval::Replaced)), "{name}");
        failed = failed.take().or(outcome.err());
        Ok::<_, ServiceError>(())
    };
    service.delete_all(bucket, prefix, report).await?;
    failed.map_or(Ok(()), Err)
}

/// Returns an empty answer for a bucket that was deleted.
pub(crate) fn unless_no_bucket<T: Default>(
    answer: Result<T, StorageError>,
) -> Result<T, StorageError> {
    match answer {
        Err(error) if error.kind == StorageErrorKind::NoSuchBucket => Ok(T::default()),
        answer => answer,
    }
}

pub(crate) fn many() -> Vec<Scenario> {
    let text = || Op::Foreign("t.txt", version(0));
    // A length that no version has.
    let stale = |name| Op::Put(name, noise(900, 7));
    // The objects that exist on the fourth day.
    let there = [delta("s/a.zip", 1), delta("s/b.zip", 2), text()];
    let on_disk = |files: &[(&'static str, u64, u64)]| -> Vec<OnDisk> {
        files.iter().map(|&(name, n, days)| (name, version(n), days)).collect()
    };
    let changed = on_disk(&[("a.zip", 1, 0), ("b.zip", 3, 3), ("d.txt", 5, 3)]);
    let namesakes = vec![("a.zip", version(1), 3), ("a.zip.delta", b"a patch".to_vec(), 3)];
    let on_the_disk = || {
        let there = on_disk(&[("a.zip", 1, 40), ("b.zip", 5, 40), ("sub/z.zip", 6, 40)]);
        Arc::new(Disk::with(there))
    };
    let empty = Arc::new(Disk::with(Vec::new()));
    let below = [
        delta("s/a.zip", 1),
        delta("s/b.zip", 2),
        direct("s/sub/c.zip", 3),
        Op::Foreign("s/d.txt", version(4)),
    ];
    let renamed = on_disk(&[("e.zip", 1, 3), ("f.zip", 2, 3)]);
    let across = [delta("s/a.zip", 1), delta("s/b.zip", 2), Op::Foreign("s/d.txt", version(4))];
    let half_there =
        [&across[..], &[stale("other:a.zip"), delta("other:b.zip", 2), delta("other:z.zip", 6)]]
            .concat();
    // Another length too, so that an outdated entry would be noticed.
    let changed_since = Op::Put("03.zip", [version(4), noise(20, 9)].concat());
    let many: Vec<Op> = (0..17).map(|n| delta(NAMES[n], n as u64 + 1)).chain([text()]).collect();
    let expired = |name| Op::Many(Many::Temporary(name, Some("2020-01-01T00:00:00")));
    let temporaries = [
        expired(EXPIRED[0]),
        expired(EXPIRED[1]),
        Op::Many(Many::Temporary("lasts", Some("2999-01-01T00:00:00"))),
        Op::Many(Many::Temporary("says-nothing", None)),
    ];
    let (by_time, by_content) = (Compare::SizeAndTime, Compare::Content);
    let scenario = |name, before: &[Op], op| scenario(name, before, Op::Many(op));
    vec![
        scenario(
            "sync up, into an empty folder",
            &[text()],
            Many::Up(changed.clone(), "s/", false),
        ),
        scenario("sync up, what has changed", &there, Many::Up(changed.clone(), "s/", false)),
        scenario(
            "sync up, with removal of what is not there",
            &there,
            Many::Up(renamed, "s/", true),
        ),
        scenario(
            "sync up, a file beside one of its delta's name",
            &[text()],
            Many::Up(namesakes, "s/", false),
        ),
        scenario("sync down, to an empty folder", &below, Many::Down("s/", empty, false)),
        scenario("sync down, over what is there", &below, Many::Down("s/", on_the_disk(), false)),
        scenario(
            "sync down, with removal of what is not there",
            &below,
            Many::Down("s/", on_the_disk(), true),
        ),
        scenario("sync across, to an empty bucket", &across, Many::Across("s/", by_time, false)),
        scenario("sync across, with removal", &half_there, Many::Across("s/", by_time, true)),
        scenario("migrate, to an empty bucket", &across, Many::Across("", by_content, false)),
        scenario(
            "migrate, what an earlier run left over",
            &half_there,
            Many::Across("s/", by_content, false),
        ),
        scenario(
            "remove all, of a folder",
            &[&there[..], &[delta("s10/a.zip", 1)]].concat(),
            Many::RemoveAll("s/"),
        ),
        scenario("remove all, of a bucket", &half_there, Many::RemoveBucket),
        scenario("make a bucket", &there, Many::MakeBucket),
        scenario("presign, a delta", &there, Many::Presign("s/b.zip")),
        scenario("purge", &[&there[..], &temporaries].concat(), Many::Purge),
        scenario("verify, a delta", &there, Many::Verify("s/b.zip")),
        scenario("verify, a file as it is", &[direct("b.zip", 2)], Many::Verify("b.zip")),
        scenario("list, for the first time", &many, Many::List),
        scenario(
            "list, by an index",
            &[&many[..], &[Op::Many(Many::List), changed_since]].concat(),
            Many::List,
        ),
        scenario("stats, for the first time", &many, Many::Stats),
        scenario(
            "stats, of an unchanged bucket",
            &[&many[..], &[Op::Many(Many::Stats)]].concat(),
            Many::Stats,
        ),
    ]
}

/// The names of files in one folder.
const NAMES: [&str; 17] = [
    "00.zip", "01.zip", "02.zip", "03.zip", "04.zip", "05.zip", "06.zip", "07.zip", "08.zip",
    "09.zip", "10.zip", "11.zip", "12.zip", "13.zip", "14.zip", "15.zip", "16.zip",
];
