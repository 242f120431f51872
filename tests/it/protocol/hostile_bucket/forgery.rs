//! Objects built from the bytes of a fuzzer, which choose among valid, nearly valid and arbitrary
//! values.

use std::collections::BTreeMap;
use std::time::SystemTime;

use deltaglider::domain::metadata::{
    DeltaMetadata, DirectMetadata, Field, ReferenceMetadata, TemporaryMetadata,
};
use deltaglider::domain::{Key, Sha256Digest};
use deltaglider::storage::ListedObject;

/// The bytes of an input, one by one; zeros after its end.
pub(super) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(super) fn of(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub(super) fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[usize::from(self.byte()) % among.len()].clone()
    }

    pub(super) fn bytes(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte()) % 64;
        (0..len).map(|_| self.byte()).collect()
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

/// Contents of other users' files that the attacker knows.
pub(super) struct Known {
    /// A reference of another user.
    pub(super) reference: Vec<u8>,
    /// A file of another user.
    pub(super) file: Vec<u8>,
}

/// The attacker's own content.
pub(super) const EVIL: &[u8] =
    b"content of an attacker, content of an attacker, content of an attacker";

/// Keys that the attacker may write to.
pub(super) const KEYS: [&str; 12] = [
    "a/f.zip.delta",
    "a/g.zip.delta",
    "a/g.zip",
    "a/reference.bin",
    "a/reference.bin.delta",
    "a/.delta",
    "a/h.delta.delta",
    "a/sub/f.zip.delta",
    "a/sub/reference.bin",
    "a/own.delta",
    ".deltaglider/tmp/0123_f.zip",
    "a/.deltaglider/tmp/x.zip.delta",
];

/// Keys that metadata may name.
const NAMED: [&str; 12] = [
    "v/reference.bin",
    "a/reference.bin",
    "v/app-1.zip",
    "v/app-2.zip",
    "v/own.delta",
    "v/app-1.zip.delta",
    "reference.bin",
    "new",
    "v/new/reference.bin",
    ".deltaglider/index/contents.json",
    ".deltaglider/references/0000/reference.bin",
    "../v/x",
];

const TIMES: [&str; 7] = [
    "2026-11-20T00:00:00.000000Z",
    "9999-12-31T23:59:59-14:00",
    "-9999-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999Z",
    "2026-12-31T23:59:60Z",
    "1969-12-31T23:59:59Z",
    "soon",
];

const NUMBERS: [&str; 6] = ["70", "18446744073709551615", "0", "-1", "1e3", "9223372036854775808"];

fn digests(known: &Known) -> Vec<String> {
    let mut digests: Vec<String> = [&known.reference, EVIL, &known.file, b""]
        .map(|bytes: &[u8]| Sha256Digest::of(bytes).to_string())
        .to_vec();
    digests.push("0".repeat(63));
    digests
}

/// Returns metadata of some kind, with some of its fields corrupted.
pub(super) fn metadata(
    choices: &mut Choices<'_>,
    known: &Known,
    file: &[u8],
    stored: usize,
) -> BTreeMap<String, String> {
    let digest = Sha256Digest::of(file);
    let (created_at, n) = (Some(SystemTime::UNIX_EPOCH.into()), || "n".to_owned());
    let against = choices.pick(&[&known.reference[..], EVIL]);
    let mut metadata = match choices.byte() % 6 {
        0 | 1 => DeltaMetadata {
            original_name: n(),
            file_sha256: digest,
            file_size: file.len() as u64,
            created_at,
            ref_key: Key::new(choices.pick(&NAMED)).unwrap_or_else(|_| Key::new("x").unwrap()),
            ref_sha256: Sha256Digest::of(against),
            delta_size: stored as u64,
            ref_packing: None,
        }
        .write(),
        2 => DirectMetadata {
            original_name: n(),
            file_sha256: digest,
            file_size: stored as u64,
            created_at,
        }
        .write(),
        3 => {
            let file_sha256 = Sha256Digest::of(EVIL);
            ReferenceMetadata { source_name: n(), file_sha256, created_at, packing: None }.write()
        }
        4 => {
            let at = SystemTime::now().into();
            TemporaryMetadata {
                original_key: n(),
                original_name: n(),
                created_at: at,
                expires_at: at,
            }
            .write()
        }
        _ => BTreeMap::new(),
    };
    for _ in 0..choices.byte() % 4 {
        let field = choices.pick(&Field::ALL);
        let value = match choices.byte() % 6 {
            0 => choices.pick(&TIMES).to_owned(),
            1 => choices.pick(&NUMBERS).to_owned(),
            2 => choices.pick(&digests(known)),
            3 => choices.pick(&NAMED).to_owned(),
            4 => choices.text(),
            _ => {
                metadata.remove(&field.to_string());
                continue;
            }
        };
        metadata.insert(field.to_string(), value);
    }
    if choices.byte() % 8 == 1 {
        metadata.insert("dg-expires-at".into(), choices.pick(&TIMES).into());
        metadata.insert("dg-rehydrated".into(), "true".into());
    }
    metadata
}

/// Returns an index with arbitrary entries for the listed objects.
pub(super) fn leaf(
    choices: &mut Choices<'_>,
    known: &Known,
    folder: &str,
    listed: &[ListedObject],
) -> Vec<u8> {
    if choices.byte() % 8 == 1 {
        return choices.bytes();
    }
    let mut entries = Vec::new();
    for object in listed {
        let Some(relative) = object.key.as_str().strip_prefix(folder) else { continue };
        let modified = object
            .last_modified
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos() as u64;
        let what = match choices.byte() % 4 {
            0 => serde_json::json!("r"),
            1 => serde_json::json!("p"),
            2 => serde_json::json!({ "d": [u64::MAX, choices.pick(&digests(known))] }),
            _ => {
                let digest = Sha256Digest::of(&known.file).to_string();
                serde_json::json!({ "d": [known.file.len(), digest] })
            }
        };
        entries.push(
            serde_json::json!({ "k": relative, "e": object.etag.0, "m": modified, "w": what }),
        );
    }
    serde_json::json!({ "version": 1, "entries": entries }).to_string().into_bytes()
}

/// Returns a kept result with arbitrary counts.
pub(super) fn statistics(choices: &mut Choices<'_>) -> Vec<u8> {
    if choices.byte() % 4 == 1 {
        return choices.bytes();
    }
    let number = || u64::MAX;
    serde_json::json!({
        "version": 1, "fingerprint": Sha256Digest::of(b"").to_string(), "stats": {
            "bucket": "bucket", "prefix": "",
            "mode": choices.pick(&["detailed", "sampled", "quick"]), "cached": false,
            "object_count": number(), "total_size": number(), "total_size_error": number(),
            "compressed_size": number(), "space_saved": -1, "average_compression_ratio": 1e308,
            "delta_objects": number(), "direct_objects": number(),
            "reference_objects": number(), "reference_size": number(),
            "damaged_objects": number(), "older_objects": number(), "internal_objects": number(),
        }
    })
    .to_string()
    .into_bytes()
}
