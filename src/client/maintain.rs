//! `verify`, `stats`, `repair` and `purge`.

use std::time::{Duration, SystemTime};

use super::DeltaGlider;
use super::error::Error;
use super::location::Location;
use super::progress::{Meter, Progress};
use crate::domain::ObjectName;
use crate::service::{
    Compared, Purge, RepairOptions, RepairReport, StatedChecksums, Stats, StatsCache, StatsMode,
};

const VERIFY: &str = "verify";
const STATS: &str = "count";
const REPAIR: &str = "repair";
const PURGE: &str = "purge";

impl DeltaGlider {
    /// Reads a file as a get does, with its reference from the store instead of the cache, and
    /// discards the bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](super::ErrorKind::Corrupt) if it cannot be restored, or has another
    /// SHA-256 than it should.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// # dg.put("s3://releases/app.zip", vec![7; 10_000]).await?;
    /// let verified = dg.verify("s3://releases/app.zip").await?;
    /// assert!(verified.compared.sha256().is_some());
    /// # Ok(()) }
    /// ```
    pub fn verify(&self, file: impl Into<Location>) -> VerifyFile {
        let stated = StatedChecksums::Require;
        VerifyFile { client: self.clone(), file: file.into(), stated, meter: Meter::default() }
    }

    /// Counts the files under a prefix, their bytes, and what is stored for them.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// # dg.put("s3://releases/app.zip", vec![7; 10_000]).await?;
    /// let stats = dg.stats("s3://releases").await?;
    /// assert_eq!((stats.object_count, stats.total_size), (1, Some(10_000)));
    /// # Ok(()) }
    /// ```
    pub fn stats(&self, prefix: impl Into<Location>) -> CountStats {
        let (mode, kept) = (StatsMode::default(), StatsCache::default());
        CountStats { client: self.clone(), prefix: prefix.into(), mode, kept }
    }

    /// Examines every object of a bucket and reports defects, among them what calls that were
    /// abandoned have left; with [`fix`](RepairBucket::fix), repairs what can be repaired without
    /// loss.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// assert!(dg.repair("releases").fix().await?.findings.is_empty());
    /// # Ok(()) }
    /// ```
    pub fn repair(&self, bucket: impl Into<Location>) -> RepairBucket {
        let (fix, grace) = (false, RepairOptions::GRACE);
        let bucket = bucket.into();
        RepairBucket { client: self.clone(), bucket, fix, grace, meter: Meter::default() }
    }

    /// Deletes the copies of files that were made for URLs and have expired.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// # dg.put("s3://releases/app.zip", vec![7; 10_000]).await?;
    /// dg.rehydrate("s3://releases/app.zip").await?;
    /// let purged = dg.purge("releases").await?;
    /// assert_eq!((purged.removed.len(), purged.waiting), (0, 1));
    /// # Ok(()) }
    /// ```
    pub fn purge(&self, bucket: impl Into<Location>) -> PurgeBucket {
        PurgeBucket { client: self.clone(), bucket: bucket.into(), dry_run: false }
    }
}

/// A verification with its options; see [`DeltaGlider::verify`].
#[derive(Debug)]
#[must_use = "nothing is verified before the call is awaited"]
pub struct VerifyFile {
    client: DeltaGlider,
    file: Location,
    stated: StatedChecksums,
    meter: Meter,
}

verb!(VerifyFile => Verification);

impl VerifyFile {
    /// Sets the treatment of checksums that the store states of a file without a SHA-256; by
    /// default they must match.
    pub fn stated_checksums(mut self, stated: StatedChecksums) -> Self {
        self.stated = stated;
        self
    }

    /// Calls `listener` whenever bytes were received.
    pub fn progress(mut self, listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.meter = Meter::new(listener);
        self
    }

    async fn run(self) -> Result<Verification, Error> {
        let object = self.file.object(VERIFY)?;
        let report = self.client.observed(&self.meter).verify(&object, self.stated).await;
        let report = report.map_err(Error::of(VERIFY, &object))?;
        let (size, compared, older) = (report.size, report.compared, report.older);
        Ok(Verification { object, size, compared, older })
    }
}

/// The result of a verification.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Verification {
    /// The file.
    pub object: ObjectName,
    /// The size of the file in bytes.
    pub size: u64,
    /// The checksum the bytes were compared with.
    pub compared: Compared,
    /// Older objects of the name, which are not served.
    pub older: Vec<ObjectName>,
}

/// A count with its options; see [`DeltaGlider::stats`].
#[derive(Debug)]
#[must_use = "nothing is counted before the call is awaited"]
pub struct CountStats {
    client: DeltaGlider,
    prefix: Location,
    mode: StatsMode,
    kept: StatsCache,
}

verb!(CountStats => Stats);

impl CountStats {
    /// Sets the effort; exact sizes by default.
    pub fn mode(mut self, mode: StatsMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the use of statistics that are kept in the bucket.
    pub fn kept(mut self, kept: StatsCache) -> Self {
        self.kept = kept;
        self
    }

    async fn run(self) -> Result<Stats, Error> {
        let uri = self.prefix.prefix(STATS)?;
        let service = self.client.service();
        let stats = service.stats(&uri.bucket, &uri.path, self.mode, self.kept).await;
        stats.map_err(Error::of(STATS, &self.prefix))
    }
}

/// A repair with its options; see [`DeltaGlider::repair`].
#[derive(Debug)]
#[must_use = "nothing is examined before the repair is awaited"]
pub struct RepairBucket {
    client: DeltaGlider,
    bucket: Location,
    fix: bool,
    grace: Duration,
    meter: Meter,
}

verb!(RepairBucket => RepairReport);

impl RepairBucket {
    /// Repairs what can be repaired, instead of only reporting it.
    pub fn fix(mut self) -> Self {
        self.fix = true;
        self
    }

    /// Sets the age at which an unneeded object is deleted, 7 days by default. It must exceed the
    /// duration of any put.
    pub fn grace(mut self, age: Duration) -> Self {
        self.grace = age;
        self
    }

    /// Calls `listener` whenever bytes were received or sent.
    pub fn progress(mut self, listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.meter = Meter::of_many(listener);
        self
    }

    async fn run(self) -> Result<RepairReport, Error> {
        let bucket = self.bucket.bucket(REPAIR)?;
        let options = RepairOptions { fix: self.fix, grace: self.grace, now: SystemTime::now() };
        let report = self.client.observed(&self.meter).repair(&bucket, &options).await;
        report.map_err(Error::of(REPAIR, &self.bucket))
    }
}

/// A purge with its options; see [`DeltaGlider::purge`].
#[derive(Debug)]
#[must_use = "nothing is deleted before the purge is awaited"]
pub struct PurgeBucket {
    client: DeltaGlider,
    bucket: Location,
    dry_run: bool,
}

verb!(PurgeBucket => Purge);

impl PurgeBucket {
    /// Deletes nothing; the report states what would be deleted.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    async fn run(self) -> Result<Purge, Error> {
        let bucket = self.bucket.bucket(PURGE)?;
        let purged = self.client.service().purge(&bucket, self.dry_run).await;
        purged.map_err(Error::of(PURGE, &self.bucket))
    }
}
