//! `presign` and `rehydrate`: files for readers without this client.

use std::time::Duration;

use super::DeltaGlider;
use super::error::Error;
use super::location::Location;
use crate::domain::ObjectName;
use crate::service::PresignedUrl;

const PRESIGN: &str = "presign";
const REHYDRATE: &str = "rehydrate";

/// The default lifetime of a URL and of a copy.
const LIFETIME: Duration = Duration::from_secs(3600);

impl DeltaGlider {
    /// Creates a URL to read a file, for one hour unless [`expires_in`](PresignFile::expires_in)
    /// says otherwise. The embedded store has no URLs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](super::ErrorKind::Unsupported) for a delta, unless a copy may be
    /// [stored](PresignFile::rehydrate) for it.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let dg = DeltaGlider::builder()
    ///     .endpoint("https://s3.example.com")
    ///     .region("eu-central-1")
    ///     .credentials("AKIAIOSFODNN7EXAMPLE", "secret")
    ///     .build()
    ///     .await?;
    /// let upload = dg.presign("s3://releases/.incoming/app.bin").for_upload();
    /// # let _ = upload;
    /// # Ok(()) }
    /// ```
    pub fn presign(&self, file: impl Into<Location>) -> PresignFile {
        PresignFile {
            client: self.clone(),
            file: file.into(),
            expires_in: LIFETIME,
            rehydrate: false,
            upload: false,
        }
    }

    /// Stores a copy of a delta's file that any S3 client can read, and returns its name.
    /// [`purge`](Self::purge) deletes it once it has expired. A file that is no delta is not
    /// copied: its own stored object is returned.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// # dg.put("s3://releases/app.zip", vec![7; 10_000]).await?;
    /// let copy = dg.rehydrate("s3://releases/app.zip").await?;
    /// assert!(copy.key.as_str().starts_with(".deltaglider/tmp/"));
    /// assert_eq!(dg.get(&copy).raw().await?.bytes().await?.len(), 10_000);
    /// # Ok(()) }
    /// ```
    pub fn rehydrate(&self, file: impl Into<Location>) -> RehydrateFile {
        RehydrateFile { client: self.clone(), file: file.into(), expires_in: LIFETIME }
    }
}

/// A URL with its options; see [`DeltaGlider::presign`].
#[derive(Debug)]
#[must_use = "nothing is signed before the call is awaited"]
pub struct PresignFile {
    client: DeltaGlider,
    file: Location,
    expires_in: Duration,
    rehydrate: bool,
    upload: bool,
}

verb!(PresignFile => PresignedUrl);

impl PresignFile {
    /// Sets the lifetime of the URL, from 1 second to 7 days.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = lifetime;
        self
    }

    /// Stores a copy of a delta's file for the URL.
    pub fn rehydrate(mut self) -> Self {
        self.rehydrate = true;
        self
    }

    /// Makes the URL one to write the file, which is stored as it is sent.
    pub fn for_upload(mut self) -> Self {
        self.upload = true;
        self
    }

    async fn run(self) -> Result<PresignedUrl, Error> {
        let object = self.file.object(PRESIGN)?;
        let service = self.client.service();
        let url = match self.upload {
            true => service.presign_put(&object, self.expires_in).await,
            false => service.presign_get(&object, self.expires_in, self.rehydrate).await,
        };
        url.map_err(Error::of(PRESIGN, &object))
    }
}

/// A copy for other readers with its options; see [`DeltaGlider::rehydrate`].
#[derive(Debug)]
#[must_use = "nothing is stored before the call is awaited"]
pub struct RehydrateFile {
    client: DeltaGlider,
    file: Location,
    expires_in: Duration,
}

verb!(RehydrateFile => ObjectName);

impl RehydrateFile {
    /// Sets the lifetime of the copy, from 1 second to 7 days; one hour by default.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = lifetime;
        self
    }

    async fn run(self) -> Result<ObjectName, Error> {
        let object = self.file.object(REHYDRATE)?;
        let copy = self.client.service().rehydrate(&object, self.expires_in).await;
        copy.map_err(Error::of(REHYDRATE, &object))
    }
}
