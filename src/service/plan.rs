//! The pure decision of what a put does, from what is known before a byte is sent.

use std::fmt;

use super::locate::{Found, Places};
use crate::domain::metadata::Kind;
use crate::domain::policy::{Compression, DeltaExtensions, MIN_REFERENCE_BYTES, MaxRatio};
use crate::domain::{Deltaspace, ObjectName, Sha256Digest, deltaspace};

/// Why a file was stored as it is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DirectReason {
    /// The caller asked for it.
    Asked,
    /// Its extension is not one of those kept as deltas.
    Extension,
    /// Its key leaves no room for `.delta`.
    NameTooLong,
    /// Somebody's own file stands where the delta would.
    Occupied(ObjectName),
    /// It is too short to be a reference, and there is none yet.
    Short,
    /// It is packed, so it cannot be a reference that every reader understands, and there is none yet.
    Packed(Compression),
    /// What stands where the reference should is none, or lacks its metadata.
    NoReference(ObjectName),
    /// The reference is packed: no delta against it could be read by every reader.
    ReferencePacked(ObjectName, Compression),
    /// The bytes of the reference are not those it was stored with.
    ReferenceDamaged(ObjectName),
    /// The delta would be longer than allowed.
    Ratio(MaxRatio),
}

impl fmt::Display for DirectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("as asked"),
            Self::Extension => f.write_str("by its extension"),
            Self::NameTooLong => f.write_str("its name leaves no room for .delta"),
            Self::Occupied(object) => write!(f, "{object} stands where its delta would"),
            Self::Short => write!(f, "shorter than {MIN_REFERENCE_BYTES} bytes and without a reference"),
            Self::Packed(compression) => write!(f, "{compression} cannot be a reference, and there is none yet"),
            Self::NoReference(object) => write!(f, "{object} is no reference"),
            Self::ReferencePacked(object, compression) => {
                write!(f, "the reference {object} is packed with {compression}")
            }
            Self::ReferenceDamaged(object) => write!(f, "the reference {object} is damaged"),
            Self::Ratio(ratio) => write!(f, "its delta would exceed {ratio} of it"),
        }
    }
}

/// What a put does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    /// Stores the file as it is.
    Direct(DirectReason),
    /// Makes the file the reference of its deltaspace, and stores it as a delta of itself.
    NewReference,
    /// Stores it as a delta against the reference there is.
    Delta(Sha256Digest),
}

/// What is known of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File {
    pub(crate) len: u64,
    pub(crate) compression: Option<Compression>,
}

/// Whether the file may become a delta at all, by its name and what stands at its two keys.
pub(crate) fn delta_allowed(
    object: &ObjectName,
    asked: bool,
    extensions: &DeltaExtensions,
    places: &Places,
) -> Result<(), DirectReason> {
    if !asked {
        return Err(DirectReason::Asked);
    }
    if !extensions.covers(object.key.base_name()) {
        return Err(DirectReason::Extension);
    }
    if deltaspace::delta_of(object).is_err() {
        return Err(DirectReason::NameTooLong);
    }
    match &places.delta {
        Some(found) if !found.is_delta() => Err(DirectReason::Occupied(found.name.clone())),
        _ => Ok(()),
    }
}

/// Against what the file is stored, once a delta is allowed.
pub(crate) fn against(object: &ObjectName, file: File, reference: Option<&Found>) -> Plan {
    match reference.map(|found| &found.kind) {
        Some(Kind::Reference(metadata)) => Plan::Delta(metadata.file_sha256),
        Some(_) => Plan::Direct(DirectReason::NoReference(Deltaspace::of(object).reference())),
        None => match file.compression {
            Some(compression) => Plan::Direct(DirectReason::Packed(compression)),
            None if file.len < MIN_REFERENCE_BYTES => Plan::Direct(DirectReason::Short),
            None => Plan::NewReference,
        },
    }
}
