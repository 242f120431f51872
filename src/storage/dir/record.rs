//! The file of one object: a fixed part, a head in JSON, and the body. `docs/embedded-store.md`
//! specifies the layout.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::domain::{Sha256Digest, Sha256Hasher};
use crate::storage::{Attributes, ETag, Encryption, ObjectHead, StorageErrorKind};

use super::io_error::Fault;
use super::name::hex_digits;
use super::temporaries::Temporaries;

const MAGIC: &[u8; 8] = b"dgobject";
const VERSION: u32 = 1;
/// The length of the fixed part in bytes, including the digest of the head.
const FIXED: usize = 96;
/// The bytes of the fixed part that the digest of the head covers; it covers the JSON after them.
const COVERED: usize = 64;
/// The maximum length of the JSON in bytes: far more than a key, 2 KiB of metadata, ten tags and a
/// few headers take. Keeps a damaged length from making a reader allocate 4 GiB.
const MAX_JSON: usize = 64 << 10;
/// The size of the first read in bytes; it covers the head of nearly every object.
const FIRST_READ: usize = 4096;
/// The size of a body's pieces in bytes.
const PIECE: u64 = 256 << 10;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Head {
    key: String,
    /// 16 random bytes as digits, so that no two writes have the same head; older objects have
    /// none.
    #[serde(skip_serializing_if = "String::is_empty")]
    write: String,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    metadata: std::collections::BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<Encryption>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    tags: std::collections::BTreeMap<String, String>,
}

/// An object that is being written to a temporary of this process; dropping it deletes the
/// temporary.
#[derive(Debug)]
pub(super) struct Draft {
    file: NamedTempFile,
    json: Vec<u8>,
    hasher: Sha256Hasher,
    written: u64,
    // Declared after the file: the directory must outlive the files in it.
    _temporaries: Arc<Temporaries>,
}

impl Draft {
    pub(super) fn new(
        temporaries: Arc<Temporaries>,
        key: &str,
        attributes: &Attributes,
    ) -> Result<Self, Fault> {
        let attributes = attributes.clone();
        let head = Head {
            key: key.to_owned(),
            write: random_digits()?,
            metadata: attributes.metadata,
            content_type: attributes.content_type,
            cache_control: attributes.cache_control,
            content_disposition: attributes.content_disposition,
            content_encoding: attributes.content_encoding,
            content_language: attributes.content_language,
            expires: attributes.expires,
            storage_class: attributes.storage_class.map(|class| class.to_string()),
            encryption: attributes.encryption,
            tags: attributes.tags,
        };
        let json = serde_json::to_vec(&head).map_err(io::Error::from)?;
        if json.len() > MAX_JSON {
            let why = format!("headers of {} bytes; at most {MAX_JSON} are taken", json.len());
            return Err(Fault::because(StorageErrorKind::Invalid, why));
        }
        let mut file = temporaries.file()?;
        // The fixed part is written last: until then the file is not a valid object.
        file.write_all(&[0; FIXED])?;
        file.write_all(&json)?;
        Ok(Self {
            file,
            json,
            hasher: Sha256Hasher::default(),
            written: 0,
            _temporaries: temporaries,
        })
    }

    pub(super) fn append(&mut self, pieces: &[Bytes]) -> Result<(), Fault> {
        for piece in pieces {
            self.file.write_all(piece)?;
            self.hasher.update(piece);
            self.written += piece.len() as u64;
        }
        Ok(())
    }

    /// Completes the file and makes it durable, under its temporary name. Dates the object `now`,
    /// or after `newer_than` if that is later.
    pub(super) fn seal(
        self,
        now: SystemTime,
        newer_than: Option<SystemTime>,
    ) -> Result<Sealed, Fault> {
        let time = match newer_than {
            Some(replaced) => nanoseconds(now).max(nanoseconds(replaced).saturating_add(1)),
            None => nanoseconds(now),
        };
        let mut sealed = Sealed {
            file: self.file,
            json: self.json,
            body_len: self.written,
            body_digest: self.hasher.finish(),
            time,
            etag: ETag(String::new()),
            _temporaries: self._temporaries,
        };
        sealed.write_fixed()?;
        Ok(sealed)
    }
}

/// Returns the nanoseconds since 1970, capped at the format's limit (the year 2554).
fn nanoseconds(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

fn random_digits() -> Result<String, Fault> {
    let mut bytes = [0; 16];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| Fault::because(StorageErrorKind::Other, error))?;
    Ok(bytes.iter().flat_map(|&byte| hex_digits(byte)).collect())
}

/// A complete object that has no name yet.
#[derive(Debug)]
pub(super) struct Sealed {
    file: NamedTempFile,
    json: Vec<u8>,
    body_len: u64,
    body_digest: Sha256Digest,
    /// Nanoseconds since 1970.
    time: u64,
    pub(super) etag: ETag,
    _temporaries: Arc<Temporaries>,
}

impl Sealed {
    /// Dates the object later than the one it replaces at its own key.
    pub(super) fn date_after(&mut self, replaced: SystemTime) -> Result<(), Fault> {
        let replaced = nanoseconds(replaced);
        if self.time <= replaced {
            self.time = replaced.saturating_add(1);
            self.write_fixed()?;
        }
        Ok(())
    }

    /// Writes the fixed part durably and derives the tag.
    fn write_fixed(&mut self) -> Result<(), Fault> {
        let mut fixed = Vec::with_capacity(FIXED);
        fixed.extend_from_slice(MAGIC);
        fixed.extend_from_slice(&VERSION.to_le_bytes());
        fixed.extend_from_slice(&(self.json.len() as u32).to_le_bytes());
        fixed.extend_from_slice(&self.body_len.to_le_bytes());
        fixed.extend_from_slice(&self.time.to_le_bytes());
        fixed.extend_from_slice(self.body_digest.as_bytes());
        let head_digest = Sha256Digest::of(&[&*fixed, &*self.json].concat());
        fixed.extend_from_slice(head_digest.as_bytes());
        let file = self.file.as_file();
        file.write_all_at(&fixed, 0)?;
        file.sync_all()?;
        self.etag = tag(head_digest.as_bytes());
        Ok(())
    }

    /// Links the object at an unused path; an error of kind `AlreadyExists` if the path is in use.
    pub(super) fn link(self, path: &Path) -> io::Result<()> {
        std::fs::hard_link(self.file.path(), path)
    }

    /// Renames the object to a path and replaces the file there.
    pub(super) fn rename(self, path: &Path) -> io::Result<()> {
        std::fs::rename(self.file.path(), path)?;
        // There is nothing left to delete; an error here would only report that.
        self.file.into_temp_path().keep().ok();
        Ok(())
    }
}

/// Derives the tag from the SHA-256 of the head, so that it identifies one write. It has 64 digits
/// and cannot be mistaken for an MD5, which has 32.
fn tag(digest: &[u8; 32]) -> ETag {
    ETag(digest.iter().flat_map(|&byte| hex_digits(byte)).collect())
}

/// An object's file, opened, with a verified head.
#[derive(Debug)]
pub(super) struct Record {
    file: File,
    path: PathBuf,
    pub(super) head: ObjectHead,
    pub(super) tags: std::collections::BTreeMap<String, String>,
    digest: [u8; 32],
    body_start: u64,
}

impl Record {
    /// Opens the file of the object with this key; `None` if it does not exist.
    pub(super) fn open(path: PathBuf, key: &str) -> Result<Option<Self>, Fault> {
        // A FIFO without a writer would block an open.
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // A socket cannot be opened at all; a dangling link fails too.
            Err(_) if std::fs::metadata(&path).is_ok_and(|there| !there.is_file()) => {
                return Err(no_file(&path));
            }
            Err(error) => return Err(Fault::at(&path)(error)),
        };
        if !file.metadata().map_err(Fault::at(&path))?.is_file() {
            return Err(no_file(&path));
        }
        Self::parse(file, path, key).map(Some)
    }

    fn parse(file: File, path: PathBuf, key: &str) -> Result<Self, Fault> {
        let damaged = |why: &str| Fault::damaged(&path, why);
        let mut bytes = vec![0; FIRST_READ];
        let read =
            read_up_to(&file, &mut bytes, 0).map_err(|error| Fault::damaged(&path, error))?;
        bytes.truncate(read);
        let short = || damaged("it ends within its head");
        let fixed: [u8; FIXED] = *bytes.first_chunk().ok_or_else(short)?;
        if !fixed.starts_with(MAGIC) {
            return Err(damaged("it does not begin as an object does"));
        }
        let version = u32::from_le_bytes(field(&fixed, 8));
        if version != VERSION {
            return Err(damaged(&format!("object format {version} is not known, only {VERSION}")));
        }
        let json_len = u32::from_le_bytes(field(&fixed, 12)) as usize;
        if json_len > MAX_JSON {
            return Err(damaged("its head has an impossible length"));
        }
        let body_start = FIXED + json_len;
        if bytes.len() < body_start && read == FIRST_READ {
            bytes.resize(body_start, 0);
            file.read_exact_at(&mut bytes, 0).map_err(|_| short())?;
        }
        let json = bytes.get(FIXED..body_start).ok_or_else(short)?;
        let covered = fixed.get(..COVERED).unwrap_or_default();
        let head_digest = field::<32>(&fixed, COVERED);
        if Sha256Digest::of(&[covered, json].concat()).as_bytes() != &head_digest {
            return Err(damaged("the SHA-256 of its head is wrong"));
        }
        let head: Head =
            serde_json::from_slice(json).map_err(|error| Fault::damaged(&path, error))?;
        if head.key != key {
            return Err(damaged(&format!("it holds the object {:?}", head.key)));
        }
        let digest = field(&fixed, 32);
        let attributes = Attributes {
            metadata: head.metadata,
            content_type: head.content_type,
            cache_control: head.cache_control,
            content_disposition: head.content_disposition,
            content_encoding: head.content_encoding,
            content_language: head.content_language,
            expires: head.expires,
            storage_class: head.storage_class.and_then(|class| class.parse().ok()),
            encryption: head.encryption,
            tags: head.tags,
            acl: None,
        };
        let head = ObjectHead {
            size: u64::from_le_bytes(field(&fixed, 16)),
            etag: tag(&head_digest),
            sha256: Some(Sha256Digest::from(digest)),
            stated: Vec::new(),
            last_modified: SystemTime::UNIX_EPOCH
                + Duration::from_nanos(u64::from_le_bytes(field(&fixed, 24))),
            attributes: attributes.told(),
        };
        Ok(Self { file, path, head, tags: attributes.tags, digest, body_start: body_start as u64 })
    }

    /// Rejects a file whose length differs from that in its head.
    pub(super) fn check_len(&self) -> Result<(), Fault> {
        let len = self.file.metadata().map_err(Fault::at(&self.path))?.len();
        if len == self.body_start.saturating_add(self.head.size) {
            return Ok(());
        }
        let body = len.saturating_sub(self.body_start);
        Err(Fault::damaged(&self.path, format!("its body has {body} of {} bytes", self.head.size)))
    }

    /// Returns a reader of the body's bytes in `range`; it verifies the digest if that is the whole
    /// body.
    pub(super) fn reader(self, range: std::ops::Range<u64>) -> Reader {
        let whole = range.start == 0 && range.end == self.head.size;
        Reader {
            file: self.file,
            path: self.path,
            at: self.body_start + range.start,
            end: self.body_start + range.end,
            check: whole.then(|| (Sha256Hasher::default(), self.digest)),
        }
    }
}

fn no_file(path: &Path) -> Fault {
    Fault::damaged(path, "it is not a regular file")
}

/// The entry at the path of an object.
#[derive(Debug)]
pub(super) enum Stored {
    Sound(Box<Record>),
    /// An unreadable entry, with a tag that only this file has, and the reason.
    Damaged(ETag, Fault),
}

impl Stored {
    /// Reads the entry at the path of the object with this key; `None` if nothing exists there.
    pub(super) fn at(path: &Path, key: &str) -> Result<Option<Self>, Fault> {
        match Record::open(path.to_owned(), key) {
            Err(fault) if fault.kind == StorageErrorKind::Damaged => {
                match std::fs::symlink_metadata(path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(Fault::at(path)(error)),
                    Ok(there) => Ok(Some(Self::Damaged(tag_of_damaged(&there), fault))),
                }
            }
            opened => Ok(opened?.map(|record| Self::Sound(Box::new(record)))),
        }
    }

    pub(super) fn etag(&self) -> &ETag {
        match self {
            Self::Sound(record) => &record.head.etag,
            Self::Damaged(etag, _) => etag,
        }
    }
}

fn tag_of_damaged(there: &std::fs::Metadata) -> ETag {
    let (seconds, nanoseconds) = (there.mtime(), there.mtime_nsec());
    let what =
        format!("damaged {} {} {} {seconds} {nanoseconds}", there.dev(), there.ino(), there.len());
    tag(Sha256Digest::of(what.as_bytes()).as_bytes())
}

/// Reads a body from the opened file, even if the path now leads to another one.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    path: PathBuf,
    at: u64,
    end: u64,
    check: Option<(Sha256Hasher, [u8; 32])>,
}

impl Reader {
    /// Returns the next piece. Returns the last one only if the digest of the whole body is
    /// correct.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut piece = vec![0; (self.end - self.at).min(PIECE) as usize];
        self.file.read_exact_at(&mut piece, self.at)?;
        self.at += piece.len() as u64;
        if let Some((hasher, _)) = &mut self.check {
            hasher.update(&piece);
        }
        if self.at == self.end
            && let Some((hasher, digest)) = self.check.take()
            && hasher.finish().as_bytes() != &digest
        {
            let why =
                format!("{} is damaged: the SHA-256 of its body is wrong", self.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok((!piece.is_empty()).then(|| piece.into()))
    }
}

fn read_up_to(file: &File, buffer: &mut [u8], start: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, start + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Returns `N` bytes of the fixed part; all offsets in use lie within it.
fn field<const N: usize>(fixed: &[u8; FIXED], at: usize) -> [u8; N] {
    fixed.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}
