//! User metadata that classifies an object: delta, direct, reference or foreign.
//!
//! Fields are written as DeltaGlider 6.2.0 writes them (`dg-…` names), and read under every alias
//! that any of its versions has written or read.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::fmt;

use super::digest::Sha256Digest;
use super::key::Key;
use super::packing::RefPacking;
use super::timestamp::Timestamp;

/// The user metadata of an object: lower-case names without `x-amz-meta-`.
pub type UserMetadata = BTreeMap<String, String>;

/// The base name of a reference's key.
pub const REFERENCE_NAME: &str = "reference.bin";
/// The suffix of a delta's key.
pub const DELTA_SUFFIX: &str = ".delta";
/// The field with the ETag of the object that a file was copied from, if that had no SHA-256. It
/// distinguishes an unfinished copy from a complete one. No other tool reads it.
pub const SOURCE_ETAG: &str = "dg-source-etag";

/// The field with the program that wrote the object: `rs/<version>`. The Python tool writes no such
/// field, so objects with it are of this program or a later one.
pub const WRITER: &str = "dg-writer";

/// The maximum length of `dg-original-name` in bytes. A longer name is cut: it is informative only,
/// and all user metadata is limited to 2 KiB.
const MAX_NAME_BYTES: usize = 200;

/// A metadata field of DeltaGlider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The tool that wrote the object: `deltaglider/<version>`.
    Tool,
    /// The base name of the file.
    OriginalName,
    /// SHA-256 of the file.
    FileSha256,
    /// Size of the file in bytes.
    FileSize,
    /// The time at which the object was stored.
    CreatedAt,
    /// Key of the reference in the same bucket.
    RefKey,
    /// SHA-256 of the reference's stored bytes.
    RefSha256,
    /// Size of the delta in bytes.
    DeltaSize,
    /// The command that made the delta.
    DeltaCmd,
    /// Free text; `reference` on references.
    Note,
    /// `none` on direct objects.
    Compression,
    /// The base name of the file a reference was made from.
    SourceName,
    /// The packed form of the reference. No other tool reads it.
    RefPacking,
}

impl Field {
    /// All fields.
    pub const ALL: [Self; 13] = [
        Self::Tool,
        Self::OriginalName,
        Self::FileSha256,
        Self::FileSize,
        Self::CreatedAt,
        Self::RefKey,
        Self::RefSha256,
        Self::DeltaSize,
        Self::DeltaCmd,
        Self::Note,
        Self::Compression,
        Self::SourceName,
        Self::RefPacking,
    ];

    /// Returns the name without prefix, words joined by `-`.
    fn name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::OriginalName => "original-name",
            Self::FileSha256 => "file-sha256",
            Self::FileSize => "file-size",
            Self::CreatedAt => "created-at",
            Self::RefKey => "ref-key",
            Self::RefSha256 => "ref-sha256",
            Self::DeltaSize => "delta-size",
            Self::DeltaCmd => "delta-cmd",
            Self::Note => "note",
            Self::Compression => "compression",
            Self::SourceName => "source-name",
            Self::RefPacking => "ref-packing",
        }
    }

    /// Returns the names it is read under, in the order in which DeltaGlider 6.2.0 tries them.
    pub(super) fn aliases(self) -> [String; 4] {
        let name = self.name();
        if self == Self::RefPacking {
            return std::array::from_fn(|_| format!("dg-{name}"));
        }
        let underscored = name.replace('-', "_");
        [format!("dg-{name}"), format!("dg_{underscored}"), underscored, name.to_owned()]
    }

    /// Returns whether it is read under this name.
    pub(super) fn has_alias(self, name: &str) -> bool {
        self.aliases().iter().any(|alias| alias == name)
    }

    /// Returns the first non-empty value among the aliases.
    fn read(self, metadata: &UserMetadata) -> Option<&str> {
        self.aliases().iter().find_map(|alias| {
            metadata.get(alias).map(String::as_str).filter(|value| !value.is_empty())
        })
    }

    fn write(self, value: impl fmt::Display, metadata: &mut UserMetadata) {
        metadata.insert(format!("dg-{}", self.name()), value.to_string());
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dg-{}", self.name())
    }
}

/// Metadata of a delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaMetadata {
    /// Base name of the file; informative only, the key is authoritative.
    pub original_name: String,
    /// SHA-256 of the file.
    pub file_sha256: Sha256Digest,
    /// Size of the file in bytes.
    pub file_size: u64,
    /// The time at which it was stored; always present if the metadata was read from an object.
    pub created_at: Option<Timestamp>,
    /// Key of the reference in the same bucket.
    pub ref_key: Key,
    /// SHA-256 of the reference's stored bytes.
    pub ref_sha256: Sha256Digest,
    /// Size of the delta in bytes.
    pub delta_size: u64,
    /// The form of the reference, if it is packed: then the delta was made against its content.
    pub ref_packing: Option<RefPacking>,
}

/// Metadata of a file stored as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectMetadata {
    /// Base name of the file; informative only, the key is authoritative.
    pub original_name: String,
    /// SHA-256 of the file.
    pub file_sha256: Sha256Digest,
    /// Size of the file in bytes.
    pub file_size: u64,
    /// The time at which it was stored; `None` if it is absent or malformed.
    pub created_at: Option<Timestamp>,
}

/// Metadata of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceMetadata {
    /// Base name of the file it was made from; informative only.
    pub source_name: String,
    /// SHA-256 of the stored bytes.
    pub file_sha256: Sha256Digest,
    /// The time at which it was stored; `None` if it is absent or malformed.
    pub created_at: Option<Timestamp>,
    /// The form of the reference, if it is packed.
    pub packing: Option<RefPacking>,
}

/// The kind of a stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A delta against a reference.
    Delta(DeltaMetadata),
    /// A file stored as it is, by DeltaGlider.
    Direct(DirectMetadata),
    /// A reference, against which deltas are made.
    Reference(ReferenceMetadata),
    /// An object of another tool, stored as it is.
    Passthrough,
    /// A delta or reference by its metadata, of which this required field is absent or malformed.
    Damaged(Field),
}

impl Kind {
    /// Classifies the object at `key`. A delta's key ends with `.delta`; a reference has the base
    /// name `reference.bin`.
    pub fn of(key: &Key, metadata: &UserMetadata) -> Self {
        let digest = Field::FileSha256.read(metadata);
        if key.as_str().ends_with(DELTA_SUFFIX) && Field::RefKey.read(metadata).is_some() {
            return DeltaMetadata::read(metadata).map_or_else(Self::Damaged, Self::Delta);
        }
        if Field::Compression.read(metadata) == Some("none") && digest.is_some() {
            // A foreign `compression` beside a digest of another form is not DeltaGlider's
            // metadata.
            return DirectMetadata::read(metadata).map_or(Self::Passthrough, Self::Direct);
        }
        if key.base_name() == REFERENCE_NAME
            && (digest.is_some() || Field::Note.read(metadata) == Some("reference"))
        {
            return ReferenceMetadata::read(metadata).map_or_else(Self::Damaged, Self::Reference);
        }
        Self::Passthrough
    }
}

fn needed<T>(
    field: Field,
    metadata: &UserMetadata,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, Field> {
    field.read(metadata).and_then(parse).ok_or(field)
}

fn created_at(metadata: &UserMetadata) -> Option<Timestamp> {
    Field::CreatedAt.read(metadata).and_then(Timestamp::parse)
}

fn packing(metadata: &UserMetadata) -> Result<Option<RefPacking>, Field> {
    let text = Field::RefPacking.read(metadata);
    text.map(|text| RefPacking::parse(text).ok_or(Field::RefPacking)).transpose()
}

impl DeltaMetadata {
    fn read(metadata: &UserMetadata) -> Result<Self, Field> {
        needed(Field::Tool, metadata, |_| Some(()))?;
        Ok(Self {
            original_name: needed(Field::OriginalName, metadata, |name| Some(name.to_owned()))?,
            file_sha256: needed(Field::FileSha256, metadata, |text| text.parse().ok())?,
            file_size: needed(Field::FileSize, metadata, |text| text.parse().ok())?,
            created_at: Some(needed(Field::CreatedAt, metadata, Timestamp::parse)?),
            ref_key: needed(Field::RefKey, metadata, |key| Key::new(key).ok())?,
            ref_sha256: needed(Field::RefSha256, metadata, |text| text.parse().ok())?,
            delta_size: needed(Field::DeltaSize, metadata, |text| text.parse().ok())?,
            ref_packing: packing(metadata)?,
        })
    }

    /// Makes the metadata of a delta name the reference at another key.
    pub fn name_reference(metadata: &mut UserMetadata, key: &Key) {
        Field::RefKey.write(key, metadata);
    }

    /// Replaces the metadata of an older delta, which may have fields that this one has not.
    pub fn write_over(&self, metadata: &mut UserMetadata) {
        metadata.remove(&Field::RefPacking.to_string());
        metadata.extend(self.write());
    }

    /// Returns the metadata as DeltaGlider 6.2.0 writes it, and the fields of this program alone;
    /// `dg-delta-cmd` gives the command without file names.
    pub fn write(&self) -> UserMetadata {
        let mut metadata = authored();
        Field::OriginalName.write(informative_name(&self.original_name), &mut metadata);
        Field::FileSha256.write(self.file_sha256, &mut metadata);
        Field::FileSize.write(self.file_size, &mut metadata);
        if let Some(at) = self.created_at {
            Field::CreatedAt.write(at.to_iso() + "Z", &mut metadata);
        }
        Field::RefKey.write(&self.ref_key, &mut metadata);
        Field::RefSha256.write(self.ref_sha256, &mut metadata);
        Field::DeltaSize.write(self.delta_size, &mut metadata);
        if let Some(packing) = self.ref_packing {
            Field::RefPacking.write(packing, &mut metadata);
        }
        Field::DeltaCmd
            .write("in process, as xdelta3 -e -9 -D -A -s REFERENCE FILE DELTA", &mut metadata);
        metadata
    }
}

impl DirectMetadata {
    fn read(metadata: &UserMetadata) -> Option<Self> {
        Field::Tool.read(metadata)?;
        Some(Self {
            original_name: Field::OriginalName.read(metadata)?.to_owned(),
            file_sha256: Field::FileSha256.read(metadata)?.parse().ok()?,
            file_size: Field::FileSize.read(metadata)?.parse().ok()?,
            created_at: created_at(metadata),
        })
    }

    /// Returns the metadata as DeltaGlider 6.2.0 writes it: times of direct objects have no zone.
    pub fn write(&self) -> UserMetadata {
        let mut metadata = authored();
        Field::OriginalName.write(informative_name(&self.original_name), &mut metadata);
        Field::FileSha256.write(self.file_sha256, &mut metadata);
        Field::FileSize.write(self.file_size, &mut metadata);
        if let Some(at) = self.created_at {
            Field::CreatedAt.write(at.to_iso(), &mut metadata);
        }
        Field::Compression.write("none", &mut metadata);
        metadata
    }
}

impl ReferenceMetadata {
    fn read(metadata: &UserMetadata) -> Result<Self, Field> {
        Ok(Self {
            source_name: Field::SourceName.read(metadata).unwrap_or_default().to_owned(),
            file_sha256: needed(Field::FileSha256, metadata, |text| text.parse().ok())?,
            created_at: created_at(metadata),
            packing: packing(metadata)?,
        })
    }

    /// Returns the metadata as DeltaGlider 6.2.0 writes it, without the size, and the packing.
    pub fn write(&self) -> UserMetadata {
        let mut metadata = authored();
        Field::SourceName.write(informative_name(&self.source_name), &mut metadata);
        Field::FileSha256.write(self.file_sha256, &mut metadata);
        if let Some(at) = self.created_at {
            Field::CreatedAt.write(at.to_iso() + "Z", &mut metadata);
        }
        if let Some(packing) = self.packing {
            Field::RefPacking.write(packing, &mut metadata);
        }
        Field::Note.write("reference", &mut metadata);
        metadata
    }
}

/// Metadata of a temporary copy of a file, in the format of the Python tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporaryMetadata {
    /// The key of the file.
    pub original_key: String,
    /// The base name of the file.
    pub original_name: String,
    /// The time at which the copy was made.
    pub created_at: Timestamp,
    /// The time from which on the copy may be deleted.
    pub expires_at: Timestamp,
}

/// The field of the time from which on a temporary copy may be deleted.
const EXPIRES_AT: &str = "dg-expires-at";
/// The field that marks a file decoded from its delta.
const REHYDRATED: &str = "dg-rehydrated";

impl TemporaryMetadata {
    /// Returns the metadata as DeltaGlider 6.2.0 writes it. Long names are cut, since all user
    /// metadata is limited to 2 KiB.
    pub fn write(&self) -> UserMetadata {
        let text = |name: &str, value: String| (name.to_owned(), value);
        UserMetadata::from([
            text("dg-original-key", informative_name(&self.original_key)),
            text("dg-original-filename", informative_name(&self.original_name)),
            text("dg-created-at", self.created_at.to_iso()),
            text(EXPIRES_AT, self.expires_at.to_iso()),
            text(REHYDRATED, "true".to_owned()),
        ])
    }

    /// Returns the time from which on a temporary copy may be deleted; `None` for any other object.
    pub fn expiry(metadata: &UserMetadata) -> Option<Timestamp> {
        metadata.get(REHYDRATED).filter(|value| *value == "true")?;
        Timestamp::parse(metadata.get(EXPIRES_AT)?)
    }
}

/// Returns the fields that name this program.
fn authored() -> UserMetadata {
    let version = env!("CARGO_PKG_VERSION");
    UserMetadata::from([
        (format!("dg-{}", Field::Tool.name()), format!("deltaglider/{version}")),
        (WRITER.to_owned(), format!("rs/{version}")),
    ])
}

/// Returns a name as printable ASCII, cut between characters: `%` and every other byte as `%XX`.
fn informative_name(name: &str) -> String {
    let mut out = String::new();
    for character in name.chars() {
        let mut encoded = String::new();
        let mut utf8 = [0u8; 4];
        for &byte in character.encode_utf8(&mut utf8).as_bytes() {
            if (0x21..=0x7e).contains(&byte) && byte != b'%' || byte == b' ' && !out.is_empty() {
                encoded.push(byte as char);
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        if out.len().saturating_add(encoded.len()) > MAX_NAME_BYTES {
            break;
        }
        out.push_str(&encoded);
    }
    // Trailing spaces of a header value are lost in transit.
    let kept = out.trim_end_matches(' ').len();
    let spaces = out.len().saturating_sub(kept);
    out.truncate(kept);
    out.push_str(&"%20".repeat(spaces.min(MAX_NAME_BYTES.saturating_sub(kept) / 3)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Compression;

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    fn delta() -> DeltaMetadata {
        DeltaMetadata {
            original_name: "app.zip".into(),
            file_sha256: Sha256Digest::of(b"file"),
            file_size: 4,
            created_at: Timestamp::parse("2026-11-23T13:45:40.588247Z"),
            ref_key: key("rel/reference.bin"),
            ref_sha256: Sha256Digest::of(b"reference"),
            delta_size: 99,
            ref_packing: None,
        }
    }

    /// A delta reads back as written, and only under a key that ends with `.delta`.
    #[test]
    fn delta_needs_a_delta_key() {
        let metadata = delta().write();
        assert_eq!(metadata["dg-created-at"], "2026-11-23T13:45:40.588247Z");
        assert_eq!(Kind::of(&key("rel/app.zip.delta"), &metadata), Kind::Delta(delta()));
        assert_eq!(Kind::of(&key("rel/app.zip"), &metadata), Kind::Passthrough);
    }

    #[test]
    fn every_alias_scheme_is_read() {
        let renamed = |rename: &dyn Fn(&str) -> String| {
            delta()
                .write()
                .into_iter()
                .map(|(name, value)| (rename(&name), value))
                .collect::<UserMetadata>()
        };
        let bare = |name: &str| name.trim_start_matches("dg-").to_owned();
        for metadata in [
            renamed(&|name| name.replace('-', "_")),
            renamed(&|name| bare(name).replace('-', "_")),
            renamed(&|name| bare(name)),
        ] {
            assert_eq!(Kind::of(&key("a.delta"), &metadata), Kind::Delta(delta()), "{metadata:?}");
        }
    }

    #[test]
    fn packing_reads_back() {
        let digest = Sha256Digest::of(b"content");
        for form in [Compression::Gzip, Compression::Xz] {
            let packing = RefPacking { form, rule: 1, content_sha256: digest, content_size: 7 };
            let packed = DeltaMetadata { ref_packing: Some(packing), ..delta() };
            assert_eq!(Kind::of(&key("a.delta"), &packed.write()), Kind::Delta(packed));
        }
        // Other forms are those of later versions.
        for text in ["zstd/1 {} 7", "gzip {} 7", "gzip/1 {}", "gzip/1 {} 7 8", "gzip/-1 {} 7", "x"]
        {
            let mut metadata = delta().write();
            metadata.insert("dg-ref-packing".into(), text.replace("{}", &digest.to_string()));
            let damaged = Kind::Damaged(Field::RefPacking);
            assert_eq!(Kind::of(&key("a.delta"), &metadata), damaged, "{text}");
        }
        let mut metadata = delta().write();
        metadata.insert("ref-packing".into(), "the user's own".into());
        assert_eq!(Kind::of(&key("a.delta"), &metadata), Kind::Delta(delta()));
        metadata.insert("dg-ref-packing".into(), format!("gzip/1 {digest} 7"));
        delta().write_over(&mut metadata);
        assert_eq!(Kind::of(&key("a.delta"), &metadata), Kind::Delta(delta()));
    }

    #[test]
    fn missing_field_is_damaged() {
        for field in [
            Field::Tool,
            Field::OriginalName,
            Field::FileSha256,
            Field::FileSize,
            Field::CreatedAt,
            Field::RefSha256,
            Field::DeltaSize,
        ] {
            let mut metadata = delta().write();
            metadata.remove(&field.to_string());
            assert_eq!(Kind::of(&key("a.delta"), &metadata), Kind::Damaged(field));
        }
        let mut metadata = delta().write();
        metadata.insert("dg-file-size".into(), "4 bytes".into());
        assert_eq!(Kind::of(&key("a.delta"), &metadata), Kind::Damaged(Field::FileSize));
        let mut metadata = delta().write();
        metadata.insert("dg-created-at".into(), "yesterday".into());
        assert_eq!(Kind::of(&key("a.delta"), &metadata), Kind::Damaged(Field::CreatedAt));
    }

    /// A user's own `compression` field does not make an object one of DeltaGlider's.
    #[test]
    fn foreign_fields_are_passthrough() {
        let metadata = UserMetadata::from([("compression".into(), "none".into())]);
        assert_eq!(Kind::of(&key("a.zip"), &metadata), Kind::Passthrough);
        assert_eq!(Kind::of(&key("a.delta"), &UserMetadata::new()), Kind::Passthrough);
        let direct = DirectMetadata {
            original_name: "a.zip".into(),
            file_sha256: Sha256Digest::of(b"x"),
            file_size: 1,
            created_at: None,
        };
        let mut without_tool = direct.write();
        without_tool.remove("dg-tool");
        assert_eq!(Kind::of(&key("a.zip"), &without_tool), Kind::Passthrough);
    }

    #[test]
    fn added_compression_keeps_delta() {
        let mut metadata = delta().write();
        metadata.insert("compression".into(), "none".into());
        assert_eq!(Kind::of(&key("a.delta"), &metadata), Kind::Delta(delta()));
    }

    #[test]
    fn delta_command_holds_no_name() {
        let metadata = DeltaMetadata { original_name: "secret-name".into(), ..delta() }.write();
        assert!(!metadata["dg-delta-cmd"].contains("secret-name"));
        assert!(metadata.values().filter(|value| value.contains("secret-name")).count() == 1);
    }

    #[test]
    fn direct_and_reference_read_back() {
        let direct = DirectMetadata {
            original_name: "user.delta".into(),
            file_sha256: Sha256Digest::of(b"x"),
            file_size: 1,
            created_at: Timestamp::parse("2026-11-23T13:49:56.108083"),
        };
        assert_eq!(direct.write()["dg-created-at"], "2026-11-23T13:49:56.108083");
        assert_eq!(Kind::of(&key("user.delta"), &direct.write()), Kind::Direct(direct));
        let reference = ReferenceMetadata {
            source_name: "a.zip".into(),
            file_sha256: Sha256Digest::of(b"x"),
            created_at: Timestamp::parse("2026-11-23T13:49:56Z"),
            packing: None,
        };
        assert_eq!(
            Kind::of(&key("r/reference.bin"), &reference.write()),
            Kind::Reference(reference)
        );
    }

    /// Informative names are ASCII of at most [`MAX_NAME_BYTES`] bytes.
    #[test]
    fn informative_names_are_bounded() {
        assert_eq!(informative_name("app 1%.zip"), "app 1%25.zip");
        assert_eq!(informative_name("日.zip"), "%E6%97%A5.zip");
        assert_eq!(informative_name(" a\n "), "%20a%0A%20");
        assert!(informative_name(&"日".repeat(400)).len() <= MAX_NAME_BYTES);
        assert!(informative_name(&" ".repeat(400)).len() <= MAX_NAME_BYTES);
    }
}
