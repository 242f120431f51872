//! `download`: a file, written to a local path.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::DeltaGlider;
use super::error::{Error, ErrorKind};
use super::location::Location;
use super::progress::{Meter, Progress};
use crate::domain::{ObjectName, paths};
use crate::service::{Compared, GetOptions, GetReport, StatedChecksums};
use crate::storage::{Attributes, ETag};

const DOWNLOAD: &str = "download";

impl DeltaGlider {
    /// Writes a file to a local path, with its time and mode. A path that is a directory or ends
    /// with `/` is completed by the name of the file.
    ///
    /// The path has the whole file, once its SHA-256 agrees, or what it had before.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path().join("store")).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// dg.put("s3://releases/notes.txt", "what is new").await?;
    /// let downloaded = dg.download("s3://releases/notes.txt", folder.path()).await?;
    /// assert_eq!(std::fs::read_to_string(downloaded.path)?, "what is new");
    /// # Ok(()) }
    /// ```
    pub fn download(&self, from: impl Into<Location>, to: impl AsRef<Path>) -> DownloadFile {
        DownloadFile {
            client: self.clone(),
            from: from.into(),
            to: to.as_ref().to_owned(),
            options: GetOptions::default(),
            meter: Meter::default(),
        }
    }
}

/// A download with its options; see [`DeltaGlider::download`].
#[derive(Debug)]
#[must_use = "nothing is written before the download is awaited"]
pub struct DownloadFile {
    client: DeltaGlider,
    from: Location,
    to: PathBuf,
    options: GetOptions,
    meter: Meter,
}

verb!(DownloadFile => Downloaded);

impl DownloadFile {
    /// Writes the bytes stored at exactly this key, whatever they are.
    pub fn raw(mut self) -> Self {
        self.options.raw = true;
        self
    }

    /// Writes the unpacked content, to `path` with `.unpacked` appended, of a file that an older
    /// tool unpacked and that cannot be compressed again to the same bytes.
    pub fn allow_recompressed(mut self) -> Self {
        self.options.allow_recompressed = true;
        self
    }

    /// Sets the treatment of checksums that the store states of files without a SHA-256.
    pub fn stated_checksums(mut self, stated: StatedChecksums) -> Self {
        self.options.stated = stated;
        self
    }

    /// Calls `listener` whenever bytes were received or written.
    pub fn progress(mut self, listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.meter = Meter::new(listener);
        self
    }

    async fn run(self) -> Result<Downloaded, Error> {
        let Self { client, from, to, options, meter } = self;
        let object = from.object(DOWNLOAD)?;
        let path = match to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/") {
            true => {
                let name = paths::file_name(object.key.base_name());
                let odd = |error| Error::new(ErrorKind::InvalidInput, DOWNLOAD, &object, error);
                to.join(name.map_err(odd)?)
            }
            false => to,
        };
        let service = client.observed(&meter);
        let written = service.get_to_file(&object, &path, &options).await;
        let (path, report) = written.map_err(Error::of(DOWNLOAD, &object))?;
        Ok(Downloaded::of(object, path, report))
    }
}

/// The result of a download.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Downloaded {
    /// The file.
    pub object: ObjectName,
    /// The path it was written to.
    pub path: PathBuf,
    /// The number of bytes written.
    pub size: u64,
    /// The checksum the bytes were compared with.
    pub compared: Compared,
    /// True if the unpacked content was written instead of the file.
    pub is_unpacked: bool,
    /// The tag of the stored object.
    pub etag: ETag,
    /// The store's time of the stored object.
    pub last_modified: SystemTime,
    /// Headers, class, encryption and the user's own metadata.
    pub attributes: Attributes,
}

impl Downloaded {
    fn of(object: ObjectName, path: PathBuf, report: GetReport) -> Self {
        let GetReport { size, compared, etag, last_modified, attributes, unpacked, .. } = report;
        let is_unpacked = unpacked.is_some();
        Self { object, path, size, compared, is_unpacked, etag, last_modified, attributes }
    }
}
