//! The options and the report of a get.

use std::time::SystemTime;

use super::compared::{Compared, StatedChecksums};
use crate::domain::Compression;
use crate::domain::{ByteRange, FileStatus, ObjectName};
use crate::storage::{Attributes, ETag};

/// The options of a get.
#[derive(Debug, Clone, Copy, Default)]
pub struct GetOptions {
    /// Returns the bytes stored at exactly this key, whatever they are.
    pub raw: bool,
    /// Returns the unpacked content of a file that an older tool unpacked and that cannot be
    /// compressed again to the same bytes.
    pub allow_recompressed: bool,
    /// Reads the reference from the store even if it is cached, to verify that the store can still
    /// restore the file.
    pub from_store: bool,
    /// Returns only these bytes of the file. Those of a delta are written after the whole file was
    /// decoded and verified; any other file is read up to their end only, and not verified.
    pub range: Option<ByteRange>,
    /// The treatment of checksums that the store states.
    pub stated: StatedChecksums,
}

/// The report of a get.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GetReport {
    /// The stored object.
    pub stored: ObjectName,
    /// Bytes written.
    pub size: u64,
    /// The checksum the bytes were compared with.
    pub compared: Compared,
    /// The tag of the stored object.
    pub etag: ETag,
    /// The store's time of the object.
    pub last_modified: SystemTime,
    /// Headers, class, encryption and the user's own metadata; with [`GetOptions::raw`], the
    /// metadata as it is stored.
    pub attributes: Attributes,
    /// The modification time and mode stored with the file, if the whole file was read.
    pub status: FileStatus,
    /// The compression of the file, if its unpacked content was written instead.
    pub unpacked: Option<Compression>,
    /// Older objects of the same name, which are not served.
    pub older: Vec<ObjectName>,
}
