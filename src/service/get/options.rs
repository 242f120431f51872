//! How a file is given back, and what that did.

use std::time::SystemTime;

use super::compared::{Compared, StatedChecksums};
use crate::domain::policy::Compression;
use crate::domain::{ByteRange, FileStatus, ObjectName};
use crate::storage::{Attributes, ETag};

/// How a file is to be given back.
#[derive(Debug, Clone, Copy, Default)]
pub struct GetOptions {
    /// Gives the bytes that are stored at exactly this key, whatever they are.
    pub raw: bool,
    /// Gives the unpacked content of a file that an older tool unpacked and that cannot be packed
    /// again exactly.
    pub allow_recompressed: bool,
    /// Reads the reference from the store even where the cache has it: to see whether the store
    /// still gives the file back.
    pub from_store: bool,
    /// Gives these bytes of the file only. Those of a delta come after all of it was decoded and
    /// verified; any other file is read no further than they go, and not verified.
    pub range: Option<ByteRange>,
    /// What is done with checksums that the store states.
    pub stated: StatedChecksums,
}

/// What a get did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GetReport {
    /// Where it is stored.
    pub stored: ObjectName,
    /// Bytes written.
    pub size: u64,
    /// What the bytes were compared with.
    pub compared: Compared,
    /// The tag of what was read.
    pub etag: ETag,
    /// When it was stored.
    pub last_modified: SystemTime,
    /// Headers, class, encryption and the user's own metadata; with [`GetOptions::raw`], the
    /// metadata as it is stored.
    pub attributes: Attributes,
    /// Time and mode of the file it was stored from, where they were kept and the whole file was
    /// read.
    pub status: FileStatus,
    /// What was written is the content of a file that was packed so.
    pub unpacked: Option<Compression>,
    /// Older objects of the same name, which are not served.
    pub older: Vec<ObjectName>,
}
