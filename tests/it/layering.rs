//! The dependency rule of docs/architecture.md: who may know whom, by the `use` lines.
use std::path::Path;

/// A room of `src/` and the rooms it may name.
const ROOMS: [(&str, &[&str]); 6] = [
    ("domain", &[]),
    ("storage", &["domain"]),
    ("cache", &["domain"]),
    ("service", &["domain", "storage", "cache"]),
    ("cli", &["service", "domain", "storage", "wiring"]),
    ("wiring", &["service", "domain", "storage", "cache"]),
];

/// What every room of `service` may name.
const LEAVES: [&str; 7] = ["blocking", "clock", "error", "payload", "writers", "spool", "identity"];

/// A room of `src/service/` below the operations, and the other rooms of it that it may name
/// besides.
const SERVICE_ROOMS: [(&str, &[&str]); 4] =
    [("objects", &[]), ("transcode", &[]), ("references", &["objects"]), ("plan", &["references"])];

/// Names of `storage` and `cache` that only wiring may use: the adapters.
const ADAPTERS: [&str; 8] = [
    "S3Store",
    "S3Config",
    "DirStore",
    "MemoryStore",
    "S3Credentials",
    "WorkingCopies",
    "MemoryCache",
    "FolderCache",
];

/// Every source file below `src/`, with its path from there and its text without tests.
pub(crate) fn files(below: &Path) -> Vec<(String, String)> {
    let entries = walkdir::WalkDir::new(below).sort_by_file_name().into_iter().map(Result::unwrap);
    let sources =
        entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"));
    sources
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code: Vec<&str> =
                code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            (
                entry.path().strip_prefix(below).unwrap().to_string_lossy().into_owned(),
                code.join("\n"),
            )
        })
        .collect()
}

/// The rooms that a text names by `crate::…`.
fn named(code: &str) -> Vec<&str> {
    let after = code.split("crate::").skip(1);
    after
        .map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
        })
        .collect()
}

/// The first names of a path, or of each path in braces.
fn listed(rest: &str) -> Vec<&str> {
    let list = rest.strip_prefix('{').and_then(|list| list.split('}').next());
    let items = list.map_or_else(|| vec![rest], |list| list.split(',').collect());
    let first = |item: &'_ str| {
        item.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::len)
    };
    items.into_iter().map(|item| &item.trim()[..first(item).unwrap_or_default()]).collect()
}

fn offences(files: &[(String, String)]) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, code) in files {
        let room = path.split(['/', '.']).next().unwrap_or_default();
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else { continue };
        for name in named(code) {
            let other_room = ROOMS.iter().any(|(known, _)| *known == name) && name != room;
            if other_room && !allowed.contains(&name) {
                offences.push(format!("{path} names {name}"));
            }
        }
        if let Some(below) = path.strip_prefix("service/") {
            let room = below.split(['/', '.']).next().unwrap_or_default();
            if let Some((_, allowed)) = SERVICE_ROOMS.iter().find(|(name, _)| *name == room) {
                // The parent of a room's first file is `service`.
                let is_first = below.split_once('/').is_none_or(|(_, file)| file == "mod.rs");
                let code =
                    if is_first { code.replace("super::", "service::") } else { code.clone() };
                let named = code.split("service::").skip(1).flat_map(|rest| listed(rest));
                let above = named.filter(|name| {
                    *name != room && !LEAVES.contains(name) && !allowed.contains(name)
                });
                offences.extend(above.map(|name| format!("{path} names service::{name}")));
            }
        }
        // A thread that waits for a future holds what other threads may wait for.
        if matches!(room, "domain" | "storage" | "cache" | "service") && code.contains("block_on") {
            offences.push(format!("{path} blocks on a future"));
        }
        if !matches!(room, "wiring" | "storage" | "cache") {
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            offences.extend(
                words
                    .filter(|word| ADAPTERS.contains(word))
                    .map(|word| format!("{path} names {word}")),
            );
        }
        let drop_in = path.starts_with("cli/xdelta3/");
        if code.contains("deltaglider_vcdiff") && !matches!(room, "service" | "cache") && !drop_in {
            offences.push(format!("{path} names the codec"));
        }
        if drop_in {
            let named = named(code).into_iter().filter(|name| *name != "cli");
            offences.extend(named.map(|name| format!("{path} names {name}")));
        }
        if room != "storage" && code.contains("aws_") {
            offences.push(format!("{path} names the SDK"));
        }
    }
    offences
}

#[test]
fn every_room_knows_only_the_rooms_below_it() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 50);
    assert_eq!(offences(&files), Vec::<String>::new());
}

#[test]
fn sdk_types_never_leave_their_adapter() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let outside: Vec<&String> = files
        .iter()
        .filter(|(path, code)| !path.starts_with("storage/s3/") && code.contains("aws_"))
        .map(|(path, _)| path)
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[test]
fn the_codec_knows_nobody_and_its_two_directions_do_not_know_each_other() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("codec/src"));
    for (path, code) in &files {
        let apart = [
            ("encode/", "decode"),
            ("decode/", "encode"),
            ("format/", "encode"),
            ("format/", "decode"),
            ("secondary/", "encode"),
            ("secondary/", "decode"),
        ];
        for (room, other) in apart {
            assert!(
                !path.starts_with(room) || !named(code).contains(&other),
                "{path} names {other}"
            );
        }
        for foreign in ["tokio", "async ", "deltaglider::"] {
            assert!(!code.contains(foreign), "{path} has {foreign}");
        }
    }
}

#[test]
fn a_broken_rule_is_seen() {
    let file = |path: &str, code: &str| vec![(path.to_owned(), code.to_owned())];
    assert_eq!(
        offences(&file("domain/key.rs", "use crate::storage::ETag;")),
        ["domain/key.rs names storage"]
    );
    assert_eq!(
        offences(&file("service/put.rs", "let a = DirStore::open();")),
        ["service/put.rs names DirStore"]
    );
    assert_eq!(
        offences(&file("cli/cp.rs", "use aws_sdk_s3::Client;")),
        ["cli/cp.rs names the SDK"]
    );
    let upwards = "use crate::service::put::Kept;\nuse crate::service::{blocking, get::Get};";
    let names =
        ["service/objects/mod.rs names service::put", "service/objects/mod.rs names service::get"];
    assert_eq!(offences(&file("service/objects/mod.rs", upwards)), names);
    assert_eq!(
        offences(&file("service/plan.rs", "use super::put::Kept;")),
        ["service/plan.rs names service::put"]
    );
    assert_eq!(offences(&file("service/get/mod.rs", upwards)), Vec::<String>::new());
    let waits = offences(&file("service/a.rs", "runtime.block_on(fetch)"));
    assert_eq!(waits, ["service/a.rs blocks on a future"]);
    assert_eq!(offences(&file("service/put.rs", "use crate::domain::Key;")), Vec::<String>::new());
    assert_eq!(
        offences(&file("cli/cp.rs", "use deltaglider_vcdiff::Source;")),
        ["cli/cp.rs names the codec"]
    );
    assert_eq!(
        offences(&file("cli/xdelta3/mod.rs", "use crate::service::X;")),
        ["cli/xdelta3/mod.rs names service"]
    );
    assert_eq!(
        offences(&file("cli/xdelta3/mod.rs", "use deltaglider_vcdiff::Source;")),
        Vec::<String>::new()
    );
}
