//! Errors of operations, each with the object or file it concerns.

use std::io;
use std::path::PathBuf;

use deltaglider_vcdiff::{DecodeError, EncodeError};

use crate::cache::CacheError;
use crate::domain::Compression;
use crate::domain::metadata::Field;
use crate::domain::packing::RefPacking;
use crate::domain::paths::PathError;
use crate::domain::{
    Deltaspace, DeltaspaceError, MAX_KEY_BYTES, NameError, ObjectName, Sha256Digest,
    UserMetadataError,
};
use crate::storage::{ChecksumKind, MAX_USER_METADATA_BYTES, StorageError, StorageErrorKind};

/// A failed operation; the cause, if there is one, is its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The store failed or rejected a request.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A name that no store accepts.
    #[error("{object}: {source}")]
    Name {
        /// The object it was derived from.
        object: String,
        /// The rule that the name breaks.
        source: NameError,
    },
    /// The requested deltaspace cannot be that of the file.
    #[error("cannot store {object} in the requested deltaspace")]
    Deltaspace {
        /// The file.
        object: ObjectName,
        /// The rejection reason.
        source: DeltaspaceError,
    },
    /// User metadata that cannot be stored.
    #[error("cannot store {object} with this user metadata")]
    UserMetadata {
        /// The file.
        object: ObjectName,
        /// The rejection reason.
        source: UserMetadataError,
    },
    /// User metadata that leaves no space for DeltaGlider's own.
    #[error(
        "cannot store {object} with {size} bytes of user metadata: S3 allows \
         {MAX_USER_METADATA_BYTES} bytes per object, and DeltaGlider needs {own} of them"
    )]
    MetadataTooLarge {
        /// The file.
        object: ObjectName,
        /// Bytes of the user's names and values, as they are stored.
        size: usize,
        /// The maximum number of bytes of DeltaGlider's own metadata.
        own: usize,
    },
    /// No permission to look at the keys of a file, or to list its references, before an upload.
    #[error(
        "cannot upload {0}: no permission to list or read the destination; \
         pass --no-delta to upload without checking"
    )]
    DestinationDenied(ObjectName, #[source] StorageError),
    /// A copy that the store reported as done is absent or has other content.
    #[error(
        "cannot verify the copy of {of} at {copy}: it is absent or has other content; \
         nothing was removed"
    )]
    CopyMismatch {
        /// The source of the copy.
        of: ObjectName,
        /// The destination of the copy.
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
    /// The bytes could not be written to the caller's output.
    #[error("the output could not be written")]
    Output(#[source] io::Error),
    /// The file to upload is neither a regular file nor standard input.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// A file cannot be written at the path of a directory.
    #[error(
        "cannot write {0}: it is a directory; `sync --delete` replaces it if it would delete \
         every file in it"
    )]
    IsDirectory(PathBuf),
    /// A file cannot be written below something that is not a directory.
    #[error(
        "cannot write {}: {} is not a directory; `sync --delete` replaces it if it would delete it",
        target.display(),
        obstacle.display()
    )]
    NotADirectory {
        /// The file.
        target: PathBuf,
        /// The path that is not a directory.
        obstacle: PathBuf,
    },
    /// A directory or file in the way of a download holds something that must not be deleted.
    #[error("cannot replace {}: --delete would not delete {}", path.display(), kept.display())]
    NotDeletable {
        /// The path in the way.
        path: PathBuf,
        /// The path that must not be deleted.
        kept: PathBuf,
    },
    /// A path that was renamed aside could not be renamed back.
    #[error("cannot rename {} back to {}; rename it yourself", aside.display(), path.display())]
    NotRestored {
        /// The old path.
        path: PathBuf,
        /// The present path.
        aside: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A bucket has a file and a directory of one name, which a local directory cannot have.
    #[error(
        "cannot download {object}: {other} needs a directory of this name; \
         copy it alone, to another name"
    )]
    AlsoDirectory {
        /// The file.
        object: ObjectName,
        /// A file, or the marker object of a directory, below it.
        other: ObjectName,
    },
    /// A path that a killed download left renamed aside.
    #[error(
        "{} was renamed aside by a killed download; a download into its directory restores it",
        .0.display()
    )]
    LeftAside(PathBuf),
    /// A presigned URL would return the delta instead of the file.
    #[error("cannot presign {0}: it is stored as a delta, and a URL would return only the delta")]
    StoredAsDelta(ObjectName),
    /// A path that cannot become a key.
    #[error("{0} is not UTF-8, which S3 keys must be")]
    NotUtf8(PathBuf),
    /// A key that cannot become a local path.
    #[error("the key of {object} cannot be a local path")]
    NoPath {
        /// The file.
        object: ObjectName,
        /// The rejection reason.
        source: PathError,
    },
    /// Source and destination are both local.
    #[error("{0} is not in a store")]
    NotInAStore(PathBuf),
    /// The source directory contains the destination, or the reverse.
    #[error(
        "cannot copy {from} to {to}: one is inside the other, so files would be copied or removed \
         that were just copied"
    )]
    Nested {
        /// The source.
        from: String,
        /// The destination.
        to: String,
    },
    /// A deletion of extra files with an empty source.
    #[error("{from} has no files, so all files in {to} would be removed; nothing was removed")]
    SourceEmpty {
        /// The source.
        from: String,
        /// The destination.
        to: String,
    },
    /// A deletion of extra files with a source that could not be listed completely.
    #[error("cannot list all files of {from}, so nothing was removed from {to}")]
    SourceIncomplete {
        /// The source.
        from: String,
        /// The destination.
        to: String,
    },
    /// More files would be deleted than the caller allows.
    #[error("{count} files would be removed, and at most {most} may be; nothing was removed")]
    TooManyRemovals {
        /// The number of files.
        count: u64,
        /// The maximum number.
        most: u64,
    },
    /// The file was written to while it was read.
    #[error("{0} changed while it was read; nothing was stored")]
    Changed(String),
    /// The name is one of DeltaGlider's own objects, and its escaped key would be too long.
    #[error(
        "cannot store {object}: DeltaGlider has objects of this name, so the file needs an escaped \
         key, which would have {len} bytes; S3 keys have at most {MAX_KEY_BYTES}; \
         choose a shorter name"
    )]
    EscapedTooLong {
        /// The file.
        object: ObjectName,
        /// The length of the escaped key in bytes.
        len: usize,
    },
    /// Deltas cannot be rewritten, since the store is not known to enforce conditional writes: a
    /// rewrite could overwrite a newer file.
    #[error(
        "cannot rewrite deltas: this is safe only on a store that enforces conditional writes \
         among concurrent writers; if this one does, set DG_CONDITIONAL_WRITES=yes"
    )]
    NeedsConditionalWrites,
    /// Source and destination of a copy are the same.
    #[error("{0} cannot be copied onto itself")]
    CopyOntoItself(ObjectName),
    /// The key holds the delta of another file.
    #[error("{object} is where the delta of {file} is stored; choose another name")]
    Occupied {
        /// The key asked for.
        object: ObjectName,
        /// The file whose delta has this key.
        file: ObjectName,
    },
    /// The requested name is the key of another file's delta.
    #[error("{object} is the delta of {file}; use that name, or --raw to get the stored bytes")]
    IsDelta {
        /// The key asked for.
        object: ObjectName,
        /// The file whose delta has this key.
        file: ObjectName,
    },
    /// The requested name is the key of a reference.
    #[error("{0} is a reference that deltas need, not a file; use --raw to get the stored bytes")]
    IsReference(ObjectName),
    /// A delta without metadata.
    #[error(
        "{0} is a delta that lost its metadata, so its file cannot be restored; \
         use --raw to get the stored bytes"
    )]
    LostMetadata(ObjectName),
    /// A DeltaGlider object whose metadata lacks a field.
    #[error("{object}: metadata {field} is absent or malformed")]
    Metadata {
        /// The stored object.
        object: ObjectName,
        /// The first absent or malformed field.
        field: Field,
    },
    /// The bytes of a file have another SHA-256 than its metadata states.
    #[error("{object}: SHA-256 mismatch: expected {expected}, got {actual}")]
    Mismatch {
        /// The file.
        object: ObjectName,
        /// The SHA-256 in its metadata.
        expected: Sha256Digest,
        /// The SHA-256 of the bytes.
        actual: Sha256Digest,
    },
    /// The bytes of an object do not match a checksum that the store states and that is reliable.
    #[error(
        "{object} is damaged: the bytes received do not match the store's {checksum}; \
         pass --no-verify-etag to read it without this check"
    )]
    Damaged {
        /// The file.
        object: ObjectName,
        /// The algorithm.
        checksum: ChecksumKind,
    },
    /// Two reads of an object gave different bytes.
    #[error(
        "{object}: the bytes received do not match the store's {checksum}, and a second read gave \
         different bytes; try again"
    )]
    Unstable {
        /// The file.
        object: ObjectName,
        /// The algorithm.
        checksum: ChecksumKind,
    },
    /// Two reads of an object gave the same bytes, which do not match the store's checksum.
    #[error(
        "{object}: the bytes received do not match the store's {checksum}: the object is damaged, \
         or the ETags of this store are not checksums; \
         pass --no-verify-etag to read it without this check"
    )]
    ChecksumMismatch {
        /// The file.
        object: ObjectName,
        /// The algorithm.
        checksum: ChecksumKind,
    },
    /// The number of bytes received is not the number stored.
    #[error("{object}: expected {expected} bytes, got {actual}")]
    Length {
        /// The file.
        object: ObjectName,
        /// The number of bytes in its metadata.
        expected: u64,
        /// The number of bytes received.
        actual: u64,
    },
    /// A delta's reference does not exist.
    #[error("{delta} needs the reference {reference}, which does not exist")]
    ReferenceMissing {
        /// The delta.
        delta: ObjectName,
        /// The reference it names.
        reference: ObjectName,
        /// The store's answer.
        source: Box<StorageError>,
    },
    /// A reference holds other bytes than it should.
    #[error(
        "reference {reference} is damaged or was replaced: expected SHA-256 {expected}, \
         got {actual}"
    )]
    ReferenceDamaged {
        /// The reference.
        reference: ObjectName,
        /// The SHA-256 in the metadata of the delta or of the reference.
        expected: Sha256Digest,
        /// The SHA-256 of the bytes.
        actual: Sha256Digest,
    },
    /// Concurrent writers kept creating and removing references until the time limit of a put was
    /// over.
    #[error("concurrent writers keep changing the references of {0}; try again")]
    Contended(Deltaspace),
    /// A bucket was not removed.
    #[error(transparent)]
    BucketKept(#[from] super::bucket_kept::BucketKept),
    /// Concurrent writers kept replacing the name until the time limit of a put was over.
    #[error("cannot store {0}: concurrent writers kept replacing it; try again")]
    NameContended(ObjectName),
    /// A delta that cannot be decoded.
    #[error("delta {object} cannot be decoded")]
    Decode {
        /// The stored delta.
        object: ObjectName,
        /// Position and cause.
        source: DecodeError,
    },
    /// A second decode of a delta gave other bytes at the beginning of the file.
    #[error("two reads of the delta {0} gave different bytes; try again")]
    Inconsistent(ObjectName),
    /// The encoder failed.
    #[error("cannot encode a delta of {what}")]
    Encode {
        /// The file.
        what: String,
        /// The cause.
        source: EncodeError,
    },
    /// A new delta did not decode to its file.
    #[error(
        "the new delta of {0} does not decode to the file; nothing was stored \
         (this is a bug: please report it)"
    )]
    RoundTrip(String),
    /// The reference cache failed.
    #[error("cannot store a local copy of the reference")]
    Cache(#[from] CacheError),
    /// An older tool decompressed the file before it made the delta, and compressing it again does
    /// not reproduce the bytes.
    #[error(
        "{object} was stored by an older tool that unpacked {compression} first; {}; \
         pass --allow-recompressed to write the unpacked content as NAME.unpacked",
        why_not_packed(*compression)
    )]
    Recompression {
        /// The file.
        object: ObjectName,
        /// The compression of the file.
        compression: Compression,
    },
    /// This build cannot pack references in the form asked for.
    #[error("this build cannot pack references as {0}; choose gzip, or build with feature `{0}`")]
    CannotPack(Compression),
    /// A lost reference cannot be packed again to the bytes that were stored.
    #[error("{what} cannot be packed as {packing} again by this version; install a newer one")]
    Repack {
        /// The content.
        what: String,
        /// The packing of the lost reference.
        packing: RefPacking,
    },
    /// A reference that had to be decompressed could not be.
    #[error("reference {reference} could not be unpacked as {compression}")]
    Unpack {
        /// The reference.
        reference: ObjectName,
        /// The compression that the delta or the reference states.
        compression: Compression,
        /// The cause.
        source: io::Error,
    },
}

impl ServiceError {
    /// Returns a constructor of the error of a local path or stream.
    pub(crate) fn local(what: impl ToString) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Local { what, source }
    }

    /// Returns whether the error is a denied permission to read a local file.
    pub fn is_unreadable_file(&self) -> bool {
        matches!(
            self,
            Self::Local { source, .. } if source.kind() == io::ErrorKind::PermissionDenied
        )
    }

    /// Returns the error for a name without a file.
    pub(crate) fn absent(object: &ObjectName) -> Self {
        StorageError::new(StorageErrorKind::NotFound, "HeadObject", object).into()
    }

    /// Returns whether the store answered that the requested object does not exist.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_absent())
    }

    /// Returns whether no file can be restored under the requested name: it has no object, only a
    /// reference, or objects whose metadata is damaged or absent.
    pub fn is_no_file(&self) -> bool {
        self.is_absent()
            || matches!(self, Self::LostMetadata(_) | Self::Metadata { .. } | Self::IsReference(_))
    }
}

/// Formats an error and its causes on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // Some errors include their cause in their own message.
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

fn why_not_packed(compression: Compression) -> &'static str {
    match compression {
        Compression::Xz if cfg!(not(feature = "xz")) => "this build cannot pack xz (feature `xz`)",
        _ => "its bytes cannot be reproduced exactly",
    }
}
