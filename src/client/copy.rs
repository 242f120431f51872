//! `copy` and `rename`: inside the store.

use super::DeltaGlider;
use super::error::{Error, ErrorKind};
use super::location::Location;
use super::progress::{Meter, Progress};
use super::put::Stored;
use crate::service::{AllowDelta, Source, StatedChecksums, Step, TransferOptions, Transferred};

const COPY: &str = "copy";
const RENAME: &str = "rename";

impl DeltaGlider {
    /// Copies a file to another name, in the same bucket or another one of the store. Headers,
    /// metadata, class, encryption and tags are those of the source; a delta is copied as a delta
    /// where its reference serves the copy.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// # dg.put("s3://releases/app.zip", vec![7; 10_000]).await?;
    /// let copied = dg.copy("s3://releases/app.zip", "s3://releases/latest.zip").await?;
    /// assert!(copied.stored < 1000);
    /// # Ok(()) }
    /// ```
    pub fn copy(&self, from: impl Into<Location>, to: impl Into<Location>) -> CopyFile {
        CopyFile {
            client: self.clone(),
            from: from.into(),
            to: to.into(),
            delta: true,
            stated: StatedChecksums::default(),
            meter: Meter::default(),
        }
    }

    /// Copies a file to another name and deletes the source, if it still is the one that was
    /// copied.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if the file was copied, and the source stays because it was replaced
    /// since, or has an older object that cannot be deleted safely.
    ///
    /// ```
    /// # use deltaglider::{DeltaGlider, ErrorKind};
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// # dg.put("s3://releases/app.zip", vec![7; 10_000]).await?;
    /// dg.rename("s3://releases/app.zip", "s3://releases/app-1.0.zip").await?;
    /// let absent = dg.head("s3://releases/app.zip").await.unwrap_err();
    /// assert_eq!(absent.kind(), ErrorKind::NotFound);
    /// # Ok(()) }
    /// ```
    pub fn rename(&self, from: impl Into<Location>, to: impl Into<Location>) -> RenameFile {
        RenameFile(self.copy(from, to))
    }
}

/// A copy with its options; see [`DeltaGlider::copy`].
#[derive(Debug)]
#[must_use = "nothing is copied before the copy is awaited"]
pub struct CopyFile {
    client: DeltaGlider,
    from: Location,
    to: Location,
    delta: bool,
    stated: StatedChecksums,
    meter: Meter,
}

/// A rename with its options; see [`DeltaGlider::rename`].
#[derive(Debug)]
#[must_use = "nothing is renamed before the rename is awaited"]
pub struct RenameFile(CopyFile);

verb!(CopyFile => Stored);
verb!(RenameFile => Stored);

impl CopyFile {
    /// Stores the copy as it is, whatever its name.
    pub fn without_delta(mut self) -> Self {
        self.delta = false;
        self
    }

    /// Sets the treatment of checksums that the store states of a source without a SHA-256.
    pub fn stated_checksums(mut self, stated: StatedChecksums) -> Self {
        self.stated = stated;
        self
    }

    /// Calls `listener` whenever bytes were received or sent.
    pub fn progress(mut self, listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.meter = Meter::new(listener);
        self
    }

    async fn run(self) -> Result<Stored, Error> {
        let (from, to) = (self.from.object(COPY)?, self.to.object(COPY)?);
        let service = self.client.observed(&self.meter);
        let copied = service.copy_comparing(&from, &to, self.delta, self.stated).await;
        Ok(Stored::of(to, copied.map_err(Error::of(COPY, &from))?))
    }
}

impl RenameFile {
    /// Stores the renamed file as it is, whatever its name.
    pub fn without_delta(self) -> Self {
        Self(self.0.without_delta())
    }

    /// Calls `listener` whenever bytes were received or sent.
    pub fn progress(self, listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self(self.0.progress(listener))
    }

    async fn run(self) -> Result<Stored, Error> {
        let copy = self.0;
        let (from, to) = (copy.from.object(RENAME)?, copy.to.object(RENAME)?);
        let service = copy.client.observed(&copy.meter);
        let mut options =
            TransferOptions { delta: copy.delta, moving: true, ..TransferOptions::default() };
        options.get.stated = copy.stated;
        let step = Step::Copy(from.clone(), to.clone(), AllowDelta(true));
        let done = service.transfer_one(step, &options).await.map_err(Error::of(RENAME, &from))?;
        let Transferred::Copied { report, source, .. } = done else {
            return Err(Error::new(ErrorKind::Other, RENAME, &from, "nothing was copied"));
        };
        let stays = |why: &str| Err(Error::new(ErrorKind::Conflict, RENAME, &from, why));
        match source {
            Source::Deleted => Ok(Stored::of(to, report)),
            Source::Failed(error) => Err(Error::of(RENAME, &from)(error)),
            Source::Replaced => stays("it was copied, and stays: it was replaced since"),
            Source::HasOlder => stays("it was copied, and stays: its name has an older object"),
            _ => stays("it was copied, and stays: its bytes do not match the store's checksum"),
        }
    }
}
