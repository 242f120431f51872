//! Checks of valid keys that broke systems of this kind, each with a name.

use std::fmt;

use crate::storage::{CopyOptions, ListRequest, StorageErrorKind};

use super::stage::{Stage, refused};
use super::{Failure, Outcome, same};

/// A kind of key, or keys that are easily confused.
#[derive(Clone, Copy)]
pub struct NastyKey {
    /// The name in exemptions and failures.
    pub name: &'static str,
    keys: fn() -> Vec<String>,
}

impl NastyKey {
    /// Returns the keys of this kind.
    pub fn keys(&self) -> Vec<String> {
        (self.keys)()
    }
}

impl fmt::Debug for NastyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! nasty_keys {
    ($($name:literal: [$($key:expr),+ $(,)?],)*) => {
        /// All kinds of nasty keys.
        pub const NASTY_KEYS: &[NastyKey] =
            &[$(NastyKey { name: $name, keys: || vec![$($key.into()),+] },)*];
    };
}

nasty_keys! {
    "leading slash": ["/leading"],
    "only a slash": ["/"],
    "double slash": ["a//b", "a///b"],
    "leading double slash": ["//x"],
    "trailing slash": ["dir/"],
    "trailing double slash": ["dir//"],
    "dot dot": [".."],
    "dot dot inside": ["a/../b", "a/..", "../x", "../../../../tmp/x"],
    "dot": [".", "./a", "a/./b", "a/."],
    "hidden": [".hidden", "a/.hidden"],
    "trailing dot": ["a.", "a/b..", "a./b"],
    "ends in .delta.delta": ["x.delta.delta", "x.delta"],
    "named reference.bin": ["reference.bin"],
    "named reference.bin in a folder": ["x/reference.bin"],
    "non-ASCII, NFC and NFD": ["caf\u{e9}.zip", "cafe\u{301}.zip"],
    "non-ASCII beyond the BMP": ["日本語/ファイル.zip", "😀.bin", "\u{ff5e}"],
    "non-ASCII spaces and marks": ["\u{a0}a\u{2028}b\u{feff}", "\u{202e}gnp.exe"],
    "spaces": ["a b  c"],
    "leading space": [" a", " /a"],
    "trailing space": ["a ", "a /"],
    "only a space": [" "],
    "plus": ["a+b", "a+b c"],
    "percent": ["100%", "%"],
    "percent 25": ["a%25b", "a%b"],
    "percent 2F": ["a%2Fb", "a%2fb", "a/b"],
    "percent 00": ["%00", "a%zz"],
    "quotes": ["a\"b'c`d"],
    "backslash": ["a\\b", "a\\..\\b"],
    "ampersand": ["a&b", "a&amp;b"],
    "question mark": ["a?b=c", "a?versionId=1"],
    "number sign": ["a#b"],
    "equals, semicolon, colon": ["a=b;c:d", "c:"],
    "markup": ["<a>&lt;", "]]>"],
    "other ASCII": ["!$()*,;@[]^{|}~"],
    "control characters": ["a\u{1}b", "a\u{1f}\u{7f}"],
    "tab": ["a\tb"],
    "newline": ["a\nb", "a\n"],
    "carriage return": ["a\rb", "a\r\nb"],
    "a and a/b": ["n", "n/b", "n/b/c"],
    "a pair in case": ["Readme", "README", "readme"],
    "1024 bytes of ASCII": ["k".repeat(1024)],
    "1024 bytes in capitals": ["K".repeat(1024)],
    "1024 bytes of non-ASCII": ["é".repeat(512), "日".repeat(341)],
    "segments over 255 bytes": [
        format!("{}/{}", "s".repeat(300), "t".repeat(300)),
        "s".repeat(300),
    ],
    "names of every length around 255": [
        "l".repeat(238), "l".repeat(239), "l".repeat(240), "l".repeat(241), "l".repeat(242),
        "l".repeat(253), "l".repeat(254), "l".repeat(255), "l".repeat(256), "l".repeat(257),
    ],
    "512 folders": ["d/".repeat(512)],
}

/// Returns the kinds that the store is not exempted from.
fn required<'a>(stage: &'a Stage<'_>) -> impl Iterator<Item = &'static NastyKey> + 'a {
    NASTY_KEYS.iter().filter(|key| stage.capabilities.exemption(key.name).is_none())
}

pub(super) async fn nasty_keys_one_by_one(stage: &Stage<'_>) -> Outcome {
    let mut failures = Vec::new();
    for kind in required(stage) {
        if let Err(failure) = round_trip(stage, kind).await {
            failures.push(format!("{}: {failure}", kind.name));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure(failures.join("\n"))) }
}

/// Puts, reads, lists and deletes the keys of one kind, which are alone in the bucket.
async fn round_trip(stage: &Stage<'_>, kind: &NastyKey) -> Outcome {
    let mut keys = kind.keys();
    stage.put_all(&keys).await?;
    keys.sort();
    for key in &keys {
        same("content", stage.read(key).await?, key.clone().into_bytes())?;
        same("size", stage.store.head(&stage.object(key)?).await?.size, key.len() as u64)?;
    }
    let (listed, _) = stage.list_all(&ListRequest::default()).await?;
    same("listed keys", &listed, &keys)?;
    for key in &keys {
        let (listed, _) =
            stage.list_all(&ListRequest { prefix: key.clone(), ..ListRequest::default() }).await?;
        let expected = keys.iter().filter(|other| other.starts_with(key)).cloned().collect();
        same(&format!("keys with the prefix {key:?}"), listed, expected)?;
        let after = ListRequest { start_after: Some(key.clone()), ..ListRequest::default() };
        let expected = keys.iter().filter(|other| *other > key).cloned().collect();
        same(&format!("keys after {key:?}"), stage.list_all(&after).await?.0, expected)?;
    }
    let paged = ListRequest { max_keys: Some(1), ..ListRequest::default() };
    same("keys one by one", &stage.list_all(&paged).await?.0, &keys)?;
    for (deleted, key) in keys.iter().enumerate() {
        stage.store.delete(&stage.object(key)?, None).await?;
        refused(
            "a deleted key",
            stage.store.head(&stage.object(key)?).await,
            StorageErrorKind::NotFound,
        )?;
        let left = keys.iter().skip(deleted + 1).cloned().collect();
        same("keys left", stage.list_all(&ListRequest::default()).await?.0, left)?;
    }
    Ok(())
}

pub(super) async fn nasty_keys_coexist_in_order(stage: &Stage<'_>) -> Outcome {
    let mut keys: Vec<String> = required(stage).flat_map(NastyKey::keys).collect();
    stage.put_all(&keys).await?;
    keys.sort();
    same("listed keys", &stage.list_all(&ListRequest::default()).await?.0, &keys)?;
    for key in &keys {
        same("content", stage.read(key).await?, key.clone().into_bytes())?;
    }
    let folders = ListRequest {
        delimiter: Some("/".to_owned()),
        max_keys: Some(7),
        ..ListRequest::default()
    };
    let mut expected: Vec<String> =
        keys.iter().filter_map(|key| Some(key.split_once('/')?.0.to_owned() + "/")).collect();
    expected.dedup();
    let (plain, rolled_up) = stage.list_all(&folders).await?;
    same("common prefixes", rolled_up, expected)?;
    same("keys outside folders", plain, keys.into_iter().filter(|key| !key.contains('/')).collect())
}

/// Checks nasty keys as source and as destination of copies, beside the keys they are easily
/// confused with.
pub(super) async fn nasty_keys_are_copied(stage: &Stage<'_>) -> Outcome {
    let mut failures = Vec::new();
    for kind in required(stage) {
        if let Err(failure) = there_and_back(stage, kind).await {
            failures.push(format!("{}: {failure}", kind.name));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure(failures.join("\n"))) }
}

/// Copies the keys of one kind to plain ones, and those back to the keys, which are deleted by
/// then.
async fn there_and_back(stage: &Stage<'_>, kind: &NastyKey) -> Outcome {
    let keys = kind.keys();
    stage.put_all(&keys).await?;
    let plain = |n: usize| format!("plain-{n}");
    for (n, key) in keys.iter().enumerate() {
        stage
            .store
            .copy(&stage.object(key)?, &stage.object(&plain(n))?, &CopyOptions::default())
            .await?;
        same(
            &format!("the copy of {key:?}"),
            stage.read(&plain(n)).await?,
            key.clone().into_bytes(),
        )?;
    }
    for key in &keys {
        stage.store.delete(&stage.object(key)?, None).await?;
    }
    for (n, key) in keys.iter().enumerate() {
        stage
            .store
            .copy(&stage.object(&plain(n))?, &stage.object(key)?, &CopyOptions::default())
            .await?;
        stage.store.delete(&stage.object(&plain(n))?, None).await?;
    }
    for key in &keys {
        same(&format!("the copy at {key:?}"), stage.read(key).await?, key.clone().into_bytes())?;
    }
    let (listed, _) = stage.list_all(&ListRequest::default()).await?;
    let mut expected = keys.clone();
    expected.sort();
    same("listed keys", listed, expected)?;
    for key in &keys {
        stage.store.delete(&stage.object(key)?, None).await?;
    }
    Ok(())
}
