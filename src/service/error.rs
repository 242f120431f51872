//! What went wrong with an operation, with the object or file it went wrong with.

use std::io;
use std::path::PathBuf;

use deltaglider_vcdiff::{DecodeError, EncodeError};

use crate::cache::CacheError;
use crate::domain::metadata::Field;
use crate::domain::paths::PathError;
use crate::domain::policy::Compression;
use crate::domain::{
    Deltaspace, DeltaspaceError, MAX_KEY_BYTES, NameError, ObjectName, Sha256Digest,
    UserMetadataError,
};
use crate::storage::{ChecksumKind, MAX_USER_METADATA_BYTES, StorageError, StorageErrorKind};

/// A failed operation; the cause, if there is one, is its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The store failed or refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A name no store would take.
    #[error("{object}: {source}")]
    Name {
        /// The object it was derived from.
        object: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// The deltaspace asked for cannot be that of the file.
    #[error("{object} cannot be stored in the deltaspace asked for")]
    Deltaspace {
        /// The file.
        object: ObjectName,
        /// Why.
        source: DeltaspaceError,
    },
    /// A user's metadata that cannot be kept.
    #[error("{object} cannot be stored with the metadata asked for")]
    UserMetadata {
        /// The file.
        object: ObjectName,
        /// Why.
        source: UserMetadataError,
    },
    /// User metadata that leaves no room for ours.
    #[error(
        "{object} cannot be stored with user metadata of {size} bytes: S3 keeps {MAX_USER_METADATA_BYTES} with an object, and \
         {own} of them are needed to tell how the file is stored"
    )]
    MetadataTooLarge {
        /// The file.
        object: ObjectName,
        /// Bytes of the user's names and values, as they are stored.
        size: usize,
        /// Bytes of ours at their most.
        own: usize,
    },
    /// What stands at the keys of a file, or which references there are, may not be looked at.
    #[error(
        "{0} is not stored: what is there already may not be looked at. With --no-delta it is stored without a look"
    )]
    Unseen(ObjectName, #[source] StorageError),
    /// A store said it had stored a copy, and that is not there or is something else.
    #[error("{of} was copied to {copy}, but that is no copy of it; nothing was removed")]
    NoCopy {
        /// What was copied.
        of: ObjectName,
        /// Where its copy should be.
        copy: ObjectName,
    },
    /// A local file or stream failed.
    #[error("{what}")]
    Local {
        /// The path, `standard input` or `standard output`.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// What was read could not be written where the caller wanted it.
    #[error("the output could not be written")]
    Output(#[source] io::Error),
    /// What should be sent is neither a regular file nor standard input.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// A file should be written where a directory is.
    #[error(
        "cannot write {0}: it is a directory; `sync --delete` replaces it if it would delete every file in it"
    )]
    IsDirectory(PathBuf),
    /// A file should be written below something that is no directory.
    #[error("cannot write {}: {} is not a directory; `sync --delete` replaces it if it would delete it", target.display(), obstacle.display())]
    NotADirectory {
        /// The file.
        target: PathBuf,
        /// What is in its way.
        obstacle: PathBuf,
    },
    /// A directory or file is in the way of a download, and holds what is not to be deleted.
    #[error("cannot replace {}: --delete would not delete {}", path.display(), kept.display())]
    MustStay {
        /// What is in the way.
        path: PathBuf,
        /// What must stay.
        kept: PathBuf,
    },
    /// What was renamed aside could not be renamed back.
    #[error("cannot rename {} back to {}; rename it yourself", aside.display(), path.display())]
    NotGivenBack {
        /// Its old path.
        path: PathBuf,
        /// Where it is.
        aside: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A bucket has a file and a directory of one name, which a local directory cannot have.
    #[error(
        "cannot download {object}: {other} needs a directory of this name; copy it alone, to another name"
    )]
    AlsoDirectory {
        /// The file.
        object: ObjectName,
        /// A file, or the mark of a directory, below it.
        other: ObjectName,
    },
    /// What was renamed aside for a download that was killed.
    #[error("{} was renamed aside for a download that was killed; a download into its directory gives it back", .0.display())]
    SetAside(PathBuf),
    /// A URL would give the delta.
    #[error("{0} is stored as a delta, which is all that a URL would give")]
    StoredAsDelta(ObjectName),
    /// A path that no key can be made of.
    #[error("{0} is not UTF-8, as keys are")]
    NotUtf8(PathBuf),
    /// A key that no path can be made of.
    #[error("{object}: a file of this name has no place in a folder")]
    NoPath {
        /// The file.
        object: ObjectName,
        /// Why.
        source: PathError,
    },
    /// Files of a disk are not copied to a disk.
    #[error("{0} is not in a store")]
    NotInAStore(PathBuf),
    /// One folder holds the other.
    #[error(
        "one of {from} and {to} is in the other: files would be copied, or removed, that were copied just before"
    )]
    Nested {
        /// The folder to copy.
        from: String,
        /// The folder to copy to.
        to: String,
    },
    /// Files were to be removed that the source has not, and the source has none.
    #[error("there is nothing in {from}, so all in {to} would be removed; nothing was")]
    SourceEmpty {
        /// The folder to copy.
        from: String,
        /// The folder to copy to.
        to: String,
    },
    /// Files were to be removed that the source has not, and not all of the source was seen.
    #[error("not all of {from} could be seen, so nothing was removed from {to}")]
    SourceUnseen {
        /// The folder to copy.
        from: String,
        /// The folder to copy to.
        to: String,
    },
    /// The file was written to while it was read.
    #[error("{0} changed while it was read; nothing was stored")]
    Changed(String),
    /// The name is one of DeltaGlider's own objects, and too long to be escaped.
    #[error(
        "cannot store {object}: DeltaGlider has objects of this name, so the file needs an escaped key, which would have {len} bytes; \
         S3 keys have at most {MAX_KEY_BYTES}; choose a shorter name"
    )]
    EscapedTooLong {
        /// The file.
        object: ObjectName,
        /// The length of its key.
        len: usize,
    },
    /// Files are written again only where a condition keeps them from undoing what others write
    /// meanwhile.
    #[error(
        "deltas are written again only where conditions of writes hold among racing writers; if they do here, say so: \
         DG_CONDITIONAL_WRITES=yes"
    )]
    NeedsConditions,
    /// A file would be copied to where it is.
    #[error("{0} cannot be copied onto itself")]
    Itself(ObjectName),
    /// The key is taken by the delta of another file.
    #[error("{object} is where the delta of {file} is stored; choose another name")]
    Occupied {
        /// The key asked for.
        object: ObjectName,
        /// The file whose delta stands there.
        file: ObjectName,
    },
    /// What was asked for by name is how another file is stored.
    #[error(
        "{object} is the delta of {file}; ask for that name, or for the stored bytes with --raw"
    )]
    IsDelta {
        /// The key asked for.
        object: ObjectName,
        /// The file whose delta stands there.
        file: ObjectName,
    },
    /// What was asked for by name is a reference.
    #[error("{0} is a reference that deltas need, not a file; its stored bytes come with --raw")]
    IsReference(ObjectName),
    /// A delta whose metadata is gone.
    #[error(
        "{0} is a delta that lost its metadata: the file cannot be told from it; its stored bytes come with --raw"
    )]
    LostMetadata(ObjectName),
    /// An object of ours whose metadata lacks something.
    #[error("{object}: metadata {field} is absent or malformed")]
    Metadata {
        /// The stored object.
        object: ObjectName,
        /// The first field that is wrong.
        field: Field,
    },
    /// The bytes that came back are not those that were stored.
    #[error("{object}: SHA-256 mismatch: expected {expected}, got {actual}")]
    Mismatch {
        /// The file.
        object: ObjectName,
        /// What its metadata says.
        expected: Sha256Digest,
        /// What the bytes have.
        actual: Sha256Digest,
    },
    /// The bytes of an object are not those that the store, which states right checksums, states
    /// one of.
    #[error(
        "{object} is damaged: the store states the {checksum} of other bytes than it sent; --no-verify-etag reads it all the same"
    )]
    Damaged {
        /// The file.
        object: ObjectName,
        /// The algorithm.
        checksum: ChecksumKind,
    },
    /// Two reads of an object gave different bytes.
    #[error(
        "{object}: the store sent other bytes than those it states the {checksum} of, and others again when asked a second time; try again"
    )]
    Unstable {
        /// The file.
        object: ObjectName,
        /// The algorithm.
        checksum: ChecksumKind,
    },
    /// Two reads of an object gave the same bytes, of which the store states another checksum.
    #[error(
        "{object}: the store states the {checksum} of other bytes than it sends: the object is damaged, or the tags of this store \
         are no checksums; --no-verify-etag reads it without comparing"
    )]
    Contradicted {
        /// The file.
        object: ObjectName,
        /// The algorithm.
        checksum: ChecksumKind,
    },
    /// The number of bytes that came back is not what was stored.
    #[error("{object}: expected {expected} bytes, got {actual}")]
    Length {
        /// The file.
        object: ObjectName,
        /// What its metadata says.
        expected: u64,
        /// What came back.
        actual: u64,
    },
    /// A delta's reference does not exist.
    #[error("{delta} needs the reference {reference}, which does not exist")]
    ReferenceMissing {
        /// The delta.
        delta: ObjectName,
        /// The reference it names.
        reference: ObjectName,
        /// What the store said.
        source: Box<StorageError>,
    },
    /// A reference holds other bytes than it should.
    #[error(
        "reference {reference} is damaged or was replaced: expected SHA-256 {expected}, got {actual}"
    )]
    ReferenceDamaged {
        /// The reference.
        reference: ObjectName,
        /// What the delta, or the reference's metadata, says.
        expected: Sha256Digest,
        /// What the bytes have.
        actual: Sha256Digest,
    },
    /// The reference was made and removed again, time after time, while a file was to be stored
    /// against it.
    #[error(
        "the references of {0} come and go: other writers are at work on them; try again later"
    )]
    Contended(Deltaspace),
    /// A bucket was not removed.
    #[error(transparent)]
    BucketKept(#[from] super::bucket_kept::BucketKept),
    /// Other writers were faster, time after time.
    #[error("cannot store {0}: concurrent writers kept replacing it; try again")]
    NameContended(ObjectName),
    /// A delta that cannot be decoded.
    #[error("delta {object} cannot be decoded")]
    Decode {
        /// The stored delta.
        object: ObjectName,
        /// Where and why.
        source: DecodeError,
    },
    /// A delta that was decoded a second time gave another beginning.
    #[error("two reads of the delta {0} gave different bytes; try again")]
    Inconsistent(ObjectName),
    /// The encoder failed.
    #[error("no delta of {what} could be made")]
    Encode {
        /// The file.
        what: String,
        /// Why.
        source: EncodeError,
    },
    /// A delta just made did not give the file back.
    #[error(
        "the delta made of {0} did not give the file back; nothing was stored (this is a bug: please report it)"
    )]
    RoundTrip(String),
    /// The reference cache failed.
    #[error("the reference could not be kept for this operation")]
    Cache(#[from] CacheError),
    /// An older tool unpacked the file before it made the delta, and packing it again does not give
    /// the same bytes.
    #[error(
        "{object} was stored by an older tool that unpacked {compression} first; {}. \
         --allow-recompressed writes the unpacked content under a name that says so",
        why_not_packed(*compression)
    )]
    Recompression {
        /// The file.
        object: ObjectName,
        /// What it was packed with.
        compression: Compression,
    },
    /// A reference that had to be unpacked could not be.
    #[error("reference {reference} could not be unpacked as {compression}")]
    Unpack {
        /// The reference.
        reference: ObjectName,
        /// What the delta says it is packed with.
        compression: Compression,
        /// The cause.
        source: io::Error,
    },
}

impl ServiceError {
    /// Of a local path or stream.
    pub(crate) fn local(what: impl ToString) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Local { what, source }
    }

    /// Whether a local file may not be read.
    pub fn is_unreadable_file(&self) -> bool {
        matches!(self, Self::Local { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// There is no file of this name.
    pub(crate) fn absent(object: &ObjectName) -> Self {
        StorageError::new(StorageErrorKind::NotFound, "HeadObject", object).into()
    }

    /// Whether the store said that what was asked for does not exist.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_absent())
    }

    /// Whether no file can be had under the name that was asked for: nothing is stored for it but a
    /// reference, or what lost its metadata or a part of them.
    pub fn is_no_file(&self) -> bool {
        self.is_absent()
            || matches!(self, Self::LostMetadata(_) | Self::Metadata { .. } | Self::IsReference(_))
    }
}

/// An error and its causes on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        // Some errors tell their cause themselves.
        if !text.ends_with(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

fn why_not_packed(compression: Compression) -> &'static str {
    match compression {
        Compression::Xz if cfg!(not(feature = "xz")) => "this build cannot pack xz (feature `xz`)",
        _ => "its bytes cannot be made again exactly",
    }
}
